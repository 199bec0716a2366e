import { likelihood, type Calibration } from './calibration.ts'
import { createFeatureSpace, type FeatureSpace, type KindWeights } from './feature-space.ts'
import { calibrateExamples, type CalibrationExample } from './lexical-calibration.ts'
import { foldsOf } from './example-folds.ts'
import { trainClassifier, type TextClassifier } from './text-classifier.ts'
import { contentWords, wordsOf } from './text-features.ts'
import { topOf } from './top-of.ts'

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
  /**
   * One more, or what one says now. It costs what this one costs, whatever else is there: words are as rare as they were, it is not refined against the others, and what is
   * enough stays. An index that is built of all is the better the more has been set.
   */
  set(item: MeaningItem): void
  delete(key: string): void
}

/** Kinds of features for descriptions and for examples; chosen on the development parts of MetaTool and CLINC150. */
const DESCRIPTION_KINDS: KindWeights = { stem: 1, gram: 1 }
const EXAMPLE_KINDS: KindWeights = { stem: 1, pair: 1, gram: 2 }
/** A description counts beside examples as so many of them, but no more than half as much as all. */
const [DESCRIPTION_AS_EXAMPLES, MAX_DESCRIPTION_SHARE] = [2.5, 0.5]

/** For descriptions alone, of which nobody knows what right answers score: fitted on the development part of MetaTool (Huang et al. 2023). */
export const DESCRIPTION_CALIBRATION: Calibration = { threshold: 0.094, coefficients: [0.333, 1.035, -1.85] }

/** Of one item: what it is known by. */
interface Entry {
  key: string
  /** Its class among those with examples. */
  label: number | undefined
  /** What its description weighs beside them. */
  share: number
  /** It is there no more. */
  isGone?: boolean
}

/** Of which something was found, in units of its own until the calibration is known. */
type KeptOut = HeldOut & { matches: MeaningMatch[] }

/** Learned of texts. */
interface Learned {
  /** For each class, of a text in words. What it gives is overwritten by the next call. */
  score(words: readonly string[]): Float64Array
  /** Learns a class more. @returns its label. */
  add(texts: readonly (readonly string[])[]): number
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
  const places = new Map(entries.map(({ key }, place) => [key, place]))
  const described = yield* describe(items, random)
  const { taught, calibration, heldOut } = yield* teach(items, entries, described, random, depth)
  const calibrationOf = ({ label }: Entry): Calibration => (label === undefined ? DESCRIPTION_CALIBRATION : calibration)
  const units = new Map(entries.map((entry) => [entry.key, calibrationOf(entry).threshold]))
  for (const { matches } of heldOut) for (const one of matches) one.score /= units.get(one.key)!
  let combined = new Float64Array(entries.length)

  /** Of all, in units of what is enough. */
  function scoresOf(text: string): Float64Array {
    const words = wordsOf(text)
    if (combined.length < entries.length) combined = new Float64Array(entries.length * 2)
    combine(entries, described.score(contentWords(words)), taught.score(words), combined)
    for (const [n, entry] of entries.entries())
      combined[n] = entry.isGone === true ? 0 : combined[n]! / calibrationOf(entry).threshold
    return combined
  }

  function forget(key: string): void {
    const place = places.get(key)
    if (place !== undefined) entries[place]!.isGone = true
    places.delete(key)
  }

  return {
    get size() {
      return places.size
    },
    heldOut,
    find(text, limit, among = () => true) {
      const scores = scoresOf(text)
      const best = topOf(scores, Math.max(2, limit), (n) => scores[n]! > 0 && among(entries[n]!.key))
      const [first, second] = best
      if (first === undefined) return { matches: [], likelihood: 0 }
      const lead = scores[first]! - (second === undefined ? 0 : scores[second]!)
      return {
        matches: best.slice(0, limit).map((n) => ({ key: entries[n]!.key, score: scores[n]! })),
        likelihood: likelihood(calibrationOf(entries[first]!), scores[first]!, lead)
      }
    },
    set({ key, description, examples }) {
      forget(key)
      // The class of its description is the number of its entry.
      const place = described.add([contentWords(wordsOf(description))])
      const label = examples.length === 0 ? undefined : taught.add(examples.map(wordsOf))
      entries[place] = { key, label, share: shareOf(examples) }
      places.set(key, place)
    },
    delete: forget
  }
}

function entriesOf(items: readonly MeaningItem[]): Entry[] {
  let classes = 0
  return items.map(({ key, examples }) => ({
    key,
    label: examples.length === 0 ? undefined : classes++,
    share: shareOf(examples)
  }))
}

function shareOf({ length }: readonly string[]): number {
  return length === 0 ? 1 : Math.min(MAX_DESCRIPTION_SHARE, DESCRIPTION_AS_EXAMPLES / length)
}

/** Both scores of each item as one. */
function combine(entries: readonly Entry[], described: Float64Array, taught: Float64Array, into: Float64Array): void {
  for (const [n, { label, share }] of entries.entries()) {
    into[n] = share * described[n]! + (label === undefined ? 0 : taught[label]!)
  }
}

/** Of the content words of descriptions; each item is a class. */
function* describe(items: readonly MeaningItem[], random: () => number): Generator<undefined, Learned> {
  const texts: string[][] = []
  for (const { description } of items) {
    texts.push(contentWords(wordsOf(description)))
    yield
  }
  const { space, vectors } = yield* createFeatureSpace(texts, DESCRIPTION_KINDS)
  const labelled = vectors.map((vector, label) => ({ vector, label }))
  return learnedOf(space, yield* trainClassifier(labelled, { classes: items.length, features: space.size, random }))
}

/** Of the words of examples; each item that has some is a class. Nothing of the single examples is kept. */
function* teach(
  items: readonly MeaningItem[],
  entries: readonly Entry[],
  described: Learned,
  random: () => number,
  depth: number
): Generator<undefined, { taught: Learned; calibration: Calibration; heldOut: KeptOut[] }> {
  const texts: string[][] = []
  for (const { examples } of items) {
    for (const text of examples) texts.push(wordsOf(text))
    yield
  }
  const { space, vectors } = yield* createFeatureSpace(texts, EXAMPLE_KINDS)
  const examples: (CalibrationExample & { key: string; text: string })[] = []
  for (const [n, { key, examples: own }] of items.entries()) {
    const [from, label] = [examples.length, entries[n]!.label!]
    const folds = foldsOf(vectors.slice(from, from + own.length), n)
    for (const [at, fold] of folds.entries())
      examples.push({ key, text: own[at]!, vector: vectors[from + at]!, label, fold, words: texts[from + at]! })
    yield
  }
  const init = { classes: entries.filter(({ label }) => label !== undefined).length, features: space.size, random }
  const classifier = yield* trainClassifier(examples, init)
  const matchesIn = (scores: Float64Array): MeaningMatch[] =>
    topOf(scores, depth, (n) => scores[n]! > 0).map((n) => ({ key: entries[n]!.key, score: scores[n]! }))
  const heldOut: KeptOut[] = []
  const into = new Float64Array(entries.length)
  const calibration = yield* calibrateExamples(
    examples,
    init,
    ({ words }, scores) => {
      combine(entries, described.score(contentWords(words)), scores, into)
      return into
    },
    (n) => entries[n]!.label,
    ({ key, text, fold }, scores) => {
      if (depth > 0) heldOut.push({ key, text, fold: fold!, matches: matchesIn(scores) })
    }
  )
  return { taught: learnedOf(space, classifier), calibration, heldOut }
}

function learnedOf(space: FeatureSpace, classifier: TextClassifier): Learned {
  let scores = new Float64Array(classifier.classes)
  return {
    score(words) {
      if (scores.length < classifier.classes) scores = new Float64Array(classifier.classes * 2)
      return classifier.score(space.vector(words), scores)
    },
    add: (texts) => classifier.add(texts.map((words) => space.learn(words)))
  }
}
