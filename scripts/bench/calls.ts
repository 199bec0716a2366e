import type { Request } from './answer.ts'
import { startChild } from './child.ts'
import type { Child } from './child.ts'
import type { CallsRequest } from './peer.ts'
import type { Sample } from './rival.ts'
import { median, quantile, round } from './statistics.ts'
import type { Suite } from './suite.ts'

type Calls = Request<CallsRequest>

const RIVALS = ['atmo', 'grpc', 'mcpHttp', 'tcp']
const IN_FLIGHT = 32
const WARM_UP_MS = 1_500
const FLOOD_MS = 3_000

interface Pair {
  name: string
  server: Child<Calls>
  client: Child<Calls>
  p50Ms: number[]
  p99Ms: number[]
  rps32: number[]
  cpuOne: { client: number; server: number }[]
  cpu32: { client: number; server: number }[]
}

/** The figures of one rival. */
export interface CallFigures {
  p50Ms: number
  p99Ms: number
  rps32: number
  /** CPU time a call, with one call at a time. */
  cpuUsPerCall: { client: number; server: number }
  /** The same with 32 in flight. */
  cpuUsPerCall32: { client: number; server: number }
}

async function start(name: string, peer: string, execArgv: string[]): Promise<Pair> {
  const server = await startChild<Calls>(peer, ['serve', name], execArgv)
  const client = await startChild<Calls>(peer, ['connect', name, String(server.ready['address'])], execArgv)
  return { name, server, client, p50Ms: [], p99Ms: [], rps32: [], cpuOne: [], cpu32: [] }
}

async function ask(pair: Pair, request: Calls): Promise<{ sample: Sample; cpu: { client: number; server: number } }> {
  const before = await pair.server.ask<number>({ do: 'cpu' })
  const sample = await pair.client.ask<Sample>(request)
  const server = (await pair.server.ask<number>({ do: 'cpu' })) - before
  return { sample, cpu: { client: round(sample.cpuUs / sample.calls, 0), server: round(server / sample.calls, 0) } }
}

async function measureRound(pair: Pair, calls: number): Promise<void> {
  const one = await ask(pair, { do: 'latency', calls })
  pair.p50Ms.push(quantile(one.sample.latenciesMs, 0.5))
  pair.p99Ms.push(quantile(one.sample.latenciesMs, 0.99))
  pair.cpuOne.push(one.cpu)
  const many = await ask(pair, { do: 'flood', ms: FLOOD_MS, inFlight: IN_FLIGHT })
  pair.rps32.push(many.sample.calls / (many.sample.elapsedMs / 1_000))
  pair.cpu32.push(many.cpu)
}

const middle = (samples: { client: number; server: number }[]): { client: number; server: number } => ({
  client: median(samples.map((sample) => sample.client)),
  server: median(samples.map((sample) => sample.server))
})

function figures(pair: Pair): CallFigures {
  return {
    p50Ms: round(median(pair.p50Ms)),
    p99Ms: round(median(pair.p99Ms)),
    rps32: round(median(pair.rps32), 0),
    cpuUsPerCall: middle(pair.cpuOne),
    cpuUsPerCall32: middle(pair.cpu32)
  }
}

function table(results: Record<string, CallFigures>): string {
  const rows = Object.entries(results).map(([name, f]) =>
    [
      name.padEnd(8),
      f.p50Ms.toFixed(3).padStart(8),
      f.p99Ms.toFixed(3).padStart(8),
      String(f.rps32).padStart(9),
      `${f.cpuUsPerCall.client}+${f.cpuUsPerCall.server}`.padStart(12),
      `${f.cpuUsPerCall32.client}+${f.cpuUsPerCall32.server}`.padStart(12)
    ].join('  ')
  )
  const head = `${'rival'.padEnd(8)}    p50 ms    p99 ms   calls/s32      CPU µs 1    CPU µs 32   (client+server)`
  return [head, ...rows].join('\n')
}

/**
 * A 1 kB call there and back between two processes, against other ways of doing it.
 * Rounds are interleaved, each starting with another rival, and every figure is the median over the rounds:
 * what else the machine does hits all alike.
 */
export const calls: Suite = {
  name: 'calls',
  about: 'a 1 kB call between two processes: atmo, gRPC, MCP over HTTP, raw TCP JSON [--rounds N] [--calls N] [--only a,b]',
  entries: ['scripts/bench/peer.ts'],
  options: ['rounds', 'calls', 'only'],
  async run({ compiled, option, execArgv, log }) {
    const rounds = Number(option('rounds') ?? 5)
    const callsARound = Number(option('calls') ?? 1_000)
    const names = option('only')?.split(',') ?? RIVALS
    const pairs: Pair[] = []
    try {
      for (const name of names) {
        const pair = await start(name, compiled['scripts/bench/peer.ts'] ?? '', execArgv)
        log(`${name}: ${String(pair.server.ready['settings'])}`)
        pairs.push(pair)
      }
      for (const pair of pairs) await ask(pair, { do: 'flood', ms: WARM_UP_MS, inFlight: IN_FLIGHT })
      for (let i = 0; i < rounds; i++) {
        for (let k = 0; k < pairs.length; k++) {
          const pair = pairs[(i + k) % pairs.length]
          if (pair !== undefined) await measureRound(pair, callsARound)
        }
        log(`round ${i + 1} of ${rounds} done`)
      }
      const results = Object.fromEntries(pairs.map((pair) => [pair.name, figures(pair)]))
      return { results, table: table(results) }
    } finally {
      await Promise.all(pairs.flatMap((pair) => [pair.client.stop(), pair.server.stop()]))
    }
  }
}
