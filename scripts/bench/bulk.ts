import type { Request } from './answer.ts'
import type { BulkRequest, BulkSample } from './bulk-peer.ts'
import { startChild } from './child.ts'
import type { Child } from './child.ts'
import { median, round } from './statistics.ts'
import type { Suite } from './suite.ts'

type Bulk = Request<BulkRequest>

const RIVALS = ['atmo', 'libp2pTls', 'libp2pNoise']
const MIB = 1024 * 1024
const WARM_UP_MIB = 1024
const PEER = 'scripts/bench/bulk-peer.ts'

interface Pair {
  name: string
  server: Child<Bulk>
  client: Child<Bulk>
  mibPerS: number[]
  /** Both processes. */
  cpuUsPerMib: number[]
}

async function start(name: string, peer: string, execArgv: string[]): Promise<Pair> {
  const server = await startChild<Bulk>(peer, ['serve', name], execArgv)
  const client = await startChild<Bulk>(peer, ['connect', name, String(server.ready['address'])], execArgv)
  return { name, server, client, mibPerS: [], cpuUsPerMib: [] }
}

async function measureRound(pair: Pair, mib: number): Promise<void> {
  const before = await pair.server.ask<number>({ do: 'cpu' })
  const { elapsedMs, cpuUs } = await pair.client.ask<BulkSample>({ do: 'read', bytes: mib * MIB })
  const serverUs = (await pair.server.ask<number>({ do: 'cpu' })) - before
  pair.mibPerS.push(mib / (elapsedMs / 1_000))
  pair.cpuUsPerMib.push((cpuUs + serverUs) / mib)
}

/** One streamed call against libp2p's own stream, on TCP with TLS and with noise, yamux on both; rounds interleaved, median of rounds. */
export const bulk: Suite = {
  name: 'bulk',
  about: "MiB/s of one streamed call against libp2p's own stream [--rounds N] [--mib N] [--only a,b]",
  entries: [PEER],
  options: ['rounds', 'mib', 'only'],
  async run({ compiled, option, execArgv, log }) {
    const rounds = Number(option('rounds') ?? 7)
    const mib = Number(option('mib') ?? 256)
    const pairs: Pair[] = []
    try {
      for (const name of option('only')?.split(',') ?? RIVALS) pairs.push(await start(name, compiled[PEER] ?? '', execArgv))
      // Chunks are few and large: what runs per chunk is compiled only after a gigabyte.
      for (const pair of pairs) await pair.client.ask({ do: 'read', bytes: WARM_UP_MIB * MIB })
      for (let i = 0; i < rounds; i++) {
        for (let k = 0; k < pairs.length; k++) {
          const pair = pairs[(i + k) % pairs.length]
          if (pair !== undefined) await measureRound(pair, mib)
        }
        log(`round ${i + 1} of ${rounds} done`)
      }
      const speeds = new Map(pairs.map(({ name, mibPerS }) => [name, median(mibPerS)]))
      // Null where `--only` left one of the two out.
      const ratio = (to: string): number | null => {
        const [ours, theirs] = [speeds.get('atmo'), speeds.get(to)]
        return ours === undefined || theirs === undefined ? null : round(ours / theirs, 2)
      }
      const results = {
        ...Object.fromEntries(
          pairs.map(({ name, mibPerS, cpuUsPerMib }) => [
            name,
            { mibPerS: round(median(mibPerS), 1), cpuUsPerMib: round(median(cpuUsPerMib), 0) }
          ])
        ),
        ratioToTls: ratio('libp2pTls'),
        ratioToNoise: ratio('libp2pNoise')
      }
      const rows = pairs.map(
        ({ name, cpuUsPerMib }) =>
          `${name.padEnd(12)} ${(speeds.get(name) ?? 0).toFixed(1).padStart(8)} MiB/s ${median(cpuUsPerMib).toFixed(0).padStart(8)} µs CPU/MiB`
      )
      return { results, table: [...rows, `atmo is ${ratio('libp2pTls')} of tls, ${ratio('libp2pNoise')} of noise`].join('\n') }
    } finally {
      await Promise.all(pairs.flatMap(({ client, server }) => [client.stop(), server.stop()]))
    }
  }
}
