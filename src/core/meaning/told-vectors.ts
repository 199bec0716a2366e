/** What is believed of vectors that another node tells of its own texts. Pure: chance is passed in. */
import type { Embedded } from './embedder.ts'
import { dot, normalised } from './vectors.ts'

/** Of so many texts that a node tells at once one is embedded here as well, before any is taken. */
export const TEXTS_PER_SAMPLE = 16
/** Least cosine of two vectors of one text by one model: whole numbers of a byte cost less than 0.001, other kernels and kinds of floats the rest. */
export const MIN_AGREEMENT = 0.99

/**
 * Which of them are embedded here as well: one of {@link TEXTS_PER_SAMPLE}, at least one. That keeps out another model of the same name, and who lies about much; who lies
 * about little is found out when it matters: all texts of what has a part in an answer are made here then.
 * @param random uniform in [0, 1). It has to be chosen once the vectors are there.
 */
export function sampleOf<T>(told: readonly T[], random: () => number): T[] {
  const left = [...told]
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
