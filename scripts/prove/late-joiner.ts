/** Fifty hosts that know each other; one more comes: how long until it has the whole directory. */
import { clock, createFleet, quantile, type FleetNode } from './fleet.ts'
import { connected } from './started-fleet.ts'

/** @param nodes hosts before the late one. @param joins how often one joins and leaves. */
export async function proveLateJoiner({
  nodes: count = 50,
  joins = 5
}: { nodes?: number; joins?: number } = {}): Promise<object> {
  const fleet = await createFleet(Array.from({ length: count + 1 }, () => ({ linkLocal6: false })))
  try {
    const old = fleet.nodes.slice(0, count)
    await fleet.nodes[count]!.process.end('SIGKILL')
    for (const [n, node] of old.entries()) {
      await node.ask('start', { name: node.name, watch: false })
      // One after the other: the 1,225 handshakes of fifty hosts at once are more than a machine with two cores can do in time.
      await connected(node, n)
      for (const k of [1, 2]) await node.ask('register', { id: `${node.name}-${k}` })
    }
    await settle(old, (count - 1) * 2)
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

const SETTLED_WITHIN_MS = 180_000
const PROGRESS_MS = 5_000

/** How often the nodes are asked how far they are, in ms: they are not told to watch, which would cost them what is measured later. */
const POLL_MS = 100

/** Waits until every node knows that many capabilities of others; says how far they are. */
async function settle(nodes: FleetNode[], capabilities: number): Promise<void> {
  const deadline = clock() + SETTLED_WITHIN_MS
  let sayAt = clock()
  for (;;) {
    const known: number[] = []
    // One after the other: fifty nodes at work on two cores have better to do than to answer.
    for (const node of nodes) known.push((await node.ask<{ capabilities: { remote: number } }>('status')).capabilities.remote)
    const done = known.filter((n) => n >= capabilities).length
    if (done === nodes.length) return
    if (clock() > sayAt) {
      process.stderr.write(`${done} of ${nodes.length} nodes know all; the last knows ${Math.min(...known)} of ${capabilities}\n`)
      sayAt = clock() + PROGRESS_MS
    }
    if (clock() > deadline) throw new Error(`after ${SETTLED_WITHIN_MS} ms not every node knew all: ${known.join(' ')}`)
    // Rarer, because each round asks all of them.
    await new Promise((resolve) => setTimeout(resolve, 5 * POLL_MS))
  }
}
