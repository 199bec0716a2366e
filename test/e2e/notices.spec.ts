import assert from 'node:assert/strict'
import { NO_NOTICES } from '../../protocols/member/notices.ts'
import { RECONCILE_INTERVAL_MS, SECOND_LOOK_MS } from '../../src/net/reconciler.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

/** A node compares with one of its neighbours at least so often, in ms; the rest is for a machine that is busy. */
const ROUND_MS = RECONCILE_INTERVAL_MS * 1.2 + 5_000

describe('notices that gossip lost', function () {
  this.timeout(90_000)
  let mesh: TestMesh
  beforeEach(async () => void (mesh = await createTestMesh('home')))
  afterEach(() => mesh.stop())

  it('reach everybody who is connected, within a round of comparing, and end what a revoked node has open', async () => {
    const founder = await mesh.member('owner')
    const membership = await founder.membership()
    const owner = await mesh.start(founder, { membership })
    const peers = owner.multiaddrs().slice(0, 1)
    const [lost, other] = [await mesh.join('member', { peers }), await mesh.join('member', { peers })]
    await other.addPeer(lost.multiaddrs()[0]!)
    await until(() => [owner, lost, other].every((node) => node.status().peers === 2), 'all see all')
    // What is compared when links are new is over.
    await until(() => other.status().uptimeMs > 3 * SECOND_LOOK_MS, 'the links are old')
    // Past the node that would tell it: nobody hears of it over gossip.
    const { made } = await membership.revoke(lost.peerId, 'member', 'left on a train')
    assert.notDeepEqual(made, NO_NOTICES)
    await until(() => !other.members().some(({ peerId }) => peerId === lost.peerId), 'the other one lets it go', ROUND_MS)
    await until(() => lost.status().peers === 0, 'it is alone', ROUND_MS)
    assert.equal(other.status().peers, 1)
    await until(() => lost.status().mesh.revoked?.reason === 'left on a train', 'it knows why', ROUND_MS)
  })
})
