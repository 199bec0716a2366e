import { INFINITE, MAX_HOPS, MIN_COST } from './metric.ts'
import { NEAREST_PER_TYPE } from './nearest.ts'
import { CELL, MAX_ORIGINS, NO_LINK, SLOT, createRouteTable } from './route-table.ts'
import { createRouteOrigins } from './route-origins.ts'
import { createRouteSelection, isFeasible } from './route-selection.ts'
import { MAX_BLAMED, MAX_ROWS_PER_LINK, createRouterLink, totalOf, type RouterLink } from './router-links.ts'
import type { Route, RouteRow, RouterEffect, RouterEvent } from './router-messages.ts'
import { createRouterOutbox } from './router-outbox.ts'
import type { RoutingState } from './routing-state.ts'
import { createSequenceDesk } from './sequence-desk.ts'
import type { SequenceNumber } from './sequence.ts'

/** What a router is given. */
export interface RouterInit {
  /** This node, as an origin. */
  self: number
  /** Its first sequence number; newer than any that it has used. */
  sequence: SequenceNumber
  /** Metric of its own row: the cost class of the node, never its load. Default 0. */
  seed?: number
  /** From 0 to under 1. */
  random: () => number
  /** A number that both ends of a link have for an origin, for digests: 32 bits. Default: the number of the origin itself. */
  hashOf?: (origin: number) => number
  maxOrigins?: number
  /** Rows that are told to a neighbour that wants all; past it the nearest of each type. Default {@link MAX_ROWS_PER_LINK}. */
  maxTold?: number
  /** How many of each type those are. Default {@link NEAREST_PER_TYPE}. */
  nearestPerType?: number
}

/** See {@link createRouter}. */
export interface Router {
  /** Takes an event at a monotonic time in ms, and says what to do. Deterministic. */
  step(event: RouterEvent, now: number): RouterEffect[]
  /** When it wants a tick, ms; Infinity: not by itself. */
  readonly wakeAt: number
  /** The selected route to an origin. */
  route(origin: number): Route | undefined
  routes(): Route[]
  /** Own sequence number. */
  readonly sequence: SequenceNumber
  /** Feasible distance of an origin, for invariants: the best that was ever advertised. */
  feasibleDistance(origin: number): (SequenceNumber & { metric: number }) | undefined
  /** True if it knows something of an origin. */
  has(origin: number): boolean
  /** Origins in the table. */
  readonly size: number
}

/**
 * Routes to nodes that cannot be reached directly: a distance vector that is free of loops at every instant, after Babel (RFC 8966).
 *
 * Invariant: order pairs (sequence number, metric) by newer, then by smaller. For each node v with next hop u to an origin, the feasible distance
 * of u is before that of v. On selection v took (s, d) before fd(v), and fd(u) is at least as good as anything that u advertised. Later
 * fd(u) only gets better; fd(v) gets better only when v sends (s, d + c), with c > 0, of a route through the same u. So feasible
 * distances fall along each chain of next hops, and no chain comes back to where it began.
 * It holds along sessions that are there at both ends. A node that has restarted has forgotten its feasible distances, and a neighbour that has not noticed
 * yet still has it as a next hop; but that hop is the session of a former life, over which nothing arrives any more, and with the session its rows go.
 * For the same reason an origin that made room for another is remembered as long as a neighbour could still have a route from here.
 *
 * What differs from RFC 8966: a next hop that gets worse is kept (`held`) while a new sequence number is asked for, which the invariant allows; links are
 * reliable and ordered, so nothing is repeated; neighbours hear only of the origins that they want. See docs/adr/0013-routing.md.
 */
export function createRouter(init: RouterInit): Router {
  const { self, random, hashOf = (origin) => origin, maxOrigins = MAX_ORIGINS, maxTold = MAX_ROWS_PER_LINK } = init
  const { nearestPerType = NEAREST_PER_TYPE } = init
  let seed = init.seed ?? 0
  const state: RoutingState = { table: createRouteTable(maxOrigins), links: [], now: 0, effects: [] }
  const { table, links } = state
  const outbox = createRouterOutbox({
    state,
    random,
    hashOf,
    own: () => ({ origin: self, ...desk.own, metric: seed, hops: 0 }),
    isTold: (slot) => selection.isTold(slot)
  })
  const desk = createSequenceDesk(state, outbox, self, init.sequence, (slot) => selection.isWorthAsking(slot))
  const selection = createRouteSelection({ state, outbox, desk, maxTold, nearestPerType, onGone: () => origins.onGone() })
  const origins = createRouteOrigins(state, selection, outbox)

  const metricOf = (slot: number, link: RouterLink): number => table.words[table.cellAt(slot, link.index) + CELL.metric]!
  const originOf = (slot: number): number => table.words[table.slotAt(slot) + SLOT.origin]!

  // ---- rows ----------------------------------------------------------------------------------
  function onRows(link: RouterLink, rows: readonly RouteRow[], full: boolean): void {
    if (!full) {
      for (const row of rows) onRow(link, row)
      return
    }
    const missing = new Set<number>()
    for (let slot = 0; slot < table.end; slot++) if (metricOf(slot, link) !== INFINITE) missing.add(originOf(slot))
    for (const row of rows) {
      onRow(link, row)
      missing.delete(row.origin)
    }
    missing.delete(link.node)
    for (const origin of missing) onRow(link, { origin, incarnation: 0, sequence: 0, metric: INFINITE, hops: 0 })
  }

  function onRow(link: RouterLink, row: RouteRow): void {
    const { origin } = row
    // Of a life that this node has forgotten, as when its files were put back.
    if (origin === self) return desk.outbid(row)
    const isOwn = origin === link.node
    const metric = isPlausible(row, isOwn) ? row.metric : INFINITE
    let slot = table.slot(origin)
    if (slot < 0) {
      if (metric === INFINITE) return
      slot = origins.take(origin, totalOf(link, origin, metric), isOwn)
      if (slot < 0) return
    }
    const { words } = table
    const at = table.cellAt(slot, link.index)
    const had = words[at + CELL.metric] !== INFINITE
    if (!had && metric !== INFINITE && !isOwn && link.rows >= MAX_ROWS_PER_LINK) return
    link.rows += Number(metric !== INFINITE) - Number(had)
    const isSame = had && words[at + CELL.incarnation] === row.incarnation && words[at + CELL.sequence] === row.sequence
    words[at + CELL.metric] = metric
    words[at + CELL.incarnation] = row.incarnation
    words[at + CELL.sequence] = row.sequence
    words[at + CELL.hops] = row.hops
    const before = table.selected(slot)
    const holds = before === link.index && isSame && metric !== INFINITE && !isFeasible(state, slot, at)
    words[at + CELL.isHeld] = Number(holds)
    selection.heard(slot, link)
    if (!had && before === NO_LINK && table.selected(slot) === NO_LINK) desk.askToo(link, slot)
  }

  // ---- links ---------------------------------------------------------------------------------
  function linkUp(index: number, node: number, cost: number): void {
    if (links[index] !== undefined) linkDown(links[index])
    table.widen(index + 1)
    links[index] = createRouterLink(index, node, cost)
    outbox.tellOwn(links[index])
  }

  function linkDown(link: RouterLink): void {
    links[link.index] = undefined
    for (let slot = 0; slot < table.end; slot++) {
      const at = table.cellAt(slot, link.index)
      const had = metricOf(slot, link) !== INFINITE
      table.words[at + CELL.metric] = INFINITE
      table.words[at + CELL.isHeld] = table.words[at + CELL.sent] = 0
      if (had) selection.select(slot)
    }
  }

  /** What goes through a link costs something else now. */
  function reselect(link: RouterLink): void {
    for (let slot = 0; slot < table.end; slot++) if (metricOf(slot, link) !== INFINITE) selection.select(slot)
  }

  function blame(link: RouterLink, origin: number | undefined, cost: number): void {
    if (origin === undefined) {
      link.surcharge = cost
      return reselect(link)
    }
    if (cost === 0) link.blamed.delete(origin)
    else if (link.blamed.size < MAX_BLAMED || link.blamed.has(origin)) link.blamed.set(origin, cost)
    const slot = table.slot(origin)
    if (slot >= 0) selection.select(slot)
  }

  function onEvent(event: RouterEvent): void {
    if (event.kind === 'tick') return
    if (event.kind === 'link-up') return linkUp(event.link, event.node, event.cost)
    if (event.kind === 'forget') return origins.forget(event.origins)
    if (event.kind === 'types') return selection.setTypes(event.origin, event.types)
    if (event.kind === 'seed') {
      seed = event.metric
      for (const link of links) if (link !== undefined) outbox.tellOwn(link)
      return
    }
    const link = links[event.link]
    // Of a session that has ended.
    if (link === undefined) return
    switch (event.kind) {
      case 'link-down':
        return linkDown(link)
      case 'cost':
        link.cost = event.cost
        return reselect(link)
      case 'update':
        return onRows(link, event.rows, event.full === true)
      case 'request':
        return desk.answer(link, event, event.proven)
      case 'wants':
        return outbox.wants(link, event)
      case 'blame':
        return blame(link, event.origin, event.cost)
      case 'digest':
        return outbox.compare(link, event)
      case 'dump':
        return outbox.dump(link)
    }
  }

  function routeOf(slot: number): Route | undefined {
    const link = links[table.selected(slot)]
    if (link === undefined) return undefined
    const { words } = table
    const at = table.cellAt(slot, link.index)
    const origin = originOf(slot)
    return {
      origin,
      incarnation: words[at + CELL.incarnation]!,
      sequence: words[at + CELL.sequence]!,
      link: link.index,
      nextHop: link.node,
      metric: totalOf(link, origin, words[at + CELL.metric]!),
      hops: words[at + CELL.hops]! + 1,
      held: words[at + CELL.isHeld] === 1
    }
  }

  return {
    step(event, now) {
      state.now = now
      state.effects = []
      onEvent(event)
      desk.tick()
      origins.tick()
      outbox.flush()
      return state.effects
    },
    get wakeAt() {
      return Math.min(desk.nextAt, origins.nextAt, outbox.nextAt)
    },
    route(origin) {
      const slot = table.slot(origin)
      return slot < 0 ? undefined : routeOf(slot)
    },
    routes() {
      const all: Route[] = []
      for (let slot = 0; slot < table.end; slot++) {
        const route = table.isUsed(slot) ? routeOf(slot) : undefined
        if (route !== undefined) all.push(route)
      }
      return all
    },
    get sequence() {
      return desk.own
    },
    feasibleDistance(origin) {
      const slot = table.slot(origin)
      const { words } = table
      const at = table.slotAt(slot)
      if (slot < 0 || words[at + SLOT.bestMetric] === INFINITE) return undefined
      return {
        incarnation: words[at + SLOT.bestIncarnation]!,
        sequence: words[at + SLOT.bestSequence]!,
        metric: words[at + SLOT.bestMetric]!
      }
    },
    has: (origin) => origin === self || table.slot(origin) >= 0 || origins.isRemembered(origin),
    get size() {
      return table.size
    }
  }
}

/** Each hop costs something, and only of itself does a neighbour say that there are none: a row that says otherwise is none. */
function isPlausible({ metric, hops }: RouteRow, isOwn: boolean): boolean {
  return metric >= hops * MIN_COST && hops < MAX_HOPS && isOwn === (hops === 0)
}
