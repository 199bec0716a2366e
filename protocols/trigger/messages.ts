import { MAX_CAPABILITY_ID } from '../call/messages.ts'
import { MeshError } from '../errors.ts'
import { asArray, asBytes, asMap, asText, asUint, optional } from '../shape.ts'
import { MAX_EVENT_BYTES } from './event.ts'
import { asCauses, asPatterns } from './observe.ts'

export * from './event.ts'
export * from './payload.ts'
export * from './event-pattern.ts'
export { MAX_EVENT_PATTERNS, decodeCopy, encodeCopy, type EventCopy, type ObserveBegin } from './observe.ts'

/** libp2p protocol id. */
export const TRIGGER_PROTOCOL = '/atmosphere/trigger/1'
/** Deliveries of an exchange that are neither accepted nor failed. */
export const MAX_UNACCEPTED = 1_024
/** Bytes of their events. */
export const MAX_UNACCEPTED_BYTES = 1024 * 1024
/** Deliveries of an exchange that are accepted, and neither done nor failed; past it the answer is `busy`. */
export const MAX_HANDLING = 4_096
/** Most deliveries that one item answers, of each kind. */
export const MAX_ANSWERS = 512
/** Longest time that an event may still wait to be handled, in ms: one day. */
export const MAX_EVENT_AGE_MS = 86_400_000
/** Bytes in one item of a payload that goes by reference. */
export const MAX_PAYLOAD_PART = 64 * 1024
/** Longest message of a failure, in characters. */
export const MAX_FAILURE_MESSAGE = 512
const MAX_CODE = 64
const HASH_BYTES = 32

/** Body of the open frame: what the exchange is for. */
export type TriggerOpen =
  | { kind: 'deliver' }
  /** Asks the source of an event for the payload that it refers to. */
  | { kind: 'fetch'; hash: Uint8Array }
  /** Asks for a copy of each event that fits one of the patterns, from now on. */
  | { kind: 'observe'; patterns: readonly string[] }

/** One event for one handler. An item of the source. */
export interface Delivery {
  /** Of this exchange: from 0, one more each time. */
  number: number
  /** Id of the capability that is to handle it, at the reader. */
  handler: string
  /** The event, encoded. */
  event: Uint8Array
  /** Time that it may still wait to be handled, in ms. Relative, because clocks are not compared. */
  remainingMs: number
  /** On whose behalf the source speaks, PeerIds as multihash bytes, who began it first; without the source. Never empty. */
  causes?: Uint8Array[] | undefined
  /** Number of the last event before it, of its source and subject, that was sent to this handler once and may not have come there. */
  lost?: number | undefined
}

/** That a delivery will not be done. */
export interface Failure {
  number: number
  /** As in `protocols/errors.ts`; one that is not known counts as `internal`. */
  code: string
  /** Another handler, or this one later, may do it. */
  retryable: boolean
  /** This handler is not to be asked again before, in ms from now. */
  retryAfterMs: number
  /** For people; may be empty. */
  message: string
}

/** What became of deliveries. An item of the handler's node. */
export interface Answers {
  /** Kept: they will be handled, also if the source is gone. */
  accepted: number[]
  done: number[]
  failed: Failure[]
}

/** Body of the open frame. */
export function encodeTriggerOpen(open: TriggerOpen): unknown {
  switch (open.kind) {
    case 'deliver':
      return { o: 'deliver' }
    case 'fetch':
      return { o: 'fetch', h: open.hash }
    case 'observe':
      return { o: 'observe', p: open.patterns }
  }
}

/** @throws MeshError `protocol_error`. */
export function decodeTriggerOpen(body: unknown): TriggerOpen {
  const map = asMap(body, 'open')
  if (map['o'] === 'deliver') return { kind: 'deliver' }
  if (map['o'] === 'fetch') return { kind: 'fetch', hash: asBytes(map['h'], 'h', HASH_BYTES, HASH_BYTES) }
  if (map['o'] === 'observe') return { kind: 'observe', patterns: asPatterns(map['p']) }
  throw new MeshError('protocol_error', 'field "o" of a peer\'s message must be "deliver", "fetch" or "observe"')
}

/** Body of an item of the source. */
export function encodeDelivery({ number, handler, event, remainingMs, causes, lost }: Delivery): unknown {
  return {
    n: number,
    h: handler,
    e: event,
    ms: Math.max(0, Math.min(MAX_EVENT_AGE_MS, Math.floor(remainingMs))),
    v: causes,
    l: lost
  }
}

/** The event in it is not decoded: a bad one is that delivery's fault alone. @throws MeshError `protocol_error`. */
export function decodeDelivery(body: unknown): Delivery {
  const map = asMap(body, 'item')
  return {
    number: asUint(map['n'], 'n'),
    handler: asText(map['h'], 'h', MAX_CAPABILITY_ID),
    event: asBytes(map['e'], 'e', MAX_EVENT_BYTES, 1),
    remainingMs: asUint(map['ms'], 'ms', MAX_EVENT_AGE_MS),
    causes: optional(map['v'], asCauses),
    lost: optional(map['l'], (value) => asUint(value, 'l'))
  }
}

/** Body of an item of the handler's node. Lists that are empty are left out. */
export function encodeAnswers({ accepted, done, failed }: Answers): unknown {
  return {
    a: accepted.length === 0 ? undefined : accepted,
    d: done.length === 0 ? undefined : done,
    f: failed.length === 0 ? undefined : failed.map(encodeFailure)
  }
}

/** @throws MeshError `protocol_error`. */
export function decodeAnswers(body: unknown): Answers {
  const { a, d, f } = asMap(body, 'item')
  const answers = {
    accepted: optional(a, (value) => asNumbers(value, 'a')) ?? [],
    done: optional(d, (value) => asNumbers(value, 'd')) ?? [],
    failed: optional(f, (value) => asArray(value, 'f', MAX_ANSWERS).map(asFailure)) ?? []
  }
  if (answers.accepted.length + answers.done.length + answers.failed.length === 0)
    throw new MeshError('protocol_error', 'an item that answers no delivery')
  return answers
}

/** Body of an item of the source: a part of a payload. @throws MeshError `protocol_error`. */
export function decodePayloadPart(body: unknown): Uint8Array {
  return asBytes(body, 'item', MAX_PAYLOAD_PART, 1)
}

function encodeFailure({ number, code, retryable, retryAfterMs, message }: Failure): unknown[] {
  const row: unknown[] = [number, code, retryable]
  if (retryAfterMs > 0 || message !== '') row.push(Math.min(MAX_EVENT_AGE_MS, Math.ceil(retryAfterMs)))
  if (message !== '') row.push(message.slice(0, MAX_FAILURE_MESSAGE))
  return row
}

function asFailure(value: unknown): Failure {
  const row = asArray(value, 'f', 8)
  const retryable = row[2]
  if (typeof retryable !== 'boolean')
    throw new MeshError('protocol_error', "a failure of a peer's message must say whether it may be tried again")
  return {
    number: asUint(row[0], 'f'),
    code: asText(row[1], 'code', MAX_CODE),
    retryable,
    retryAfterMs: optional(row[3], (ms) => asUint(ms, 'ms', MAX_EVENT_AGE_MS)) ?? 0,
    message: optional(row[4], (message) => asText(message, 'message', MAX_FAILURE_MESSAGE)) ?? ''
  }
}

function asNumbers(value: unknown, field: string): number[] {
  return asArray(value, field, MAX_ANSWERS).map((number) => asUint(number, field))
}
