import { sha256 } from '@noble/hashes/sha2.js'
import { concat } from 'uint8arrays/concat'
import { equals } from 'uint8arrays/equals'
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'
import { MeshError, isMeshError } from '../errors.ts'
import { decodeInvite, encodeInvite, type Invite } from './messages.ts'

/** Every code begins with it, so that people and programs see what it is. */
export const CODE_PREFIX = 'ATMO1'
/** Longest code that is looked at, in characters. */
export const MAX_CODE_LENGTH = 2_048
const CHECKSUM_BYTES = 4

/** An invite as text: prefix and base32 (RFC 4648, upper case, no padding: the alphabet that QR codes hold best), with a checksum. */
export function formatInvite(invite: Invite): string {
  const bytes = encodeInvite(invite)
  return CODE_PREFIX + toString(concat([bytes, checksum(bytes)]), 'base32upper')
}

/**
 * Reads a code as people pass it on: any case, with blanks, line ends and dashes anywhere.
 * @throws MeshError `invalid_argument` with what is wrong and what to do.
 */
export function parseInvite(text: string): Invite {
  if (text.length > MAX_CODE_LENGTH) throw wrong('it is far too long')
  const code = text.replace(/[\s-]/g, '').toUpperCase()
  if (code === '') throw wrong('it is empty')
  if (!code.startsWith(CODE_PREFIX)) throw wrong(`it does not begin with ${CODE_PREFIX}`)
  const bytes = fromBase32(code.slice(CODE_PREFIX.length))
  const body = bytes?.subarray(0, -CHECKSUM_BYTES)
  if (bytes === undefined || body === undefined || !equals(bytes.subarray(-CHECKSUM_BYTES), checksum(body)))
    throw wrong('it is mistyped or not whole')
  try {
    return decodeInvite(body)
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

function wrong(why: string): MeshError {
  return new MeshError('invalid_argument', `this is no invite code: ${why}; copy the whole line that atmo invite printed`)
}
