/** Compares what the nodes of a network believe with what is true. */
import { MAX_HOPS } from '../../src/core/routing/metric.ts'
import { NOWHERE, type Network } from './network.ts'
import { OUTCOME, createOracle, type Oracle } from './oracle.ts'
import type { RoutingReport } from './routing-report.ts'

/** A route may cost this much more than the shortest path: hysteresis keeps what is good enough. */
const STRETCH = { factor: 1.5, plusMs: 10 }

/** A pair whose shortest path has more hops may be without a route, since routes go {@link MAX_HOPS}, and are not always the shortest. */
const REACH_HOPS = Math.floor(MAX_HOPS * 0.8)

/** What is compared. */
export interface TruthInit {
  network: Network
  nodes: number
  typesOf: (origin: number) => readonly number[]
  /** Of each type, the pairs with so many nearest origins count; undefined: all. */
  nearest: number | undefined
  report: Pick<RoutingReport, 'pairs' | 'correct' | 'short' | 'tooFar' | 'ghosts' | 'firstWrong'>
}

/** Adds all pairs to a report. */
export function checkPairs({ network, nodes, typesOf, nearest, report }: TruthInit): void {
  const oracle = createOracle(network, nodes, (link) => network.links[link]!.up)
  const parts = oracle.parts().slice()
  const near = nearest === undefined ? undefined : nearestOrigins(network, oracle, typesOf, nearest)
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
      if (near === undefined && outcomes[node] === OUTCOME.ends && oracle.steps[node]! > REACH_HOPS) {
        report.tooFar++
        continue
      }
      report.pairs++
      if (outcomes[node] !== OUTCOME.arrives) {
        report.firstWrong ??= { node, origin }
        continue
      }
      report.correct++
      if (oracle.lengths[node]! <= distance * STRETCH.factor + STRETCH.plusMs) report.short++
    }
  }
}

/** For each origin, the nodes that it is among the nearest of its type for, and how far it is, ms. */
function nearestOrigins(
  network: Network,
  oracle: Oracle,
  typesOf: (origin: number) => readonly number[],
  count: number
): Map<number, Map<number, number>> {
  const found = new Map<number, Map<number, number>>(network.origins.map((origin) => [origin, new Map<number, number>()]))
  const byType = new Map<number, number[]>()
  for (const origin of network.origins)
    for (const type of typesOf(origin)) byType.set(type, [...(byType.get(type) ?? []), origin])
  for (const origins of byType.values())
    oracle.nearest(origins, count, (node, origin, distance) => {
      if (node !== origin) found.get(origin)!.set(node, distance)
    })
  return found
}
