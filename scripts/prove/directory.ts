/** Ten hosts: how long until a capability is seen everywhere, until its withdrawal is, and until a dead or unplugged node is gone everywhere. */
import { allSeeAll, clock, createFleet, quantile, type FleetNode } from './fleet.ts'

/** @param nodes hosts. @param changes registrations, and as many withdrawals. */
export async function proveDirectory({
  nodes: count = 10,
  changes = 100
}: { nodes?: number; changes?: number } = {}): Promise<object> {
  const fleet = await createFleet(Array.from({ length: count }, () => ({})))
  try {
    const { nodes } = fleet
    await Promise.all(nodes.map((node) => node.ask('start', { name: node.name })))
    await allSeeAll(nodes, 30_000)
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
    const victim = nodes[count - 1]!
    const survivors = nodes.slice(0, -1)
    const killedAt = clock()
    await victim.process.end('SIGKILL')
    const killed = (
      await moments(survivors, (e) => e.seen === 'peer:leave' && e.peerId === victim.peerId, 'the killed node gone')
    ).map((t) => t - killedAt)

    const unplugged = nodes[count - 2]!
    const rest = nodes.slice(0, -2)
    const pulledAt = clock()
    fleet.lab.cable(fleet.lab.hosts[count - 2]!, false)
    const pulled = (
      await moments(rest, (e) => e.seen === 'peer:leave' && e.peerId === unplugged.peerId, 'the unplugged node gone')
    ).map((t) => t - pulledAt)
    const result = {
      nodes: count,
      changes,
      visibleMs: spread(seen),
      withdrawnMs: spread(gone),
      killedGoneMs: spread(killed),
      unpluggedGoneMs: spread(pulled)
    }
    return {
      ...result,
      pass:
        result.visibleMs.p99 < 500 &&
        result.withdrawnMs.p99 < 500 &&
        result.killedGoneMs.max < 1_000 &&
        result.unpluggedGoneMs.max < 12_000
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
