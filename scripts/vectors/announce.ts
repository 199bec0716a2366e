import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { sha256 } from '@noble/hashes/sha2.js'
import {
  ANNOUNCEMENT_KINDS,
  MAX_ADDRESSES,
  MAX_ANNOUNCEMENT_BYTES,
  MAX_LEASE_MS,
  encodeAnnouncement,
  encodeHead,
  encodeInfo,
  encodeRecord,
  signedBytes,
  type Head,
  type SignedHead
} from '../../protocols/announce/messages.ts'
import { MAX_PRICE } from '../../protocols/announce/cost.ts'
import { MAX_CAPABILITY_BYTES, encodeCapability } from '../../protocols/capability.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import { cbor, cborFaults, invalidValue, hex, join, type ValidVector, type Vectors } from './form.ts'

const KEY = await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(1))
/** The origin of the vectors: the Ed25519 key with the seed 0101…01. */
export const ORIGIN = peerIdFromPrivateKey(KEY).toMultihash().bytes
const INFO = encodeInfo({ name: 'kitchen', version: '0.1.0', addresses: ['/ip4/192.168.1.7/tcp/4001'] })
const CAPABILITY = encodeCapability({
  id: 'camera',
  type: 'sensor/camera',
  name: 'Door camera',
  description: 'A camera over the door.',
  version: '1.2.0',
  tools: [
    {
      name: 'snap',
      input: { type: 'object', properties: { width: { type: 'integer', default: 640 } } },
      output: true,
      timeoutMs: 5_000,
      idempotent: true,
      cache: { ttlMs: 1_000 },
      concurrency: 2,
      queue: 8
    }
  ],
  triggers: [
    { event: 'motion', intentTemplate: 'motion at {where}', routeHint: 'agent/**', priority: 'high', throttleMs: 1_000 }
  ],
  examples: ['who is at the door'],
  keywords: ['video'],
  metadata: { where: 'door', 'org.example/floor': 0 },
  scope: 'node',
  xFromTomorrow: [1, { kept: true }]
})
const DOCUMENT_HASH = sha256(join(sha256(INFO), sha256(CAPABILITY)))
const HEAD: Head = {
  mesh: 'open',
  origin: ORIGIN,
  incarnation: 3,
  sequence: 9,
  left: false,
  leaseMs: 300_000,
  documentHash: DOCUMENT_HASH,
  note: ''
}

async function signed(change: Partial<Head>): Promise<SignedHead> {
  const head = { ...HEAD, ...change }
  const bytes = encodeHead(head)
  return { head, bytes, signature: await KEY.sign(signedBytes(bytes)) }
}

const SIGNED = await signed({})
const LEFT = await signed({ sequence: 10, left: true, note: 'shutdown' })
const FIELDS = [1, 'open', ORIGIN, 3, 9, false, 300_000, DOCUMENT_HASH, '']

/** The record of the vectors, for the sync protocol. */
export const RECORD = encodeRecord({ signed: SIGNED, info: INFO, capabilities: [CAPABILITY], ageMs: 12.7 })
/** The same for an origin that has left. */
export const LEFT_RECORD = encodeRecord({ signed: LEFT, info: new Uint8Array(0), capabilities: [], ageMs: 0 })

/** Vectors of announcements: heads, node infos, capabilities, records and the messages of the topic. */
export function announceVectors(): Vectors {
  const valid: ValidVector[] = [
    { name: 'head', message: 'head', bytes: SIGNED.bytes },
    { name: 'head of a node that leaves', message: 'head', bytes: LEFT.bytes },
    { name: 'info', message: 'info', bytes: INFO },
    {
      name: 'info with what calls cost',
      message: 'info',
      bytes: encodeInfo({ name: 'pi', version: '0.1.0', addresses: [], cost: { power: 'battery', metered: true, price: 0.5 } })
    },
    {
      name: 'info of a nearly empty battery',
      message: 'info',
      bytes: encodeInfo({ name: 'pi', version: '0.1.0', addresses: [], cost: { power: 'low-battery' } })
    },
    {
      name: 'info of a node that gives vectors',
      message: 'info',
      bytes: encodeInfo({ name: 'attic', version: '0.1.0', addresses: [], embeddings: 'all-MiniLM-L6-v2@6fd5d72fe458' })
    },
    { name: 'capability with a key that is not known', message: 'capability', bytes: CAPABILITY },
    { name: 'smallest capability', message: 'capability', bytes: encodeCapability({ id: 'a', type: 't' }) },
    {
      name: 'capability of a status that is not known',
      message: 'capability',
      bytes: encodeCapability({ id: 'a', type: 't', status: 'dreaming' as never })
    },
    {
      name: 'capability that handles events, and raises one',
      message: 'capability',
      bytes: encodeCapability({
        id: 'guard',
        type: 'agent/security',
        handles: { ordered: true },
        triggers: [{ event: 'alert', subject: 'door.name', fanOut: 2, debounceMs: 200, expiresMs: 60_000 }]
      })
    },
    {
      name: 'capability with a fan-out that is not known',
      message: 'capability',
      bytes: encodeCapability({ id: 'a', type: 't', handles: {}, triggers: [{ event: 'e', fanOut: 'most' as never }] })
    },
    ...ANNOUNCEMENT_KINDS.map((kind) => ({
      name: kind,
      message: 'announcement',
      bytes: encodeAnnouncement({
        kind,
        signed: kind === 'node-leave' ? LEFT : SIGNED,
        info: kind === 'node-join' ? INFO : undefined,
        put: ['node-join', 'available', 'updated', 'suspended'].includes(kind) ? [CAPABILITY] : [],
        drop: kind === 'removed' ? ['microphone'] : []
      })
    })),
    { name: 'record', message: 'record', bytes: encodeCbor(RECORD) },
    { name: 'record of an origin that left', message: 'record', bytes: encodeCbor(LEFT_RECORD) }
  ]
  const [head, info, capability, announcement, record] = [
    invalidValue('head'),
    invalidValue('info'),
    invalidValue('capability'),
    invalidValue('announcement'),
    invalidValue('record')
  ]
  const field = (at: number, value: unknown): unknown[] => FIELDS.map((old, n) => (n === at ? value : old))
  const facts = { name: 'a', version: '1', addresses: [] }
  const message = { k: 'updated', h: SIGNED.bytes, s: SIGNED.signature }
  const entry = { h: SIGNED.bytes, s: SIGNED.signature, i: INFO, p: [], a: 0 }
  const least = { id: 'a', type: 't' }
  return {
    valid,
    invalid: [
      ...cborFaults('head', SIGNED.bytes, (item) => join(hex('89'), item, cbor(FIELDS).subarray(2))),
      ...cborFaults('announcement', cbor(message)),
      ...cborFaults('info', INFO),
      ...cborFaults('capability', CAPABILITY, (item) => join(hex('a3 626964 6161 6474797065 6174 61 78'), item)),
      ...cborFaults('record', cbor(entry)),
      head('unknown version', 'field 0 is 1', field(0, 2)),
      head('mesh as a number', 'field 1 is text', field(1, 7)),
      head('long mesh', 'at most 128 characters', field(1, 'x'.repeat(129))),
      head('origin as text', 'field 2 is the multihash', field(2, '12D3KooW')),
      head('long origin', 'at most 64 bytes', field(2, new Uint8Array(65))),
      head('empty origin', 'at least 2 bytes', field(2, new Uint8Array(1))),
      head('negative incarnation', 'counters are 0 to 2^53-1', field(3, -1)),
      head('sequence as a fraction', 'counters are integers', field(4, 0.5)),
      head('left as a number', 'field 5 is a boolean', field(5, 0)),
      head('lease over 15 minutes', `at most ${MAX_LEASE_MS}`, field(6, MAX_LEASE_MS + 1)),
      head('hash of 31 bytes', 'SHA-256 has 32 bytes', field(7, new Uint8Array(31))),
      head('hash of 33 bytes', 'SHA-256 has 32 bytes', field(7, new Uint8Array(33))),
      head('long note', 'at most 256 characters', field(8, 'x'.repeat(257))),
      head('a field missing', 'nine fields at least', FIELDS.slice(0, 8)),
      head('too many fields', 'sixteen at most', [...FIELDS, ...Array.from({ length: 8 }, () => 0)]),
      head('oversize', 'at most 1,024 bytes', [...FIELDS, 'x'.repeat(1_024)]),
      info('no name', 'name is needed', { version: '1', addresses: [] }),
      info('long name', 'at most 64 characters', { ...facts, name: 'x'.repeat(65) }),
      info('version as a number', 'version is text', { ...facts, version: 1 }),
      info('too many addresses', `at most ${MAX_ADDRESSES}`, {
        ...facts,
        addresses: Array.from({ length: MAX_ADDRESSES + 1 }, () => '/ip4/1.1.1.1')
      }),
      info('long address', 'at most 512 characters', { ...facts, addresses: ['x'.repeat(513)] }),
      info('addresses as text', 'a list', { ...facts, addresses: '/ip4/1.1.1.1' }),
      info('cost as a number', 'a map', { ...facts, cost: 5 }),
      info('power as a number', 'power is text', { ...facts, cost: { power: 1 } }),
      info('long power', 'at most 32 characters', { ...facts, cost: { power: 'x'.repeat(33) } }),
      info('metered as text', 'metered is a boolean', { ...facts, cost: { metered: 'yes' } }),
      info('price as text', 'price is a number', { ...facts, cost: { price: '5 cents' } }),
      info('negative price', `price is 0 to ${MAX_PRICE}`, { ...facts, cost: { price: -1 } }),
      info('price without end', `price is 0 to ${MAX_PRICE}`, { ...facts, cost: { price: MAX_PRICE + 1 } }),
      capability('no id', 'id is needed', { type: 't' }),
      capability('id in capitals', 'ids are lower case', { ...least, id: 'Camera' }),
      capability('id __proto__', 'ids begin with a letter or digit', { ...least, id: '__proto__' }),
      capability('type with an empty segment', 'types are paths', { ...least, type: 'a//b' }),
      capability('type of nine segments', 'at most eight', { ...least, type: 'a/b/c/d/e/f/g/h/i' }),
      capability('tool without a name', 'a tool has a name', { ...least, tools: [{}] }),
      capability('two tools of one name', 'names are unique', { ...least, tools: [{ name: 'a' }, { name: 'a' }] }),
      capability('too many tools', 'at most 256', { ...least, tools: Array.from({ length: 257 }, () => ({ name: 'a' })) }),
      capability('timeout as text', 'a whole number', { ...least, tools: [{ name: 'a', timeoutMs: '5s' }] }),
      capability('negative timeout', 'a whole number', { ...least, tools: [{ name: 'a', timeoutMs: -1 }] }),
      capability('schema as text', 'an object or a boolean', { ...least, tools: [{ name: 'a', input: 'object' }] }),
      capability('examples with numbers', 'texts', { ...least, examples: [1] }),
      capability('too many keywords', 'at most 64', { ...least, keywords: Array.from({ length: 65 }, () => 'a') }),
      capability('metadata as a list', 'an object', { ...least, metadata: [] }),
      capability('bytes inside', 'a capability is JSON', { ...least, metadata: { a: new Uint8Array(1) } }),
      capability('handles as a flag', 'an object', { ...least, handles: true }),
      capability('handles in an order of text', 'true or false', { ...least, handles: { ordered: 'yes' } }),
      capability('trigger that waits for text', 'a whole number', { ...least, triggers: [{ event: 'e', debounceMs: '1s' }] }),
      capability('trigger that expires before', 'a whole number', { ...least, triggers: [{ event: 'e', expiresMs: -1 }] }),
      capability('trigger with half a handler', 'a whole number', { ...least, triggers: [{ event: 'e', fanOut: 0.5 }] }),
      capability('trigger with a list of handlers', 'text or a number', { ...least, triggers: [{ event: 'e', fanOut: ['a'] }] }),
      capability('trigger with a number as subject', 'text', { ...least, triggers: [{ event: 'e', subject: 1 }] }),
      capability('status as a number', 'text', { ...least, status: 1 }),
      capability('oversize', `at most ${MAX_CAPABILITY_BYTES} bytes`, { ...least, extra: 'x'.repeat(MAX_CAPABILITY_BYTES) }),
      announcement('no head', 'h is needed', { k: 'updated', s: SIGNED.signature }),
      announcement('head as a list', 'h is bytes, as they were signed', { ...message, h: FIELDS }),
      announcement('no signature', 's is needed', { k: 'updated', h: SIGNED.bytes }),
      announcement('empty signature', '1 to 512 bytes', { ...message, s: new Uint8Array(0) }),
      announcement('long signature', '1 to 512 bytes', { ...message, s: new Uint8Array(513) }),
      announcement('capabilities as maps', 'p holds bytes', { ...message, p: [least] }),
      announcement('a capability over its limit', `at most ${MAX_CAPABILITY_BYTES} bytes`, {
        ...message,
        p: [new Uint8Array(MAX_CAPABILITY_BYTES + 1)]
      }),
      announcement('1,025 capabilities', 'at most 1,024', {
        ...message,
        p: Array.from({ length: 1_025 }, () => new Uint8Array(0))
      }),
      announcement('1,025 removals', 'at most 1,024', { ...message, d: Array.from({ length: 1_025 }, () => 'a') }),
      announcement('removal of a number', 'ids are text', { ...message, d: [1] }),
      announcement('oversize', `at most ${MAX_ANNOUNCEMENT_BYTES} bytes`, {
        ...message,
        x: new Uint8Array(MAX_ANNOUNCEMENT_BYTES)
      }),
      record('no info', 'i is needed, empty at least', { h: SIGNED.bytes, s: SIGNED.signature, p: [], a: 0 }),
      record('negative age', '0 to 15 minutes', { ...entry, a: -1 }),
      record('age over 15 minutes', '0 to 15 minutes', { ...entry, a: MAX_LEASE_MS + 1 }),
      record('document over 1 MiB', 'all capabilities together', {
        ...entry,
        p: Array.from({ length: 17 }, () => new Uint8Array(MAX_CAPABILITY_BYTES))
      })
    ]
  }
}
