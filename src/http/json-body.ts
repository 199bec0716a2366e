import { MeshError } from '../errors.ts'
import { readAtMost } from '../../protocols/bytes-at-most.ts'
import { MAX_VALUES } from '../../protocols/cbor.ts'
import { countKeys, type JsonObject, type JsonValue } from '../../protocols/json.ts'
import { repeatedKey } from '../../protocols/repeated-key.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { refusal } from './errors.ts'

/** Largest request body that is read, in bytes: 32 MiB. */
export const MAX_BODY_BYTES = 32 * 1024 * 1024

/** Deepest request body: an input of the most levels in its envelope of two. What checks and encodes it is recursive. */
export const MAX_BODY_DEPTH = MAX_JSON_DEPTH + 2

/**
 * Most values of a request body, keys among them: an input has half as many, of which an empty array counts two here. Past it the body is not even parsed: what it is made into takes many times
 * its bytes, and the node would do nothing else for seconds.
 */
export const MAX_BODY_VALUES = 2 * MAX_VALUES

/**
 * Reads a JSON object. An absent body is `{}`. Throws `invalid_argument` (status 415 for another content type:
 * a web page can send text/plain without asking, but not JSON) and `too_large`.
 */
export async function readJsonObject(request: Request, maxBytes: number = MAX_BODY_BYTES): Promise<JsonObject> {
  const value = await readJson(request, maxBytes)
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MeshError('invalid_argument', 'the body must be a JSON object')
  return value
}

/** As {@link readJson}, also where nothing is said of the body, since there is none: `curl -X POST URL`. */
export async function readJsonIfAny(request: Request): Promise<JsonValue | undefined> {
  if (request.headers.has('content-type')) return readJson(request)
  for await (const piece of piecesOf(request)) if (piece.byteLength > 0) throw notJson(null)
  return undefined
}

/** Reads any JSON; undefined for an absent body. Throws as {@link readJsonObject}. */
export async function readJson(request: Request, maxBytes: number = MAX_BODY_BYTES): Promise<JsonValue | undefined> {
  requireJson(request)
  return parseJson(await readBytes(request, maxBytes), MAX_BODY_DEPTH)
}

/** Throws `invalid_argument`, with status 415, for a body that is said to be something else than JSON. */
export function requireJson({ headers }: Request): void {
  const type = headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw notJson(type ?? null)
}

/**
 * Parses a body, within the bounds of this API; undefined if it is empty. Throws `too_large` for too many values, `invalid_argument` for one that is nested in more than `maxDepth`
 * levels, that has a key twice in one object, of which the last would be taken without a word (RFC 8259, 4), or that is no JSON: then its `cause` is what the parser says.
 */
export function parseJson(bytes: Uint8Array, maxDepth: number): JsonValue | undefined {
  const written = keysOf(bytes, MAX_BODY_VALUES)
  if (written === undefined) {
    const message = `the body has more than ${MAX_BODY_VALUES} values; send it in several requests`
    throw new MeshError('too_large', message, { limit: MAX_BODY_VALUES })
  }
  const text = new TextDecoder().decode(bytes)
  if (text.trim() === '') return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const message = `the body is not JSON: ${cause instanceof Error ? cause.message : 'it cannot be parsed'}`
    throw new MeshError('invalid_argument', message, {}, { cause })
  }
  const read = countKeys(value, maxDepth)
  if (read === undefined) throw new MeshError('invalid_argument', `the body is nested too deep; ${maxDepth} levels are the most`)
  if (read !== written) refuseRepeatedKey(text)
  return value as JsonValue
}

function refuseRepeatedKey(text: string): void {
  const repeated = repeatedKey(text)
  if (repeated === undefined) return
  const { key, pointer } = repeated
  throw new MeshError('invalid_argument', `the body has the key '${key}' twice, at ${pointer}; give it once`, { key, pointer })
}

const [QUOTE, COMMA, COLON, BRACKET, BACKSLASH, BRACE] = [0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x7b] as const

/**
 * How many keys JSON has as it is written, those that are there twice counted twice; undefined where it has more values than `most`. By its marks alone, whatever else is wrong with it: a value
 * follows each comma, colon and opening outside of texts, and a key is before each colon.
 */
function keysOf(json: Uint8Array, most: number): number | undefined {
  let [left, keys, isText] = [most, 0, false]
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]
    if (byte === QUOTE) isText = !isText
    else if (isText) at += Number(byte === BACKSLASH)
    else if (byte === COMMA || byte === COLON || byte === BRACKET || byte === BRACE) {
      left--
      keys += Number(byte === COLON)
    }
    if (left <= 0) return undefined
  }
  return keys
}

function notJson(contentType: string | null): MeshError {
  const http = { status: 415, headers: { accept: 'application/json' } }
  return refusal(http, 'invalid_argument', 'send JSON: content-type must be application/json', { contentType })
}

/** Reads a body as it came. Throws `too_large`. */
export async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const length = request.headers.get('content-length')
  // A length that is announced is refused before a byte is read; within it the server reads no more.
  if (Number(length ?? 0) > maxBytes) throw tooLarge(maxBytes)
  if (length !== null && /^\d+$/.test(length)) return new Uint8Array(await request.arrayBuffer())
  return readAtMost(piecesOf(request), maxBytes, () => tooLarge(maxBytes))
}

/** By a reader: not every browser lets a stream be iterated. */
async function* piecesOf({ body }: Request): AsyncGenerator<Uint8Array> {
  for (const reader = body?.getReader(); reader !== undefined;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}

function tooLarge(maxBytes: number): MeshError {
  return new MeshError('too_large', `the body is over ${maxBytes} bytes`, { maxBytes })
}

/** Throws `invalid_argument` for a key that is not in `known`: a typo must not be silently ignored. */
export function refuseUnknownKeys(what: string, given: Iterable<string>, known: readonly string[]): void {
  for (const key of given) {
    if (!known.includes(key))
      throw new MeshError(
        'invalid_argument',
        `unknown ${what} '${key}'; ${known.length === 0 ? 'there are none' : `known are: ${known.join(', ')}`}`,
        {
          key,
          known: [...known]
        }
      )
  }
}

/** True for a list of texts. */
export function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}
