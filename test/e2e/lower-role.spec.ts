import assert from 'node:assert/strict'
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
})
