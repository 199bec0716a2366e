import { decodeCbor, encodeCbor } from './cbor.ts'
import { MeshError } from './errors.ts'
import type { JsonObject, JsonSchema } from './json.ts'
import { MAX_JSON_DEPTH, asJson } from './shape.ts'

/** Whether the result of a tool may be reused for the same input, and how long. */
export interface CachePolicy {
  ttlMs: number
}

/** A tool (pull): a callable function of a capability. Keys that this version does not know are kept and passed on. */
export interface ToolDeclaration {
  /** `[A-Za-z0-9_.-]{1,128}`, unique within the capability. */
  name: string
  description?: string
  /** Schema of the input; default: an object with any keys. */
  input?: JsonSchema
  /** Schema of the result. */
  output?: JsonSchema
  /** Time that the provider gives a call when the caller names none, in ms. */
  timeoutMs?: number
  /** A second run with the same input does no harm: such a call may be retried after it began. */
  idempotent?: boolean
  /** The owner of the provider must agree before the tool runs. */
  requiresApproval?: boolean
  /** Present only if results may be cached. */
  cache?: CachePolicy
  /** Calls that run at once at the provider; more wait in a queue. */
  concurrency?: number
  /** Calls that may wait; beyond it the answer is `busy`. */
  queue?: number
  /** True if the tool sends items before its result. */
  streams?: boolean
  /** True if the tool reads a stream of items beside its input. */
  acceptsStream?: boolean
  /** Hints of the author (MCP annotations and the like). Never trusted for policy. */
  annotations?: JsonObject
  [extension: string]: unknown
}

/** A trigger (push): an event that a capability raises by itself; it becomes an intent. */
export interface TriggerDeclaration {
  event: string
  description?: string
  /** Text of the intent; `{key}` and `{a.b}` are filled from the payload, or from the metadata of the capability. */
  intentTemplate?: string
  /** Schema of the payload. */
  payload?: JsonSchema
  /** What an event is about, where there are several: `key` or `a.b` of the payload, or of the metadata. Default: `location`. */
  subject?: string
  /** Where it should go: `capability:ID`, a glob over types, or a domain. */
  routeHint?: string
  /** How many of those that it may go to handle it; default: one. */
  fanOut?: 'one' | 'all' | number
  priority?: 'low' | 'normal' | 'high' | 'critical'
  /** Shortest time between two events of one subject, in ms. What is raised in between becomes one event at its end. */
  throttleMs?: number
  /** An event of a subject waits until none has been raised for this time, in ms; five times as long at most. */
  debounceMs?: number
  /** How long an event may wait to be handled, in ms; default and most: one day. */
  expiresMs?: number
  [extension: string]: unknown
}

/** How a capability handles the events of others. */
export interface HandlesDeclaration {
  /** It wants the events of one source and subject in their order. */
  ordered?: boolean
  [extension: string]: unknown
}

/** `online` and `degraded` can be called; `busy` can, but rather not; `suspended` and `offline` cannot. */
export const CAPABILITY_STATUSES = ['online', 'degraded', 'busy', 'suspended', 'offline'] as const
/** One of {@link CAPABILITY_STATUSES}. */
export type CapabilityStatus = (typeof CAPABILITY_STATUSES)[number]

/** Something a node offers. Keys that this version does not know are kept and passed on. */
export interface CapabilityDeclaration {
  /** `[a-z0-9][a-z0-9._:-]{0,127}`, unique on its node. The same id and type on two nodes means: interchangeable. */
  id: string
  /** Open, lower-case path: `sensor/camera`, `llm/chat`. */
  type: string
  /** For people; default: the id. */
  name?: string
  description?: string
  version?: string
  tools?: ToolDeclaration[]
  triggers?: TriggerDeclaration[]
  /** Present only if it handles events of others: what makes an agent of it. */
  handles?: HandlesDeclaration
  /** 5–10 utterances that this capability should answer; the strongest help for routing by meaning. */
  examples?: string[]
  keywords?: string[]
  metadata?: JsonObject
  status?: CapabilityStatus
  /** Why it is not `online`. */
  statusReason?: string
  /** `node`: the provider matters (a disk, a clock), so the same id on two nodes is two different things. Default `mesh`. */
  scope?: 'mesh' | 'node'
  [extension: string]: unknown
}

/** Largest encoded capability, in bytes. */
export const MAX_CAPABILITY_BYTES = 64 * 1024
/** Most values in one capability, of any kind and keys included. */
export const MAX_CAPABILITY_VALUES = 8_192
/** Most tools of one capability; the same for triggers. */
export const MAX_TOOLS = 256
/** Most examples, and most keywords, of one capability. */
export const MAX_PHRASES = 64
const MAX_TEXT = 8_192
const ID = /^[a-z0-9][a-z0-9._:-]{0,127}$/
const TYPE = /^[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*){0,7}$/
const NAME = /^[A-Za-z0-9_.-]{1,128}$/

/**
 * Checks what a capability must hold to be usable; keys that are not known pass.
 * @returns the same object.
 * @throws MeshError `invalid_argument`, `details.path` is a JSON pointer.
 */
export function checkCapability(value: unknown): CapabilityDeclaration {
  const map = object(value, '')
  try {
    asJson(value)
  } catch {
    fail('', `JSON of at most ${MAX_JSON_DEPTH} levels`)
  }
  match(map['id'], ID, '/id', 'lower-case letters, digits and . _ : - (at most 128)')
  match(map['type'], TYPE, '/type', 'a lower-case path such as "sensor/camera"')
  if (String(map['type']).length > 128) fail('/type', 'at most 128 characters')
  for (const key of ['name', 'description', 'version', 'status', 'statusReason', 'scope']) text(map[key], `/${key}`)
  for (const key of ['examples', 'keywords']) {
    list(map[key], `/${key}`, MAX_PHRASES).forEach((phrase, n) => text(phrase, `/${key}/${n}`, true))
  }
  if (map['metadata'] !== undefined) object(map['metadata'], '/metadata')
  unique(list(map['tools'], '/tools', MAX_TOOLS), 'name', '/tools', (tool, path) => {
    text(tool['description'], `${path}/description`)
    schema(tool['input'], `${path}/input`)
    schema(tool['output'], `${path}/output`)
    for (const key of ['timeoutMs', 'concurrency', 'queue']) count(tool[key], `${path}/${key}`)
    for (const key of ['idempotent', 'requiresApproval', 'streams', 'acceptsStream']) flag(tool[key], `${path}/${key}`)
    if (tool['cache'] !== undefined) count(object(tool['cache'], `${path}/cache`)['ttlMs'], `${path}/cache/ttlMs`)
  })
  unique(list(map['triggers'], '/triggers', MAX_TOOLS), 'event', '/triggers', (trigger, path) => {
    for (const key of ['description', 'intentTemplate', 'subject', 'routeHint', 'priority']) text(trigger[key], `${path}/${key}`)
    schema(trigger['payload'], `${path}/payload`)
    for (const key of ['throttleMs', 'debounceMs', 'expiresMs']) count(trigger[key], `${path}/${key}`)
    if (typeof trigger['fanOut'] === 'number') count(trigger['fanOut'], `${path}/fanOut`)
    else text(trigger['fanOut'], `${path}/fanOut`)
  })
  if (map['handles'] !== undefined) flag(object(map['handles'], '/handles')['ordered'], '/handles/ordered')
  return map as unknown as CapabilityDeclaration
}

/** Lossless: every key of the declaration is kept. @throws MeshError `invalid_argument`, `too_large`. */
export function encodeCapability(declaration: CapabilityDeclaration): Uint8Array {
  const bytes = encodeCbor(checkCapability(declaration))
  if (bytes.length > MAX_CAPABILITY_BYTES) {
    const message = `capability "${declaration.id}" is ${bytes.length} bytes, the limit is ${MAX_CAPABILITY_BYTES}; shorten its schemas or split it`
    throw new MeshError('too_large', message, { bytes: bytes.length, limit: MAX_CAPABILITY_BYTES })
  }
  return bytes
}

/** @throws MeshError `protocol_error`. A status of a newer version is kept as it is. */
export function decodeCapability(bytes: Uint8Array): CapabilityDeclaration {
  if (bytes.length > MAX_CAPABILITY_BYTES)
    throw new MeshError('protocol_error', `a peer's capability is over ${MAX_CAPABILITY_BYTES} bytes`)
  const value = decodeCbor(bytes, MAX_CAPABILITY_VALUES)
  try {
    return checkCapability(value)
  } catch (error) {
    throw new MeshError('protocol_error', `a peer's capability is not valid: ${(error as Error).message}`, {}, { cause: error })
  }
}

function fail(path: string, want: string): never {
  throw new MeshError('invalid_argument', `capability ${path || '/'} must be ${want}`, { path })
}

function object(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) fail(path, 'an object')
  return value as Record<string, unknown>
}

function list(value: unknown, path: string, max: number): unknown[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.length > max) fail(path, `a list of at most ${max}`)
  return value
}

function match(value: unknown, pattern: RegExp, path: string, want: string): void {
  if (typeof value !== 'string' || !pattern.test(value)) fail(path, want)
}

function text(value: unknown, path: string, required = false): void {
  if (value === undefined && !required) return
  if (typeof value !== 'string' || value.length > MAX_TEXT) fail(path, `text of at most ${MAX_TEXT} characters`)
}

function schema(value: unknown, path: string): void {
  if (value !== undefined && typeof value !== 'boolean') object(value, path)
}

function count(value: unknown, path: string): void {
  if (value !== undefined && (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0))
    fail(path, 'a whole number of 0 or more')
}

function flag(value: unknown, path: string): void {
  if (value !== undefined && typeof value !== 'boolean') fail(path, 'true or false')
}

function unique(items: unknown[], key: string, path: string, check: (item: Record<string, unknown>, path: string) => void): void {
  const seen = new Set<unknown>()
  items.forEach((item, n) => {
    const map = object(item, `${path}/${n}`)
    match(map[key], NAME, `${path}/${n}/${key}`, 'letters, digits and _ . - (at most 128)')
    if (seen.has(map[key])) fail(`${path}/${n}/${key}`, `unique; "${String(map[key])}" occurs twice`)
    seen.add(map[key])
    check(map, `${path}/${n}`)
  })
}
