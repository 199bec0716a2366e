/** One gigabyte offered to a reader that takes one megabyte a second: the memory of both processes. */
import { allSeeAll, createFleet, type FleetNode } from './fleet.ts'

const MB = 1024 * 1024

/** @param seconds how long the reader reads. */
export async function proveSlowConsumer({ seconds = 30 }: { seconds?: number } = {}): Promise<object> {
  const fleet = await createFleet([{}, {}])
  try {
    const [provider, consumer] = fleet.nodes as [FleetNode, FleetNode]
    await Promise.all(fleet.nodes.map((node) => node.ask('start', { name: node.name })))
    await allSeeAll(fleet.nodes, 20_000)
    await provider.ask('register', { id: 'source' })
    await consumer.saw((e) => e.seen === 'capability:available' && e.id === 'source', 10_000, 'the source')
    const rss = async (node: FleetNode): Promise<number> => (await node.ask<{ rss: number }>('usage')).rss
    const idle = [await rss(provider), await rss(consumer)] as const
    const peak = [0, 0]
    let reading = true
    const read = consumer
      .ask<{ bytes: number; ms: number }>(
        'consume',
        { target: 'source', input: { bytes: 1024 * MB }, bytesPerSecond: MB, seconds },
        (seconds + 30) * 1_000
      )
      .finally(() => (reading = false))
    while (reading) {
      peak[0] = Math.max(peak[0]!, (await rss(provider)) - idle[0])
      peak[1] = Math.max(peak[1]!, (await rss(consumer)) - idle[1])
      await Promise.race([read, new Promise((resolve) => setTimeout(resolve, 250))])
    }
    const { bytes, ms } = await read
    await provider.saw(({ event }) => event === 'source-ended', 5_000, 'the source told to stop')
    const overMb = peak.map((value) => Math.round((value / MB) * 10) / 10)
    return {
      readMb: bytes / MB,
      seconds: ms / 1_000,
      idleRssMb: { provider: Math.round(idle[0] / MB), consumer: Math.round(idle[1] / MB) },
      peakOverIdleMb: { provider: overMb[0], consumer: overMb[1] },
      sourceStopped: true,
      pass: overMb.every((value) => value < 64)
    }
  } finally {
    await fleet.close()
  }
}
