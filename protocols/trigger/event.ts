import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import type { JsonValue } from '../json.ts'
import { asJson, asMap, asText, asUint, optional } from '../shape.ts'
import {
  decodeSequence,
  decodeSource,
  encodeSequence,
  encodeSource,
  type EventSequence,
  type EventSource
} from './event-names.ts'

export type { EventSequence, EventSource } from './event-names.ts'

/** Largest encoded event, in bytes: what any intermediary of CloudEvents must pass on. A larger payload goes by reference. */
export const MAX_EVENT_BYTES = 64 * 1024
/** Largest payload that an event refers to, in bytes. */
export const MAX_REFERENCED_BYTES = 16 * 1024 * 1024
/** Longest text of an intent, in characters. */
export const MAX_INTENT = 2_048
/** Longest subject, in characters. */
export const MAX_SUBJECT = 256
/** Longest hint of where an event should go, in characters. */
export const MAX_ROUTE_HINT = 256
/** Events that may follow from each other: one that is raised while an event of the depth before this is handled goes nowhere. */
export const MAX_HOP_DEPTH = 8

/** How urgent an event is, the least first. */
export const PRIORITIES = ['low', 'normal', 'high', 'critical'] as const
/** One of {@link PRIORITIES}. */
export type Priority = (typeof PRIORITIES)[number]

/** Many firings in one event. */
export interface Coalesced {
  /** How many it stands for, two at least. */
  count: number
  /** When the first of them was, RFC 3339. The last was at the time of the event. */
  from?: string | undefined
}

/** A payload that is too large for an event: its handler gets it from the source. */
export interface DataRef {
  /** SHA-256, lower-case hex. */
  hash: string
  /** Its size in bytes. */
  size: number
}

/** An event as it travels: an envelope of CloudEvents 1.0, https://github.com/cloudevents/spec */
export interface MeshEvent {
  /** `<incarnation>-<number>`, unique at its node. */
  id: string
  source: EventSource
  /** Type of its capability with dots, a dot, and its name: `sensor.camera.person_detected`. */
  type: string
  /** What it is about, of several things that the capability watches. */
  subject?: string | undefined
  /** When it was raised, RFC 3339, by the clock of the source: for people, nothing is decided by it. */
  time?: string | undefined
  /** SHA-256 of the schema of the payload, lower-case hex. */
  dataSchema?: string | undefined
  /** Media type of what `dataRef` refers to. */
  dataContentType?: string | undefined
  sequence: EventSequence
  priority: Priority
  /** Where the trigger wants it to go. */
  routeHint?: string | undefined
  /** W3C Trace Context level 1, header `traceparent`. */
  traceparent?: string | undefined
  /** How many events it follows from, one from the other. */
  hopDepth: number
  /** What should be done, in words. */
  intent: string
  /** Undefined if it stands for one firing. */
  coalesced?: Coalesced | undefined
  /** The payload; null if there is none, or if `dataRef` refers to it. */
  data: JsonValue
  dataRef?: DataRef | undefined
}

const ID = /^\d{1,10}-\d{1,16}$/
const TYPE = /^[a-z0-9][A-Za-z0-9._-]{0,256}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/
const HASH = /^sha256:([0-9a-f]{64})$/
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/
const MEDIA_TYPE = /^[\w!#$&^.+-]{1,64}\/[\w!#$&^.+-]{1,64}(;[ -~]{1,64})?$/

/** Deterministic. @throws MeshError `too_large`: the payload has to go by reference; `invalid_argument` if it is no JSON. */
export function encodeEvent(event: MeshEvent): Uint8Array {
  const { data, dataRef, dataSchema, coalesced, priority, hopDepth } = event
  const bytes = encodeCbor({
    specversion: '1.0',
    id: event.id,
    source: encodeSource(event.source),
    type: event.type,
    subject: event.subject,
    time: event.time,
    datacontenttype: event.dataContentType,
    dataschema: dataSchema === undefined ? undefined : `sha256:${dataSchema}`,
    sequence: encodeSequence(event.sequence),
    priority: priority === 'normal' ? undefined : priority,
    routehint: event.routeHint,
    traceparent: event.traceparent,
    hopdepth: hopDepth === 0 ? undefined : hopDepth,
    intent: event.intent,
    coalesced: coalesced?.count,
    coalescedfrom: coalesced?.from,
    data: data ?? undefined,
    dataref: dataRef === undefined ? undefined : `sha256:${dataRef.hash}`,
    datasize: dataRef?.size
  })
  if (bytes.length > MAX_EVENT_BYTES) {
    const message = `an event is ${bytes.length} bytes, the limit is ${MAX_EVENT_BYTES}; send its payload by reference`
    throw new MeshError('too_large', message, { bytes: bytes.length, limit: MAX_EVENT_BYTES })
  }
  return bytes
}

/** @throws MeshError `protocol_error` naming the attribute. Those that are not known are ignored. */
export function decodeEvent(bytes: Uint8Array): MeshEvent {
  if (bytes.length > MAX_EVENT_BYTES) throw new MeshError('protocol_error', `a peer's event is over ${MAX_EVENT_BYTES} bytes`)
  const map = asMap(decodeCbor(bytes), 'event')
  if (map['specversion'] !== '1.0') refuse('specversion', '"1.0"')
  const event: MeshEvent = {
    id: matching(map['id'], 'id', ID, '<incarnation>-<number>'),
    source: decodeSource(map['source']),
    type: matching(map['type'], 'type', TYPE, 'a type with dots'),
    subject: optional(map['subject'], asFilled('subject', MAX_SUBJECT)),
    time: optional(map['time'], asTime('time')),
    dataSchema: optional(map['dataschema'], asHash('dataschema')),
    dataContentType: optional(map['datacontenttype'], (value) => matching(value, 'datacontenttype', MEDIA_TYPE, 'a media type')),
    sequence: decodeSequence(map['sequence']),
    priority: optional(map['priority'], asPriority) ?? 'normal',
    routeHint: optional(map['routehint'], asFilled('routehint', MAX_ROUTE_HINT)),
    traceparent: optional(map['traceparent'], (value) => matching(value, 'traceparent', TRACEPARENT, 'a traceparent')),
    hopDepth: optional(map['hopdepth'], (value) => asUint(value, 'hopdepth', MAX_HOP_DEPTH - 1)) ?? 0,
    intent: asFilled('intent', MAX_INTENT)(map['intent']),
    coalesced: asCoalesced(map),
    data: asJson(map['data'] ?? null),
    dataRef: asDataRef(map)
  }
  if (event.dataRef !== undefined && map['data'] !== undefined) refuse('dataref', 'left out where there is data')
  if (event.dataRef === undefined && event.dataContentType !== undefined && event.dataContentType !== 'application/json')
    refuse('datacontenttype', '"application/json" where there is no dataref')
  return event
}

function asPriority(value: unknown): Priority {
  const known = PRIORITIES.find((priority) => priority === value)
  if (known === undefined) refuse('priority', 'one of low, normal, high and critical')
  return known
}

function asCoalesced(map: Record<string, unknown>): Coalesced | undefined {
  const count = optional(map['coalesced'], (value) => asUint(value, 'coalesced'))
  const from = optional(map['coalescedfrom'], asTime('coalescedfrom'))
  if (count === undefined && from !== undefined) refuse('coalescedfrom', 'left out without coalesced')
  if (count !== undefined && count < 2) refuse('coalesced', '2 at least, or left out')
  return count === undefined ? undefined : { count, from }
}

function asDataRef(map: Record<string, unknown>): DataRef | undefined {
  const hash = optional(map['dataref'], asHash('dataref'))
  if (hash === undefined) {
    if (map['datasize'] !== undefined) refuse('datasize', 'left out without dataref')
    return undefined
  }
  const size = asUint(map['datasize'], 'datasize', MAX_REFERENCED_BYTES)
  if (size === 0) refuse('datasize', '1 at least')
  return { hash, size }
}

const asFilled =
  (field: string, max: number) =>
  (value: unknown): string =>
    asText(value, field, max) || refuse(field, 'left out or not be empty')

const asHash =
  (field: string) =>
  (value: unknown): string =>
    matching(value, field, HASH, 'sha256: and 64 lower-case hexadecimal digits').slice('sha256:'.length)

const asTime =
  (field: string) =>
  (value: unknown): string =>
    matching(value, field, TIME, 'a time of RFC 3339')

function matching(value: unknown, field: string, pattern: RegExp, want: string): string {
  if (typeof value !== 'string' || !pattern.test(value)) refuse(field, want)
  return value
}

function refuse(field: string, want: string): never {
  throw new MeshError('protocol_error', `attribute "${field}" of a peer's event must be ${want}`)
}
