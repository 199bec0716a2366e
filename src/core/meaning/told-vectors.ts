/** What is believed of vectors that another node tells of its own texts. Pure: chance is passed in. */
import type { Embedded } from './embedder.ts'
import { dot, normalised } from './vectors.ts'

/** Of so many texts of a node one is embedded here as well. */
export const TEXTS_PER_SAMPLE = 16
/** Least cosine of two vectors of one text by one model: whole numbers of a byte cost up to 0.008, other kernels and floats less; what says something else of the text is far below. */
export const MIN_AGREEMENT = 0.98

/**
 * Which of them are embedded here as well: one of {@link TEXTS_PER_SAMPLE}, at least one. Whoever lies about a part of its texts is found out with the odds of
 * that part, and moves its centroid by no more than that.
 * @param random uniform in [0, 1). It has to be chosen once the vectors are there.
 */
export function sampleOf(texts: readonly string[], random: () => number): string[] {
  const left = [...texts]
  const count = Math.ceil(left.length / TEXTS_PER_SAMPLE)
  for (let n = 0; n < count; n++) {
    const at = n + Math.floor(random() * (left.length - n))
    ;[left[n], left[at]] = [left[at]!, left[n]!]
  }
  return left.slice(0, count)
}

/** Whether two vectors of one text say the same: of one model and length, and in one direction. */
export function agree(own: Embedded, told: Embedded): boolean {
  if (own.model !== told.model || own.values.length !== told.values.length) return false
  const [a, b] = [normalised(own.values), normalised(told.values)]
  const isNothing = (vector: Float32Array): boolean => vector.every((value) => value === 0)
  // A text of which the model knows no word has no direction.
  if (isNothing(a) || isNothing(b)) return isNothing(a) && isNothing(b)
  return dot(a, b) >= MIN_AGREEMENT
}
