import { execFileSync } from 'node:child_process'
import type { Suite } from './suite.ts'

const ENTRY = 'scripts/bench/streams-run.ts'

/** Why calls share one stream: see docs/adr/0002-one-stream.md. */
export const streams: Suite = {
  name: 'streams',
  about: 'one multiplexed stream, a pool of warm streams, a new stream per call: both ends in one process',
  entries: [ENTRY],
  options: [],
  run({ compiled, execArgv }) {
    const out = execFileSync(process.execPath, [...execArgv, compiled[ENTRY]!], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 2]
    })
    const results = JSON.parse(out) as Record<string, { p50Ms: number; rps32: number; cpuUs32: number }>
    const rows = Object.entries(results).map(
      ([name, row]) =>
        `${name.padEnd(12)} ${String(row.p50Ms).padStart(8)} ${String(row.rps32).padStart(10)} ${String(row.cpuUs32).padStart(12)}`
    )
    return Promise.resolve({ results, table: ['way             p50 ms  calls/s32   CPU µs/call', ...rows].join('\n') })
  }
}
