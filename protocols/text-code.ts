import { sha256 } from '@noble/hashes/sha2.js'
import { concat } from 'uint8arrays/concat'
import { equals } from 'uint8arrays/equals'
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'
import { isMeshError, type MeshError } from './errors.ts'

const CHECKSUM_BYTES = 4

/** What makes one kind of code out of bytes, and the bytes out of the code. */
export interface TextCodeInit {
  /** Every code begins with it, so that people and programs see what it is. */
  prefix: string
  /** Longest code that is looked at, in characters. */
  maxLength: number
  /** Makes the error of why a text is no such code. */
  wrong: (why: string) => MeshError
}

/** Bytes as text: prefix and base32 (RFC 4648, upper case, no padding: the alphabet that QR codes hold best), with a checksum. */
export function formatTextCode(prefix: string, bytes: Uint8Array): string {
  return prefix + toString(concat([bytes, checksum(bytes)]), 'base32upper')
}

/**
 * Reads a code as people pass it on: any case, with blanks, line ends and dashes anywhere.
 * @param decode reads the bytes. @throws MeshError that `wrong` makes, with what is wrong.
 */
export function parseTextCode<T>(text: string, { prefix, maxLength, wrong }: TextCodeInit, decode: (bytes: Uint8Array) => T): T {
  if (text.length > maxLength) throw wrong('it is far too long')
  const code = text.replace(/[\s-]/g, '').toUpperCase()
  if (code === '') throw wrong('it is empty')
  if (!code.startsWith(prefix)) throw wrong(`it does not begin with ${prefix}`)
  const bytes = fromBase32(code.slice(prefix.length))
  const body = bytes?.subarray(0, -CHECKSUM_BYTES)
  if (bytes === undefined || body === undefined || !equals(bytes.subarray(-CHECKSUM_BYTES), checksum(body)))
    throw wrong('it is mistyped or not whole')
  try {
    return decode(body)
  } catch (error) {
    throw wrong(isMeshError(error) ? error.message : 'it is mistyped or not whole')
  }
}

function fromBase32(text: string): Uint8Array | undefined {
  try {
    return fromString(text, 'base32upper')
  } catch {
    return undefined
  }
}

const checksum = (bytes: Uint8Array): Uint8Array => sha256(bytes).subarray(0, CHECKSUM_BYTES)
