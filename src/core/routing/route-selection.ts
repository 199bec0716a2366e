import { INFINITE, isWorthSwitching, isWorthTelling } from './metric.ts'
import { createNearest, type Nearest } from './nearest.ts'
import { CELL, NO_LINK, SLOT } from './route-table.ts'
import { totalOf, type RouterLink } from './router-links.ts'
import type { RouterOutbox } from './router-outbox.ts'
import type { RoutingState } from './routing-state.ts'
import type { SequenceDesk } from './sequence-desk.ts'
import { compareSequence } from './sequence.ts'

/** Chooses next hops, and says which origins who wants all is to hear of. */
export interface RouteSelection {
  /** Something has changed about an origin: chooses anew. */
  select(slot: number): void
  /** A neighbour has told something of an origin: chooses anew if that can make a difference. */
  heard(slot: number, link: RouterLink): void
  /** The origin has no route any more. */
  unselect(slot: number): void
  isTold(slot: number): boolean
  /**
   * False for an origin whose routes, were they feasible, would be told to nobody: nearer ones of its types are known. A newer sequence number would
   * go through the whole mesh for nothing.
   */
  isWorthAsking(slot: number): boolean
  setTypes: Nearest['setTypes']
}

/** What it needs. `isFree`: the slot has just lost its last route. */
export interface RouteSelectionComponents {
  state: RoutingState
  outbox: Pick<RouterOutbox, 'tell'>
  desk: SequenceDesk
  /** Routes that who wants all hears of; past it the nearest of each type. */
  maxTold: number
  /** How many of each type those are. */
  nearestPerType: number
  onGone(): void
}

/** See {@link RouteSelection}. */
export function createRouteSelection(components: RouteSelectionComponents): RouteSelection {
  const { state, outbox, desk, maxTold, nearestPerType, onGone } = components
  const { table, links } = state
  let withRoute = 0
  /** Who wants all hears of the nearest of each type alone. */
  let isCrowded = maxTold === 0
  const nearest = createNearest((origin, isNear) => {
    const slot = table.slot(origin)
    if (slot < 0) return
    table.words[table.slotAt(slot) + SLOT.isNear] = Number(isNear)
    if (isCrowded) outbox.tell(slot, false)
  }, nearestPerType)

  /** What neighbours are about to hear of anyway may as well be the best. */
  const isBetter = (slot: number, current: number, next: number): boolean =>
    isCrowded && table.words[table.slotAt(slot) + SLOT.isDirty] === 1 ? next < current : isWorthSwitching(current, next)

  function change(slot: number, link: number, metric: number): void {
    const before = table.selected(slot)
    if (link !== before) changeHop(slot, before, link)
    const { words } = table
    const own = table.slotAt(slot)
    const at = link === NO_LINK ? -1 : table.cellAt(slot, link)
    const incarnation = at < 0 ? words[own + SLOT.toldIncarnation]! : words[at + CELL.incarnation]!
    const sequence = at < 0 ? words[own + SLOT.toldSequence]! : words[at + CELL.sequence]!
    const isNew = incarnation !== words[own + SLOT.toldIncarnation] || sequence !== words[own + SLOT.toldSequence]
    if (link === before && !isNew && !isWorthTelling(words[own + SLOT.toldMetric]!, metric)) return
    // Where there are many origins, a wave of news comes over the shortest path last: what gets better waits for it, so that it is told once.
    const canWait = isCrowded && metric < words[own + SLOT.toldMetric]!
    words[own + SLOT.toldMetric] = metric
    words[own + SLOT.toldIncarnation] = incarnation
    words[own + SLOT.toldSequence] = sequence
    const origin = words[own + SLOT.origin]!
    nearest.setMetric(origin, metric)
    outbox.tell(slot, (link !== before && !canWait) || (isNew && desk.isAwaited(origin, incarnation, sequence)))
  }

  function changeHop(slot: number, before: number, link: number): void {
    if (before !== NO_LINK && links[before] !== undefined) table.words[table.cellAt(slot, before) + CELL.isHeld] = 0
    table.select(slot, link)
    if (link === NO_LINK) {
      withRoute--
      table.goneAt[slot] = state.now
      onGone()
    } else if (before === NO_LINK) {
      withRoute++
      table.goneAt[slot] = Infinity
    }
    state.effects.push({ kind: 'route', origin: table.words[table.slotAt(slot) + SLOT.origin]!, link, before })
    if (isCrowded ? withRoute >= maxTold * 0.9 : withRoute <= maxTold) return
    isCrowded = !isCrowded
    for (let other = 0; other < table.end; other++) if (table.isUsed(other)) outbox.tell(other, false)
  }

  function select(slot: number): void {
    const { words } = table
    const origin = words[table.slotAt(slot) + SLOT.origin]!
    const before = table.selected(slot)
    let best = NO_LINK
    let bestTotal = INFINITE
    let beforeTotal = INFINITE
    let isStarving = false
    for (let index = 0; index < links.length; index++) {
      const at = table.cellAt(slot, index)
      const metric = words[at + CELL.metric]!
      // Where there is no session there is no row.
      if (metric === INFINITE) continue
      const total = totalOf(links[index]!, origin, metric)
      if (total === INFINITE) continue
      const isHeld = index === before && words[at + CELL.isHeld] === 1
      if (!isHeld && !isFeasible(state, slot, at)) {
        isStarving = true
        continue
      }
      if (index === before) beforeTotal = total
      if (total < bestTotal) {
        best = index
        bestTotal = total
      }
    }
    if (beforeTotal !== INFINITE && !isBetter(slot, beforeTotal, bestTotal)) {
      best = before
      bestTotal = beforeTotal
    }
    change(slot, best, bestTotal)
    const isHeld = best !== NO_LINK && words[table.cellAt(slot, best) + CELL.isHeld] === 1
    if (best === NO_LINK ? isStarving : isHeld) desk.ask(slot, best === NO_LINK, isWorthAsking(slot))
    else desk.stop(origin)
  }

  function isWorthAsking(slot: number): boolean {
    if (!isCrowded) return true
    const origin = table.words[table.slotAt(slot) + SLOT.origin]!
    let least = INFINITE
    for (const link of links) {
      if (link === undefined) continue
      if (link.wants.has(origin)) return true
      least = Math.min(least, totalOf(link, origin, table.words[table.cellAt(slot, link.index) + CELL.metric]!))
    }
    return least < nearest.border(origin)
  }

  return {
    select,
    isWorthAsking,
    heard(slot, link) {
      const before = table.selected(slot)
      // Most rows are no better than the route that there is: nothing else has changed since that was chosen.
      if (before !== NO_LINK && before !== link.index) {
        const origin = table.words[table.slotAt(slot) + SLOT.origin]!
        const current = totalOf(links[before]!, origin, table.words[table.cellAt(slot, before) + CELL.metric]!)
        const total = totalOf(link, origin, table.words[table.cellAt(slot, link.index) + CELL.metric]!)
        if (!isBetter(slot, current, total)) return
      }
      select(slot)
    },
    unselect(slot) {
      if (table.selected(slot) !== NO_LINK) change(slot, NO_LINK, INFINITE)
      desk.stop(table.words[table.slotAt(slot) + SLOT.origin]!)
    },
    isTold: (slot) => !isCrowded || table.words[table.slotAt(slot) + SLOT.isNear] === 1,
    setTypes: (origin, types) => nearest.setTypes(origin, types)
  }
}

/** RFC 8966, 3.5.1: what is advertised is tested, not the total. */
export function isFeasible({ table }: RoutingState, slot: number, at: number): boolean {
  const { words } = table
  const own = table.slotAt(slot)
  const best = words[own + SLOT.bestMetric]!
  if (best === INFINITE) return true
  const order = compareSequence(
    words[at + CELL.incarnation]!,
    words[at + CELL.sequence]!,
    words[own + SLOT.bestIncarnation]!,
    words[own + SLOT.bestSequence]!
  )
  return order > 0 || (order === 0 && words[at + CELL.metric]! < best)
}
