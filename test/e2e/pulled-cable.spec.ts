import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { INTERFACE_POLL_MS } from '../../src/net/mdns.ts'
import { MAX_MISSED_PONGS, PONG_TIMEOUT_MS } from '../../src/net/link-watch.ts'
import { atmoCommand } from '../fixtures/child.ts'
import { createLab, requireLab, type Lab } from '../fixtures/netns.ts'

interface NodeEvent {
  event: string
  peerId?: string
}

describe('a host with two interfaces', function () {
  this.timeout(60_000)
  let lab: Lab
  let dir: string
  before(function () {
    requireLab(this)
    atmoCommand()
  })
  beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'atmo-pulled-'))))
  afterEach(async () => {
    await lab?.close()
    await rm(dir, { recursive: true, force: true })
  })

  it('knows soon after the cable of one is pulled who is gone with it, and who is not', async () => {
    lab = createLab([{}, {}, {}], {
      links: [
        [0, 1],
        [0, 2]
      ]
    })
    const nodes = lab.hosts.map((host, n) =>
      lab.spawn<NodeEvent>(host, [...atmoCommand(), 'start', '--open', '--json', '--data-dir', join(dir, `host-${n}`)])
    )
    const ids = await Promise.all(
      nodes.map(async (node) => (await node.waitFor(({ event }) => event === 'ready', 20_000, 'ready')).peerId!)
    )
    const [both] = nodes
    for (const id of ids.slice(1))
      await both!.waitFor(({ event, peerId }) => event === 'peer:join' && peerId === id, 20_000, 'a neighbour')
    const pulledAt = performance.now()
    lab.setLink(0, 1, 'pulled')
    // A second more than it can take: an idle link alone would be asked later.
    const withinMs = INTERFACE_POLL_MS + MAX_MISSED_PONGS * PONG_TIMEOUT_MS + 1_000
    await both!.waitFor(({ event, peerId }) => event === 'peer:leave' && peerId === ids[1], withinMs, 'its end')
    console.log(`      seen ${Math.round(performance.now() - pulledAt)} ms after it was pulled`)
    assert.ok(!both!.events.some(({ event, peerId }) => event === 'peer:leave' && peerId === ids[2]))
    for (const node of nodes) assert.equal(await node.end(), 0)
  })
})
