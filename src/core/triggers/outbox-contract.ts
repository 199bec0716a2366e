import type { EventSequence, Priority } from '../../../protocols/trigger/messages.ts'
import type { DeadLetter } from './dead-letters.ts'
import type { PendingEvent } from './pending-events.ts'

/** Most events that wait for a handler to accept them. */
export const MAX_OUTBOX_EVENTS = 1_000
/** Most events that handlers have accepted, or that are on their way to one, and are neither done nor failed: past it what comes waits. */
export const MAX_ACCEPTED_EVENTS = 8_192
/** Bytes of those that wait, payloads by reference included. */
export const MAX_OUTBOX_BYTES = 64 * 1024 * 1024
/** Of those that handlers have accepted, or that are on their way; one event may go beyond it. */
export const MAX_ACCEPTED_BYTES = 64 * 1024 * 1024
/** What each handling of an event counts beyond the first: what is known of it, and the name of its handler where that is written down. */
export const LEG_BYTES = 512
/** Of both, all but critical events take so much together: handlers that never end shut out no alarm. */
export const ACCEPTED_SHARE = 0.875
/** So long after its time is over an event is waited for that a handler has accepted, ms; then it is a dead letter, `unanswered`. */
export const ACCEPTED_PAST_MS = 7 * 86_400_000
/** Nodes of which it is remembered when they got a payload last; past it the one that was silent longest is forgotten. */
export const MAX_FETCHING_NODES = 1_024
/** A handler that has failed at an event so many times does not get it again, and the event is dead. */
export const MAX_FAILED_TRIES = 10
/** What was given to a link, and has not been sent after so long, goes to another handler if there is one, ms. */
export const OFFER_MS = 60_000

/** What the outbox knows of an event. */
export interface OutboxEvent {
  /** Unique at this node. */
  id: string
  priority: Priority
  bytes: number
  /** What it is about: those of one go to a handler that wants them so in the order in which they were added. Left out: it has no order. */
  of?: string
  /** Its place among those. */
  sequence?: EventSequence
  /** How many handle it: so many, or all that are there when it first goes out. */
  fanOut: 'all' | number
  /** How long it may wait to be handled, ms. */
  expiresMs: number
  /** How many times it was a dead letter that was sent anew. Default: 0. */
  round?: number
}

/** What goes with an event that is sent. */
export interface Sending {
  /** How long it may still wait to be handled, ms. */
  remainingMs: number
  /** Number of the last one of its subject before it that was sent to the handler, which wants order, and may be lost. */
  lost?: number | undefined
}

/** Why an event does not get in. */
export type Refusal = 'full' | 'too_large' | 'known' | 'no_route'

/** What became of an event that was to be sent: it goes to handlers now, waits for one to appear, or does not get in. */
export type Added = { outcome: 'sent' | 'queued'; handlers: string[] } | { outcome: 'refused'; reason: Refusal }

/** What the outbox wants done, in order. Those that say `kept` are written down, but for events of low priority, so that {@link Kept} can be read after a restart. */
export type OutboxEffect<E> =
  /** Kept: an event of normal priority and above is in. */
  | { kind: 'append'; event: E }
  /** Kept: it goes to all of these, and to nobody else. */
  | { kind: 'routed'; id: string; handlers: string[] }
  /** To the link of the handler. The link says `sent` when it goes, or `lost`. */
  | { kind: 'send'; event: E; handler: string }
  /** Kept, but may be so a little later: a handler has it, `delivered`. */
  | { kind: 'accepted'; id: string; handler: string }
  /** Kept: one of several has done it. */
  | { kind: 'handled'; id: string; handler: string }
  /** Kept: all have done it, it is out. */
  | { kind: 'settled'; event: E; by: string[] }
  /** Kept: it is out, since whoever owns it wants it no more. */
  | { kind: 'withdrawn'; event: E }
  /** An event of low priority is out, undone. */
  | { kind: 'dropped'; event: E; reason: DeadLetter<E>['reason'] }
  /** Kept: an event is out, and a dead letter. */
  | { kind: 'dead'; letter: DeadLetter<E> }
  /** Kept: a dead letter is gone. */
  | { kind: 'erased'; id: string }

/** An event as it was kept over a restart. */
export interface Kept<E> {
  event: E
  /** How long ago it got in, ms. */
  ageMs: number
  /** Of `routed`. */
  handlers?: string[]
  /** Of `handled`. */
  handled: string[]
  /** Who had accepted it, and had neither done it nor failed: it waits for them. */
  acceptedBy?: string[]
}

/** How a handler fails. */
export interface FailedAnswer {
  code: string
  message: string
  retryable: boolean
  /** It is not to be asked again before, in ms from now. */
  retryAfterMs: number
}

/**
 * The events of this node that are to be handled, from when they are raised until a handler has done them: what is sent where, and again, and when it is
 * given up. Nothing of normal priority and above gets lost: it is done, waits, or is a dead letter. Low ones are sent once. Time comes in, effects go out.
 * Handlers are names; answers about what is not out with that handler any more are ignored.
 */
export interface Outbox<E extends OutboxEvent> {
  /** Effects of it are told before this returns. */
  add(event: E, now: number): Added
  /** The link sends it now. @returns undefined if it is not to be sent any more. */
  sent(id: string, handler: string, now: number): Sending | undefined
  /** A node gets a payload of this one: all who wait there for theirs have as long to answer from now on. @param node see `payloadTo`. */
  fetched(node: string, now: number): void
  accepted(id: string, handler: string, now: number): void
  done(id: string, handler: string, now: number): void
  failed(id: string, handler: string, answer: FailedAnswer, now: number): void
  /** The link has lost it: it could not be sent, or nobody will answer. */
  lost(id: string, handler: string, now: number): void
  /** There are other handlers than before. @param appeared those that were not there: they are asked at once. */
  handlersChanged(now: number, appeared?: Iterable<string>): void
  /** Does what is due. */
  tick(now: number): void
  /** What is not done, the most urgent first, then the oldest; with an id that one alone, if it is in. */
  pending(id?: string): PendingEvent<E>[]
  /** Takes an event out: it is sent to nobody any more, and who has it may do it still. @returns false if there is none of the id. */
  withdraw(id: string, now: number): boolean
  /** Who has accepted an event that is in, or has done it. */
  takenBy(id: string): string[]
  deadLetters(): DeadLetter<E>[]
  /** A dead letter goes out anew in the next round, to those who have not done it. @returns undefined if there is none of the id. */
  replay(id: string, now: number): Added | undefined
  discard(id: string): boolean
  /** When `tick` is next to be called; Infinity if nothing is due. */
  readonly nextAt: number
  /** Events that wait, of them all that no handler has accepted, and their bytes. */
  readonly size: number
  readonly waiting: number
  readonly bytes: number
}

/** Where an event may go, as things stand. */
export interface OutboxRoute {
  /** Who may handle it; who is to be asked first, first. */
  handlers: ReadonlySet<string>
  /** It is not known yet who may handle it, and one of these may turn out to: `handlersChanged` says when. Nobody is in `handlers` then. Undefined: it is known. */
  undecided?: ReadonlySet<string> | undefined
}

/** What an outbox is given. */
export interface OutboxInit<E> {
  /** Who may handle an event. Asked often. */
  route(event: E): OutboxRoute
  /** What decides that, beside the subject: the same text for events that go to the same handlers. Default: nothing. */
  wayOf?(event: E): string
  /** Whether a handler wants the events of a subject in their order. Default: none does. */
  isOrdered?(handler: string): boolean
  /** The node that gets the payload of an event for a handler by itself, perhaps after others; undefined: it comes with the event. Default: all do. */
  payloadTo?(event: E, handler: string): string | undefined
  emit(effect: OutboxEffect<E>): void
  /** 0 to 1. */
  random: () => number
  /** What was kept over a restart. It goes out with the first `handlersChanged`. */
  kept?: readonly Kept<E>[]
  letters?: readonly DeadLetter<E>[]
  /** Monotonic ms. */
  now?: number
}
