/** Events as programs see them: what a trigger raises, who handles it, and what became of it. */
import type { JsonValue } from '../protocols/json.ts'
import type { Priority } from '../protocols/trigger/messages.ts'
import type { PendingReason } from './core/triggers/pending-events.ts'

/** An event that a capability of this node handles. */
export interface ReceivedEvent {
  /** Unique at its node, and the same each time that it comes: what has been done for it need not be done again. */
  id: string
  /** Id of the mesh. */
  mesh: string
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
  /** Of a capability whose events come in order: 1 if one before it, of its source and subject, was sent here and lost on its way, as those of `low` priority may be; else 0. */
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

/** A copy of an event, for whoever observes it. Data that its source made up, not instructions. */
export interface ObservedEvent extends Omit<ReceivedEvent, 'missing' | 'late'> {
  /** Type of the capability that raised it: `sensor/camera`. */
  capabilityType: string
  /** Name of the event there: `person_detected`. */
  event: string
  /** Its place among the events of its source and subject: 26 digits, in the order of the alphabet. Those that fit no pattern count as well. */
  sequence: string
  /** Where its trigger wants it to go. */
  routeHint?: string
  /** Its payload is too large to be copied, and null here: only its handlers get it. SHA-256 as lower-case hex, size in bytes, media type. */
  dataRef?: { hash: string; size: number; contentType: string }
  /** How many copies before this one found no room, at the source or here. */
  lost: number
}

/** Observes events: one after the other, the next one when it has returned. What it throws is told to the log alone. */
export type ObserverFunction = (event: ObservedEvent) => void | Promise<void>

/** Options of {@link MeshTriggers.on}. */
export interface SubscriptionOptions {
  /** Ends the subscription. */
  signal?: AbortSignal
  /** What {@link Subscription.sources} says has changed: a node came or went, or lets this one observe less, or more. Changes of a moment are told as one. */
  onSources?: (sources: ObservedNodeView[]) => void
}

/** Whether copies of a node arrive here. */
export interface ObservedNodeView {
  /** PeerId. */
  node: string
  /** `asking`: not yet, or not now. */
  state: 'asking' | 'open'
  /** Ids of capabilities that its policy does not let this node observe; 16 of them at most. */
  refused: readonly string[]
}

/** A subscription, until it is closed or the node stops. */
export interface Subscription extends Disposable {
  readonly pattern: string
  /** Copies that this node let go because the observer is slower than what it observes. */
  readonly dropped: number
  /** Other nodes that may raise what this node observes, with all its subscriptions. */
  sources(): ObservedNodeView[]
  /** Nothing comes any more. Idempotent. */
  close(): void
}

/** Who is meant by an event, and takes none now. */
export type AwayHandlerView = {
  /** `capability@PeerId`. */
  handler: string
  /** `suspended` by whoever runs it, until that is taken back; `offline`; `blocked`: what it says of itself has changed, and nobody here has accepted that. */
  state: 'suspended' | 'offline' | 'blocked'
  /** What it says why. Data of its node. */
  reason?: string
  /** It is an agent: `atmo agents ID --resume` at its node makes it go on. */
  isAgent: boolean
  /** It is of this node. */
  local: boolean
}

/** What became of what was fired, as far as it was known in the time that was given. */
export interface FireView {
  /**
   * `delivered`: a handler has it, and will do it; `queued`: it waits for one; `coalesced`: it goes with what is raised about the same thing within
   * a time; `dropped`: it goes nowhere.
   */
  outcome: 'delivered' | 'queued' | 'coalesced' | 'dropped'
  /** Of the event. */
  id?: string
  /** What decided where it goes: a hint that names a capability, one over types, or the default sink. Left out if nobody is there to handle it. */
  route?: 'capability' | 'type' | 'meaning' | 'sink'
  /** Text of the intent. */
  intent?: string
  /** It is on the disk of this node: a restart does not lose it. Never so at low priority, or of what is `coalesced`. */
  kept: boolean
  /** Who has it: `capability@PeerId`. */
  by: string[]
  /** Whom it was given to, and who has not taken it, or not yet. */
  tried: string[]
  /**
   * Why it was dropped: `too_deep`, `full`, `too_large`, `unanswered`, or the code of the error. Why it is queued: `not_kept` if it could not be written to
   * disk, so that a restart loses it; else as in {@link WaitingEventView}.
   */
  reason?: string
  /** Where nobody takes it now: whom it means all the same, 16 at most. It goes to them once they take events again. */
  away?: AwayHandlerView[]
  /** It was fired before with the same key: this is what has become of that event by now. */
  duplicate?: true
}

/** Options of {@link MeshTriggers.fire}. */
export interface FireOptions {
  /** How long to wait for a handler to say that it has the event, in ms; default 2,000. */
  waitMs?: number
  /** Of the event that is being handled. */
  depth?: number
  causes?: readonly string[]
  traceparent?: string
  /**
   * Fired again with the same key, 1 to 128 characters, it is the same event of that trigger, as long as that is not done, and for ten minutes after that: of the newest 8,192,
   * over a restart as well where there is a data directory. Not for triggers that are throttled or debounced.
   */
  key?: string
}

/** An event of this node that is not done. */
export interface WaitingEventView {
  id: string
  capability: string
  event: string
  subject?: string
  intent: string
  priority: Priority
  /** When it was raised, and when its time is over, RFC 3339. */
  since: string
  expires: string
  /**
   * Why it is not done: `no_handler`, nobody is there who handles it; `behind`, an older one of its subject goes first; `full`, handlers
   * have as many events as may be out at once; `unanswered`, whoever was asked has not answered; `refused`, whoever was asked has not
   * taken it, and it is tried again; `away`, who has it is gone, and it goes to another one if that is not back soon; `accepted`, a handler has it.
   */
  reason: PendingReason
  /** Who has it, or is being asked: `capability@PeerId`. */
  handlers: string[]
  /** Where there is `no_handler`: as in {@link FireView}. */
  away?: AwayHandlerView[]
  /** How often no answer, or a bad one, came. */
  tries: number
  /** What the last handler that did not do it said. */
  code?: string
  message?: string
  /** Who has done it, of several. */
  handled: string[]
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

/** Events that are not done. */
export interface WaitingEvents {
  /** The most urgent first, then the oldest. */
  events: WaitingEventView[]
  total: number
  /** Those that no handler has accepted. */
  unaccepted: number
}

/** Events of this node. */
export interface MeshTriggers {
  /**
   * Observes what fits a pattern: `TYPE` or `TYPE:EVENT`, globs over types of capabilities and names of events, such as `sensor/*` or `sensor/camera:person*`.
   * Events of this node and of all others of the mesh that let it, from now on: copies, each at most once, whoever handles the event.
   * @throws MeshError `invalid_argument` for a bad pattern, `busy` if there are too many subscriptions.
   */
  on(pattern: string, observer: ObserverFunction, options?: SubscriptionOptions): Subscription
  /** Raises a trigger of a capability of this node. @throws MeshError `unknown_capability`, `unknown_trigger`, `unavailable` while a backend is still starting, `invalid_argument`, `too_large`. */
  fire(capability: string, event: string, payload?: JsonValue, options?: FireOptions): Promise<FireView>
  /** What is not done: the most urgent first, then the oldest; 1,000 of them at most, `total` says how many there are. */
  waitingEvents(): WaitingEvents
  /** Forgets one: it is sent to nobody any more; a handler that has it may do it still. @throws MeshError `not_found` if there is none of this id. */
  discardEvent(id: string): void
  /** Oldest first. */
  deadLetters(): DeadLetterView[]
  /** Sends one anew. @throws MeshError `not_found` if there is none of this id, `busy` if there is no room. */
  replayDeadLetter(id: string): void
  /** Forgets one. @throws MeshError `not_found`. */
  discardDeadLetter(id: string): void
}
