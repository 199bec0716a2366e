/** Many networks and faults, until so many next hops have been chosen: no loop, no ghost, every connected pair right. */
import { FAULT_KINDS } from './faults.ts'
import { isSound, type RoutingReport } from './routing-report.ts'
import { simulateRouting, type RoutingOptions } from './routing.ts'
import type { CreatePolicy } from './policies/policy.ts'
import { TOPOLOGIES } from './topologies.ts'

/** Nodes of the networks, by topology: one size and the other in turn, or the first alone. */
const SIZES: Readonly<Record<string, readonly number[]>> = {
  line: [10, 20],
  ring: [12, 24],
  tree: [40, 80],
  grid: [49, 100],
  lans: [30, 50],
  geometric: [30, 60],
  random: [50, 100]
}
/** Of each network so many nodes are wanted by the others. */
export const STRESS_ORIGINS = 20
const EVERY_MS = 300

const SUMMED = [
  'nodes',
  'faults',
  'selections',
  'loops',
  'deadHops',
  'deadCircles',
  'ghosts',
  'violations',
  'pairs',
  'correct',
  'short',
  'messages',
  'bytes'
] as const

/** What to run. */
export interface StressOptions {
  selections: number
  /** Of the first network; each has the next one. */
  seed: number
  createPolicy: CreatePolicy
  faultsEach: number
  /** Ends after this time of the clock, ms, whatever has been done. */
  maxMs: number
  onRun?: (run: RoutingReport, selections: number) => void
  /** The smaller networks alone: more selections in less time. */
  isQuick?: boolean
  /** Goes on after a network in which something was wrong. Default: no. */
  goOn?: boolean
}

/** The sum of all networks. */
export interface StressReport {
  networks: number
  nodes: number
  faults: number
  selections: number
  loops: number
  deadHops: number
  deadCircles: number
  ghosts: number
  violations: number
  pairs: number
  correct: number
  short: number
  messages: number
  bytes: number
  /** Networks with something wrong, to run again. */
  failed: { nodes: number; topology: string; seed: number; report: RoutingReport }[]
  isDone: boolean
}

/** The options of one network of the stress. */
export function stressOptions(
  topology: string,
  seed: number,
  createPolicy: CreatePolicy,
  faults: number,
  isQuick = true
): RoutingOptions {
  const sizes = SIZES[topology]!
  return {
    topology,
    nodes: sizes[isQuick ? 0 : seed % sizes.length]!,
    seed,
    createPolicy,
    origins: STRESS_ORIGINS,
    faults: { count: faults, kinds: FAULT_KINDS, everyMs: EVERY_MS },
    quiet: false
  }
}

/** Runs it. */
export function runStress({
  selections,
  seed,
  createPolicy,
  faultsEach,
  maxMs,
  onRun,
  isQuick = false,
  goOn = false
}: StressOptions): StressReport {
  const endsAt = performance.now() + maxMs
  const sum: StressReport = {
    networks: 0,
    nodes: 0,
    faults: 0,
    selections: 0,
    loops: 0,
    deadHops: 0,
    deadCircles: 0,
    ghosts: 0,
    violations: 0,
    pairs: 0,
    correct: 0,
    short: 0,
    messages: 0,
    bytes: 0,
    failed: [],
    isDone: false
  }
  // Each topology at least once, whatever the number.
  for (let turn = 0; !sum.isDone; turn++) {
    for (const topology of Object.keys(TOPOLOGIES)) {
      if (performance.now() > endsAt) return { ...sum, isDone: sum.selections >= selections }
      const options = stressOptions(topology, seed + turn, createPolicy, faultsEach, isQuick)
      const report = simulateRouting(options)
      sum.networks++
      for (const key of SUMMED) sum[key] += report[key]
      onRun?.(report, sum.selections)
      if (isSound(report)) continue
      sum.failed.push({ nodes: options.nodes, topology, seed: options.seed, report })
      if (!goOn) return sum
    }
    sum.isDone = sum.selections >= selections
  }
  return sum
}
