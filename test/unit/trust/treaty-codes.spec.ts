import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { NO_NOTICES } from '../../../protocols/member/notices.ts'
import { MAX_GENERATIONS, MAX_KEEPS, type SignedSuccession } from '../../../protocols/member/succession.ts'
import { formatTreaty, MAX_TREATY_CODE_LENGTH, parseTreaty } from '../../../protocols/treaty/code.ts'
import { originBytes } from '../../../src/core/document.ts'
import { isMeshError } from '../../../src/errors.ts'
import type { Membership } from '../../../src/trust/membership.ts'
import { formatMeshState, parseMeshState, type MeshState } from '../../../src/trust/mesh-state.ts'
import { issueSuccession } from '../../../src/trust/successions.ts'
import { countersign, issueOffer } from '../../../src/trust/treaties.ts'
import { createTestMesh, nowS, type TestMember, type TestMesh } from '../../fixtures/test-mesh.ts'

const bytesOf = (key: PrivateKey): Uint8Array => peerIdFromPrivateKey(key).toMultihash().bytes

interface Owner {
  mesh: TestMesh
  node: TestMember
  membership: Membership
}

async function ownerOf(name: string): Promise<Owner> {
  const mesh = await createTestMesh(name)
  const node = await mesh.member('owner')
  return { mesh, node, membership: await node.membership() }
}

const terms = (other: Owner) => ({ mesh: other.mesh.id, name: '', lends: ['sensor/*'], borrows: ['llm/**'], forS: 86_400 })
const inForce = ({ membership }: Owner): number => membership.treaties.inForce().length
const generationsOf = ({ membership }: Owner, { mesh }: Owner): number =>
  membership.notices().successions.filter(({ succession }) => Buffer.compare(succession.mesh, originBytes(mesh.id)) === 0).length
const refusedFor = (why: string) => (error: unknown) => isMeshError(error, 'permission_denied') && error.details['reason'] === why

describe('codes of treaties of meshes whose key was replaced', () => {
  let home: Owner
  let club: Owner
  beforeEach(async () => ([home, club] = await Promise.all([ownerOf('home'), ownerOf('club')])))

  const ROTATIONS = [[], ['home'], ['club'], ['home', 'club'], ['home', 'home', 'club', 'club']] as const
  for (const before of ROTATIONS)
    for (const between of ROTATIONS)
      for (const after of ROTATIONS.slice(0, 4))
        it(`hold: ${before.join() || 'none'} before the offer, ${between.join() || 'none'} before the answer, ${after.join() || 'none'} before it is back`, async () => {
          const rotate = async (names: readonly string[]): Promise<void> => {
            for (const name of names) await (name === 'home' ? home : club).membership.rotate()
          }
          await rotate(before)
          const { code: offer } = await home.membership.treaties.offer(terms(club))
          await rotate(between)
          const { agreed, ownOffer } = await club.membership.treaties.read(offer)
          assert.deepEqual([agreed, ownOffer], [false, false])
          const answer = await club.membership.treaties.accept(offer)
          await rotate(after)
          // A key that was replaced signs nothing for its mesh: then the owner is asked again.
          const isOld = [...between, ...after].some((name) => name === 'home')
          assert.equal((await home.membership.treaties.read(answer.code)).agreed, !isOld)
          const taken = await home.membership.treaties.accept(answer.code)
          assert.deepEqual([inForce(home), inForce(club)], [1, 1])
          // Members of both, that know no key but the first, take it from who has it; and after a start it holds.
          for (const [owner, notices] of [
            [home, taken.notices],
            [club, answer.notices]
          ] as const) {
            const member = await (await owner.mesh.member()).membership()
            const own = owner.membership.successions()
            await member.learn({ ...NO_NOTICES, ...notices, successions: [...own, ...notices.successions] })
            // What the club signed with a key that it has replaced since, it has signed anew.
            const isStale = owner === club && after.some((name) => name === 'club')
            assert.equal(member.treaties.inForce().length, isStale ? 0 : 1)
            await member.learn(owner.membership.notices())
            assert.equal(member.treaties.inForce().length, 1)
            assert.deepEqual(member.noticeDigest(), owner.membership.noticeDigest())
            const again = await owner.node.membership()
            assert.equal(again.treaties.inForce().length, 1)
            assert.deepEqual(again.noticeDigest(), owner.membership.noticeDigest())
          }
          // And each lets in nodes of the other, with certificates by the newest key that it has heard of.
          const { membership, node, mesh } = club
          const check = home.membership.treaties.check(membership.chain(), node.peerId, mesh.id)
          if (after.some((name) => name === 'club')) await assert.rejects(check, refusedFor('broken_chain'))
          else assert.equal((await check).role, 'owner')
        }).timeout(20_000)

  it('change nothing when they are only looked at', async () => {
    await club.membership.rotate()
    const { code } = await club.membership.treaties.offer(terms(home))
    const before = [home.membership.noticeDigest(), formatMeshState(home.node.kept())]
    await home.membership.treaties.read(code)
    assert.deepEqual([home.membership.noticeDigest(), formatMeshState(home.node.kept())], before)
    assert.equal(generationsOf(home, club), 0)
    await home.membership.treaties.accept(code)
    assert.equal(generationsOf(home, club), 1)
    assert.equal(parseMeshState(formatMeshState(home.node.kept())).successions!.length, 1)
  })

  /** An offer of the club with a succession of the test's making. */
  async function offerWith(by: Owner, successions: readonly SignedSuccession[], key: PrivateKey): Promise<string> {
    const [serial, secret] = [16, 32].map((bytes) => crypto.getRandomValues(new Uint8Array(bytes))) as [Uint8Array, Uint8Array]
    const { mesh } = by
    const times = { notBefore: nowS() - 60, notAfter: nowS() + 3_600 }
    const signed = await issueOffer(
      {
        mesh: mesh.id,
        name: '',
        other: (by === club ? home : club).mesh.id,
        otherName: '',
        lends: ['x'],
        borrows: [],
        serial,
        secret,
        ...times
      },
      key
    )
    return formatTreaty(signed, successions)
  }
  const successor = (mesh: Owner, before: PrivateKey, key: PrivateKey, generation = 1): Promise<SignedSuccession> =>
    issueSuccession({ mesh: originBytes(mesh.mesh.id), generation, key: bytesOf(key), at: nowS(), keeps: [] }, before)
  const first = (owner: Owner): PrivateKey => (owner.node.kept() as MeshState & { meshKey: PrivateKey }).meshKey

  it('are refused with keys that no key of that mesh has made, or another one than is known', async () => {
    const [stranger, next, other] = (await Promise.all([1, 2, 3].map(() => generateKeyPair('Ed25519')))) as [
      PrivateKey,
      PrivateKey,
      PrivateKey
    ]
    const root = first(club)
    const made = await successor(club, root, next)
    for (const [what, successions, key] of [
      ['by nobody of that mesh', [await successor(club, stranger, stranger)], stranger],
      ['by a key of this mesh', [await successor(club, first(home), stranger)], stranger],
      ['with one between that is missing', [await successor(club, next, other, 2)], other],
      ['by the key that was replaced', [made], root],
      ['without the keys', [], next]
    ] as const) {
      const code = await offerWith(club, successions, key)
      await assert.rejects(home.membership.treaties.read(code), refusedFor('bad_signature'), what)
      await assert.rejects(home.membership.treaties.accept(code), refusedFor('bad_signature'), what)
    }
    await home.membership.treaties.accept(await offerWith(club, [made], next))
    const fork = await successor(club, root, other)
    await assert.rejects(home.membership.treaties.accept(await offerWith(club, [fork], other)), refusedFor('bad_signature'))
    assert.deepEqual([generationsOf(home, club), inForce(home)], [1, 1])
  })

  it('change nothing about the own mesh, whoever has an old key of it', async () => {
    const thief = await generateKeyPair('Ed25519')
    const forged = await successor(home, first(home), thief)
    const { signed } = parseTreaty((await club.membership.treaties.offer(terms(home))).code)
    const both = await countersign(signed, originBytes(home.mesh.id), thief)
    // Signed for this mesh with a key that it knows nothing of.
    await assert.rejects(home.membership.treaties.accept(formatTreaty(both, [forged])), refusedFor('bad_signature'))
    assert.deepEqual([home.membership.generation, home.membership.isKeyDisputed], [0, false])
    const old = first(home)
    await home.membership.rotate()
    // With one that was replaced: nothing is agreed before an owner has signed.
    const stale = formatTreaty(await countersign(signed, originBytes(home.mesh.id), old))
    assert.deepEqual((await home.membership.treaties.read(stale)).agreed, false)
    await home.membership.treaties.accept(formatTreaty(signed, [forged]))
    assert.deepEqual([home.membership.generation, home.membership.isKeyDisputed, inForce(home)], [1, false, 1])
  })

  it('have room for every key that both can have had', async () => {
    const keeps = Array.from({ length: MAX_KEEPS }, () => crypto.getRandomValues(new Uint8Array(16)))
    const { signed } = parseTreaty((await club.membership.treaties.offer(terms(home))).code)
    const key = await generateKeyPair('Ed25519')
    const of = async ({ mesh }: Owner): Promise<SignedSuccession[]> =>
      Promise.all(
        Array.from({ length: MAX_GENERATIONS }, (_, n) =>
          issueSuccession({ mesh: originBytes(mesh.id), generation: n + 1, key: bytesOf(key), at: nowS(), keeps }, key)
        )
      )
    const [mine, theirs] = [await of(home), await of(club)]
    const code = formatTreaty(signed, [...mine, ...theirs])
    assert.ok(code.length < MAX_TREATY_CODE_LENGTH)
    assert.equal(parseTreaty(code).successions.length, 2 * MAX_GENERATIONS)
    assert.throws(
      () => parseTreaty(formatTreaty(signed, [...mine, mine[0]!])),
      (error) => isMeshError(error, 'invalid_argument')
    )
  })
})
