import { encodeCbor } from '../cbor.ts'
import { asBytes, asMap, optional } from '../shape.ts'
import { NONCE_BYTES, decodeChain, encodeChain, type SignedCertificate } from './certificate.ts'
import { decodeRevocations, encodeRevocations, type SignedRevocation } from './revocation.ts'

export * from './certificate.ts'

/** Protocol id: the proof of membership, first on every connection. */
export const MEMBER_PROTOCOL = '/atmosphere/member/1'
/** Bytes of a proof: HMAC-SHA256. */
export const PROOF_BYTES = 32
/** Bytes of a digest of revocations. */
export const REVOCATION_DIGEST_BYTES = 16

/** First message, of the side that opened the connection: a fresh random number, and its proof that it knows the secret of the mesh. */
export interface MemberHello {
  nonce: Uint8Array
  proof: Uint8Array
}

/** Second message: the proof of the answering side, and, only now, to whom has proved to be of the mesh, who it is. */
export interface MemberAnswer {
  proof: Uint8Array
  chain: SignedCertificate[]
  /** Of the revocations that it knows. */
  digest: Uint8Array
}

/** Third message: who the side is that opened the connection. */
export interface MemberIntroduction {
  chain: SignedCertificate[]
  digest: Uint8Array
  /** What it knows, if the digests differ. */
  revocations?: SignedRevocation[] | undefined
}

/** Last message: what the answering side knows, if the digests differ. */
export interface MemberEnd {
  revocations?: SignedRevocation[] | undefined
}

/** Body of the open frame. */
export const encodeMemberHello = ({ nonce, proof }: MemberHello): unknown => ({ n: nonce, p: proof })
/** @throws MeshError `protocol_error`. */
export function decodeMemberHello(body: unknown): MemberHello {
  const map = asMap(body, 'hello')
  return { nonce: asBytes(map['n'], 'n', NONCE_BYTES, NONCE_BYTES), proof: proofOf(map['p']) }
}

/** Body of the item of the answering side. */
export const encodeMemberAnswer = ({ proof, chain, digest }: MemberAnswer): unknown => ({
  p: proof,
  c: encodeChain(chain),
  d: digest
})
/** @throws MeshError `protocol_error`. */
export function decodeMemberAnswer(body: unknown): MemberAnswer {
  const map = asMap(body, 'answer')
  return { proof: proofOf(map['p']), chain: decodeChain(map['c']), digest: digestOf(map['d']) }
}

/** Body of the item of the side that opened. */
export const encodeMemberIntroduction = ({ chain, digest, revocations }: MemberIntroduction): unknown => ({
  c: encodeChain(chain),
  d: digest,
  ...(revocations !== undefined && { r: encodeRevocations(revocations) })
})
/** @throws MeshError `protocol_error`. */
export function decodeMemberIntroduction(body: unknown): MemberIntroduction {
  const map = asMap(body, 'introduction')
  return { chain: decodeChain(map['c']), digest: digestOf(map['d']), revocations: optional(map['r'], decodeRevocations) }
}

/** Body of the end frame. */
export const encodeMemberEnd = ({ revocations }: MemberEnd): unknown =>
  revocations === undefined ? {} : { r: encodeRevocations(revocations) }
/** @throws MeshError `protocol_error`. */
export const decodeMemberEnd = (body: unknown): MemberEnd => ({
  revocations: optional(asMap(body, 'end')['r'], decodeRevocations)
})

/** What the proof of one side is made of: HMAC-SHA256 with the secret of the mesh over these bytes (RFC 2104). */
export function proofBytes(
  side: 'asks' | 'answers',
  nonce: Uint8Array,
  peers: { asks: Uint8Array; answers: Uint8Array }
): Uint8Array {
  return encodeCbor(['atmosphere/member/1 proof', side, nonce, peers.asks, peers.answers])
}

const proofOf = (value: unknown): Uint8Array => asBytes(value, 'p', PROOF_BYTES, PROOF_BYTES)
const digestOf = (value: unknown): Uint8Array => asBytes(value, 'd', REVOCATION_DIGEST_BYTES, REVOCATION_DIGEST_BYTES)
