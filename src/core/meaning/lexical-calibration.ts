import { calibrate, type Calibration, type Outcome } from './calibration.ts'
import { MAX_FOLDS } from './example-folds.ts'
import { trainClassifier, type LabelledVector, type TrainingInit } from './text-classifier.ts'
import { topOf } from './top-of.ts'

/** For examples that are too few to leave some out: fitted on five examples for each class of CLINC150 (Larson et al. 2019). */
export const EXAMPLE_CALIBRATION: Calibration = { threshold: 0.158, coefficients: [0.269, 1.021, -0.986] }
/** So many examples tell as much as all: no more are left out at once, and no other part once there are so many. */
export const ENOUGH_OUTCOMES = 1_000

/** An example of which it is asked what it would have been taken for. */
export interface CalibrationExample extends LabelledVector {
  words: readonly string[]
  /** See `foldsOf`. */
  fold: number | undefined
}

/**
 * What the scores of examples mean: learns without some of them, and looks what the rest takes them for.
 * @param scoresOf of all items, by the scores of the classes. @param labelOf the class of an item.
 * @param onHeld told each that was left out, with the scores of all items.
 * @yields now and then, so that whoever runs it may do something else meanwhile.
 */
export function* calibrateExamples<Example extends CalibrationExample>(
  examples: readonly Example[],
  init: TrainingInit,
  scoresOf: (example: Example, scores: Float64Array) => Float64Array,
  labelOf: (item: number) => number | undefined,
  onHeld: (example: Example, scores: Float64Array) => void
): Generator<undefined, Calibration> {
  const outcomes: Outcome[] = []
  const scores = new Float64Array(init.classes)
  for (let fold = 0; fold < MAX_FOLDS && outcomes.length < ENOUGH_OUTCOMES; fold++) {
    const held = sampleOf(examples, fold, init.random)
    if (held.size === 0) continue
    const classifier = yield* trainClassifier(
      examples.filter((one) => !held.has(one)),
      init
    )
    for (const example of held) {
      const combined = scoresOf(example, classifier.score(example.vector, scores))
      const [first, second] = topOf(combined, 2)
      outcomes.push({
        score: combined[first!]!,
        lead: combined[first!]! - (second === undefined ? 0 : combined[second]!),
        isRight: labelOf(first!) === example.label
      })
      onHeld(example, combined)
      yield
    }
  }
  return calibrate(outcomes) ?? EXAMPLE_CALIBRATION
}

/** The examples of a part: of all classes, or of some that chance takes, since what is left of a class must be as it is where it is asked for. */
function sampleOf<Example extends CalibrationExample>(
  examples: readonly Example[],
  fold: number,
  random: () => number
): Set<Example> {
  const all = examples.filter((one) => one.fold === fold)
  if (all.length <= ENOUGH_OUTCOMES) return new Set(all)
  const chance = ENOUGH_OUTCOMES / all.length
  const taken = new Map<number, boolean>()
  const isTaken = (label: number): boolean => {
    const known = taken.get(label) ?? random() < chance
    taken.set(label, known)
    return known
  }
  return new Set(all.filter(({ label }) => isTaken(label)))
}
