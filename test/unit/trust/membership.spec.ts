import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Welcome } from '../../../protocols/join/messages.ts'
import type { Role, SignedCertificate } from '../../../protocols/member/messages.ts'
import { NO_NOTICES, type Notices } from '../../../protocols/member/notices.ts'
import { MAX_REVOCATIONS, type SignedRevocation } from '../../../protocols/member/revocation.ts'
import { originBytes, originId } from '../../../src/core/document.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { VALIDITY_S, issueChain } from '../../../src/trust/issuer.ts'
import { clockOffsetS } from '../../../src/trust/mesh-clock.ts'
import { privateMembership, type Membership } from '../../../src/trust/membership.ts'
import { openMembership } from '../../../src/trust/open-membership.ts'
import { foundMesh, type MeshState } from '../../../src/trust/mesh-state.ts'
import { issueRevocation } from '../../../src/trust/revocations.ts'

const NOW = 1_800_000_000
const YEAR = 365 * 86_400

/** A node with a clock of its own that the test turns. */
interface TestNode {
  key: PrivateKey
  id: string
  wall: { s: number }
  mono: { ms: number }
  saved: MeshState[]
  full: { disk: boolean }
  membership: Membership
}

async function node(state: MeshState, { key, wallS = NOW }: { key?: PrivateKey; wallS?: number } = {}): Promise<TestNode> {
  const nodeKey = key ?? (await generateKeyPair('Ed25519'))
  const [wall, mono, full] = [{ s: wallS }, { ms: 0 }, { disk: false }]
  const saved: MeshState[] = []
  const membership = await privateMembership({
    state,
    nodeKey,
    wallS: () => wall.s,
    now: () => mono.ms,
    async save(next) {
      if (full.disk) throw new MeshError('unavailable', 'no space left on device')
      saved.push(next)
    }
  })
  return { key: nodeKey, id: peerIdFromPrivateKey(nodeKey).toString(), wall, mono, saved, full, membership }
}

/** What `atmo join` makes of a welcome. */
function stateOf({ mesh, name, secret, chain, now }: Welcome, wallS: number): MeshState {
  const floorS = Math.max(...chain.map(({ certificate }) => certificate.notBefore))
  return {
    mesh: originId(mesh),
    name,
    secret,
    chain,
    clock: { floorS, offsetS: clockOffsetS(wallS, now) },
    issued: [],
    revocations: []
  }
}

async function joined(by: TestNode, role: Role, wallS = NOW): Promise<TestNode & { welcome: Welcome }> {
  const key = await generateKeyPair('Ed25519')
  const id = peerIdFromPrivateKey(key).toString()
  const token = by.membership.invite({ role, forward: role !== 'guest' })
  const welcome = await by.membership.welcome({ op: 'join', token, name: 'pi' }, id, undefined)
  return { ...(await node(stateOf(welcome, wallS), { key, wallS })), welcome }
}

const noticesOf = (signed: SignedRevocation): Notices => ({ ...NO_NOTICES, revocations: [signed] })
const denied = (error: unknown): boolean => isMeshError(error, 'permission_denied')
const sees = async (a: TestNode, b: TestNode): Promise<Role> => (await a.membership.check(b.membership.chain(), b.id)).role

describe('membership', () => {
  let owner: TestNode
  beforeEach(async () => (owner = await node(await foundMesh('home'))))

  it('of who founds a mesh begins with a certificate as its owner, kept at once', async () => {
    assert.equal(owner.membership.role, 'owner')
    assert.equal(owner.saved.length, 1)
    assert.equal(await sees(owner, owner), 'owner')
  })

  it('is given by an invite, with the role that the invite has', async () => {
    for (const role of ['admin', 'member', 'guest'] as const) {
      const member = await joined(owner, role)
      assert.equal(await sees(owner, member), role)
      assert.equal(await sees(member, owner), 'owner')
      assert.equal(member.welcome.meshKey, undefined)
      assert.equal(member.membership.chain()[0]!.certificate.forward, role !== 'guest')
    }
    assert.deepEqual(
      owner.membership.issued.map(({ role, name }) => [role, name]),
      [
        ['admin', 'pi'],
        ['member', 'pi'],
        ['guest', 'pi']
      ]
    )
  })

  it('of a second owner brings the key of the mesh: the way back when the first is lost', async () => {
    const { welcome } = await joined(owner, 'owner')
    assert.equal(peerIdFromPrivateKey((owner.saved[0] as MeshState).meshKey!).toString(), originId(welcome.mesh))
    assert.ok(welcome.meshKey !== undefined)
  })

  /** The same node joins once more. */
  async function again(by: TestNode, who: TestNode, role: Role): Promise<{ now: TestNode; made: Notices | undefined }> {
    const token = by.membership.invite({ role, forward: role !== 'guest' })
    const welcome = await by.membership.welcome({ op: 'join', token, name: 'pi' }, who.id, undefined)
    return { now: await node(stateOf(welcome, NOW), { key: who.key }), made: welcome.made }
  }

  it('with a lower role than before ends the higher one, everywhere and after a start', async () => {
    const [other, admin] = [await joined(owner, 'member'), await joined(owner, 'admin')]
    const given = await joined(admin, 'member')
    const { now: lower, made } = await again(owner, admin, 'member')
    assert.equal(made?.revocations.length, 1)
    const started = await node(owner.saved.at(-1)!, { key: owner.key })
    assert.equal(await sees(other, admin), 'admin', 'it has not heard of it yet')
    await other.membership.learn(made)
    for (const one of [owner, other, started]) {
      await assert.rejects(sees(one, admin), denied, 'what it was is over')
      assert.equal(await sees(one, lower), 'member')
      await assert.rejects(sees(one, given), denied, 'and so is what it gave')
    }
    // It cannot get it back by a renewal, since that is of what it shows.
    const known = await owner.membership.check(lower.membership.chain(), lower.id)
    const renewed = await owner.membership.welcome({ op: 'renew' }, lower.id, known)
    assert.deepEqual([renewed.chain[0]!.certificate.role, renewed.made], ['member', undefined])
    const { now: lowest, made: more } = await again(owner, lower, 'guest')
    assert.equal(await sees(owner, lowest), 'guest')
    assert.equal(more?.revocations.length, 1)
    await assert.rejects(sees(owner, lower), denied)
  })

  it('with the same role, a higher one, or of who was an owner, ends nothing', async () => {
    const member = await joined(owner, 'member')
    assert.equal((await again(owner, member, 'member')).made, undefined)
    assert.equal((await again(owner, member, 'admin')).made, undefined)
    assert.equal(await sees(owner, member), 'member')
    // An owner has the key of the mesh: only to replace that helps.
    assert.equal((await again(owner, await joined(owner, 'owner'), 'member')).made, undefined)
  })

  it('lets admins invite members and guests, and members nobody', async () => {
    const admin = await joined(owner, 'admin')
    const member = await joined(admin, 'member')
    assert.equal(await sees(owner, member), 'member')
    assert.equal(member.membership.chain().length, 2)
    for (const [by, role] of [
      [admin, 'owner'],
      [admin, 'admin'],
      [member, 'member'],
      [member, 'guest']
    ] as const)
      assert.throws(() => by.membership.invite({ role, forward: true }), denied)
  })

  it('is given once to two that come at the same moment', async () => {
    const token = owner.membership.invite({ role: 'member', forward: true })
    const ask = async (): Promise<Welcome> => {
      const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()
      return owner.membership.welcome({ op: 'join', token, name: '' }, id, undefined)
    }
    const both = await Promise.allSettled([ask(), ask()])
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.equal(owner.membership.issued.length, 1)
  })

  it('is not taken over by another node: key and mesh of a data directory belong together', async () => {
    const member = await joined(owner, 'member')
    await assert.rejects(node(stateOf(member.welcome, NOW)), { code: 'invalid_config' })
    await node(stateOf(member.welcome, NOW), { key: member.key })
  })

  it('is not given when it cannot be kept who was let in', async () => {
    const token = owner.membership.invite({ role: 'member', forward: true })
    owner.full.disk = true
    const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()
    await assert.rejects(owner.membership.welcome({ op: 'join', token, name: '' }, id, undefined), /is its disk full/)
    assert.equal(owner.membership.issued.length, 0)
    assert.equal(owner.membership.roots.filter(({ node: one }) => one === id).length, 0)
    // The code is good for once there is room.
    owner.full.disk = false
    await owner.membership.welcome({ op: 'join', token, name: '' }, id, undefined)
    assert.equal(owner.membership.issued.length, 1)
  })

  it('keeps on disk what was done at once', async () => {
    const members = await Promise.all([0, 1, 2, 3].map(() => joined(owner, 'member')))
    assert.equal(owner.saved.at(-1)!.issued.length, 4)
    await Promise.all(members.slice(1).map(({ id }) => owner.membership.revoke(id, 'member', '')))
    assert.deepEqual([owner.saved.at(-1)!.issued.length, owner.saved.at(-1)!.revocations.length], [1, 3])
  })

  it('of an owner is renewed by itself while it runs', async () => {
    assert.equal(await owner.membership.renewOwn(), false)
    owner.wall.s += VALIDITY_S - 86_400
    owner.mono.ms += (VALIDITY_S - 86_400) * 1_000
    assert.equal(owner.membership.needsRenewal(), true)
    assert.equal(await owner.membership.renewOwn(), true)
    assert.equal(owner.membership.needsRenewal(), false)
  })

  it('is renewed with what it was, by who may give it, and an owner renews its own', async () => {
    const admin = await joined(owner, 'admin')
    const member = await joined(admin, 'guest')
    for (const one of [owner, admin, member]) {
      one.wall.s += VALIDITY_S * 0.7
      one.mono.ms += VALIDITY_S * 700
    }
    assert.deepEqual(
      [member, admin, owner].map(({ membership }) => membership.needsRenewal()),
      [true, true, true]
    )
    const again = await node(owner.saved.at(-1)!, { key: owner.key, wallS: owner.wall.s })
    assert.equal(again.membership.needsRenewal(), false)
    const known = await again.membership.check(member.membership.chain(), member.id)
    await member.membership.renewed(await again.membership.welcome({ op: 'renew' }, member.id, known))
    assert.equal(member.membership.needsRenewal(), false)
    assert.equal(await sees(again, member), 'guest')
    assert.equal(member.membership.chain()[0]!.certificate.name, 'pi')
    await assert.rejects(again.membership.welcome({ op: 'renew' }, member.id, undefined), denied)
    // An admin cannot make admins, itself neither.
    const self = await again.membership.check(admin.membership.chain(), admin.id)
    await assert.rejects(admin.membership.welcome({ op: 'renew' }, admin.id, self), denied)
  })

  it('takes no new chain of another mesh, or for another node', async () => {
    const member = await joined(owner, 'member')
    const other = await joined(owner, 'member')
    const foreign = await joined(await node(await foundMesh('away')), 'member')
    for (const { welcome } of [other, foreign]) await assert.rejects(member.membership.renewed(welcome), denied)
    assert.equal(await sees(owner, member), 'member')
  })

  for (const [what, wallS] of [
    ['without a clock', 100],
    ['a year behind', NOW - YEAR],
    ['a year ahead', NOW + YEAR]
  ] as const) {
    it(`works on a machine ${what}, also after a start`, async () => {
      const member = await joined(owner, 'member', wallS)
      assert.equal(await sees(member, owner), 'owner')
      assert.equal(await sees(owner, member), 'member')
      // Others are renewed while it is away.
      owner.wall.s += 20 * 86_400
      owner.mono.ms += 20 * 86_400_000
      const fresh = await joined(owner, 'member', owner.wall.s)
      const later = what === 'without a clock' ? 100 : wallS + 20 * 86_400
      const restarted = await node(stateOf(member.welcome, wallS), { key: member.key, wallS: later })
      assert.equal(await sees(restarted, fresh), 'member')
    })
  }

  it('ends by a revocation, which others take over, and outlives a start', async () => {
    const [member, other] = [await joined(owner, 'member'), await joined(owner, 'member')]
    const { signed } = await owner.membership.revoke(member.id, 'member', 'lost')
    await assert.rejects(sees(owner, member), { code: 'permission_denied' })
    assert.equal(await sees(other, member), 'member', 'it does not know yet')
    assert.deepEqual(await other.membership.learn(noticesOf(signed)), noticesOf(signed))
    assert.deepEqual(await other.membership.learn(noticesOf(signed)), NO_NOTICES)
    assert.equal(other.membership.isStillMember(member.membership.chain()), false)
    assert.equal(other.membership.isStillMember(owner.membership.chain()), true)
    assert.deepEqual(other.membership.noticeDigest(), owner.membership.noticeDigest())
    for (const one of [owner, other]) {
      const again = await node(one.saved.at(-1)!, { key: one.key })
      await assert.rejects(
        sees(again, member),
        (error) => isMeshError(error, 'permission_denied') && error.details['reason'] === 'revoked'
      )
    }
    assert.deepEqual(
      owner.membership.issued.map(({ node: id }) => id),
      [other.id]
    )
    const forged = { ...signed, bytes: signed.bytes.slice(), signature: new Uint8Array(64) }
    forged.bytes[forged.bytes.length - 1]! ^= 1
    await assert.rejects(other.membership.learn(noticesOf(forged)), { code: 'protocol_error' })
  })

  it('is not looked up any further in what a peer tells, once something there is that nobody can have checked', async () => {
    const [member, other, admin] = [await joined(owner, 'member'), await joined(owner, 'member'), await joined(owner, 'admin')]
    const { signed: good } = await owner.membership.revoke(member.id, 'member', '')
    const by = { meshKey: undefined, nodeKey: admin.key, chain: admin.membership.chain() }
    const revoked = {
      mesh: originBytes(owner.membership.mesh),
      node: originBytes(member.id),
      at: NOW,
      reason: '',
      role: 'member' as const
    }
    const byAdmin = await issueRevocation(by, revoked)
    const [link] = byAdmin.chain as [SignedCertificate]
    // Signed well by who made it up, with certificates that nobody signed.
    const bad = { ...byAdmin, chain: [{ ...link, signature: new Uint8Array(64) }] }
    await assert.rejects(other.membership.learn({ ...NO_NOTICES, revocations: [bad, good] }), { code: 'protocol_error' })
    assert.deepEqual(other.membership.notices().revocations, [])
    await assert.rejects(other.membership.learn({ ...NO_NOTICES, revocations: [good, bad] }), { code: 'protocol_error' })
    assert.deepEqual(other.membership.notices().revocations, [good])
  })

  it('is over after a start, too: who was revoked is not listed any more', async () => {
    const member = await joined(owner, 'member')
    await owner.membership.check(member.membership.chain(), member.id)
    assert.equal(owner.membership.roots.filter(({ node: id }) => id === member.id).length, 1)
    await owner.membership.revoke(member.id, 'member', '')
    const again = await node(owner.saved.at(-1)!, { key: owner.key })
    for (const { membership } of [owner, again])
      assert.deepEqual(
        [...membership.roots, ...membership.issued].filter(({ node: id }) => id === member.id),
        []
      )
  })

  it('does not end when that cannot be kept', async () => {
    const member = await joined(owner, 'member')
    owner.full.disk = true
    await assert.rejects(owner.membership.revoke(member.id, 'member', ''), { code: 'unavailable' })
    assert.equal(await sees(owner, member), 'member')
    assert.deepEqual(owner.membership.notices().revocations, [])
    // From elsewhere it holds all the same, until the next start.
    owner.full.disk = false
    const { signed } = await owner.membership.revoke(member.id, 'member', '')
    const other = await joined(owner, 'member')
    other.full.disk = true
    await assert.rejects(other.membership.learn(noticesOf(signed)), { code: 'unavailable' })
    await assert.rejects(sees(other, member), { code: 'permission_denied' })
    // With the next that comes, or the same once more, it is kept as well.
    other.full.disk = false
    assert.deepEqual(await other.membership.learn(noticesOf(signed)), NO_NOTICES)
    assert.deepEqual(other.saved.at(-1)!.revocations, [signed])
  })

  it('keeps on disk what it keeps in memory, when there are too many revocations', async () => {
    const [admin, victim, other] = [await joined(owner, 'admin'), await joined(owner, 'member'), await joined(owner, 'member')]
    const { signed } = await owner.membership.revoke(victim.id, 'member', 'thief')
    await other.membership.learn(noticesOf(signed))
    other.wall.s += 100
    const by = { meshKey: undefined, nodeKey: admin.key, chain: admin.membership.chain() }
    const flood: SignedRevocation[] = []
    for (let n = 0; n < MAX_REVOCATIONS; n++) {
      const node = crypto.getRandomValues(new Uint8Array(38))
      const mesh = originBytes(owner.membership.mesh)
      flood.push(await issueRevocation(by, { mesh, node, at: NOW + 50, reason: '', role: 'member' }))
    }
    await other.membership.learn({ ...NO_NOTICES, revocations: flood })
    const kept = other.saved.at(-1)!.revocations
    assert.equal(kept.length, MAX_REVOCATIONS)
    assert.ok(kept.includes(signed))
    const restarted = await node(other.saved.at(-1)!, { key: other.key, wallS: other.wall.s })
    await assert.rejects(sees(restarted, victim), { code: 'permission_denied' })
  })

  it('cannot begin later than its certificate: nobody could end it', async () => {
    const [admin, id] = [await joined(owner, 'admin'), peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString()]
    const grant = { node: id, role: 'member' as const, forward: true, name: '' }
    const issuer = { mesh: owner.membership.mesh, meshKey: undefined, chain: admin.membership.chain() }
    const late = await issueChain(issuer, admin.key, { ...grant, since: 2 ** 40 }, NOW)
    await assert.rejects(owner.membership.check(late, id), { code: 'permission_denied', details: { reason: 'not_yet_valid' } })
    // By a clock that is a little ahead, it may; a revocation comes after it.
    const ahead = await issueChain(issuer, admin.key, grant, NOW + 1_200)
    assert.equal((await owner.membership.check(ahead, id)).role, 'member')
    await owner.membership.revoke(id, 'member', '')
    await assert.rejects(owner.membership.check(ahead, id), { code: 'permission_denied', details: { reason: 'revoked' } })
  })

  it('begins anew with an invite after a revocation', async () => {
    const member = await joined(owner, 'member')
    await owner.membership.revoke(member.id, 'member', '')
    const token = owner.membership.invite({ role: 'member', forward: true })
    const welcome = await owner.membership.welcome({ op: 'join', token, name: 'pi' }, member.id, undefined)
    assert.equal((await owner.membership.check(welcome.chain, member.id)).role, 'member')
  })

  it('in the open mesh is that of everybody, and nobody is invited', async () => {
    const open = openMembership()
    assert.equal((await open.check([], owner.id)).role, 'member')
    assert.throws(
      () => open.invite({ role: 'member', forward: true }),
      (error) => isMeshError(error, 'unsupported')
    )
  })
})
