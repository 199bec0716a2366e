import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { JsonValue } from '../../protocols/json.ts'
import type { Invoke } from '../core/invoke.ts'
import type { EventContext, ReceivedEvent } from '../mesh-api-events.ts'

/** An event that a backend raises by itself. */
export interface TriggerEvent {
  capability: string
  event: string
  payload: JsonValue
  /** Of the event of the mesh that it follows from, where something outside the mesh lies between the two. */
  depth?: number
}

/**
 * An adapter that turns something real (functions, a program, an MCP server) into capabilities.
 * Life: `discover` is iterated once, for as long as the node runs; when its signal aborts the backend frees
 * everything that it holds (processes, sockets, timers) before the iteration ends.
 */
export interface Backend {
  /** Unique on the node; in messages and logs. */
  readonly id: string
  /** `function`, `command`, `mcp`, `system`, … */
  readonly kind: string
  /**
   * Yields a full snapshot of what is offered whenever it changes, the first one as soon as it is known.
   * A backend that cannot start does not throw: it yields its capabilities as `offline` with `statusReason`, and tries again.
   */
  discover(signal: AbortSignal): AsyncIterable<CapabilityDeclaration[]>
  /** Runs a tool. Input is already validated, defaults applied. Errors: MeshError; any other error becomes `tool_failed`. */
  call: Invoke
  /** Yields the events that the backend raises. */
  watch?(signal: AbortSignal): AsyncIterable<TriggerEvent>
  /** Handles an event for one of its capabilities that `handles` some. What it throws decides whether the event comes again: see {@link EventFunction}. */
  handle?(capability: string, event: ReceivedEvent, context: EventContext): Promise<void>
  /** Events that it could not deliver and that come again, as far as it knows. */
  waiting?(): number
}
