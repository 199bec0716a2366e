/**
 * The ways to carry calls over libp2p, side by side in one process: one multiplexed stream, a pool of warm streams with one call
 * at a time each, and a new stream per call. Two real nodes on loopback; sessions and framing are the product's own in all three.
 */
import { MeshError } from '../../src/errors.ts'
import { createChannel } from '../../src/net/channel.ts'
import { openSession, type Session } from '../../src/net/session.ts'
import { startPair } from '../../test/fixtures/libp2p-pair.ts'
import { median, quantile, round } from './statistics.ts'

const IN_FLIGHT = 32
const SEQUENTIAL = 1_000
const CALLS = { warm: 8_000, fresh: 800 }
const ROUNDS = 3
const body = { text: 'x'.repeat(1_000) }

const PROTOCOL = '/bench/new-stream/1'
type Call = () => Promise<void>
const OVER = new MeshError('cancelled', 'the call is over')

const pair = await startPair()
const handlers = {
  async *b({ body: request }: { body: unknown }): AsyncGenerator<unknown, unknown, void> {
    return Promise.resolve(request)
  }
}

async function callOn(session: Session): Promise<void> {
  for await (const item of session.request(body, {})) void item
}

const now = (): number => performance.now()
await pair.b.handle(
  PROTOCOL,
  async (stream) => void (await openSession({ channel: createChannel(stream), initiator: false, handler: handlers.b, now })),
  { maxInboundStreams: 1_024 }
)
const [one] = await pair.sessions(handlers)
const pool: Session[] = []
for (let n = 0; n < IN_FLIGHT; n++) pool.push((await pair.sessions(handlers))[0])

const ways: Record<string, { call: Call; calls: number }> = {
  multiplexed: { call: () => callOn(one), calls: CALLS.warm },
  pool: {
    async call() {
      const session = pool.pop()!
      await callOn(session)
      pool.push(session)
    },
    calls: CALLS.warm
  },
  newStream: {
    async call() {
      const stream = await pair.connection.newStream(PROTOCOL, { maxOutboundStreams: 1_024 })
      const session = await openSession({ channel: createChannel(stream), initiator: true, handler: handlers.b, now })
      await callOn(session)
      session.abort(OVER)
    },
    calls: CALLS.fresh
  }
}

const samples: Record<string, { p50Ms: number[]; rps32: number[]; cpuUs32: number[] }> = {}
for (let n = 0; n <= ROUNDS; n++) {
  for (const [name, { call, calls }] of Object.entries(ways)) {
    const times: number[] = []
    for (let k = 0; k < Math.min(SEQUENTIAL, calls); k++) {
      const start = performance.now()
      await call()
      times.push(performance.now() - start)
    }
    const cpu = process.cpuUsage()
    const start = performance.now()
    let left = calls
    await Promise.all(
      Array.from({ length: IN_FLIGHT }, async () => {
        while (left-- > 0) await call()
      })
    )
    const took = performance.now() - start
    const { user, system } = process.cpuUsage(cpu)
    // The first round warms up.
    if (n === 0) continue
    const row = (samples[name] ??= { p50Ms: [], rps32: [], cpuUs32: [] })
    row.p50Ms.push(quantile(times, 0.5))
    row.rps32.push((calls / took) * 1_000)
    row.cpuUs32.push((user + system) / calls)
  }
}
await pair.stop()
console.log(
  JSON.stringify(
    Object.fromEntries(
      Object.entries(samples).map(([name, row]) => [
        name,
        { p50Ms: round(median(row.p50Ms)), rps32: Math.round(median(row.rps32)), cpuUs32: Math.round(median(row.cpuUs32)) }
      ])
    )
  )
)
