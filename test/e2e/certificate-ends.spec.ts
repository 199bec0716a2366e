import assert from 'node:assert/strict'
import { NO_NOTICES } from '../../protocols/member/notices.ts'
import type { Mesh } from '../../src/index.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { agree, createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

/** Long enough to connect, in s. */
const SHORT_S = 6
const WAIT_MS = (SHORT_S + 5) * 1_000

describe('a session', function () {
  this.timeout(60_000)
  let home: TestMesh
  let club: TestMesh
  beforeEach(async () => void ([home, club] = await Promise.all([createTestMesh('home'), createTestMesh('club')])))
  afterEach(async () => void (await Promise.all([home.stop(), club.stop()])))

  const refused = (node: Mesh): number => node.status().counters['admission.refused'] ?? 0

  it('with a member ends with its certificate', async () => {
    const node = await home.join()
    const other = await home.start(await home.member('member', { forS: SHORT_S }), { peers: node.multiaddrs() })
    await until(() => node.status().peers === 1, 'they are connected')
    await until(() => node.status().peers === 0, 'it is over', WAIT_MS)
    await until(() => refused(node) > 0, 'and it is not let in again')
    assert.equal(other.status().peers, 0)
  })

  it('with a node of another mesh ends with its certificate, though the treaty holds', async () => {
    const founder = await club.member('owner')
    const [lender, owner] = [await home.join('owner'), await club.start(founder)]
    await agree(lender, owner, { lends: ['sensor/*'] })
    lender.register({ id: 'cam', type: 'sensor/camera', tools: [{ name: 'snap' }] }, { snap: () => 'door' })
    const { treaties = [] } = founder.kept()
    // Nobody is there who would renew it.
    await owner.stop()
    const lent = (node: Mesh): boolean => node.capabilities({ id: 'cam' }).length === 1
    const start = async (forS?: number): Promise<Mesh> => {
      const member = await club.member('member', forS === undefined ? {} : { forS })
      const membership = await member.membership()
      await membership.learn({ ...NO_NOTICES, treaties })
      return club.start(member, { membership, peers: lender.multiaddrs() })
    }
    const [stays, borrower] = [await start(), await start(SHORT_S)]
    await until(() => lent(borrower) && lent(stays), 'they see what is lent')
    const before = await borrower.call('cam', 'snap').result
    assert.equal(before.result, 'door')
    await until(() => !lent(borrower), 'nothing is lent to it any more', WAIT_MS)
    await assert.rejects(borrower.call('cam', 'snap').result)
    await until(() => lender.treaties.list()[0]?.connected === 1, 'its connection has ended')
    assert.ok(lent(stays))
    assert.equal((await stays.call('cam', 'snap').result).result, 'door')
  })
})
