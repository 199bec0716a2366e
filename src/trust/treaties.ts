import type { PrivateKey } from '@libp2p/interface'
import { sha256 } from '@noble/hashes/sha2.js'
import { compare as compareBytes } from 'uint8arrays/compare'
import { concat } from 'uint8arrays/concat'
import { equals } from 'uint8arrays/equals'
import { toString } from 'uint8arrays/to-string'
import { matchGlob } from '../../protocols/glob.ts'
import {
  MAX_TREATIES,
  MAX_TREATY_REVOCATIONS,
  MAX_TREATY_S,
  encodeTreaty,
  encodeTreatyRevocation,
  signedTreatyBytes,
  signedTreatyRevocationBytes,
  type SignedTreaty,
  type SignedTreatyRevocation,
  type Treaty,
  type TreatyRevocation
} from '../../protocols/treaty/messages.ts'
import { originBytes, originId } from '../core/document.ts'
import { shortId } from '../../protocols/short-id.ts'
import { MeshError } from '../errors.ts'
import { createSuccessions } from './successions.ts'
import { sideOf, treatyRevocationSigner, treatySigner, type MeshKeys } from './treaty-signatures.ts'

/** A treaty as one of its two meshes sees it. */
export interface Pact {
  /** Hex. */
  serial: string
  /** Id of the other mesh. */
  mesh: string
  /** What it is called; the end of its id if nobody named it. */
  name: string
  /** Globs over types: what the own mesh lends to the other, and what it borrows from it. */
  lends: readonly string[]
  borrows: readonly string[]
  secret: Uint8Array
  /** Unix time in s. */
  notBefore: number
  notAfter: number
  signed: SignedTreaty
  /** What ended it, if anything did. */
  revoked: SignedTreatyRevocation | undefined
}

/** Treaties and what ended some of them. */
export interface TreatyNotices {
  treaties: readonly SignedTreaty[]
  treatyRevocations: readonly SignedTreatyRevocation[]
}

/** The treaties of a mesh that a node knows. */
export interface Treaties {
  /** Those whose time is not over, revoked ones too, by the name of the other mesh. */
  pacts(): Pact[]
  /** Those that hold now. */
  inForce(): Pact[]
  /** True if a capability of this type is lent to that mesh now. */
  isLent(mesh: string, type: string): boolean
  /** True if capabilities of this type are borrowed from that mesh now. */
  isBorrowed(mesh: string, type: string): boolean
  /** Keeps what is good. @returns what was new. @throws MeshError `protocol_error` if anything is not good; then nothing is kept. */
  take(
    notices: TreatyNotices,
    options?: {
      /** They were kept by this node: also revocations are taken whose treaty is not known any more. */
      kept: boolean
    }
  ): Promise<{ treaties: SignedTreaty[]; treatyRevocations: SignedTreatyRevocation[] }>
  /** True if a treaty of this serial number was revoked. */
  isRevoked(serial: Uint8Array): boolean
  /** What others are to know. */
  all(): TreatyNotices
  /** What this node is to know after its next start. */
  kept(): TreatyNotices
  /** One for each that others are to know, for the digest of the notices. */
  keys(): string[]
}

/**
 * @param mesh id of the own mesh, as multihash bytes. @param nowS Unix time in s. @param toleranceS how much later than now a treaty may begin.
 * @param meshKeys default: no mesh has another key than its first.
 */
export function createTreaties(
  mesh: Uint8Array,
  nowS: () => number,
  toleranceS: () => number,
  meshKeys: MeshKeys = createSuccessions(mesh)
): Treaties {
  const kept = new Map<string, { pact: Pact; key: string }>()
  /** By who signed and the serial number: a second one of the same says nothing new. */
  const revocations = new Map<string, SignedTreatyRevocation>()

  const endOf = (serial: Uint8Array, meshes: readonly Uint8Array[]): SignedTreatyRevocation | undefined =>
    meshes.map((id) => revocations.get(revocationKey({ mesh: id, serial }))).find((one) => one !== undefined)

  function forgetOld(): void {
    for (const [key, { pact }] of kept) if (pact.notAfter < nowS()) kept.delete(key)
    // No treaty that was made before it can still hold.
    for (const [key, { revocation }] of revocations)
      if (revocation.at + MAX_TREATY_S < nowS() && !isNamed(revocation.serial)) revocations.delete(key)
  }

  /** Without its treaty, others cannot check that of another mesh: they are not told of it. */
  const isToBeTold = ({ revocation }: SignedTreatyRevocation): boolean =>
    equals(revocation.mesh, mesh) || isNamed(revocation.serial)

  const isNamed = (serial: Uint8Array): boolean =>
    [...kept.values()].some(({ pact }) => equals(pact.signed.treaty.serial, serial))

  /** Of too many, first those that were revoked go, then those that began first. All nodes choose the same. */
  function shrink(): void {
    while (kept.size > MAX_TREATIES) {
      const [first] = [...kept].sort(
        ([, a], [, b]) =>
          Number(a.pact.revoked === undefined) - Number(b.pact.revoked === undefined) ||
          a.pact.notBefore - b.pact.notBefore ||
          (a.key < b.key ? -1 : 1)
      )
      kept.delete(first![0])
    }
    while (revocations.size > MAX_TREATY_REVOCATIONS) {
      const [first] = [...revocations].sort(([, a], [, b]) => a.revocation.at - b.revocation.at)
      revocations.delete(first![0])
    }
  }

  /** Of the own mesh also before the treaty is known: an offer that was taken back. Of others it may be about anything. */
  function isAbout({ revocation }: SignedTreatyRevocation, arriving: readonly SignedTreaty[]): boolean {
    const isOfIt = ({ treaty }: SignedTreaty): boolean =>
      equals(treaty.serial, revocation.serial) && treaty.meshes.some((id) => equals(id, revocation.mesh))
    return equals(revocation.mesh, mesh) || [...kept.values()].some(({ pact }) => isOfIt(pact.signed)) || arriving.some(isOfIt)
  }

  /**
   * True for a treaty that is not known yet, or here with a signature of an older key of this mesh: whoever knows nothing of it takes it with one of the newest alone.
   * The other mesh may have a newer key: this one has signed after it had looked at that. @throws MeshError `protocol_error`.
   */
  async function isToTake(signed: SignedTreaty, own: boolean): Promise<boolean> {
    const side = sideOf(signed.treaty, mesh)
    if (side === undefined) throw notGood('a treaty')
    const known = kept.get(keyOf(signed.bytes))?.pact.signed
    if (known !== undefined && sameSignatures(known, signed)) return false
    const other = side === 0 ? 1 : 0
    const by = await treatySigner(signed, side, meshKeys)
    if (by === undefined || (await treatySigner(signed, other, meshKeys)) === undefined) throw notGood('a treaty')
    if (known === undefined) return own || by === 'newest'
    return by === 'newest' && (await treatySigner(known, side, meshKeys)) === 'older'
  }

  /** The same for the end of one. @throws MeshError `protocol_error`. */
  async function isEndToTake(signed: SignedTreatyRevocation, own: boolean): Promise<boolean> {
    const known = revocations.get(revocationKey(signed.revocation))
    if (known !== undefined && equals(known.signature, signed.signature)) return false
    const by = await treatyRevocationSigner(signed, meshKeys)
    if (by === undefined) {
      // A second one of what is over says nothing new, whoever signed it.
      if (known !== undefined) return false
      throw notGood('a revocation of a treaty')
    }
    if (known === undefined) return own || by === 'newest'
    return by === 'newest' && (await treatyRevocationSigner(known, meshKeys)) === 'older'
  }

  const signedTreaties = (): SignedTreaty[] => [...kept.values()].map(({ pact }) => pact.signed)

  function inForce(): Pact[] {
    const now = nowS()
    return [...kept.values()]
      .map(({ pact }) => pact)
      .filter((pact) => pact.revoked === undefined && pact.notBefore <= now + toleranceS() && now <= pact.notAfter)
  }

  return {
    pacts() {
      forgetOld()
      return [...kept.values()].map(({ pact }) => pact).sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    inForce,
    isLent: (other, type) => inForce().some((pact) => pact.mesh === other && pact.lends.some((glob) => matchGlob(glob, type))),
    isBorrowed: (other, type) =>
      inForce().some((pact) => pact.mesh === other && pact.borrows.some((glob) => matchGlob(glob, type))),
    isRevoked: (serial) => [...revocations.values()].some(({ revocation }) => equals(revocation.serial, serial)),
    async take({ treaties, treatyRevocations }, { kept: own } = { kept: false }) {
      forgetOld()
      const fresh: SignedTreaty[] = []
      for (const signed of treaties.filter(({ treaty }) => treaty.notAfter >= nowS()))
        if (await isToTake(signed, own)) fresh.push(signed)
      const good: SignedTreatyRevocation[] = []
      for (const signed of treatyRevocations)
        if ((own || isAbout(signed, fresh)) && (await isEndToTake(signed, own))) good.push(signed)
      // Only now, and all at once: a treaty that comes with its end never holds in between.
      for (const signed of good) revocations.set(revocationKey(signed.revocation), signed)
      for (const signed of fresh) kept.set(keyOf(signed.bytes), { pact: pactOf(signed, mesh), key: keyOf(signed.bytes) })
      for (const { pact } of kept.values()) pact.revoked = endOf(pact.signed.treaty.serial, pact.signed.treaty.meshes)
      shrink()
      return {
        treaties: fresh.filter(({ bytes }) => kept.has(keyOf(bytes))),
        treatyRevocations: good.filter(({ revocation }) => revocations.has(revocationKey(revocation)))
      }
    },
    all: () => {
      forgetOld()
      return { treaties: signedTreaties(), treatyRevocations: [...revocations.values()].filter(isToBeTold) }
    },
    kept: () => ({ treaties: signedTreaties(), treatyRevocations: [...revocations.values()] }),
    keys() {
      forgetOld()
      return [...kept.keys(), ...[...revocations].filter(([, signed]) => isToBeTold(signed)).map(([key]) => key)]
    }
  }
}

/** The treaty as one of its meshes sees it. @throws MeshError `permission_denied` if it is none of them. */
export function pactOf(signed: SignedTreaty, mesh: Uint8Array): Pact {
  const { treaty } = signed
  const side = sideOf(treaty, mesh)
  if (side === undefined) throw new MeshError('permission_denied', 'this treaty is not of this mesh', { reason: 'not_addressed' })
  const other = side === 0 ? 1 : 0
  const id = originId(treaty.meshes[other])
  const { secret, notBefore, notAfter } = treaty
  return {
    serial: toString(treaty.serial, 'base16'),
    mesh: id,
    name: treaty.names[other] || shortId(id),
    lends: treaty.lends[side],
    borrows: treaty.lends[other],
    secret,
    notBefore,
    notAfter,
    signed,
    revoked: undefined
  }
}

/** What one mesh wants to agree on with another. */
export interface TreatyTerms {
  /** Id of the own mesh, and what it is called. */
  mesh: string
  name: string
  /** Id of the other mesh, and what it is called here. */
  other: string
  otherName: string
  lends: readonly string[]
  borrows: readonly string[]
  secret: Uint8Array
  serial: Uint8Array
  notBefore: number
  notAfter: number
}

/** Makes an offer: a treaty with the signature of the own mesh. @throws MeshError `invalid_argument` if it is over a limit. */
export async function issueOffer(terms: TreatyTerms, meshKey: PrivateKey): Promise<SignedTreaty> {
  const { mesh, name, other, otherName, lends, borrows, ...rest } = terms
  const [mine, theirs] = [originBytes(mesh), originBytes(other)]
  const ordered = <T>(own: T, others: T): readonly [T, T] => (compareBytes(mine, theirs) < 0 ? [own, others] : [others, own])
  const treaty: Treaty = {
    ...rest,
    meshes: ordered(mine, theirs),
    names: ordered(name, otherName),
    lends: ordered(lends, borrows)
  }
  const bytes = encodeTreaty(treaty)
  return countersign({ bytes, treaty, signatures: [undefined, undefined] }, mine, meshKey)
}

/** Adds the signature of one mesh. */
export async function countersign(signed: SignedTreaty, mesh: Uint8Array, meshKey: PrivateKey): Promise<SignedTreaty> {
  const signature = await meshKey.sign(signedTreatyBytes(signed.bytes))
  const [first, second] = signed.signatures
  return { ...signed, signatures: sideOf(signed.treaty, mesh) === 0 ? [signature, second] : [first, signature] }
}

/** Signs the end of a treaty. @throws MeshError `invalid_argument` if it is over a limit. */
export async function issueTreatyRevocation(revocation: TreatyRevocation, meshKey: PrivateKey): Promise<SignedTreatyRevocation> {
  const bytes = encodeTreatyRevocation(revocation)
  return { bytes, revocation, signature: await meshKey.sign(signedTreatyRevocationBytes(bytes)) }
}

const notGood = (what: string): MeshError => new MeshError('protocol_error', `a peer sent ${what} that is not good`)

function sameSignatures(a: SignedTreaty, b: SignedTreaty): boolean {
  return ([0, 1] as const).every((side) => equals(a.signatures[side] ?? NONE, b.signatures[side] ?? NONE))
}
const NONE = new Uint8Array(0)

const keyOf = (bytes: Uint8Array): string => toString(sha256(bytes), 'base64')

function revocationKey({ mesh, serial }: Pick<TreatyRevocation, 'mesh' | 'serial'>): string {
  return toString(sha256(concat([mesh, serial])), 'base64')
}
