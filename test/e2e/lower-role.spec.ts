import assert from 'node:assert/strict'
import { multiaddr } from '@multiformats/multiaddr'
import { parseInvite } from '../../protocols/join/code.ts'
import { requestWelcome } from '../../src/net/join.ts'
import { createNodeLibp2p } from '../../src/net/node-preset.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

describe('a node that is let in anew with a lower role', function () {
  this.timeout(60_000)
  let mesh: TestMesh
  beforeEach(async () => void (mesh = await createTestMesh('home')))
  afterEach(() => mesh.stop())

  it('has its old one nowhere any more, and its sessions end', async () => {
    const founder = await mesh.member('owner')
    const membership = await founder.membership()
    const owner = await mesh.start(founder, { membership })
    const peers = owner.multiaddrs().slice(0, 1)
    const admin = await mesh.join('admin', { peers })
    const other = await mesh.join('member', { peers: [...peers, ...admin.multiaddrs()] })
    await until(() => [owner, admin, other].every((node) => node.status().peers === 2), 'all see all')
    assert.equal(other.members().find(({ peerId }) => peerId === admin.peerId)?.role, 'admin')
    // The owner has it as one that it let in.
    await membership.letIn(admin.peerId, { role: 'admin', forward: true }, 'admin')
    await membership.letIn(admin.peerId, { role: 'member', forward: true }, 'admin')
    await until(() => !other.members().some(({ peerId }) => peerId === admin.peerId), 'the other one lets it go', 30_000)
    await until(() => admin.status().mesh.revoked !== undefined, 'it knows that what it shows is over', 30_000)
  })

  it('has ended also for the others if the node that lets it in stops at once', async () => {
    const founder = await mesh.member('owner')
    const membership = await founder.membership()
    const owner = await mesh.start(founder, { membership })
    const member = await mesh.member('member')
    const other = await mesh.start(member, { peers: owner.multiaddrs().slice(0, 1) })
    await until(() => [owner, other].every((node) => node.status().peers === 1), 'both are connected')
    const admin = await mesh.member('admin')
    await membership.letIn(admin.peerId, { role: 'admin', forward: true }, 'admin')
    const { token } = parseInvite(owner.invite({ role: 'member' }).code)
    const libp2p = await createNodeLibp2p(admin.key, [], { tls: false })
    await libp2p.start()
    try {
      const connection = await libp2p.dial(owner.multiaddrs().map((address) => multiaddr(address)))
      const welcome = await requestWelcome(connection, { op: 'join', token, name: 'admin' }, () => performance.now())
      assert.equal(welcome.chain[0]!.certificate.role, 'member')
    } finally {
      await Promise.all([owner.stop(), libp2p.stop()])
    }
    await until(() => member.kept().revocations.length === 1, 'it is told before the node is gone')
  })
})
