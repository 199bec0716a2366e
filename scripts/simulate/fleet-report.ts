/** A policy at one load, over all seeds. */
export interface FleetRow {
  policy: string
  /** Share of the capacity of the fleet that is asked for. */
  load: number
  calls: number
  /** Of all calls that were not refused; one that has not ended counts with the time that it has waited. */
  p50Ms: number
  p99Ms: number
  /** `p99Ms` by that of the oracle, if it ran as well. */
  p99OfOracle: number | undefined
  unfinished: number
  /** Refused for good: by all that were tried, or because no retry was left. */
  refused: number
  probesPerCall: number
  attemptsPerCall: number
}

/** All rows, and what they were made with. */
export interface FleetReport {
  fleet: string
  capacityPerSecond: number
  callers: number
  seeds: number[]
  /** Virtual seconds of each run. */
  seconds: number
  slowdowns: boolean
  rows: FleetRow[]
}

const POLICY_WIDTH = 26
const LOAD_WIDTH = 44

/** The report as a table for a terminal: a line for each policy, for each load p50, p99, times of the oracle, refused and probes a call. */
export function formatFleet(report: FleetReport): string {
  const loads = [...new Set(report.rows.map(({ load }) => load))]
  const policies = [...new Set(report.rows.map(({ policy }) => policy))]
  const lines = policies.map((policy) => {
    const cells = loads.map((load) => {
      const row = report.rows.find((other) => other.policy === policy && other.load === load)
      return (row === undefined ? '' : cellOf(row)).padEnd(LOAD_WIDTH)
    })
    return `${policy.padEnd(POLICY_WIDTH)}${cells.join('')}`.trimEnd()
  })
  const heading = `${'p50 / p99'.padEnd(POLICY_WIDTH)}${loads.map((load) => `${Math.round(load * 100)} % load`.padEnd(LOAD_WIDTH)).join('')}`
  const { fleet, capacityPerSecond, callers, seeds, seconds, slowdowns } = report
  return [
    `fleet ${fleet}: ${Math.round(capacityPerSecond)} calls/s, ${callers} callers, ${seconds} s, seeds ${seeds.join(', ')}${slowdowns ? ', with slow-downs' : ''}`,
    heading.trimEnd(),
    ...lines
  ].join('\n')
}

function cellOf({ p50Ms, p99Ms, p99OfOracle, refused, calls, probesPerCall }: FleetRow): string {
  const parts = [`${duration(p50Ms)} / ${duration(p99Ms)}`]
  if (p99OfOracle !== undefined) parts.push(`x${p99OfOracle < 100 ? p99OfOracle.toFixed(2) : Math.round(p99OfOracle)}`)
  if (refused > 0) parts.push(`${((100 * refused) / calls).toFixed(2)} % refused`)
  if (probesPerCall > 0) parts.push(`${probesPerCall.toFixed(2)} probes`)
  return parts.join(', ')
}

function duration(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 0)} s`
}
