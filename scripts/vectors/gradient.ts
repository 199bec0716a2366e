import { encodeCbor } from '../../protocols/cbor.ts'
import {
  MAX_REQUEST_TTL,
  MAX_ROUTE_HOPS,
  MAX_ROUTE_METRIC,
  MAX_ROUTE_NAMES,
  MAX_ROUTE_ROWS,
  MAX_ROUTE_WANTS,
  NO_ROUTE,
  encodeGradientItem,
  encodeGradientOpen,
  type GradientItem
} from '../../protocols/gradient/messages.ts'
import { ORIGIN } from './announce.ts'
import { cbor, cborFaults, hex, invalidValue, join, type ValidVector, type Vectors } from './form.ts'

const SIGNATURE = Uint8Array.from({ length: 64 }, (_, n) => n)

const valid = (name: string, item: GradientItem): ValidVector => ({
  name,
  message: 'item',
  bytes: encodeCbor(encodeGradientItem(item))
})

/** Vectors of the gradient protocol: bodies of open and item frames. */
export function gradientVectors(): Vectors {
  const [open, item] = [invalidValue('open'), invalidValue('item')]
  const row = (at: number, value: unknown): unknown => ({ r: [[0, 3, 9, 55, 2].map((old, n) => (n === at ? value : old))] })
  const request = (at: number, value: unknown): unknown => ({ q: [0, 3, 9, 64].map((old, n) => (n === at ? value : old)) })
  const route = { incarnation: 3, sequence: 9, metric: 55, hops: 2 }
  const ask = { incarnation: 3, sequence: 10, ttl: 64 }
  const many = (length: number): number[] => new Array<number>(length).fill(0)
  return {
    valid: [
      { name: 'open', message: 'open', bytes: encodeCbor(encodeGradientOpen()) },
      valid('a row of an origin that is named for the first time', {
        kind: 'rows',
        rows: [{ origin: ORIGIN, ...route, signature: SIGNATURE }],
        full: false
      }),
      valid('rows: by number, of the sender itself, and a retraction', {
        kind: 'rows',
        rows: [
          { origin: 1, ...route },
          { origin: 0, incarnation: 1, sequence: 0, metric: 0, hops: 0 },
          { origin: 2, incarnation: 0, sequence: 0, metric: NO_ROUTE, hops: 0 }
        ],
        full: false
      }),
      valid('all rows', { kind: 'rows', rows: [{ origin: 7, ...route, signature: SIGNATURE }], full: true }),
      valid('no rows', { kind: 'rows', rows: [], full: true }),
      valid('wants some', { kind: 'wants', add: [ORIGIN, 1], drop: [2] }),
      valid('wants all', { kind: 'wants', all: true, add: [], drop: [] }),
      valid('wants no longer all', { kind: 'wants', all: false, add: [3], drop: [] }),
      valid('request', { kind: 'request', origin: 4, ...ask }),
      valid('request with a proof', { kind: 'request', origin: ORIGIN, ...ask, signature: SIGNATURE }),
      valid('digest', { kind: 'digest', digest: 0xdeadbeef, count: 12 }),
      valid('dump', { kind: 'dump' })
    ],
    invalid: [
      ...cborFaults('open', cbor({ o: 'tell' }), (inner) => join(hex('a1 616f'), inner)),
      ...cborFaults('item', cbor({ d: [1, 2] }), (inner) => join(hex('a1 6164 82 01'), inner)),
      open('unknown operation', 'tell', { o: 'ask' }),
      open('no operation', 'tell', {}),
      item('nothing known in it', 'r, w, q, d or u', {}),
      item('rows as a map', 'a list', { r: {} }),
      item('too many rows', `at most ${MAX_ROUTE_ROWS}`, { r: many(MAX_ROUTE_ROWS + 1).map((n) => [n]) }),
      item('an empty row', 'an origin at least', { r: [[]] }),
      item('a row without hops', 'one field or five', { r: [[0, 3, 9, 55]] }),
      item('origin as text', 'bytes or a number', row(0, '12D3KooW')),
      item('long origin', 'at most 64 bytes', row(0, new Uint8Array(65))),
      item('origin of one byte', 'at least 2 bytes', row(0, new Uint8Array(1))),
      item('number of an origin that is too large', `below ${MAX_ROUTE_NAMES}`, row(0, MAX_ROUTE_NAMES)),
      item('negative incarnation', '0 to 2^32-1', row(1, -1)),
      item('sequence of 33 bits', '0 to 2^32-1', row(2, 2 ** 32)),
      item('metric over 60 s', `at most ${MAX_ROUTE_METRIC}`, row(3, MAX_ROUTE_METRIC + 1)),
      item('metric of a retraction in full', 'a retraction has one field', row(3, NO_ROUTE)),
      item('metric that is no integer', 'an integer', row(3, 1.5)),
      item('too many hops', `at most ${MAX_ROUTE_HOPS}`, row(4, MAX_ROUTE_HOPS + 1)),
      item('signature of 63 bytes', '64 bytes', { r: [[0, 3, 9, 55, 2, new Uint8Array(63)]] }),
      item('wants as one list', 'two lists', { w: [1] }),
      item('too many wants', `at most ${MAX_ROUTE_WANTS}`, { w: [many(MAX_ROUTE_WANTS + 1), []] }),
      item('too many that are wanted no more', `at most ${MAX_ROUTE_WANTS}`, { w: [[], many(MAX_ROUTE_WANTS + 1)] }),
      item('all as a number', 'a boolean', { w: [[], []], a: 1 }),
      item('request with origin as text', 'bytes or a number', request(0, 'x')),
      item('request of a negative number', '0 to 2^32-1', request(2, -1)),
      item('request that may go too far', `at most ${MAX_REQUEST_TTL}`, request(3, MAX_REQUEST_TTL + 1)),
      item('request without ttl', 'four fields at least', { q: [0, 3, 9] }),
      item('request with a short proof', '64 bytes', { q: [0, 3, 9, 64, new Uint8Array(32)] }),
      item('digest of 33 bits', '0 to 2^32-1', { d: [2 ** 32, 1] }),
      item('digest without a count', 'two fields', { d: [1] }),
      item('dump that is false', 'true', { u: false })
    ]
  }
}
