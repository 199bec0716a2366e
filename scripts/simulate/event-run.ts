/** One event in a network that is at rest, and how long an algorithm takes to get over it: a cell of the table. */
import { createNetwork, type Network } from './network.ts'
import { OUTCOME, createOracle } from './oracle.ts'
import { createPairWatch, type PairWatch } from './pair-watch.ts'
import type { CreatePolicy } from './policies/policy.ts'
import { createRandom } from './random.ts'
import { cutOf } from './faults.ts'
import { TOPOLOGIES, type Topology } from './topologies.ts'

/** Origins of a network, unless it is said: 20, or all of a small one. */
const ORIGINS = 20
/** A link gets dearer by this, ms. */
const DEARER_MS = 150
/** A partition lasts, ms. */
const PARTITION_MS = 20_000

/** What happens: the watch begins with it, at a partition when the first link is back. */
export type TableEvent = 'provider dies' | 'link fails' | 'cost rises' | 'partition heals'

/** What is run. */
export interface EventRun {
  topology: string
  nodes: number
  event: TableEvent
  origins?: number
  seed: number
  createPolicy: CreatePolicy
  bootMs: number
  /** Observed for so long after the event. */
  watchMs: number
}

/** What was seen, in ms of virtual time; Infinity: not right again while it was observed. */
export interface EventFindings {
  /** Until no pair was wrong any more. When a provider dies: until nobody routes to it. */
  rightMs: number
  /** In which a connected pair had no route that arrives. */
  outageMs: number
  loopMs: number
  /** Messages with rows, or that ask for some; digests are none. Until all was right again, and one to two seconds more. */
  messages: number
  rows: number
  /** The longest route at the end, as a multiple of the shortest path. */
  stretch: number
}

/** Runs it. */
export function runEvent({
  topology: name,
  nodes,
  event,
  origins: count = ORIGINS,
  seed,
  createPolicy,
  bootMs,
  watchMs
}: EventRun): EventFindings {
  const topology = TOPOLOGIES[name]!(nodes, createRandom(seed))
  const random = createRandom(seed ^ 0x7ab1e)
  const origins = pick(topology.nodes, Math.min(count, topology.nodes), random)
  let watch: PairWatch | undefined = undefined as PairWatch | undefined
  let isWaiting = false
  const network = createNetwork({
    topology,
    origins,
    createPolicy: () => createPolicy,
    typesOf: () => [0],
    random,
    onChange: (_, place) => watch?.touch(place),
    onTruth() {
      watch?.touchAll()
      if (isWaiting) begin()
      isWaiting = false
    }
  })
  const victim = Math.floor(random() * origins.length)
  network.run(bootMs)
  watch = createPairWatch(network, topology.nodes, event === 'provider dies' ? [victim] : undefined)
  watch.touchAll()
  network.run(bootMs + 10)

  let before = { ...network.traffic }
  let begunAt = 0
  function begin(): void {
    watch!.begin()
    before = { ...network.traffic }
    begunAt = network.now
  }

  happen()
  let [messages, rows] = [0, 0]
  while (network.now < begunAt + watchMs) {
    network.run(network.now + 1_000)
    const { rightAfterMs, isWrong } = watch.findings()
    // What comes later is told every so often anyway.
    if (!isWrong && network.now > begunAt + rightAfterMs + 2_000) continue
    messages = network.traffic.updates - before.updates
    rows = network.traffic.rows - before.rows
  }
  const found = watch.findings()
  return {
    rightMs: found.isWrong ? Infinity : found.rightAfterMs,
    outageMs: found.outageMs,
    loopMs: found.loopMs,
    messages,
    rows,
    stretch: longest(network, topology.nodes)
  }

  function happen(): void {
    const link = usedLink(network, topology, name === 'lans', random)
    if (event === 'partition heals') {
      const cut = cutOf(topology, link)
      for (const index of cut) network.setLink(index, false)
      network.run(network.now + PARTITION_MS)
      isWaiting = true
      begunAt = network.now
      for (const index of cut) network.setLink(index, true)
      return
    }
    begin()
    if (event === 'provider dies') network.stopNode(origins[victim]!)
    else if (event === 'link fails') network.setLink(link, false)
    else network.setCost(link, network.links[link]!.rttMs + DEARER_MS)
  }
}

/** A link that is on the shortest path between a node and an origin, and not the only way; of local networks, one between them. */
function usedLink(network: Network, topology: Topology, isBetween: boolean, random: () => number): number {
  const oracle = createOracle(network, topology.nodes, (link) => network.links[link]!.up && link !== without)
  let without = -1
  for (;;) {
    const origin = network.origins[Math.floor(random() * network.origins.length)]!
    const link = Math.floor(random() * topology.edges.length)
    const { a, b, rttMs } = topology.edges[link]!
    if (isBetween && Math.floor(a / 10) === Math.floor(b / 10)) continue
    without = -1
    const distances = oracle.distances(origin)
    if (Math.abs(distances[a]! - distances[b]!) < rttMs - 1e-9) continue
    without = link
    const parts = oracle.parts()
    if (topology.name === 'line' || parts[a] === parts[b]) return link
  }
}

function longest(network: Network, nodes: number): number {
  const oracle = createOracle(network, nodes, (link) => network.links[link]!.up)
  let most = 1
  for (const [place, origin] of network.origins.entries()) {
    const distances = oracle.distances(origin)
    const outcomes = oracle.outcomes(place)
    for (let node = 0; node < nodes; node++)
      if (node !== origin && outcomes[node] === OUTCOME.arrives) most = Math.max(most, oracle.lengths[node]! / distances[node]!)
  }
  return most
}

function pick(nodes: number, count: number, random: () => number): number[] {
  const picked = new Set<number>()
  while (picked.size < count) picked.add(Math.floor(random() * nodes))
  return [...picked].sort((a, b) => a - b)
}
