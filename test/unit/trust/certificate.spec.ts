import assert from 'node:assert/strict'
import fc from 'fast-check'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { encodeCbor } from '../../../protocols/cbor.ts'
import { MAX_CHAIN, ROLES, decodeCertificate, type Role, type SignedCertificate } from '../../../protocols/member/messages.ts'
import { isMeshError } from '../../../src/errors.ts'
import {
  CLOCK_TOLERANCE_S,
  issueCertificate,
  verifyChain,
  type Grant,
  type CheckedMember,
  type Refusal
} from '../../../src/trust/certificate.ts'

const NOW = 1_800_000_000
const DAY = 86_400
const keys = new Map<number, PrivateKey>()
const id = (n: number): Uint8Array => peerIdFromPrivateKey(keys.get(n)!).toMultihash().bytes

/** Key 0 is that of the mesh, key 9 that of another mesh; the rest are nodes. */
const grant = (node: number, change: Partial<Grant> = {}): Grant => ({
  mesh: id(0),
  node: id(node),
  role: 'member',
  tags: [],
  since: NOW - DAY,
  forward: false,
  notBefore: NOW - DAY,
  notAfter: NOW + DAY,
  serial: new Uint8Array(16).fill(node),
  name: `node-${node}`,
  ...change
})
const issue = (by: number, node: number, change: Partial<Grant> = {}): Promise<SignedCertificate> =>
  issueCertificate(grant(node, change), keys.get(by)!)
const verify = (chain: SignedCertificate[], node = 1, change: object = {}): Promise<CheckedMember> =>
  verifyChain(chain, { mesh: id(0), node: id(node), nowS: NOW, ...change })
const isRefused =
  (reason: Refusal) =>
  (error: unknown): boolean =>
    isMeshError(error, 'permission_denied') && error.details['reason'] === reason

describe('certificate', () => {
  before(async () => {
    for (let n = 0; n < 10; n++) keys.set(n, await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(n + 1)))
  })

  it('of the mesh key makes a member of any role', async () => {
    for (const role of ROLES) {
      const { role: got, name, notAfter } = await verify([await issue(0, 1, { role })])
      assert.deepEqual([got, name, notAfter], [role, 'node-1', NOW + DAY])
    }
  })

  it('passes through owners and admins, who may give less than they have; it ends with the first of its chain', async () => {
    const owner = await issue(0, 3, { role: 'owner', forward: true, notAfter: NOW + 10 })
    const admin = await issue(3, 2, { role: 'admin', forward: true, tags: ['office'] })
    const member = await issue(2, 1, { forward: true, tags: ['kitchen'] })
    const found = await verify([member, admin, owner])
    assert.deepEqual([found.role, found.forward, found.tags, found.notAfter], ['member', true, ['kitchen'], NOW + 10])
  })

  it('gives nobody more than its issuer may give', async () => {
    const may: [Role, Role][] = []
    for (const above of ROLES)
      for (const role of ROLES) {
        const chain = [await issue(2, 1, { role }), await issue(0, 2, { role: above })]
        const outcome = verify(chain)
        if (above === 'owner' || (above === 'admin' && (role === 'member' || role === 'guest'))) {
          await outcome
          may.push([above, role])
        } else await assert.rejects(outcome, isRefused('not_allowed'))
      }
    assert.equal(may.length, 6)
    const forwards = [await issue(2, 1, { forward: true }), await issue(0, 2, { role: 'owner' })]
    await assert.rejects(verify(forwards), isRefused('not_allowed'))
  })

  it('is refused for each way in which it can be wrong, with a reason', async () => {
    const good = await issue(0, 1)
    const cases: [Refusal, SignedCertificate[], object?][] = [
      ['empty', []],
      ['wrong_node', [good], { node: id(2) }],
      ['wrong_mesh', [good], { mesh: id(9) }],
      ['wrong_mesh', [await issue(9, 1, { mesh: id(9) })]],
      ['broken_chain', [await issue(9, 1)]],
      ['broken_chain', [await issue(1, 1)]],
      ['broken_chain', [await issue(2, 1), await issue(0, 3, { role: 'owner' })]],
      ['not_yet_valid', [await issue(0, 1, { notBefore: NOW + CLOCK_TOLERANCE_S + 1 })]],
      ['expired', [await issue(0, 1, { notAfter: NOW - 1 })]],
      ['expired', [await issue(2, 1), await issue(0, 2, { role: 'admin', notAfter: NOW - 1 })]],
      ['revoked', [good], { isRevoked: () => true }],
      ['bad_signature', [{ ...good, signature: good.signature.toReversed() }]],
      ['bad_signature', [{ ...(await issue(9, 1)), certificate: good.certificate }]],
      [
        'over_delegated',
        await Promise.all(
          Array.from({ length: MAX_CHAIN + 1 }, (_, n) => issue(n === MAX_CHAIN ? 0 : n + 2, n + 1, { role: 'owner' }))
        )
      ]
    ]
    for (const [reason, chain, change] of cases) await assert.rejects(verify(chain, 1, change), isRefused(reason), reason)
  })

  it('holds for a clock that is a little behind, and not for one that is far behind', async () => {
    const fresh = await issue(0, 1, { notBefore: NOW })
    assert.equal((await verify([fresh], 1, { nowS: NOW - CLOCK_TOLERANCE_S })).role, 'member')
    await assert.rejects(verify([fresh], 1, { nowS: NOW - DAY }), isRefused('not_yet_valid'))
  })

  it('does not survive a changed byte, anywhere', async () => {
    const good = await issue(0, 1)
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: good.bytes.length + good.signature.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, flip) => {
          const [bytes, signature] = [good.bytes.slice(), good.signature.slice()]
          if (at < bytes.length) bytes[at]! ^= flip
          else signature[at - bytes.length]! ^= flip
          let certificate
          try {
            certificate = decodeCertificate(bytes)
          } catch (error) {
            return isMeshError(error, 'protocol_error')
          }
          return verify([{ bytes, signature, certificate }]).then(
            () => false,
            (error: unknown) => isMeshError(error, 'permission_denied')
          )
        }
      ),
      { numRuns: 1_000 }
    )
  })

  it('keeps what a later version appends: it is signed like the rest', async () => {
    const { certificate, bytes } = await issue(0, 1)
    const { mesh, node, role, forward, notBefore, notAfter, issuer, serial, name, since } = certificate
    const later = encodeCbor([
      1,
      mesh,
      node,
      ROLES.indexOf(role),
      forward,
      notBefore,
      notAfter,
      issuer,
      serial,
      name,
      [],
      since,
      'new'
    ])
    assert.deepEqual(decodeCertificate(later), certificate)
    assert.notDeepEqual(later, bytes)
  })
})
