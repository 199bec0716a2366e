import {
  decodeAnnouncement,
  decodeHead,
  decodeInfo,
  decodeRecord,
  encodeAnnouncement,
  encodeHead
} from '../../protocols/announce/messages.ts'
import { encodeInfo, encodeRecord } from '../../protocols/announce/messages.ts'
import type { SignedHead } from '../../protocols/announce/messages.ts'
import { decodeItem, decodeRequest, encodeItem, encodeRequest } from '../../protocols/call/messages.ts'
import { decodeCapability, encodeCapability } from '../../protocols/capability.ts'
import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import { decodeFrame, encodeFrame, readPrefix } from '../../protocols/framing/messages.ts'
import type { Frame } from '../../protocols/framing/messages.ts'
import {
  decodeCertificate,
  decodeMemberAnswer,
  decodeMemberEnd,
  decodeMemberHello,
  decodeMemberProof,
  encodeCertificate,
  encodeMemberAnswer,
  encodeMemberEnd,
  encodeMemberHello,
  encodeMemberProof
} from '../../protocols/member/messages.ts'
import type { SignedCertificate } from '../../protocols/member/messages.ts'
import {
  decodeSyncEnd,
  decodeSyncItem,
  decodeSyncRequest,
  encodeSyncItem,
  encodeSyncRequest
} from '../../protocols/sync/messages.ts'
import type { SyncItem } from '../../protocols/sync/messages.ts'

/** Something that reads bytes of a peer, with valid bytes to start from. */
export interface Decoder {
  name: string
  decode(bytes: Uint8Array): unknown
  valid: Uint8Array[]
}

const ORIGIN = Uint8Array.from({ length: 38 }, (_, n) => n)
const INFO = encodeInfo({ name: 'kitchen', version: '0.1.0', addresses: ['/ip4/192.168.1.7/tcp/4001'] })
const CAPABILITY = encodeCapability({
  id: 'camera',
  type: 'sensor/camera',
  description: 'A camera over the door.',
  examples: ['who is at the door'],
  tools: [
    {
      name: 'snap',
      input: { type: 'object', properties: { width: { type: 'integer' } } },
      timeoutMs: 5_000,
      cache: { ttlMs: 1_000 }
    }
  ],
  triggers: [{ event: 'motion', intentTemplate: 'motion at {where}', throttleMs: 1_000 }],
  metadata: { where: 'door' }
})
const SIGNED: SignedHead = (() => {
  const head = {
    mesh: 'open',
    origin: ORIGIN,
    incarnation: 3,
    sequence: 9,
    left: false,
    leaseMs: 30_000,
    documentHash: new Uint8Array(32),
    note: ''
  }
  return { head, bytes: encodeHead(head), signature: new Uint8Array(64) }
})()
const RECORD = { signed: SIGNED, info: INFO, capabilities: [CAPABILITY], ageMs: 12 }
const HELLO = { version: 1, maxFrameBytes: 4_194_304, windowBytes: 65_536, maxExchanges: 512 }
const FRAMES: Frame[] = [
  { type: 'hello', hello: HELLO },
  { type: 'accept', hello: HELLO },
  { type: 'open', id: 1, body: { c: 'camera', t: 'snap', i: { width: 640 } }, more: true },
  { type: 'item', id: 1, body: [1, new Uint8Array(100)] },
  { type: 'end', id: 1, body: { ok: true } },
  { type: 'error', id: 1, code: 'busy', message: 'no slot', details: { queue: 8 } },
  { type: 'cancel', id: 1, reason: 'enough' },
  { type: 'credit', id: 1, bytes: 65_536 },
  { type: 'ping', nonce: 7 },
  { type: 'pong', nonce: 7 },
  { type: 'goaway', reason: 'stopping' }
]
const CERTIFICATE: SignedCertificate = (() => {
  const certificate = {
    mesh: ORIGIN,
    node: ORIGIN,
    role: 'admin' as const,
    forward: true,
    notBefore: 1_800_000_000,
    notAfter: 1_800_086_400,
    issuer: ORIGIN,
    serial: new Uint8Array(16),
    name: 'kitchen'
  }
  return { certificate, bytes: encodeCertificate(certificate), signature: new Uint8Array(64) }
})()
const [NONCE, PROOF] = [new Uint8Array(16), new Uint8Array(32)]
const SYNC_ITEMS: SyncItem[] = [
  {
    kind: 'rows',
    rows: [{ origin: ORIGIN, incarnation: 3, sequence: 9, standing: 'connected', tie: new Uint8Array(8) }],
    last: true
  },
  { kind: 'want', origins: [ORIGIN] },
  { kind: 'record', record: RECORD }
]
const unprefixed = (frame: Frame): Uint8Array => {
  const bytes = encodeFrame(frame)
  return bytes.subarray(readPrefix(bytes, 0)?.start)
}
/** A decoder of a body that stands in a frame: it sees what CBOR made of the bytes. */
const body =
  (decode: (value: unknown) => unknown) =>
  (bytes: Uint8Array): unknown =>
    decode(decodeCbor(bytes))

/** Every decoder that a peer's bytes can reach. To add one: one line. */
export const DECODERS: Decoder[] = [
  { name: 'cbor', decode: decodeCbor, valid: [encodeCbor({ a: [1, 'x', new Uint8Array(3), null, true, 1.5] })] },
  { name: 'framing/prefix', decode: (bytes) => readPrefix(bytes, 0), valid: FRAMES.map(encodeFrame) },
  { name: 'framing/frame', decode: decodeFrame, valid: FRAMES.map(unprefixed) },
  {
    name: 'call/request',
    decode: body(decodeRequest),
    valid: [
      encodeCbor(
        encodeRequest({
          capability: 'a',
          tool: 'b',
          input: { x: [1] },
          remainingMs: 9,
          idempotencyKey: 'k',
          traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
        })
      )
    ]
  },
  {
    name: 'call/item',
    decode: body(decodeItem),
    valid: [
      encodeItem({ kind: 'json', value: { a: 1 } }),
      encodeItem({ kind: 'bytes', bytes: new Uint8Array(9) }),
      encodeItem({ kind: 'progress', progress: { done: 1, total: 2, message: 'm' } })
    ].map(encodeCbor)
  },
  { name: 'announce/head', decode: decodeHead, valid: [SIGNED.bytes] },
  { name: 'announce/info', decode: decodeInfo, valid: [INFO] },
  {
    name: 'announce/announcement',
    decode: decodeAnnouncement,
    valid: [encodeAnnouncement({ kind: 'updated', signed: SIGNED, info: INFO, put: [CAPABILITY], drop: ['gone'] })]
  },
  { name: 'announce/record', decode: body(decodeRecord), valid: [encodeCbor(encodeRecord(RECORD))] },
  { name: 'member/certificate', decode: decodeCertificate, valid: [CERTIFICATE.bytes] },
  { name: 'member/hello', decode: body(decodeMemberHello), valid: [encodeCbor(encodeMemberHello({ nonce: NONCE }))] },
  {
    name: 'member/answer',
    decode: body(decodeMemberAnswer),
    valid: [encodeCbor(encodeMemberAnswer({ nonce: NONCE, proof: PROOF }))]
  },
  {
    name: 'member/proof',
    decode: body(decodeMemberProof),
    valid: [encodeCbor(encodeMemberProof({ proof: PROOF, chain: [CERTIFICATE] }))]
  },
  { name: 'member/end', decode: body(decodeMemberEnd), valid: [encodeCbor(encodeMemberEnd({ chain: [CERTIFICATE] }))] },
  { name: 'capability', decode: decodeCapability, valid: [CAPABILITY] },
  {
    name: 'sync/request',
    decode: body(decodeSyncRequest),
    valid: [
      encodeCbor(encodeSyncRequest({ op: 'digest', digest: new Uint8Array(16), count: 4 })),
      encodeCbor(encodeSyncRequest({ op: 'pull', origins: [ORIGIN] }))
    ]
  },
  { name: 'sync/item', decode: body(decodeSyncItem), valid: SYNC_ITEMS.map((item) => encodeCbor(encodeSyncItem(item))) },
  { name: 'sync/end', decode: body(decodeSyncEnd), valid: [encodeCbor('equal')] }
]
