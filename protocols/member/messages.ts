import { encodeCbor } from '../cbor.ts'
import { asArray, asBytes, asMap, optional } from '../shape.ts'
import {
  MAX_TREATIES,
  decodeSignedTreatyRevocation,
  encodeSignedTreatyRevocation,
  type SignedTreatyRevocation
} from '../treaty/messages.ts'
import { NONCE_BYTES, decodeChain, encodeChain, type SignedCertificate } from './certificate.ts'
import { decodeNotices, encodeNotices, type Notices } from './notices.ts'
import { decodeSuccessions, encodeSuccessions, type SignedSuccession } from './succession.ts'

export * from './certificate.ts'

/** Protocol id: the proof of membership, first on every connection. */
export const MEMBER_PROTOCOL = '/atmosphere/member/1'
/** Bytes of a proof: HMAC-SHA256. */
export const PROOF_BYTES = 32
/** Bytes of a digest of notices. */
export const NOTICE_DIGEST_BYTES = 16

/** First message, of the side that opened the connection: a fresh random number, and its proof that it knows the secret of the mesh. */
export interface MemberHello {
  nonce: Uint8Array
  proof: Uint8Array
  /** Proofs that it knows the secrets of treaties of its mesh, in random order. */
  treatyProofs?: readonly Uint8Array[] | undefined
}

/** Second message: the proof of the answering side, and, only now, to whom has proved to be of the mesh, who it is. */
export interface MemberAnswer {
  proof: Uint8Array
  chain: SignedCertificate[]
  /** Of the notices that it knows; zeros for a node of another mesh. */
  digest: Uint8Array
  /** The treaty of the proof was revoked: by this. */
  ended?: SignedTreatyRevocation | undefined
  /** For a node of another mesh: of the key of this one. */
  successions?: readonly SignedSuccession[] | undefined
}

/** Third message: who the side is that opened the connection. */
export interface MemberIntroduction {
  chain: SignedCertificate[]
  digest: Uint8Array
  /** What it knows, if the digests differ; for a node of another mesh, the successions of the key of its own. */
  notices: Notices
}

/** Last message: what the answering side knows, if the digests differ. */
export interface MemberEnd {
  notices: Notices
}

/** Body of the open frame. */
export const encodeMemberHello = ({ nonce, proof, treatyProofs = [] }: MemberHello): unknown => ({
  n: nonce,
  p: proof,
  ...(treatyProofs.length > 0 && { f: treatyProofs })
})
/** @throws MeshError `protocol_error`. */
export function decodeMemberHello(body: unknown): MemberHello {
  const map = asMap(body, 'hello')
  return {
    nonce: asBytes(map['n'], 'n', NONCE_BYTES, NONCE_BYTES),
    proof: proofOf(map['p']),
    treatyProofs: optional(map['f'], (all) => asArray(all, 'f', MAX_TREATIES).map(proofOf))
  }
}

/** Body of the item of the answering side. */
export const encodeMemberAnswer = ({ proof, chain, digest, ended, successions = [] }: MemberAnswer): unknown => ({
  p: proof,
  c: encodeChain(chain),
  d: digest,
  ...(ended !== undefined && { e: encodeSignedTreatyRevocation(ended) }),
  ...(successions.length > 0 && { s: encodeSuccessions(successions) })
})
/** @throws MeshError `protocol_error`. */
export function decodeMemberAnswer(body: unknown): MemberAnswer {
  const map = asMap(body, 'answer')
  return {
    proof: proofOf(map['p']),
    chain: decodeChain(map['c']),
    digest: digestOf(map['d']),
    ended: optional(map['e'], decodeSignedTreatyRevocation),
    successions: optional(map['s'], decodeSuccessions)
  }
}

/** Body of the item of the side that opened. */
export const encodeMemberIntroduction = ({ chain, digest, notices }: MemberIntroduction): unknown => ({
  c: encodeChain(chain),
  d: digest,
  ...encodeNotices(notices)
})
/** @throws MeshError `protocol_error`. */
export function decodeMemberIntroduction(body: unknown): MemberIntroduction {
  const map = asMap(body, 'introduction')
  return { chain: decodeChain(map['c']), digest: digestOf(map['d']), notices: decodeNotices(map) }
}

/** Body of the end frame. */
export const encodeMemberEnd = ({ notices }: MemberEnd): unknown => encodeNotices(notices)
/** @throws MeshError `protocol_error`. */
export const decodeMemberEnd = (body: unknown): MemberEnd => ({ notices: decodeNotices(body) })

/** What the proof of one side is made of: HMAC-SHA256 with the secret of the mesh, or of a treaty, over these bytes (RFC 2104). */
export function proofBytes(
  side: 'asks' | 'answers',
  nonce: Uint8Array,
  peers: { asks: Uint8Array; answers: Uint8Array }
): Uint8Array {
  return encodeCbor(['atmosphere/member/1 proof', side, nonce, peers.asks, peers.answers])
}

const proofOf = (value: unknown): Uint8Array => asBytes(value, 'p', PROOF_BYTES, PROOF_BYTES)
const digestOf = (value: unknown): Uint8Array => asBytes(value, 'd', NOTICE_DIGEST_BYTES, NOTICE_DIGEST_BYTES)
