import { createClassWeights, type ClassWeights } from './class-weights.ts'
import type { TextVector } from './feature-space.ts'

/** A text of which the class is known. */
export interface LabelledVector {
  vector: TextVector
  /** Below the count of classes. */
  label: number
}

/** How near a text is to each class, as a dot product: near 1 for a text of the class, near 0 for one of another. */
export interface TextClassifier {
  readonly classes: number
  /** @param into at least as long as there are classes; what it holds is overwritten. */
  score(vector: TextVector, into: Float64Array): Float64Array
  /** A class that comes later: the centroid of its texts, not refined. @returns its label. */
  add(vectors: readonly TextVector[]): number
}

/** What it is trained with. */
export interface TrainingInit {
  classes: number
  /** Size of the feature space. */
  features: number
  /** Uniform in [0, 1): the order of the texts. */
  random(): number
}

/** Rounds over the texts, the lead that a class is to have over the next, and the largest step to it. Chosen on the validation half of CLINC150. */
const [ROUNDS, MARGIN, MAX_STEP] = [4, 0.4, 0.1]
/** Numbers that all rounds may look at, one or two nanoseconds each: of many classes there are fewer rounds, or none. */
export const MAX_REFINING = 1_000_000_000

/**
 * Learns classes from texts: at first each class is the centroid of its texts; then, for each text that is not clearly nearer to its own class than to
 * the next one, the former is drawn to the text and the latter pushed away (Tan 2008, "An improved centroid classifier"; step and margin as in
 * passive-aggressive learning, Crammer et al. 2006).
 * @yields now and then, so that whoever runs it may do something else meanwhile.
 */
export function* trainClassifier(texts: readonly LabelledVector[], init: TrainingInit): Generator<undefined, TextClassifier> {
  const { features, random } = init
  let { classes } = init
  const weights = yield* createClassWeights(yield* centroidsOf(texts, classes), features)
  const scores = new Float64Array(classes)
  let order = texts.map((_, n) => n)
  for (let round = yield* roundsFor(texts, weights); round > 0; round--) {
    shuffle(order, random)
    // What is told apart already needs no second look.
    const left: number[] = []
    for (const n of order) {
      if (refine(texts[n]!, weights, scores)) left.push(n)
      yield
    }
    order = left
  }
  return {
    get classes() {
      return classes
    },
    score: weights.score,
    add(vectors) {
      const label = classes++
      const { features: ones, weights: values } = centroidOf(vectors)
      ones.forEach((feature, n) => weights.add(feature, label, values[n]!))
      return label
    }
  }
}

function* centroidsOf(texts: readonly LabelledVector[], classes: number): Generator<undefined, TextVector[]> {
  const byClass = Array.from({ length: classes }, (): TextVector[] => [])
  for (const { vector, label } of texts) byClass[label]!.push(vector)
  const centroids: TextVector[] = []
  for (const vectors of byClass) {
    centroids.push(centroidOf(vectors))
    yield
  }
  return centroids
}

/** Their sum, of length 1. */
function centroidOf(vectors: readonly TextVector[]): TextVector {
  const sums = new Map<number, number>()
  for (const { features, weights } of vectors)
    for (let n = 0; n < features.length; n++) sums.set(features[n]!, (sums.get(features[n]!) ?? 0) + weights[n]!)
  let squares = 0
  for (const sum of sums.values()) squares += sum * sum
  const length = Math.sqrt(squares) || 1
  return { features: Int32Array.from(sums.keys()), weights: Float32Array.from(sums.values(), (sum) => sum / length) }
}

/** As many rounds as the bound on their cost has room for. */
function* roundsFor(texts: readonly LabelledVector[], weights: ClassWeights): Generator<undefined, number> {
  let cost = 1
  for (const { vector } of texts) {
    cost += weights.costOf(vector)
    yield
  }
  return Math.min(ROUNDS, Math.floor(MAX_REFINING / cost))
}

/** @returns whether there was something to refine. */
function refine({ vector, label }: LabelledVector, weights: ClassWeights, scores: Float64Array): boolean {
  weights.score(vector, scores)
  let rival = -1
  for (let n = 0; n < scores.length; n++) if (n !== label && (rival === -1 || scores[n]! > scores[rival]!)) rival = n
  const loss = rival === -1 ? 0 : MARGIN - (scores[label]! - scores[rival]!)
  if (loss <= 0) return false
  const step = Math.min(MAX_STEP, loss / 2)
  vector.features.forEach((feature, n) => {
    weights.add(feature, label, step * vector.weights[n]!)
    weights.add(feature, rival, -step * vector.weights[n]!)
  })
  return true
}

function shuffle(order: number[], random: () => number): void {
  for (let n = order.length - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1))
    ;[order[n], order[other]] = [order[other]!, order[n]!]
  }
}
