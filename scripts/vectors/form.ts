import * as cborg from 'cborg'

/** A message that every implementation must read and write byte for byte. */
export interface ValidVector {
  name: string
  /** Which decoder, and which `$defs` entry of schema.json. */
  message: string
  bytes: Uint8Array
  /** The bytes begin with the length prefix of a frame. */
  prefixed?: boolean
}

/** Bytes that every implementation must refuse. */
export interface InvalidVector {
  name: string
  message: string
  /** The error code of protocols/errors.ts. */
  error: string
  why: string
  bytes: Uint8Array
  prefix?: true
}

/** What one protocol brings. */
export interface Vectors {
  valid: ValidVector[]
  invalid: InvalidVector[]
}

/** Bytes as protocols/README.md writes them in JSON: `{"$bytes": "<hex>"}`, with `$times` where the hex is repeated. */
export function toJsonForm(value: unknown): unknown {
  if (value instanceof Uint8Array)
    return value.length > 1_024 && value.every((byte) => byte === value[0])
      ? { $bytes: hexOf(value.subarray(0, 1)), $times: value.length }
      : { $bytes: hexOf(value) }
  if (Array.isArray(value)) return value.map(toJsonForm)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, toJsonForm(member)]))
  return value
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** CBOR of a value, without the checks of the project: invalid vectors need what its encoder refuses. */
export const cbor = (value: unknown): Uint8Array => cborg.encode(value, { ignoreUndefinedProperties: true })

/** Bytes from hex; blanks are left out. */
export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

/** Byte strings one after another. */
export const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts))

/** Makes invalid vectors of one message out of values that CBOR can write and its decoder must refuse. */
export const invalidValue =
  (message: string) =>
  (name: string, why: string, value: unknown): InvalidVector => ({
    name,
    message,
    error: 'protocol_error',
    why,
    bytes: cbor(value)
  })

/** The invalid vectors of the CBOR layer, the same for each message: `wrap` puts an item where the message allows any. */
export function cborFaults(message: string, valid: Uint8Array, wrap?: (item: Uint8Array) => Uint8Array): InvalidVector[] {
  const fault = (name: string, why: string, bytes: Uint8Array): InvalidVector => ({
    name,
    message,
    error: 'protocol_error',
    why,
    bytes
  })
  const faults = [
    fault('empty', 'no bytes at all', new Uint8Array(0)),
    fault('truncated', 'the last byte is missing', valid.subarray(0, -1)),
    fault('trailing byte', 'one value, and nothing after it', join(valid, hex('00'))),
    fault('not cbor', 'a break outside of anything', hex('ff')),
    fault('4 GB array', 'an array that promises 2^32-1 elements', hex('9affffffff')),
    fault('wrong type', 'a text where a container is wanted', cbor('hello')),
    fault('deep', 'arrays within arrays, 20,000 levels', new Uint8Array(20_000).fill(0x81))
  ]
  if (wrap === undefined) return faults
  const inner: [string, string, string][] = [
    ['indefinite array', 'lengths are definite', '9f01ff'],
    ['indefinite map', 'lengths are definite', 'bf616101ff'],
    ['indefinite text', 'lengths are definite', '7f6161ff'],
    ['indefinite bytes', 'lengths are definite', '5f4101ff'],
    ['tag', 'no tags: a date', 'c11a514b67b0'],
    ['bignum', 'no tags: a big number', 'c249010000000000000000'],
    ['nan', 'no NaN', 'f97e00'],
    ['infinity', 'no infinity', 'f97c00'],
    ['minus infinity', 'no infinity', 'fbfff0000000000000'],
    ['undefined', 'undefined is no value', 'f7'],
    ['simple value', 'no simple value but false, true and null', 'f0'],
    ['duplicate key', 'a key occurs twice', 'a2616101616102'],
    ['number as key', 'keys are text', 'a10102'],
    ['unsafe integer', 'integers stay within 2^53-1', '1b0020000000000000'],
    ['unsafe negative integer', 'integers stay within 2^53-1', '3b001fffffffffffff'],
    ['4 GB text', 'a text that promises 2^32-1 bytes', '7affffffff'],
    ['2^63 bytes', 'a byte string that promises more than there can be', '5b7fffffffffffffff']
  ]
  return [...faults, ...inner.map(([name, why, item]) => fault(name, why, wrap(hex(item))))]
}
