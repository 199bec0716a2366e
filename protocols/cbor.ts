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
 * What DECODE refuses must not be encoded: one bad value of this node would end its session with the peer.
 * A walk of our own, because type encoders of the library turn its fast path off. Cycles are left to the library.
 */
function refuseUndecodable(value: unknown, depth = 0): void {
  // eslint-disable-next-line @typescript-eslint/switch-exhaustiveness-check -- all other types pass, or have no encoding
  switch (typeof value) {
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} is no JSON value`)
      return
    case 'undefined':
    case 'bigint':
      throw new TypeError(`a value of type ${typeof value} is no JSON value`)
    case 'object': {
      if (value === null || value instanceof Uint8Array || depth > MAX_WALK) return
      if (Array.isArray(value)) for (const element of value) refuseUndecodable(element, depth + 1)
      else {
        for (const key in value) {
          const member = (value as Record<string, unknown>)[key]
          if (member !== undefined) refuseUndecodable(member, depth + 1)
        }
      }
    }
  }
}
/** Deeper values are refused elsewhere (shape.ts) or are cycles, which the library refuses. */
const MAX_WALK = 256

/** Values (of any kind, keys included) in one message: what is decoded takes many times the memory of its bytes. */
export const MAX_VALUES = 262_144

/**
 * Encodes a value of JSON types and Uint8Array. Keys with the value undefined are left out.
 * @throws MeshError `invalid_argument` for functions, cycles, NaN and other things that have no encoding.
 */
export function encodeCbor(value: unknown): Uint8Array {
  try {
    refuseUndecodable(value)
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
    refuseUndecodable(value)
    return cborg.encodeInto(value, target, ENCODE).written
  } catch {
    return undefined
  }
}

/**
 * Decodes exactly one value. Safe on hostile bytes: cost is linear in their length, memory in `maxValues`.
 * @throws MeshError `protocol_error`, never anything else.
 */
export function decodeCbor(bytes: Uint8Array, maxValues = MAX_VALUES): unknown {
  try {
    // Each value takes a byte at least: short messages need no counting.
    return cborg.decode(bytes, bytes.length <= maxValues ? DECODE : { ...DECODE, tokenizer: countingTokenizer(bytes, maxValues) })
  } catch (error) {
    throw new MeshError('protocol_error', `bytes from a peer are not valid CBOR: ${reason(error)}`, {}, { cause: error })
  }
}

function countingTokenizer(bytes: Uint8Array, maxValues: number): NonNullable<cborg.DecodeOptions['tokenizer']> {
  const tokens = new cborg.Tokenizer(bytes, DECODE)
  let count = 0
  return {
    done: () => tokens.done(),
    pos: () => tokens.pos(),
    next() {
      if (++count > maxValues) throw new Error(`more than ${maxValues} values`)
      return tokens.next()
    }
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 200) : 'unknown'
}
