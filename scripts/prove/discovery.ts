/** Three hosts, no default route, one with a second interface, one of the peers a plain @libp2p/mdns node: how long until all see all. */
import { fileURLToPath } from 'node:url'
import { allSeeAll, clock, createFleet, quantile } from './fleet.ts'

const PLAIN = fileURLToPath(new URL('../../test/fixtures/mdns-node.ts', import.meta.url))

/** @param starts how often the three nodes are started anew. */
export async function proveDiscovery({ starts = 20 }: { starts?: number } = {}): Promise<object> {
  const times: number[] = []
  const plainTimes: number[] = []
  for (let n = 0; n < starts; n++) {
    const fleet = await createFleet([{}, { second: true }, {}, {}])
    try {
      const nodes = fleet.nodes.slice(0, 3)
      await fleet.nodes[3]!.process.end('SIGKILL')
      const began = clock()
      await Promise.all(nodes.map((node) => node.ask('start', { name: node.name })))
      times.push((await allSeeAll(nodes, 20_000)) - began)
      if (n === 0) {
        // Without this the stock module finds nothing and says nothing (ours needs no route).
        fleet.lab.exec(fleet.lab.hosts[3]!, ['ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0'])
        const plain = fleet.lab.spawn<{ event: string; peer?: string; peerId?: string }>(fleet.lab.hosts[3]!, [
          process.execPath,
          '--import',
          'tsx',
          PLAIN,
          '--plain'
        ])
        const found = await Promise.all(
          nodes.map(({ peerId }) => plain.waitFor((e) => e.event === 'found' && e.peer === peerId, 30_000, 'a node of ours'))
        )
        const connected = await Promise.all(
          nodes.map(({ peerId }) =>
            plain.waitFor((e) => e.event === 'connect' && e.peer === peerId, 30_000, 'a connection from ours')
          )
        )
        plainTimes.push(found.length, connected.length)
      }
      process.stderr.write(`start ${n + 1}/${starts}: ${times.at(-1)!.toFixed(0)} ms\n`)
    } finally {
      await fleet.close()
    }
  }
  return {
    starts,
    allSeeAllMs: { p50: quantile(times, 0.5), p95: quantile(times, 0.95), max: Math.max(...times) },
    plainMdnsPeer: { foundOurNodes: plainTimes[0], wasConnectedByOurNodes: plainTimes[1] },
    pass: quantile(times, 0.95) < 3_000 && plainTimes[0] === 3 && plainTimes[1] === 3
  }
}
