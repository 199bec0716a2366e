import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { compare as compareBytes } from 'uint8arrays/compare'
import {
  MAX_CHAIN,
  ROLES,
  encodeCertificate,
  signedCertificateBytes,
  type Certificate,
  type Role,
  type SignedCertificate
} from '../../protocols/member/messages.ts'
import { MeshError } from '../errors.ts'
import { isSignedBy } from './signature.ts'

/** How far the clocks of two nodes may differ before a certificate that begins counts as not yet valid, in s. */
export const CLOCK_TOLERANCE_S = 600

/** Roles that a holder of a role may give. The mesh key may give all. */
const MAY_GIVE: Record<Role, readonly Role[]> = {
  owner: ROLES,
  admin: ['member', 'guest'],
  member: [],
  guest: []
}

/** True if a member of the first role may make members of the second. */
export function mayGive(role: Role, given: Role): boolean {
  return MAY_GIVE[role].includes(given)
}

/** Why a chain of certificates is refused; `details.reason` of the error. */
export type Refusal =
  | 'empty'
  | 'wrong_mesh'
  | 'wrong_node'
  | 'broken_chain'
  | 'superseded'
  | 'over_delegated'
  | 'not_allowed'
  | 'not_yet_valid'
  | 'expired'
  | 'bad_signature'
  | 'revoked'

/** What a checked chain says of a node. */
export interface CheckedMember {
  /** PeerId, as multihash bytes. */
  node: Uint8Array
  role: Role
  forward: boolean
  name: string
  tags: readonly string[]
  /** Since when it is a member, Unix time in s. */
  since: number
  /** The last certificate of the chain to begin, Unix time in s. */
  notBefore: number
  /** The first certificate of the chain to end, Unix time in s. */
  notAfter: number
}

/** What the key that signed the last certificate of a chain is to its mesh: one that may, one that was replaced, or none that is known. */
export type RootStanding = 'good' | 'superseded' | 'unknown'

/** What a chain is checked against. */
export interface ChainCheck {
  /** Id of the mesh, as multihash bytes. */
  mesh: Uint8Array
  /** PeerId that the connection has proved, as multihash bytes. */
  node: Uint8Array
  /** Unix time in s. */
  nowS: number
  /** How much later than now a certificate may begin, in s. Default: {@link CLOCK_TOLERANCE_S}. */
  toleranceS?: number
  /** Of the last certificate of a chain. Default: the key of the mesh is the one that its id says. */
  rootStanding?: (root: Certificate) => RootStanding
  /** True for a certificate that may not be used any more. Default: none is. */
  isRevoked?: (certificate: Certificate) => boolean
}

/**
 * Checks a chain from a node up to the mesh key, offline: every link and every signature.
 * @throws MeshError `permission_denied` with a {@link Refusal} as `details.reason`.
 */
export async function verifyChain(chain: readonly SignedCertificate[], check: ChainCheck): Promise<CheckedMember> {
  const leaf = chain[0]?.certificate
  if (leaf === undefined) throw refused('empty', 'it shows no certificate')
  if (chain.length > MAX_CHAIN) throw refused('over_delegated', `its chain is longer than ${MAX_CHAIN} certificates`)
  if (!equal(leaf.node, check.node)) throw refused('wrong_node', 'its certificate is that of another node')
  for (const [n, { certificate }] of chain.entries()) checkLink(certificate, chain[n + 1]?.certificate, check)
  for (const signed of chain) {
    // After all that costs nothing: a signature takes as long as a thousand comparisons.
    const { certificate, bytes, signature } = signed
    if (!(await isSignedBy(certificate.issuer, signedCertificateBytes(bytes), signature)))
      throw refused('bad_signature', 'a certificate was not signed by its issuer')
  }
  // Again: one may have been revoked meanwhile, and whoever acts on that does not know of this one yet.
  if (chain.some(({ certificate }) => check.isRevoked?.(certificate))) throw refused('revoked', 'its membership was revoked')
  return {
    node: leaf.node,
    role: leaf.role,
    forward: leaf.forward,
    tags: leaf.tags,
    since: leaf.since,
    name: leaf.name,
    notBefore: Math.max(...chain.map(({ certificate }) => certificate.notBefore)),
    notAfter: Math.min(...chain.map(({ certificate }) => certificate.notAfter))
  }
}

/** @param above the certificate of who issued it; undefined if the mesh key must have. */
function checkLink(
  certificate: Certificate,
  above: Certificate | undefined,
  { mesh, nowS, isRevoked, rootStanding = firstKeyOnly, toleranceS = CLOCK_TOLERANCE_S }: ChainCheck
): void {
  const { role, issuer, notBefore, notAfter, since } = certificate
  if (!equal(certificate.mesh, mesh)) throw refused('wrong_mesh', 'its certificate is of another mesh')
  const standing = above === undefined ? rootStanding(certificate) : equal(issuer, above.node) ? 'good' : 'unknown'
  if (standing === 'unknown') throw refused('broken_chain', 'its certificates do not lead to the key of the mesh')
  if (above !== undefined && !mayGive(above.role, role))
    throw refused('not_allowed', `its certificate makes it ${role}, which a node that is ${above.role} may not do`)
  if (above !== undefined && certificate.forward && !above.forward)
    throw refused('not_allowed', 'its certificate lets it pass on messages, which who issued it may not do itself')
  if (nowS + toleranceS < notBefore)
    throw refused('not_yet_valid', 'its certificate does not hold yet; are the clocks of both machines right?')
  // A revocation ends what began before it: a membership that is yet to begin could not be ended.
  if (since > notBefore + CLOCK_TOLERANCE_S || since > nowS + toleranceS)
    throw refused('not_yet_valid', 'its certificate says that it will be a member later than it holds')
  if (nowS > notAfter) throw refused('expired', 'its certificate has expired; are the clocks of both machines right?')
  if (isRevoked?.(certificate) === true) throw refused('revoked', 'its membership was revoked')
  // After that: who is revoked is to hear so.
  if (standing === 'superseded')
    throw refused('superseded', 'its certificate is by a key of the mesh that was replaced; a new invite lets it in again')
}

function firstKeyOnly({ issuer, mesh }: Certificate): RootStanding {
  return equal(issuer, mesh) ? 'good' : 'unknown'
}

/** What a certificate is made of, beside its issuer. */
export type Grant = Omit<Certificate, 'issuer'>

/** Signs a certificate. @throws MeshError `invalid_argument` if it cannot be encoded. */
export async function issueCertificate(grant: Grant, key: PrivateKey): Promise<SignedCertificate> {
  const certificate: Certificate = { ...grant, issuer: peerIdFromPrivateKey(key).toMultihash().bytes }
  const bytes = encodeCertificate(certificate)
  return { bytes, certificate, signature: await key.sign(signedCertificateBytes(bytes)) }
}

function refused(reason: Refusal, why: string): MeshError {
  return new MeshError('permission_denied', `the node is no member of this mesh: ${why}`, { reason })
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return compareBytes(a, b) === 0
}
