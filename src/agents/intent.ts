import type { JsonValue } from '../core/invoke.ts'
import type { ReceivedEvent } from '../mesh-api-events.ts'

export type { ReceivedEvent } from '../mesh-api-events.ts'

/** What an agent is to do: what somebody asks for, or what an event says. */
export type Intent = { kind: 'ask'; text: string } | { kind: 'event'; event: ReceivedEvent }

/** How an event came. */
export interface HandleOptions {
  /** Aborted when it is not to be done here any more, or not now. */
  signal: AbortSignal
  /** On whose behalf: PeerIds, who began it first, the source last. */
  causes: readonly string[]
  /** How many events and agents it follows from. */
  depth: number
}

/** What goes with an event that an agent raises. */
export interface FireOptions {
  signal: AbortSignal
  /** On whose behalf; undefined: of this node itself. */
  causes: readonly string[] | undefined
  /** Of what it is raised for: that of the event is one more. */
  depth: number
  traceparent: string | undefined
}

/** How agents raise events. Whoever builds the node connects it with the delivery of events. */
export interface EventPort {
  /** @returns what became of it, as JSON. Rejects with MeshError. */
  fire(capability: string, event: string, payload: JsonValue, options: FireOptions): Promise<JsonValue>
}

/** What an agent has done for an intent, as it does it. */
export type AgentStep =
  /** Its model has answered: what it says, and how many tools it asks for. */
  | { step: 'model'; text: string; calls: number; tokens: number }
  /** It calls a tool. `target` is empty if there is no such tool. */
  | { step: 'call'; name: string; target: string; tool: string; input: string }
  /** What became of that; `code` of an error. */
  | { step: 'result'; name: string; durationMs: number; code?: string; message?: string }
  /** It has raised an event. */
  | { step: 'fire'; event: string }
  /** What an agent that is code says of its work. */
  | { step: 'note'; text: string }
