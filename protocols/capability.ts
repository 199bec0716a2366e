import type { JsonObject, JsonSchema } from './json.ts'

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
  /** Text of the intent with `{key}` placeholders, filled from the payload. */
  intentTemplate?: string
  /** Schema of the payload. */
  payload?: JsonSchema
  /** Where it should go: `capability:ID`, or a glob over types. */
  routeHint?: string
  priority?: 'low' | 'normal' | 'high' | 'critical'
  /** Shortest time between two events of one subject, in ms. */
  throttleMs?: number
  [extension: string]: unknown
}

/** `online` and `degraded` can be called; `busy` can, but rather not; `suspended` and `offline` cannot. */
export const CAPABILITY_STATUSES = ['online', 'degraded', 'busy', 'suspended', 'offline'] as const
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
