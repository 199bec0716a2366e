/** A large mesh of sites: within a site all see all, and routes are told among gateways alone. */
import { FAULT_KINDS } from './faults.ts'
import { createGradientPolicy } from './policies/gradient.ts'
import { createRandom } from './random.ts'
import type { RoutingReport } from './routing-report.ts'
import { simulateRouting } from './routing.ts'
import { TOPOLOGIES, type Edge, type Topology } from './topologies.ts'

/** Nodes of a site; of these so many are gateways, which see those of other sites. */
export const SITE_NODES = 200
const SITE_GATEWAYS = 3
const MAX_SITE_RTT_MS = 3
/** Faults that are measured alone. */
const SEPARATE = 10
/** Links between sites are longer than those of the network that they are made of. */
const BETWEEN_FACTOR = 4

/** What is simulated. */
export interface SitesOptions {
  sites: number
  seed: number
  faults: number
  onTime?: (now: number, until: number) => void
}

/** Of the gateways: `pairs` are those of a gateway and a site. The others of a site are a hop from its gateways, and have no rows. */
export type SitesReport = RoutingReport & { sites: number; gateways: number }

/** Runs it. A site is one origin, its first gateway: more than 512 rows a neighbour does not take by name. */
export function simulateSites({ sites, seed, faults, onTime }: SitesOptions): SitesReport {
  const topology = gatewaysOf(sites, seed)
  const report = simulateRouting({
    nodes: topology.nodes,
    topology,
    seed,
    createPolicy: createGradientPolicy(),
    origins: Array.from({ length: sites }, (_, site) => site * SITE_GATEWAYS),
    faults: { count: faults, kinds: FAULT_KINDS, everyMs: 500 },
    bootMs: 10_000,
    separate: SEPARATE,
    quiet: false,
    onTime
  })
  return { ...report, nodes: sites * SITE_NODES, topology: 'sites', sites, gateways: topology.nodes }
}

/** The gateways of sites that lie in a square: each link between two sites is one between two of their gateways. */
function gatewaysOf(sites: number, seed: number): Topology {
  const random = createRandom(seed)
  const between = TOPOLOGIES.geometric!(sites, random)
  const edges: Edge[] = []
  for (let site = 0; site < sites; site++)
    for (let a = 0; a < SITE_GATEWAYS; a++)
      for (let b = a + 1; b < SITE_GATEWAYS; b++)
        edges.push({ a: site * SITE_GATEWAYS + a, b: site * SITE_GATEWAYS + b, rttMs: 1 + random() * (MAX_SITE_RTT_MS - 1) })
  const gateway = (site: number): number => site * SITE_GATEWAYS + Math.floor(random() * SITE_GATEWAYS)
  for (const { a, b, rttMs } of between.edges) edges.push({ a: gateway(a), b: gateway(b), rttMs: rttMs * BETWEEN_FACTOR })
  return { name: 'sites', nodes: sites * SITE_GATEWAYS, edges }
}
