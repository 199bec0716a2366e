/** Keys that events are fired with: which of them are the same. */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { canonicalJson } from './calls/result-cache.ts'
import type { JsonValue } from './core/invoke.ts'
import { MeshError } from './errors.ts'

/** Longest key of an event, in characters. */
export const MAX_KEY = 128
/** So much of a hash tells payloads apart, in hex digits. */
const DIGEST_DIGITS = 32

/** What an event is fired as, where it has a key. */
export interface FiredAs {
  /** Of a trigger of a capability. */
  key: string
  /** Of the payload as it was given. */
  digest: string
}

/** @throws MeshError `invalid_argument`. */
export function firedAs(capability: string, event: string, key: string, payload: JsonValue): FiredAs {
  if (typeof key !== 'string' || key.length === 0 || key.length > MAX_KEY)
    throw new MeshError('invalid_argument', `the key of an event must be a text of 1 to ${MAX_KEY} characters`, { key: 'key' })
  const digest = bytesToHex(sha256(utf8ToBytes(canonicalJson(payload)))).slice(0, DIGEST_DIGITS)
  return { key: `${capability} ${event} ${key}`, digest }
}

/** @param digest of the payload of the event that was fired first; undefined: it is not known any more. @throws MeshError `conflict`. */
export function checkSamePayload(fired: FiredAs, digest: string | undefined): void {
  if (digest === undefined || digest === fired.digest) return
  throw new MeshError('conflict', 'this key belongs to an event that was fired with another payload', { key: 'key' })
}
