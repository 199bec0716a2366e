import assert from 'node:assert/strict'
import { peerIdFromString } from '@libp2p/peer-id'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import {
  NONCE_BYTES,
  PROOF_BYTES,
  NOTICE_DIGEST_BYTES,
  encodeMemberAnswer,
  encodeMemberHello,
  proofBytes,
  type SignedCertificate
} from '../../protocols/member/messages.ts'
import { NO_NOTICES, type Notices } from '../../protocols/member/notices.ts'
import { originId } from '../../src/core/document.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { createMember, type Member, type MemberComponents } from '../../src/net/member.ts'
import type { Session } from '../../src/net/session.ts'
import { AGREED, TREATY_REVOKED } from '../../scripts/vectors/treaty.ts'
import { startPair, within, type Pair } from '../fixtures/libp2p-pair.ts'
import { createTestMesh } from '../fixtures/test-mesh.ts'
import { protocolContract } from './contract.ts'

const SECRET = new Uint8Array(32).fill(7)
const DIGEST = new Uint8Array(NOTICE_DIGEST_BYTES)
/** A node that knows of no revocation. */
const PLAIN = {
  secret: SECRET,
  chain: () => [],
  check: async () => undefined,
  treaties: () => [],
  notices: () => NO_NOTICES,
  noticeDigest: () => DIGEST,
  onRevoked: () => undefined,
  learn: async () => undefined
}
const never = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })
const nonce = new Uint8Array(NONCE_BYTES)
const [ID, OTHER] = [
  '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR',
  '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
]
const idBytes = (peer: string): Uint8Array => peerIdFromString(peer).toMultihash().bytes

/** What a member that knows the secret says first. */
function helloOf(asks: string, answers: string): unknown {
  const bytes = proofBytes('asks', nonce, { asks: idBytes(asks), answers: idBytes(answers) })
  return encodeMemberHello({ nonce, proof: hmac(sha256, SECRET, bytes) })
}

protocolContract('member', () => {
  const { protocol } = createMember({ self: ID, ...PLAIN }, () => undefined)
  const request = helloOf(OTHER, ID)
  return {
    // The same for whoever asks, since the proof must fit.
    protocol: { ...protocol, handle: (exchange) => protocol.handle(exchange, OTHER) },
    async good(session) {
      const exchange = session.request(request, never())
      const { value } = await exchange.next()
      assert.equal((value as { p: Uint8Array }).p.length, PROOF_BYTES)
      await exchange.return(undefined)
    },
    request,
    unknown: { op: 'what' }
  }
})

describe('member protocol', function () {
  this.timeout(30_000)
  let pair: Pair
  let admitted: string[]
  let open: Session[]
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())
  beforeEach(() => {
    admitted = []
    open = []
  })
  afterEach(async () => {
    for (const session of open) session.abort(new MeshError('cancelled', 'over'))
    await Promise.all(open.map(({ closed }) => closed))
  })

  const a = (): string => pair.a.peerId.toString()
  const b = (): string => pair.b.peerId.toString()
  const member = (self: string, change: Partial<MemberComponents> = {}): Member =>
    createMember({ self, ...PLAIN, ...change }, (peer) => admitted.push(peer))
  async function session(answers: Member): Promise<Session> {
    const both = await pair.sessions({ b: (exchange) => answers.protocol.handle(exchange, a()) })
    open.push(...both)
    return both[0]
  }
  /** The other way round. */
  async function sessionTo(answers: Member): Promise<Session> {
    const both = await pair.sessions({ a: (exchange) => answers.protocol.handle(exchange, b()) })
    open.push(...both)
    return both[1]
  }
  /** Certificates of a node, another node, and notices: both are revoked, and there is a treaty. */
  async function noticesWithTreaty(): Promise<[SignedCertificate[], Uint8Array, Notices]> {
    const mesh = await createTestMesh('home')
    const [owner, one, two] = [await mesh.member('owner'), await mesh.member(), await mesh.member()]
    const membership = await owner.membership()
    const ended = [one, two].map(async ({ peerId }) => (await membership.revoke(peerId, 'member', 'private')).signed)
    const revocations = await Promise.all(ended)
    return [one.kept().chain, idBytes(two.peerId), { ...NO_NOTICES, revocations, treaties: [AGREED] }]
  }
  const isStranger = (error: unknown): boolean => isMeshError(error, 'permission_denied') && error.details['reason'] === undefined

  it('lets each side check the other, and the asking side first', async () => {
    const checked: string[] = []
    const check = (by: string) => async (_chain: readonly SignedCertificate[], peer: string) =>
      void checked.push(`${by} ${peer === a() ? 'a' : 'b'}`)
    await member(a(), { check: check('a') }).prove(await session(member(b(), { check: check('b') })), b())
    assert.deepEqual(
      [checked, admitted],
      [
        ['a b', 'b a'],
        [b(), a()]
      ]
    )
  })

  it('shows its certificates to nobody who does not know the secret', async () => {
    const shown: string[] = []
    const chain = (by: string) => (): SignedCertificate[] => (shown.push(by), [])
    const other = new Uint8Array(32).fill(8)
    const [from, to] = [member(a(), { secret: other, chain: chain('a') }), member(b(), { chain: chain('b') })]
    await assert.rejects(from.prove(await session(to), b()), isStranger)
    assert.deepEqual([shown, admitted], [[], []])
  })

  it('shows its own to nobody who answers with a proof that is not good', async () => {
    let shown = 0
    const other = new Uint8Array(32).fill(8)
    const both = await pair.sessions({
      async *b() {
        yield encodeMemberAnswer({ proof: hmac(sha256, other, nonce), chain: [], digest: DIGEST })
        return null
      }
    })
    open.push(...both)
    await assert.rejects(member(a(), { chain: () => (shown++, []) }).prove(both[0], b()), isStranger)
    assert.deepEqual([shown, admitted], [0, []])
  })

  it('takes no proof that was made for another connection', async () => {
    // The same secret, but one side is not who the connection says: as when a stranger passes on what two members say.
    await assert.rejects(member(ID).prove(await session(member(b())), b()), isStranger)
    await assert.rejects(member(a()).prove(await session(member(ID)), b()), isStranger)
    assert.deepEqual(admitted, [])
  })

  it('does not take its own proof for that of the other side', async () => {
    const both = await pair.sessions({
      async *b({ body }) {
        yield encodeMemberAnswer({ proof: (body as { p: Uint8Array }).p, chain: [], digest: DIGEST })
        return null
      }
    })
    open.push(...both)
    await assert.rejects(member(a()).prove(both[0], b()), isStranger)
    assert.deepEqual(admitted, [])
  })

  it('admits nobody who does not say who it is', async () => {
    const exchange = (await session(member(b()))).request(helloOf(a(), b()), {
      ...never(),
      input: (async function* () {})()
    })
    assert.equal((await exchange.next()).done, false)
    await assert.rejects(within(exchange.next(), 'an answer'), { code: 'protocol_error' })
    assert.deepEqual(admitted, [])
  })

  it('brings both sides to the same revocations before either is let in', async () => {
    const order: string[] = []
    const side = (name: string): Partial<MemberComponents> => ({
      noticeDigest: () => new Uint8Array(NOTICE_DIGEST_BYTES).fill(name.charCodeAt(0)),
      // Only that it is sent is looked at here: what is in it is for src/trust.
      notices: () => (order.push(`${name} shows`), { ...NO_NOTICES, treatyRevocations: [TREATY_REVOKED] }),
      learn: async () => void order.push(`${name} learns`),
      check: async () => void order.push(`${name} checks`)
    })
    await member(a(), side('a')).prove(await session(member(b(), side('b'))), b())
    // Nobody learns of whom it has not checked, nor lets in whom it has not checked since.
    const [first, then] = [
      ['a checks', 'a shows'],
      ['b shows', 'b checks', 'b learns', 'b checks', 'a checks', 'a learns', 'a checks']
    ]
    assert.deepEqual(order, [...first, ...then])
    assert.deepEqual(admitted, [a(), b()])
  })

  it('learns nothing of whom it does not take, and tells one that is out by what, and nothing else', async () => {
    const [out, other, notices] = await noticesWithTreaty()
    const isOut = async (): Promise<void> => {
      throw new MeshError('permission_denied', 'it is out', { reason: 'revoked' })
    }
    const inside = {
      notices: () => notices,
      noticeDigest: () => DIGEST.map(() => 1),
      check: isOut,
      learn: async () => assert.fail()
    }
    const told: Notices[] = []
    const outside = { chain: () => out, notices: () => notices, learn: async (of: Notices) => void told.push(of) }
    // Whichever side asks.
    await member(a(), outside).prove(await session(member(b(), inside)), b())
    await assert.rejects(member(b(), inside).prove(await sessionTo(member(a(), outside)), a()), /it is out/)
    assert.ok(told.length === 2 && notices.treaties.length === 1)
    for (const { treaties, revocations } of told) {
      assert.deepEqual(treaties, [])
      assert.deepEqual(
        revocations.map(({ revocation }) => revocation.node),
        [out[0]!.certificate.node]
      )
      assert.notDeepEqual(revocations[0]!.revocation.node, other)
    }
  })

  it('tells a member why its certificate is refused', async () => {
    const check = async (): Promise<void> => {
      throw new MeshError('permission_denied', 'it has expired', { reason: 'expired' })
    }
    await assert.rejects(
      member(a()).prove(await session(member(b(), { check })), b()),
      (error) => isMeshError(error, 'permission_denied') && error.details['reason'] === 'expired'
    )
    await assert.rejects(member(a(), { check }).prove(await session(member(b())), b()), /it has expired/)
  })

  describe('between meshes', () => {
    const [TREATY, OTHER_TREATY] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const foreign = (mesh: string, ...secrets: Uint8Array[]): Partial<MemberComponents> => ({
      secret: new Uint8Array(32).fill(mesh.charCodeAt(0)),
      treaties: () => secrets.map((secret, n) => ({ mesh: `${mesh} ${n}`, secret })),
      noticeDigest: () => new Uint8Array(NOTICE_DIGEST_BYTES).fill(mesh.charCodeAt(0)),
      notices: () => assert.fail('nothing is told to another mesh'),
      learn: async () => assert.fail('nothing is taken from another mesh')
    })

    it('each side checks the other against the mesh of the treaty that both know, and tells nothing of its own', async () => {
      const checked: (string | undefined)[] = []
      const check = async (_chain: readonly SignedCertificate[], peer: string, mesh: string | undefined): Promise<void> =>
        void checked.push(`${peer === a() ? 'a' : 'b'} of ${mesh}`)
      const of: (string | undefined)[] = []
      const side = (self: string, change: Partial<MemberComponents>): Member =>
        createMember({ self, ...PLAIN, ...change, check }, (_, mesh) => of.push(mesh))
      const [asks, answers] = [foreign('x', OTHER_TREATY, TREATY), foreign('y', new Uint8Array(32).fill(3), TREATY)]
      await side(a(), asks).prove(await session(side(b(), answers)), b())
      assert.deepEqual(
        [checked, of],
        [
          ['b of x 1', 'a of y 1'],
          ['x 1', 'y 1']
        ]
      )
    })

    it('a node that knows none of the proofs answers as to any stranger', async () => {
      for (const secrets of [[], [OTHER_TREATY]]) {
        const answers = { ...foreign('y', ...secrets), chain: () => assert.fail('it shows nothing') }
        await assert.rejects(member(a(), foreign('x', TREATY)).prove(await session(member(b(), answers)), b()), isStranger)
      }
      // Nor does one take a treaty that it has not asked by.
      const late = { ...foreign('x'), chain: () => assert.fail('it shows nothing') }
      await assert.rejects(member(a(), late).prove(await session(member(b(), foreign('y', TREATY))), b()), isStranger)
      assert.deepEqual(admitted, [])
    })

    it('proofs of treaties differ on each connection and say nothing of their order', async () => {
      const seen: Uint8Array[][] = []
      for (const secrets of [
        [TREATY, OTHER_TREATY],
        [OTHER_TREATY, TREATY]
      ]) {
        const both = await pair.sessions({
          async *b({ body }) {
            seen.push((body as { f: Uint8Array[] }).f)
            throw new MeshError('permission_denied', 'no')
          }
        })
        open.push(...both)
        await assert.rejects(member(a(), foreign('x', ...secrets)).prove(both[0], b()))
      }
      assert.equal(new Set(seen.flat().map((proof) => Buffer.from(proof).toString('hex'))).size, 4)
      for (const proofs of seen) assert.ok(Buffer.compare(proofs[0]!, proofs[1]!) < 0)
    })

    it('who asks by a treaty that was revoked is told so, and nothing else', async () => {
      const learnt: unknown[] = []
      const answers: Partial<MemberComponents> = {
        ...foreign('y'),
        treaties: () => [{ mesh: 'x', secret: TREATY, ended: TREATY_REVOKED }],
        chain: () => assert.fail('it shows nothing')
      }
      const asks = {
        ...foreign('x', TREATY),
        learn: async ({ treatyRevocations }: Notices) => void learnt.push(...treatyRevocations)
      }
      await assert.rejects(
        member(a(), asks).prove(await session(member(b(), answers)), b()),
        (error) => isMeshError(error, 'permission_denied') && error.details['reason'] === 'treaty_revoked'
      )
      assert.deepEqual(
        learnt.map((one) => (one as typeof TREATY_REVOKED).revocation.reason),
        ['moved away']
      )
      // Who asks and knows that it ended tells that, and nothing else.
      const mesh = originId(TREATY_REVOKED.revocation.mesh)
      const told = { ...foreign('x'), treaties: () => [{ mesh, secret: TREATY }], learn: asks.learn }
      await assert.rejects(
        member(a(), { ...answers, learn: async () => assert.fail() }).prove(await session(member(b(), told)), b()),
        (error) => isMeshError(error, 'permission_denied') && error.details['reason'] === 'treaty_revoked'
      )
      assert.equal(learnt.length, 2)
      assert.deepEqual(admitted, [])
    })
  })
})
