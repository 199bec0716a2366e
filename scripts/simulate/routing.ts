/** One simulation of routing: a network, faults, and what is true after them. Loops are looked for after every change of a next hop. */
import { applyFaults, planFaults, planSeparateFaults, type Fault, type FaultKind } from './faults.ts'
import { createNetwork, NOWHERE } from './network.ts'
import { createLoopFinder } from './oracle.ts'
import { createPairWatch, type PairWatch } from './pair-watch.ts'
import type { CreatePolicy } from './policies/policy.ts'
import { createRandom } from './random.ts'
import { emptyReport, quantile, type RoutingReport } from './routing-report.ts'
import { checkPairs } from './routing-truth.ts'
import { TOPOLOGIES, type Topology } from './topologies.ts'

/** All connected pairs have a route this long after the last fault has healed, ms. */
export const SETTLED_AFTER_MS = 10_000
/** Networks of so many nodes hear of the nearest providers alone: 1,057 of 10,000 nodes, each of one of 20 types. */
export const LARGE_NODES = 2_000
/** Nothing is sent but digests when so much time more has passed, ms. */
const QUIET_MS = 60_000
/** Faults that are apart come this often, and half of the time later they have healed, ms. */
const SEPARATE_EVERY_MS = 10_000
/** Origins, if nothing is said. */
const MAX_ORIGINS = 512
/** What is to be done before a moment is done this much before it, ms. */
const BEFORE_MS = 1e-3
/** Nodes up to which every pair is looked at after every change. */
const MAX_WATCHED_NODES = 200

/** What is simulated. */
export interface RoutingOptions {
  nodes: number
  /** One of TOPOLOGIES, or a network that is there already. */
  topology: string | Topology
  seed: number
  createPolicy: CreatePolicy
  /** Nodes that others want routes to, or how many; default: all, 512 at most. */
  origins?: number | readonly number[]
  types?: number
  /** Faults one after another, often at once; or these. */
  faults: { count: number; kinds: readonly FaultKind[]; everyMs: number } | readonly Fault[]
  /** Faults after those, each alone, to measure how long it takes. Default 0. */
  separate?: number
  /** Of each type so many nearest origins are to have a route; default: all origins. */
  nearest?: number
  /** Faults begin after this, ms. */
  bootMs?: number
  /** False: loops are looked for at the end alone. */
  watchLoops?: boolean
  /** False: the quiet minute at the end is left out. */
  quiet?: boolean
  /** Called when time passes, for progress. */
  onTime?: (now: number, until: number) => void
}

interface Plan {
  topology: Topology
  origins: readonly number[]
  typesOf: (origin: number) => readonly number[]
  faults: readonly Fault[]
  random: () => number
}

/** The faults of a simulation, without running it. */
export function faultsOf(options: RoutingOptions): readonly Fault[] {
  return plan(options).faults
}

function plan({ seed, bootMs = 5_000, types = 20, ...options }: RoutingOptions): Plan {
  const topology =
    typeof options.topology === 'string' ? TOPOLOGIES[options.topology]!(options.nodes, createRandom(seed)) : options.topology
  const random = createRandom(seed ^ 0x5eed)
  const wanted = options.origins ?? MAX_ORIGINS
  const origins = typeof wanted === 'number' ? chooseOrigins(topology.nodes, Math.min(wanted, topology.nodes), random) : wanted
  const typeOf = new Map(origins.map((origin) => [origin, [Math.floor(random() * types)]]))
  // Chance of its own: a simulation of some of the faults goes as it went with all, until one is missed.
  const faultRandom = createRandom(seed ^ 0xfa17)
  const faults =
    'count' in options.faults ? planFaults(topology, { ...options.faults, fromMs: bootMs }, faultRandom) : options.faults
  return { topology, origins, typesOf: (origin) => typeOf.get(origin) ?? [], faults, random }
}

/** Runs it. */
export function simulateRouting(options: RoutingOptions): RoutingReport {
  const { seed, bootMs = 5_000, watchLoops = true } = options
  const { topology, origins, typesOf, faults, random } = plan(options)
  const report = emptyReport({ nodes: topology.nodes, seed, topology: topology.name, faults: faults.length })
  let lastChange = 0
  let watch: PairWatch | undefined
  const network = createNetwork({
    topology,
    origins,
    createPolicy: () => options.createPolicy,
    typesOf,
    random,
    onChange(node, place) {
      report.selections++
      lastChange = network.now
      watch?.touch(place)
      if (watchLoops) check(node, place)
    },
    onTruth: () => watch?.touchAll()
  })
  const findLoop = createLoopFinder(network, topology.nodes)

  /**
   * Invariants I1 and I2: no loop, and the feasible distance of the next hop is before that of the node. Both are about sessions that are there at both
   * ends: a neighbour that has restarted knows nothing of what it once told.
   */
  function check(node: number, place: number): void {
    const origin = origins[place]!
    const circle = findLoop(node, place)
    if (circle?.isLive === false) report.deadCircles++
    if (circle?.isLive === true) {
      report.loops++
      report.firstLoop ??= { at: network.now, origin, nodes: circle.nodes }
    }
    const next = network.nextHops(place)[node]!
    if (next === NOWHERE) return
    if (!network.isLive(node, next)) {
      report.deadHops++
      return
    }
    const own = network.policy(node)?.feasibleDistance?.(origin)
    const theirs = network.policy(next)?.feasibleDistance?.(origin)
    if (own === undefined || theirs === undefined) return
    const order = theirs[0] - own[0] || theirs[1] - own[1] || own[2] - theirs[2]
    if (order <= 0) report.violations++
  }

  const truth = (): void => checkPairs({ network, nodes: topology.nodes, typesOf, nearest: options.nearest, report })
  const separate = options.separate ?? 0
  const healedAt = Math.max(bootMs, applyFaults(network, topology, faults))
  const settledAt = healedAt + SETTLED_AFTER_MS
  const endsAt = settledAt + separate * SEPARATE_EVERY_MS
  const run = (until: number): void => {
    for (let at = Math.min(until, network.now + 1_000); network.now < until; at = Math.min(until, at + 1_000)) {
      network.run(at)
      options.onTime?.(at, endsAt)
    }
  }
  run(settledAt)
  truth()

  // ---- one fault at a time -------------------------------------------------------------------
  if (separate > 0) {
    const kinds = 'count' in options.faults ? options.faults.kinds : undefined
    const planned = planSeparateFaults(
      topology,
      { count: separate, kinds, fromMs: settledAt, everyMs: SEPARATE_EVERY_MS },
      random
    )
    applyFaults(network, topology, planned)
    if (topology.nodes <= MAX_WATCHED_NODES) {
      watch = createPairWatch(network, topology.nodes)
      watch.touchAll()
    }
    const times: number[] = []
    const moments = planned.flatMap(({ atMs, lastsMs }) => [atMs, atMs + lastsMs])
    for (const [index, moment] of moments.entries()) {
      // Up to before the fault, and then until before the next.
      run(moment - BEFORE_MS)
      watch?.begin()
      lastChange = moment
      run((moments[index + 1] ?? endsAt) - BEFORE_MS)
      const found = watch?.findings()
      if (found === undefined) times.push(lastChange - moment)
      else if (found.isWrong) times.push(Infinity)
      else if (found.rightAfterMs > 0) times.push(found.rightAfterMs - BEFORE_MS)
      else report.separate.harmless++
    }
    report.separate.faults = separate
    report.separate.measured = times.length
    report.convergenceMs = { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
    run(endsAt)
    watch = undefined
    truth()
  }
  const { messages, bytes, rows } = network.traffic
  Object.assign(report, { messages, bytes, rows })
  if (options.quiet === false) return report
  network.run(endsAt + QUIET_MS)
  report.quiet = {
    messages: network.traffic.messages - messages,
    bytes: network.traffic.bytes - bytes,
    rows: network.traffic.rows - rows
  }
  return report
}

function chooseOrigins(nodes: number, count: number, random: () => number): number[] {
  const all = Array.from({ length: nodes }, (_, n) => n)
  for (let n = 0; n < count; n++) {
    const other = n + Math.floor(random() * (nodes - n))
    ;[all[n], all[other]] = [all[other]!, all[n]!]
  }
  return all.slice(0, count).sort((a, b) => a - b)
}
