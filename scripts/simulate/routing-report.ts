/** How a simulation of routing went. */
export interface RoutingReport {
  nodes: number
  faults: number
  /** Changes of next hops. */
  selections: number
  /** Next hops in a circle, each a session that is there at both ends: a frame would go round. */
  loops: number
  /** Next hops that were chosen although the neighbour had ended the session already: nothing arrives there until the node notices. */
  deadHops: number
  /** Next hops in a circle that such a session breaks: nothing goes round. */
  deadCircles: number
  /** Routes to what cannot be reached, when all has settled. */
  ghosts: number
  /** Pairs of a node and an origin that are connected when all has settled, and how many have a route that works. */
  pairs: number
  correct: number
  /** Of the other pairs with the nearest origins, those in whose place another origin is routed to that is as near but for 1.5 times and 10 ms. */
  nearTies: number
  /** Connected pairs without a route that are none of `pairs`: the shortest path has more hops than routes go. */
  tooFar: number
  /** Of the pairs, those whose route is within 1.5 times the shortest path and 10 ms. */
  short: number
  /** Where the feasible distance of a next hop was not before that of the node. */
  violations: number
  /**
   * From a fault that was alone, or its healing, until all pairs were right for good; of those that made a pair wrong. In large networks: to the last
   * change of a next hop.
   */
  convergenceMs: { p50: number; p99: number }
  messages: number
  bytes: number
  rows: number
  /** What `convergenceMs` was measured with: each fault counts twice, as it comes and as it heals. */
  separate: { faults: number; measured: number; harmless: number }
  /** Sent in the last minute, when nothing happened any more. */
  quiet?: { messages: number; bytes: number; rows: number }
  seed: number
  topology: string
  /** The first loop: who, and to whom. */
  firstLoop?: { at: number; origin: number; nodes: number[] }
  /** The first pair without a route that works. */
  firstWrong?: { node: number; origin: number }
}

/** A report with nothing in it yet. */
export function emptyReport(head: Pick<RoutingReport, 'nodes' | 'faults' | 'seed' | 'topology'>): RoutingReport {
  return {
    nodes: head.nodes,
    faults: head.faults,
    selections: 0,
    loops: 0,
    deadHops: 0,
    deadCircles: 0,
    ghosts: 0,
    pairs: 0,
    correct: 0,
    nearTies: 0,
    tooFar: 0,
    short: 0,
    violations: 0,
    convergenceMs: { p50: 0, p99: 0 },
    messages: 0,
    bytes: 0,
    rows: 0,
    separate: { faults: 0, measured: 0, harmless: 0 },
    seed: head.seed,
    topology: head.topology
  }
}

/** True if nothing that must hold was found broken. */
export function isSound({ loops, ghosts, violations, correct, nearTies, pairs }: RoutingReport): boolean {
  return loops === 0 && ghosts === 0 && violations === 0 && correct + nearTies === pairs
}

/** The value below which a share of the values is, rounded; 0 of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0)
}
