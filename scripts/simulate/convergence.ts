/** How long a large network needs to get over one event, many times: what the design asks of 1,000 nodes (routing.md 3.4). */
import { runEvent, type TableEvent } from './event-run.ts'
import { createGradientPolicy } from './policies/gradient.ts'
import { quantile } from './routing-report.ts'

/** Nodes, if nothing is said. */
export const CONVERGENCE_NODES = 1_000
const BOOT_MS = 15_000
const WATCH_MS = 15_000

/** What happens, and how long it may take, ms. */
const EVENTS: readonly { event: TableEvent; limitMs: number }[] = [
  { event: 'provider dies', limitMs: 1_500 },
  { event: 'link fails', limitMs: 1_000 },
  { event: 'partition heals', limitMs: 2_000 }
]

/** What one event took, over all seeds, in ms; Infinity: not right again while it was watched. */
export interface ConvergenceResult {
  event: TableEvent
  limitMs: number
  runs: number
  p50: number
  p99: number
  loopMs: number
  /** Of a run, on average. */
  messages: number
  holds: boolean
}

/** Runs it: 20 providers, and each event once with each seed. */
export function runConvergence(
  { nodes, topology, seeds }: { nodes: number; topology: string; seeds: readonly number[] },
  onRun: (text: string) => void = () => {}
): ConvergenceResult[] {
  return EVENTS.map(({ event, limitMs }) => {
    const runs = seeds.map((seed) => {
      onRun(`${event}: seed ${seed}`)
      return runEvent({ topology, nodes, event, seed, createPolicy: createGradientPolicy(), bootMs: BOOT_MS, watchMs: WATCH_MS })
    })
    const times = runs.map(({ rightMs }) => rightMs)
    const loopMs = runs.reduce((sum, run) => sum + run.loopMs, 0)
    const p99 = quantile(times, 0.99)
    return {
      event,
      limitMs,
      runs: runs.length,
      p50: quantile(times, 0.5),
      p99,
      loopMs,
      messages: Math.round(runs.reduce((sum, run) => sum + run.messages, 0) / runs.length),
      holds: p99 <= limitMs && loopMs === 0
    }
  })
}
