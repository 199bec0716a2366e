import type { Item, Load } from '../../protocols/call/items.ts'
import type { JsonValue } from '../../protocols/json.ts'

export type { Item, Load, Progress } from '../../protocols/call/items.ts'
export type { JsonObject, JsonSchema, JsonValue } from '../../protocols/json.ts'

/** One call of one tool, as a provider sees it. */
export interface ToolRequest {
  /** Id of the capability on its node. */
  capability: string
  tool: string
  input: JsonValue
  /** Only whether it may run, as far as that can be said without its input and without asking a person: then nothing is yielded. The same request follows with its input. */
  ahead?: boolean
  /**
   * Of an input whose room is counted here: whoever holds the input for longer than its caller reads calls it before that, and what it returns once the input is not held any
   * more (again does nothing). Never sent.
   */
  keepInput?: () => () => void
  /** Items that the caller streams in, for tools with `acceptsStream`. */
  stream?: AsyncIterable<Item>
  /** Verified PeerId of who calls. */
  caller: string
  /** On whose behalf it calls, as it says: PeerIds, who began it first. Undefined: for itself. */
  causes?: readonly string[]
  /** Id of the agent of this node that makes the call: what it calls here needs the consent that a call of another node would. Never sent: there the caller and the causes say so. */
  agent?: string
  /** Time that is left, in ms from now. Clocks are never compared. */
  remainingMs?: number
  /** The same key twice is the same call. */
  idempotencyKey?: string
  /** W3C Trace Context, https://www.w3.org/TR/trace-context/ */
  traceparent?: string
  /** The caller wants to know how busy the provider is. */
  question?: LoadQuestion
  /** The caller has another provider at hand: one that is full refuses at once rather than lets the call wait. */
  elsewhere?: boolean
}

/** What goes with a call, or without one, to learn how busy a provider is with its tool. A tool itself never sees it. */
export interface LoadQuestion {
  /** That alone: the tool does not run, and there is no input. */
  only: boolean
  /** Called once at most, before the end: a provider may leave it unanswered, but not if nothing else was asked. */
  answer(load: Load): void
}

/** What goes with a request but is not part of it. */
export interface InvokeOptions {
  /** Aborted when the caller cancels, dies, or the deadline passes. A generator's `finally` runs then. */
  signal: AbortSignal
}

/**
 * A call, local or remote: the same function type everywhere. Yields the items of the call; throws {@link MeshError}.
 * When the iteration is left early, the work stops.
 */
export type Invoke = (request: ToolRequest, options: InvokeOptions) => AsyncIterable<Item>
