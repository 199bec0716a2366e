import { encodeCbor } from '../../protocols/cbor.ts'
import {
  CIRCUIT_ID_BYTES,
  MAX_FORWARD_BYTES,
  MAX_FORWARD_PATH,
  MAX_FORWARD_TTL,
  MAX_FORWARD_WAIT_MS,
  encodeForwardReply,
  encodeForwardRequest,
  type ForwardReply,
  type ForwardRequest
} from '../../protocols/forward/messages.ts'
import { MAX_ROUTE_METRIC } from '../../protocols/gradient/messages.ts'
import { ORIGIN } from './announce.ts'
import { cbor, cborFaults, hex, invalidValue, join, type ValidVector, type Vectors } from './form.ts'

const CIRCUIT = Uint8Array.from({ length: CIRCUIT_ID_BYTES }, (_, n) => n)
/** Another PeerId, as short as one may be. */
const OTHER = Uint8Array.of(0, 0)

const REQUEST: ForwardRequest = {
  destination: ORIGIN,
  source: OTHER,
  circuit: CIRCUIT,
  ttl: 7,
  potential: { incarnation: 3, sequence: 9, metric: 55 },
  trace: false
}

const open = (name: string, change: Partial<ForwardRequest> = {}): ValidVector => ({
  name,
  message: 'open',
  bytes: encodeCbor(encodeForwardRequest({ ...REQUEST, ...change }))
})

const reply = (name: string, message: ForwardReply): ValidVector => ({
  name,
  message: 'reply',
  bytes: encodeCbor(encodeForwardReply(message))
})

/** Vectors of the forward protocol: bodies of open and item frames. */
export function forwardVectors(): Vectors {
  const [badOpen, badItem, badReply] = [invalidValue('open'), invalidValue('item'), invalidValue('reply')]
  const fields = { d: ORIGIN, s: OTHER, c: CIRCUIT, l: 7, p: [3, 9, 55] }
  const without = (key: keyof typeof fields): unknown =>
    Object.fromEntries(Object.entries(fields).filter(([name]) => name !== key))
  const potential = (at: number, value: unknown): unknown => ({
    ...fields,
    p: [3, 9, 55].map((old, n) => (n === at ? value : old))
  })
  const nodes = (length: number): Uint8Array[] => new Array<Uint8Array>(length).fill(OTHER)
  return {
    valid: [
      open('circuit'),
      open('trace', { trace: true }),
      open('of one that has told of no way', { potential: { incarnation: 0, sequence: 0, metric: MAX_ROUTE_METRIC } }),
      open('at its last hop', { ttl: 0 }),
      open('with a time to wait', { waitMs: 1_500 }),
      open('with the longest time to wait', { waitMs: MAX_FORWARD_WAIT_MS }),
      open('at all limits', {
        destination: new Uint8Array(64).fill(1),
        source: new Uint8Array(64).fill(2),
        ttl: MAX_FORWARD_TTL,
        potential: { incarnation: 2 ** 32 - 1, sequence: 2 ** 32 - 1, metric: 0 }
      }),
      { name: 'bytes', message: 'item', bytes: encodeCbor(Uint8Array.of(1, 2, 3)) },
      { name: 'one byte', message: 'item', bytes: encodeCbor(Uint8Array.of(0)) },
      { name: 'as many bytes as there may be', message: 'item', bytes: encodeCbor(new Uint8Array(MAX_FORWARD_BYTES).fill(7)) },
      reply('path of a neighbour', { kind: 'path', nodes: [ORIGIN] }),
      reply('path', { kind: 'path', nodes: [OTHER, ORIGIN] }),
      reply('path as long as it may be', { kind: 'path', nodes: nodes(MAX_FORWARD_PATH) }),
      reply('hop', { kind: 'hop', node: ORIGIN }),
      reply('bytes', { kind: 'bytes', bytes: Uint8Array.of(1, 2, 3) }),
      reply('as many bytes as there may be', { kind: 'bytes', bytes: new Uint8Array(MAX_FORWARD_BYTES).fill(7) })
    ],
    invalid: [
      ...cborFaults('open', cbor(fields), (inner) => join(hex('a1 6164'), inner)),
      ...cborFaults('item', cbor(Uint8Array.of(1, 2))),
      ...cborFaults('reply', cbor({ h: ORIGIN }), (inner) => join(hex('a1 6168'), inner)),
      badOpen('a time to wait past its limit', '10,000 ms at most', { ...fields, w: MAX_FORWARD_WAIT_MS + 1 }),
      badOpen('a time to wait below none', 'an integer from 0', { ...fields, w: -1 }),
      badOpen('a time to wait in words', 'an integer', { ...fields, w: 'long' }),
      badOpen('nothing in it', 'all fields but t are needed', {}),
      badOpen('a list', 'a map', [ORIGIN, OTHER, CIRCUIT, 7, [3, 9, 55]]),
      badOpen('no destination', 'bytes', without('d')),
      badOpen('no source', 'bytes', without('s')),
      badOpen('no circuit', 'bytes', without('c')),
      badOpen('no ttl', 'an integer', without('l')),
      badOpen('no potential', 'a list', without('p')),
      badOpen('destination as text', 'bytes', { ...fields, d: '12D3KooW' }),
      badOpen('destination of one byte', 'at least 2 bytes', { ...fields, d: new Uint8Array(1) }),
      badOpen('long destination', 'at most 64 bytes', { ...fields, d: new Uint8Array(65) }),
      badOpen('source of one byte', 'at least 2 bytes', { ...fields, s: new Uint8Array(1) }),
      badOpen('long source', 'at most 64 bytes', { ...fields, s: new Uint8Array(65) }),
      badOpen('short circuit', `${CIRCUIT_ID_BYTES} bytes`, { ...fields, c: CIRCUIT.subarray(1) }),
      badOpen('long circuit', `${CIRCUIT_ID_BYTES} bytes`, { ...fields, c: new Uint8Array(CIRCUIT_ID_BYTES + 1) }),
      badOpen('ttl that is too large', `at most ${MAX_FORWARD_TTL}`, { ...fields, l: MAX_FORWARD_TTL + 1 }),
      badOpen('negative ttl', '0 at least', { ...fields, l: -1 }),
      badOpen('ttl that is no integer', 'an integer', { ...fields, l: 1.5 }),
      badOpen('potential of two fields', 'three fields at least', { ...fields, p: [3, 9] }),
      badOpen('potential of nine fields', 'at most 8', { ...fields, p: new Array<number>(9).fill(0) }),
      badOpen('negative incarnation', '0 to 2^32-1', potential(0, -1)),
      badOpen('sequence of 33 bits', '0 to 2^32-1', potential(1, 2 ** 32)),
      badOpen('metric over 60 s', `at most ${MAX_ROUTE_METRIC}`, potential(2, MAX_ROUTE_METRIC + 1)),
      badOpen('trace that is false', 'true, or left out', { ...fields, t: false }),
      badOpen('trace as a number', 'true', { ...fields, t: 1 }),
      badItem('no bytes in it', 'at least 1 byte', new Uint8Array(0)),
      badItem('too many bytes', `at most ${MAX_FORWARD_BYTES}`, new Uint8Array(MAX_FORWARD_BYTES + 1)),
      badItem('a path', 'bytes', { p: [ORIGIN] }),
      badItem('null', 'bytes', null),
      badReply('nothing known in it', 'p, h or bytes', {}),
      badReply('no bytes in it', 'at least 1 byte', new Uint8Array(0)),
      badReply('too many bytes', `at most ${MAX_FORWARD_BYTES}`, new Uint8Array(MAX_FORWARD_BYTES + 1)),
      badReply('a path with nobody on it', 'one node at least', { p: [] }),
      badReply('a path that is too long', `at most ${MAX_FORWARD_PATH}`, { p: nodes(MAX_FORWARD_PATH + 1) }),
      badReply('a path of texts', 'bytes', { p: ['12D3KooW'] }),
      badReply('a path with a short id', 'at least 2 bytes', { p: [ORIGIN, new Uint8Array(1)] }),
      badReply('a path as bytes', 'a list', { p: ORIGIN }),
      badReply('a hop as text', 'bytes', { h: '12D3KooW' }),
      badReply('a hop with a long id', 'at most 64 bytes', { h: new Uint8Array(65) }),
      badReply('a list', 'a map or bytes', [ORIGIN])
    ]
  }
}
