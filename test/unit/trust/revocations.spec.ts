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
    const bads: ['refused' | 'ignored', SignedRevocation][] = [
      ['refused', { ...good, signature: await stranger.sign(signedRevocationBytes(good.bytes)) }],
      ['refused', { ...(await revokes(victim, 'member')), chain: [], signature: new Uint8Array(64) }],
      // Signed by who it says, but not by somebody who may: no fault of who passed it on.
      ['ignored', { ...good, chain: [] }],
      ['ignored', { ...good, chain: victim.chain }]
    ]
    for (const [intake, bad] of bads) assert.equal(await all.take(bad), intake)
    const foreign = createRevocations(victim.bytes, () => time)
    assert.equal(await foreign.take(good), 'refused')
    assert.deepEqual(all.all(), [])
    assert.equal(await all.take(await revokes(admin, 'admin')), 'new')
    await all.take(good)
    assert.equal(await isIn(victim, all), true, 'who is revoked revokes nobody')
  })

  it('say the same in whatever order they are heard, also when who made one is revoked later', async () => {
    const [admin, victim, other] = [await somebody('admin'), await somebody('member'), await somebody('member')]
    time += 10
    const first = await revokes(victim, 'member', admin)
    time += 10
    const end = await revokes(admin, 'admin')
    time += 10
    const late = await revokes(other, 'member', admin)
    const lists = [
      [first, end, late],
      [late, end, first],
      [end, late, first]
    ]
    for (const list of lists) {
      const all = known()
      for (const signed of list) assert.equal(await all.take(signed), 'new')
      assert.deepEqual([await isIn(victim, all), await isIn(admin, all), await isIn(other, all)], [false, false, true])
      const restarted = known()
      for (const signed of all.all()) assert.equal(await restarted.take(signed), 'new')
      assert.deepEqual([restarted.keys().sort(), await isIn(victim, restarted)], [all.keys().sort(), false])
    }
  })

  it('are not taken of a time to come, and what the mesh key said is not pushed out by members', async () => {
    const [admin, victim] = [await somebody('admin'), await somebody('member')]
    const all = known()
    time += 86_400
    const early = await revokes(victim, 'member', admin)
    time -= 86_400
    assert.equal(await all.take(early), 'ignored')
    const end = await revokes(victim, 'member')
    assert.equal(await all.take(end), 'new')
    time += 100
    for (let n = 0; n < MAX_REVOCATIONS; n++) {
      const node = Uint8Array.of(0, 36, ...victim.bytes.subarray(2, 34), n >> 8, n & 255, 1, 1)
      const signed = await issueRevocation(
        { meshKey: undefined, nodeKey: admin.key, chain: admin.chain },
        { mesh: meshId, node, at: time, reason: '', role: 'guest' }
      )
      assert.ok(['new', 'ignored'].includes(await all.take(signed)))
    }
    assert.equal(await isIn(victim, all), false)
    assert.equal(all.keys().length, MAX_REVOCATIONS)
  })

  it('are not undone by a renewal of who has not heard of them', async () => {
    const member = await somebody('member')
    time += 86_400
    const all = known()
    await all.take(await revokes(member, 'member'))
    time += 86_400
    const [{ certificate }] = member.chain as [SignedCertificate]
    const grant = { node: peerIdFromPrivateKey(member.key).toString(), role: 'member' as const, forward: true, name: '' }
    const renewed = await issueChain(mesh, member.key, { ...grant, since: certificate.since }, time)
    assert.equal(await isIn({ ...member, chain: renewed }, all), false)
    const invited = await issueChain(mesh, member.key, { ...grant, after: all.lastAt(member.bytes) }, time)
    assert.equal(await isIn({ ...member, chain: invited }, all), true)
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
