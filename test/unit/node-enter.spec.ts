import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SignedRevocation } from '../../protocols/member/revocation.ts'
import { originBytes } from '../../src/core/document.ts'
import { writeMesh } from '../../src/data-dir-mesh.ts'
import { isMeshError } from '../../src/errors.ts'
import { checkMayEnter } from '../../src/node-enter.ts'
import type { MeshState } from '../../src/trust/mesh-state.ts'
import { issueRevocation } from '../../src/trust/revocations.ts'
import { createTestMesh, nowS, type TestMember, type TestMesh } from '../fixtures/test-mesh.ts'

describe('a node enters another mesh without leaving its own', () => {
  let dir: string
  let mesh: TestMesh
  let owner: TestMember
  let admin: TestMember
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-enter-'))
    mesh = await createTestMesh('home')
    owner = await mesh.member('owner')
    admin = await mesh.member('admin')
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  const mayEnter = async (state: MeshState): Promise<boolean> => {
    await writeMesh(dir, state)
    return checkMayEnter(dir).then(
      () => true,
      (error: unknown) => {
        assert.ok(isMeshError(error, 'conflict'), String(error))
        return false
      }
    )
  }
  /** The owner has let somebody in: the mesh is more than this node. */
  const ofOwner = (): MeshState => ({
    ...owner.kept(),
    issued: [{ node: admin.peerId, name: '', role: 'admin', tags: [], at: 0 }]
  })
  const ended = (node: TestMember, by: TestMember, meshKey = by.kept().meshKey): Promise<SignedRevocation> =>
    issueRevocation(
      { meshKey, nodeKey: by.key, chain: by.kept().chain },
      { mesh: originBytes(mesh.id), node: originBytes(node.peerId), at: nowS(), reason: '', role: 'member' }
    )

  it('not while it is a member, or while nothing that counts has ended its membership', async () => {
    assert.equal(await mayEnter(ofOwner()), false)
    const member = await mesh.member()
    assert.equal(await mayEnter(member.kept()), false)
    // An admin revokes no owner: the node itself takes no notice of this, and neither may its next mesh.
    assert.equal(await mayEnter({ ...ofOwner(), revocations: [await ended(owner, admin)] }), false)
    assert.equal(await mayEnter({ ...ofOwner(), revocations: [await ended(admin, admin)] }), false, 'another node')
    const forged = { ...(await ended(member, owner)), signature: new Uint8Array(64) }
    assert.equal(await mayEnter({ ...member.kept(), revocations: [forged] }), false, 'nobody signed it')
  })

  it('once it is revoked by somebody who may, or its certificate is by a key that was replaced', async () => {
    const member = await mesh.member()
    for (const by of [owner, admin])
      assert.equal(await mayEnter({ ...member.kept(), revocations: [await ended(member, by)] }), true)
    const made = await (await owner.membership()).rotate()
    assert.equal(await mayEnter({ ...member.kept(), successions: made.successions }), true)
    assert.equal(await mayEnter({ ...ofOwner(), successions: made.successions }), false, 'its certificate is by the new key')
  })
})
