import type { RouteTable } from './route-table.ts'
import type { RouterLink } from './router-links.ts'
import type { RouterEffect } from './router-messages.ts'

/** What the parts of a router share. One of them changes it at a time: a router takes one event after another. */
export interface RoutingState {
  readonly table: RouteTable
  /** By index; undefined where there is no session. */
  readonly links: (RouterLink | undefined)[]
  /** Time of the event that is being taken, monotonic ms. */
  now: number
  /** What the host is to do after it. */
  effects: RouterEffect[]
}
