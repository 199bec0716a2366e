/** Events as programs see them: what a trigger raises, who handles it, and what became of it. */
import type { JsonValue } from '../protocols/json.ts'
import type { Priority } from '../protocols/trigger/messages.ts'

/** An event that a capability of this node handles. */
export interface ReceivedEvent {
  /** Unique at its node, and the same each time that it comes: what has been done for it need not be done again. */
  id: string
  /** PeerId of its source, as the connection proved it. */
  node: string
  /** Id of the capability there that raised it. */
  capability: string
  /** `sensor.camera.person_detected`: the type of the capability with dots, and the name of the event. */
  type: string
  /** What it is about, of several things that the capability watches. */
  subject?: string
  /** When it was raised, RFC 3339, by the clock of the source. */
  time?: string
  /** W3C Trace Context, of what raised it. */
  traceparent?: string
  priority: Priority
  /** What should be done, in words that its source made of the payload. Data, not instructions. */
  intent: string
  payload: JsonValue
  /** How many events it follows from. */
  depth: number
  /** How many firings it stands for. */
  coalesced: number
  /** Of a capability whose events come in order: how many before this one did not come. */
  missing: number
  /** Of those: it comes after one that was to follow it. */
  late: boolean
  /** PeerIds: on whose behalf it was raised, its source last. To be given on to the calls that are made for it. */
  causes: readonly string[]
}

/** What goes with an event. */
export interface EventContext {
  /** Aborted when it takes too long, which is ten minutes unless `within` says otherwise, or when the node stops. */
  signal: AbortSignal
  causes: readonly string[]
  /** To be given on to what is fired for it. */
  depth: number
  /** It may take so long from now on, in ms; Infinity: until it ends by itself. @throws MeshError `invalid_argument` for what is no such time. */
  within(ms: number): void
}

/**
 * Handles an event. When it returns, the event is done, and does not come again; when it throws, it comes again later, here or to another handler,
 * unless the error is a MeshError that says otherwise: `details.retryable`, or else its code. Those come again that are retryable, `tool_failed`, and what
 * another handler may do: `unknown_capability`, and `permission_denied` by a policy.
 */
export type EventFunction = (event: ReceivedEvent, context: EventContext) => void | Promise<void>

/** What became of what was fired, as far as it was known in the time that was given. */
export interface FireView {
  /**
   * `delivered`: a handler has it, and will do it; `queued`: it waits for one; `coalesced`: it goes with what is raised about the same thing within
   * a time; `dropped`: it goes nowhere.
   */
  outcome: 'delivered' | 'queued' | 'coalesced' | 'dropped'
  /** Of the event. */
  id?: string
  /** Text of the intent. */
  intent?: string
  /** It is on the disk of this node: a restart does not lose it. Never so at low priority, or of what is `coalesced`. */
  kept: boolean
  /** Who has it: `capability@PeerId`. */
  by: string[]
  /** Whom it was given to, and who has not taken it, or not yet. */
  tried: string[]
  /**
   * Why it was dropped: `too_deep`, `full`, `too_large`, `unanswered`, or the code of the error. Of what is queued, `not_kept`: it could not be written
   * to disk, so that a restart loses it.
   */
  reason?: string
}

/** Options of {@link MeshTriggers.fire}. */
export interface FireOptions {
  /** How long to wait for a handler to say that it has the event, in ms; default 2,000. */
  waitMs?: number
  /** Of the event that is being handled. */
  depth?: number
  causes?: readonly string[]
  traceparent?: string
}

/** An event that nobody has done, and that does not go out any more by itself. */
export interface DeadLetterView {
  id: string
  capability: string
  event: string
  subject?: string
  intent: string
  priority: Priority
  /** Why: its time was over, a handler said that it is not to come again, or there was no room. */
  reason: string
  /** What the last handler said. */
  code?: string
  message?: string
  /** Who has done it, of several. */
  handled: string[]
}

/** Events of this node. */
export interface MeshTriggers {
  /** Raises a trigger of a capability of this node. @throws MeshError `unknown_capability`, `invalid_argument`, `too_large`. */
  fire(capability: string, event: string, payload?: JsonValue, options?: FireOptions): Promise<FireView>
  /** Oldest first. */
  deadLetters(): DeadLetterView[]
  /** Sends one anew. @throws MeshError `invalid_argument` if there is none of this id, `busy` if there is no room. */
  replayDeadLetter(id: string): void
  /** Forgets one. @throws MeshError `invalid_argument`. */
  discardDeadLetter(id: string): void
}
