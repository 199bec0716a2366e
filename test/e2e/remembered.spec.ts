import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, type Mesh } from '../../src/index.ts'
import type { NodeOptions } from '../../src/node.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { requireWebRtc } from '../fixtures/webrtc.ts'

const TCP = '/ip4/127.0.0.1/tcp/0'
const WEBRTC = '/ip4/127.0.0.1/udp/0/webrtc-direct'
const bare = (address: string): string => address.split('/p2p/')[0]!

interface Case {
  what: string
  /** What the node listens on that the other one is told of. */
  at: string
  /** What the other one listens on. */
  listen: string[]
  peer: (address: string) => string
}

describe('nodes that were connected', function () {
  this.timeout(60_000)
  let nodes: Mesh[]
  let dirs: string[]
  beforeEach(() => void ([nodes, dirs] = [[], []]))
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.stop()))
    for (const dir of dirs) rmSync(dir, { recursive: true })
  })

  function newDir(): string {
    const dir = mkdtempSync(join(tmpdir(), 'atmo-remembered-'))
    dirs.push(dir)
    return dir
  }

  async function start(name: string, options: NodeOptions): Promise<Mesh> {
    const node = await createNode({ open: true, mdns: false, name, ...options })
    nodes.push(node)
    return node
  }

  async function stop(node: Mesh): Promise<void> {
    nodes = nodes.filter((other) => other !== node)
    await node.stop()
  }

  const sees = (node: Mesh, other: Mesh): Promise<void> =>
    until(() => node.peers().some(({ peerId, direct }) => peerId === other.peerId && direct), 'it is connected')

  const cases: Case[] = [
    { what: 'address and PeerId', at: TCP, listen: [TCP], peer: (address) => address },
    { what: 'address alone, and listens on nothing', at: TCP, listen: [], peer: bare },
    { what: 'WebRTC address alone, and listens on nothing', at: WEBRTC, listen: [], peer: bare }
  ]
  for (const { what, at, listen, peer } of cases)
    it(`finds the node again that it was once told of: ${what}`, async function () {
      if (at === WEBRTC) await requireWebRtc(this)
      const dataDir = newDir()
      const told = await start('a', { listen: [at] })
      const first = await start('b', { listen, dataDir, peers: [peer(told.multiaddrs()[0]!)] })
      await sees(first, told)
      await stop(first)
      const again = await start('b', { listen, dataDir })
      assert.equal(again.peerId, first.peerId)
      await sees(again, told)
    })

  it('finds the node again that had come to it, and was itself never told of any', async () => {
    const dataDir = newDir()
    const first = await start('a', { listen: [TCP], dataDir })
    const at = first.multiaddrs()[0]!
    const otherDir = newDir()
    const other = await start('b', { listen: [TCP], peers: [at], dataDir: otherDir })
    await sees(first, other)
    await until(() => first.peers().some(({ addresses }) => addresses.includes(other.multiaddrs()[0]!)), 'it says where it is')
    await stop(first)
    const listen = [bare(other.multiaddrs()[0]!)]
    await stop(other)
    // Neither is told anything now, and the other one cannot know where this one is.
    rmSync(join(otherDir, 'peers.json'))
    const here = await start('b', { listen, dataDir: otherDir })
    const again = await start('a', { listen: [TCP], dataDir })
    await sees(again, here)
  })
})
