import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asText, asUint } from '../shape.ts'
import { signingDomain } from '../signing.ts'
import { decodeChain, encodeChain, type SignedCertificate } from './certificate.ts'

/** Gossipsub topic of the revocations of a mesh. */
export const revocationTopic = (mesh: string): string => `/atmosphere/revoke/1/${mesh}`
/** Largest revocation, without signature and chain, in bytes. */
export const MAX_REVOCATION_BYTES = 1_024
/** Most revocations that a node keeps and shows: ten a day, for as long as a certificate can live. */
export const MAX_REVOCATIONS = 1_024
/** Longest reason, in characters. */
export const MAX_REASON = 256
const MAX_ID_BYTES = 64
const SIGNATURE_BYTES = 64

/** Says that certificates of a node which begin at or before a time are worth nothing any more. */
export interface Revocation {
  /** PeerId of the mesh key, as multihash bytes. */
  mesh: Uint8Array
  /** PeerId of the node, as multihash bytes. */
  node: Uint8Array
  /** Unix time in s. */
  at: number
  /** PeerId of who signed, as multihash bytes: the mesh key, or a member that may give the role of the node. */
  issuer: Uint8Array
  /** For people. */
  reason: string
}

/** A revocation as it is passed on. */
export interface SignedRevocation {
  bytes: Uint8Array
  signature: Uint8Array
  /** The certificates of the issuer; none if that is the mesh key. */
  chain: SignedCertificate[]
  revocation: Revocation
}

/** The bytes that the issuer signs: domain and revocation. */
export const signedRevocationBytes: (revocation: Uint8Array) => Uint8Array = signingDomain('atmosphere/member/1 revocation')

/** Deterministic bytes of a revocation. @throws MeshError `invalid_argument` if it is over a limit. */
export function encodeRevocation({ mesh, node, at, issuer, reason }: Revocation): Uint8Array {
  const bytes = encodeCbor([1, mesh, node, at, issuer, reason])
  try {
    decodeRevocation(bytes)
  } catch (error) {
    throw new MeshError(
      'invalid_argument',
      `no revocation can be made of this: ${(error as Error).message}`,
      {},
      { cause: error }
    )
  }
  return bytes
}

/** @throws MeshError `protocol_error`. Fields that a later version appends are ignored, and kept in the bytes. */
export function decodeRevocation(bytes: Uint8Array): Revocation {
  const f = asArray(decodeCbor(asBytes(bytes, 'revocation', MAX_REVOCATION_BYTES)), 'revocation', 16)
  if (f[0] !== 1) throw new MeshError('protocol_error', 'a revocation of a version that this node does not know')
  return {
    mesh: asBytes(f[1], 'mesh', MAX_ID_BYTES, 2),
    node: asBytes(f[2], 'node', MAX_ID_BYTES, 2),
    at: asUint(f[3], 'at'),
    issuer: asBytes(f[4], 'issuer', MAX_ID_BYTES, 2),
    reason: asText(f[5], 'reason', MAX_REASON)
  }
}

/** A revocation on the wire; on gossip as the CBOR of this. */
export const encodeSignedRevocation = ({ bytes, signature, chain }: SignedRevocation): unknown => [
  bytes,
  signature,
  encodeChain(chain)
]

/** @throws MeshError `protocol_error`. */
export function decodeSignedRevocation(value: unknown): SignedRevocation {
  const [bytes, signature, chain] = asArray(value, 'revocation', 3)
  const kept = asBytes(bytes, 'revocation', MAX_REVOCATION_BYTES)
  return {
    bytes: kept,
    signature: asBytes(signature, 'signature', SIGNATURE_BYTES, SIGNATURE_BYTES),
    chain: decodeChain(chain),
    revocation: decodeRevocation(kept)
  }
}

/** Revocations on the wire, in any order. */
export const encodeRevocations = (all: readonly SignedRevocation[]): unknown => all.map(encodeSignedRevocation)
/** @throws MeshError `protocol_error`. */
export const decodeRevocations = (value: unknown): SignedRevocation[] =>
  asArray(value, 'revocations', MAX_REVOCATIONS).map(decodeSignedRevocation)
