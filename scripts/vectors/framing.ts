import { MAX_FRAME_BYTES, encodeFrame, type Frame } from '../../protocols/framing/messages.ts'
import { cbor, cborFaults, hex, join, type InvalidVector, type ValidVector, type Vectors } from './form.ts'

const HELLO = { version: 1, maxFrameBytes: 4_194_304, windowBytes: 65_536, maxExchanges: 512 }
const FRAMES: [string, Frame][] = [
  ['hello', { type: 'hello', hello: HELLO }],
  ['hello of a later version', { type: 'hello', hello: { ...HELLO, version: 2 } }],
  ['accept', { type: 'accept', hello: HELLO }],
  ['open', { type: 'open', id: 1, body: { any: 'body' }, more: false }],
  ['open with more, bytes in the body', { type: 'open', id: 4_294_967_295, body: new Uint8Array([1, 2]), more: true }],
  ['open with an empty body', { type: 'open', id: 2, body: null, more: false }],
  ['item', { type: 'item', id: 3, body: [0, 'x'] }],
  ['item of 200 bytes', { type: 'item', id: 3, body: new Uint8Array(200).fill(7) }],
  ['item of 64 KiB', { type: 'item', id: 3, body: new Uint8Array(65_536).fill(7) }],
  ['item with a key __proto__', { type: 'item', id: 3, body: JSON.parse('{"__proto__":{"polluted":true}}') }],
  ['item with numbers', { type: 'item', id: 3, body: [0, 23, 24, 255, 256, 65_536, 2 ** 53 - 1, -1, 1 - 2 ** 53, 1.5, -0.1] }],
  ['end', { type: 'end', id: 1, body: { ok: true } }],
  ['end without a body', { type: 'end', id: 1, body: null }],
  ['error', { type: 'error', id: 1, code: 'busy', message: 'no slot is free', details: { running: 64 } }],
  ['error of a code that is not known', { type: 'error', id: 1, code: 'from_tomorrow', message: '', details: {} }],
  ['cancel', { type: 'cancel', id: 1, reason: 'cancelled' }],
  ['credit', { type: 'credit', id: 1, bytes: 65_536 }],
  ['ping', { type: 'ping', nonce: 7 }],
  ['pong', { type: 'pong', nonce: 4_294_967_295 }],
  ['goaway', { type: 'goaway', reason: 'stopping' }]
]

/** Vectors of the framing: whole frames with their prefix, and prefixes alone. */
export function framingVectors(): Vectors {
  const valid: ValidVector[] = FRAMES.map(([name, frame]) => ({
    name,
    message: 'frame',
    bytes: encodeFrame(frame),
    prefixed: true
  }))
  const frame = (name: string, why: string, value: unknown, error = 'protocol_error'): InvalidVector => ({
    name,
    message: 'frame',
    error,
    why,
    bytes: cbor(value)
  })
  const prefix = (name: string, why: string, bytes: string, error: string): InvalidVector => ({
    name,
    message: 'prefix',
    error,
    why,
    bytes: hex(bytes),
    prefix: true
  })
  const head = hex('8302 01')
  const hello = { v: 1, frame: 4_194_304, window: 65_536, exchanges: 512 }
  return {
    valid,
    invalid: [
      prefix('zero length', 'an empty frame', '00', 'protocol_error'),
      prefix('non-minimal prefix', 'length 1 in two bytes', '8100', 'protocol_error'),
      prefix('non-minimal prefix in four bytes', 'length 1 in four bytes', '81808000', 'protocol_error'),
      prefix('one byte over the limit', `a length of ${MAX_FRAME_BYTES + 1}`, '81808002', 'too_large'),
      prefix('256 MiB', 'the largest length of four bytes', 'ffffff7f', 'too_large'),
      prefix('4 GB length', 'a prefix of five bytes', 'ffffffff0f', 'too_large'),
      prefix('endless prefix', 'ten bytes with the high bit', 'ffffffffffffffffff01', 'too_large'),
      ...cborFaults('frame', cbor([2, 1, false, null]), (item) => join(hex('83 03 01'), item)),
      frame('unknown frame type', 'types are 0 to 10', [11, 1, null]),
      frame('negative type', 'types are 0 to 10', [-1, 1, null]),
      frame('type as text', 'types are integers', ['open', 1, false, null]),
      frame('empty array', 'no type', []),
      frame('a map', 'frames are arrays', { 0: 2 }),
      frame('six fields', 'no frame has more than five', [5, 1, 'busy', '', {}, 0]),
      frame('open without more', 'a field is missing', [2, 1, null]),
      frame('open with a field too many', 'the number of fields is exact', [2, 1, false, null, null]),
      frame('open with more as a number', 'more is a boolean', [2, 1, 1, null]),
      frame('id 0', 'id 0 is not used', [2, 0, false, null]),
      frame('negative id', 'ids are 1 to 2^32-1', [2, -1, false, null]),
      frame('id of 33 bits', 'ids are 1 to 2^32-1', [2, 2 ** 32, false, null]),
      frame('id as a fraction', 'ids are integers', [2, 1.5, false, null]),
      frame('item without a body', 'a body is null at least', [3, 1]),
      frame('end without a body field', 'a body is null at least', [4, 1]),
      frame('hello as a list', 'what a side says of itself is a map', [0, [1, 2, 3, 4]]),
      frame('hello without version', 'v is needed', [0, { frame: 1, window: 1, exchanges: 1 }]),
      frame('hello of version 256', 'v is 0 to 255', [0, { ...hello, v: 256 }]),
      frame('accept with too many exchanges', 'exchanges is 16 bits', [1, { ...hello, exchanges: 65_536 }]),
      frame('hello with a window of 2^31', 'sizes are 31 bits', [0, { ...hello, window: 2 ** 31 }]),
      frame('error with a long code', 'a code has at most 64 characters', [5, 1, 'x'.repeat(65), '', {}]),
      frame('error with a long message', 'a message has at most 2,048 characters', [5, 1, 'busy', 'x'.repeat(2_049), {}]),
      frame('error with details that are no map', 'details are a map', [5, 1, 'busy', '', []]),
      frame('error without details', 'details are a map, empty at least', [5, 1, 'busy', '']),
      frame('cancel with a long reason', 'a reason has at most 256 characters', [6, 1, 'x'.repeat(257)]),
      frame('negative credit', 'credit only grows', [7, 1, -1]),
      frame('credit of 2^31', 'credit is 31 bits', [7, 1, 2 ** 31]),
      frame('ping with text', 'a nonce is 32 bits', [8, 'x']),
      frame('pong of 33 bits', 'a nonce is 32 bits', [9, 2 ** 32]),
      frame('goaway without reason', 'a reason is text', [10, null]),
      {
        name: 'bytes as frame',
        message: 'frame',
        error: 'protocol_error',
        why: 'frames are arrays',
        bytes: join(hex('42'), head.subarray(0, 2))
      }
    ]
  }
}
