import {
  MAX_ANSWERS,
  MAX_EVENT_AGE_MS,
  MAX_EVENT_BYTES,
  MAX_EVENT_PATTERNS,
  MAX_FAILURE_MESSAGE,
  MAX_HOP_DEPTH,
  MAX_INTENT,
  MAX_PAYLOAD_PART,
  MAX_REFERENCED_BYTES,
  MAX_ROUTE_HINT,
  MAX_SUBJECT,
  encodeAnswers,
  encodeCopy,
  encodeDelivery,
  encodeEvent,
  encodeTriggerOpen,
  type Answers,
  type Delivery,
  type EventCopy,
  type MeshEvent
} from '../../protocols/trigger/messages.ts'
import { encodeCbor } from '../../protocols/cbor.ts'
import { MAX_PATTERN } from '../../protocols/glob.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { cbor, cborFaults, hex, invalidValue, join, type ValidVector, type Vectors } from './form.ts'

const NODE = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const ID = Uint8Array.of(0, 36, 8, 1, 18, 32, ...new Uint8Array(32).fill(9))
const HASH = 'ab'.repeat(32)
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const TIME = '2026-11-29T08:15:30.250Z'
const EVENT: MeshEvent = {
  id: '3-17',
  source: { mesh: 'open', node: NODE, capability: 'front-door' },
  type: 'sensor.camera.person_detected',
  sequence: { incarnation: 3, number: 9 },
  priority: 'normal',
  hopDepth: 0,
  intent: 'person at the front door',
  data: { location: 'front door', confidence: 0.93 }
}
const SMALL: MeshEvent = { ...EVENT, data: null }
const ANSWERS: Answers = { accepted: [], done: [], failed: [] }

const event = (name: string, change: Partial<MeshEvent> = {}): ValidVector => ({
  name,
  message: 'event',
  bytes: encodeEvent({ ...EVENT, ...change })
})
const delivery = (name: string, change: Partial<Delivery> = {}): ValidVector => ({
  name,
  message: 'delivery',
  bytes: encodeCbor(encodeDelivery({ number: 0, handler: 'guard', event: encodeEvent(SMALL), remainingMs: 3_600_000, ...change }))
})
const answers = (name: string, change: Partial<Answers>): ValidVector => ({
  name,
  message: 'answers',
  bytes: encodeCbor(encodeAnswers({ ...ANSWERS, ...change }))
})
const observe = (name: string, ...patterns: string[]): ValidVector => ({
  name,
  message: 'open',
  bytes: encodeCbor(encodeTriggerOpen({ kind: 'observe', patterns }))
})
const copy = (name: string, change: Partial<EventCopy> = {}): ValidVector => ({
  name,
  message: 'copy',
  bytes: encodeCbor(encodeCopy({ type: 'sensor/camera', event: encodeEvent(SMALL), lost: 0, ...change }))
})
const nested = (depth: number): unknown => Array.from({ length: depth }).reduce((inner) => [inner], 1 as unknown)
const failure = { number: 4, code: 'tool_failed', retryable: true, retryAfterMs: 0, message: '' }

/** Vectors of the trigger protocol: bodies of open and item frames, and events. */
export function triggerVectors(): Vectors {
  return {
    valid: [
      { name: 'deliver', message: 'open', bytes: encodeCbor(encodeTriggerOpen({ kind: 'deliver' })) },
      {
        name: 'fetch',
        message: 'open',
        bytes: encodeCbor(encodeTriggerOpen({ kind: 'fetch', hash: new Uint8Array(32).fill(7) }))
      },
      observe('observe', 'sensor/*'),
      observe('observe some of it', 'sensor/camera:person*', '**', 'doorbell', '?ensor/**:*_added'),
      observe('observe as much as there may be', ...new Array<string>(MAX_EVENT_PATTERNS).fill('*'.repeat(MAX_PATTERN))),
      event('event'),
      event('event without a payload', { data: null }),
      event('event with all attributes', {
        subject: 'front door',
        time: TIME,
        dataSchema: HASH,
        dataContentType: 'application/json',
        priority: 'critical',
        routeHint: 'capability:guard',
        traceparent: TRACE,
        hopDepth: 2,
        coalesced: { count: 42, from: '2026-11-29T09:15:00+01:00' }
      }),
      event('event of low priority', { priority: 'low' }),
      event('event of high priority', { priority: 'high' }),
      event('event that stands for two, nobody knows since when', { coalesced: { count: 2 } }),
      event('event with its payload elsewhere', {
        data: null,
        dataContentType: 'image/jpeg',
        dataRef: { hash: HASH, size: 250_000 }
      }),
      event('payload with a key __proto__', { data: JSON.parse('{"__proto__":1,"constructor":2}') as never }),
      event('payload that is a list', { data: [1, 'two', [null, true]] }),
      event('event at all limits', {
        id: '4294967295-9007199254740991',
        source: { mesh: 'm'.repeat(128), node: 'n'.repeat(128), capability: 'c'.repeat(128) },
        type: `${'t'.repeat(128)}.${'e'.repeat(128)}`,
        subject: 's'.repeat(MAX_SUBJECT),
        sequence: { incarnation: 2 ** 32 - 1, number: Number.MAX_SAFE_INTEGER },
        routeHint: 'r'.repeat(MAX_ROUTE_HINT),
        hopDepth: MAX_HOP_DEPTH - 1,
        intent: 'i'.repeat(MAX_INTENT),
        coalesced: { count: Number.MAX_SAFE_INTEGER },
        dataRef: { hash: HASH, size: MAX_REFERENCED_BYTES },
        data: null
      }),
      delivery('delivery'),
      delivery('later delivery, on behalf of others', { number: 70_000, causes: [ID, ID] }),
      delivery('delivery of bytes that are no event', { event: Uint8Array.of(1) }),
      delivery('delivery with no time left', { remainingMs: 0 }),
      delivery('delivery after one that may be lost', { lost: 17 }),
      delivery('delivery at all limits', {
        number: Number.MAX_SAFE_INTEGER,
        handler: 'h'.repeat(128),
        event: new Uint8Array(MAX_EVENT_BYTES),
        remainingMs: MAX_EVENT_AGE_MS,
        causes: new Array<Uint8Array>(8).fill(new Uint8Array(64).fill(1))
      }),
      answers('one is accepted', { accepted: [0] }),
      answers('one is done', { done: [0] }),
      answers('one has failed', { failed: [failure] }),
      answers('one has failed for good', {
        failed: [{ ...failure, code: 'invalid_argument', retryable: false, message: 'no such place' }]
      }),
      answers('one is to come back later', { failed: [{ ...failure, code: 'busy', retryAfterMs: 1_500 }] }),
      answers('all kinds', { accepted: [5, 6, 7], done: [1, 70_000], failed: [failure, { ...failure, number: 3 }] }),
      answers('as many as there may be', {
        accepted: new Array<number>(MAX_ANSWERS).fill(1),
        done: new Array<number>(MAX_ANSWERS).fill(2),
        failed: new Array<typeof failure>(MAX_ANSWERS).fill(failure)
      }),
      answers('longest failure', {
        failed: [{ ...failure, code: 'c'.repeat(64), retryAfterMs: MAX_EVENT_AGE_MS, message: 'm'.repeat(MAX_FAILURE_MESSAGE) }]
      }),
      { name: 'first item of what is observed', message: 'copy', bytes: encodeCbor(encodeCopy({ refused: [] })) },
      {
        name: 'first item that refuses some',
        message: 'copy',
        bytes: encodeCbor(encodeCopy({ refused: new Array<string>(16).fill('c'.repeat(128)) }))
      },
      copy('copy'),
      copy('copy on behalf of others, before which some were lost', { causes: [ID, ID], lost: 12 }),
      copy('copy at all limits', {
        type: 't'.repeat(256),
        event: new Uint8Array(MAX_EVENT_BYTES),
        causes: new Array<Uint8Array>(8).fill(new Uint8Array(64).fill(1)),
        lost: Number.MAX_SAFE_INTEGER
      }),
      { name: 'part of a payload', message: 'part', bytes: encodeCbor(Uint8Array.of(1, 2, 3)) },
      { name: 'largest part', message: 'part', bytes: encodeCbor(new Uint8Array(MAX_PAYLOAD_PART).fill(7)) }
    ],
    invalid: [...openFaults(), ...eventFaults(), ...deliveryFaults(), ...answerFaults(), ...copyFaults(), ...partFaults()]
  }
}

function openFaults(): Vectors['invalid'] {
  const bad = invalidValue('open')
  return [
    ...cborFaults('open', cbor({ o: 'deliver' }), (inner) => join(hex('a1 616f'), inner)),
    bad('nothing in it', 'o is needed', {}),
    bad('a list', 'a map', ['deliver']),
    bad('another purpose', 'o is deliver, fetch or observe', { o: 'tell' }),
    bad('purpose as a number', 'o is text', { o: 1 }),
    bad('fetch of nothing', 'h is needed', { o: 'fetch' }),
    bad('fetch of a text', 'h is bytes', { o: 'fetch', h: HASH }),
    bad('fetch of a short hash', '32 bytes', { o: 'fetch', h: new Uint8Array(31) }),
    bad('fetch of a long hash', '32 bytes', { o: 'fetch', h: new Uint8Array(33) }),
    bad('observe without patterns', 'p is needed', { o: 'observe' }),
    bad('observe nothing', 'one pattern at least', { o: 'observe', p: [] }),
    bad('observe a text', 'p is a list', { o: 'observe', p: '**' }),
    bad('observe a number', 'patterns are text', { o: 'observe', p: [1] }),
    bad('observe too much', `at most ${MAX_EVENT_PATTERNS}`, {
      o: 'observe',
      p: new Array<string>(MAX_EVENT_PATTERNS + 1).fill('*')
    }),
    bad('observe by a long pattern', `at most ${MAX_PATTERN} characters`, { o: 'observe', p: ['*'.repeat(MAX_PATTERN + 1)] }),
    bad('observe by a pattern with two colons', 'TYPE:EVENT', { o: 'observe', p: ['sensor/*:a:b'] }),
    bad('observe by an empty pattern', 'a type is needed', { o: 'observe', p: [''] }),
    bad('observe by a pattern with a space', 'types have none', { o: 'observe', p: ['sensor /*'] }),
    bad('observe by a pattern with a line feed at its end', 'nothing behind it', { o: 'observe', p: ['sensor/*\n'] })
  ]
}

function eventFaults(): Vectors['invalid'] {
  const bad = invalidValue('event')
  const fields = {
    specversion: '1.0',
    id: '3-17',
    source: `atm://open/${NODE}/front-door`,
    type: 'sensor.camera.person_detected',
    sequence: '00000000030000000000000009',
    intent: 'person at the front door'
  }
  const without = (key: keyof typeof fields): unknown =>
    Object.fromEntries(Object.entries(fields).filter(([name]) => name !== key))
  const faulty = (name: string, why: string, change: Record<string, unknown>): Vectors['invalid'][number] =>
    bad(name, why, { ...fields, ...change })
  return [
    ...cborFaults('event', cbor(fields), (inner) => join(hex('a1 6464617461'), inner)),
    bad('nothing in it', 'six attributes are needed', {}),
    bad('a list', 'a map', [fields]),
    ...(Object.keys(fields) as (keyof typeof fields)[]).map((key) => bad(`no ${key}`, 'it is needed', without(key))),
    faulty('another version of CloudEvents', '1.0', { specversion: '0.3' }),
    faulty('version as a number', 'text', { specversion: 1 }),
    faulty('id as a number', 'text', { id: 17 }),
    faulty('id that is a UUID', '<incarnation>-<number>', { id: '6b29fc40-ca47-1067-b31d-00dd010662da' }),
    faulty('long id', 'at most 16 digits', { id: `3-${'1'.repeat(17)}` }),
    faulty('source of another scheme', 'atm://', { source: `https://open/${NODE}/front-door` }),
    faulty('source without a capability', 'three parts', { source: `atm://open/${NODE}` }),
    faulty('source with more behind it', 'three parts', { source: `atm://open/${NODE}/front-door/x` }),
    faulty('source with an empty mesh', 'each has one character at least', { source: `atm:///${NODE}/front-door` }),
    faulty('source of a capability in capitals', 'ids of capabilities are lower case', { source: `atm://open/${NODE}/Door` }),
    faulty('source with a line feed at its end', 'nothing behind it', { source: `atm://open/${NODE}/door\n` }),
    faulty('source with a long node', 'at most 128 characters', { source: `atm://open/${'n'.repeat(129)}/door` }),
    faulty('source as a list', 'text', { source: ['open', NODE, 'front-door'] }),
    faulty('type with a slash', 'dots', { type: 'sensor/camera.person_detected' }),
    faulty('empty type', 'one character at least', { type: '' }),
    faulty('long type', 'at most 257 characters', { type: 't'.repeat(258) }),
    faulty('sequence as a number', 'text', { sequence: 9 }),
    faulty('short sequence', '26 digits', { sequence: '9'.padStart(25, '0') }),
    faulty('long sequence', '26 digits', { sequence: '9'.padStart(27, '0') }),
    faulty('sequence with a sign', 'digits', { sequence: `-${'9'.padStart(25, '0')}` }),
    faulty('sequence of an incarnation over 32 bits', 'at most 2^32-1', { sequence: `4294967296${'9'.padStart(16, '0')}` }),
    faulty('sequence of an unsafe number', 'at most 2^53-1', { sequence: '00000000039007199254740992' }),
    faulty('empty intent', 'one character at least', { intent: '' }),
    faulty('long intent', `at most ${MAX_INTENT} characters`, { intent: 'i'.repeat(MAX_INTENT + 1) }),
    faulty('intent as a map', 'text', { intent: { text: 'x' } }),
    faulty('empty subject', 'left out, or one character at least', { subject: '' }),
    faulty('long subject', `at most ${MAX_SUBJECT} characters`, { subject: 's'.repeat(MAX_SUBJECT + 1) }),
    faulty('subject as a number', 'text', { subject: 7 }),
    faulty('time as a number', 'text', { time: 1_764_404_130 }),
    faulty('time without a zone', 'RFC 3339', { time: '2026-11-29T08:15:30' }),
    faulty('time with a long fraction', 'at most nine digits', { time: '2026-11-29T08:15:30.1234567890Z' }),
    faulty('priority of no name', 'low, normal, high or critical', { priority: 'urgent' }),
    faulty('priority as a number', 'text', { priority: 3 }),
    faulty('priority of a prototype', 'low, normal, high or critical', { priority: 'constructor' }),
    faulty('empty hint', 'left out, or one character at least', { routehint: '' }),
    faulty('long hint', `at most ${MAX_ROUTE_HINT} characters`, { routehint: 'r'.repeat(MAX_ROUTE_HINT + 1) }),
    faulty('bad traceparent', 'hexadecimal digits in four groups', { traceparent: 'x'.repeat(55) }),
    faulty('long traceparent', '55 characters', { traceparent: `${TRACE}-00` }),
    faulty('depth at which nothing may be raised', `below ${MAX_HOP_DEPTH}`, { hopdepth: MAX_HOP_DEPTH }),
    faulty('negative depth', '0 at least', { hopdepth: -1 }),
    faulty('depth as text', 'an integer', { hopdepth: '2' }),
    faulty('coalesced of one', 'left out', { coalesced: 1 }),
    faulty('coalesced of none', 'left out', { coalesced: 0 }),
    faulty('coalesced of a fraction', 'an integer', { coalesced: 2.5 }),
    faulty('time of a first one alone', 'only with coalesced', { coalescedfrom: TIME }),
    faulty('time of a first one as a number', 'RFC 3339', { coalesced: 2, coalescedfrom: 1 }),
    faulty('schema without its algorithm', 'sha256:', { dataschema: HASH }),
    faulty('schema in capitals', 'lower case', { dataschema: `sha256:${HASH.toUpperCase()}` }),
    faulty('type of content of data', 'application/json', { data: 'x', datacontenttype: 'text/plain' }),
    faulty('type of content of nothing', 'application/json', { datacontenttype: 'text/plain' }),
    faulty('type of content that is none', 'a media type', { datacontenttype: 'json' }),
    faulty('long type of content', 'at most 64 characters a part', { datacontenttype: `a/${'b'.repeat(65)}` }),
    faulty('bytes as data', 'JSON holds no bytes', { data: new Uint8Array(4) }),
    faulty('bytes inside data', 'JSON holds no bytes', { data: { frame: [new Uint8Array(4)] } }),
    faulty('data too deep', `at most ${MAX_JSON_DEPTH} levels`, { data: nested(MAX_JSON_DEPTH + 1) }),
    faulty('data twice', 'either data or dataref', { data: 1, dataref: `sha256:${HASH}`, datasize: 1 }),
    faulty('data that is null, and elsewhere', 'either data or dataref', {
      data: null,
      dataref: `sha256:${HASH}`,
      datasize: 1
    }),
    faulty('reference of no size', 'datasize is needed', { dataref: `sha256:${HASH}` }),
    faulty('reference to nothing', 'one byte at least', { dataref: `sha256:${HASH}`, datasize: 0 }),
    faulty('reference to too much', `at most ${MAX_REFERENCED_BYTES} bytes`, {
      dataref: `sha256:${HASH}`,
      datasize: MAX_REFERENCED_BYTES + 1
    }),
    faulty('reference to a web page', 'sha256:', { dataref: 'https://example.org/frame.jpg', datasize: 9 }),
    faulty('size of nothing', 'only with dataref', { datasize: 1 }),
    faulty('over its limit', `at most ${MAX_EVENT_BYTES} bytes`, { data: 'x'.repeat(MAX_EVENT_BYTES) })
  ]
}

function deliveryFaults(): Vectors['invalid'] {
  const bad = invalidValue('delivery')
  const fields = { n: 0, h: 'guard', e: Uint8Array.of(1), ms: 1 }
  const faulty = (name: string, why: string, change: Record<string, unknown>): Vectors['invalid'][number] =>
    bad(name, why, { ...fields, ...change })
  return [
    ...cborFaults('delivery', cbor(fields), (inner) => join(hex('a1 6165'), inner)),
    bad('nothing in it', 'n, h, e and ms are needed', {}),
    bad('a list', 'a map', [0, 'guard', Uint8Array.of(1), 1]),
    bad('null', 'a map', null),
    faulty('no number', 'n is needed', { n: undefined }),
    faulty('negative number', '0 at least', { n: -1 }),
    faulty('number as text', 'an integer', { n: '0' }),
    faulty('no handler', 'h is needed', { h: undefined }),
    faulty('handler as bytes', 'text', { h: Uint8Array.of(1) }),
    faulty('long handler', 'at most 128 characters', { h: 'h'.repeat(129) }),
    faulty('no event', 'e is needed', { e: undefined }),
    faulty('event as a map', 'bytes', { e: { specversion: '1.0' } }),
    faulty('event of no bytes', 'one byte at least', { e: new Uint8Array(0) }),
    faulty('event over its limit', `at most ${MAX_EVENT_BYTES} bytes`, { e: new Uint8Array(MAX_EVENT_BYTES + 1) }),
    faulty('no time', 'ms is needed', { ms: undefined }),
    faulty('negative time', '0 at least', { ms: -1 }),
    faulty('time of a fraction', 'an integer', { ms: 0.5 }),
    faulty('time over a day', `at most ${MAX_EVENT_AGE_MS}`, { ms: MAX_EVENT_AGE_MS + 1 }),
    faulty('no causes in their list', 'v is not empty', { v: [] }),
    faulty('nine causes', 'at most 8', { v: new Array<Uint8Array>(9).fill(ID) }),
    faulty('a cause as text', 'bytes', { v: [NODE] }),
    faulty('a short cause', '2 bytes at least', { v: [new Uint8Array(1)] }),
    faulty('a long cause', 'at most 64 bytes', { v: [new Uint8Array(65)] }),
    faulty('one that may be lost, negative', '0 at least', { l: -1 }),
    faulty('one that may be lost, as text', 'an integer', { l: '17' })
  ]
}

function answerFaults(): Vectors['invalid'] {
  const bad = invalidValue('answers')
  const row = [4, 'busy', true]
  const many = new Array<number>(MAX_ANSWERS + 1).fill(0)
  return [
    ...cborFaults('answers', cbor({ a: [0] }), (inner) => join(hex('a1 6161'), inner)),
    bad('nothing in it', 'one answer at least', {}),
    bad('lists of nothing', 'one answer at least', { a: [], d: [], f: [] }),
    bad('a list', 'a map', [[0]]),
    bad('null', 'a map', null),
    bad('a number for a list', 'a is a list', { a: 0 }),
    bad('negative number', '0 at least', { a: [-1] }),
    bad('number as text', 'an integer', { d: ['1'] }),
    bad('too many that are accepted', `at most ${MAX_ANSWERS}`, { a: many }),
    bad('too many that are done', `at most ${MAX_ANSWERS}`, { d: many }),
    bad('too many that have failed', `at most ${MAX_ANSWERS}`, { f: many.map(() => row) }),
    bad('failure as a number', 'a list', { f: [4] }),
    bad('failure of two fields', 'three at least', { f: [[4, 'busy']] }),
    bad('failure of nine fields', 'at most 8', { f: [[...row, 0, '', 0, 0, 0, 0]] }),
    bad('failure without a number', 'an integer', { f: [['busy', 4, true]] }),
    bad('failure with a code as a number', 'text', { f: [[4, 429, true]] }),
    bad('failure with a long code', 'at most 64 characters', { f: [[4, 'c'.repeat(65), true]] }),
    bad('failure that says not whether to try again', 'true or false', { f: [[4, 'busy', 1]] }),
    bad('failure for a negative time', '0 at least', { f: [[...row, -1]] }),
    bad('failure for more than a day', `at most ${MAX_EVENT_AGE_MS}`, { f: [[...row, MAX_EVENT_AGE_MS + 1]] }),
    bad('failure with a message as a number', 'text', { f: [[...row, 0, 1]] }),
    bad('failure with a long message', `at most ${MAX_FAILURE_MESSAGE} characters`, {
      f: [[...row, 0, 'm'.repeat(MAX_FAILURE_MESSAGE + 1)]]
    })
  ]
}

function copyFaults(): Vectors['invalid'] {
  const bad = invalidValue('copy')
  const fields = { t: 'sensor/camera', e: Uint8Array.of(1) }
  return [
    ...cborFaults('copy', cbor(fields), (inner) => join(hex('a1 6174'), inner)),
    bad('a list', 'a map', [fields]),
    bad('too many that are refused', 'at most 16', { r: new Array<string>(17).fill('cam') }),
    bad('a refused one as a number', 'ids are text', { r: [1] }),
    bad('refused ones as text', 'r is a list', { r: 'cam' }),
    bad('a type alone', 'e is needed', { t: 'sensor/camera' }),
    bad('an event alone', 't is needed', { e: Uint8Array.of(1) }),
    bad('type as bytes', 'text', { ...fields, t: Uint8Array.of(1) }),
    bad('long type', 'at most 256 characters', { ...fields, t: 't'.repeat(257) }),
    bad('event as text', 'bytes', { ...fields, e: 'x' }),
    bad('empty event', 'one byte at least', { ...fields, e: new Uint8Array(0) }),
    bad('long event', `at most ${MAX_EVENT_BYTES} bytes`, { ...fields, e: new Uint8Array(MAX_EVENT_BYTES + 1) }),
    bad('no causes', 'left out, or one at least', { ...fields, v: [] }),
    bad('too many causes', 'at most 8', { ...fields, v: new Array<Uint8Array>(9).fill(ID) }),
    bad('cause as text', 'bytes', { ...fields, v: [NODE] }),
    bad('a negative number of lost ones', '0 at least', { ...fields, l: -1 }),
    bad('lost ones as text', 'an integer', { ...fields, l: '1' })
  ]
}

function partFaults(): Vectors['invalid'] {
  const bad = invalidValue('part')
  return [
    ...cborFaults('part', cbor(Uint8Array.of(1, 2))),
    bad('no bytes in it', 'one byte at least', new Uint8Array(0)),
    bad('too many bytes', `at most ${MAX_PAYLOAD_PART}`, new Uint8Array(MAX_PAYLOAD_PART + 1)),
    bad('a map', 'bytes', { data: Uint8Array.of(1) }),
    bad('null', 'bytes', null)
  ]
}
