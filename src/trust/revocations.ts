import type { PrivateKey } from '@libp2p/interface'
import { sha256 } from '@noble/hashes/sha2.js'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { compare as compareBytes } from 'uint8arrays/compare'
import { toString } from 'uint8arrays/to-string'
import {
  MAX_VALIDITY_S,
  NOTICE_DIGEST_BYTES,
  ROLES,
  type Certificate,
  type Role,
  type SignedCertificate
} from '../../protocols/member/messages.ts'
import {
  MAX_REVOCATIONS,
  encodeRevocation,
  signedRevocationBytes,
  type Revocation,
  type SignedRevocation
} from '../../protocols/member/revocation.ts'
import { originId } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { CLOCK_TOLERANCE_S, mayGive, verifyChain, type RootStanding } from './certificate.ts'
import { isSignedBy } from './signature.ts'
import { createSuccessions, type Successions } from './successions.ts'

/**
 * What became of a revocation that came from somewhere. `refused`: nobody who checks would have passed it on, now or ever. `ignored`: it ends
 * nothing, here and now.
 */
export type Intake = 'new' | 'known' | 'ignored' | 'refused'

/** Why a membership is over. */
export interface EndOfMembership {
  /** As who revoked it said; may be empty. */
  reason: string
  /** Unix time. */
  atS: number
}

/** The revocations of a mesh that a node knows. */
export interface Revocations {
  /** True for a certificate that is revoked by somebody who may. */
  isRevoked(certificate: Pick<Certificate, 'node' | 'role' | 'since'>): boolean
  /** What ended a chain of certificates; undefined if nothing has. */
  endOf(chain: readonly SignedCertificate[]): EndOfMembership | undefined
  /** Checks a revocation and keeps it. Never throws. */
  take(
    signed: SignedRevocation,
    options?: {
      /** It was kept by this node: who signed it could revoke when it came. */
      kept: boolean
    }
  ): Promise<Intake>
  /** The last second at which certificates of a node were ended, Unix time; -1 if none ever were. */
  lastAt(node: Uint8Array): number
  /** What others are to know, the newest first: nobody takes those of a key that was replaced. */
  all(): SignedRevocation[]
  /** What this node is to know after its next start. */
  kept(): SignedRevocation[]
  /** One for each that others are to know, for the digest of the notices. */
  keys(): string[]
}

/** Equal on nodes that know the same. @param keys of all notices, in any order. */
export function noticeDigest(keys: readonly string[]): Uint8Array {
  return sha256(new TextEncoder().encode([...keys].sort().join())).subarray(0, NOTICE_DIGEST_BYTES)
}

const MAY_REVOKE_NOBODY = 'may_revoke_nobody'
/** Why a revocation is good for nobody. */
const NEVER_GOOD: ReadonlySet<string> = new Set([MAY_REVOKE_NOBODY, 'bad_signature'])

interface Kept {
  signed: SignedRevocation
  /** Certificates of who signed, up to the mesh key; none if that signed. */
  by: readonly Certificate[]
  /** Who signed could give these roles, and so takes them. */
  revokes(role: Role): boolean
}

/** @param mesh id of the mesh, as multihash bytes. @param nowS Unix time in s. @param successions default: the mesh has its first key. */
export function createRevocations(
  mesh: Uint8Array,
  nowS: () => number,
  toleranceS: () => number = () => CLOCK_TOLERANCE_S,
  successions: Pick<Successions, 'newestKey' | 'generationOf' | 'rootStanding'> = createSuccessions(mesh)
): Revocations {
  /** By SHA-256 of the bytes: one node may be revoked twice, after it was let in again. */
  const kept = new Map<string, Kept>()

  /** After the longest life of a certificate there is nothing left that it could revoke. */
  function forgetOld(): void {
    for (const [key, { signed }] of kept) if (signed.revocation.at + MAX_VALIDITY_S < nowS()) kept.delete(key)
  }

  function oldest(): string {
    // Those of the mesh key stay longest: a member must not push out what an owner said, its own end above all.
    const [first] = [...kept].sort(
      ([, a], [, b]) => Math.sign(b.by.length) - Math.sign(a.by.length) || a.signed.revocation.at - b.signed.revocation.at
    )
    return first![0]
  }

  /** What a member revoked counts unless the mesh key had ended its membership by then: the same in whatever order both are heard. */
  function counts({ by, signed: { revocation } }: Kept): boolean {
    return !by.some(({ node, since }) =>
      [...kept.values()].some(
        (other) =>
          other.by.length === 0 &&
          other.signed.revocation.at <= revocation.at &&
          other.signed.revocation.at >= since &&
          compareBytes(other.signed.revocation.node, node) === 0
      )
    )
  }

  function endOf({ node, since, role }: Pick<Certificate, 'node' | 'role' | 'since'>): EndOfMembership | undefined {
    for (const one of kept.values()) {
      const { revocation } = one.signed
      if (revocation.at >= since && compareBytes(revocation.node, node) === 0 && one.revokes(role) && counts(one))
        return { reason: revocation.reason, atS: revocation.at }
    }
    return undefined
  }
  const isRevoked: Revocations['isRevoked'] = (certificate) => endOf(certificate) !== undefined

  async function isOfItsIssuer({ bytes, signature, revocation }: SignedRevocation): Promise<boolean> {
    return compareBytes(revocation.mesh, mesh) === 0 && isSignedBy(revocation.issuer, signedRevocationBytes(bytes), signature)
  }

  /** @returns what the issuer may revoke. @throws MeshError `permission_denied`. */
  async function check(signed: SignedRevocation, own: boolean): Promise<Kept> {
    const { chain, revocation } = signed
    const { issuer, at } = revocation
    if (at > nowS() + toleranceS()) throw new MeshError('permission_denied', 'a revocation of a time that is still to come')
    if (successions.generationOf(mesh, issuer) !== undefined) {
      if (own || isNewest(issuer)) return { signed, by: [], revokes: () => true }
      throw new MeshError('permission_denied', 'a revocation by a key of the mesh that was replaced', { reason: 'superseded' })
    }
    // What counts is who could revoke then: by now the certificates may have ended.
    const rootStanding = own ? wasGood : successions.rootStanding
    const { role } = await verifyChain(chain, { mesh, node: issuer, nowS: at, rootStanding })
    // It would end nothing, and enough of such would push those that do out of the table.
    if (!ROLES.some((given) => mayGive(role, given)))
      throw new MeshError('permission_denied', `a revocation of a node that is ${role} and may revoke nobody`, {
        reason: MAY_REVOKE_NOBODY
      })
    return { signed, by: chain.map(({ certificate }) => certificate), revokes: (given) => mayGive(role, given) }
  }

  const isNewest = (issuer: Uint8Array): boolean => compareBytes(issuer, successions.newestKey(mesh)) === 0
  const wasGood = ({ issuer }: Certificate): RootStanding =>
    successions.generationOf(mesh, issuer) === undefined ? 'unknown' : 'good'

  function isToBeTold({ chain, revocation: { issuer } }: SignedRevocation): boolean {
    const root = chain.at(-1)?.certificate
    return root === undefined ? isNewest(issuer) : successions.rootStanding(root) === 'good'
  }

  /** Of a key that was replaced: what the newest one says of the same node takes its place. */
  function forgetReplacedBy({ chain, revocation: { node, at } }: SignedRevocation): void {
    if (chain.length > 0) return
    for (const [key, { signed }] of kept)
      if (
        signed.chain.length === 0 &&
        !isToBeTold(signed) &&
        signed.revocation.at <= at &&
        compareBytes(signed.revocation.node, node) === 0
      )
        kept.delete(key)
  }

  const newestFirst = (): SignedRevocation[] =>
    [...kept.values()].map(({ signed }) => signed).sort((a, b) => b.revocation.at - a.revocation.at)

  function lastAt(node: Uint8Array): number {
    const of = [...kept.values()].map(({ signed }) => signed.revocation).filter((one) => compareBytes(one.node, node) === 0)
    return Math.max(-1, ...of.map(({ at }) => at))
  }

  return {
    isRevoked,
    endOf: (chain) => chain.map(({ certificate }) => endOf(certificate)).find((end) => end !== undefined),
    lastAt,
    async take(signed, { kept: own } = { kept: false }) {
      const key = toString(sha256(signed.bytes), 'base64')
      if (kept.has(key)) return 'known'
      if (!(await isOfItsIssuer(signed))) return 'refused'
      try {
        const one = await check(signed, own)
        forgetOld()
        kept.set(key, one)
        if (!own) forgetReplacedBy(signed)
        if (kept.size > MAX_REVOCATIONS) kept.delete(oldest())
        return kept.has(key) ? 'new' : 'ignored'
      } catch (error) {
        // Whatever else is known elsewhere, these are good nowhere.
        return NEVER_GOOD.has(String((error as MeshError).details?.['reason'])) ? 'refused' : 'ignored'
      }
    },
    all() {
      forgetOld()
      return newestFirst().filter(isToBeTold)
    },
    kept() {
      forgetOld()
      return newestFirst()
    },
    keys() {
      forgetOld()
      return [...kept].filter(([, { signed }]) => isToBeTold(signed)).map(([key]) => key)
    }
  }
}

/**
 * Signs a revocation with the mesh key if this node has it, else with its own and its chain.
 * @throws MeshError `permission_denied` if it may not revoke a node of that role.
 */
export async function issueRevocation(
  by: { meshKey: PrivateKey | undefined; nodeKey: PrivateKey; chain: SignedCertificate[] },
  { role, ...revoked }: Omit<Revocation, 'issuer'> & { role: Role | undefined }
): Promise<SignedRevocation> {
  const { meshKey, nodeKey, chain } = by
  const own = chain[0]?.certificate.role
  if (meshKey === undefined && (own === undefined || role === undefined || !mayGive(own, role)))
    throw new MeshError(
      'permission_denied',
      `this node may not revoke ${role === undefined ? 'a node that it does not know' : `a node that is ${role}`}; ask an owner of the mesh`,
      { node: originId(revoked.node) }
    )
  const key = meshKey ?? nodeKey
  const revocation = { ...revoked, issuer: peerIdFromPrivateKey(key).toMultihash().bytes }
  const bytes = encodeRevocation(revocation)
  return {
    bytes,
    revocation,
    signature: await key.sign(signedRevocationBytes(bytes)),
    chain: meshKey === undefined ? chain : []
  }
}
