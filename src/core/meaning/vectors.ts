/** A vector in whole numbers from -127 to 127, in units of its own scale: a quarter of the size of floats, and as good within a fraction of a point. */
export interface Int8Vector {
  scale: number
  values: Int8Array
}

/** Of the same length, 1; all zeros stay. */
export function normalised(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, vector))
  return length === 0 ? vector : vector.map((value) => value / length)
}

/** The normalised mean of several of one length. */
export function centroidOf(vectors: readonly Float32Array[]): Float32Array {
  const sum = new Float32Array(vectors[0]?.length ?? 0)
  for (const vector of vectors) normalised(vector).forEach((value, n) => (sum[n]! += value))
  return normalised(sum)
}

/** One scale for each vector: scales for each dimension would have to be known to whoever compares. */
export function toInt8(vector: Float32Array): Int8Vector {
  const most = vector.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
  const scale = most === 0 ? 1 : most / 127
  return { scale, values: Int8Array.from(vector, (value) => Math.round(value / scale)) }
}

/** The numbers of a vector in whole numbers. */
export function fromInt8({ scale, values }: Int8Vector): Float32Array {
  return Float32Array.from(values, (value) => value * scale)
}

/** The dot product of a vector and the one that begins at a place of many. */
export function dot(query: Float32Array, many: Float32Array, from = 0): number {
  let sum = 0
  for (let n = 0; n < query.length; n++) sum += query[n]! * many[from + n]!
  return sum
}

/** The dot product of a vector and the one in whole numbers that begins at a place of many, in units of its scale. */
export function dotInt8At(query: Float32Array, many: Int8Array, from: number): number {
  let sum = 0
  for (let n = 0; n < query.length; n++) sum += query[n]! * many[from + n]!
  return sum
}

/** The dot product of a vector and one in whole numbers. */
export function dotInt8(query: Float32Array, { scale, values }: Int8Vector): number {
  return dotInt8At(query, values, 0) * scale
}

/** One bit for each number: whether it is above that of the mean. 32 in each word. */
export function toSigns(vector: Float32Array, mean: Float32Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(vector.length / 32))
  for (let n = 0; n < vector.length; n++) if (vector[n]! > mean[n]!) words[n >>> 5]! |= 1 << (n & 31)
  return words
}

/** In how many bits two differ. */
export function hamming(a: Uint32Array, b: Uint32Array): number {
  return hammingAt(a, b, 0)
}

/** In how many bits one and that which begins at a place of many differ. */
export function hammingAt(signs: Uint32Array, many: Uint32Array, from: number): number {
  let count = 0
  for (let n = 0; n < signs.length; n++) count += bitsOf((signs[n]! ^ many[from + n]!) >>> 0)
  return count
}

/** Bits that are set in a word (Warren, "Hacker's Delight", 5-1). */
function bitsOf(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555)
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333)
  return (((fours + (fours >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24
}
