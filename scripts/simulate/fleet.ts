import { POLICIES } from './fleet-policies.ts'
import { HETERO } from './fleet-provider.ts'
import type { FleetReport, FleetRow } from './fleet-report.ts'
import { runWorld, type WorldInit } from './fleet-world.ts'

export { formatFleet } from './fleet-report.ts'
export type { FleetReport, FleetRow } from './fleet-report.ts'

/** Callers of the fleet, each with its own view; and how often providers announce their load. */
const CALLERS = 10
const HEARTBEAT_MS = 15_000

/** What to simulate. Default: all policies at the loads and length of the design, three seeds. */
export interface FleetOptions {
  /** Shares of the capacity of the fleet. */
  loads?: number[]
  policies?: string[]
  seeds?: number[]
  /** Virtual seconds of each run. */
  seconds?: number
  /** Each provider is four times as slow for 20 s, about every 180 s. */
  slowdowns?: boolean
}

/** Simulates the dispatch of calls in a mixed fleet under several policies; the same seed gives the same rows. @throws Error for an unknown policy. */
export async function runFleet(options: FleetOptions = {}): Promise<FleetReport> {
  const { loads = [0.3, 0.6, 0.85], policies = Object.keys(POLICIES), seeds = [1, 2, 3] } = options
  const { seconds = 240, slowdowns = false } = options
  const capacityPerSecond = HETERO.reduce((sum, { count, slots, serviceMs }) => sum + (count * slots * 1_000) / serviceMs, 0)
  const common = { fleet: HETERO, callers: CALLERS, seconds, heartbeatMs: HEARTBEAT_MS, slowdowns }
  const rows: FleetRow[] = []
  for (const load of loads) {
    const ofLoad: FleetRow[] = []
    for (const policy of policies) {
      ofLoad.push(runPolicy(policy, load, { ...common, rate: load * capacityPerSecond }, seeds))
      // A run blocks for a second: whoever shows progress or was interrupted gets a turn.
      await new Promise((resolve) => setImmediate(resolve))
    }
    const oracleMs = ofLoad.find(({ policy }) => policy === 'oracle')?.p99Ms
    for (const row of ofLoad) if (oracleMs !== undefined) row.p99OfOracle = row.p99Ms / oracleMs
    rows.push(...ofLoad)
  }
  return { fleet: 'hetero', capacityPerSecond, callers: CALLERS, seeds, seconds, slowdowns, rows }
}

function runPolicy(policy: string, load: number, init: Omit<WorldInit, 'seed'>, seeds: number[]): FleetRow {
  const create = POLICIES[policy]
  if (create === undefined) throw new Error(`no policy "${policy}"; there are: ${Object.keys(POLICIES).join(', ')}`)
  const times: number[] = []
  let [count, unfinished, refused, probes, attempts] = [0, 0, 0, 0, 0]
  for (const seed of seeds) {
    const { calls, world, endMs } = runWorld({ ...init, seed }, create)
    count += calls.length
    probes += world.sent.probes
    attempts += world.sent.attempts
    for (const { tookMs, startedAt } of calls) {
      const isRefused = tookMs === Infinity
      const isUnfinished = Number.isNaN(tookMs)
      if (isRefused) refused++
      else times.push(isUnfinished ? endMs - startedAt : tookMs)
      if (isUnfinished) unfinished++
    }
  }
  const sorted = Float64Array.from(times).sort()
  const quantile = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? NaN
  return {
    policy,
    load,
    calls: count,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    p99OfOracle: undefined,
    unfinished,
    refused,
    probesPerCall: probes / count,
    attemptsPerCall: attempts / count
  }
}
