import { INFINITE } from './metric.ts'
import type { RouteSelection } from './route-selection.ts'
import type { RouterOutbox } from './router-outbox.ts'
import { CELL, SLOT } from './route-table.ts'
import type { RoutingState } from './routing-state.ts'
import type { SequenceNumber } from './sequence.ts'

/** An origin without routes keeps its feasible distance for this long, ms, also one that made room: RFC 8966, appendix B. */
export const FORGET_AFTER_MS = 180_000
/** One that others still have routes to, which are not feasible, is looked at again after this, ms. */
const LOOK_AGAIN_MS = 1_000

/** Which origins there is room for. */
export interface RouteOrigins {
  /**
   * A slot for a new origin, in place of the farthest if there is none; -1 if all are nearer, or if this node remembers as many that made room as it has
   * slots. @param total what its first route costs.
   */
  take(origin: number, total: number, isNeighbour: boolean): number
  /** Routes to these are of no use any more, but those of links to themselves. */
  forget(origins: readonly number[]): void
  /** The last route to an origin has gone just now. */
  onGone(): void
  /** True if an origin made room a short time ago: a neighbour may not have heard yet that the route from here is gone. */
  isRemembered(origin: number): boolean
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
  /** Feasible distances of origins that made room, the oldest first. Without them a route that leads through this node would count as a new one. */
  const remembered = new Map<number, SequenceNumber & { metric: number; until: number }>()
  let nextAt = Infinity

  /** False if there is no room to remember what was told of it. */
  function makeRoom(slot: number): boolean {
    const at = table.slotAt(slot)
    const metric = table.words[at + SLOT.bestMetric]!
    if (metric !== INFINITE) {
      if (remembered.size >= table.maxOrigins) return false
      const [incarnation, sequence] = [table.words[at + SLOT.bestIncarnation]!, table.words[at + SLOT.bestSequence]!]
      remembered.set(table.words[at + SLOT.origin]!, { incarnation, sequence, metric, until: state.now + FORGET_AFTER_MS })
    }
    drop(slot)
    return true
  }

  function recall(slot: number): void {
    const at = table.slotAt(slot)
    const origin = table.words[at + SLOT.origin]!
    const known = remembered.get(origin)
    if (known === undefined) return
    remembered.delete(origin)
    table.words[at + SLOT.bestIncarnation] = known.incarnation
    table.words[at + SLOT.bestSequence] = known.sequence
    table.words[at + SLOT.bestMetric] = known.metric
  }

  /** Who has a route from here is told at once that it is gone. */
  function drop(slot: number): void {
    for (const link of links) if (link !== undefined) erase(slot, link.index)
    selection.unselect(slot)
    outbox.retract(slot)
    table.release(slot)
  }

  function erase(slot: number, index: number): void {
    const at = table.cellAt(slot, index)
    if (table.words[at + CELL.metric] === INFINITE) return
    table.words[at + CELL.metric] = INFINITE
    links[index]!.rows--
  }

  /** The farthest that is no neighbour, should it be farther than this. */
  function farthest(than: number): number {
    let [found, most] = [-1, than]
    for (let slot = 0; slot < table.end; slot++) {
      const at = table.slotAt(slot)
      if (!table.isUsed(slot) || links.some((link) => link?.node === table.words[at + SLOT.origin])) continue
      const metric = table.words[at + SLOT.toldMetric]!
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
        if (other < 0 || !makeRoom(other)) return -1
        slot = table.take(origin)
      }
      recall(slot)
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
    isRemembered: (origin) => remembered.has(origin),
    tick() {
      if (state.now < nextAt) return
      nextAt = Infinity
      for (const [origin, { until }] of remembered) {
        if (until > state.now) {
          nextAt = until
          break
        }
        remembered.delete(origin)
      }
      for (let slot = 0; slot < table.end; slot++) {
        const goneAt = table.goneAt[slot]!
        if (goneAt === Infinity || !table.isUsed(slot)) continue
        const isQuiet = links.every(
          (link) => link === undefined || table.words[table.cellAt(slot, link.index) + CELL.metric] === INFINITE
        )
        if (isQuiet && state.now >= goneAt + FORGET_AFTER_MS) drop(slot)
        else nextAt = Math.min(nextAt, Math.max(state.now + LOOK_AGAIN_MS, goneAt + FORGET_AFTER_MS))
      }
    },
    get nextAt() {
      return nextAt
    }
  }
}
