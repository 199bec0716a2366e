/** Hosts that know each other: how long until a capability is seen everywhere, until its withdrawal is, and until a node is gone everywhere that leaves, dies or loses its power. */
import { clock, quantile, type FleetNode } from './fleet.ts'
import { startFleet } from './started-fleet.ts'

/** What is promised of fifty nodes in one network, in ms. */
const PROMISED_MS = { visible: 250, withdrawn: 250, left: 250, killed: 500, unplugged: 12_000 } as const

/** @param nodes hosts. @param changes registrations, and as many withdrawals. @param settle seconds before the first: many that share two cores are busy for a while with having started. */
export async function proveDirectory({
  nodes: count = 10,
  changes = 100,
  settle = 0
}: { nodes?: number; changes?: number; settle?: number } = {}): Promise<object> {
  const fleet = await startFleet(count)
  try {
    await new Promise((resolve) => setTimeout(resolve, settle * 1_000))
    const { nodes } = fleet
    const seen: number[] = []
    const gone: number[] = []
    for (let n = 0; n < changes; n++) {
      const owner = nodes[n % count]!
      const others = nodes.filter((node) => node !== owner)
      const id = `thing-${n}`
      const { at } = await owner.ask<{ at: number }>('register', { id })
      seen.push(...(await moments(others, (e) => e.seen === 'capability:available' && e.id === id, id)).map((t) => t - at))
      const removed = await owner.ask<{ at: number }>('remove', { id })
      gone.push(...(await moments(others, (e) => e.seen === 'capability:removed' && e.id === id, id)).map((t) => t - removed.at))
    }
    /** How long the others see a node after its end has begun. */
    const end = async (name: string, begin: (node: FleetNode, index: number) => unknown): Promise<number[]> => {
      const node = nodes.pop()!
      const at = clock()
      // Not waited for: the end of a process takes longer than that of its node.
      Promise.resolve(begin(node, nodes.length)).catch(() => undefined)
      return (
        await moments(nodes, (e) => e.seen === 'peer:leave' && e.peerId === node.peerId && e.t >= at, `the ${name} node gone`)
      ).map((t) => t - at)
    }
    const left = await end('leaving', (node) => node.ask('stop'))
    const killed = await end('killed', (node) => node.process.end('SIGKILL'))
    const unplugged = await end('unplugged', (_, index) => fleet.lab.cable(fleet.lab.hosts[index]!, false))
    const result = {
      nodes: count,
      changes,
      visibleMs: spread(seen),
      withdrawnMs: spread(gone),
      leftMs: spread(left),
      killedGoneMs: spread(killed),
      unpluggedGoneMs: spread(unplugged)
    }
    return {
      ...result,
      pass:
        result.visibleMs.p99 <= PROMISED_MS.visible &&
        result.withdrawnMs.p99 <= PROMISED_MS.withdrawn &&
        result.leftMs.max <= PROMISED_MS.left &&
        result.killedGoneMs.max <= PROMISED_MS.killed &&
        result.unpluggedGoneMs.max <= PROMISED_MS.unplugged
    }
  } finally {
    await fleet.close()
  }
}

async function moments(nodes: FleetNode[], fits: Parameters<FleetNode['saw']>[0], what: string): Promise<number[]> {
  return Promise.all(nodes.map(async (node) => (await node.saw(fits, 30_000, what)).t))
}

function spread(samples: number[]): { p50: number; p99: number; max: number } {
  return { p50: quantile(samples, 0.5), p99: quantile(samples, 0.99), max: Math.max(...samples) }
}
