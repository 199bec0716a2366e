import { MeshError } from '../errors.ts'
import { asArray, asBytes, asMap, asUint } from '../shape.ts'

/** Protocol id: vectors of what a node says of its capabilities, as it has made them. */
export const EMBEDDING_PROTOCOL = '/atmosphere/embedding/1'
/** Longest name of a model, in characters. */
export const MAX_MODEL_NAME = 256
/** Most texts of one request. */
export const MAX_ASKED_TEXTS = 256
/** Most numbers of a vector. */
export const MAX_DIMENSIONS = 4_096
/** Bytes of the digest of a text: SHA-256 of its UTF-8. */
export const TEXT_DIGEST_BYTES = 32

/** Asks a node for vectors of what it says itself. */
export interface EmbeddingRequest {
  /** Of this model, and of no other. */
  model: string
  /** Digests of the texts, of {@link TEXT_DIGEST_BYTES}; at least one, each once. */
  digests: Uint8Array[]
}

/** The vector of one of the texts. */
export interface EmbeddingItem {
  /** Its place among those asked for. */
  index: number
  /** A direction: whole numbers from -127 to 127 in proportion to those of the model. How long it is says nothing. */
  values: Int8Array
}

/** Body of the open frame. */
export function encodeEmbeddingRequest({ model, digests }: EmbeddingRequest): unknown {
  return { o: 'vectors', m: model, t: digests }
}

/** @throws MeshError `protocol_error`. */
export function decodeEmbeddingRequest(body: unknown): EmbeddingRequest {
  const map = asMap(body, 'request')
  if (map['o'] !== 'vectors') throw new MeshError('protocol_error', 'a request of a kind that this node does not know')
  const digests = asArray(map['t'], 't', MAX_ASKED_TEXTS).map((one) => asBytes(one, 't', TEXT_DIGEST_BYTES, TEXT_DIGEST_BYTES))
  const seen = new Set(digests.map((digest) => digest.join()))
  if (seen.size !== digests.length) throw new MeshError('protocol_error', 'a text that is asked for twice')
  if (digests.length === 0) throw new MeshError('protocol_error', 'field "t" of a peer\'s message must not be empty')
  return { model: modelName(map['m']), digests }
}

/** Body of an item. */
export function encodeEmbeddingItem({ index, values }: EmbeddingItem): unknown {
  return { n: index, v: new Uint8Array(values.buffer, values.byteOffset, values.length) }
}

/** @throws MeshError `protocol_error`. */
export function decodeEmbeddingItem(body: unknown): EmbeddingItem {
  const map = asMap(body, 'item')
  const bytes = asBytes(map['v'], 'v', MAX_DIMENSIONS, 1)
  // Copied: the frame that it came in is larger, and not to be kept for it.
  const values = Int8Array.from(bytes, (byte) => (byte << 24) >> 24)
  if (values.includes(-128)) throw new MeshError('protocol_error', 'field "v" of a peer\'s message must hold -127 to 127')
  return { index: asUint(map['n'], 'n', MAX_ASKED_TEXTS - 1), values }
}

/** Body of the end: the model that the vectors of this node are of now. */
export function encodeEmbeddingEnd({ model }: { model: string | undefined }): unknown {
  return { m: model }
}

/** @throws MeshError `protocol_error`. Undefined: it has none yet. */
export function decodeEmbeddingEnd(body: unknown): { model: string | undefined } {
  const map = asMap(body, 'end')
  return { model: map['m'] === undefined ? undefined : modelName(map['m']) }
}

/** Whether a model of this name can be told of. */
export const isModelName = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= MAX_MODEL_NAME

function modelName(value: unknown): string {
  if (!isModelName(value))
    throw new MeshError('protocol_error', `field "m" of a peer's message must be text of 1 to ${MAX_MODEL_NAME} characters`)
  return value
}
