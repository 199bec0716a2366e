import { calibrate, likelihood, type Calibration, type Outcome } from './calibration.ts'
import { MAX_FOLDS, foldsOf } from './example-folds.ts'
import { createFeatureSpace, type FeatureSpace, type KindWeights, type TextVector } from './feature-space.ts'
import { trainClassifier, type LabelledVector, type TextClassifier } from './text-classifier.ts'
import { contentWords, wordsOf } from './text-features.ts'

/** Something that may be asked for in words. */
export interface MeaningItem {
  /** Unique. */
  key: string
  /** What it says of itself: names, type, descriptions of it and its tools. */
  description: string
  /** What people say who want it. */
  examples: readonly string[]
}

/** One answer. */
export interface MeaningMatch {
  key: string
  /** In units of the threshold: below 1 it is rather nothing of what is there. */
  score: number
}

/** What was found for a text. */
export interface MeaningMatches {
  /** The best first, with a score above 0. */
  matches: MeaningMatch[]
  /** How likely the first is the right one, from 0 to 1, if any is. */
  likelihood: number
}

/** An example that was left out, so that it could be seen what the others say of it. */
export interface HeldOut {
  key: string
  text: string
  /** The part that it was left out with, all of which were unknown then. */
  fold: number
  /** What was found for it, the best first; undefined if it was not looked for. */
  matches: MeaningMatch[] | undefined
}

/** Finds what is asked for by its words. */
export interface LexicalIndex {
  readonly size: number
  /** Every example that was left out once, where they are kept. */
  readonly heldOut: readonly HeldOut[]
  /** @param limit most matches. @param among which of the items may be found. Default: all. */
  find(text: string, limit: number, among?: (key: string) => boolean): MeaningMatches
}

/** Kinds of features for descriptions and for examples; chosen on the development parts of MetaTool and CLINC150. */
const DESCRIPTION_KINDS: KindWeights = { stem: 1, gram: 1 }
const EXAMPLE_KINDS: KindWeights = { stem: 1, pair: 1, gram: 2 }
/** A description counts beside examples as so many of them, but no more than half as much as all. */
const [DESCRIPTION_AS_EXAMPLES, MAX_DESCRIPTION_SHARE] = [2.5, 0.5]

/** For descriptions alone, of which nobody knows what right answers score: fitted on the development part of MetaTool (Huang et al. 2023). */
export const DESCRIPTION_CALIBRATION: Calibration = { threshold: 0.094, coefficients: [0.333, 1.035, -1.85] }
/** For examples that are too few to leave some out: fitted on five examples for each class of CLINC150 (Larson et al. 2019). */
export const EXAMPLE_CALIBRATION: Calibration = { threshold: 0.158, coefficients: [0.269, 1.021, -0.986] }

/** Of one item: what it is known by. */
interface Entry {
  key: string
  /** Its class among those with examples. */
  label: number | undefined
  /** What its description weighs beside them. */
  share: number
}

/**
 * An index without any model: a classifier over the examples, and one over the descriptions, which carries those that have no examples. Calibrated on the examples
 * alone, each part of which is left out in turn.
 * @yields now and then, so that whoever builds it may do something else meanwhile. @param random uniform in [0, 1).
 * @param depth matches that are kept of each example that is left out. Default: none, and no examples either.
 */
export function* buildLexicalIndex(
  items: readonly MeaningItem[],
  random: () => number,
  depth = 0
): Generator<undefined, LexicalIndex> {
  const entries = entriesOf(items)
  const described = yield* describe(items, random)
  const taught = yield* teach(items, entries, random)
  const scoresOf = (text: string): Float64Array => {
    const words = wordsOf(text)
    return combine(entries, described(contentWords(words)), taught.score(taught.space.vector(words)))
  }
  const keys = entries.flatMap(({ key, label }) => (label === undefined ? [] : [key]))
  const heldOut: (HeldOut & { matches: MeaningMatch[] })[] = []
  const calibrations = { ...(yield* calibrateExamples()) }
  const calibrationOf = ({ label }: Entry): Calibration => (label === undefined ? DESCRIPTION_CALIBRATION : calibrations.examples)
  const units = new Map(entries.map((entry) => [entry.key, calibrationOf(entry).threshold]))
  for (const { matches } of heldOut) for (const one of matches) one.score /= units.get(one.key)!

  function* calibrateExamples(): Generator<undefined, { examples: Calibration }> {
    const outcomes: Outcome[] = []
    for (let fold = 0; fold < MAX_FOLDS; fold++) {
      const held = taught.examples.filter((one) => one.fold === fold)
      if (held.length === 0) continue
      const rest = taught.examples.filter((one) => one.fold !== fold)
      const classifier = yield* trainClassifier(rest, { classes: taught.classes, features: taught.space.size, random })
      const scores = new Float64Array(taught.classes)
      for (const [n, example] of held.entries()) {
        const combined = combine(entries, described(example.content), classifier.score(example.vector, scores))
        const [first, second] = topOf(combined, 2)
        if (depth > 0) heldOut.push({ key: keys[example.label]!, text: example.text, fold, matches: matchesIn(combined) })
        outcomes.push({
          score: combined[first!]!,
          lead: combined[first!]! - (second === undefined ? 0 : combined[second]!),
          isRight: entries[first!]!.label === example.label
        })
        if (n % 32 === 0) yield
      }
    }
    return { examples: calibrate(outcomes) ?? EXAMPLE_CALIBRATION }
  }
  function matchesIn(combined: Float64Array): MeaningMatch[] {
    const best = topOf(combined, depth).filter((n) => combined[n]! > 0)
    return best.map((n) => ({ key: entries[n]!.key, score: combined[n]! }))
  }

  return {
    size: items.length,
    heldOut,
    find(text, limit, among = () => true) {
      const scores = scoresOf(text)
      entries.forEach((entry, n) => (scores[n] = among(entry.key) ? scores[n]! / calibrationOf(entry).threshold : 0))
      const best = topOf(scores, Math.max(2, limit)).filter((n) => scores[n]! > 0)
      const [first, second] = best
      if (first === undefined) return { matches: [], likelihood: 0 }
      const lead = scores[first]! - (second === undefined ? 0 : scores[second]!)
      return {
        matches: best.slice(0, limit).map((n) => ({ key: entries[n]!.key, score: scores[n]! })),
        likelihood: likelihood(calibrationOf(entries[first]!), scores[first]!, lead)
      }
    }
  }
}

function entriesOf(items: readonly MeaningItem[]): Entry[] {
  let classes = 0
  return items.map(({ key, examples: { length } }) =>
    length === 0
      ? { key, label: undefined, share: 1 }
      : { key, label: classes++, share: Math.min(MAX_DESCRIPTION_SHARE, DESCRIPTION_AS_EXAMPLES / length) }
  )
}

/** Both scores of each item as one. */
function combine(entries: readonly Entry[], described: Float64Array, taught: Float64Array): Float64Array {
  const combined = new Float64Array(entries.length)
  for (const [n, { label, share }] of entries.entries()) {
    combined[n] = share * described[n]! + (label === undefined ? 0 : taught[label]!)
  }
  return combined
}

/** Scores by descriptions, of a text given as its content words. */
function* describe(
  items: readonly MeaningItem[],
  random: () => number
): Generator<undefined, (words: readonly string[]) => Float64Array> {
  const texts = items.map(({ description }) => contentWords(wordsOf(description)))
  const space = createFeatureSpace(texts, DESCRIPTION_KINDS)
  const vectors = texts.map((words, label) => ({ vector: space.vector(words), label }))
  const classifier = yield* trainClassifier(vectors, { classes: items.length, features: space.size, random })
  const scores = new Float64Array(items.length)
  return (words) => classifier.score(space.vector(words), scores)
}

interface Example extends LabelledVector {
  text: string
  content: string[]
  fold: number | undefined
}

interface Taught {
  classes: number
  space: FeatureSpace
  examples: Example[]
  score(vector: TextVector): Float64Array
}

function* teach(items: readonly MeaningItem[], entries: readonly Entry[], random: () => number): Generator<undefined, Taught> {
  const texts = items.flatMap(({ examples }, n) =>
    examples.map((text) => ({ text, words: wordsOf(text), label: entries[n]!.label! }))
  )
  const space = createFeatureSpace(
    texts.map(({ words }) => words),
    EXAMPLE_KINDS
  )
  const byClass: Omit<Example, 'fold'>[][] = []
  for (const { text, words, label } of texts)
    (byClass[label] ??= []).push({ text, vector: space.vector(words), label, content: contentWords(words) })
  const examples = byClass.flatMap((all) => {
    const folds = foldsOf(all.map(({ vector }) => vector))
    return all.map((one, n) => ({ ...one, fold: folds[n] }))
  })
  const classes = byClass.length
  const classifier: TextClassifier = yield* trainClassifier(examples, { classes, features: space.size, random })
  const scores = new Float64Array(classes)
  return { classes, space, examples, score: (vector) => classifier.score(vector, scores) }
}

/** Where the highest are, at most so many, the highest first. */
function topOf(scores: Float64Array, limit: number): number[] {
  const top: number[] = []
  for (let n = 0; n < scores.length; n++) {
    if (top.length === limit && scores[n]! <= scores[top.at(-1)!]!) continue
    let at = top.length
    while (at > 0 && scores[top[at - 1]!]! < scores[n]!) at--
    top.splice(at, 0, n)
    if (top.length > limit) top.pop()
  }
  return top
}
