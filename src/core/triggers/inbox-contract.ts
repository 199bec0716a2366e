import type { EventSequence, Priority } from '../../../protocols/trigger/messages.ts'
import type { FailedAnswer } from './outbox-contract.ts'
import type { SeenEvents, Settled } from './seen-events.ts'
import type { Ordered } from './subject-order.ts'

/** How long a source is asked to wait when there is no room, ms. */
export const BUSY_MS = 1_000

/** What the inbox knows of an event. */
export interface InboxEvent {
  /** PeerId of the source. */
  node: string
  /** Unique at that node. */
  id: string
  /** Id of the capability here that is to handle it. */
  handler: string
  priority: Priority
  /** Its size. */
  bytes: number
  /** Source and subject, and its place among theirs. */
  of: string
  sequence: EventSequence
  /** Number of the last one of these before it that its source had sent here, and that may be lost. */
  lost?: number | undefined
  /** When its time is over, monotonic ms: it is not begun after that. */
  expiresAt: number
}

/** What becomes of a delivery. */
export type InboxAnswer = 'accepted' | 'done' | FailedAnswer

/** What the inbox wants done, in order. @typeParam R who is to be answered: a number of an exchange. */
export type InboxEffect<E, R> =
  /** Written down, so that a restart does not lose it; then `kept` is called. At low priority at once: those are handled once at most. */
  | { kind: 'keep'; event: E }
  /** Does not have to be kept any more. `settled`: how it ended, if it does not come again. */
  | { kind: 'release'; event: E; settled?: Settled }
  | { kind: 'answer'; to: R; answer: InboxAnswer }
  /** It has failed, and is tried again here. */
  | { kind: 'again'; event: E }
  /** `take` may have something for this handler. */
  | { kind: 'ready'; handler: string }

/**
 * The events that capabilities of this node are to handle, from when they arrive until they are handled. Each is handled once, as long as it is remembered.
 * What was accepted is promised: it leaves when it is handled, has failed for good, its time is over before it was begun, or its source has it back.
 */
export interface Inbox<E extends InboxEvent, R> {
  /** An event arrives, perhaps again. It is answered to whom it came from last. */
  receive(event: E, to: R, now: number): void
  /** It was kept over a restart: it waits for its handler, also if that is not here yet. */
  restore(event: E, now: number): void
  kept(event: E): void
  /** The next one for a handler that has room for it; those of an ordered handler in their order, and one of a subject at a time. */
  take(handler: string, now: number): Ordered<E> | undefined
  /** What was taken is handled. What has failed, and may be tried again, goes back to its source; what is promised, and whose source hears nothing, is tried again here. */
  finish(event: E, outcome: 'done' | FailedAnswer, now: number): void
  /** Handlers may have come, or gone: what waits for one that is gone goes back to its source, if that hears it. */
  changed(now: number): void
  /** The node stops: what is promised stays, and goes on after the restart. */
  stop(): void
  tick(now: number): void
  /** When `tick` is next to be called; Infinity if nothing is due. */
  readonly nextAt: number
  readonly size: number
  /** Handlers of which something is remembered. */
  readonly handlers: number
}

/** What it is given. */
export interface InboxInit<E, R> {
  seen: SeenEvents
  /** Whether a handler wants events of a subject in their order. */
  isOrdered(handler: string): boolean
  /** Whether a handler is here, and may be given events. Default: each is. */
  isHere?(handler: string): boolean
  /** Whether an answer can still reach whom it is for. Default: it can. */
  isLive?(to: R): boolean
  /** Whether an event that has not been here may come in now. @returns what is answered if not. Default: all may. */
  admit?(event: E): FailedAnswer | undefined
  emit(effect: InboxEffect<E, R>): void
}

/** There is no room. */
export const BUSY: FailedAnswer = {
  code: 'busy',
  message: 'too many events wait here',
  retryable: true,
  retryAfterMs: BUSY_MS
}
/** Its time was over. */
export const EXPIRED: FailedAnswer = {
  code: 'deadline_exceeded',
  message: 'its time was over before it was handled',
  retryable: false,
  retryAfterMs: 0
}
/** It comes again, though it has failed for good. */
export const FAILED_BEFORE: FailedAnswer = {
  code: 'tool_failed',
  message: 'it has failed here before',
  retryable: false,
  retryAfterMs: 0
}
/** Its handler went before it was begun. */
export const GONE: FailedAnswer = {
  code: 'unknown_capability',
  message: 'what was to handle it handles no events here any more',
  retryable: true,
  retryAfterMs: 0
}
