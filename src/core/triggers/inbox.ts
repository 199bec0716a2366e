import type { EventSequence, Priority } from '../../../protocols/trigger/messages.ts'
import type { FailedAnswer } from './outbox-contract.ts'
import { createPriorityQueues, type PriorityQueues } from './priority-queues.ts'
import { createRefusedEvents } from './refused-events.ts'
import type { SeenEvents, Settled } from './seen-events.ts'
import { createSubjectOrder, type Ordered, type SubjectOrder } from './subject-order.ts'

/** Most events of an ordered handler that are next of their subject, but have to wait for the one before them to be handled. */
export const MAX_BLOCKED = 256
/** Bytes of all events that are to be handled. */
export const MAX_INBOX_BYTES = 64 * 1024 * 1024
/** Of those of one node: it cannot take the room of others. */
export const MAX_INBOX_BYTES_OF_NODE = 16 * 1024 * 1024
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
  /** When its time is over, monotonic ms. */
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
  /** `take` may have something for this handler. */
  | { kind: 'ready'; handler: string }

/** The events that capabilities of this node are to handle, from when they arrive until they are handled. Each is handled once, as long as it is remembered. */
export interface Inbox<E extends InboxEvent, R> {
  /** An event arrives, perhaps again. It is answered to whom it came from last. */
  receive(event: E, to: R, now: number): void
  /** An event is turned away by who calls, retryable: what follows it is, too, where it is to come in order. */
  turnedAway(event: E, now: number): void
  /** It was kept over a restart. */
  restore(event: E, now: number): void
  kept(event: E): void
  /** The next one for a handler that has room for it; those of an ordered handler in their order, and one of a subject at a time. */
  take(handler: string, now: number): Ordered<E> | undefined
  /** What was taken is handled. */
  finish(event: E, outcome: 'done' | FailedAnswer, now: number): void
  tick(now: number): void
  /** When `tick` is next to be called; Infinity if nothing is due. */
  readonly nextAt: number
  readonly size: number
}

/** What it is given. */
export interface InboxInit<E, R> {
  seen: SeenEvents
  /** Whether a handler wants events of a subject in their order. */
  isOrdered(handler: string): boolean
  /** Whether an event that has not been here may come in now. @returns what is answered if not. Default: all may. */
  admit?(event: E): FailedAnswer | undefined
  emit(effect: InboxEffect<E, R>): void
}

interface Held<E, R> {
  event: E
  to: R | undefined
  isKept: boolean
}

interface Lane<E> {
  queues: PriorityQueues<E>
  order: SubjectOrder<E> | undefined
  ready: Ordered<E>[]
  /** Subjects of which one is being handled; of ordered handlers. */
  running: Set<string>
}

/** See {@link Inbox}. */
export function createInbox<E extends InboxEvent, R>({ seen, isOrdered, admit, emit }: InboxInit<E, R>): Inbox<E, R> {
  const held = new Map<string, Held<E, R>>()
  const lanes = new Map<string, Lane<E>>()
  const refused = createRefusedEvents()
  const bytesOf = new Map<string, number>()
  let bytes = 0
  const subjectKey = ({ handler, of }: E): string => `${handler} ${of}`
  const seenKey = ({ handler, id }: E): string => `${handler} ${id}`
  const keyOf = (event: E): string => `${event.node} ${seenKey(event)}`

  function laneOf(handler: string): Lane<E> {
    let lane = lanes.get(handler)
    if (lane === undefined) {
      const ready: Ordered<E>[] = []
      const order = isOrdered(handler) ? createSubjectOrder<E>((_, ordered) => ready.push(ordered)) : undefined
      lanes.set(handler, (lane = { queues: createPriorityQueues(), order, ready, running: new Set() }))
    }
    return lane
  }

  function answer(to: R | undefined, what: InboxAnswer): void {
    if (to !== undefined) emit({ kind: 'answer', to, answer: what })
  }

  /** It is out, and may come again. */
  function refuse(event: E, failure: FailedAnswer): void {
    seen.forget(event.node, seenKey(event))
    leave(event, failure)
  }

  function weigh(event: E, sign: 1 | -1): void {
    bytes += sign * event.bytes
    const left = (bytesOf.get(event.node) ?? 0) + sign * event.bytes
    if (left === 0) bytesOf.delete(event.node)
    else bytesOf.set(event.node, left)
  }

  const hasRoom = (event: E): boolean =>
    bytes + event.bytes <= MAX_INBOX_BYTES && (bytesOf.get(event.node) ?? 0) + event.bytes <= MAX_INBOX_BYTES_OF_NODE

  function leave(event: E, what: InboxAnswer, settled?: Settled): void {
    const one = held.get(keyOf(event))
    if (held.delete(keyOf(event))) weigh(event, -1)
    emit(settled === undefined ? { kind: 'release', event } : { kind: 'release', event, settled })
    answer(one?.to, what)
  }

  function enter(event: E, to: R | undefined, isKept: boolean, now: number): boolean {
    if (!hasRoom(event)) return false
    const { taken, dropped } = laneOf(event.handler).queues.push(event, event.priority, now)
    if (dropped !== undefined) refuse(dropped, BUSY)
    if (!taken) return false
    held.set(keyOf(event), { event, to, isKept })
    weigh(event, 1)
    return true
  }

  /** One before it, of the same subject, was refused and has not come again. */
  function isTooEarly(event: E, now: number): boolean {
    return isOrdered(event.handler) && refused.isBehind(subjectKey(event), event.sequence, now)
  }

  function isOver(event: E, now: number): boolean {
    if (event.expiresAt > now) return false
    seen.settle(event.node, seenKey(event), 'failed', now, event.priority !== 'low')
    leave(event, EXPIRED, 'failed')
    return true
  }

  /** The next one of which nothing else of its subject is being handled. */
  function next(lane: Lane<E>, now: number): Ordered<E> | undefined {
    for (;;) {
      const at = lane.ready.findIndex(({ item }) => !lane.running.has(item.of))
      if (at >= 0) return lane.ready.splice(at, 1)[0]
      const event = lane.ready.length < MAX_BLOCKED ? lane.queues.take(now) : undefined
      if (event === undefined) return undefined
      if (lane.order === undefined) return { item: event, missing: 0, late: false }
      lane.order.push(event.of, event.sequence, event, now)
    }
  }

  return {
    receive(event, to, now) {
      const known = seen.begin(event.node, seenKey(event), now)
      if (known === 'done') return answer(to, 'done')
      if (known === 'failed') return answer(to, FAILED_BEFORE)
      if (known === 'full') {
        refused.refused(subjectKey(event), event.sequence, now)
        return answer(to, BUSY)
      }
      if (known === 'handling') {
        const one = held.get(keyOf(event))
        if (one === undefined) return
        one.to = to
        if (one.isKept) answer(to, 'accepted')
        return
      }
      const failure = admit?.(event) ?? (isTooEarly(event, now) || !enter(event, to, false, now) ? BUSY : undefined)
      if (failure !== undefined) {
        seen.forget(event.node, seenKey(event))
        if (failure.code === 'busy') refused.refused(subjectKey(event), event.sequence, now)
        return answer(to, failure)
      }
      refused.taken(subjectKey(event), event.sequence)
      emit({ kind: 'keep', event })
      emit({ kind: 'ready', handler: event.handler })
    },

    turnedAway: (event, now) => refused.refused(subjectKey(event), event.sequence, now),

    restore(event, now) {
      if (seen.begin(event.node, seenKey(event), now) === 'new' && enter(event, undefined, true, now)) return
      // It was done, or there is less room than before: whoever sent it sends it again, since it gets no answer.
      if (!held.has(keyOf(event))) seen.forget(event.node, seenKey(event))
      emit({ kind: 'release', event })
    },

    kept(event) {
      const one = held.get(keyOf(event))
      if (one === undefined || one.isKept) return
      one.isKept = true
      answer(one.to, 'accepted')
    },

    take(handler, now) {
      const lane = lanes.get(handler)
      if (lane === undefined) return undefined
      for (let ordered = next(lane, now); ordered !== undefined; ordered = next(lane, now)) {
        if (isOver(ordered.item, now)) continue
        if (lane.order !== undefined) lane.running.add(ordered.item.of)
        return ordered
      }
      return undefined
    },

    finish(event, outcome, now) {
      const lane = laneOf(event.handler)
      if (!held.has(keyOf(event))) return
      if (lane.running.delete(event.of)) emit({ kind: 'ready', handler: event.handler })
      if (outcome !== 'done' && outcome.retryable) return refuse(event, outcome)
      const settled = outcome === 'done' ? 'done' : 'failed'
      seen.settle(event.node, seenKey(event), settled, now, event.priority !== 'low')
      leave(event, outcome, settled)
    },

    tick(now) {
      for (const [handler, { order, ready }] of lanes) {
        if ((order?.nextAt ?? Infinity) > now) continue
        order!.tick(now)
        if (ready.length > 0) emit({ kind: 'ready', handler })
      }
    },
    get nextAt() {
      let at = Infinity
      for (const { order } of lanes.values()) at = Math.min(at, order?.nextAt ?? Infinity)
      return at
    },
    get size() {
      return held.size
    }
  }
}

const BUSY: FailedAnswer = { code: 'busy', message: 'too many events wait here', retryable: true, retryAfterMs: BUSY_MS }
const EXPIRED: FailedAnswer = {
  code: 'deadline_exceeded',
  message: 'its time was over before it was handled',
  retryable: false,
  retryAfterMs: 0
}
const FAILED_BEFORE: FailedAnswer = {
  code: 'tool_failed',
  message: 'it has failed here before',
  retryable: false,
  retryAfterMs: 0
}
