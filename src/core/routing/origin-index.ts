/** Origins to slots, as arrays of numbers: a Map keeps a record of several words for each, at another place, and each row that comes is looked up. */
export interface OriginIndex {
  /** The slot of an origin, or -1. */
  get(origin: number): number
  /** Of an origin that has none. */
  set(origin: number, slot: number): void
  delete(origin: number): void
  readonly size: number
}

/** Nobody is at this place. */
const EMPTY = -1

/** An empty one: open addressing, at most half full; a deletion closes the gap (Knuth, volume 3, algorithm 6.4R). */
export function createOriginIndex(): OriginIndex {
  let mask = 15
  /** Origin and slot in turn. */
  let cells = new Int32Array(2 * (mask + 1)).fill(EMPTY)
  let size = 0

  const homeOf = (origin: number): number => (Math.imul(origin, 0x9e3779b1) >>> 15) & mask

  /** Where an origin is, or where it would go. */
  function placeOf(origin: number): number {
    let place = homeOf(origin)
    while (cells[2 * place] !== EMPTY && cells[2 * place] !== origin) place = (place + 1) & mask
    return place
  }

  function grow(): void {
    const old = cells
    mask = 2 * mask + 1
    cells = new Int32Array(2 * (mask + 1)).fill(EMPTY)
    for (let at = 0; at < old.length; at += 2) if (old[at] !== EMPTY) put(placeOf(old[at]!), old[at]!, old[at + 1]!)
  }

  function put(place: number, origin: number, slot: number): void {
    cells[2 * place] = origin
    cells[2 * place + 1] = slot
  }

  return {
    get(origin) {
      const place = placeOf(origin)
      return cells[2 * place] === EMPTY ? -1 : cells[2 * place + 1]!
    },
    set(origin, slot) {
      if (2 * ++size > mask) grow()
      put(placeOf(origin), origin, slot)
    },
    delete(origin) {
      let gap = placeOf(origin)
      if (cells[2 * gap] === EMPTY) return
      size--
      for (let next = (gap + 1) & mask; cells[2 * next] !== EMPTY; next = (next + 1) & mask) {
        // One that would still be found from its home stays: the gap is not between the two.
        if (((next - homeOf(cells[2 * next]!)) & mask) < ((next - gap) & mask)) continue
        put(gap, cells[2 * next]!, cells[2 * next + 1]!)
        gap = next
      }
      put(gap, EMPTY, EMPTY)
    },
    get size() {
      return size
    }
  }
}
