/** A routing algorithm, as the simulator runs it: one for each node. */
export interface Policy {
  linkUp(link: number, neighbour: number, rttMs: number, now: number): void
  linkDown(link: number, now: number): void
  /** The round trip of a link is another one now. */
  cost(link: number, rttMs: number, now: number): void
  /** Something came from the neighbour. */
  message(link: number, message: unknown, now: number): void
  tick(now: number): void
  /** When it wants a tick, ms. */
  readonly wakeAt: number
  /** Node to which a call to `origin` goes from here; undefined: there is no route. */
  nextHop(origin: number): number | undefined
  /** What calls through a neighbour cost more than it says: see RouterEvent. */
  blame?(link: number, origin: number | undefined, cost: number, now: number): void
  /** Feasible distance to an origin, where the algorithm has one: [incarnation, sequence, metric]. */
  feasibleDistance?(origin: number): readonly [number, number, number] | undefined
}

/** What a policy is given. */
export interface PolicyInit {
  self: number
  /** How often this node has been started before. */
  incarnation: number
  /** True if this node is wanted by others: an origin. */
  isOrigin: boolean
  random: () => number
  /** Sends to the neighbour of a link. @param bytes on the wire. @param rows routes in it; to ask for one counts as one. */
  send(link: number, message: unknown, bytes: number, rows: number): void
  /** The next hop to an origin is this node now; -1: there is none. */
  changed(origin: number, nextHop: number): void
  /** All nodes that are wanted by others. */
  origins: readonly number[]
  /** Place of a node in `origins`, or -1. */
  placeOf(origin: number): number
  /** For which types an origin is wanted. */
  typesOf(origin: number): readonly number[]
}

/** Makes the policy of one node. */
export type CreatePolicy = (init: PolicyInit) => Policy
