import { decodeRecord, encodeRecord, type DocumentRecord } from '../announce/messages.ts'
import { MeshError } from '../errors.ts'
import { NOTICE_DIGEST_BYTES } from '../member/messages.ts'
import { asArray, asBytes, asMap, asUint, optional } from '../shape.ts'

/** libp2p protocol id. */
export const SYNC_PROTOCOL = '/atmosphere/sync/1'
/** Most rows in one item. */
export const MAX_ROWS = 512
/** Most origins that one exchange may ask for. */
export const MAX_WANTED = 4_096
/** Most origins that one exchange may doubt. */
export const MAX_DOUBTED = 64
/** Bytes of a directory digest. */
export const DIGEST_BYTES = 16

/** Bytes of a head's hash in a row. */
export const TIE_BYTES = 8

/** How a node stands to an origin: heard of it, has a live session with it, or had one and lost it. */
export const STANDINGS = ['known', 'connected', 'gone'] as const
/** One of {@link STANDINGS}. */
export type Standing = (typeof STANDINGS)[number]

/** Which version of an origin's document a node has. */
export interface Row {
  origin: Uint8Array
  incarnation: number
  sequence: number
  standing: Standing
  /** First bytes of the SHA-256 of the head: tells two heads of one version apart, of an origin that contradicts itself. */
  tie: Uint8Array
}

/** Open frame: compare directories, pull the documents of some origins, or say that some do not answer. */
export type SyncRequest =
  | {
      op: 'digest'
      digest: Uint8Array
      count: number
      /** Digest of the notices of the sender, as in the member protocol. */
      notices?: Uint8Array | undefined
    }
  | { op: 'pull'; origins: Uint8Array[] }
  | { op: 'doubt'; origins: Uint8Array[] }

/** Item, both ways: rows of the answering side, then wanted origins and records of the asking one, then records. */
export type SyncItem =
  | { kind: 'rows'; rows: Row[]; last: boolean }
  | { kind: 'want'; origins: Uint8Array[] }
  | { kind: 'record'; record: DocumentRecord }

/** End frame of a digest exchange. `busy`: ask again in a moment. */
export type SyncEnd = 'equal' | 'done' | 'busy'
const ENDS: readonly SyncEnd[] = ['equal', 'done', 'busy']

/** Body of the open frame. */
export function encodeSyncRequest(request: SyncRequest): unknown {
  if (request.op !== 'digest') return { op: request.op, o: request.origins }
  const { digest, count, notices } = request
  return { op: 'digest', d: digest, n: count, ...(notices !== undefined && { x: notices }) }
}

/** @throws MeshError `protocol_error`. */
export function decodeSyncRequest(body: unknown): SyncRequest {
  const map = asMap(body, 'request')
  if (map['op'] === 'digest')
    return {
      op: 'digest',
      digest: asBytes(map['d'], 'd', DIGEST_BYTES, DIGEST_BYTES),
      count: asUint(map['n'], 'n', 0xffff_ffff),
      notices: optional(map['x'], (bytes) => asBytes(bytes, 'x', NOTICE_DIGEST_BYTES, NOTICE_DIGEST_BYTES))
    }
  if (map['op'] === 'pull') return { op: 'pull', origins: origins(map['o'], MAX_WANTED) }
  if (map['op'] === 'doubt') return { op: 'doubt', origins: origins(map['o'], MAX_DOUBTED) }
  throw new MeshError('protocol_error', 'a sync request of a kind that this node does not know')
}

/** Body of an item frame. */
export function encodeSyncItem(item: SyncItem): unknown {
  switch (item.kind) {
    case 'rows':
      return {
        r: item.rows.map((row) => [row.origin, row.incarnation, row.sequence, STANDINGS.indexOf(row.standing), row.tie]),
        l: item.last
      }
    case 'want':
      return { w: item.origins }
    case 'record':
      return { d: encodeRecord(item.record) }
  }
}

/** @throws MeshError `protocol_error`. */
export function decodeSyncItem(body: unknown): SyncItem {
  const map = asMap(body, 'item')
  if (map['r'] !== undefined) {
    return { kind: 'rows', rows: asArray(map['r'], 'r', MAX_ROWS).map(decodeRow), last: map['l'] === true }
  }
  if (map['w'] !== undefined) return { kind: 'want', origins: origins(map['w'], MAX_WANTED) }
  return { kind: 'record', record: decodeRecord(map['d']) }
}

/** @throws MeshError `protocol_error`. */
export function decodeSyncEnd(body: unknown): SyncEnd {
  if (!ENDS.includes(body as SyncEnd))
    throw new MeshError('protocol_error', 'a sync exchange ended in a way that this node does not know')
  return body as SyncEnd
}

function decodeRow(value: unknown): Row {
  const f = asArray(value, 'row', 8)
  return {
    origin: asBytes(f[0], 'origin', 64, 2),
    incarnation: asUint(f[1], 'incarnation'),
    sequence: asUint(f[2], 'sequence'),
    standing: STANDINGS[asUint(f[3], 'standing', STANDINGS.length - 1)]!,
    tie: asBytes(f[4], 'tie', TIE_BYTES, TIE_BYTES)
  }
}

function origins(value: unknown, most: number): Uint8Array[] {
  return asArray(value, 'origins', most).map((origin) => asBytes(origin, 'origin', 64, 2))
}
