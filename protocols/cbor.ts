import * as cborg from 'cborg'
import { MeshError } from './errors.ts'

/**
 * CBOR (RFC 8949) as the mesh uses it: definite lengths, no tags, no duplicate keys, no NaN or Infinity,
 * integers within ±(2^53-1), undefined only where an optional key is left out. Deterministic when encoding, so it can be hashed.
 */
const DECODE: cborg.DecodeOptions = {
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true,
  tags: []
}

const ENCODE: cborg.EncodeOptions = { ignoreUndefinedProperties: true }

/**
 * Encodes a value of JSON types and Uint8Array. Keys with the value undefined are left out.
 * @throws MeshError `invalid_argument` for functions, cycles, NaN and other things that have no encoding.
 */
export function encodeCbor(value: unknown): Uint8Array {
  try {
    return cborg.encode(value, ENCODE)
  } catch (error) {
    throw new MeshError('invalid_argument', `this value cannot be sent: ${reason(error)}`, {}, { cause: error })
  }
}

/**
 * Encodes a value into `target`, from its start.
 * @returns how many bytes it took; undefined if it does not fit or has no encoding, which {@link encodeCbor} then tells.
 */
export function encodeCborInto(value: unknown, target: Uint8Array): number | undefined {
  try {
    return cborg.encodeInto(value, target, ENCODE).written
  } catch {
    return undefined
  }
}

/**
 * Decodes exactly one value. Safe on hostile bytes: cost and memory are linear in their length.
 * @throws MeshError `protocol_error`, never anything else.
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  try {
    return cborg.decode(bytes, DECODE)
  } catch (error) {
    throw new MeshError('protocol_error', `bytes from a peer are not valid CBOR: ${reason(error)}`, {}, { cause: error })
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 200) : 'unknown'
}
