import { addCost, INFINITE } from './metric.ts'
import { MAX_DEMOTIONS } from './neighbour-trust.ts'

/** Origins that a neighbour may ask for by name, and rows that are kept of it. More it has to leave to this node: see `wants`. */
export const MAX_ROWS_PER_LINK = 512
/** Origins for which a neighbour may be blamed by name: as many as there are demotions in all, so that none is told in vain. */
export const MAX_BLAMED = MAX_DEMOTIONS

/** A session with a neighbour, as the router sees it. */
export interface RouterLink {
  readonly index: number
  /** The neighbour, as an origin. */
  readonly node: number
  cost: number
  /** The neighbour wants to hear of all that may be told; else of `wants`. */
  wantsAll: boolean
  readonly wants: Set<number>
  /** Origins that it wanted no more while it had a route from here: what is on its way must not stay, should it want them again. */
  readonly unwanted: Set<number>
  /** Added to routes through it, but to itself. */
  surcharge: number
  /** Added to its routes to some origins. */
  readonly blamed: Map<number, number>
  /** Finite rows that it has told. */
  rows: number
  /** The own row is to go with the next flush. */
  ownDue: boolean
  /** Of what was sent to it. */
  digest: number
  sent: number
  digestAt: number
}

/** A new link. */
export function createRouterLink(index: number, node: number, cost: number): RouterLink {
  return {
    index,
    node,
    cost,
    wantsAll: false,
    wants: new Set(),
    unwanted: new Set(),
    surcharge: 0,
    blamed: new Map(),
    rows: 0,
    ownDue: false,
    digest: 0,
    sent: 0,
    digestAt: Infinity
  }
}

/** What a route to `origin` costs that the neighbour advertises with `metric`. */
export function totalOf(link: RouterLink, origin: number, metric: number): number {
  if (metric === INFINITE) return INFINITE
  if (origin === link.node) return addCost(metric, link.cost)
  const blamed = link.blamed.size === 0 ? 0 : (link.blamed.get(origin) ?? 0)
  return addCost(metric, link.cost + link.surcharge + blamed)
}
