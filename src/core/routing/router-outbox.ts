import { INFINITE, MAX_HOPS } from './metric.ts'
import { CELL, NO_LINK, SLOT } from './route-table.ts'
import { MAX_ROWS_PER_LINK, totalOf, type RouterLink } from './router-links.ts'
import type { RouteRow, RowsDigest } from './router-messages.ts'
import type { RoutingState } from './routing-state.ts'
import { compareSequence } from './sequence.ts'

/** What changes is told together, after this time on average, ms; half of it is chance, so that neighbours do not speak at once. */
export const TELL_AFTER_MS = 50
/** A lost route or another next hop is told at once, but this long after the last time that something was told, ms. */
export const TELL_URGENT_AFTER_MS = 12
/** Digests are told this often to who has routes from here, ms. */
export const DIGEST_EVERY_MS = 30_000

/** What goes to neighbours, and when. Feasible distances change here alone: when a row is sent. */
export interface RouterOutbox {
  /** Something has changed about an origin. */
  tell(slot: number, urgent: boolean): void
  /** The own row goes to a neighbour with the next flush, which is now. */
  tellOwn(link: RouterLink): void
  /** Answers at once what is known of these, also if that is nothing. */
  answer(link: RouterLink, origins: readonly number[]): void
  wants(link: RouterLink, wants: { all?: boolean; add: readonly number[]; drop: readonly number[] }): void
  /** An origin is forgotten: whoever has a route from here is told now. */
  retract(slot: number): void
  /** Compares what a neighbour says that this node has from it. */
  compare(link: RouterLink, theirs: RowsDigest): void
  dump(link: RouterLink): void
  /** Sends what is due. */
  flush(): void
  readonly nextAt: number
}

/** What it is given. */
export interface RouterOutboxInit {
  state: RoutingState
  random: () => number
  /** What both ends of a link call an origin, for digests. */
  hashOf(origin: number): number
  own(): RouteRow
  /** True if who wants all is to hear of an origin. */
  isTold(slot: number): boolean
}

/** See {@link RouterOutbox}. */
export function createRouterOutbox({ state, random, hashOf, own, isTold }: RouterOutboxInit): RouterOutbox {
  const { table, links } = state
  /** Slots that neighbours are to hear of at `flushAt`. */
  let dirty: number[] = []
  let flushAt = Infinity
  let flushedAt = -Infinity
  let nextAt = Infinity

  function schedule(at: number): void {
    if (at < flushAt) flushAt = at
    if (at < nextAt) nextAt = at
  }

  const originOf = (slot: number): number => table.words[table.slotAt(slot) + SLOT.origin]!
  const sentOf = (slot: number, link: RouterLink): number => table.words[table.cellAt(slot, link.index) + CELL.sent]!

  function isWanted(link: RouterLink, slot: number): boolean {
    const origin = originOf(slot)
    return link.wantsAll ? isTold(slot) && origin !== link.node : link.wants.has(origin)
  }

  /** The route to an origin, as others are told it. */
  function routeRow(slot: number): RouteRow {
    const { words } = table
    const origin = originOf(slot)
    const via = table.selected(slot)
    const next = via === NO_LINK ? undefined : links[via]
    if (next === undefined) return retraction(origin)
    const at = table.cellAt(slot, via)
    const hops = words[at + CELL.hops]! + 1
    const metric = hops >= MAX_HOPS ? INFINITE : totalOf(next, origin, words[at + CELL.metric]!)
    if (metric === INFINITE) return retraction(origin)
    return { origin, incarnation: words[at + CELL.incarnation]!, sequence: words[at + CELL.sequence]!, metric, hops }
  }

  /** What a neighbour is to hear of an origin: the route, unless it leads through itself. */
  const rowFor = (link: RouterLink, slot: number): RouteRow =>
    table.selected(slot) === link.index ? retraction(originOf(slot)) : routeRow(slot)

  /** A row that goes out now. RFC 8966, 3.7.3: the feasible distance never gets worse for a sequence number. */
  function send(link: RouterLink, slot: number, row: RouteRow, print = fingerprint(row)): void {
    const { words } = table
    setSent(link, table.cellAt(slot, link.index), print)
    if (row.metric === INFINITE) return
    const own = table.slotAt(slot)
    const best = words[own + SLOT.bestMetric]!
    const order =
      best === INFINITE
        ? 1
        : compareSequence(row.incarnation, row.sequence, words[own + SLOT.bestIncarnation]!, words[own + SLOT.bestSequence]!)
    if (order < 0 || (order === 0 && row.metric >= best)) return
    words[own + SLOT.bestIncarnation] = row.incarnation
    words[own + SLOT.bestSequence] = row.sequence
    words[own + SLOT.bestMetric] = row.metric
  }

  function setSent(link: RouterLink, at: number, print: number): void {
    const before = table.words[at + CELL.sent]!
    link.digest = (link.digest ^ before ^ print) >>> 0
    link.sent += Number(print !== 0) - Number(before !== 0)
    table.words[at + CELL.sent] = print
  }

  /** FNV-1a over the numbers of a row; 0 for a retraction, and only for that. */
  function fingerprint({ origin, incarnation, sequence, metric }: Omit<RouteRow, 'hops'>): number {
    if (metric === INFINITE) return 0
    let hash = Math.imul(0x811c9dc5 ^ hashOf(origin), FNV_PRIME)
    hash = Math.imul(hash ^ incarnation, FNV_PRIME)
    hash = Math.imul(hash ^ sequence, FNV_PRIME)
    hash = Math.imul(hash ^ metric, FNV_PRIME)
    return (hash ^ (hash >>> 15)) >>> 0 || 1
  }

  /** Tells each neighbour what it is to hear of the slots. */
  function flushRows(slots: readonly number[]): void {
    const told: RouteRow[][] = []
    for (const slot of slots) {
      table.words[table.slotAt(slot) + SLOT.isDirty] = 0
      if (!table.isUsed(slot)) continue
      const row = routeRow(slot)
      const print = fingerprint(row)
      let none = print === 0 ? row : undefined
      for (const link of links) {
        if (link === undefined) continue
        const before = sentOf(slot, link)
        const isNone = print === 0 || table.selected(slot) === link.index || !isWanted(link, slot)
        if (isNone ? before === 0 : before === print) continue
        const its = isNone ? (none ??= retraction(row.origin)) : row
        send(link, slot, its, isNone ? 0 : print)
        ;(told[link.index] ??= []).push(its)
        flushedAt = state.now
      }
    }
    for (const link of links) {
      if (link === undefined) continue
      const rows = told[link.index] ?? []
      if (link.ownDue) rows.unshift(own())
      link.ownDue = false
      if (rows.length > 0) update(link, rows, false)
    }
  }

  /** To who has just begun to want all: in one go. */
  function tellAll(link: RouterLink): void {
    const rows: RouteRow[] = []
    for (let slot = 0; slot < table.end; slot++) {
      const row = table.isUsed(slot) && isWanted(link, slot) ? rowFor(link, slot) : undefined
      if (row === undefined || fingerprint(row) === sentOf(slot, link)) continue
      rows.push(row)
      send(link, slot, row)
    }
    if (rows.length > 0) update(link, rows, false)
  }

  function update(link: RouterLink, rows: RouteRow[], full: boolean): void {
    state.effects.push({ kind: 'update', link: link.index, rows, full })
    if (link.sent === 0 || link.digestAt !== Infinity) return
    link.digestAt = state.now + DIGEST_EVERY_MS * (0.75 + random() / 2)
    if (link.digestAt < nextAt) nextAt = link.digestAt
  }

  function tellDigest(link: RouterLink): void {
    if (link.digestAt > state.now) return
    link.digestAt = link.sent > 0 ? state.now + DIGEST_EVERY_MS * (0.75 + random() / 2) : Infinity
    if (link.sent > 0) state.effects.push({ kind: 'digest', link: link.index, digest: link.digest, count: link.sent })
  }

  return {
    tell(slot, urgent) {
      if (urgent) schedule(Math.max(state.now, flushedAt + TELL_URGENT_AFTER_MS))
      else if (flushAt === Infinity) schedule(state.now + TELL_AFTER_MS * (0.5 + random()))
      const at = table.slotAt(slot) + SLOT.isDirty
      if (table.words[at] === 1) return
      table.words[at] = 1
      dirty.push(slot)
    },
    tellOwn(link) {
      link.ownDue = true
      schedule(state.now)
    },
    answer(link, origins) {
      const rows = origins.map((origin) => {
        const slot = table.slot(origin)
        if (slot < 0) return retraction(origin)
        const row = rowFor(link, slot)
        send(link, slot, row)
        return row
      })
      if (rows.length > 0) update(link, rows, false)
    },
    wants(link, { all, add, drop }) {
      if (all !== undefined) {
        link.wantsAll = all
        link.wants.clear()
        if (all) tellAll(link)
      }
      const fresh = add.filter((origin) => {
        if (link.wants.size >= MAX_ROWS_PER_LINK) return false
        // Of itself a neighbour hears in any case.
        return origin !== link.node && origin !== own().origin && link.wants.add(origin)
      })
      const isToBeAnswered = (origin: number): boolean => {
        const slot = table.slot(origin)
        if (link.unwanted.delete(origin) || link.unwanted.size >= MAX_ROWS_PER_LINK) return true
        return slot >= 0 && table.selected(slot) !== NO_LINK
      }
      this.answer(link, fresh.filter(isToBeAnswered))
      for (const origin of drop) {
        const slot = table.slot(origin)
        if (!link.wants.delete(origin) || slot < 0) continue
        // Past so many, all that it wants is answered.
        if (sentOf(slot, link) !== 0 && link.unwanted.size < MAX_ROWS_PER_LINK) link.unwanted.add(origin)
        setSent(link, table.cellAt(slot, link.index), 0)
      }
    },
    retract(slot) {
      for (const link of links) {
        if (link === undefined || sentOf(slot, link) === 0) continue
        const row = retraction(originOf(slot))
        send(link, slot, row)
        update(link, [row], false)
      }
    },
    compare(link, theirs) {
      let [digest, count] = [0, 0]
      for (let slot = 0; slot < table.end; slot++) {
        const { words } = table
        const [at, origin] = [table.cellAt(slot, link.index), originOf(slot)]
        const metric = words[at + CELL.metric]!
        if (metric === INFINITE || !table.isUsed(slot) || origin === link.node) continue
        const row = { origin, incarnation: words[at + CELL.incarnation]!, sequence: words[at + CELL.sequence]!, metric }
        digest = (digest ^ fingerprint(row)) >>> 0
        count++
      }
      if (digest !== theirs.digest || count !== theirs.count) state.effects.push({ kind: 'dump', link: link.index })
    },
    dump(link) {
      const rows: RouteRow[] = []
      for (let slot = 0; slot < table.end; slot++) {
        if (!table.isUsed(slot)) continue
        const row = isWanted(link, slot) ? rowFor(link, slot) : retraction(originOf(slot))
        if (row.metric !== INFINITE) rows.push(row)
        send(link, slot, row)
      }
      update(link, rows, true)
    },
    flush() {
      if (state.now < nextAt) return
      if (flushAt <= state.now) {
        const slots = dirty
        dirty = []
        flushAt = Infinity
        flushRows(slots)
      }
      nextAt = flushAt
      for (const link of links) {
        if (link === undefined) continue
        tellDigest(link)
        if (link.digestAt < nextAt) nextAt = link.digestAt
      }
    },
    get nextAt() {
      return nextAt
    }
  }
}

const retraction = (origin: number): RouteRow => ({ origin, incarnation: 0, sequence: 0, metric: INFINITE, hops: 0 })

const FNV_PRIME = 0x01000193
