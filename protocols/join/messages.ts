import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { decodeChain, encodeChain, MAX_MEMBER_NAME, type SignedCertificate } from '../member/messages.ts'
import { decodeSuccessions, encodeSuccessions, type SignedSuccession } from '../member/succession.ts'
import { asArray, asBytes, asMap, asText, asUint, optional } from '../shape.ts'

/** Protocol id: how a node becomes a member, and how a member renews its certificate. */
export const JOIN_PROTOCOL = '/atmosphere/join/1'
/** Bytes of the secret of an invite: 128 random bits. */
export const TOKEN_BYTES = 16
/** Bytes of the secret of a mesh. */
export const SECRET_BYTES = 32
/** Most addresses in an invite. */
export const MAX_INVITE_ADDRESSES = 4
/** Longest name of a mesh, in characters. */
export const MAX_MESH_NAME = 64
const MAX_ID_BYTES = 64
const MAX_ADDRESS_BYTES = 128
const MAX_KEY_BYTES = 128
const MAX_INVITE_BYTES = 1_024

/** What a node asks for. */
export type JoinRequest =
  /** To become a member: `token` is that of the invite, `name` what the node calls itself. */
  | { op: 'join'; token: Uint8Array; name: string }
  /** A member: a certificate that holds longer. */
  | { op: 'renew' }

/** What a member is given. */
export interface Welcome {
  /** PeerId of the mesh key, as multihash bytes: the id of the mesh. */
  mesh: Uint8Array
  /** What the mesh is called, for people. */
  name: string
  secret: Uint8Array
  /** The certificate of who asked, and up to the mesh key. */
  chain: SignedCertificate[]
  /** Of the key of the mesh. Default: it is the first one. */
  successions?: readonly SignedSuccession[] | undefined
  /** For an owner: the private key of the mesh, in libp2p's protobuf form. */
  meshKey?: Uint8Array | undefined
  /** The clock of who answers, Unix time in s: the asking node may have none. */
  now: number
}

/** Body of the open frame. */
export const encodeJoinRequest = (request: JoinRequest): unknown =>
  request.op === 'renew' ? { o: 'renew' } : { o: 'join', t: request.token, n: request.name }
/** @throws MeshError `protocol_error`. */
export function decodeJoinRequest(body: unknown): JoinRequest {
  const map = asMap(body, 'request')
  if (map['o'] === 'renew') return { op: 'renew' }
  if (map['o'] !== 'join') throw new MeshError('protocol_error', 'a request of a kind that this node does not know')
  return { op: 'join', token: asBytes(map['t'], 't', TOKEN_BYTES, TOKEN_BYTES), name: asText(map['n'], 'n', MAX_MEMBER_NAME) }
}

/** Body of the end frame. */
export const encodeWelcome = ({ mesh, name, secret, chain, successions = [], meshKey, now }: Welcome): unknown => ({
  m: mesh,
  n: name,
  s: secret,
  c: encodeChain(chain),
  ...(successions.length > 0 && { g: encodeSuccessions(successions) }),
  ...(meshKey !== undefined && { k: meshKey }),
  t: now
})
/** @throws MeshError `protocol_error`. */
export function decodeWelcome(body: unknown): Welcome {
  const map = asMap(body, 'welcome')
  return {
    mesh: asBytes(map['m'], 'm', MAX_ID_BYTES, 2),
    name: asText(map['n'], 'n', MAX_MESH_NAME),
    secret: asBytes(map['s'], 's', SECRET_BYTES, SECRET_BYTES),
    chain: decodeChain(map['c']),
    successions: optional(map['g'], decodeSuccessions),
    meshKey: optional(map['k'], (key) => asBytes(key, 'k', MAX_KEY_BYTES, 1)),
    now: asUint(map['t'], 't')
  }
}

/** What an invite code holds: whom to ask, where, and the secret that opens the door once. */
export interface Invite {
  token: Uint8Array
  /** PeerId of the node that gave it, as multihash bytes. Nobody else is told the token. */
  node: Uint8Array
  /** Multiaddrs in their binary form. */
  addresses: Uint8Array[]
}

/** Bytes of an invite, without the checksum that its text carries. @throws MeshError `invalid_argument` if it is over a limit. */
export function encodeInvite({ token, node, addresses }: Invite): Uint8Array {
  const bytes = encodeCbor([1, token, node, addresses])
  try {
    decodeInvite(bytes)
  } catch (error) {
    throw new MeshError('invalid_argument', `no invite can be made of this: ${(error as Error).message}`, {}, { cause: error })
  }
  return bytes
}

/** @throws MeshError `protocol_error`. Fields that a later version appends are ignored. */
export function decodeInvite(bytes: Uint8Array): Invite {
  const f = asArray(decodeCbor(asBytes(bytes, 'invite', MAX_INVITE_BYTES)), 'invite', 16)
  if (f[0] !== 1) throw new MeshError('protocol_error', 'an invite of a version that this node does not know; update it')
  return {
    token: asBytes(f[1], 'token', TOKEN_BYTES, TOKEN_BYTES),
    node: asBytes(f[2], 'node', MAX_ID_BYTES, 2),
    addresses: asArray(f[3], 'addresses', MAX_INVITE_ADDRESSES).map((address) =>
      asBytes(address, 'address', MAX_ADDRESS_BYTES, 1)
    )
  }
}
