import { sha256 } from '@noble/hashes/sha2.js'
import { compare } from 'uint8arrays/compare'
import { encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { MAX_MESH_NAME } from '../join/messages.ts'
import { MAX_MEMBER_NAME } from '../member/messages.ts'
import { asBytes, asMap, asText } from '../shape.ts'
import { signingDomain } from '../signing.ts'

/** Protocol id: how a node joins a mesh that it sees nearby, after people have compared what both screens show. */
export const NEARBY_PROTOCOL = '/atmosphere/nearby/1'
/** Random bytes of each side in an authentication string. */
export const NEARBY_NONCE_BYTES = 16
/** Bytes of a SHA-256. */
export const COMMITMENT_BYTES = 32
/** Digits of an authentication string: of a million attempts with somebody in between one shows the same on both screens. */
export const CODE_DIGITS = 6
const MAX_ID_BYTES = 64
const committedBytes = signingDomain('atmosphere/nearby/1 commitment')
const stringBytes = signingDomain('atmosphere/nearby/1 string')

/** What a node without a mesh asks for. */
export type NearbyRequest =
  /** Which mesh is here? */
  | { op: 'look' }
  /** To become a member: `commitment` is that of its nonce, which it tells only when it has that of the other side; `name` what it calls itself. */
  | { op: 'ask'; commitment: Uint8Array; name: string }

/** The mesh that opened its door, as it calls itself. */
export interface NearbySight {
  /** PeerId of the mesh key, as multihash bytes. */
  mesh: Uint8Array
  meshName: string
  nodeName: string
}

/** Body of the open frame. */
export const encodeNearbyRequest = (request: NearbyRequest): unknown =>
  request.op === 'look' ? { o: 'look' } : { o: 'ask', c: request.commitment, n: request.name }
/** @throws MeshError `protocol_error`. */
export function decodeNearbyRequest(body: unknown): NearbyRequest {
  const map = asMap(body, 'request')
  if (map['o'] === 'look') return { op: 'look' }
  if (map['o'] !== 'ask') throw new MeshError('protocol_error', 'a request of a kind that this node does not know')
  return {
    op: 'ask',
    commitment: asBytes(map['c'], 'c', COMMITMENT_BYTES, COMMITMENT_BYTES),
    name: asText(map['n'], 'n', MAX_MEMBER_NAME)
  }
}

/** Body of the end frame that answers `look`. */
export const encodeNearbySight = ({ mesh, meshName, nodeName }: NearbySight): unknown => ({ i: mesh, m: meshName, n: nodeName })
/** @throws MeshError `protocol_error`. */
export function decodeNearbySight(body: unknown): NearbySight {
  const map = asMap(body, 'sight')
  return {
    mesh: asBytes(map['i'], 'i', MAX_ID_BYTES, 2),
    meshName: asText(map['m'], 'm', MAX_MESH_NAME),
    nodeName: asText(map['n'], 'n', MAX_MEMBER_NAME)
  }
}

/** Body of the items of `ask`: first that of who answers, then that of who asks. */
export const encodeNearbyNonce = (nonce: Uint8Array): unknown => ({ n: nonce })
/** @throws MeshError `protocol_error`. */
export const decodeNearbyNonce = (body: unknown): Uint8Array =>
  asBytes(asMap(body, 'nonce')['n'], 'n', NEARBY_NONCE_BYTES, NEARBY_NONCE_BYTES)

/** What both screens are to show the same of. PeerIds and the id of the mesh as multihash bytes. */
export interface NearbyMeeting {
  mesh: Uint8Array
  asks: Uint8Array
  answers: Uint8Array
  nonces: { asks: Uint8Array; answers: Uint8Array }
}

/** What who asks says of its nonce before it knows the other one. */
export const commitmentTo = (nonce: Uint8Array): Uint8Array => sha256(committedBytes(nonce))

/** True if `commitment` was made to this nonce. */
export const isCommitted = (commitment: Uint8Array, nonce: Uint8Array): boolean => compare(commitment, commitmentTo(nonce)) === 0

/**
 * The short authentication string: digits that differ on both screens if somebody stands in between, but for one attempt in a million, since
 * each side is bound to its nonce before it knows the other's (RFC 6189, section 4.4.1.1; Vaudenay, CRYPTO 2005).
 */
export function authenticationString({ mesh, asks, answers, nonces }: NearbyMeeting): string {
  const digest = sha256(stringBytes(encodeCbor([mesh, asks, answers, nonces.asks, nonces.answers])))
  // 48 bits: of the modulus nothing is left that could be told from chance.
  const number = digest.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0) % 10 ** CODE_DIGITS
  return String(number).padStart(CODE_DIGITS, '0')
}
