/** Fifty hosts that know each other; one more comes: how long until it has the whole directory. */
import { clock, createFleet, quantile } from './fleet.ts'

/** @param nodes hosts before the late one. @param joins how often one joins and leaves. */
export async function proveLateJoiner({
  nodes: count = 50,
  joins = 5
}: { nodes?: number; joins?: number } = {}): Promise<object> {
  const fleet = await createFleet(Array.from({ length: count + 1 }, () => ({})))
  try {
    const old = fleet.nodes.slice(0, count)
    await fleet.nodes[count]!.process.end('SIGKILL')
    for (const node of old) {
      await node.ask('start', { name: node.name, watch: false })
      for (const k of [1, 2]) await node.ask('register', { id: `${node.name}-${k}` })
    }
    const settledBy = clock() + 120_000
    for (const node of old) {
      while ((await node.ask<{ capabilities: { remote: number } }>('status')).capabilities.remote < (count - 1) * 2) {
        if (clock() > settledBy) throw new Error(`${node.name} never saw everything`)
      }
    }
    const known: number[] = []
    for (let n = 0; n < joins; n++) {
      const late = fleet.spawn(count)
      await late.saw(({ event }) => event === 'hello', 60_000, 'hello')
      const began = clock()
      await late.ask('start', { name: `late-${n}` })
      const want = old.flatMap(({ name }) => [`${name}-1`, `${name}-2`])
      const times = await Promise.all(
        want.map(async (id) => (await late.saw((e) => e.seen === 'capability:available' && e.id === id, 30_000, id)).t)
      )
      const first = late.process.events.find((e) => e.seen === 'peer:join')!.t
      known.push(Math.max(...times) - first)
      process.stderr.write(
        `join ${n + 1}: ${(Math.max(...times) - began).toFixed(0)} ms after its start, ${known.at(-1)!.toFixed(0)} ms after its first neighbour\n`
      )
      await late.process.end('SIGKILL')
    }
    return {
      nodes: count,
      capabilities: count * 2,
      wholeDirectoryMs: { p50: quantile(known, 0.5), max: Math.max(...known) },
      pass: Math.max(...known) < 1_000
    }
  } finally {
    await fleet.close()
  }
}
