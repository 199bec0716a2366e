import { MIN_OUTCOMES, calibrate, type Calibration, type Outcome } from './calibration.ts'
import { vectorOfItem, type EmbeddedItem } from './dense-item.ts'
import { EXAMPLE_CALIBRATION } from './lexical-calibration.ts'
import { DESCRIPTION_CALIBRATION, type HeldOut } from './lexical-index.ts'
import { createVectorTable, type VectorForm, type VectorTable } from './vector-table.ts'
import { dot, normalised } from './vectors.ts'

/** Of each of both lists, that of words and that of vectors, so many are brought together. */
export const FUSED_DEPTH = 32
/** Most examples that are left out to learn from, taken evenly: what they say does not become better by more. */
export const MAX_HELD_OUT = 1_000
/** Parts of vectors that are tried beside words. */
const SHARES = Array.from({ length: 11 }, (_, n) => n / 10)
/** The part of vectors where it cannot be learned. A weak model does no great harm by it, and a good one is heard. */
export const UNTUNED_SHARE = 0.3
/** Share of right requests whose cosine is below what is enough. */
const MAX_BELOW = 0.05
/** Without examples: a cosine is enough that is so many deviations above what the nearest of so many would have by chance. */
export const ENOUGH_DEVIATIONS = 2
/** Pairs of descriptions that are compared to see how near each other things are that have nothing in common: at least, and at most. */
const [MIN_PAIRS, MAX_PAIRS] = [10, 2_000]
/** Least difference between the cosines of what has nothing in common and of what is enough. */
const MIN_RANGE = 0.02
const STRIDE = 16

/** Cosines of a model in the units of words: 0 is what two things have that have nothing in common, 1 what is just enough. Models differ widely in both. */
interface Units {
  nothing: number
  enough: number
}

/** What cosines of a model mean among these items. */
export interface DenseScale {
  /** Part of vectors in the score, for items with examples and for those without; that of words is the rest. */
  share: { taught: number; untaught: number }
  /** For items with examples, and for those without; undefined: not known, and words alone count. */
  taught: Units | undefined
  untaught: Units | undefined
  /** Of both together, for items with examples. */
  calibration: Calibration
}

/** Where nothing could be learned: both are in units of what is enough already. */
export const UNTAUGHT = { calibration: { ...DESCRIPTION_CALIBRATION, threshold: 1 } }

/** Least that a cosine counts, in units: where those of a model lie close together, one that is a little lower would outweigh any words. */
const LEAST = -1

/** Both as one, in units of what is enough for words. @param byWords in those units. */
export function scoreOf(scale: DenseScale, isTaught: boolean, byWords: number, cosine: number): number {
  const kind = isTaught ? 'taught' : 'untaught'
  const { share, units } = { share: scale.share[kind], units: scale[kind] }
  if (units === undefined) return byWords
  return (1 - share) * byWords + share * Math.max(LEAST, (cosine - units.nothing) / (units.enough - units.nothing))
}

/** An example that was left out: what it scored by words and by vectors. */
interface Trial {
  key: string
  /** By key: in units, and as a cosine. */
  scores: Map<string, { byWords: number; cosine: number }>
  /** Its cosine with its own item. */
  right: number
}

/** Learns from the examples alone. @param items of one model. */
export function* calibrateDense(
  items: readonly EmbeddedItem[],
  heldOut: readonly HeldOut[],
  form: VectorForm
): Generator<undefined, DenseScale> {
  const untaught = unitsOfDescriptions(items)
  const { trials, nothing } = yield* leaveOut(items, heldOut, form)
  const rights = trials.map(({ right }) => right).sort((a, b) => a - b)
  const enough = rights[Math.floor(rights.length * MAX_BELOW)]
  const isTaught = new Set(items.flatMap(({ key, examples }) => (examples.length > 0 ? [key] : [])))
  const taught = enough === undefined || enough - nothing < MIN_RANGE ? untaught : { nothing, enough }
  const scaleOf = (share: number): DenseScale => ({
    share: { taught: share, untaught: Math.min(share, UNTUNED_SHARE) },
    taught,
    untaught,
    calibration: { ...EXAMPLE_CALIBRATION, threshold: 1 }
  })
  const unknown = scaleOf(UNTUNED_SHARE)
  if (trials.length < MIN_OUTCOMES) return { ...unknown, taught: untaught }
  const tried: { scale: DenseScale; outcomes: Outcome[]; right: number }[] = []
  for (const share of SHARES) {
    const scale = scaleOf(share)
    const outcomes = trials.map((trial) => outcomeOf(trial, scale, isTaught))
    tried.push({ scale, outcomes, right: outcomes.filter(({ isRight }) => isRight).length })
    yield
  }
  const most = Math.max(...tried.map(({ right }) => right))
  // The least that is as good as the best within its standard error (Breiman et al. 1984): words are the floor, and chance is no gain.
  const { scale, outcomes } = tried.find(({ right }) => right >= most - Math.sqrt(most * (1 - most / trials.length)))!
  const calibration = calibrate(outcomes)
  return calibration === undefined ? unknown : { ...scale, calibration }
}

function outcomeOf({ key, scores }: Trial, scale: DenseScale, taught: ReadonlySet<string>): Outcome {
  let first = { key: '', score: 0 }
  let second = 0
  for (const [one, { byWords, cosine }] of scores) {
    const score = scoreOf(scale, taught.has(one), byWords, cosine)
    if (score > first.score) [first, second] = [{ key: one, score }, first.score]
    else if (score > second) second = score
  }
  return { score: first.score, lead: first.score - second, isRight: first.key === key }
}

/** What each example that is left out has in common with what the others say, and what it has with the rest of the items on average. */
function* leaveOut(
  items: readonly EmbeddedItem[],
  heldOut: readonly HeldOut[],
  form: VectorForm
): Generator<undefined, { trials: Trial[]; nothing: number }> {
  const places = new Map(items.map(({ key }, at) => [key, at]))
  const asked = heldOut.filter(({ key, matches }) => matches !== undefined && places.has(key))
  const every = Math.max(1, Math.ceil(asked.length / MAX_HELD_OUT))
  const taken = new Set(asked.filter((_, n) => n % every === 0))
  const trials: Trial[] = []
  let nothing = 0
  for (const fold of new Set(heldOut.map((one) => one.fold))) {
    const held = heldOut.filter((one) => one.fold === fold)
    const { table, center } = yield* tableWithout(items, held, form)
    for (const [n, one] of held.filter((each) => taken.has(each)).entries()) {
      if (n % STRIDE === 0) yield
      const vector = vectorIn(items[places.get(one.key)!]!, one.text)
      if (vector === undefined) continue
      const right = table.cosine(vector, places.get(one.key)!)
      nothing += (dot(vector, center) * items.length - right) / Math.max(1, items.length - 1)
      trials.push({ key: one.key, right, scores: scoresOf(one, vector, table, items, places) })
    }
  }
  return { trials, nothing: trials.length === 0 ? 0 : nothing / trials.length }
}

function vectorIn({ examples }: EmbeddedItem, text: string): Float32Array | undefined {
  const found = examples.find((one) => one.text === text)
  return found === undefined ? undefined : normalised(found.vector)
}

function scoresOf(
  { matches = [] }: HeldOut,
  vector: Float32Array,
  table: VectorTable,
  items: readonly EmbeddedItem[],
  places: ReadonlyMap<string, number>
): Trial['scores'] {
  const scores: Trial['scores'] = new Map()
  const near = table.nearest(vector, FUSED_DEPTH)
  for (const { at, cosine } of near) scores.set(items[at]!.key, { byWords: 0, cosine })
  for (const { key, score } of matches) {
    const at = places.get(key)
    if (at !== undefined) scores.set(key, { byWords: score, cosine: scores.get(key)?.cosine ?? table.cosine(vector, at) })
  }
  return scores
}

/** The vectors of all items without some of their examples, and the mean of those. */
function* tableWithout(
  items: readonly EmbeddedItem[],
  held: readonly HeldOut[],
  form: VectorForm
): Generator<undefined, { table: VectorTable; center: Float32Array }> {
  const without = new Map<string, Set<string>>()
  for (const { key, text } of held) without.set(key, (without.get(key) ?? new Set()).add(text))
  const vectors: Float32Array[] = []
  for (const [n, item] of items.entries()) {
    if (n % STRIDE === 0) yield
    const gone = without.get(item.key)
    vectors.push(vectorOfItem(item, gone === undefined ? undefined : (text) => !gone.has(text)))
  }
  const center = new Float32Array(vectors[0]?.length ?? 0)
  for (const vector of vectors) vector.forEach((value, n) => (center[n]! += value / vectors.length))
  return { table: createVectorTable(vectors, form), center }
}

/** Two descriptions of different things have little in common: what that is, depends on the model. Undefined if there are too few to tell. */
function unitsOfDescriptions(items: readonly EmbeddedItem[]): Units | undefined {
  const vectors = items.map(({ description }) => normalised(description))
  const cosines: number[] = []
  for (let apart = 1; apart <= vectors.length / 2 && cosines.length < MAX_PAIRS; apart++)
    for (const [n, vector] of vectors.entries()) cosines.push(dot(vector, vectors[(n + apart) % vectors.length]!))
  if (cosines.length < MIN_PAIRS) return undefined
  const nothing = cosines.reduce((sum, value) => sum + value, 0) / cosines.length
  const variance = cosines.reduce((sum, value) => sum + (value - nothing) ** 2, 0) / cosines.length
  // The largest of n normal deviates is near sqrt(2 ln n).
  const deviations = Math.sqrt(2 * Math.log(vectors.length)) + ENOUGH_DEVIATIONS
  return { nothing, enough: nothing + Math.max(deviations * Math.sqrt(variance), MIN_RANGE) }
}
