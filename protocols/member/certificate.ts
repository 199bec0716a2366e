import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asText, asUint } from '../shape.ts'
import { signingDomain } from '../signing.ts'

/** Most certificates from a node up to the mesh key. */
export const MAX_CHAIN = 4
/** Largest certificate, in bytes. */
export const MAX_CERTIFICATE_BYTES = 512
/** Longest validity of a certificate, in s: 90 days. */
export const MAX_VALIDITY_S = 90 * 86_400
/** Longest name of a member, in characters. */
export const MAX_MEMBER_NAME = 64
/** Most tags of a member. */
export const MAX_TAGS = 8
/** Longest tag, in characters. */
export const MAX_TAG_LENGTH = 32
/** What a tag looks like. */
export const TAG_PATTERN = '^[a-z0-9][a-z0-9._-]{0,31}$'
/** Bytes of a nonce and of a serial number. */
export const NONCE_BYTES = 16
const MAX_ID_BYTES = 64
const SIGNATURE_BYTES = 64

/** What a member may do, most first. On the wire the index. */
export const ROLES = ['owner', 'admin', 'member', 'guest'] as const
/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number]

/** Says that a node belongs to a mesh. Signed by its issuer. */
export interface Certificate {
  /** PeerId of the mesh key, as multihash bytes: the id of the mesh. */
  mesh: Uint8Array
  /** PeerId of the member, as multihash bytes. */
  node: Uint8Array
  role: Role
  /** May pass on what others send to each other. */
  forward: boolean
  /** First second that it holds, Unix time. */
  notBefore: number
  /** Last second that it holds, Unix time. */
  notAfter: number
  /** PeerId of who signed, as multihash bytes: the mesh key, or a member that may. */
  issuer: Uint8Array
  /** Names this certificate when it is revoked. */
  serial: Uint8Array
  /** For people. */
  name: string
  /** What the member is besides its role, for policies: `kitchen`, `trusted`. */
  tags: string[]
  /** Since when it is a member, Unix time: renewals keep it, an invite sets it anew. A revocation ends the memberships that were there before it. */
  since: number
}

/** A certificate with its signature, as it came: bytes are kept, so that they can be passed on and checked by others. */
export interface SignedCertificate {
  bytes: Uint8Array
  signature: Uint8Array
  certificate: Certificate
}

/** The bytes that the issuer signs: domain and certificate. */
export const signedCertificateBytes: (certificate: Uint8Array) => Uint8Array = signingDomain('atmosphere/member/1 certificate')

/** Deterministic bytes of a certificate. @throws MeshError `invalid_argument` if it is over a limit. */
export function encodeCertificate(certificate: Certificate): Uint8Array {
  const { mesh, node, role, forward, notBefore, notAfter, issuer, serial, name, tags, since } = certificate
  const bytes = encodeCbor([1, mesh, node, ROLES.indexOf(role), forward, notBefore, notAfter, issuer, serial, name, tags, since])
  try {
    decodeCertificate(bytes)
  } catch (error) {
    throw new MeshError(
      'invalid_argument',
      `no certificate can be made of this: ${(error as Error).message}`,
      {},
      { cause: error }
    )
  }
  return bytes
}

/** @throws MeshError `protocol_error`. Fields that a later version appends are ignored, and kept in the bytes. */
export function decodeCertificate(bytes: Uint8Array): Certificate {
  const f = asArray(decodeCbor(asBytes(bytes, 'certificate', MAX_CERTIFICATE_BYTES)), 'certificate', 16)
  if (f[0] !== 1) throw new MeshError('protocol_error', 'a certificate of a version that this node does not know')
  if (typeof f[4] !== 'boolean') throw new MeshError('protocol_error', 'field "forward" of a peer\'s message must be a boolean')
  const notBefore = asUint(f[5], 'notBefore')
  const notAfter = asUint(f[6], 'notAfter')
  if (notAfter < notBefore || notAfter - notBefore > MAX_VALIDITY_S)
    throw new MeshError('protocol_error', `a certificate must hold for 0 to ${MAX_VALIDITY_S} s`)
  return {
    mesh: asBytes(f[1], 'mesh', MAX_ID_BYTES, 2),
    node: asBytes(f[2], 'node', MAX_ID_BYTES, 2),
    role: ROLES[asUint(f[3], 'role', ROLES.length - 1)]!,
    forward: f[4],
    notBefore,
    notAfter,
    issuer: asBytes(f[7], 'issuer', MAX_ID_BYTES, 2),
    serial: asBytes(f[8], 'serial', NONCE_BYTES, NONCE_BYTES),
    name: asText(f[9], 'name', MAX_MEMBER_NAME),
    tags: asArray(f[10], 'tags', MAX_TAGS).map(asTag),
    since: asUint(f[11], 'since')
  }
}

const tagPattern = new RegExp(TAG_PATTERN)
function asTag(value: unknown): string {
  const tag = asText(value, 'tag', MAX_TAG_LENGTH)
  if (!tagPattern.test(tag)) throw new MeshError('protocol_error', `a tag must fit ${TAG_PATTERN}`)
  return tag
}

/** Certificates on the wire: the node's own first, the one that the mesh key signed last. */
export function encodeChain(chain: readonly SignedCertificate[]): unknown {
  return chain.map(({ bytes, signature }) => [bytes, signature])
}

/** @throws MeshError `protocol_error`. An empty chain is one of a mesh that is open to all. */
export function decodeChain(value: unknown): SignedCertificate[] {
  return asArray(value, 'chain', MAX_CHAIN).map((element) => {
    const [bytes, signature] = asArray(element, 'certificate', 2)
    const kept = asBytes(bytes, 'certificate', MAX_CERTIFICATE_BYTES)
    return {
      bytes: kept,
      signature: asBytes(signature, 'signature', SIGNATURE_BYTES, SIGNATURE_BYTES),
      certificate: decodeCertificate(kept)
    }
  })
}
