import { execFileSync } from 'node:child_process'
import { round } from './statistics.ts'
import type { Suite } from './suite.ts'

const ENTRY = 'scripts/bench/connect-run.ts'

/** What the proof of membership costs a connection: docs/adr/0010-admission-gate.md. */
export const connect: Suite = {
  name: 'connect',
  about: 'a bare dial of libp2p and one until both sides have admitted each other: both ends in one process, TCP and TLS',
  entries: [ENTRY],
  options: [],
  run({ compiled, execArgv }) {
    const out = execFileSync(process.execPath, [...execArgv, compiled[ENTRY]!], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 2]
    })
    const results = JSON.parse(out) as Record<'bare' | 'proved', { p50Ms: number; p99Ms: number; cpuUs: number }>
    const rows = Object.entries(results).map(
      ([name, row]) =>
        `${name.padEnd(8)} ${String(row.p50Ms).padStart(9)} ${String(row.p99Ms).padStart(9)} ${String(row.cpuUs).padStart(9)}`
    )
    const { bare, proved } = results
    const ratio = `the proof adds ${round(proved.p50Ms - bare.p50Ms, 2)} ms: ${round(proved.p50Ms / bare.p50Ms, 2)} of a bare dial`
    return Promise.resolve({ results, table: ['way         p50 ms    p99 ms    CPU µs', ...rows, ratio].join('\n') })
  }
}
