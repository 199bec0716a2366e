import { Hono } from 'hono'
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { MeshError, errorToJson } from '../errors.ts'
import type { Call, CallItem, CallOptions, CallResult, Mesh } from '../mesh-api.ts'
import { base64Length, toBase64, writeBase64 } from './base64.ts'
import { isTexts, readJsonObject, refuseUnknownKeys } from './json-body.ts'
import { PREFERENCE_KEYS, readPreference } from './preference.ts'
import { STREAM_HEADERS, pullStream } from './pull-stream.ts'

/** Most that a call answered in one piece may yield beside its result, in bytes of JSON; a longer one has to be streamed. */
export const MAX_COLLECTED_BYTES = 32 * 1024 * 1024
/** Longest time a call may be given over HTTP, in ms: a day. */
export const MAX_TIMEOUT_MS = 86_400_000
const BODY_KEYS = ['input', 'timeoutMs', 'node', 'idempotencyKey', 'failover', 'causes', ...PREFERENCE_KEYS] as const

/** A line of a streamed call. The last one has `status`. */
export type CallLine =
  | { kind: 'json'; value: JsonValue }
  | { kind: 'bytes'; base64: string }
  | { kind: 'progress'; progress: { done: number; total?: number; message?: string } }
  | { kind: 'restart'; provider: string; reason: string }
  | ({ status: 'success' } & CallResult)
  | { status: 'error'; error: ReturnType<typeof errorToJson> }

/**
 * `POST /capabilities/{id}/tools/{tool}`. With `Accept: application/x-ndjson` one line per item, else one JSON object.
 * A client that goes cancels the call.
 */
export function callRoutes({ mesh }: { mesh: Mesh }): Hono {
  return new Hono().post('/:id/tools/:tool', async (context) => {
    const { id, tool } = context.req.param()
    const body = await readJsonObject(context.req.raw)
    const options = callOptions(body)
    const abort = new AbortController()
    const signal = AbortSignal.any([context.req.raw.signal, abort.signal])
    const call = mesh.call(id, tool, body['input'] ?? {}, { ...options, signal })
    if (!accepts(context.req.header('accept'), 'application/x-ndjson')) return context.json(await collect(call, abort))
    return new Response(
      pullStream(callLines(call), () => abort.abort()),
      { headers: { 'content-type': 'application/x-ndjson', ...STREAM_HEADERS } }
    )
  })
}

/** True if an Accept header names the media type itself; a wildcard is what clients send that do not care. */
export function accepts(accept: string | undefined, mediaType: string): boolean {
  return (accept ?? '').split(',').some((part) => part.split(';', 1)[0]?.trim().toLowerCase() === mediaType)
}

function callOptions(body: JsonObject): CallOptions {
  refuseUnknownKeys('key', Object.keys(body), BODY_KEYS)
  const { timeoutMs, node, idempotencyKey, failover, causes } = body
  const options: CallOptions = readPreference(body)
  const wrong = (key: string, expected: string) => new MeshError('invalid_argument', `${key} must be ${expected}`, { key })
  if (timeoutMs !== undefined) {
    if (typeof timeoutMs !== 'number' || !(timeoutMs > 0) || timeoutMs > MAX_TIMEOUT_MS)
      throw wrong('timeoutMs', `a number of milliseconds above 0 and up to ${MAX_TIMEOUT_MS}`)
    options.timeoutMs = timeoutMs
  }
  if (node !== undefined) {
    if (typeof node !== 'string') throw wrong('node', 'a string')
    options.node = node
  }
  if (idempotencyKey !== undefined) {
    if (typeof idempotencyKey !== 'string') throw wrong('idempotencyKey', 'a string')
    options.idempotencyKey = idempotencyKey
  }
  if (failover !== undefined) {
    if (typeof failover !== 'boolean') throw wrong('failover', 'true or false')
    options.failover = failover
  }
  if (causes !== undefined) {
    if (!isTexts(causes)) throw wrong('causes', 'a list of PeerIds')
    options.causes = causes
  }
  return options
}

function lineOf(item: Exclude<CallItem, { kind: 'result' }>): CallLine {
  return item.kind === 'bytes' ? { kind: 'bytes', base64: toBase64(item.bytes) } : item
}

async function* callLines(call: Call): AsyncGenerator<string | Uint8Array, void, void> {
  try {
    for await (const item of call) if (item.kind !== 'result') yield item.kind === 'bytes' ? bytesLine(item.bytes) : toLine(item)
    yield toLine({ status: 'success', ...(await call.result) })
  } catch (error) {
    yield toLine({ status: 'error', error: errorToJson(error) })
  }
}

const BYTES_HEAD = new TextEncoder().encode('{"kind":"bytes","base64":"')
const BYTES_TAIL = new TextEncoder().encode('"}\n')

/** The line of bytes, written as bytes: a big one is not copied through strings. */
function bytesLine(bytes: Uint8Array): Uint8Array {
  const length = base64Length(bytes.byteLength)
  const line = new Uint8Array(BYTES_HEAD.byteLength + length + BYTES_TAIL.byteLength)
  line.set(BYTES_HEAD)
  writeBase64(bytes, line, BYTES_HEAD.byteLength)
  line.set(BYTES_TAIL, BYTES_HEAD.byteLength + length)
  return line
}

const toLine = (line: CallLine) => `${JSON.stringify(line)}\n`

async function collect(call: Call, abort: AbortController): Promise<{ status: 'success'; items?: CallLine[] } & CallResult> {
  const items: CallLine[] = []
  let bytes = 0
  for await (const item of call) {
    if (item.kind === 'result' || item.kind === 'progress') continue
    if (item.kind === 'restart') {
      items.length = bytes = 0
      continue
    }
    const line = lineOf(item)
    bytes += item.kind === 'bytes' ? item.bytes.byteLength : JSON.stringify(item.value).length
    if (bytes > MAX_COLLECTED_BYTES) {
      abort.abort()
      throw new MeshError(
        'too_large',
        `the tool yields more than ${MAX_COLLECTED_BYTES} bytes; ask for a stream with "Accept: application/x-ndjson"`,
        { maxBytes: MAX_COLLECTED_BYTES }
      )
    }
    items.push(line)
  }
  return { status: 'success', ...(await call.result), ...(items.length > 0 && { items }) }
}
