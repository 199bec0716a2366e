import { MeshError } from '../errors.ts'

/** Name of the header. */
export const IDEMPOTENCY_KEY = 'Idempotency-Key'

/** A string of RFC 8941, without parameters. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"$/
/** What many clients send instead. Neither is ever the other, nor a list. */
const PLAIN = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x7e]+$/

/**
 * The key of a request that may be sent again, as draft-ietf-httpapi-idempotency-key-header has it (`Idempotency-Key: "a text"`), or without quotes. Undefined
 * where there is none. @throws MeshError `invalid_argument`.
 */
export function idempotencyKeyOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const quoted = QUOTED.exec(header)?.[1]
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1')
  if (PLAIN.test(header)) return header
  throw new MeshError('invalid_argument', `${IDEMPOTENCY_KEY} must be one text in double quotes, of printable ASCII characters`, {
    key: IDEMPOTENCY_KEY
  })
}
