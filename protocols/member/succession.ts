import { sha256 } from '@noble/hashes/sha2.js'
import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asUint } from '../shape.ts'
import { signingDomain } from '../signing.ts'
import { ROLES, type Role } from './certificate.ts'

/** Gossipsub topic of the successions of the key of a mesh, and of what is signed by the new key. */
export const successionTopic = (mesh: string): string => `/atmosphere/succession/1/${mesh}`
/** Most keys that may follow the first one of a mesh. */
export const MAX_GENERATIONS = 16
/** Most successions that a node keeps and shows: of its own mesh, and of those that it has treaties with. */
export const MAX_SUCCESSIONS = 64
/** Most certificates that stay good over a succession. */
export const MAX_KEEPS = 256
/** Bytes of a keep. */
export const KEEP_BYTES = 16
/** Largest succession, without signature, in bytes. */
export const MAX_SUCCESSION_BYTES = 8_192
const MAX_ID_BYTES = 64
const SIGNATURE_BYTES = 64

/** Says that another key signs for a mesh from now on. Signed by the key before it. */
export interface Succession {
  /** PeerId of the first key, as multihash bytes: the id of the mesh. */
  mesh: Uint8Array
  /** 1 for the key after the first one. */
  generation: number
  /** PeerId of the new key, as multihash bytes. */
  key: Uint8Array
  /** Unix time in s. */
  at: number
  /** See {@link keepOf}: whose certificates by older keys stay good. */
  keeps: readonly Uint8Array[]
}

/** A succession as it is passed on. */
export interface SignedSuccession {
  bytes: Uint8Array
  signature: Uint8Array
  succession: Succession
}

/** The bytes that the older key signs: domain and succession. */
export const signedSuccessionBytes: (succession: Uint8Array) => Uint8Array = signingDomain('atmosphere/member/1 succession')

/** Stands for the certificates of a node with a role, so that who does not know the node learns nothing of it. */
export function keepOf(mesh: Uint8Array, generation: number, node: Uint8Array, role: Role): Uint8Array {
  return sha256(encodeCbor(['atmosphere/member/1 keep', mesh, generation, node, ROLES.indexOf(role)])).subarray(0, KEEP_BYTES)
}

/** Deterministic bytes of a succession. @throws MeshError `invalid_argument` if it is over a limit. */
export function encodeSuccession({ mesh, generation, key, at, keeps }: Succession): Uint8Array {
  const bytes = encodeCbor([1, mesh, generation, key, at, keeps])
  try {
    decodeSuccession(bytes)
  } catch (error) {
    const message = `no succession can be made of this: ${(error as Error).message}`
    throw new MeshError('invalid_argument', message, {}, { cause: error })
  }
  return bytes
}

/** @throws MeshError `protocol_error`. Fields that a later version appends are ignored, and kept in the bytes. */
export function decodeSuccession(bytes: Uint8Array): Succession {
  const f = asArray(decodeCbor(asBytes(bytes, 'succession', MAX_SUCCESSION_BYTES)), 'succession', 16)
  if (f[0] !== 1) throw new MeshError('protocol_error', 'a succession of a version that this node does not know')
  const generation = asUint(f[2], 'generation', MAX_GENERATIONS)
  if (generation === 0) throw new MeshError('protocol_error', 'the first key of a mesh follows no other')
  return {
    mesh: asBytes(f[1], 'mesh', MAX_ID_BYTES, 2),
    generation,
    key: asBytes(f[3], 'key', MAX_ID_BYTES, 2),
    at: asUint(f[4], 'at'),
    keeps: asArray(f[5], 'keeps', MAX_KEEPS).map((keep) => asBytes(keep, 'keep', KEEP_BYTES, KEEP_BYTES))
  }
}

/** Successions on the wire, in any order. */
export const encodeSuccessions = (all: readonly SignedSuccession[]): unknown =>
  all.map(({ bytes, signature }) => [bytes, signature])

/** @throws MeshError `protocol_error`. */
export const decodeSuccessions = (value: unknown): SignedSuccession[] =>
  asArray(value, 'successions', MAX_SUCCESSIONS).map((element) => {
    const [bytes, signature] = asArray(element, 'succession', 2)
    const kept = asBytes(bytes, 'succession', MAX_SUCCESSION_BYTES)
    return {
      bytes: kept,
      signature: asBytes(signature, 'signature', SIGNATURE_BYTES, SIGNATURE_BYTES),
      succession: decodeSuccession(kept)
    }
  })
