/** Compares what the nodes of a network believe with what is true. */
import { MAX_HOPS } from '../../src/core/routing/metric.ts'
import { NOWHERE, type Network } from './network.ts'
import { OUTCOME, createOracle, type Oracle } from './oracle.ts'
import type { RoutingReport } from './routing-report.ts'

/** A route may cost this much more than the shortest path: hysteresis keeps what is good enough. */
const STRETCH = { factor: 1.5, plusMs: 10 }
const isNearEnough = (ms: number, shortestMs: number): boolean => ms <= shortestMs * STRETCH.factor + STRETCH.plusMs

/** What is compared. */
export interface TruthInit {
  network: Network
  nodes: number
  typesOf: (origin: number) => readonly number[]
  /** Of each type, the pairs with so many nearest origins count; undefined: all. */
  nearest: number | undefined
  report: Pick<RoutingReport, 'pairs' | 'correct' | 'nearTies' | 'short' | 'tooFar' | 'ghosts' | 'firstWrong'>
}

/** Adds all pairs to a report. */
export function checkPairs({ network, nodes, typesOf, nearest, report }: TruthInit): void {
  const oracle = createOracle(network, nodes, (link) => network.links[link]!.up)
  const parts = oracle.parts().slice()
  const near = nearest === undefined ? undefined : nearestOrigins(network, oracle, typesOf, nearest)
  const missing: Pair[] = []
  for (const [place, origin] of network.origins.entries()) {
    const distances = near === undefined ? oracle.distances(origin) : near.get(origin)!
    const outcomes = oracle.outcomes(place)
    const hops = network.nextHops(place)
    for (let node = 0; node < nodes; node++) {
      if (node === origin || network.policy(node) === undefined) continue
      if (parts[node] !== parts[origin]) {
        report.ghosts += Number(hops[node] !== NOWHERE)
        continue
      }
      const distance = distances instanceof Map ? distances.get(node) : distances[node]
      if (distance === undefined) continue
      if (near === undefined && outcomes[node] === OUTCOME.ends && oracle.steps[node]! > MAX_HOPS) {
        report.tooFar++
        continue
      }
      report.pairs++
      if (outcomes[node] !== OUTCOME.arrives) {
        missing.push({ node, origin, distance })
        continue
      }
      report.correct++
      if (isNearEnough(oracle.lengths[node]!, distance)) report.short++
    }
  }
  const wrong = near === undefined ? missing : withoutTies(missing, { network, oracle, typesOf, near })
  report.nearTies += missing.length - wrong.length
  const [first] = wrong
  if (first !== undefined) report.firstWrong ??= { node: first.node, origin: first.origin }
}

/** A node, and an origin that is this far from it, ms. */
interface Pair {
  node: number
  origin: number
  distance: number
}

/**
 * Those pairs in whose place the node has no route to another origin of the type that is near enough: which of two is the nearer one, is worth
 * telling as little as which of two ways is.
 */
function withoutTies(
  missing: readonly Pair[],
  { network, oracle, typesOf, near }: Pick<TruthInit, 'network' | 'typesOf'> & { oracle: Oracle; near: Near }
): Pair[] {
  const left = new Set(missing)
  for (const [place, origin] of network.origins.entries()) {
    const types = new Set(typesOf(origin))
    const open = [...left].filter(
      (pair) => pair.node !== origin && !near.get(origin)!.has(pair.node) && typesOf(pair.origin).some((type) => types.has(type))
    )
    if (open.length === 0) continue
    const outcomes = oracle.outcomes(place)
    const taken = new Set<number>()
    for (const pair of open) {
      if (taken.has(pair.node) || outcomes[pair.node] !== OUTCOME.arrives) continue
      if (!isNearEnough(oracle.lengths[pair.node]!, pair.distance)) continue
      taken.add(pair.node)
      left.delete(pair)
    }
  }
  return [...left]
}

/** For each origin, the nodes that it is among the nearest of its type for, and how far it is, ms. */
type Near = Map<number, Map<number, number>>

function nearestOrigins(network: Network, oracle: Oracle, typesOf: (origin: number) => readonly number[], count: number): Near {
  const found: Near = new Map<number, Map<number, number>>(network.origins.map((origin) => [origin, new Map<number, number>()]))
  const byType = new Map<number, number[]>()
  for (const origin of network.origins)
    for (const type of typesOf(origin)) byType.set(type, [...(byType.get(type) ?? []), origin])
  for (const origins of byType.values())
    oracle.nearest(origins, count, (node, origin, distance) => {
      if (node !== origin) found.get(origin)!.set(node, distance)
    })
  return found
}
