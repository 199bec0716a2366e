/** Ten hosts that have nothing to do: CPU, memory and bytes of each. */
import { allSeeAll, createFleet } from './fleet.ts'

/** @param seconds how long they are watched, after `settle` seconds. */
export async function proveIdle({
  nodes: count = 10,
  seconds = 60,
  settle = 15
}: { nodes?: number; seconds?: number; settle?: number } = {}): Promise<object> {
  const fleet = await createFleet(Array.from({ length: count }, () => ({})))
  try {
    const { nodes, lab } = fleet
    await Promise.all(nodes.map((node) => node.ask('start', { name: node.name })))
    await allSeeAll(nodes, 30_000)
    for (const node of nodes) for (const k of [1, 2, 3]) await node.ask('register', { id: `${node.name}-${k}` })
    await new Promise((resolve) => setTimeout(resolve, settle * 1_000))
    const sample = async (): Promise<{ cpuUs: number; rss: number; bytes: number }[]> =>
      Promise.all(
        nodes.map(async (node, n) => {
          const { cpuUs, rss } = await node.ask<{ cpuUs: number; rss: number }>('usage')
          const bytes = ['rx', 'tx'].map((way) =>
            Number(lab.exec(lab.hosts[n]!, ['cat', `/sys/class/net/eth0/statistics/${way}_bytes`]))
          )
          return { cpuUs, rss, bytes: bytes[0]! + bytes[1]! }
        })
      )
    const before = await sample()
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
    const after = await sample()
    const per = after.map((a, n) => ({
      cpuPercent: (a.cpuUs - before[n]!.cpuUs) / (seconds * 1e4),
      rssMb: a.rss / 1024 / 1024,
      bytesPerSecond: (a.bytes - before[n]!.bytes) / seconds
    }))
    const max = (key: 'cpuPercent' | 'rssMb' | 'bytesPerSecond'): number => Math.max(...per.map((row) => row[key]))
    const mean = (key: 'cpuPercent' | 'rssMb' | 'bytesPerSecond'): number =>
      per.reduce((sum, row) => sum + row[key], 0) / per.length
    return {
      nodes: count,
      seconds,
      cpuPercent: { mean: mean('cpuPercent'), max: max('cpuPercent') },
      rssMb: { mean: mean('rssMb'), max: max('rssMb') },
      bytesPerSecondInAndOut: { mean: mean('bytesPerSecond'), max: max('bytesPerSecond') },
      pass: max('rssMb') < 150 && max('bytesPerSecond') < 1_000
    }
  } finally {
    await fleet.close()
  }
}
