import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MAX_CAPABILITY_BYTES } from '../capability.ts'
import { isModelName } from '../embedding/messages.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asMap, asText, asUint, optional } from '../shape.ts'
import { signingDomain } from '../signing.ts'
import { decodeCost, encodeCost, type NodeCost } from './cost.ts'

/** Gossipsub topic of the announcements of a mesh. */
export const announceTopic = (mesh: string): string => `/atmosphere/announce/1/${mesh}`
/**
 * Largest announcement on gossip, in bytes; what is larger is pulled over the sync protocol. Small, because gossipsub puts all
 * messages that a neighbour asks for into one RPC.
 */
export const MAX_ANNOUNCEMENT_BYTES = 16 * 1024
/** Most capabilities of one node. */
export const MAX_CAPABILITIES = 1_024
/** Most bytes of all capabilities of one node together. */
export const MAX_DOCUMENT_BYTES = 1024 * 1024
/** Longest lease, in ms. */
export const MAX_LEASE_MS = 900_000
/** Most addresses in a node's announcement. */
export const MAX_ADDRESSES = 32
const MAX_INFO_BYTES = 16 * 1024
const MAX_NOTE = 256
const MAX_HEAD_BYTES = 1_024
const MAX_SIGNATURE_BYTES = 512
/** Most bytes that CBOR puts before a byte or text string of a message. */
const BYTES_PREFIX = 5

/** The kinds of announcements. The kind names what changed; what counts is the signed head. */
export const ANNOUNCEMENT_KINDS = [
  'node-join',
  'available',
  'updated',
  'suspended',
  'removed',
  'heartbeat',
  'node-leave'
] as const
/** One of {@link ANNOUNCEMENT_KINDS}. */
export type AnnouncementKind = (typeof ANNOUNCEMENT_KINDS)[number]

/** The signed part: which version of its document an origin stands by. Ordered by (incarnation, sequence). */
export interface Head {
  mesh: string
  /** PeerId of the origin, as multihash bytes; its public key is in it. */
  origin: Uint8Array
  /** Counts the starts of the node; survives restarts. */
  incarnation: number
  /** Counts the announcements of one incarnation. */
  sequence: number
  /** True in the last announcement before a node stops. */
  left: boolean
  /** The record is forgotten this long after it was heard, in ms, unless renewed. */
  leaseMs: number
  /** SHA-256 over the document: see `documentHash` in core. */
  documentHash: Uint8Array
  /** Why: of a removal, a suspension, a leave. */
  note: string
}

/** What a node says of itself, beside its capabilities. */
export interface NodeInfo {
  name: string
  version: string
  addresses: string[]
  /** Default: calls on it cost nothing but time. */
  cost?: NodeCost | undefined
  /** The model of which it gives vectors of what it offers: see protocols/embedding. Default: it gives none. */
  embeddings?: string | undefined
}

/** A head with its signature, as it came: bytes are kept, so that they can be passed on and checked by others. */
export interface SignedHead {
  bytes: Uint8Array
  signature: Uint8Array
  head: Head
}

/** A message on the announce topic: a signed head and what changed in the document since the head before. */
export interface Announcement {
  kind: AnnouncementKind
  signed: SignedHead
  /** Encoded NodeInfo, if it changed. */
  info?: Uint8Array | undefined
  /** Encoded capabilities that are new or changed. */
  put: Uint8Array[]
  /** Ids of capabilities that are gone. */
  drop: string[]
}

/** The whole document of an origin, as the sync protocol carries it. */
export interface DocumentRecord {
  signed: SignedHead
  info: Uint8Array
  capabilities: Uint8Array[]
  /** How long ago the sender heard it, in ms. */
  ageMs: number
}

/** The bytes that the origin signs: domain and head. */
export const signedBytes: (head: Uint8Array) => Uint8Array = signingDomain('atmosphere/announce/1')

/** Deterministic bytes of a head. */
export function encodeHead(head: Head): Uint8Array {
  return encodeCbor([
    1,
    head.mesh,
    head.origin,
    head.incarnation,
    head.sequence,
    head.left,
    head.leaseMs,
    head.documentHash,
    head.note.slice(0, MAX_NOTE)
  ])
}

/** @throws MeshError `protocol_error`. Fields that a later version appends are ignored. */
export function decodeHead(bytes: Uint8Array): Head {
  const f = asArray(decodeCbor(asBytes(bytes, 'head', MAX_HEAD_BYTES)), 'head', 16)
  if (f[0] !== 1) throw new MeshError('protocol_error', 'a head of a version that this node does not know')
  if (typeof f[5] !== 'boolean') throw new MeshError('protocol_error', 'field "left" of a peer\'s message must be a boolean')
  return {
    mesh: asText(f[1], 'mesh', 128),
    origin: asBytes(f[2], 'origin', 64, 2),
    incarnation: asUint(f[3], 'incarnation'),
    sequence: asUint(f[4], 'sequence'),
    left: f[5],
    leaseMs: asUint(f[6], 'leaseMs', MAX_LEASE_MS),
    documentHash: asBytes(f[7], 'documentHash', 32, 32),
    note: asText(f[8], 'note', MAX_NOTE)
  }
}

/** Bytes of a NodeInfo. */
export function encodeInfo({ name, version, addresses, cost, embeddings }: NodeInfo): Uint8Array {
  return encodeCbor({ name, version, addresses: addresses.slice(0, MAX_ADDRESSES), cost: encodeCost(cost), embeddings })
}

/** @throws MeshError `protocol_error`. */
export function decodeInfo(bytes: Uint8Array): NodeInfo {
  const map = asMap(decodeCbor(asBytes(bytes, 'info', MAX_INFO_BYTES)), 'info')
  const cost = optional(map['cost'], decodeCost)
  const embeddings = map['embeddings']
  return {
    name: asText(map['name'], 'name', 64),
    version: asText(map['version'], 'version', 64),
    addresses: asArray(map['addresses'], 'addresses', MAX_ADDRESSES).map((address) => asText(address, 'address', 512)),
    ...(cost !== undefined && { cost }),
    // What is no such name, perhaps of a later version, counts as none said.
    ...(isModelName(embeddings) && { embeddings })
  }
}

/** Bytes for the topic. @throws MeshError `too_large`. */
export function encodeAnnouncement({ kind, signed, info, put, drop }: Announcement): Uint8Array {
  const bytes = encodeCbor({
    k: kind,
    h: signed.bytes,
    s: signed.signature,
    i: info,
    p: put.length > 0 ? put : undefined,
    d: drop.length > 0 ? drop : undefined
  })
  if (bytes.length > MAX_ANNOUNCEMENT_BYTES)
    throw new MeshError('too_large', `an announcement of ${bytes.length} bytes is over ${MAX_ANNOUNCEMENT_BYTES}`)
  return bytes
}

/** As {@link encodeAnnouncement}, but what does not fit goes as its head alone: it makes the others ask for the record over sync. */
export function encodeFitting(announcement: Announcement): Uint8Array {
  const { info, put, drop } = announcement
  let bytes = info?.length ?? 0
  for (const { length } of put) bytes += length + BYTES_PREFIX
  // A code unit takes three bytes at most.
  for (const { length } of drop) bytes += length * 3 + BYTES_PREFIX
  const fits = bytes <= MAX_ANNOUNCEMENT_BYTES - MAX_HEAD_BYTES - MAX_SIGNATURE_BYTES - 128
  return encodeAnnouncement(fits ? announcement : { ...announcement, info: undefined, put: [], drop: [] })
}

/** @throws MeshError `protocol_error`. The signature is not checked here. */
export function decodeAnnouncement(bytes: Uint8Array): Announcement {
  if (bytes.length > MAX_ANNOUNCEMENT_BYTES)
    throw new MeshError('protocol_error', `an announcement over ${MAX_ANNOUNCEMENT_BYTES} bytes`)
  const map = asMap(decodeCbor(bytes), 'announcement')
  const kind = asText(map['k'], 'k', 32) as AnnouncementKind
  return {
    // The kind only tells people what changed: one of a later version is a change like any other.
    kind: ANNOUNCEMENT_KINDS.includes(kind) ? kind : 'updated',
    signed: decodeSigned(map),
    info: optional(map['i'], (value) => asBytes(value, 'i', MAX_INFO_BYTES)),
    put: optional(map['p'], capabilityBytes) ?? [],
    drop: optional(map['d'], (value) => asArray(value, 'd', MAX_CAPABILITIES).map((id) => asText(id, 'd', 128))) ?? []
  }
}

/** A record as an item body of the sync protocol. */
export function encodeRecord({ signed, info, capabilities, ageMs }: DocumentRecord): Record<string, unknown> {
  return {
    h: signed.bytes,
    s: signed.signature,
    i: info,
    p: capabilities,
    a: Math.min(MAX_LEASE_MS, Math.max(0, Math.floor(ageMs)))
  }
}

/** @throws MeshError `protocol_error`. The signature is not checked here. */
export function decodeRecord(body: unknown): DocumentRecord {
  const map = asMap(body, 'record')
  return {
    signed: decodeSigned(map),
    info: asBytes(map['i'], 'i', MAX_INFO_BYTES),
    capabilities: capabilityBytes(map['p']),
    ageMs: asUint(map['a'], 'a', MAX_LEASE_MS)
  }
}

function decodeSigned(map: Record<string, unknown>): SignedHead {
  const bytes = asBytes(map['h'], 'h', MAX_HEAD_BYTES)
  return { bytes, signature: asBytes(map['s'], 's', MAX_SIGNATURE_BYTES, 1), head: decodeHead(bytes) }
}

function capabilityBytes(value: unknown): Uint8Array[] {
  const list = asArray(value, 'p', MAX_CAPABILITIES).map((bytes) => asBytes(bytes, 'p', MAX_CAPABILITY_BYTES))
  const total = list.reduce((sum, bytes) => sum + bytes.length, 0)
  if (total > MAX_DOCUMENT_BYTES)
    throw new MeshError('protocol_error', `the capabilities of a node are over ${MAX_DOCUMENT_BYTES} bytes`)
  return list
}
