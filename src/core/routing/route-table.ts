import { INFINITE } from './metric.ts'

/** Origins that a table holds at most. */
export const MAX_ORIGINS = 4_096
/** No link. */
export const NO_LINK = -1

/** What a cell of the table is besides its numbers; bits. */
export const CELL = {
  /** Kept though it is not feasible: its neighbour was the next hop when it got worse. */
  held: 1,
  /** The neighbour is to hear of the origin when its link is flushed. */
  dirty: 2,
  /** The neighbour asked for routes to the origin. */
  wanted: 4,
  /** The neighbour waits for a word, also if it is that there is no route. */
  owed: 8
} as const

/**
 * Routes as arrays of numbers: a column per origin ("slot"), and a cell per slot and link. Thousands of nodes fit into one process, and
 * nothing is allocated while routes change. A cell is at `slot * width + link`; arrays are replaced when the table grows, so they are not to be kept.
 */
export interface RouteTable {
  // ---- of a cell: what the neighbour advertised
  metric: Uint32Array
  incarnation: Uint32Array
  sequence: Uint32Array
  hops: Uint8Array
  /** {@link CELL} */
  flags: Uint8Array
  /** Fingerprint of what was last advertised to the neighbour; 0: it has no route from here. */
  sent: Uint32Array
  // ---- of a slot
  origin: Uint32Array
  /** Link to the next hop, or {@link NO_LINK}. */
  selected: Int16Array
  /** Feasible distance: the best that this node ever advertised; its metric is INFINITE if it did not. */
  bestIncarnation: Uint32Array
  bestSequence: Uint32Array
  bestMetric: Uint32Array
  /** Metric and sequence number as neighbours are to know them. */
  toldMetric: Uint32Array
  toldIncarnation: Uint32Array
  toldSequence: Uint32Array
  /** When the last route went, ms; Infinity while there is one. */
  goneAt: Float64Array
  /** Links that there is room for. */
  readonly width: number
  /** Slots in use, and how far they reach. */
  readonly size: number
  readonly end: number
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
  const slots = new Map<number, number>()
  const free: number[] = []
  let height = 8

  const table: RouteTable & { width: number; end: number } = {
    metric: new Uint32Array(),
    incarnation: new Uint32Array(),
    sequence: new Uint32Array(),
    hops: new Uint8Array(),
    flags: new Uint8Array(),
    sent: new Uint32Array(),
    origin: new Uint32Array(height),
    selected: new Int16Array(height),
    bestIncarnation: new Uint32Array(height),
    bestSequence: new Uint32Array(height),
    bestMetric: new Uint32Array(height),
    toldMetric: new Uint32Array(height),
    toldIncarnation: new Uint32Array(height),
    toldSequence: new Uint32Array(height),
    goneAt: new Float64Array(height),
    width: 0,
    end: 0,
    get size() {
      return slots.size
    },
    slot: (origin) => slots.get(origin) ?? -1,
    take(origin) {
      const known = slots.get(origin)
      if (known !== undefined) return known
      if (slots.size >= maxOrigins) return -1
      const slot = free.pop() ?? table.end++
      if (slot >= height) grow(table.width, height * 2)
      slots.set(origin, slot)
      clear(slot)
      table.origin[slot] = origin
      return slot
    },
    release(slot) {
      slots.delete(table.origin[slot]!)
      clear(slot)
      free.push(slot)
    },
    widen(links) {
      if (links > table.width) grow(Math.max(links, table.width * 2), height)
    }
  }
  grow(4, height)

  function clear(slot: number): void {
    const [from, to] = [slot * table.width, (slot + 1) * table.width]
    table.metric.fill(INFINITE, from, to)
    for (const cells of [table.incarnation, table.sequence, table.hops, table.flags, table.sent]) cells.fill(0, from, to)
    for (const column of [table.origin, table.bestIncarnation, table.bestSequence, table.toldIncarnation, table.toldSequence])
      column[slot] = 0
    table.selected[slot] = NO_LINK
    table.bestMetric[slot] = table.toldMetric[slot] = INFINITE
    table.goneAt[slot] = Infinity
  }

  function grow(width: number, newHeight: number): void {
    const oldWidth = table.width
    const cells = <A extends Uint8Array | Uint32Array>(old: A, filling: number): A => {
      const fresh = new (old.constructor as new (length: number) => A)(width * newHeight).fill(filling) as A
      for (let slot = 0; slot < table.end && oldWidth > 0; slot++)
        fresh.set(old.subarray(slot * oldWidth, (slot + 1) * oldWidth), slot * width)
      return fresh
    }
    const column = <A extends Int16Array | Uint32Array | Float64Array>(old: A): A => {
      if (newHeight === height) return old
      const fresh = new (old.constructor as new (length: number) => A)(newHeight)
      fresh.set(old)
      return fresh
    }
    table.metric = cells(table.metric, INFINITE)
    table.incarnation = cells(table.incarnation, 0)
    table.sequence = cells(table.sequence, 0)
    table.hops = cells(table.hops, 0)
    table.flags = cells(table.flags, 0)
    table.sent = cells(table.sent, 0)
    table.origin = column(table.origin)
    table.selected = column(table.selected)
    table.bestIncarnation = column(table.bestIncarnation)
    table.bestSequence = column(table.bestSequence)
    table.bestMetric = column(table.bestMetric)
    table.toldMetric = column(table.toldMetric)
    table.toldIncarnation = column(table.toldIncarnation)
    table.toldSequence = column(table.toldSequence)
    table.goneAt = column(table.goneAt)
    table.width = width
    height = newHeight
  }

  return table
}
