import { encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asMap, asUint, optional } from '../shape.ts'
import { signingDomain } from '../signing.ts'

/** Protocol id: how neighbours tell each other their routes. */
export const GRADIENT_PROTOCOL = '/atmosphere/gradient/1'
/** Metric of a retraction. Others are in units of 0.1 ms, up to {@link MAX_ROUTE_METRIC}. */
export const NO_ROUTE = 0xffff_ffff
/** Largest metric: 60 s. */
export const MAX_ROUTE_METRIC = 600_000
/** Longest route, in hops. */
export const MAX_ROUTE_HOPS = 64
/** Rows in one item. */
export const MAX_ROUTE_ROWS = 512
/** Origins that a neighbour may want by name, and in one item. */
export const MAX_ROUTE_WANTS = 512
/** Origins that may be named on one session: who needs more ends it and begins anew. */
export const MAX_ROUTE_NAMES = 16_384
/** Hops that a request may still go. */
export const MAX_REQUEST_TTL = 64
const MAX_ID_BYTES = 64
const MAX_UINT32 = 0xffff_ffff
const SIGNATURE_BYTES = 64

/**
 * An origin: its PeerId as multihash bytes where it is named for the first time on a session in this direction, which gives it the next
 * number, from 0; from then on that number.
 */
export type OriginName = Uint8Array | number

/** What the sender's route to an origin is. */
export interface RouteRowMessage {
  origin: OriginName
  incarnation: number
  sequence: number
  /** {@link NO_ROUTE}: there is none. */
  metric: number
  /** From the sender; 0 of itself alone. */
  hops: number
  /** Of the origin over the sequence number, where this number was not told on this session before. */
  signature?: Uint8Array | undefined
}

/** What one side says, as items; the other side says its own in an exchange of its own. */
export type GradientItem =
  /** Rows that have changed. `full`: there are no others. */
  | { kind: 'rows'; rows: RouteRowMessage[]; full: boolean }
  /** Of which origins the sender wants to hear: of all that are told, or of these. */
  | { kind: 'wants'; all?: boolean | undefined; add: OriginName[]; drop: OriginName[] }
  /** Asks for a route with this sequence number or a later one. `signature`: of the origin over the number before it. */
  | {
      kind: 'request'
      origin: OriginName
      incarnation: number
      sequence: number
      ttl: number
      signature?: Uint8Array | undefined
    }
  /** XOR of the fingerprints of all rows that the reader has from the sender, and how many they are. */
  | { kind: 'digest'; digest: number; count: number }
  /** The sender wants all rows anew. */
  | { kind: 'dump' }

/** The bytes that an origin signs for a sequence number: domain and CBOR of mesh, origin and number. @param mesh its id. */
export function signedSequenceBytes(mesh: string, origin: Uint8Array, incarnation: number, sequence: number): Uint8Array {
  return signedSequence(encodeCbor([mesh, origin, incarnation, sequence]))
}
const signedSequence = signingDomain('atmosphere/gradient/1 sequence')

/** Body of the open frame: the sender will tell its routes. */
export const encodeGradientOpen = (): unknown => ({ o: 'tell' })
/** @throws MeshError `protocol_error`. */
export function decodeGradientOpen(body: unknown): { op: 'tell' } {
  if (asMap(body, 'open')['o'] !== 'tell')
    throw new MeshError('protocol_error', 'a request of a kind that this node does not know')
  return { op: 'tell' }
}

/** Body of an item. */
export function encodeGradientItem(item: GradientItem): unknown {
  switch (item.kind) {
    case 'rows':
      return { r: item.rows.map(encodeRow), ...(item.full && { f: true }) }
    case 'wants': {
      const { all, add, drop } = item
      return { w: [add, drop], ...(all !== undefined && { a: all }) }
    }
    case 'request': {
      const { origin, incarnation, sequence, ttl, signature } = item
      return { q: signed([origin, incarnation, sequence, ttl], signature) }
    }
    case 'digest':
      return { d: [item.digest, item.count] }
    case 'dump':
      return { u: true }
  }
}

/** @throws MeshError `protocol_error`. Signatures are not checked here. */
export function decodeGradientItem(body: unknown): GradientItem {
  const map = asMap(body, 'item')
  if (map['r'] !== undefined)
    return { kind: 'rows', rows: asArray(map['r'], 'r', MAX_ROUTE_ROWS).map(decodeRow), full: map['f'] === true }
  if (map['w'] !== undefined) return decodeWants(map)
  if (map['q'] !== undefined) return decodeRequest(map['q'])
  if (map['d'] !== undefined) {
    const f = asArray(map['d'], 'd', 8)
    return { kind: 'digest', digest: asUint(f[0], 'digest', MAX_UINT32), count: asUint(f[1], 'count', MAX_UINT32) }
  }
  if (map['u'] === true) return { kind: 'dump' }
  throw new MeshError('protocol_error', 'an item of a kind that this node does not know')
}

function encodeRow({ origin, incarnation, sequence, metric, hops, signature }: RouteRowMessage): unknown[] {
  return metric === NO_ROUTE ? [origin] : signed([origin, incarnation, sequence, metric, hops], signature)
}

const signed = (fields: unknown[], signature: Uint8Array | undefined): unknown[] =>
  signature === undefined ? fields : [...fields, signature]

function decodeRow(value: unknown): RouteRowMessage {
  const f = asArray(value, 'row', 8)
  const origin = originName(f[0])
  if (f.length === 1) return { origin, incarnation: 0, sequence: 0, metric: NO_ROUTE, hops: 0 }
  return {
    origin,
    incarnation: asUint(f[1], 'incarnation', MAX_UINT32),
    sequence: asUint(f[2], 'sequence', MAX_UINT32),
    metric: asUint(f[3], 'metric', MAX_ROUTE_METRIC),
    hops: asUint(f[4], 'hops', MAX_ROUTE_HOPS),
    signature: optional(f[5], signature)
  }
}

function decodeWants(map: Record<string, unknown>): GradientItem {
  const f = asArray(map['w'], 'w', 2)
  const { a: all } = map
  if (all !== undefined && typeof all !== 'boolean')
    throw new MeshError('protocol_error', 'field "a" of a peer\'s message must be a boolean')
  return {
    kind: 'wants',
    all,
    add: asArray(f[0], 'add', MAX_ROUTE_WANTS).map(originName),
    drop: asArray(f[1], 'drop', MAX_ROUTE_WANTS).map(originName)
  }
}

function decodeRequest(value: unknown): GradientItem {
  const f = asArray(value, 'q', 8)
  return {
    kind: 'request',
    origin: originName(f[0]),
    incarnation: asUint(f[1], 'incarnation', MAX_UINT32),
    sequence: asUint(f[2], 'sequence', MAX_UINT32),
    ttl: asUint(f[3], 'ttl', MAX_REQUEST_TTL),
    signature: optional(f[4], signature)
  }
}

function originName(value: unknown): OriginName {
  return typeof value === 'number' ? asUint(value, 'origin', MAX_ROUTE_NAMES - 1) : asBytes(value, 'origin', MAX_ID_BYTES, 2)
}

const signature = (value: unknown): Uint8Array => asBytes(value, 'signature', SIGNATURE_BYTES, SIGNATURE_BYTES)
