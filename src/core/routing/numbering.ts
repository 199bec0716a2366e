/** PeerIds that are numbered at most; past it those that nobody uses any more give their numbers back. */
export const MAX_NUMBERED = 16_384

/** PeerIds as small numbers: what the router reckons with. */
export interface Numbering {
  of(id: string): number
  idOf(number: number): string
  /** The same on all nodes: FNV-1a of the PeerId, 32 bits. */
  hashOf(number: number): number
  readonly size: number
}

/** Numbers from 0. @param isUsed asked when there are too many; false: the number may be given to another. */
export function createNumbering(isUsed: (id: string, number: number) => boolean): Numbering {
  const numbers = new Map<string, number>()
  const ids: string[] = []
  const hashes: number[] = []
  const free: number[] = []

  function sweep(): void {
    for (const [id, number] of numbers)
      if (!isUsed(id, number)) {
        numbers.delete(id)
        free.push(number)
      }
  }

  return {
    of(id) {
      const known = numbers.get(id)
      if (known !== undefined) return known
      if (numbers.size >= MAX_NUMBERED && free.length === 0) sweep()
      const number = free.pop() ?? ids.length
      ids[number] = id
      hashes[number] = hash(id)
      numbers.set(id, number)
      return number
    },
    idOf: (number) => ids[number]!,
    hashOf: (number) => hashes[number]!,
    get size() {
      return numbers.size
    }
  }
}

function hash(text: string): number {
  let value = 0x811c9dc5
  for (let n = 0; n < text.length; n++) value = Math.imul(value ^ text.charCodeAt(n), 0x01000193)
  return value >>> 0
}
