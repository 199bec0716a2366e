import type { SequenceNumber } from './sequence.ts'

/** What a neighbour says of its route to an origin. Origins are numbers that the host gives to PeerIds. */
export interface RouteRow extends SequenceNumber {
  origin: number
  /** See metric.ts; INFINITE is a retraction. */
  metric: number
  /** Hops from the neighbour to the origin; 0 only of the origin itself. */
  hops: number
}

/** Asks for a route to an origin whose sequence number is at least this. */
export interface SequenceRequest extends SequenceNumber {
  origin: number
  /** Hops that it may still go. */
  ttl: number
}

/** What a neighbour's table is to have from this node, in short: to see that nothing went wrong. */
export interface RowsDigest {
  /** XOR of the fingerprints of the rows. */
  digest: number
  count: number
}

/** What happens to a router. Links are small numbers that the host gives and may use again; each session is a link of its own. */
export type RouterEvent =
  | { kind: 'link-up'; link: number; node: number; cost: number }
  | { kind: 'link-down'; link: number }
  | { kind: 'cost'; link: number; cost: number }
  /** The neighbour wants to hear of all origins, or of these; `all` takes the place of what it wanted before. */
  | { kind: 'wants'; link: number; all?: boolean; add: readonly number[]; drop: readonly number[] }
  /** Rows of a neighbour; `full`: it has no others. */
  | { kind: 'update'; link: number; rows: readonly RouteRow[]; full?: boolean }
  /** `proven`: the origin once signed the sequence number before this one. */
  | ({ kind: 'request'; link: number; proven: boolean } & SequenceRequest)
  | ({ kind: 'digest'; link: number } & RowsDigest)
  /** The neighbour wants all rows anew. */
  | { kind: 'dump'; link: number }
  /** This node has no use for routes to these any more, but for direct ones. */
  | { kind: 'forget'; origins: readonly number[] }
  /** What calls through a neighbour cost more than it says, to one origin or to all but itself; 0 takes it back. */
  | { kind: 'blame'; link: number; origin?: number; cost: number }
  /** Own cost class: what a route to this node costs from the start. */
  | { kind: 'seed'; metric: number }
  /** For which types an origin is wanted; what is told to who wants all is the nearest of each. */
  | { kind: 'types'; origin: number; types: readonly number[] }
  | { kind: 'tick' }

/** What the host is to do. The same rows may go to several links: they are not to be changed. */
export type RouterEffect =
  | { kind: 'update'; link: number; rows: RouteRow[]; full: boolean }
  | ({ kind: 'request'; link: number } & SequenceRequest)
  | ({ kind: 'digest'; link: number } & RowsDigest)
  /** Ask the neighbour for all rows anew. */
  | { kind: 'dump'; link: number }
  /** The next hop to an origin is another one now. `link` is NO_LINK if there is none. */
  | { kind: 'route'; origin: number; link: number; before: number }

/** A selected route. */
export interface Route extends SequenceNumber {
  origin: number
  /** Link to the next hop, and the node there. */
  link: number
  nextHop: number
  metric: number
  hops: number
  /** Kept although its next hop got worse, until a new sequence number comes. */
  held: boolean
}
