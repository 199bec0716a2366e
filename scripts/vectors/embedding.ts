import { encodeCbor } from '../../protocols/cbor.ts'
import {
  MAX_ASKED_TEXTS,
  MAX_DIMENSIONS,
  MAX_MODEL_NAME,
  encodeEmbeddingEnd,
  encodeEmbeddingItem,
  encodeEmbeddingRequest
} from '../../protocols/embedding/messages.ts'
import { cborFaults, invalidValue, type Vectors } from './form.ts'

const DIGEST = Uint8Array.from({ length: 32 }, (_, n) => n)
const many = (count: number): Uint8Array[] => Array.from({ length: count }, (_, n) => DIGEST.map((byte) => byte ^ n))
const REQUEST = { model: 'all-MiniLM-L6-v2@6fd5d72fe458', digests: [DIGEST] }
const MODEL = REQUEST.model

/** Vectors of the embedding protocol: bodies of frames. */
export function embeddingVectors(): Vectors {
  const [request, item, end] = [invalidValue('request'), invalidValue('item'), invalidValue('end')]
  const good = encodeEmbeddingRequest(REQUEST) as object
  return {
    valid: [
      { name: 'one text', message: 'request', bytes: encodeCbor(encodeEmbeddingRequest(REQUEST)) },
      {
        name: 'as many texts as may be',
        message: 'request',
        bytes: encodeCbor(encodeEmbeddingRequest({ model: 'm'.repeat(MAX_MODEL_NAME), digests: many(MAX_ASKED_TEXTS) }))
      },
      {
        name: 'a vector',
        message: 'item',
        bytes: encodeCbor(encodeEmbeddingItem({ index: 3, values: Int8Array.from([127, -127, 0, -1, 1, 64]) }))
      },
      {
        name: 'the longest vector at the last place',
        message: 'item',
        bytes: encodeCbor(encodeEmbeddingItem({ index: MAX_ASKED_TEXTS - 1, values: new Int8Array(MAX_DIMENSIONS).fill(-1) }))
      },
      { name: 'the model', message: 'end', bytes: encodeCbor(encodeEmbeddingEnd({ model: MODEL })) },
      { name: 'no model', message: 'end', bytes: encodeCbor(encodeEmbeddingEnd({ model: undefined })) }
    ],
    invalid: [
      request('an unknown operation', 'not vectors', { ...good, o: 'list' }),
      request('a text', 'not a map', 'vectors'),
      request('no model', 'missing', { ...good, m: undefined }),
      request('an empty model', 'no characters', { ...good, m: '' }),
      request('a long model', 'over 256 characters', { ...good, m: 'm'.repeat(MAX_MODEL_NAME + 1) }),
      request('a model that is bytes', 'not text', { ...good, m: DIGEST }),
      request('no texts', 'an empty list', { ...good, t: [] }),
      request('texts that are no list', 'not an array', { ...good, t: DIGEST }),
      request('a short digest', 'under 32 bytes', { ...good, t: [DIGEST.subarray(1)] }),
      request('a digest that is text', 'not bytes', { ...good, t: ['light'] }),
      request('too many texts', 'over 256', { ...good, t: many(MAX_ASKED_TEXTS + 1) }),
      request('a text twice', 'each once', { ...good, t: [DIGEST, many(2)[1], DIGEST] }),
      item('no place', 'missing', { v: DIGEST }),
      item('a place past the last', 'over 255', { n: MAX_ASKED_TEXTS, v: DIGEST }),
      item('a place before the first', 'below 0', { n: -1, v: DIGEST }),
      item('no vector', 'missing', { n: 0 }),
      item('an empty vector', 'no numbers', { n: 0, v: new Uint8Array(0) }),
      item('a long vector', 'over 4,096 numbers', { n: 0, v: new Uint8Array(MAX_DIMENSIONS + 1) }),
      item('a vector of numbers', 'not bytes', { n: 0, v: [0.5, 0.25] }),
      item('a number below the least', '-128', { n: 0, v: Uint8Array.from([1, 0x80]) }),
      end('a text', 'not a map', MODEL),
      end('an empty model', 'no characters', { m: '' }),
      end('a model that is a number', 'not text', { m: 1 }),
      ...cborFaults('request', encodeCbor(good)),
      ...cborFaults('item', encodeCbor(encodeEmbeddingItem({ index: 0, values: Int8Array.of(1) }))),
      ...cborFaults('end', encodeCbor(encodeEmbeddingEnd({ model: MODEL })))
    ]
  }
}
