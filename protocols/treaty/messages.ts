import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asText, asUint } from '../shape.ts'
import { signingDomain } from '../signing.ts'

/** Gossipsub topic of the treaties of a mesh and of their revocations. */
export const treatyTopic = (mesh: string): string => `/atmosphere/treaty/1/${mesh}`
/** Most treaties that a node keeps and shows. */
export const MAX_TREATIES = 32
/** Most revocations of treaties that a node keeps and shows. */
export const MAX_TREATY_REVOCATIONS = 128
/** Most globs over types that one side lends. */
export const MAX_LENT_TYPES = 32
/** Longest glob over types, in characters: a type is no longer. */
export const MAX_LENT_TYPE = 128
/** Longest validity of a treaty, in s: 366 days. */
export const MAX_TREATY_S = 366 * 86_400
/** Largest treaty, without signatures, in bytes. */
export const MAX_TREATY_BYTES = 4_096
/** Longest name of a mesh in a treaty, in characters. */
export const MAX_TREATY_NAME = 64
/** Longest reason of a revocation, in characters. */
export const MAX_TREATY_REASON = 256
/** Bytes of the secret of a treaty. */
export const TREATY_SECRET_BYTES = 32
/** Bytes of the serial number of a treaty. */
export const SERIAL_BYTES = 16
const MAX_REVOCATION_BYTES = 1_024
const MAX_ID_BYTES = 64
const SIGNATURE_BYTES = 64
/** A glob over types: what a type is made of, and the signs of a glob. */
const LENT_TYPE = /^[a-z0-9*?._/-]+$/

/** What two meshes agree on. The first of each pair is of the mesh whose id comes first in the order of bytes. */
export interface Treaty {
  /** PeerIds of the mesh keys, as multihash bytes; sorted, and not equal. */
  meshes: readonly [Uint8Array, Uint8Array]
  /** For people. */
  names: readonly [string, string]
  /** Globs over types of capabilities: what each mesh lends to the other. */
  lends: readonly [readonly string[], readonly string[]]
  /** Known to the members of both meshes: says "of a mesh of this treaty". */
  secret: Uint8Array
  /** First second that it holds, Unix time. */
  notBefore: number
  /** Last second that it holds, Unix time. */
  notAfter: number
  /** Names it when it is revoked. */
  serial: Uint8Array
}

/** A treaty as it is passed on. With one signature it is an offer. */
export interface SignedTreaty {
  bytes: Uint8Array
  /** Of the keys of the meshes, in their order; undefined where one is missing. */
  signatures: readonly [Uint8Array | undefined, Uint8Array | undefined]
  treaty: Treaty
}

/** Says that a treaty is worth nothing any more. */
export interface TreatyRevocation {
  /** PeerId of the mesh key that signed, as multihash bytes: one of the two of the treaty. */
  mesh: Uint8Array
  serial: Uint8Array
  /** Unix time in s. */
  at: number
  /** For people. */
  reason: string
}

/** A revocation of a treaty as it is passed on. */
export interface SignedTreatyRevocation {
  bytes: Uint8Array
  signature: Uint8Array
  revocation: TreatyRevocation
}

/** The bytes that both meshes sign: domain and treaty. */
export const signedTreatyBytes: (treaty: Uint8Array) => Uint8Array = signingDomain('atmosphere/treaty/1 treaty')
/** The bytes that the mesh that revokes signs: domain and revocation. */
export const signedTreatyRevocationBytes: (revocation: Uint8Array) => Uint8Array = signingDomain('atmosphere/treaty/1 revocation')

/** True for a glob over types as a treaty may hold it. */
export const isLentType = (glob: string): boolean => glob.length <= MAX_LENT_TYPE && LENT_TYPE.test(glob)

/** Deterministic bytes of a treaty. @throws MeshError `invalid_argument` if it is over a limit. */
export function encodeTreaty({ meshes, names, lends, secret, notBefore, notAfter, serial }: Treaty): Uint8Array {
  const bytes = encodeCbor([1, meshes, names, lends, secret, notBefore, notAfter, serial])
  return checked(bytes, 'treaty', decodeTreaty)
}

/** @throws MeshError `protocol_error`. Fields that a later version appends are ignored, and kept in the bytes. */
export function decodeTreaty(bytes: Uint8Array): Treaty {
  const f = asArray(decodeCbor(asBytes(bytes, 'treaty', MAX_TREATY_BYTES)), 'treaty', 16)
  if (f[0] !== 1) throw new MeshError('protocol_error', 'a treaty of a version that this node does not know; update it')
  const meshes = pair(f[1], 'meshes', (id) => asBytes(id, 'mesh', MAX_ID_BYTES, 2))
  if (order(meshes[0], meshes[1]) >= 0)
    throw new MeshError('protocol_error', 'a treaty must name two meshes, in the order of their ids')
  const notBefore = asUint(f[5], 'notBefore')
  const notAfter = asUint(f[6], 'notAfter')
  if (notAfter < notBefore || notAfter - notBefore > MAX_TREATY_S)
    throw new MeshError('protocol_error', `a treaty must hold for 0 to ${MAX_TREATY_S} s`)
  return {
    meshes,
    names: pair(f[2], 'names', (name) => asText(name, 'name', MAX_TREATY_NAME)),
    lends: pair(f[3], 'lends', (types) => asArray(types, 'types', MAX_LENT_TYPES).map(asLentType)),
    secret: asBytes(f[4], 'secret', TREATY_SECRET_BYTES, TREATY_SECRET_BYTES),
    notBefore,
    notAfter,
    serial: asBytes(f[7], 'serial', SERIAL_BYTES, SERIAL_BYTES)
  }
}

/** A treaty or an offer on the wire; a signature that is missing is empty. */
export const encodeSignedTreaty = ({ bytes, signatures: [first, second] }: SignedTreaty): unknown => [
  bytes,
  first ?? new Uint8Array(0),
  second ?? new Uint8Array(0)
]

/** @throws MeshError `protocol_error`. */
export function decodeSignedTreaty(value: unknown): SignedTreaty {
  const [bytes, first, second] = asArray(value, 'treaty', 3)
  const kept = asBytes(bytes, 'treaty', MAX_TREATY_BYTES)
  const signatures = [asSignature(first), asSignature(second)] as const
  if (signatures.every((one) => one === undefined)) throw new MeshError('protocol_error', 'a treaty that nobody has signed')
  return { bytes: kept, signatures, treaty: decodeTreaty(kept) }
}

/** Treaties on the wire, in any order. */
export const encodeTreaties = (all: readonly SignedTreaty[]): unknown => all.map(encodeSignedTreaty)
/** @throws MeshError `protocol_error`, also for one that is not signed by both: offers are passed on by people. */
export const decodeTreaties = (value: unknown): SignedTreaty[] =>
  asArray(value, 'treaties', MAX_TREATIES).map((element) => {
    const signed = decodeSignedTreaty(element)
    if (signed.signatures.includes(undefined)) throw new MeshError('protocol_error', 'a treaty with one signature')
    return signed
  })

/** Deterministic bytes of a revocation. @throws MeshError `invalid_argument` if it is over a limit. */
export function encodeTreatyRevocation({ mesh, serial, at, reason }: TreatyRevocation): Uint8Array {
  return checked(encodeCbor([1, mesh, serial, at, reason]), 'revocation', decodeTreatyRevocation)
}

/** @throws MeshError `protocol_error`. Fields that a later version appends are ignored, and kept in the bytes. */
export function decodeTreatyRevocation(bytes: Uint8Array): TreatyRevocation {
  const f = asArray(decodeCbor(asBytes(bytes, 'revocation', MAX_REVOCATION_BYTES)), 'revocation', 16)
  if (f[0] !== 1) throw new MeshError('protocol_error', 'a revocation of a version that this node does not know')
  return {
    mesh: asBytes(f[1], 'mesh', MAX_ID_BYTES, 2),
    serial: asBytes(f[2], 'serial', SERIAL_BYTES, SERIAL_BYTES),
    at: asUint(f[3], 'at'),
    reason: asText(f[4], 'reason', MAX_TREATY_REASON)
  }
}

/** A revocation of a treaty on the wire. */
export const encodeSignedTreatyRevocation = ({ bytes, signature }: SignedTreatyRevocation): unknown => [bytes, signature]

/** @throws MeshError `protocol_error`. */
export function decodeSignedTreatyRevocation(value: unknown): SignedTreatyRevocation {
  const [bytes, signature] = asArray(value, 'revocation', 2)
  const kept = asBytes(bytes, 'revocation', MAX_REVOCATION_BYTES)
  return {
    bytes: kept,
    signature: asBytes(signature, 'signature', SIGNATURE_BYTES, SIGNATURE_BYTES),
    revocation: decodeTreatyRevocation(kept)
  }
}

/** Revocations of treaties on the wire, in any order. */
export const encodeTreatyRevocations = (all: readonly SignedTreatyRevocation[]): unknown => all.map(encodeSignedTreatyRevocation)
/** @throws MeshError `protocol_error`. */
export const decodeTreatyRevocations = (value: unknown): SignedTreatyRevocation[] =>
  asArray(value, 'revocations', MAX_TREATY_REVOCATIONS).map(decodeSignedTreatyRevocation)

function checked(bytes: Uint8Array, what: string, decode: (bytes: Uint8Array) => unknown): Uint8Array {
  try {
    decode(bytes)
  } catch (error) {
    const message = `no ${what} can be made of this: ${(error as Error).message}`
    throw new MeshError('invalid_argument', message, {}, { cause: error })
  }
  return bytes
}

function pair<T>(value: unknown, field: string, read: (value: unknown) => T): [T, T] {
  const both = asArray(value, field, 2)
  if (both.length !== 2) throw new MeshError('protocol_error', `field "${field}" of a peer's message must be a pair`)
  return [read(both[0]), read(both[1])]
}

function asLentType(value: unknown): string {
  const glob = asText(value, 'type', MAX_LENT_TYPE)
  if (!isLentType(glob)) throw new MeshError('protocol_error', 'a type of a treaty must be a glob over lower-case paths')
  return glob
}

function asSignature(value: unknown): Uint8Array | undefined {
  const signature = asBytes(value, 'signature', SIGNATURE_BYTES)
  if (signature.length !== 0 && signature.length !== SIGNATURE_BYTES)
    throw new MeshError('protocol_error', `a signature must have ${SIGNATURE_BYTES} bytes, or none where it is missing`)
  return signature.length === 0 ? undefined : signature
}

function order(a: Uint8Array, b: Uint8Array): number {
  for (let n = 0; n < Math.min(a.length, b.length); n++) if (a[n] !== b[n]) return a[n]! - b[n]!
  return a.length - b.length
}
