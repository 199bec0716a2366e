import { likelihood } from './calibration.ts'
import { FUSED_DEPTH, UNTAUGHT, calibrateDense, scoreOf, type DenseScale } from './dense-calibration.ts'
import { bySpace, modelOfSpace, spaceOf, vectorOfItem, type VectorOf } from './dense-item.ts'
import type { Embedded } from './embedder.ts'
import type { HeldOut, MeaningItem, MeaningMatch, MeaningMatches } from './lexical-index.ts'
import { createVectorTable, type VectorForm, type VectorTable } from './vector-table.ts'
import { normalised } from './vectors.ts'

/** Finds what is asked for by vectors and words together. */
export interface DenseIndex {
  /** Items that have a vector. */
  readonly size: number
  /** Whether it has a vector of this item. */
  has(key: string): boolean
  /** From now on this item is judged by words alone. */
  forget(key: string): void
  /** Bytes of all vectors. */
  readonly bytes: number
  /** The models that vectors are of; more than one only while they are made anew. */
  readonly models: readonly string[]
  /** How many items can be compared with a vector: those of the same model and length. */
  comparable(query: Embedded): number
  /** Part of vectors in what such items with examples score, from 0 to 1; 0: the examples say that they would add nothing. */
  share(query: Embedded): number
  /**
   * What is found by both. Items that cannot be compared are judged by words alone.
   * @param lexical what the words find, the best {@link FUSED_DEPTH}. @param among which of the items may be found.
   */
  find(query: Embedded, lexical: readonly MeaningMatch[], limit: number, among?: (key: string) => boolean): MeaningMatches
}

/** What it is built of. */
export interface DenseIndexInit {
  items: readonly MeaningItem[]
  /** Of an item without one for each of its texts: it is left to its words. */
  vectorOf: VectorOf
  form: VectorForm
  /** Of the lexical index over the same items. */
  heldOut: readonly HeldOut[]
}

/** Vectors of one model. */
interface Space {
  table: VectorTable
  keys: string[]
  places: Map<string, number>
  scale: DenseScale
}

/**
 * A vector for each item: the centroid of its examples and its description. How much vectors count beside words, and what is enough, is learned from examples that
 * are left out, as for words alone.
 * @yields now and then, so that whoever builds it may do something else meanwhile.
 */
export function* buildDenseIndex({ items, vectorOf, form, heldOut }: DenseIndexInit): Generator<undefined, DenseIndex> {
  const taught = new Set(items.flatMap(({ key, examples }) => (examples.length > 0 ? [key] : [])))
  const spaces = new Map<string, Space>()
  for (const [name, of] of yield* bySpace(items, vectorOf)) {
    const keys = of.map(({ key }) => key)
    const table = createVectorTable(
      of.map((item) => vectorOfItem(item)),
      form
    )
    yield
    const scale = yield* calibrateDense(of, heldOut, form)
    spaces.set(name, { table, keys, places: new Map(keys.map((key, at) => [key, at])), scale })
  }
  const all = [...spaces.values()]

  return {
    get size() {
      return all.reduce((sum, { places }) => sum + places.size, 0)
    },
    has: (key) => all.some(({ places }) => places.has(key)),
    forget(key) {
      for (const { places } of all) places.delete(key)
    },
    bytes: all.reduce((sum, { table }) => sum + table.bytes, 0),
    models: [...spaces.keys()].map(modelOfSpace),
    comparable: (query) => spaces.get(spaceOf(query))?.places.size ?? 0,
    share: (query) => spaces.get(spaceOf(query))?.scale.share.taught ?? 0,
    find(query, lexical, limit, among = () => true) {
      const space = spaces.get(spaceOf(query))
      const fused = space === undefined ? lexical.filter(({ key }) => among(key)) : fuse(space, query, lexical, among)
      const { calibration } = space?.scale ?? UNTAUGHT
      const inUnits = fused.map(({ key, score }) => ({ key, score: taught.has(key) ? score / calibration.threshold : score }))
      const best = inUnits.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score)
      const [first, second] = best
      if (first === undefined) return { matches: [], likelihood: 0 }
      const by = taught.has(first.key) ? calibration : UNTAUGHT.calibration
      return { matches: best.slice(0, limit), likelihood: likelihood(by, first.score, first.score - (second?.score ?? 0)) }
    }
  }

  function fuse(
    space: Space,
    query: Embedded,
    lexical: readonly MeaningMatch[],
    among: (key: string) => boolean
  ): MeaningMatch[] {
    const { table, keys, places, scale } = space
    const vector = normalised(query.values)
    const near = table.nearest(vector, FUSED_DEPTH, (at) => among(keys[at]!) && places.has(keys[at]!))
    const cosines = new Map(near.map(({ at, cosine }) => [keys[at]!, cosine]))
    const words = new Map(lexical.filter(({ key }) => among(key)).map(({ key, score }) => [key, score]))
    return [...new Set([...words.keys(), ...cosines.keys()])].map((key) => {
      const at = places.get(key)
      const byWords = words.get(key) ?? 0
      if (at === undefined) return { key, score: byWords }
      const cosine = cosines.get(key) ?? table.cosine(vector, at)
      return { key, score: scoreOf(scale, taught.has(key), byWords, cosine) }
    })
  }
}
