/** `npm run simulate` without a mode: one network, and when something is wrong, the faults that it takes. */
import { readFileSync } from 'node:fs'
import { UsageError, type SimulateArguments } from './arguments.ts'
import { FAULT_KINDS, type Fault } from './faults.ts'
import { createGradientPolicy } from './policies/gradient.ts'
import { POLICIES } from './policies/index.ts'
import { isSound, type RoutingReport } from './routing-report.ts'
import { LARGE_NODES, SETTLED_AFTER_MS, faultsOf, simulateRouting, type RoutingOptions } from './routing.ts'
import { shrink } from './shrink.ts'
import { TOPOLOGIES } from './topologies.ts'

/** Of a large network; see {@link LARGE_NODES}. */
const PROVIDER_SHARE = 0.1057
/** With fewer, the nearest of a type are farther than routes go, 64 hops. */
const LEAST_PER_TYPE = 50
/** One more of each type is told than is wanted, and one less must be there (I8): order has some slack. */
const SLACK = 1
const SEPARATE_FAULTS = 30
const EVERY_MS = 300
/** A large network without faults is looked at after 25 s: what the design measured is the start and 20 s. */
const LEFT_ALONE_MS = 25_000

/** A run that can be made again: what `--replay` takes. */
export interface Replay {
  nodes: number
  topology: string
  seed: number
  origins?: number
  policy: string
  faults: readonly Fault[]
}

/** What a run has cost: CPU time, which says something also where others use the machine, and the most memory. */
export interface RunCost {
  cpuSeconds: number
  maxRssMb: number
}

/** A report, and what it cost. */
export type OneReport = RoutingReport & RunCost & { policy: string; replay?: Replay }

/** Of this process until now. */
export function costOf(): RunCost {
  const used = process.cpuUsage()
  return {
    cpuSeconds: Math.round((used.user + used.system) / 1e5) / 10,
    maxRssMb: Math.round(process.resourceUsage().maxRSS / 1_024)
  }
}

/** Runs it. @throws UsageError for a replay that is none. */
export function runOne(args: SimulateArguments, progress: (text: string) => void): OneReport {
  const replay = args.replay === undefined ? undefined : readReplay(args.replay)
  const policy = replay?.policy ?? args.policy
  const nodes = replay?.nodes ?? args.nodes
  const isLarge = nodes >= LARGE_NODES
  const origins = replay?.origins ?? args.origins ?? (isLarge ? Math.round(nodes * PROVIDER_SHARE) : undefined)
  const options: RoutingOptions = {
    nodes,
    topology: replay?.topology ?? args.topology,
    seed: replay?.seed ?? args.seed,
    createPolicy:
      isLarge && policy === 'gradient'
        ? createGradientPolicy({ maxTold: 0, nearestPerType: args.nearest + SLACK })
        : POLICIES[policy]!,
    origins,
    types: isLarge ? Math.max(1, Math.min(20, Math.floor(origins! / LEAST_PER_TYPE))) : undefined,
    faults: replay?.faults ?? { count: args.faults, kinds: args.kinds, everyMs: EVERY_MS },
    separate: replay === undefined && args.faults > 0 ? (isLarge ? SEPARATE_FAULTS / 10 : SEPARATE_FAULTS) : 0,
    nearest: isLarge ? args.nearest - SLACK : undefined,
    bootMs: isLarge && args.faults === 0 && replay === undefined ? LEFT_ALONE_MS - SETTLED_AFTER_MS : undefined,
    quiet: !isLarge,
    onTime: (now, until) => progress(`${Math.round(now / 1_000)} of ${Math.round(until / 1_000)} s`)
  }
  const report = simulateRouting(options)
  const full: OneReport = { ...report, policy, ...costOf() }
  if (policy !== 'gradient' || isSound(report) || isLarge) return full
  const planned = faultsOf(options)
  const run = (faults: readonly Fault[]): boolean =>
    !isSound(simulateRouting({ ...options, faults, separate: 0, quiet: false, onTime: undefined }))
  progress('something is wrong; leaving out faults')
  // What only the faults that come one at a time have shown cannot be shrunk.
  const faults = run(planned) ? shrink(planned, run) : planned
  full.replay = {
    nodes,
    topology: options.topology as string,
    seed: options.seed,
    ...(origins !== undefined && { origins }),
    policy,
    faults
  }
  return full
}

function readReplay(given: string): Replay {
  let found: Partial<Replay & { replay: Replay }>
  try {
    found = JSON.parse(given.trimStart().startsWith('{') ? given : readFileSync(given, 'utf8')) as typeof found
  } catch (error) {
    throw new UsageError(`--replay takes a file or JSON: ${(error as Error).message}`)
  }
  const replay = found.replay ?? found
  const isWhole = (value: unknown): boolean => Number.isSafeInteger(value)
  const ok =
    isWhole(replay.nodes) &&
    isWhole(replay.seed) &&
    Object.hasOwn(TOPOLOGIES, replay.topology ?? '') &&
    Object.hasOwn(POLICIES, replay.policy ?? '') &&
    Array.isArray(replay.faults) &&
    replay.faults.every(
      (fault: Fault) =>
        FAULT_KINDS.includes(fault.kind) &&
        [fault.atMs, fault.lastsMs, fault.target, fault.amount].every((value) => Number.isFinite(value))
    )
  if (!ok) throw new UsageError('--replay takes {nodes, topology, seed, policy, faults: [{kind, atMs, lastsMs, target, amount}]}')
  return replay as Replay
}
