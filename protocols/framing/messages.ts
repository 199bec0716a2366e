import { decodeCbor, encodeCbor, encodeCborInto } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { asArray, asMap, asText, asUint } from '../shape.ts'

/** Version of this grammar; sent in `hello`. */
export const FRAMING_VERSION = 1
/** Largest frame, without its length prefix, in bytes. */
export const MAX_FRAME_BYTES = 4 * 1024 * 1024
/** A length prefix is an unsigned varint of at most this many bytes (enough for MAX_FRAME_BYTES). */
export const MAX_PREFIX_BYTES = 4
/** Bytes of items that may be on the way in one direction of one exchange before the first credit. */
export const INITIAL_WINDOW_BYTES = 64 * 1024
/** Exchanges that one peer may have open on one stream. */
export const MAX_EXCHANGES = 512
/** Longest message of an error frame, in characters. */
export const MAX_ERROR_MESSAGE = 2_048
/** Largest encoded details of an error frame, in bytes; larger ones are left out by the sender. */
export const MAX_ERROR_DETAILS_BYTES = 16 * 1024

const MAX_ID = 0xffff_ffff
const MAX_CODE = 64
const MAX_REASON = 256

/** What each side says of itself when a stream opens. */
export interface Hello {
  version: number
  maxFrameBytes: number
  windowBytes: number
  maxExchanges: number
}

/** The frames of every stream of the mesh. `id` names an exchange; odd ids belong to the side that opened the stream. */
export type Frame =
  | { type: 'hello'; hello: Hello }
  | { type: 'accept'; hello: Hello }
  | { type: 'open'; id: number; body: unknown; more: boolean }
  | { type: 'item'; id: number; body: unknown }
  | { type: 'end'; id: number; body: unknown }
  | { type: 'error'; id: number; code: string; message: string; details: Record<string, unknown> }
  | { type: 'cancel'; id: number; reason: string }
  | { type: 'credit'; id: number; bytes: number }
  | { type: 'ping'; nonce: number }
  | { type: 'pong'; nonce: number }
  | { type: 'goaway'; reason: string }

const TYPES = ['hello', 'accept', 'open', 'item', 'end', 'error', 'cancel', 'credit', 'ping', 'pong', 'goaway'] as const
const NUMBER: Record<Frame['type'], number> = Object.fromEntries(TYPES.map((name, n) => [name, n])) as Record<
  Frame['type'],
  number
>

/**
 * Encodes a frame with its length prefix.
 * @throws MeshError `too_large` over MAX_FRAME_BYTES, `invalid_argument` if the body has no encoding.
 */
export function encodeFrame(frame: Frame): Uint8Array {
  const value = [NUMBER[frame.type], ...fields(frame)]
  // Nearly all frames fit here, and are then copied once instead of twice.
  const written = encodeCborInto(value, SCRATCH)
  const payload = written === undefined ? encodeCbor(value) : SCRATCH.subarray(0, written)
  if (payload.length > MAX_FRAME_BYTES) {
    throw new MeshError(
      'too_large',
      `a message of ${payload.length} bytes is over the limit of ${MAX_FRAME_BYTES}; stream it in items`,
      {
        bytes: payload.length,
        limit: MAX_FRAME_BYTES
      }
    )
  }
  return withPrefix(payload)
}

/** Used within one call of encodeFrame only, which never waits. */
const SCRATCH = new Uint8Array(96 * 1024)

function fields(frame: Frame): unknown[] {
  switch (frame.type) {
    case 'hello':
    case 'accept':
      return [
        {
          v: frame.hello.version,
          frame: frame.hello.maxFrameBytes,
          window: frame.hello.windowBytes,
          exchanges: frame.hello.maxExchanges
        }
      ]
    case 'open':
      return [frame.id, frame.more, frame.body ?? null]
    case 'item':
    case 'end':
      return [frame.id, frame.body ?? null]
    case 'error':
      return [frame.id, frame.code, frame.message, frame.details]
    case 'cancel':
      return [frame.id, frame.reason]
    case 'credit':
      return [frame.id, frame.bytes]
    case 'ping':
    case 'pong':
      return [frame.nonce]
    case 'goaway':
      return [frame.reason]
  }
}

function withPrefix(payload: Uint8Array): Uint8Array {
  const n = payload.length
  const prefixBytes = n < 0x80 ? 1 : n < 0x4000 ? 2 : n < 0x20_0000 ? 3 : 4
  const out = new Uint8Array(prefixBytes + n)
  let rest = n
  for (let i = 0; i < prefixBytes - 1; i++) {
    out[i] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  out[prefixBytes - 1] = rest
  out.set(payload, prefixBytes)
  return out
}

/**
 * Reads an unsigned varint length at `offset`.
 * @returns the length and where the frame begins, or undefined if more bytes are needed.
 * @throws MeshError `protocol_error` for a prefix that is too long or not minimal, `too_large` over the limit.
 */
export function readPrefix(
  bytes: Uint8Array,
  offset: number,
  maxFrameBytes = MAX_FRAME_BYTES
): { length: number; start: number } | undefined {
  let length = 0
  for (let i = 0; i < MAX_PREFIX_BYTES; i++) {
    const byte = bytes[offset + i]
    if (byte === undefined) return undefined
    length |= (byte & 0x7f) << (7 * i)
    if (byte < 0x80) {
      if (byte === 0 && i > 0) throw new MeshError('protocol_error', 'a length prefix is not minimal')
      if (length === 0) throw new MeshError('protocol_error', 'an empty frame')
      if (length > maxFrameBytes) {
        throw new MeshError('too_large', `a peer announced a frame of ${length} bytes, the limit is ${maxFrameBytes}`, {
          bytes: length,
          limit: maxFrameBytes
        })
      }
      return { length, start: offset + i + 1 }
    }
  }
  throw new MeshError('too_large', `a peer announced a frame whose length does not fit ${MAX_PREFIX_BYTES} bytes`, {
    limit: maxFrameBytes
  })
}

/**
 * Decodes one frame, given without its length prefix.
 * @throws MeshError `protocol_error`, never anything else.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const value = asArray(decodeCbor(bytes), 'frame', 5)
  const type = TYPES[asUint(value[0], 'type', TYPES.length - 1)] as Frame['type']
  const length = value.length
  switch (type) {
    case 'hello':
    case 'accept':
      exact(length, 2, type)
      return { type, hello: readHello(value[1]) }
    case 'open': {
      exact(length, 4, type)
      if (typeof value[2] !== 'boolean')
        throw new MeshError('protocol_error', 'field "more" of a peer\'s message must be a boolean')
      return { type, id: readId(value[1]), more: value[2], body: value[3] }
    }
    case 'item':
    case 'end':
      exact(length, 3, type)
      return { type, id: readId(value[1]), body: value[2] }
    case 'error':
      exact(length, 5, type)
      return {
        type,
        id: readId(value[1]),
        code: asText(value[2], 'code', MAX_CODE),
        message: asText(value[3], 'message', MAX_ERROR_MESSAGE),
        details: asMap(value[4], 'details')
      }
    case 'cancel':
      exact(length, 3, type)
      return { type, id: readId(value[1]), reason: asText(value[2], 'reason', MAX_REASON) }
    case 'credit':
      exact(length, 3, type)
      return { type, id: readId(value[1]), bytes: asUint(value[2], 'bytes', 0x7fff_ffff) }
    case 'ping':
    case 'pong':
      exact(length, 2, type)
      return { type, nonce: asUint(value[1], 'nonce', MAX_ID) }
    case 'goaway':
      exact(length, 2, type)
      return { type, reason: asText(value[1], 'reason', MAX_REASON) }
  }
}

function exact(length: number, want: number, type: string): void {
  if (length !== want) throw new MeshError('protocol_error', `a ${type} frame must have ${want} fields, not ${length}`)
}

function readId(value: unknown): number {
  const id = asUint(value, 'id', MAX_ID)
  if (id === 0) throw new MeshError('protocol_error', 'exchange id 0 is not used')
  return id
}

function readHello(value: unknown): Hello {
  const map = asMap(value, 'hello')
  return {
    version: asUint(map['v'], 'v', 255),
    maxFrameBytes: asUint(map['frame'], 'frame', 0x7fff_ffff),
    windowBytes: asUint(map['window'], 'window', 0x7fff_ffff),
    maxExchanges: asUint(map['exchanges'], 'exchanges', 0xffff)
  }
}

/** Cuts a message for an error frame to its limits. */
export function errorFrame(id: number, code: string, message: string, details: Record<string, unknown>): Frame {
  const short = message.length > MAX_ERROR_MESSAGE ? `${message.slice(0, MAX_ERROR_MESSAGE - 1)}…` : message
  return { type: 'error', id, code, message: short, details: fitting(details) }
}

function fitting(details: Record<string, unknown>): Record<string, unknown> {
  if (Object.keys(details).length === 0) return details
  try {
    return encodeCbor(details).length <= MAX_ERROR_DETAILS_BYTES ? details : { truncated: true }
  } catch {
    return { truncated: true }
  }
}
