import {
  MAX_BYTES_PER_ITEM,
  MAX_INPUT_BYTES,
  MAX_REMAINING_MS,
  encodeItem,
  encodeLoad,
  encodeLoadItem,
  encodeProbe,
  encodeRequest,
  type CallRequest,
  type Item,
  type Load,
  type Probe
} from '../../protocols/call/messages.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { cbor, cborFaults, hex, invalidValue, join, type Vectors } from './form.ts'

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const ID = Uint8Array.of(0, 36, 8, 1, 18, 32, ...new Uint8Array(32).fill(9))
const REQUESTS: [string, CallRequest][] = [
  ['request', { capability: 'camera', tool: 'snap', input: { width: 640 } }],
  [
    'request with all fields',
    { capability: 'a', tool: 'b', input: { x: [1, 'two', null] }, remainingMs: 30_000, idempotencyKey: 'k-1', traceparent: TRACE }
  ],
  ['request on behalf of others', { capability: 'a', tool: 'b', input: {}, causes: [ID, ID] }],
  ['request that asks for the load', { capability: 'a', tool: 'b', input: {}, tellLoad: true }],
  ['request that may go elsewhere', { capability: 'a', tool: 'b', input: {}, elsewhere: true }],
  ['request with both questions', { capability: 'a', tool: 'b', input: {}, tellLoad: true, elsewhere: true }],
  ['request without input', { capability: 'a', tool: 'b', input: null }],
  ['request with no time left', { capability: 'a', tool: 'b', input: {}, remainingMs: 0 }],
  ['request with a day', { capability: 'a', tool: 'b', input: {}, remainingMs: MAX_REMAINING_MS }],
  ['request whose input follows', { capability: 'a', tool: 'b', input: null, inputBytes: MAX_INPUT_BYTES }],
  ['request with a list', { capability: 'a', tool: 'b', input: [1, [2, [3]]] }],
  ['request with a key __proto__', { capability: 'a', tool: 'b', input: JSON.parse('{"__proto__":1,"constructor":2}') as never }]
]
const ITEMS: [string, Exclude<Item, { kind: 'result' }>][] = [
  ['json item', { kind: 'json', value: { token: 'hello' } }],
  ['json item null', { kind: 'json', value: null }],
  ['bytes item', { kind: 'bytes', bytes: Uint8Array.of(1, 2, 3) }],
  ['empty bytes item', { kind: 'bytes', bytes: new Uint8Array(0) }],
  ['largest bytes item', { kind: 'bytes', bytes: new Uint8Array(MAX_BYTES_PER_ITEM) }],
  ['progress', { kind: 'progress', progress: { done: 1 } }],
  ['progress with all fields', { kind: 'progress', progress: { done: 0.5, total: 2, message: 'half of it' } }]
]
const PROBES: [string, Probe][] = [
  ['probe', { capability: 'camera', tool: 'snap' }],
  ['probe on behalf of another', { capability: 'a', tool: 'b', causes: [ID] }]
]
const LOADS: [string, Load][] = [
  ['load', { running: 3, slots: 2, serviceMs: 41.5, ageMs: 0 }],
  ['load before the first call', { running: 0, slots: 64 }],
  ['load of no slots', { running: 0, slots: 0, serviceMs: 0, ageMs: 1 }]
]
const nested = (depth: number): unknown => Array.from({ length: depth }).reduce((inner) => [inner], 1 as unknown)

/** Vectors of the call protocol: bodies of open, item and end frames. */
export function callVectors(): Vectors {
  const [request, item, probe] = [invalidValue('request'), invalidValue('item'), invalidValue('probe')]
  const [load, loadItem] = [invalidValue('load'), invalidValue('loadItem')]
  const told = { r: 1, s: 2, e: 3.5, a: 4 }
  const ok = { c: 'a', t: 'b', i: {} }
  return {
    valid: [
      ...REQUESTS.map(([name, value]) => ({ name, message: 'request', bytes: encodeCbor(encodeRequest(value)) })),
      ...ITEMS.map(([name, value]) => ({ name, message: 'item', bytes: encodeCbor(encodeItem(value)) })),
      ...PROBES.map(([name, value]) => ({ name, message: 'probe', bytes: encodeCbor(encodeProbe(value)) })),
      ...LOADS.map(([name, value]) => ({ name, message: 'load', bytes: encodeCbor(encodeLoad(value)) })),
      ...LOADS.slice(0, 1).map(([, value]) => ({
        name: 'load item',
        message: 'loadItem',
        bytes: encodeCbor(encodeLoadItem(value))
      }))
    ],
    invalid: [
      ...cborFaults('request', cbor(ok), (inner) => join(hex('a3 6163 6161 6174 6162 6169'), inner)),
      ...cborFaults('item', cbor([0, 1]), (inner) => join(hex('82 00'), inner)),
      request('no capability', 'c is needed', { t: 'b', i: {} }),
      request('capability as a number', 'c is text', { ...ok, c: 1 }),
      request('long capability', 'c has at most 128 characters', { ...ok, c: 'x'.repeat(129) }),
      request('no tool', 't is needed', { c: 'a', i: {} }),
      request('long tool', 't has at most 128 characters', { ...ok, t: 'x'.repeat(129) }),
      request('bytes inside JSON', 'JSON holds no bytes', { ...ok, i: { a: [new Uint8Array(1)] } }),
      request('input of bytes', 'JSON holds no bytes', { ...ok, i: new Uint8Array(4) }),
      request('input too deep', `JSON has at most ${MAX_JSON_DEPTH} levels`, { ...ok, i: nested(MAX_JSON_DEPTH + 1) }),
      request('no causes in their list', 'v is not empty', { ...ok, v: [] }),
      request('nine causes', 'v has at most 8', { ...ok, v: Array.from({ length: 9 }, () => ID) }),
      request('a cause as text', 'v holds bytes', { ...ok, v: ['12D3'] }),
      request('a long cause', 'an id has at most 64 bytes', { ...ok, v: [new Uint8Array(65)] }),
      request('negative time', 'ms is 0 to a day', { ...ok, ms: -1 }),
      request('time over a day', 'ms is 0 to a day', { ...ok, ms: MAX_REMAINING_MS + 1 }),
      request('fraction of a ms', 'ms is an integer', { ...ok, ms: 1.5 }),
      request('time as text', 'ms is an integer', { ...ok, ms: '5s' }),
      request('long key', 'k has at most 128 characters', { ...ok, k: 'x'.repeat(129) }),
      request('key as a number', 'k is text', { ...ok, k: 7 }),
      request('bad traceparent', 'hexadecimal digits in four groups', { ...ok, tp: 'x'.repeat(55) }),
      request('traceparent in capitals', 'W3C Trace Context wants lower case', { ...ok, tp: TRACE.toUpperCase() }),
      request('short traceparent', 'hexadecimal digits in four groups', { ...ok, tp: TRACE.slice(0, -1) }),
      request('long traceparent', 'at most 55 characters', { ...ok, tp: `${TRACE}-00` }),
      request('an input over 32 MiB', 'l is 0 to 32 MiB', { ...ok, l: MAX_INPUT_BYTES + 1 }),
      request('question as a flag', 'q is an integer', { ...ok, q: true }),
      request('question over a byte', 'q is 0 to 255', { ...ok, q: 256 }),
      request('negative question', 'q is 0 to 255', { ...ok, q: -1 }),
      request('list as request', 'a request is a map', ['a', 'b', {}]),
      item('unknown kind', 'kinds are 0, 1 and 2', [3, null]),
      item('kind as text', 'kinds are 0, 1 and 2', ['json', null]),
      item('three fields', 'an item has two fields', [0, 1, 2]),
      item('bytes in a json item', 'JSON holds no bytes', [0, { a: new Uint8Array(1) }]),
      item('json too deep', `JSON has at most ${MAX_JSON_DEPTH} levels`, [0, nested(MAX_JSON_DEPTH + 1)]),
      item('text as bytes', 'the second kind is bytes', [1, 'abc']),
      item('oversize bytes', `at most ${MAX_BYTES_PER_ITEM} bytes an item`, [1, new Uint8Array(MAX_BYTES_PER_ITEM + 1)]),
      item('progress without done', 'd is needed', [2, { t: 2 }]),
      item('progress as a number', 'progress is a map', [2, 0.5]),
      item('progress with text as done', 'd is a number', [2, { d: '1' }]),
      item('progress with a long message', 'a message has at most 1,024 characters', [2, { d: 1, m: 'x'.repeat(1_025) }]),
      item('load where none was asked for', 'kinds are 0, 1 and 2', [3, told]),
      ...cborFaults('probe', cbor({ p: ['a', 'b'] }), (inner) => join(hex('a2 6170 82 6161 6162 6178'), inner)),
      probe('probe as text', 'p is a list', { p: 'camera' }),
      probe('probe of three', 'p has two elements', { p: ['a', 'b', 'c'] }),
      probe('probe without a tool', 'p names a tool', { p: ['a'] }),
      probe('probe of a number', 'p holds text', { p: [1, 'b'] }),
      probe('probe of a long capability', 'at most 128 characters', { p: ['x'.repeat(129), 'b'] }),
      probe('probe of a long tool', 'at most 128 characters', { p: ['a', 'x'.repeat(129)] }),
      probe('probe with no causes in their list', 'v is not empty', { p: ['a', 'b'], v: [] }),
      ...cborFaults('load', cbor(told), (inner) => join(hex('a3 6172 01 6173 01 6178'), inner)),
      load('load as a list', 'a load is a map', [1, 2]),
      load('no running calls', 'r is needed', { s: 1 }),
      load('no slots', 's is needed', { r: 1 }),
      load('negative running calls', 'r is an integer of 0 and more', { ...told, r: -1 }),
      load('half a slot', 's is an integer', { ...told, s: 0.5 }),
      load('negative service time', 'e is 0 and more', { ...told, e: -1 }),
      load('service time as text', 'e is a number', { ...told, e: '5ms' }),
      load('negative age', 'a is an integer of 0 and more', { ...told, a: -1 }),
      load('age of a fraction', 'a is an integer', { ...told, a: 0.5 }),
      ...cborFaults('loadItem', cbor([3, told])),
      loadItem('load item without a load', 'the second element is a map', [3]),
      loadItem('load item of text', 'the second element is a map', [3, 'busy']),
      loadItem('load item of three', 'an item has two fields', [3, told, 1]),
      loadItem('load item with negative slots', 's is an integer of 0 and more', [3, { ...told, s: -1 }])
    ]
  }
}
