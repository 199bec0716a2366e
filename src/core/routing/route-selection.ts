import { INFINITE, isWorthSwitching, isWorthTelling } from './metric.ts'
import { createNearest, type Nearest } from './nearest.ts'
import { CELL, NO_LINK } from './route-table.ts'
import { totalOf } from './router-links.ts'
import type { RouterOutbox } from './router-outbox.ts'
import { cellOf, isUsed, type RoutingState } from './routing-state.ts'
import type { SequenceDesk } from './sequence-desk.ts'
import { compareSequence } from './sequence.ts'

/** Chooses next hops, and says which origins who wants all is to hear of. */
export interface RouteSelection {
  /** Something has changed about an origin: chooses anew. */
  select(slot: number): void
  /** The origin has no route any more. */
  unselect(slot: number): void
  isTold(origin: number): boolean
  setTypes: Nearest['setTypes']
}

/** What it needs. `isFree`: the slot has just lost its last route. */
export interface RouteSelectionComponents {
  state: RoutingState
  outbox: Pick<RouterOutbox, 'tell'>
  desk: SequenceDesk
  /** Routes that who wants all hears of; past it the nearest of each type. */
  maxTold: number
  onGone(): void
}

/** See {@link RouteSelection}. */
export function createRouteSelection({ state, outbox, desk, maxTold, onGone }: RouteSelectionComponents): RouteSelection {
  const { table, links } = state
  let withRoute = 0
  /** Who wants all hears of the nearest of each type alone. */
  let isCrowded = maxTold === 0
  const nearest = createNearest((origin) => {
    const slot = table.slot(origin)
    if (slot >= 0 && isCrowded) outbox.tell(slot, false)
  })

  function change(slot: number, link: number, metric: number): void {
    const before = table.selected[slot]!
    if (link !== before) changeHop(slot, before, link)
    const at = link === NO_LINK ? -1 : cellOf(state, slot, link)
    const incarnation = at < 0 ? table.toldIncarnation[slot]! : table.incarnation[at]!
    const sequence = at < 0 ? table.toldSequence[slot]! : table.sequence[at]!
    const isNew = incarnation !== table.toldIncarnation[slot] || sequence !== table.toldSequence[slot]
    if (link === before && !isNew && !isWorthTelling(table.toldMetric[slot]!, metric)) return
    table.toldMetric[slot] = metric
    table.toldIncarnation[slot] = incarnation
    table.toldSequence[slot] = sequence
    const origin = table.origin[slot]!
    nearest.setMetric(origin, metric)
    outbox.tell(slot, link !== before || (isNew && desk.isAwaited(origin, incarnation, sequence)))
  }

  function changeHop(slot: number, before: number, link: number): void {
    if (before !== NO_LINK && links[before] !== undefined) table.flags[cellOf(state, slot, before)]! &= ~CELL.held
    table.selected[slot] = link
    if (link === NO_LINK) {
      withRoute--
      table.goneAt[slot] = state.now
      onGone()
    } else if (before === NO_LINK) {
      withRoute++
      table.goneAt[slot] = Infinity
    }
    state.effects.push({ kind: 'route', origin: table.origin[slot]!, link, before })
    if (isCrowded ? withRoute >= maxTold * 0.9 : withRoute <= maxTold) return
    isCrowded = !isCrowded
    for (let other = 0; other < table.end; other++) if (isUsed(state, other)) outbox.tell(other, false)
  }

  return {
    select(slot) {
      const origin = table.origin[slot]!
      const before = table.selected[slot]!
      let best = NO_LINK
      let bestTotal = INFINITE
      let beforeTotal = INFINITE
      let isStarving = false
      for (const link of links) {
        if (link === undefined) continue
        const at = cellOf(state, slot, link.index)
        const metric = table.metric[at]!
        if (metric === INFINITE) continue
        const total = totalOf(link, origin, metric)
        if (total === INFINITE) continue
        const isHeld = link.index === before && (table.flags[at]! & CELL.held) !== 0
        if (!isHeld && !isFeasible(state, slot, at)) {
          isStarving = true
          continue
        }
        if (link.index === before) beforeTotal = total
        if (total < bestTotal) {
          best = link.index
          bestTotal = total
        }
      }
      if (beforeTotal !== INFINITE && !isWorthSwitching(beforeTotal, bestTotal)) {
        best = before
        bestTotal = beforeTotal
      }
      change(slot, best, bestTotal)
      const isHeld = best !== NO_LINK && (table.flags[cellOf(state, slot, best)]! & CELL.held) !== 0
      if (best === NO_LINK ? isStarving : isHeld) desk.ask(slot, best === NO_LINK)
      else desk.stop(origin)
    },
    unselect(slot) {
      if (table.selected[slot] !== NO_LINK) change(slot, NO_LINK, INFINITE)
      desk.stop(table.origin[slot]!)
    },
    isTold: (origin) => !isCrowded || nearest.has(origin),
    setTypes: (origin, types) => nearest.setTypes(origin, types)
  }
}

/** RFC 8966, 3.5.1: what is advertised is tested, not the total. */
export function isFeasible({ table }: RoutingState, slot: number, at: number): boolean {
  const best = table.bestMetric[slot]!
  if (best === INFINITE) return true
  const order = compareSequence(
    table.incarnation[at]!,
    table.sequence[at]!,
    table.bestIncarnation[slot]!,
    table.bestSequence[slot]!
  )
  return order > 0 || (order === 0 && table.metric[at]! < best)
}
