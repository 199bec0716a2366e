import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import fc from 'fast-check'
import { formatTreaty, parseTreaty } from '../../../protocols/treaty/code.ts'
import {
  MAX_TREATIES,
  MAX_TREATY_REVOCATIONS,
  encodeTreaty,
  signedTreatyBytes,
  signedTreatyRevocationBytes,
  type SignedTreaty,
  type Treaty
} from '../../../protocols/treaty/messages.ts'
import { NO_NOTICES } from '../../../protocols/member/notices.ts'
import { originId } from '../../../src/core/document.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { issueChain } from '../../../src/trust/issuer.ts'
import { privateMembership, type Membership } from '../../../src/trust/membership.ts'
import { openMembership } from '../../../src/trust/open-membership.ts'
import { foundMesh, formatMeshState, parseMeshState, type MeshState } from '../../../src/trust/mesh-state.ts'
import { noticeDigest } from '../../../src/trust/revocations.ts'
import { countersign, createTreaties, issueOffer, issueTreatyRevocation, type TreatyTerms } from '../../../src/trust/treaties.ts'

const NOW = 1_800_000_000
const DAY = 86_400

interface Founded {
  state: MeshState & { meshKey: PrivateKey }
  id: string
  bytes: Uint8Array
}

async function founded(name: string): Promise<Founded> {
  const state = await foundMesh(name)
  return { state, id: state.mesh, bytes: peerIdFromPrivateKey(state.meshKey).toMultihash().bytes }
}

describe('treaties', () => {
  let home: Founded
  let club: Founded
  let other: Founded
  let time: number
  before(async () => ([home, club, other] = await Promise.all([founded('home'), founded('club'), founded('other')])))
  beforeEach(() => (time = NOW))

  const terms = (change: Partial<TreatyTerms> = {}): TreatyTerms => ({
    mesh: home.id,
    name: 'home',
    other: club.id,
    otherName: 'club',
    lends: ['sensor/*'],
    borrows: ['printer/**'],
    secret: crypto.getRandomValues(new Uint8Array(32)),
    serial: crypto.getRandomValues(new Uint8Array(16)),
    notBefore: time - 60,
    notAfter: time + 30 * DAY,
    ...change
  })
  const offer = (change: Partial<TreatyTerms> = {}): Promise<SignedTreaty> => issueOffer(terms(change), home.state.meshKey)
  const agreed = async (change: Partial<TreatyTerms> = {}): Promise<SignedTreaty> =>
    countersign(await offer(change), club.bytes, club.state.meshKey)
  const knownTo = (mesh: Founded): ReturnType<typeof createTreaties> =>
    createTreaties(
      mesh.bytes,
      () => time,
      () => 600
    )
  const given = (...treaties: SignedTreaty[]) => ({ treaties, treatyRevocations: [] })
  const end = ({ treaty: { serial } }: SignedTreaty, by: Founded, at = time, key = by.state.meshKey) =>
    issueTreatyRevocation({ mesh: by.bytes, serial, at, reason: 'test' }, key)
  const isRefused = (error: unknown): boolean => isMeshError(error, 'protocol_error')

  it('lend what each side says, in one direction each', async () => {
    const signed = await agreed()
    for (const [mesh, partner, lent, isBorrowed] of [
      [home, club, 'sensor/camera', 'printer/3d/large'],
      [club, home, 'printer/3d/large', 'sensor/camera']
    ] as const) {
      const known = knownTo(mesh)
      assert.equal((await known.take(given(signed))).treaties.length, 1)
      assert.deepEqual([known.isLent(partner.id, lent), known.isLent(partner.id, isBorrowed)], [true, false])
      assert.deepEqual([known.isBorrowed(partner.id, isBorrowed), known.isBorrowed(partner.id, lent)], [true, false])
      assert.deepEqual([known.isLent(other.id, lent), known.isLent(mesh.id, lent)], [false, false])
      assert.equal(known.isLent(partner.id, 'sensor/camera/ip'), false, 'a star stays within a segment')
      assert.deepEqual((await known.take(given(signed))).treaties, [], 'it is known')
    }
  })

  it('are refused with one signature, forged, with swapped sides, or between others', async () => {
    const [signed, half] = [await agreed(), await offer()]
    const [one, two] = signed.signatures
    const stranger = await generateKeyPair('Ed25519')
    const forged = await stranger.sign(signedTreatyBytes(signed.bytes))
    const { lends, names, ...same } = signed.treaty
    const swapped: Treaty = { ...same, names: [names[1], names[0]], lends: [lends[1], lends[0]] }
    const longer: Treaty = { ...signed.treaty, notAfter: signed.treaty.notAfter + DAY }
    const bad: [string, SignedTreaty][] = [
      ['half signed', half],
      ['the other half', { ...signed, signatures: [one, undefined] }],
      ['forged first', { ...signed, signatures: [forged, two] }],
      ['forged second', { ...signed, signatures: [one, forged] }],
      ['signatures the wrong way round', { ...signed, signatures: [two, one] }],
      ['one twice', { ...signed, signatures: [one, one] }],
      ['sides swapped', { ...signed, bytes: encodeTreaty(swapped), treaty: swapped }],
      ['longer than agreed', { ...signed, bytes: encodeTreaty(longer), treaty: longer }],
      ['signed for another purpose', { ...signed, signatures: [await home.state.meshKey.sign(signed.bytes), two] }]
    ]
    for (const [what, treaty] of bad) {
      const known = knownTo(home)
      await assert.rejects(known.take(given(await agreed(), treaty)), isRefused, what)
      assert.deepEqual(known.pacts(), [], `${what}: and nothing that came with it is kept`)
    }
    await assert.rejects(knownTo(other).take(given(signed)), isRefused, 'it is of two others')
  })

  it('hold in their time alone, and are forgotten after it', async () => {
    const known = knownTo(home)
    await known.take(given(await agreed({ notBefore: time + 3_600, notAfter: time + 7_200 })))
    assert.deepEqual([known.inForce().length, known.pacts().length], [0, 1])
    time += 3_000
    assert.equal(known.inForce().length, 1, 'clocks differ by ten minutes')
    time += 4_200
    assert.equal(known.isLent(club.id, 'sensor/x'), true, 'to its last second')
    time += 1
    assert.deepEqual([known.isLent(club.id, 'sensor/x'), known.pacts(), known.keys()], [false, [], []])
    assert.deepEqual((await known.take(given(await agreed({ notBefore: NOW - 2, notAfter: NOW - 1 })))).treaties, [])
  })

  it('end by the key of either side and of nobody else, also before they come', async () => {
    const signed = await agreed()
    for (const by of [home, club]) {
      const known = knownTo(home)
      await known.take(given(signed))
      const revoked = await end(signed, by)
      assert.equal((await known.take({ treaties: [], treatyRevocations: [revoked] })).treatyRevocations.length, 1)
      assert.deepEqual([known.inForce(), known.isRevoked(signed.treaty.serial)], [[], true])
      assert.equal(known.pacts()[0]!.revoked, revoked)
      await known.take(given(signed))
      assert.deepEqual(known.inForce(), [], 'for good')
    }
    const stranger = await generateKeyPair('Ed25519')
    const known = knownTo(home)
    await known.take(given(signed))
    for (const bad of [
      await end(signed, home, time, stranger),
      await end(signed, club, time, home.state.meshKey),
      { ...(await end(signed, home)), signature: await home.state.meshKey.sign(signedTreatyRevocationBytes(signed.bytes)) }
    ])
      await assert.rejects(known.take({ treaties: [], treatyRevocations: [bad] }), isRefused)
    // Of a mesh that has no part in it: no harm, and not kept.
    await known.take({ treaties: [], treatyRevocations: [await end(signed, other)] })
    assert.deepEqual([known.inForce().length, known.all().treatyRevocations], [1, []])
    // An offer that was taken back never holds; of the other side nobody can tell before the treaty is there.
    const early = knownTo(home)
    await early.take({ treaties: [], treatyRevocations: [await end(signed, home), await end(signed, club)] })
    assert.equal(early.all().treatyRevocations.length, 1)
    await early.take(given(signed))
    assert.deepEqual(early.inForce(), [])
    const together = knownTo(home)
    await together.take({ treaties: [signed], treatyRevocations: [await end(signed, club)] })
    assert.deepEqual([together.pacts().length, together.inForce()], [1, []])
  })

  it('are bounded, and the same everywhere whatever the order', async () => {
    const all = await Promise.all(Array.from({ length: MAX_TREATIES + 3 }, (_, n) => agreed({ notBefore: time - 1_000 + n })))
    const [a, b] = [knownTo(home), knownTo(home)]
    for (const signed of all) await a.take(given(signed))
    const gone = await end(all.at(-1)!, club)
    await a.take({ treaties: [], treatyRevocations: [gone] })
    await b.take({ treaties: [...all].reverse(), treatyRevocations: [gone] })
    assert.deepEqual([a.pacts().length, b.pacts().length], [MAX_TREATIES, MAX_TREATIES])
    await a.take(given(all[0]!, all[1]!))
    assert.equal(a.pacts().length, MAX_TREATIES)
    // What was revoked and had to go does not come back, not even after a start.
    const again = knownTo(home)
    await again.take(b.kept(), { kept: true })
    for (const known of [a, b, again]) {
      await known.take(given(all.at(-1)!))
      assert.ok(known.inForce().every(({ signed }) => signed !== all.at(-1)))
    }
    for (const signed of all) assert.equal(b.isRevoked(signed.treaty.serial), signed === all.at(-1))
    for (let n = 0; n < MAX_TREATY_REVOCATIONS + 5; n++) {
      const unknown = { ...all[0]!, treaty: { ...all[0]!.treaty, serial: Uint8Array.from({ length: 16 }, () => n) } }
      await a.take({ treaties: [], treatyRevocations: [await end(unknown, home, time + n)] })
    }
    assert.equal(a.all().treatyRevocations.length, MAX_TREATY_REVOCATIONS)
    // A second revocation of the same by the same says nothing new: nobody can fill the table with one treaty.
    const [c, d] = [knownTo(home), knownTo(home)]
    const one = all.slice(0, 2)
    await c.take({ treaties: one, treatyRevocations: [await end(one[0]!, club), await end(one[0]!, club, time + 1)] })
    await d.take({ treaties: [...one].reverse(), treatyRevocations: [await end(one[0]!, club, time + 1)] })
    assert.equal(
      (await c.take({ treaties: [], treatyRevocations: [await end(one[0]!, club, time + 9)] })).treatyRevocations.length,
      0
    )
    assert.deepEqual(noticeDigest(c.keys()), noticeDigest(d.keys()))
    time += 400 * DAY
    assert.deepEqual([a.keys(), c.keys()], [[], []])
  })

  it('pass as a code, which tells every mistake', async () => {
    const signed = await agreed()
    const code = formatTreaty(signed)
    assert.match(code, /^ATMOT1[A-Z2-7]+$/)
    for (const text of [code.toLowerCase(), ` ${code}\n`, code.replace(/.{7}/g, '$&-')])
      assert.equal(formatTreaty(parseTreaty(text).signed), code)
    fc.assert(
      fc.property(fc.nat(code.length - 1), fc.constantFrom(...'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'), (at, letter) => {
        fc.pre(code[at] !== letter)
        assert.throws(
          () => parseTreaty(code.slice(0, at) + letter + code.slice(at + 1)),
          (error) => isMeshError(error, 'invalid_argument')
        )
      })
    )
    for (const text of ['', 'ATMO1ABC', code.slice(0, -4), `${code}AA`, 'x'.repeat(20_000)])
      assert.throws(
        () => parseTreaty(text),
        (error) => isMeshError(error, 'invalid_argument')
      )
  })

  it('never lend more than their globs say, whatever is made of them', async () => {
    const segment = fc.constantFrom('sensor', 'camera', 'llm', 'x')
    const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
    const glob = fc.oneof(
      path,
      path.map((text) => `${text}/*`),
      path.map((text) => `${text}/**`),
      fc.constant('*')
    )
    await fc.assert(
      fc.asyncProperty(fc.array(glob, { maxLength: 3 }), fc.array(glob, { maxLength: 3 }), path, async (lends, borrows, type) => {
        const signed = await agreed({ lends, borrows })
        const [mine, theirs] = [knownTo(home), knownTo(club)]
        for (const known of [mine, theirs]) await known.take(given(signed))
        assert.equal(mine.isLent(club.id, type), theirs.isBorrowed(home.id, type))
        assert.equal(mine.isBorrowed(club.id, type), theirs.isLent(home.id, type))
        const pattern = (one: string): RegExp =>
          new RegExp(`^${one.replace(/\*\*|\*/g, (stars) => (stars === '**' ? '.*' : '[^/]*'))}$`)
        assert.equal(
          mine.isLent(club.id, type),
          lends.some((one) => pattern(one).test(type))
        )
      }),
      { numRuns: 40 }
    )
  })

  describe('of a membership', () => {
    let saved: MeshState[]
    let full: boolean
    beforeEach(() => {
      saved = []
      full = false
    })
    const memberOf = async (mesh: Founded, role: 'owner' | 'member', state: MeshState = mesh.state): Promise<Membership> => {
      const nodeKey = await generateKeyPair('Ed25519')
      const node = peerIdFromPrivateKey(nodeKey).toString()
      const chain = await issueChain(mesh.state, nodeKey, { node, role, forward: true, name: '' }, time)
      return privateMembership({
        state: { ...state, chain, meshKey: role === 'owner' ? mesh.state.meshKey : undefined },
        nodeKey,
        wallS: () => time,
        now: () => 0,
        async save(next) {
          if (full) throw new MeshError('unavailable', 'no space left on device')
          saved.push(next)
        }
      })
    }
    const wants = { name: 'club', lends: ['sensor/*'], borrows: [], forS: DAY }
    const reason = (why: string) => (error: unknown) => isMeshError(error, 'permission_denied') && error.details['reason'] === why

    it('go from an offer over an answer back, and are kept and passed on', async () => {
      const [a, b] = [await memberOf(home, 'owner'), await memberOf(club, 'owner')]
      const { code } = await a.treaties.offer({ ...wants, mesh: club.id })
      const shown = await b.treaties.read(code)
      assert.deepEqual([shown.agreed, shown.ownOffer, shown.pact.mesh, shown.pact.name], [false, false, home.id, 'home'])
      assert.deepEqual([shown.pact.lends, shown.pact.borrows], [[], ['sensor/*']])
      assert.deepEqual([(await a.treaties.read(code)).ownOffer, a.treaties.pacts(), b.treaties.pacts()], [true, [], []])
      await assert.rejects(a.treaties.accept(code), reason('half_signed'))
      const answer = await b.treaties.accept(code)
      assert.equal(b.treaties.inForce().length, 1)
      assert.equal(a.treaties.inForce().length, 0)
      const taken = await a.treaties.accept(answer.code)
      assert.equal(taken.code, answer.code)
      assert.equal(taken.notices.treaties.length, 1)
      assert.equal((await a.treaties.accept(answer.code)).notices.treaties.length, 0, 'twice is once')
      const member = await memberOf(home, 'member')
      assert.equal((await member.learn(a.notices())).treaties.length, 1)
      assert.deepEqual(member.noticeDigest(), a.noticeDigest())
      const again = await memberOf(home, 'member', parseMeshState(formatMeshState(saved.at(-1)!)))
      assert.deepEqual(
        again.treaties.inForce().map(({ serial }) => serial),
        [taken.pact.serial]
      )
      await assert.rejects(member.treaties.offer({ ...wants, mesh: club.id }), reason('no_key'))
      await assert.rejects(member.treaties.revoke(taken.pact.serial, ''), reason('no_key'))
      const over = await a.treaties.revoke(taken.pact.serial, 'moved')
      assert.equal((await member.learn({ ...NO_NOTICES, ...over })).treatyRevocations.length, 1)
      assert.deepEqual([a.treaties.inForce(), member.treaties.inForce()], [[], []])
      await assert.rejects(a.treaties.accept(answer.code), reason('revoked'))
    })

    it('are refused where they are not addressed to, forged, too late, or for nothing', async () => {
      const [a, b, c] = [await memberOf(home, 'owner'), await memberOf(club, 'owner'), await memberOf(other, 'owner')]
      const { code, pact } = await a.treaties.offer({ ...wants, mesh: club.id })
      await assert.rejects(c.treaties.accept(code), reason('not_addressed'))
      const { signatures } = pact.signed
      const bad = await other.state.meshKey.sign(signedTreatyBytes(pact.signed.bytes))
      const forged = formatTreaty({ ...pact.signed, signatures: signatures[0] ? [bad, undefined] : [undefined, bad] })
      await assert.rejects(b.treaties.accept(forged), reason('bad_signature'))
      for (const [change, message] of [
        [{ mesh: home.id }, /this very mesh/],
        [{ mesh: 'club' }, /no id of a mesh/],
        [{ lends: [], borrows: [] }, /nobody lends/],
        [{ lends: ['Sensor'] }, /no glob/],
        [{ lends: Array.from({ length: 33 }, () => 'x') }, /at most 32/],
        [{ forS: 0 }, /holds for/],
        [{ forS: 366 * DAY }, /holds for/]
      ] as const)
        await assert.rejects(
          a.treaties.offer({ ...wants, mesh: club.id, ...change }),
          (error) => isMeshError(error, 'invalid_argument') && message.test(error.message)
        )
      time += 2 * DAY
      await assert.rejects(b.treaties.accept(code), reason('expired'))
      await assert.rejects(openMembership().treaties.offer({ ...wants, mesh: club.id }), { code: 'unsupported' })
    })

    it('do not hold when they cannot be kept', async () => {
      const [a, b] = [await memberOf(home, 'owner'), await memberOf(club, 'owner')]
      const { code } = await a.treaties.offer({ ...wants, mesh: club.id })
      full = true
      await assert.rejects(b.treaties.accept(code), { code: 'unavailable' })
      assert.deepEqual(b.treaties.pacts(), [])
      full = false
      const { pact } = await b.treaties.accept(code)
      full = true
      await assert.rejects(b.treaties.revoke(pact.serial, ''), { code: 'unavailable' })
      assert.equal(b.treaties.inForce().length, 1)
    })

    it('let in nodes of the other mesh with good certificates, and nobody whom this mesh revoked', async () => {
      const [a, b] = [await memberOf(home, 'owner'), await memberOf(club, 'owner')]
      const peer = originId(b.chain()[0]!.certificate.node)
      await assert.rejects(a.treaties.check(b.chain(), peer, club.id), reason('no_treaty'))
      const { code } = await b.treaties.accept((await a.treaties.offer({ ...wants, mesh: club.id })).code)
      await a.treaties.accept(code)
      assert.equal((await a.treaties.check(b.chain(), peer, club.id)).role, 'owner')
      await assert.rejects(a.treaties.check(a.chain(), originId(a.chain()[0]!.certificate.node), club.id), reason('wrong_mesh'))
      await assert.rejects(a.treaties.check(b.chain(), home.id, club.id), reason('wrong_node'))
      await assert.rejects(a.treaties.check([], peer, club.id), reason('empty'))
      await assert.rejects(a.check(b.chain(), peer), reason('wrong_mesh'), 'it is no member')
      await a.revoke(peer, undefined, 'not that one')
      await assert.rejects(a.treaties.check(b.chain(), peer, club.id), reason('revoked'))
      assert.equal(a.isStillMember(b.chain()), false)
    })

    it('keep what is changed at the same time', async () => {
      const [a, b] = [await memberOf(home, 'owner'), await memberOf(club, 'owner')]
      const { code } = await b.treaties.accept((await a.treaties.offer({ ...wants, mesh: club.id })).code)
      const lost = originId(b.chain()[0]!.certificate.node)
      await Promise.all([a.treaties.accept(code), a.revoke(lost, 'member', 'lost')])
      const { treaties, revocations } = saved.at(-1)!
      assert.deepEqual([treaties!.length, revocations.length], [1, 1])
    })
  })
})
