import { dot, dotInt8At, hammingAt, normalised, toInt8, toSigns } from './vectors.ts'

/** How vectors are kept: as floats; in whole numbers of a byte; or in those, and as bits by which the nearest are found before they are compared. */
export const VECTOR_FORMS = ['float', 'int8', 'binary'] as const
/** One of {@link VECTOR_FORMS}. */
export type VectorForm = (typeof VECTOR_FORMS)[number]

/** Of those that are nearest by their bits so many are compared number by number. */
export const RESCORED = 64

/** One that is near. */
export interface Near {
  /** Its place in the table. */
  at: number
  /** Cosine. */
  cosine: number
}

/** Vectors of one model, in one piece of memory. */
export interface VectorTable {
  readonly size: number
  /** Bytes that the vectors take. */
  readonly bytes: number
  /** @param query normalised. */
  cosine(query: Float32Array, at: number): number
  /** The nearest first. @param query normalised. @param among which may be found. Default: all. */
  nearest(query: Float32Array, limit: number, among?: (at: number) => boolean): Near[]
}

/** @param vectors all of one length, which need not be 1. */
export function createVectorTable(vectors: readonly Float32Array[], form: VectorForm): VectorTable {
  const unit = vectors.map(normalised)
  if (form === 'float') return floatTable(unit)
  const whole = int8Table(unit)
  return form === 'int8' ? whole : binaryTable(unit, whole)
}

function floatTable(vectors: readonly Float32Array[]): VectorTable {
  const width = vectors[0]?.length ?? 0
  const all = new Float32Array(vectors.length * width)
  vectors.forEach((vector, at) => all.set(vector, at * width))
  const cosine = (query: Float32Array, at: number): number => dot(query, all, at * width)
  return { size: vectors.length, bytes: all.byteLength, cosine, nearest: scan(vectors.length, cosine) }
}

function int8Table(vectors: readonly Float32Array[]): VectorTable {
  const width = vectors[0]?.length ?? 0
  const all = new Int8Array(vectors.length * width)
  const scales = new Float32Array(vectors.length)
  vectors.forEach((vector, at) => {
    const { scale, values } = toInt8(vector)
    all.set(values, at * width)
    scales[at] = scale
  })
  const cosine = (query: Float32Array, at: number): number => dotInt8At(query, all, at * width) * scales[at]!
  return { size: vectors.length, bytes: all.byteLength + scales.byteLength, cosine, nearest: scan(vectors.length, cosine) }
}

/** The bits say who may be near, a hundred times as fast; the numbers, who is. */
function binaryTable(vectors: readonly Float32Array[], whole: VectorTable): VectorTable {
  const mean = meanOf(vectors)
  const words = Math.ceil(mean.length / 32)
  const all = new Uint32Array(vectors.length * words)
  vectors.forEach((vector, at) => all.set(toSigns(vector, mean), at * words))
  return {
    ...whole,
    bytes: whole.bytes + all.byteLength,
    nearest(query, limit, among) {
      const signs = toSigns(query, mean)
      const alike = (_: Float32Array, at: number): number => -hammingAt(signs, all, at * words)
      const near = scan(vectors.length, alike)(query, Math.max(RESCORED, limit), among)
      const exact = near.map(({ at }) => ({ at, cosine: whole.cosine(query, at) }))
      return exact.sort((a, b) => b.cosine - a.cosine || a.at - b.at).slice(0, limit)
    }
  }
}

function meanOf(vectors: readonly Float32Array[]): Float32Array {
  const mean = new Float32Array(vectors[0]?.length ?? 0)
  for (const vector of vectors) vector.forEach((value, n) => (mean[n]! += value / vectors.length))
  return mean
}

/** All are looked at: exact, and for as many as a mesh has as fast as any index. */
function scan(size: number, likeness: (query: Float32Array, at: number) => number): VectorTable['nearest'] {
  return (query, limit, among = () => true) => {
    const near: Near[] = []
    for (let at = 0; at < size; at++) {
      if (!among(at)) continue
      const cosine = likeness(query, at)
      if (near.length === limit && cosine <= (near.at(-1)?.cosine ?? Infinity)) continue
      let place = near.length
      while (place > 0 && near[place - 1]!.cosine < cosine) place--
      near.splice(place, 0, { at, cosine })
      if (near.length > limit) near.pop()
    }
    return near
  }
}
