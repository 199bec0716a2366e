import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atmoCommand } from '../fixtures/child.ts'
import { createLab, requireLab, type HostProcess, type Lab } from '../fixtures/netns.ts'

interface NodeEvent {
  event: string
  mesh?: { id: string }
  id?: string
  capability?: { id: string; mesh?: string; nodeName: string }
}

describe('two meshes on one network, each node a host of its own', function () {
  this.timeout(150_000)
  let lab: Lab
  let dir: string
  before(function () {
    requireLab(this)
  })
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'atmo-lan-'))))
  afterEach(async () => {
    await lab?.close()
    await rm(dir, { recursive: true, force: true })
  })

  it('finds the nodes of the other mesh by itself once there is a treaty, also those that were strangers, and loses them when it is revoked', async () => {
    lab = createLab([{}, {}, {}])
    const names = ['attic', 'club', 'bar']
    const on = (n: number, ...args: string[]): string =>
      lab.exec(lab.hosts[n]!, [...atmoCommand(), ...args, '--data-dir', join(dir, names[n]!)])
    const start = async (n: number): Promise<HostProcess<NodeEvent>> => {
      const args = ['start', '--json', '--name', names[n]!, '--data-dir', join(dir, names[n]!)]
      const node = lab.spawn<NodeEvent>(lab.hosts[n]!, [...atmoCommand(), ...args])
      await node.waitFor(({ event }) => event === 'ready', 30_000, 'ready')
      return node
    }
    const [attic, club] = [await start(0), await start(1)]
    // The bar is a second node of the club: it learns the treaty from its mesh.
    const invite = on(1, 'invite').trim()
    on(2, 'join', invite)
    const bar = await start(2)
    await bar.waitFor(({ event }) => event === 'peer:join', 30_000, 'the club is one mesh')
    const ready = await club.waitFor(({ event }) => event === 'ready', 1_000, 'ready')
    const offer = on(0, 'treaty', 'offer', '--with', ready.mesh!.id, '--lend', 'system/*').trim()
    const signed = on(1, 'treaty', 'accept', offer, '--yes').trim()
    const began = performance.now()
    on(0, 'treaty', 'accept', signed)
    const lent = ({ event, capability }: NodeEvent): boolean =>
      event === 'capability:available' && capability?.mesh !== undefined && capability.nodeName === 'attic'
    for (const node of [club, bar]) await node.waitFor(lent, 30_000, 'what the attic lends')
    console.log(`      treaty to all who borrow: ${Math.round(performance.now() - began)} ms, the command included`)
    assert.match(on(2, 'call', 'system@attic', 'echo', '--param', 'message=hi'), /hi/)
    const removed = ({ event, id }: NodeEvent): boolean => event === 'capability:removed' && id === 'system'
    const { treaties } = JSON.parse(on(0, 'treaty', '--json')) as { treaties: { serial: string }[] }
    on(0, 'treaty', 'revoke', '--reason', 'over', treaties[0]!.serial)
    for (const node of [club, bar]) await node.waitFor(removed, 5_000, 'nothing is lent any more')
    for (const node of [attic, club, bar]) await node.end()
  })
})
