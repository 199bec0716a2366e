import { decodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import type { JsonValue } from '../json.ts'
import { asJson } from '../shape.ts'

/** Media type of payloads that go by reference: as `data` is encoded where it is in the event (RFC 8949). */
export const PAYLOAD_TYPE = 'application/cbor'

/** Reads a whole payload that an event refers to. @throws MeshError `protocol_error`, not to be tried again: it will not be another one. */
export function decodePayload(bytes: Uint8Array): JsonValue {
  try {
    return asJson(decodeCbor(bytes))
  } catch (error) {
    throw new MeshError('protocol_error', `the payload cannot be read: ${(error as Error).message}`, { retryable: false })
  }
}
