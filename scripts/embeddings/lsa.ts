/**
 * Vectors of texts by latent semantic analysis (Deerwester et al. 1990): words that stand beside the same words are near each other. Learned from the texts alone, in a
 * second; far from what a trained model knows, but real vectors, for benchmarks and tests.
 */
import { wordsOf } from '../../src/core/meaning/text-features.ts'

/** Turns of subspace iteration: the vectors are settled after these. */
const TURNS = 5

/** A vector for each word; that of a text is the mean of those of its words. */
export interface WordVectors {
  width: number
  words: string[]
  /** One after the other. */
  vectors: Float32Array
}

/** A text as counts of known words, weighed by how rare they are. */
type Row = [word: number, weight: number][]

/** @param random uniform in [0, 1). */
export function learnWordVectors(texts: readonly string[], width: number, random: () => number): WordVectors {
  const known = new Map<string, number>()
  const counts = texts.map((text) => {
    const count = new Map<number, number>()
    for (const word of wordsOf(text)) {
      const at = known.get(word) ?? known.set(word, known.size).size - 1
      count.set(at, (count.get(at) ?? 0) + 1)
    }
    return count
  })
  const texts_ = new Float64Array(known.size)
  for (const count of counts) for (const at of count.keys()) texts_[at]!++
  const rarity = texts_.map((of) => Math.log(1 + texts.length / of))
  const rows: Row[] = counts.map((count) => {
    const row = [...count].map(([at, n]): [number, number] => [at, (1 + Math.log(n)) * rarity[at]!])
    const length = Math.hypot(...row.map(([, weight]) => weight)) || 1
    return row.map(([at, weight]) => [at, weight / length])
  })
  const basis = dominantWords(rows, known.size, Math.min(width, known.size, texts.length), random)
  const vectors = new Float32Array(known.size * width)
  for (const [n, column] of basis.entries())
    for (let word = 0; word < known.size; word++) vectors[word * width + n] = column[word]! * rarity[word]!
  return { width, words: [...known.keys()], vectors }
}

/** The mean of the vectors of the words that are known; zeros if there are none. */
export function vectorOfText({ width, words, vectors }: WordVectors, places: Map<string, number>, text: string): Float32Array {
  if (places.size === 0) words.forEach((word, at) => places.set(word, at))
  const sum = new Float32Array(width)
  for (const word of wordsOf(text)) {
    const at = places.get(word)
    if (at !== undefined) for (let n = 0; n < width; n++) sum[n]! += vectors[at * width + n]!
  }
  return sum
}

/** An orthonormal basis of the right singular vectors with the largest values, by subspace iteration. */
function dominantWords(rows: readonly Row[], words: number, width: number, random: () => number): Float64Array[] {
  let basis = Array.from({ length: width }, () => Float64Array.from({ length: words }, () => random() - 0.5))
  orthonormalise(basis)
  for (let turn = 0; turn < TURNS; turn++) {
    basis = basis.map((column) => {
      const next = new Float64Array(words)
      for (const row of rows) {
        let along = 0
        for (const [at, weight] of row) along += weight * column[at]!
        for (const [at, weight] of row) next[at]! += weight * along
      }
      return next
    })
    orthonormalise(basis)
  }
  return basis
}

/** Gram-Schmidt, modified. */
function orthonormalise(columns: Float64Array[]): void {
  for (const [n, column] of columns.entries()) {
    for (const before of columns.slice(0, n)) {
      let along = 0
      for (let at = 0; at < column.length; at++) along += column[at]! * before[at]!
      for (let at = 0; at < column.length; at++) column[at]! -= along * before[at]!
    }
    let squares = 0
    for (const value of column) squares += value * value
    const length = Math.sqrt(squares) || 1
    for (let at = 0; at < column.length; at++) column[at]! /= length
  }
}
