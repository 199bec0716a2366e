/** Ten hosts fall into two halves, change sixty things, and come together again: how long until all digests are equal. */
import { spawnSync } from 'node:child_process'
import { clock, type FleetNode } from './fleet.ts'
import { startFleet } from './started-fleet.ts'

/** @param seconds how long the halves are apart. @param changes made meanwhile. */
export async function provePartition({
  nodes: count = 10,
  seconds = 60,
  changes = 60
}: { nodes?: number; seconds?: number; changes?: number } = {}): Promise<object> {
  const fleet = await startFleet(count)
  try {
    const { nodes, lab } = fleet
    const half = nodes.slice(count / 2)
    const bridge = lab.hosts[0]!.namespace.replace(/h\d+$/, 'br')
    const move = (to: string): void => {
      half.forEach((_, n) => {
        const { status, stderr } = spawnSync('ip', ['-n', bridge, 'link', 'set', `l0h${count / 2 + n + 1}`, 'master', to], {
          encoding: 'utf8'
        })
        if (status !== 0) throw new Error(stderr)
      })
    }
    const apartAt = clock()
    move('br1')
    for (let n = 0; n < changes; n++) {
      await nodes[n % count]!.ask('register', { id: `during-${n}` })
      const due = apartAt + ((n + 1) * seconds * 1_000) / changes
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - clock())))
    }
    const before = await digests(nodes)
    const mark = clock()
    move('br0')
    const firstLink = Math.min(
      ...(await Promise.all([
        Promise.any(
          nodes
            .slice(0, count / 2)
            .flatMap((a) =>
              half.map(
                async (b) =>
                  (await a.saw((e) => e.seen === 'peer:join' && e.peerId === b.peerId && e.t > mark, 60_000, 'the other half')).t
              )
            )
        )
      ]))
    )
    let equalAt = NaN
    while (Number.isNaN(equalAt)) {
      if (clock() - mark > 60_000) throw new Error(`no agreement within 60 s: ${[...new Set(await digests(nodes))].join(' ')}`)
      const all = await digests(nodes)
      if (new Set(all).size === 1) equalAt = clock()
    }
    return {
      nodes: count,
      seconds,
      changes,
      distinctDigestsBefore: new Set(before).size,
      healToFirstLinkMs: firstLink - mark,
      firstLinkToEqualMs: equalAt - firstLink,
      healToEqualMs: equalAt - mark,
      pass: equalAt - firstLink < 1_000
    }
  } finally {
    await fleet.close()
  }
}

function digests(nodes: FleetNode[]): Promise<string[]> {
  return Promise.all(nodes.map(async (node) => (await node.ask<{ directoryDigest: string }>('status')).directoryDigest))
}
