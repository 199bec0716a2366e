import type { Embedded } from './embedder.ts'
import type { MeaningItem } from './lexical-index.ts'
import { centroidOf } from './vectors.ts'

/** An item with the vectors of all its texts, of one model. */
export interface EmbeddedItem {
  key: string
  description: Float32Array
  examples: { text: string; vector: Float32Array }[]
}

/** The vector of an item: all it says, each text as much as another. @param counts which of its examples do. Default: all. */
export function vectorOfItem(
  { description, examples }: EmbeddedItem,
  counts: (text: string) => boolean = () => true
): Float32Array {
  const vectors = examples.filter(({ text }) => counts(text)).map(({ vector }) => vector)
  return centroidOf([description, ...vectors])
}

/** Vectors of one space may be compared: those of one model and length. */
export const spaceOf = ({ model, values }: Embedded): string => `${values.length} ${model}`
/** The model of a space. */
export const modelOfSpace = (space: string): string => space.slice(space.indexOf(' ') + 1)

/** The vector of a text of an item, by its key; undefined: there is none. */
export type VectorOf = (text: string, key: string) => Embedded | undefined

/** The items by space; those without a vector for each of their texts, or with vectors of several spaces, are left out. */
export function* bySpace(items: readonly MeaningItem[], vectorOf: VectorOf): Generator<undefined, Map<string, EmbeddedItem[]>> {
  const found = new Map<string, EmbeddedItem[]>()
  for (const [n, { key, description, examples }] of items.entries()) {
    if (n % 64 === 0) yield
    const own = vectorOf(description, key)
    const others = examples.map((text) => ({ text, of: vectorOf(text, key) }))
    if (own === undefined || !others.every(({ of }) => of !== undefined && spaceOf(of) === spaceOf(own))) continue
    const item = { key, description: own.values, examples: others.map(({ text, of }) => ({ text, vector: of!.values })) }
    const together = found.get(spaceOf(own))
    if (together === undefined) found.set(spaceOf(own), [item])
    else together.push(item)
  }
  return found
}
