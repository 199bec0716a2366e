import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Role, SignedCertificate } from '../../../protocols/member/messages.ts'
import {
  MAX_REVOCATIONS,
  encodeRevocation,
  signedRevocationBytes,
  type SignedRevocation
} from '../../../protocols/member/revocation.ts'
import { isMeshError } from '../../../src/errors.ts'
import { verifyChain } from '../../../src/trust/certificate.ts'
import { issueChain } from '../../../src/trust/issuer.ts'
import { foundMesh, type MeshState } from '../../../src/trust/mesh-state.ts'
import { createRevocations, issueRevocation, noticeDigest } from '../../../src/trust/revocations.ts'

const NOW = 1_800_000_000

interface Somebody {
  key: PrivateKey
  bytes: Uint8Array
  chain: SignedCertificate[]
}

describe('revocations', () => {
  let mesh: MeshState & { meshKey: PrivateKey }
  let meshId: Uint8Array
  let time: number
  beforeEach(async () => {
    mesh = await foundMesh('home')
    meshId = peerIdFromPrivateKey(mesh.meshKey).toMultihash().bytes
    time = NOW
  })

  async function somebody(role: Role, by?: Somebody): Promise<Somebody> {
    const key = await generateKeyPair('Ed25519')
    const id = peerIdFromPrivateKey(key)
    const issuer = by === undefined ? mesh : { mesh: mesh.mesh, meshKey: undefined, chain: by.chain }
    const chain = await issueChain(issuer, by?.key ?? key, { node: id.toString(), role, forward: true, name: '' }, time)
    return { key, bytes: id.toMultihash().bytes, chain }
  }
  const revokes = (who: Somebody, role: Role | undefined, by?: Somebody): Promise<SignedRevocation> =>
    issueRevocation(
      { meshKey: by === undefined ? mesh.meshKey : undefined, nodeKey: by?.key ?? who.key, chain: by?.chain ?? [] },
      { mesh: meshId, node: who.bytes, at: time, reason: 'test', role }
    )
  const known = (): ReturnType<typeof createRevocations> => createRevocations(meshId, () => time)
  const isIn = ({ chain, bytes }: Somebody, { isRevoked }: ReturnType<typeof createRevocations>): Promise<boolean> =>
    verifyChain(chain, { mesh: meshId, node: bytes, nowS: time, isRevoked }).then(
      () => true,
      (error: unknown) => {
        assert.ok(isMeshError(error, 'permission_denied') && error.details['reason'] === 'revoked')
        return false
      }
    )

  it('end a membership, and that of those whom it let in; a new certificate begins anew', async () => {
    const admin = await somebody('admin')
    const guest = await somebody('guest', admin)
    const other = await somebody('member')
    const all = known()
    assert.equal(await all.take(await revokes(admin, 'admin')), 'new')
    assert.deepEqual([await isIn(admin, all), await isIn(guest, all), await isIn(other, all)], [false, false, true])
    time += 3_600
    const again = await issueChain(
      mesh,
      admin.key,
      { node: peerIdFromPrivateKey(admin.key).toString(), role: 'admin', forward: true, name: '' },
      time
    )
    assert.equal(await isIn({ ...admin, chain: again }, all), true)
  })

  it('of an admin end members and guests, and nobody above', async () => {
    const admin = await somebody('admin')
    for (const [role, ends] of [
      ['guest', true],
      ['member', true],
      ['admin', false],
      ['owner', false]
    ] as const) {
      const victim = await somebody(role)
      const all = known()
      // It says of itself that it may: what counts is what it is.
      const signed = await revokes(victim, 'guest', admin)
      assert.equal(await all.take(signed), 'new')
      assert.equal(await isIn(victim, all), !ends, role)
      if (!ends) await assert.rejects(revokes(victim, role, admin), { code: 'permission_denied' })
    }
    const member = await somebody('member')
    await assert.rejects(revokes(admin, 'guest', member), { code: 'permission_denied' })
    await assert.rejects(revokes(admin, undefined, admin), { code: 'permission_denied' })
  })

  it('are refused when they are forged, of another mesh, or by who may not any more', async () => {
    const [admin, victim, stranger] = [await somebody('admin'), await somebody('member'), await generateKeyPair('Ed25519')]
    const good = await revokes(victim, 'member', admin)
    const all = known()
    for (const bad of [
      { ...good, signature: await stranger.sign(signedRevocationBytes(good.bytes)) },
      { ...good, chain: [] },
      { ...good, chain: victim.chain },
      { ...(await revokes(victim, 'member')), chain: [], signature: new Uint8Array(64) }
    ])
      assert.equal(await all.take(bad), 'refused')
    const foreign = createRevocations(victim.bytes, () => time)
    assert.equal(await foreign.take(good), 'refused')
    assert.deepEqual(all.all(), [])
    assert.equal(await all.take(await revokes(admin, 'admin')), 'new')
    assert.equal(await all.take(good), 'refused', 'who is revoked revokes nobody')
  })

  it('are not kept when they are of who may revoke nobody', async () => {
    for (const role of ['member', 'guest'] as const) {
      const { key, chain, bytes: issuer } = await somebody(role)
      const { bytes: node } = await somebody('guest')
      const revocation = { mesh: meshId, node, at: time, issuer, reason: '' }
      const bytes = encodeRevocation(revocation)
      const signature = await key.sign(signedRevocationBytes(bytes))
      const all = known()
      assert.equal(await all.take({ bytes, revocation, signature, chain }), 'refused', role)
      assert.deepEqual(all.all(), [])
    }
  })

  it('have the same digest on nodes that know the same, in whatever order it came', async () => {
    const list = await Promise.all(
      (await Promise.all([somebody('member'), somebody('guest')])).map((who) => revokes(who, 'guest'))
    )
    const [a, b] = [known(), known()]
    for (const signed of list) await a.take(signed)
    for (const signed of [...list].reverse()) await b.take(signed)
    assert.deepEqual(noticeDigest(a.keys()), noticeDigest(b.keys()))
    assert.notDeepEqual(noticeDigest(a.keys()), noticeDigest(known().keys()))
    assert.equal(await a.take(list[0]!), 'known')
  })

  it('are forgotten when no certificate is left that they could end, and bounded', async () => {
    const who = await somebody('member')
    const all = known()
    await all.take(await revokes(who, 'member'))
    time += 91 * 86_400
    assert.deepEqual(all.all(), [])
    for (let n = 0; n <= MAX_REVOCATIONS; n++) {
      time++
      await all.take(await revokes(who, 'member'))
    }
    assert.equal(all.all().length, MAX_REVOCATIONS)
    assert.equal(all.all()[0]!.revocation.at, time)
  })
})
