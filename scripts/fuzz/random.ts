/** A seeded source of chance: the same seed gives the same frames, so that a finding can be repeated. */
export interface Random {
  /** 0 <= x < 1. */
  next(): number
  /** 0 <= x < below, an integer. */
  below(limit: number): number
  pick<T>(from: readonly T[]): T
  bytes(length: number): Uint8Array
}

/** sfc32, Chris Doty-Humphrey's PractRand generator, seeded by an integer. */
export function seededRandom(seed: number): Random {
  let [a, b, c, counter] = [0x9e3779b9, 0x243f6a88, seed | 0, 1]
  const uint32 = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return sum >>> 0
  }
  // The first outputs still show the seed.
  for (let i = 0; i < 12; i++) uint32()
  const below = (limit: number): number => Math.floor((uint32() / 0x1_0000_0000) * limit)
  return {
    next: () => uint32() / 0x1_0000_0000,
    below,
    pick: (from) => from[below(from.length)] as (typeof from)[number],
    bytes: (length) => Uint8Array.from({ length }, () => uint32() & 0xff)
  }
}
