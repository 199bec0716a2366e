import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { equals } from 'uint8arrays/equals'
import type { Welcome } from '../../../protocols/join/messages.ts'
import { MAX_VALIDITY_S, ROLES, type Role, type SignedCertificate } from '../../../protocols/member/messages.ts'
import { NO_NOTICES, type Notices } from '../../../protocols/member/notices.ts'
import { MAX_GENERATIONS, keepOf, type SignedSuccession } from '../../../protocols/member/succession.ts'
import { originBytes, originId } from '../../../src/core/document.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { issueCertificate } from '../../../src/trust/certificate.ts'
import { VALIDITY_S } from '../../../src/trust/issuer.ts'
import { privateMembership, type Membership } from '../../../src/trust/membership.ts'
import { formatMeshState, foundMesh, parseMeshState, type MeshState } from '../../../src/trust/mesh-state.ts'
import { issueRevocation } from '../../../src/trust/revocations.ts'
import { createSuccessions, issueSuccession } from '../../../src/trust/successions.ts'

const NOW = 1_800_000_000
const bytesOf = (key: PrivateKey): Uint8Array => peerIdFromPrivateKey(key).toMultihash().bytes
const newKey = (): Promise<PrivateKey> => generateKeyPair('Ed25519')

interface TestNode {
  key: PrivateKey
  id: string
  wall: { s: number }
  full: { disk: boolean }
  membership: Membership
  /** `before` is called before anything is kept. */
  saves: { before: () => unknown }
  kept(): MeshState
  /** The same node after a start, from the text that it kept. */
  restarted(): Promise<TestNode>
}

async function node(state: MeshState, key: PrivateKey, wallS = NOW): Promise<TestNode> {
  const [wall, full, saves] = [{ s: wallS }, { disk: false }, { before: (): unknown => undefined }]
  let kept = state
  const membership = await privateMembership({
    state,
    nodeKey: key,
    wallS: () => wall.s,
    now: () => (wall.s - wallS) * 1_000,
    async save(next) {
      // What it begins has come as far as it can by itself when this is written.
      saves.before()
      await new Promise((resolve) => setImmediate(resolve))
      if (full.disk) throw new MeshError('unavailable', 'no space left on device')
      kept = next
    }
  })
  const id = peerIdFromPrivateKey(key).toString()
  const restarted = (): Promise<TestNode> => node(parseMeshState(formatMeshState(kept)), key, wall.s)
  return { key, id, wall, full, saves, membership, kept: () => kept, restarted }
}

async function joined(by: TestNode, role: Role): Promise<TestNode> {
  const key = await newKey()
  const token = by.membership.invite({ role, forward: role !== 'guest' })
  return node(
    await stateOf(
      await by.membership.welcome({ op: 'join', token, name: role }, peerIdFromPrivateKey(key).toString(), undefined)
    ),
    key
  )
}

async function stateOf({ mesh, name, secret, chain, successions = [], meshKey }: Welcome): Promise<MeshState> {
  const { privateKeyFromProtobuf } = await import('@libp2p/crypto/keys')
  return {
    mesh: originId(mesh),
    name,
    secret,
    chain,
    meshKey: meshKey === undefined ? undefined : privateKeyFromProtobuf(meshKey),
    clock: { floorS: 0, offsetS: 0 },
    issued: [],
    successions,
    revocations: []
  }
}

const sees = async (a: TestNode, b: TestNode): Promise<Role> => (await a.membership.check(b.membership.chain(), b.id)).role
const tell = (to: TestNode, from: TestNode): Promise<Notices> => to.membership.learn(from.membership.notices())
const refusedAs =
  (reason: string) =>
  (error: unknown): boolean =>
    isMeshError(error, 'permission_denied') && error.details['reason'] === reason
/** As over a connection. */
async function renew(who: TestNode, by: TestNode): Promise<void> {
  const member = await by.membership.check(who.membership.chain(), who.id)
  await who.membership.renewed(await by.membership.welcome({ op: 'renew' }, who.id, member))
}
/** A certificate that a key of the mesh signs for whoever it likes. */
async function certify(
  mesh: string,
  key: PrivateKey,
  to: string,
  role: Role,
  notAfter = NOW + VALIDITY_S
): Promise<SignedCertificate> {
  const serial = new Uint8Array(16)
  const grant = { mesh: originBytes(mesh), node: originBytes(to), role, forward: true, tags: [], name: '' }
  const notBefore = Math.max(NOW - 600, notAfter - MAX_VALIDITY_S)
  return issueCertificate({ ...grant, notBefore, since: notBefore, notAfter, serial }, key)
}

describe('rotation of the key of a mesh', () => {
  let owner: TestNode
  let second: TestNode
  let member: TestNode
  beforeEach(async () => {
    owner = await node(await foundMesh('home'), await newKey())
    second = await joined(owner, 'owner')
    member = await joined(owner, 'member')
  })

  it('keeps members, who know the new key and renew, and the id of the mesh', async () => {
    const admin = await joined(owner, 'admin')
    const guest = await joined(admin, 'guest')
    const made = await owner.membership.rotate()
    assert.equal(made.successions.length, 1)
    assert.equal(owner.membership.generation, 1)
    // Who has not heard of it yet does not know the key.
    await assert.rejects(sees(member, owner), refusedAs('broken_chain'))
    for (const one of [second, member, admin, guest]) {
      assert.deepEqual((await tell(one, owner)).successions, made.successions)
      assert.deepEqual((await tell(one, owner)).successions, [], 'it is known')
      assert.deepEqual(one.membership.noticeDigest(), owner.membership.noticeDigest())
      assert.equal(await sees(one, owner), 'owner')
      assert.equal(one.membership.mesh, owner.membership.mesh)
    }
    for (const one of [second, member, admin, guest]) {
      const role = one.membership.role
      assert.equal(await sees(owner, one), role)
      assert.equal(await sees(guest, one), role)
      assert.ok(one.membership.needsRenewal())
    }
    for (const one of [second, member, admin]) {
      await renew(one, owner)
      assert.ok(!one.membership.needsRenewal())
    }
    // By an admin that has its own by the new key.
    await renew(guest, admin)
    assert.ok(!guest.membership.needsRenewal())
    for (const one of [second, member, admin, guest]) assert.equal(await sees(second, one), one.membership.role)
  })

  it('gives other owners the new key with their renewal; until then they sign as any other', async () => {
    await owner.membership.rotate()
    await tell(second, owner)
    assert.throws(() => second.membership.invite({ role: 'owner', forward: true }), { code: 'permission_denied' })
    await assert.rejects(second.membership.rotate(), refusedAs('no_key'))
    await assert.rejects(second.membership.revoke(owner.id, 'owner', ''), refusedAs('no_key'))
    await renew(member, owner)
    const chain = member.membership.chain()
    await tell(member, owner)
    await renew(member, second)
    assert.deepEqual(member.membership.chain(), chain, 'nothing is taken that is no better')
    await renew(second, owner)
    assert.deepEqual(bytesOf(second.kept().meshKey!), bytesOf(owner.kept().meshKey!))
    const third = await joined(second, 'owner')
    assert.equal(third.membership.generation, 1)
    assert.equal(await sees(owner, third), 'owner')
    await second.membership.rotate()
    await tell(owner, second)
    assert.equal(owner.membership.generation, 2)
    assert.equal(await sees(owner, second), 'owner')
  })

  it('outlives a start everywhere', async () => {
    await owner.membership.rotate()
    for (const one of [second, member]) await tell(one, owner)
    const [again, there, other] = await Promise.all([owner, second, member].map((one) => one.restarted()))
    assert.deepEqual(
      [again, there, other].map((one) => one!.membership.generation),
      [1, 1, 1]
    )
    assert.equal(await sees(there!, again!), 'owner')
    assert.equal(await sees(again!, other!), 'member')
    await again!.membership.rotate()
    await tell(other!, again!)
    assert.equal(await sees(other!, again!), 'owner')
    assert.equal(await sees(again!, other!), 'member', 'kept again, though it has not renewed')
  })

  it('happens by itself when an owner is revoked, who lets nobody in from then on', async () => {
    const stolen = second.kept().meshKey ?? owner.kept().meshKey!
    const { signed, made } = await owner.membership.revoke(second.id, 'owner', 'stolen')
    assert.equal(made.successions.length, 1)
    assert.deepEqual(signed.revocation.issuer, bytesOf(owner.kept().meshKey!))
    await member.membership.learn(made)
    await assert.rejects(sees(member, second), refusedAs('revoked'))
    const friend = await newKey()
    const friendId = peerIdFromPrivateKey(friend).toString()
    const mesh = owner.membership.mesh
    for (const one of [owner, member, await member.restarted()]) {
      for (const [who, role] of [
        [friendId, 'member'],
        [second.id, 'owner'],
        // A member that stays is made no more than it was.
        [member.id, 'admin'],
        [member.id, 'owner']
      ] as const)
        await assert.rejects(one.membership.check([await certify(mesh, stolen, who, role)], who), {
          code: 'permission_denied'
        })
      const late = await certify(mesh, stolen, member.id, 'member', NOW + MAX_VALIDITY_S + 1)
      await assert.rejects(one.membership.check([late], member.id), refusedAs('superseded'))
      const below = [await certify(mesh, second.key, friendId, 'member'), await certify(mesh, stolen, second.id, 'owner')]
      await assert.rejects(one.membership.check(below, friendId), { code: 'permission_denied' })
      // It revokes nobody, either.
      const revoked = { mesh: originBytes(mesh), node: originBytes(owner.id), at: NOW, reason: '', role: undefined }
      const revenge = await issueRevocation({ meshKey: stolen, nodeKey: friend, chain: [] }, revoked)
      assert.deepEqual(await one.membership.learn({ ...NO_NOTICES, revocations: [revenge] }), NO_NOTICES)
      assert.equal(one.membership.isStillMember(owner.membership.chain()), true)
      // Nor does it replace the key a second time.
      const other = await issueSuccession({ ...made.successions[0]!.succession, key: bytesOf(friend) }, stolen)
      assert.deepEqual(await one.membership.learn({ ...NO_NOTICES, successions: [other] }), NO_NOTICES)
      assert.ok(one.membership.isKeyDisputed)
      assert.equal(await sees(one, owner), 'owner')
    }
    await second.membership.learn(made)
    assert.equal(second.membership.revocation?.reason, 'stolen')
  })

  it('happens also when it is not known what the revoked node is, and not for who never had the key', async () => {
    const stranger = peerIdFromPrivateKey(await newKey()).toString()
    assert.equal((await owner.membership.revoke(stranger, undefined, '')).made.successions.length, 1)
    assert.equal((await owner.membership.revoke(member.id, 'member', '')).made.successions.length, 0)
    // An owner that shows a certificate as a member still has the key.
    const mesh = owner.membership.mesh
    await owner.membership.check(
      [await certify(mesh, owner.kept().meshKey!, second.id, 'member', NOW + MAX_VALIDITY_S - 600)],
      second.id
    )
    assert.equal((await owner.membership.revoke(second.id, 'member', '')).made.successions.length, 1)
    assert.equal(owner.membership.generation, 2)
  })

  it('recovers a mesh whose first machine is lost, with a second owner', async () => {
    assert.equal(await sees(second, member), 'member')
    assert.equal(await sees(second, owner), 'owner')
    const { made } = await second.membership.revoke(owner.id, 'owner', 'the house burnt down')
    await member.membership.learn(made)
    assert.equal(await sees(second, member), 'member')
    assert.equal(await sees(member, second), 'owner')
    await renew(member, second)
    const fresh = await joined(second, 'member')
    assert.equal(await sees(member, fresh), 'member')
    assert.equal(await sees(fresh, member), 'member')
    await assert.rejects(sees(fresh, owner), { code: 'permission_denied' })
  })

  it('takes revocations along, so that who is new refuses whom the old key revoked', async () => {
    const admin = await joined(owner, 'admin')
    const out = await joined(admin, 'member')
    const before = await owner.membership.revoke(out.id, 'member', 'gone')
    await member.membership.learn(before.made)
    const made = await owner.membership.rotate()
    assert.equal(made.revocations.length, 1)
    for (const one of [member, second]) await tell(one, owner)
    const fresh = await joined(owner, 'member')
    await tell(fresh, owner)
    for (const one of [owner, member, second, fresh, await member.restarted()]) {
      await assert.rejects(sees(one, out), refusedAs('revoked'))
      assert.deepEqual(one.membership.noticeDigest(), owner.membership.noticeDigest())
    }
    // Of the old key it is news to nobody any more.
    const late = await node(
      await stateOf(await owner.membership.letIn(fresh.id, { role: 'member', forward: true }, '')),
      fresh.key
    )
    assert.deepEqual((await late.membership.learn(before.made)).revocations, [])
  })

  it('leaves out whom nobody here knows: it hears why, and a new invite lets it in', async () => {
    const away = await joined(second, 'member')
    const made = await owner.membership.rotate()
    await away.membership.learn(made)
    await assert.rejects(sees(owner, away), refusedAs('superseded'))
    assert.match(away.membership.revocation!.reason, /replaced/)
    const token = owner.membership.invite({ role: 'member', forward: true })
    const welcome = await owner.membership.welcome({ op: 'join', token, name: '' }, away.id, undefined)
    const again = await node(await stateOf(welcome), away.key)
    assert.equal(await sees(owner, again), 'member')
  })

  it('does not happen when it cannot be kept', async () => {
    owner.full.disk = true
    const fails = await Promise.allSettled([owner.membership.rotate(), owner.membership.revoke(second.id, 'owner', '')])
    for (const { reason } of fails as PromiseRejectedResult[])
      assert.ok(isMeshError(reason, 'unavailable') || isMeshError(reason, 'busy'))
    assert.equal(owner.membership.generation, 0)
    assert.equal(await sees(owner, second), 'owner')
    assert.equal(await sees(member, owner), 'owner')
  })

  it('is whole on disk whatever is heard while the new key is written', async () => {
    const [admin, victim] = [await joined(owner, 'admin'), await joined(owner, 'member')]
    const { signed } = await admin.membership.revoke(victim.id, 'member', 'x')
    // What is heard is kept after the new key, and before anybody has taken in that it is the newest.
    let learning: Promise<Notices> | undefined
    owner.saves.before = () => (learning ??= owner.membership.learn({ ...NO_NOTICES, revocations: [signed] }))
    const made = await owner.membership.rotate()
    await learning
    assert.equal(owner.kept().successions?.length, 1)
    const again = await owner.restarted()
    assert.equal(again.membership.generation, 1)
    assert.ok(equals(again.membership.successions()[0]!.bytes, made.successions[0]!.bytes))
    await assert.rejects(again.membership.check(victim.membership.chain(), victim.id), { code: 'permission_denied' })
  })

  it('happens at most so often, and not twice at once', async () => {
    const both = await Promise.allSettled([owner.membership.rotate(), owner.membership.rotate()])
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    for (let n = 1; n < MAX_GENERATIONS; n++) await owner.membership.rotate()
    await assert.rejects(owner.membership.rotate(), { code: 'too_large' })
    await tell(member, owner)
    assert.equal(await sees(owner, member), 'member')
    assert.equal(await sees(member, await owner.restarted()), 'owner')
  })
})

describe('successions', () => {
  interface Line {
    mesh: Uint8Array
    keys: PrivateKey[]
    signed: SignedSuccession[]
  }

  /** @param kept for each generation whether the node is kept. */
  async function line(kept: readonly boolean[], who: Uint8Array, role: Role): Promise<Line> {
    const keys = [await newKey()]
    const mesh = bytesOf(keys[0]!)
    const signed: SignedSuccession[] = []
    for (const [n, keeps] of kept.entries()) {
      keys.push(await newKey())
      const list = keeps ? [keepOf(mesh, n + 1, who, role)] : []
      signed.push(await issueSuccession({ mesh, generation: n + 1, key: bytesOf(keys[n + 1]!), at: NOW, keeps: list }, keys[n]!))
    }
    return { mesh, keys, signed }
  }

  it('are taken in any order, and certificates of any generation are good as far as all after it keep them', async () => {
    const who = bytesOf(await newKey())
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
        fc.constantFrom(...ROLES),
        fc.constantFrom(...ROLES),
        fc.array(fc.nat(), { minLength: 6, maxLength: 6 }),
        async (kept, keptRole, role, order) => {
          const { mesh, keys, signed } = await line(kept, who, keptRole)
          const known = createSuccessions(mesh)
          const shuffled = signed.map((one, n) => ({ one, at: order[n]! })).sort((a, b) => a.at - b.at)
          const { fresh, outcomes } = await known.take(shuffled.map(({ one }) => one))
          assert.deepEqual([fresh.length, [...outcomes]], [kept.length, ['new']])
          assert.deepEqual(known.newestKey(mesh), bytesOf(keys.at(-1)!))
          for (const [generation, key] of keys.entries()) {
            const grant = { mesh, node: who, role, forward: true, tags: [], name: '', serial: new Uint8Array(16) }
            const { certificate } = await issueCertificate(
              { ...grant, notBefore: NOW - 600, since: NOW - 600, notAfter: NOW + VALIDITY_S },
              key
            )
            const good =
              generation === kept.length ||
              (kept.slice(generation).every(Boolean) && ROLES.indexOf(role) >= ROLES.indexOf(keptRole))
            assert.equal(known.rootStanding(certificate), good ? 'good' : 'superseded')
          }
        }
      ),
      { numRuns: 40 }
    )
  })

  it('are refused when they are forged, skip one, come second, or lead back', async () => {
    const who = bytesOf(await newKey())
    const { mesh, keys, signed } = await line([true, true], who, 'member')
    const [first, second] = signed as [SignedSuccession, SignedSuccession]
    const other = await newKey()
    const known = createSuccessions(mesh)
    const outcome = async (one: SignedSuccession): Promise<unknown> => [...(await known.take([one])).outcomes]
    const by = (change: Partial<SignedSuccession['succession']>, key: PrivateKey) =>
      issueSuccession({ ...first.succession, ...change }, key)
    assert.deepEqual(await outcome(second), ['void'], 'what comes before is not known')
    assert.deepEqual(await outcome(await by({}, other)), ['refused'])
    assert.deepEqual(await outcome({ ...first, signature: second.signature }), ['refused'])
    assert.deepEqual(await outcome(await by({ key: mesh }, keys[0]!)), ['refused'], 'the key itself')
    assert.deepEqual(await outcome(await by({ mesh: bytesOf(other) }, other)), ['void'], 'another mesh')
    assert.deepEqual(await outcome(first), ['new'])
    assert.deepEqual(await outcome(first), ['known'])
    assert.deepEqual(await outcome(await by({ key: bytesOf(other) }, keys[0]!)), ['conflict'], 'the first that was seen counts')
    assert.deepEqual(await outcome(await by({ key: bytesOf(other) }, other)), ['refused'])
    assert.deepEqual(await outcome(await by({ generation: 2 }, keys[0]!)), ['refused'], 'signed by a key before the last')
    assert.deepEqual(await outcome(await by({ generation: 2, key: bytesOf(keys[1]!) }, keys[1]!)), ['refused'], 'a circle')
    assert.deepEqual(await outcome(second), ['new'])
    assert.deepEqual(known.newestKey(mesh), bytesOf(keys[2]!))
  })
})
