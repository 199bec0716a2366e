import { INFINITE } from './metric.ts'
import type { RouteSelection } from './route-selection.ts'
import type { RouterOutbox } from './router-outbox.ts'
import { cellOf, isUsed, type RoutingState } from './routing-state.ts'

/** An origin without routes keeps its feasible distance for this long, ms: RFC 8966, appendix B. */
export const FORGET_AFTER_MS = 180_000
/** One that others still have routes to, which are not feasible, is looked at again after this, ms. */
const LOOK_AGAIN_MS = 1_000

/** Which origins there is room for. */
export interface RouteOrigins {
  /** A slot for a new origin; -1 if all are nearer. @param total what its first route costs. */
  take(origin: number, total: number, isNeighbour: boolean): number
  /** Routes to these are of no use any more, but those of links to themselves. */
  forget(origins: readonly number[]): void
  /** The last route to an origin has gone just now. */
  onGone(): void
  /** Forgets who has had no route for {@link FORGET_AFTER_MS}. */
  tick(): void
  readonly nextAt: number
}

/** See {@link RouteOrigins}. */
export function createRouteOrigins(
  state: RoutingState,
  selection: Pick<RouteSelection, 'select' | 'unselect'>,
  outbox: Pick<RouterOutbox, 'retract'>
): RouteOrigins {
  const { table, links } = state
  let nextAt = Infinity

  /** Who has a route from here is told at once that it is gone. */
  function drop(slot: number): void {
    for (const link of links) if (link !== undefined) erase(slot, link.index)
    selection.unselect(slot)
    outbox.retract(slot)
    table.release(slot)
  }

  function erase(slot: number, index: number): void {
    const at = cellOf(state, slot, index)
    if (table.metric[at] === INFINITE) return
    table.metric[at] = INFINITE
    links[index]!.rows--
  }

  /** The farthest that is no neighbour, should it be farther than this. */
  function farthest(than: number): number {
    let [found, most] = [-1, than]
    for (let slot = 0; slot < table.end; slot++) {
      if (!isUsed(state, slot) || links.some((link) => link?.node === table.origin[slot])) continue
      const metric = table.toldMetric[slot]!
      if (metric > most) [found, most] = [slot, metric]
    }
    return found
  }

  function onGone(): void {
    nextAt = Math.min(nextAt, state.now + FORGET_AFTER_MS)
  }

  return {
    take(origin, total, isNeighbour) {
      let slot = table.take(origin)
      if (slot < 0) {
        const other = farthest(isNeighbour ? -1 : total)
        if (other < 0) return -1
        drop(other)
        slot = table.take(origin)
      }
      table.goneAt[slot] = state.now
      onGone()
      return slot
    },
    forget(origins) {
      for (const origin of origins) {
        const slot = table.slot(origin)
        if (slot < 0) continue
        for (const link of links) if (link !== undefined && link.node !== origin) erase(slot, link.index)
        selection.select(slot)
      }
    },
    onGone,
    tick() {
      if (state.now < nextAt) return
      nextAt = Infinity
      for (let slot = 0; slot < table.end; slot++) {
        const goneAt = table.goneAt[slot]!
        if (goneAt === Infinity || !isUsed(state, slot)) continue
        const isQuiet = links.every((link) => link === undefined || table.metric[cellOf(state, slot, link.index)] === INFINITE)
        if (isQuiet && state.now >= goneAt + FORGET_AFTER_MS) drop(slot)
        else nextAt = Math.min(nextAt, Math.max(state.now + LOOK_AGAIN_MS, goneAt + FORGET_AFTER_MS))
      }
    },
    get nextAt() {
      return nextAt
    }
  }
}
