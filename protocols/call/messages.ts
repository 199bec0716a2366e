import type { JsonValue } from '../json.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asJson, asMap, asNumber, asText, asUint, optional } from '../shape.ts'
import type { Item, Load, Progress } from './items.ts'

export type { Item, Load, Progress } from './items.ts'

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
/** Longest input that is sent in pieces after the open frame, in bytes of its CBOR. */
export const MAX_INPUT_BYTES = 32 * 1024 * 1024
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
  /** How long the input is that follows in items of bytes, as CBOR; then `input` is not sent. */
  inputBytes?: number | undefined
  /** Time that the caller still has, in ms. Relative, because clocks are not compared. */
  remainingMs?: number | undefined
  /** The same key from the same caller is the same call: it runs once. */
  idempotencyKey?: string | undefined
  /** W3C Trace Context level 1, header `traceparent`. */
  traceparent?: string | undefined
  /** On whose behalf the caller calls, PeerIds as multihash bytes, who began it first; without the caller. Never empty. */
  causes?: Uint8Array[] | undefined
  /** The provider is to tell its load with the reply. */
  tellLoad?: boolean | undefined
  /** The caller has another provider at hand: one that is full is to refuse at once rather than let the call wait. */
  elsewhere?: boolean | undefined
}

/** Body of the open frame of a probe: how busy a provider is with a tool. Nothing is called. */
export interface Probe {
  capability: string
  tool: string
  /** As of a call. */
  causes?: Uint8Array[] | undefined
}

/** Bits of `q`; a reader ignores all others. */
const TELL_LOAD = 1
const ELSEWHERE = 2
const MAX_QUESTION = 255

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Body of the open frame. */
export function encodeRequest(request: CallRequest): unknown {
  const question = (request.tellLoad === true ? TELL_LOAD : 0) | (request.elsewhere === true ? ELSEWHERE : 0)
  return {
    c: request.capability,
    t: request.tool,
    i: request.inputBytes === undefined ? request.input : undefined,
    l: request.inputBytes,
    ms: request.remainingMs === undefined ? undefined : Math.max(0, Math.min(MAX_REMAINING_MS, Math.floor(request.remainingMs))),
    k: request.idempotencyKey,
    tp: request.traceparent,
    v: request.causes,
    q: question === 0 ? undefined : question
  }
}

/** @throws MeshError `protocol_error` naming the field. Keys that are not known are ignored. */
export function decodeRequest(body: unknown): CallRequest {
  const map = asMap(body, 'request')
  const traceparent = optional(map['tp'], (value) => asText(value, 'tp', 55))
  if (traceparent !== undefined && !TRACEPARENT.test(traceparent))
    throw new MeshError('protocol_error', 'field "tp" of a peer\'s message is no traceparent')
  const question = map['q'] === undefined ? 0 : asUint(map['q'], 'q', MAX_QUESTION)
  return {
    capability: asText(map['c'], 'c', MAX_CAPABILITY_ID),
    tool: asText(map['t'], 't', MAX_TOOL_NAME),
    input: asJson(map['i'] ?? null),
    inputBytes: optional(map['l'], (value) => asUint(value, 'l', MAX_INPUT_BYTES)),
    remainingMs: optional(map['ms'], (value) => asUint(value, 'ms', MAX_REMAINING_MS)),
    idempotencyKey: optional(map['k'], (value) => asText(value, 'k', MAX_IDEMPOTENCY_KEY)),
    traceparent,
    causes: optional(map['v'], asCauses),
    tellLoad: (question & TELL_LOAD) !== 0 || undefined,
    elsewhere: (question & ELSEWHERE) !== 0 || undefined
  }
}

/** Body of the open frame of a probe. It has neither `c` nor `t`: a node that does not know probes refuses it, and runs nothing. */
export function encodeProbe({ capability, tool, causes }: Probe): unknown {
  return { p: [capability, tool], v: causes }
}

/** @returns undefined if the body is no probe, but a call. @throws MeshError `protocol_error` naming the field. */
export function decodeProbe(body: unknown): Probe | undefined {
  const { p, v } = asMap(body, 'request')
  if (p === undefined) return undefined
  const [capability, tool] = asArray(p, 'p', 2)
  return {
    capability: asText(capability, 'p', MAX_CAPABILITY_ID),
    tool: asText(tool, 'p', MAX_TOOL_NAME),
    causes: optional(v, asCauses)
  }
}

/** Body of the end frame of a probe; also the second part of a load item. */
export function encodeLoad({ running, slots, serviceMs, ageMs }: Load): unknown {
  return { r: running, s: slots, e: serviceMs, a: ageMs === undefined ? undefined : Math.max(0, Math.floor(ageMs)) }
}

/** @throws MeshError `protocol_error` naming the field. */
export function decodeLoad(body: unknown): Load {
  const map = asMap(body, 'load')
  const serviceMs = optional(map['e'], (value) => asNumber(value, 'e'))
  if (serviceMs !== undefined && serviceMs < 0)
    throw new MeshError('protocol_error', 'field "e" of a peer\'s message must not be negative')
  return {
    running: asUint(map['r'], 'r'),
    slots: asUint(map['s'], 's'),
    serviceMs,
    ageMs: optional(map['a'], (value) => asUint(value, 'a'))
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
const LOAD_ITEM = 3

/** Body of the item frame that tells the load of the provider, once, before the end: only to callers that asked for it. */
export function encodeLoadItem(load: Load): unknown {
  return [LOAD_ITEM, encodeLoad(load)]
}

/** @returns undefined if the body is not of this kind. @throws MeshError `protocol_error`. */
export function decodeLoadItem(body: unknown): Load | undefined {
  const [kind, load] = asArray(body, 'item', 2)
  return kind === LOAD_ITEM ? decodeLoad(load) : undefined
}

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
