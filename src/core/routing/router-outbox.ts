import { INFINITE, MAX_HOPS } from './metric.ts'
import { CELL, NO_LINK } from './route-table.ts'
import { MAX_ROWS_PER_LINK, totalOf, type RouterLink } from './router-links.ts'
import type { RouteRow, RowsDigest } from './router-messages.ts'
import { cellOf, isUsed, type RoutingState } from './routing-state.ts'
import { compareSequence } from './sequence.ts'

/** What changes is told together, after this time on average, ms; half of it is chance, so that neighbours do not speak at once. */
export const TELL_AFTER_MS = 50
/** A lost route or another next hop is told after this time, ms. */
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
  isTold(origin: number): boolean
}

/** See {@link RouterOutbox}. */
export function createRouterOutbox({ state, random, hashOf, own, isTold }: RouterOutboxInit): RouterOutbox {
  const { table, links } = state
  let nextAt = Infinity

  function schedule(link: RouterLink, at: number): void {
    if (at < link.flushAt) link.flushAt = at
    if (at < nextAt) nextAt = at
  }

  function isWanted(link: RouterLink, slot: number): boolean {
    const origin = table.origin[slot]!
    return link.wantsAll ? isTold(origin) && origin !== link.node : link.wants.has(origin)
  }

  function mark(link: RouterLink, slot: number): void {
    const at = cellOf(state, slot, link.index)
    if ((table.flags[at]! & CELL.dirty) !== 0) return
    table.flags[at]! |= CELL.dirty
    link.dirty.push(slot)
  }

  /** What a neighbour is to hear of an origin: the route, unless it leads through itself. */
  function rowFor(link: RouterLink, slot: number): RouteRow {
    const origin = table.origin[slot]!
    const via = table.selected[slot]!
    const next = via === NO_LINK || via === link.index ? undefined : links[via]
    const at = slot * table.width + via
    const hops = next === undefined ? 0 : table.hops[at]! + 1
    const metric = next === undefined || hops >= MAX_HOPS ? INFINITE : totalOf(next, origin, table.metric[at]!)
    if (metric === INFINITE) return { origin, incarnation: 0, sequence: 0, metric, hops: 0 }
    return { origin, incarnation: table.incarnation[at]!, sequence: table.sequence[at]!, metric, hops }
  }

  /** A row that goes out now. RFC 8966, 3.7.3: the feasible distance never gets worse for a sequence number. */
  function send(link: RouterLink, slot: number, row: RouteRow): void {
    const at = cellOf(state, slot, link.index)
    setSent(link, at, fingerprint(row))
    if (row.metric === INFINITE) return
    const order =
      table.bestMetric[slot] === INFINITE
        ? 1
        : compareSequence(row.incarnation, row.sequence, table.bestIncarnation[slot]!, table.bestSequence[slot]!)
    if (order < 0 || (order === 0 && row.metric >= table.bestMetric[slot]!)) return
    table.bestIncarnation[slot] = row.incarnation
    table.bestSequence[slot] = row.sequence
    table.bestMetric[slot] = row.metric
  }

  function setSent(link: RouterLink, at: number, print: number): void {
    const before = table.sent[at]!
    link.digest = (link.digest ^ before ^ print) >>> 0
    link.sent += Number(print !== 0) - Number(before !== 0)
    table.sent[at] = print
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

  function flushLink(link: RouterLink): void {
    const { dirty } = link
    const rows: RouteRow[] = link.ownDue ? [own()] : []
    link.ownDue = false
    link.flushAt = Infinity
    link.dirty = []
    for (const slot of dirty) {
      const at = cellOf(state, slot, link.index)
      table.flags[at]! &= ~CELL.dirty
      if (!isUsed(state, slot)) continue
      const row = isWanted(link, slot) ? rowFor(link, slot) : retraction(table.origin[slot]!)
      if (fingerprint(row) === table.sent[at]) continue
      rows.push(row)
      send(link, slot, row)
    }
    if (rows.length > 0) state.effects.push({ kind: 'update', link: link.index, rows, full: false })
    if (link.sent > 0 && link.digestAt === Infinity) link.digestAt = state.now + DIGEST_EVERY_MS * (0.75 + random() / 2)
  }

  function tellDigest(link: RouterLink): void {
    if (link.digestAt > state.now) return
    link.digestAt = link.sent > 0 ? state.now + DIGEST_EVERY_MS * (0.75 + random() / 2) : Infinity
    if (link.sent > 0) state.effects.push({ kind: 'digest', link: link.index, digest: link.digest, count: link.sent })
  }

  return {
    tell(slot, urgent) {
      for (const link of links) {
        if (link === undefined || (table.sent[cellOf(state, slot, link.index)] === 0 && !isWanted(link, slot))) continue
        mark(link, slot)
        schedule(link, state.now + (urgent ? TELL_URGENT_AFTER_MS : TELL_AFTER_MS * (0.5 + random())))
      }
    },
    tellOwn(link) {
      link.ownDue = true
      schedule(link, state.now)
    },
    answer(link, origins) {
      const rows = origins.map((origin) => {
        const slot = table.slot(origin)
        if (slot < 0) return retraction(origin)
        const row = rowFor(link, slot)
        send(link, slot, row)
        return row
      })
      if (rows.length > 0) state.effects.push({ kind: 'update', link: link.index, rows, full: false })
      schedule(link, state.now)
    },
    wants(link, { all, add, drop }) {
      if (all !== undefined) {
        link.wantsAll = all
        link.wants.clear()
        for (let slot = 0; all && slot < table.end; slot++) if (isUsed(state, slot) && isWanted(link, slot)) mark(link, slot)
        schedule(link, state.now)
      }
      const fresh = add.filter((origin) => {
        if (link.wants.size >= MAX_ROWS_PER_LINK) return false
        // Of itself a neighbour hears in any case.
        return origin !== link.node && origin !== own().origin && link.wants.add(origin)
      })
      const isToBeAnswered = (origin: number): boolean => {
        const slot = table.slot(origin)
        if (link.unwanted.delete(origin) || link.unwanted.size >= MAX_ROWS_PER_LINK) return true
        return slot >= 0 && table.selected[slot] !== NO_LINK
      }
      this.answer(link, fresh.filter(isToBeAnswered))
      for (const origin of drop) {
        const slot = table.slot(origin)
        if (!link.wants.delete(origin) || slot < 0) continue
        const at = cellOf(state, slot, link.index)
        // Past so many, all that it wants is answered.
        if (table.sent[at] !== 0 && link.unwanted.size < MAX_ROWS_PER_LINK) link.unwanted.add(origin)
        setSent(link, at, 0)
      }
    },
    retract(slot) {
      for (const link of links) {
        if (link === undefined || table.sent[cellOf(state, slot, link.index)] === 0) continue
        const row = retraction(table.origin[slot]!)
        send(link, slot, row)
        state.effects.push({ kind: 'update', link: link.index, rows: [row], full: false })
      }
    },
    compare(link, theirs) {
      let [digest, count] = [0, 0]
      for (let slot = 0; slot < table.end; slot++) {
        const at = cellOf(state, slot, link.index)
        const origin = table.origin[slot]!
        if (table.metric[at] === INFINITE || table.slot(origin) !== slot || origin === link.node) continue
        const row = { origin, incarnation: table.incarnation[at]!, sequence: table.sequence[at]!, metric: table.metric[at]! }
        digest = (digest ^ fingerprint(row)) >>> 0
        count++
      }
      if (digest !== theirs.digest || count !== theirs.count) state.effects.push({ kind: 'dump', link: link.index })
    },
    dump(link) {
      const rows: RouteRow[] = []
      for (let slot = 0; slot < table.end; slot++) {
        if (!isUsed(state, slot)) continue
        const row = isWanted(link, slot) ? rowFor(link, slot) : retraction(table.origin[slot]!)
        if (row.metric !== INFINITE) rows.push(row)
        send(link, slot, row)
      }
      state.effects.push({ kind: 'update', link: link.index, rows, full: true })
      schedule(link, state.now)
    },
    flush() {
      if (state.now < nextAt) return
      nextAt = Infinity
      for (const link of links) {
        if (link === undefined) continue
        if (link.flushAt <= state.now) flushLink(link)
        tellDigest(link)
        nextAt = Math.min(nextAt, link.flushAt, link.digestAt)
      }
    },
    get nextAt() {
      return nextAt
    }
  }
}

const retraction = (origin: number): RouteRow => ({ origin, incarnation: 0, sequence: 0, metric: INFINITE, hops: 0 })

const FNV_PRIME = 0x01000193
