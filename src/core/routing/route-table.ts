import { INFINITE } from './metric.ts'
import { createOriginIndex } from './origin-index.ts'

/** Origins that a table holds at most. */
export const MAX_ORIGINS = 4_096
/** No link. */
export const NO_LINK = -1

/** Words at the beginning of a slot: of an origin, whatever neighbour the route is of. */
export const SLOT = {
  /** The origin; {@link FREE} where there is none. */
  origin: 0,
  /** Link to the next hop, and one; 0: there is none. See `selected` of {@link RouteTable}. */
  selected: 1,
  /** Feasible distance: the best that this node ever advertised; its metric is INFINITE if it did not. */
  bestMetric: 2,
  bestIncarnation: 3,
  bestSequence: 4,
  /** Metric and sequence number as neighbours are to know them. */
  toldMetric: 5,
  toldIncarnation: 6,
  toldSequence: 7,
  /** 1 if the origin is among the nearest of one of its types. */
  isNear: 8,
  /** 1 if neighbours are to hear of it with the next flush. */
  isDirty: 9
} as const
const SLOT_WORDS = 10

/** Words of a cell: what the neighbour of a link advertised, and what it was told. */
export const CELL = {
  metric: 0,
  incarnation: 1,
  sequence: 2,
  hops: 3,
  /** 1 if it is kept though it is not feasible: its neighbour was the next hop when it got worse. */
  isHeld: 4,
  /** Fingerprint of what was last advertised to the neighbour; 0: it has no route from here. */
  sent: 5
} as const
const CELL_WORDS = 6

/** In place of an origin: the slot is free. */
const FREE = 0xffff_ffff

/**
 * Routes as one array of numbers: a record per origin ("slot"), its words first and then a cell for each link. What is looked at together lies together, so
 * that thousands of nodes fit into one process and its caches, and nothing is allocated while routes change. The array is replaced when the table
 * grows, so it is not to be kept.
 */
export interface RouteTable {
  /** {@link SLOT} at `slotAt`, {@link CELL} at `cellAt`. */
  words: Uint32Array
  /** By slot: when the last route went, ms; Infinity while there is one. */
  goneAt: Float64Array
  /** Slots at most. */
  readonly maxOrigins: number
  /** Slots in use, and how far they reach. */
  readonly size: number
  readonly end: number
  /** Where the words of a slot begin, and those of its cell for a link. */
  slotAt(slot: number): number
  cellAt(slot: number, link: number): number
  /** False for a slot that is free. */
  isUsed(slot: number): boolean
  /** Link to the next hop, or {@link NO_LINK}. */
  selected(slot: number): number
  select(slot: number, link: number): void
  /** The slot of an origin, or -1. */
  slot(origin: number): number
  /** A slot for an origin; -1 if the table is full. */
  take(origin: number): number
  release(slot: number): void
  /** Makes room for links with indexes below `links`. */
  widen(links: number): void
}

/** @param maxOrigins slots at most. */
export function createRouteTable(maxOrigins = MAX_ORIGINS): RouteTable {
  const slots = createOriginIndex()
  const free: number[] = []
  let height = 8
  let width = 4
  /** Words of a slot and its cells. */
  let record = SLOT_WORDS + width * CELL_WORDS

  const table: RouteTable & { end: number } = {
    words: new Uint32Array(height * record),
    goneAt: new Float64Array(height),
    maxOrigins,
    end: 0,
    get size() {
      return slots.size
    },
    slotAt: (slot) => slot * record,
    cellAt: (slot, link) => slot * record + SLOT_WORDS + link * CELL_WORDS,
    isUsed: (slot) => table.words[slot * record + SLOT.origin] !== FREE,
    selected: (slot) => table.words[slot * record + SLOT.selected]! - 1,
    select: (slot, link) => (table.words[slot * record + SLOT.selected] = link + 1),
    slot: (origin) => slots.get(origin),
    take(origin) {
      const known = slots.get(origin)
      if (known >= 0) return known
      if (slots.size >= maxOrigins) return -1
      const slot = free.pop() ?? table.end++
      if (slot >= height) grow(width, Math.min(maxOrigins, Math.ceil(height * (height < 64 ? 2 : 1.5))))
      slots.set(origin, slot)
      clear(slot, origin)
      return slot
    },
    release(slot) {
      slots.delete(table.words[slot * record + SLOT.origin]!)
      clear(slot, FREE)
      free.push(slot)
    },
    widen(links) {
      if (links > width) grow(Math.max(links, Math.ceil(width * 1.25)), height)
    }
  }

  function clear(slot: number, origin: number): void {
    const { words } = table
    const at = slot * record
    words.fill(0, at, at + record)
    words[at + SLOT.origin] = origin
    words[at + SLOT.bestMetric] = words[at + SLOT.toldMetric] = INFINITE
    clearCells(words, slot, 0)
    table.goneAt[slot] = Infinity
  }

  function clearCells(words: Uint32Array, slot: number, from: number): void {
    for (let link = from; link < width; link++) words[table.cellAt(slot, link) + CELL.metric] = INFINITE
  }

  function grow(newWidth: number, newHeight: number): void {
    const [old, oldWidth, oldRecord] = [table.words, width, record]
    width = newWidth
    record = SLOT_WORDS + width * CELL_WORDS
    const words = new Uint32Array(newHeight * record)
    for (let slot = 0; slot < table.end && slot < height; slot++) {
      words.set(old.subarray(slot * oldRecord, (slot + 1) * oldRecord), slot * record)
      clearCells(words, slot, oldWidth)
    }
    table.words = words
    if (newHeight === height) return
    const goneAt = new Float64Array(newHeight)
    goneAt.set(table.goneAt)
    table.goneAt = goneAt
    height = newHeight
  }

  return table
}
