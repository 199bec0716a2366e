import type { JsonValue } from '../json.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asJson, asMap, asNumber, asText, asUint, optional } from '../shape.ts'
import type { Item, Progress } from './items.ts'

export type { Item, Progress } from './items.ts'

/** libp2p protocol id. */
export const CALL_PROTOCOL = '/atmosphere/call/1'
/** Longest id of a capability, in characters. */
export const MAX_CAPABILITY_ID = 128
/** Longest name of a tool, in characters. */
export const MAX_TOOL_NAME = 128
/** Longest idempotency key, in characters. */
export const MAX_IDEMPOTENCY_KEY = 128
/** Bytes are sent in items of at most this many, so that a large body never holds up other calls. */
export const MAX_BYTES_PER_ITEM = 64 * 1024
/** Longest time that a call may ask for: one day, in ms. */
export const MAX_REMAINING_MS = 86_400_000
/** Longest message of a progress item, in characters. */
export const MAX_PROGRESS_MESSAGE = 1_024

/** Most nodes that a call names as its causes. */
export const MAX_CAUSES = 8
const MAX_ID_BYTES = 64

/** Body of the open frame of a call. */
export interface CallRequest {
  /** Id of the capability at the provider. */
  capability: string
  tool: string
  input: JsonValue
  /** Time that the caller still has, in ms. Relative, because clocks are not compared. */
  remainingMs?: number | undefined
  /** The same key from the same caller is the same call: it runs once. */
  idempotencyKey?: string | undefined
  /** W3C Trace Context level 1, header `traceparent`. */
  traceparent?: string | undefined
  /** On whose behalf the caller calls, PeerIds as multihash bytes, who began it first; without the caller. Never empty. */
  causes?: Uint8Array[] | undefined
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Body of the open frame. */
export function encodeRequest(request: CallRequest): unknown {
  return {
    c: request.capability,
    t: request.tool,
    i: request.input,
    ms: request.remainingMs === undefined ? undefined : Math.max(0, Math.min(MAX_REMAINING_MS, Math.floor(request.remainingMs))),
    k: request.idempotencyKey,
    tp: request.traceparent,
    v: request.causes
  }
}

/** @throws MeshError `protocol_error` naming the field. Keys that are not known are ignored. */
export function decodeRequest(body: unknown): CallRequest {
  const map = asMap(body, 'request')
  const traceparent = optional(map['tp'], (value) => asText(value, 'tp', 55))
  if (traceparent !== undefined && !TRACEPARENT.test(traceparent))
    throw new MeshError('protocol_error', 'field "tp" of a peer\'s message is no traceparent')
  return {
    capability: asText(map['c'], 'c', MAX_CAPABILITY_ID),
    tool: asText(map['t'], 't', MAX_TOOL_NAME),
    input: asJson(map['i'] ?? null),
    remainingMs: optional(map['ms'], (value) => asUint(value, 'ms', MAX_REMAINING_MS)),
    idempotencyKey: optional(map['k'], (value) => asText(value, 'k', MAX_IDEMPOTENCY_KEY)),
    traceparent,
    causes: optional(map['v'], asCauses)
  }
}

function asCauses(value: unknown): Uint8Array[] {
  const causes = asArray(value, 'v', MAX_CAUSES).map((id) => asBytes(id, 'v', MAX_ID_BYTES, 2))
  if (causes.length === 0)
    throw new MeshError('protocol_error', 'field "v" of a peer\'s message must be left out or not be empty')
  return causes
}

const JSON_ITEM = 0
const BYTES_ITEM = 1
const PROGRESS_ITEM = 2

/** Body of an item frame. A result is not an item: it is the body of the end frame. */
export function encodeItem(item: Exclude<Item, { kind: 'result' }>): unknown {
  switch (item.kind) {
    case 'json':
      return [JSON_ITEM, item.value]
    case 'bytes':
      return [BYTES_ITEM, item.bytes]
    case 'progress':
      return [
        PROGRESS_ITEM,
        { d: item.progress.done, t: item.progress.total, m: item.progress.message?.slice(0, MAX_PROGRESS_MESSAGE) }
      ]
  }
}

/** @throws MeshError `protocol_error`. */
export function decodeItem(body: unknown): Exclude<Item, { kind: 'result' }> {
  const [kind, value] = asArray(body, 'item', 2)
  switch (kind) {
    case JSON_ITEM:
      return { kind: 'json', value: asJson(value) }
    case BYTES_ITEM:
      return { kind: 'bytes', bytes: asBytes(value, 'bytes', MAX_BYTES_PER_ITEM) }
    case PROGRESS_ITEM:
      return { kind: 'progress', progress: decodeProgress(value) }
    default:
      throw new MeshError('protocol_error', 'an item of a kind that this node does not know')
  }
}

function decodeProgress(value: unknown): Progress {
  const map = asMap(value, 'progress')
  const total = optional(map['t'], (v) => asNumber(v, 'total'))
  const message = optional(map['m'], (v) => asText(v, 'message', MAX_PROGRESS_MESSAGE))
  return {
    done: asNumber(map['d'], 'done'),
    ...(total === undefined ? {} : { total }),
    ...(message === undefined ? {} : { message })
  }
}
