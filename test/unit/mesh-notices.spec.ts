import assert from 'node:assert/strict'
import { NO_NOTICES, type Notices } from '../../protocols/member/notices.ts'
import { originBytes } from '../../src/core/document.ts'
import { MeshError } from '../../src/errors.ts'
import { createMeshNotices } from '../../src/mesh-notices.ts'
import { privateMembership } from '../../src/trust/membership.ts'
import { issueRevocation } from '../../src/trust/revocations.ts'
import { createTestMesh, nowS, type TestMesh } from '../fixtures/test-mesh.ts'

describe('notices of a mesh', () => {
  let mesh: TestMesh
  beforeEach(async () => void (mesh = await createTestMesh('home')))
  afterEach(() => mesh.stop())

  it('are news once, also while the disk is full: what a peer shows beside is told to nobody again', async () => {
    const owner = await mesh.member('owner')
    const { meshKey, chain } = owner.kept()
    const revoked = async (name: string) => {
      const { peerId } = await mesh.member('member')
      const revocation = {
        mesh: originBytes(mesh.id),
        node: originBytes(peerId),
        at: nowS(),
        reason: name,
        role: 'member' as const
      }
      return issueRevocation({ meshKey, nodeKey: owner.key, chain }, revocation)
    }
    const [known, news] = [await revoked('known'), await revoked('news')]
    const member = await mesh.member('member')
    let isFull = false
    const membership = await privateMembership({
      state: member.kept(),
      nodeKey: member.key,
      wallS: () => Date.now() / 1_000,
      now: () => performance.now(),
      save: async () => (isFull ? Promise.reject(new MeshError('unavailable', 'the disk is full')) : undefined)
    })
    const [enforced, warnings]: [Notices[], string[]] = [[], []]
    let published = 0
    const notices = createMeshNotices({
      membership,
      gossip: { publish: async () => void published++, subscribe: () => undefined },
      now: () => performance.now(),
      log: (level, message) => level === 'warn' && warnings.push(message),
      enforce: (fresh) => enforced.push(fresh)
    })
    const reasons = (): string[] =>
      enforced.splice(0).flatMap(({ revocations }) => revocations.map((one) => one.revocation.reason))
    await notices.learn({ ...NO_NOTICES, revocations: [known] })
    assert.deepEqual([reasons(), published], [['known'], 1])
    isFull = true
    await notices.learn({ ...NO_NOTICES, revocations: [known, news] })
    assert.deepEqual([reasons(), published, warnings.length], [['news'], 2, 1])
    await notices.learn({ ...NO_NOTICES, revocations: [known, news] })
    assert.deepEqual([reasons(), published], [[], 2])
  })
})
