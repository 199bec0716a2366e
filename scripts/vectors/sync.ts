import { encodeCbor } from '../../protocols/cbor.ts'
import {
  DIGEST_BYTES,
  MAX_DOUBTED,
  MAX_ROWS,
  MAX_WANTED,
  TIE_BYTES,
  encodeSyncItem,
  encodeSyncRequest,
  type Row
} from '../../protocols/sync/messages.ts'
import { LEFT_RECORD, ORIGIN, RECORD } from './announce.ts'
import { cbor, cborFaults, invalidValue, hex, join, type Vectors } from './form.ts'

const TIE = Uint8Array.from({ length: TIE_BYTES }, (_, n) => n)
const ROW: Row = { origin: ORIGIN, incarnation: 3, sequence: 9, standing: 'connected', tie: TIE }
const rows = (list: Row[], last: boolean): Uint8Array => encodeCbor(encodeSyncItem({ kind: 'rows', rows: list, last }))

/** Vectors of the sync protocol: bodies of open, item and end frames. */
export function syncVectors(): Vectors {
  const [request, item, end] = [invalidValue('request'), invalidValue('item'), invalidValue('end')]
  const row = (at: number, value: unknown): unknown => ({
    r: [[ORIGIN, 3, 9, 1, TIE].map((old, n) => (n === at ? value : old))],
    l: true
  })
  const digest = new Uint8Array(DIGEST_BYTES)
  return {
    valid: [
      { name: 'digest', message: 'request', bytes: encodeCbor(encodeSyncRequest({ op: 'digest', digest, count: 4 })) },
      {
        name: 'digest, and one of notices',
        message: 'request',
        bytes: encodeCbor(encodeSyncRequest({ op: 'digest', digest, count: 4, notices: digest }))
      },
      { name: 'pull', message: 'request', bytes: encodeCbor(encodeSyncRequest({ op: 'pull', origins: [ORIGIN] })) },
      { name: 'pull of nothing', message: 'request', bytes: encodeCbor(encodeSyncRequest({ op: 'pull', origins: [] })) },
      { name: 'doubt', message: 'request', bytes: encodeCbor(encodeSyncRequest({ op: 'doubt', origins: [ORIGIN] })) },
      { name: 'rows', message: 'item', bytes: rows([ROW, { ...ROW, standing: 'known' }, { ...ROW, standing: 'gone' }], true) },
      { name: 'no rows', message: 'item', bytes: rows([], true) },
      { name: 'rows, more to come', message: 'item', bytes: rows([ROW], false) },
      { name: 'want', message: 'item', bytes: encodeCbor(encodeSyncItem({ kind: 'want', origins: [ORIGIN] })) },
      { name: 'record', message: 'item', bytes: encodeCbor({ d: RECORD }) },
      { name: 'record of an origin that left', message: 'item', bytes: encodeCbor({ d: LEFT_RECORD }) },
      { name: 'equal', message: 'end', bytes: encodeCbor('equal') },
      { name: 'done', message: 'end', bytes: encodeCbor('done') },
      { name: 'busy', message: 'end', bytes: encodeCbor('busy') }
    ],
    invalid: [
      ...cborFaults('request', cbor({ op: 'digest', d: digest, n: 0 }), (inner) =>
        join(hex('a3 626f70 66646967657374 6164 50'), digest, hex('616e'), inner)
      ),
      ...cborFaults('item', cbor({ w: [ORIGIN] }), (inner) => join(hex('a1 6177 81'), inner)),
      request('unknown operation', 'digest, pull or doubt', { op: 'push' }),
      request('no operation', 'digest, pull or doubt', { d: digest, n: 0 }),
      request('digest of 15 bytes', 'wrong hash size', { op: 'digest', d: new Uint8Array(15), n: 0 }),
      request('digest of 32 bytes', 'wrong hash size', { op: 'digest', d: new Uint8Array(32), n: 0 }),
      request('digest as text', 'bytes', { op: 'digest', d: 'x'.repeat(16), n: 0 }),
      request('negative count', '0 to 2^32-1', { op: 'digest', d: digest, n: -1 }),
      request('count of 33 bits', '0 to 2^32-1', { op: 'digest', d: digest, n: 2 ** 32 }),
      request('digest of notices of 15 bytes', 'wrong hash size', { op: 'digest', d: digest, n: 0, x: new Uint8Array(15) }),
      request('pull without origins', 'o is needed', { op: 'pull' }),
      request('pull of texts', 'origins are bytes', { op: 'pull', o: ['12D3KooW'] }),
      request('pull of too many', `at most ${MAX_WANTED}`, {
        op: 'pull',
        o: Array.from({ length: MAX_WANTED + 1 }, () => new Uint8Array(2))
      }),
      request('doubt without origins', 'o is needed', { op: 'doubt' }),
      request('doubt of texts', 'origins are bytes', { op: 'doubt', o: ['12D3KooW'] }),
      request('doubt of too many', `at most ${MAX_DOUBTED}`, {
        op: 'doubt',
        o: Array.from({ length: MAX_DOUBTED + 1 }, () => new Uint8Array(2))
      }),
      item('nothing known in it', 'r, w or d', {}),
      item('too many rows', `at most ${MAX_ROWS} an item`, {
        r: Array.from({ length: MAX_ROWS + 1 }, () => [hex('0102'), 0, 0, 0, TIE]),
        l: true
      }),
      item('rows as a map', 'a list', { r: {}, l: true }),
      item('row with origin as text', 'bytes', row(0, 'x')),
      item('row with a long origin', 'at most 64 bytes', row(0, new Uint8Array(65))),
      item('row with negative incarnation', '0 to 2^53-1', row(1, -1)),
      item('row with sequence as text', 'an integer', row(2, '9')),
      item('row of unknown standing', '0, 1 or 2', row(3, 3)),
      item('row with a tie of 7 bytes', 'wrong hash size', row(4, new Uint8Array(7))),
      item('row without a tie', 'five fields at least', { r: [[ORIGIN, 3, 9, 1]], l: true }),
      item('want of texts', 'bytes', { w: ['x'] }),
      item('want of too many', `at most ${MAX_WANTED}`, { w: Array.from({ length: MAX_WANTED + 1 }, () => new Uint8Array(2)) }),
      item('record as bytes', 'a map', { d: new Uint8Array(4) }),
      item('record without a head', 'h is needed', { d: { ...RECORD, h: undefined } }),
      end('unknown end', 'equal, done or busy', 'maybe'),
      end('end as a number', 'text', 1),
      end('no end', 'text', null)
    ]
  }
}
