import type { Priority } from '../../../protocols/trigger/messages.ts'
import { createDeadLetters, type DeadLetter } from './dead-letters.ts'
import { createDeadlines } from './deadlines.ts'
import { MAX_FAILED_TRIES, OFFER_MS, type Added, type FailedAnswer } from './outbox-contract.ts'
import type { Outbox, OutboxEvent, OutboxInit } from './outbox-contract.ts'
import { chooseHandler, createLeg, isFinal, isFree, leaveTo, noteFailure, noteMiss, noteRefusal, type Leg } from './outbox-leg.ts'
import { createOutboxLanes } from './outbox-lanes.ts'
import { createOutboxRoom, type OutboxEntry } from './outbox-room.ts'
import { pendingOf } from './pending-events.ts'
import { ackWaitMs, returnMs } from './retry-times.ts'
import { MAX_FAN_OUT } from './trigger-routes.ts'

const isKept = ({ priority }: { priority: Priority }): boolean => priority !== 'low'

/** See {@link Outbox}. */
export function createOutbox<E extends OutboxEvent>(init: OutboxInit<E>): Outbox<E> {
  const { route, emit, random, isOrdered = () => false } = init
  const room = createOutboxRoom<E>()
  const letters = createDeadLetters<E>((id) => emit({ kind: 'erased', id }))
  const legsDue = createDeadlines<Leg>()
  const expiries = createDeadlines<string>()
  const lanes = createOutboxLanes()
  let lastOrder = 0

  // ---- in and out -----------------------------------------------------------------------------
  function enter(event: E, expiresAt: number, handled: string[], all: readonly string[] = []): OutboxEntry<E> {
    const { id, fanOut } = event
    const count = fanOut === 'all' ? 0 : fanOut - handled.length
    const fixed = all.filter((handler) => !handled.includes(handler)).map((handler) => createLeg(id, handler))
    const legs = fanOut === 'all' ? fixed : Array.from({ length: count }, () => createLeg(id))
    const entry: OutboxEntry<E> = { event, expiresAt, order: ++lastOrder, legs, handled: [...handled], isTaken: false }
    room.add(entry)
    expiries.set(id, expiresAt)
    return entry
  }

  function add(event: E, handled: string[], now: number): Added {
    const victims = room.victimsFor(event, () => route(event).length > 0)
    if (typeof victims === 'string') return { outcome: 'refused', reason: victims }
    for (const victim of victims) giveUp(victim, 'full')
    const entry = enter(event, now + event.expiresMs, handled)
    if (isKept(event)) emit({ kind: 'append', event })
    for (const handler of handled) emit({ kind: 'handled', id: event.id, handler })
    dispatch(entry, now)
    const handlers = entry.legs.flatMap(({ state, handler }) => (state === 'offered' ? [handler!] : []))
    return { outcome: handlers.length > 0 ? 'sent' : 'queued', handlers }
  }

  function leave(entry: OutboxEntry<E>): void {
    for (const leg of entry.legs) legsDue.delete(leg)
    for (const leg of entry.legs) lanes.leave(leg)
    expiries.delete(entry.event.id)
    room.delete(entry)
  }

  function giveUp(entry: OutboxEntry<E>, reason: DeadLetter<E>['reason']): void {
    leave(entry)
    const { event, handled, code, message } = entry
    if (!isKept(event)) return emit({ kind: 'dropped', event, reason })
    const letter = { event, reason, code, message, handled }
    letters.add(letter)
    emit({ kind: 'dead', letter })
  }

  /** A leg is final, or was before a restart. */
  function finish(entry: OutboxEntry<E>, reason: DeadLetter<E>['reason'] = 'failed'): void {
    room.update(entry)
    if (!entry.legs.every(isFinal)) return
    if (entry.legs.some(({ state }) => state === 'failed')) return giveUp(entry, reason)
    leave(entry)
    emit({ kind: 'settled', event: entry.event, by: entry.handled })
  }

  // ---- legs -----------------------------------------------------------------------------------
  function set(leg: Leg, state: Leg['state'], handler: string | undefined, at: number, quietly = false): void {
    leg.state = state
    leg.handler = handler
    if (at === Infinity) legsDue.delete(leg)
    else legsDue.set(leg, at)
    lanes.moved(leg, room.get(leg.event)!, quietly)
  }

  /** Whether it would overtake an older one about the same subject, which its handler wants in order. */
  function isTooEarly(entry: OutboxEntry<E>, leg: Leg, handler: string): boolean {
    return lanes.isBehind(leg, entry) && isOrdered(handler)
  }

  /** It goes when those before it have gone. @param quietly nobody follows it. */
  function hold(entry: OutboxEntry<E>, leg: Leg, quietly = false): void {
    set(leg, 'waiting', undefined, Infinity, quietly)
    room.update(entry)
  }

  /** What waited for others to go. */
  function follow(now: number): void {
    lanes.follow((leg) => {
      const entry = room.get(leg.event)!
      if (legsDue.at(leg) === undefined) advance(entry, leg, route(entry.event), now)
      return !isFree(leg)
    })
  }

  /** @returns what `work` does, after which what follows from it has gone. */
  function followed<T>(work: () => T, now: number): T {
    const result = work()
    follow(now)
    return result
  }

  function offer({ event }: OutboxEntry<E>, leg: Leg, handler: string, now: number): void {
    set(leg, 'offered', handler, now + OFFER_MS)
    emit({ kind: 'send', event, handler })
  }

  /** Gives a leg that nobody has to the next handler. */
  function advance(entry: OutboxEntry<E>, leg: Leg, candidates: readonly string[], now: number): void {
    const others = new Set(entry.legs.filter((other) => other !== leg).map(({ handler }) => handler))
    const usable = candidates.filter((one) =>
      leg.fixed === undefined ? !others.has(one) && !entry.handled.includes(one) : one === leg.fixed
    )
    const choice = chooseHandler(leg, usable, entry.event.priority, now)
    if (typeof choice !== 'string') set(leg, choice === Infinity ? 'idle' : 'waiting', undefined, choice)
    else if (isTooEarly(entry, leg, choice)) hold(entry, leg)
    else offer(entry, leg, choice, now)
  }

  /** All legs that nobody has. */
  function dispatch(entry: OutboxEntry<E>, now: number): void {
    const candidates = route(entry.event)
    if (entry.legs.length === 0) {
      const handlers = candidates.filter((one) => !entry.handled.includes(one)).slice(0, MAX_FAN_OUT)
      if (handlers.length === 0) return
      entry.legs = handlers.map((handler) => createLeg(entry.event.id, handler))
      if (isKept(entry.event)) emit({ kind: 'routed', id: entry.event.id, handlers: [...entry.handled, ...handlers] })
    }
    for (const leg of entry.legs) if (isFree(leg)) advance(entry, leg, candidates, now)
  }

  /** Its link has not come to it: if another handler is there, that gets it. */
  function offerElsewhere(entry: OutboxEntry<E>, leg: Leg, now: number): void {
    const [from, others] = [leg.handler!, route(entry.event).filter((one) => one !== leg.handler)]
    advance(entry, leg, others, now)
    if (leg.state !== 'offered') set(leg, 'offered', from, now + OFFER_MS)
  }

  function retry(entry: OutboxEntry<E>, leg: Leg, now: number): void {
    advance(entry, leg, route(entry.event), now)
    room.update(entry)
  }

  function fail(entry: OutboxEntry<E>, leg: Leg, reason: DeadLetter<E>['reason']): void {
    // It keeps its handler: no other leg is to go there.
    set(leg, 'failed', leg.handler, Infinity)
    finish(entry, reason)
  }

  function onDue(leg: Leg, now: number): void {
    const entry = room.get(leg.event)!
    if (leg.state === 'sent' && !isKept(entry.event)) return fail(entry, leg, 'unanswered')
    if (leg.state === 'offered') return offerElsewhere(entry, leg, now)
    // Who has it and is gone has had its time to come back, as who has not answered.
    noteMiss(leg, now)
    retry(entry, leg, now)
  }

  function finishBy(entry: OutboxEntry<E>, leg: Leg, handler: string): void {
    set(leg, 'done', handler, Infinity)
    entry.handled.push(handler)
    if (isKept(entry.event) && !entry.legs.every(isFinal)) emit({ kind: 'handled', id: entry.event.id, handler })
    finish(entry)
  }

  // ---- what links and time say ------------------------------------------------------------------
  function accept(id: string, handler: string): void {
    const [entry, leg] = room.legOf(id, handler, ({ state }) => state === 'idle' || state === 'waiting' || state === 'offered')
    if (leg === undefined || leg.state === 'accepted') return
    set(leg, 'accepted', handler, Infinity)
    emit({ kind: 'accepted', id, handler })
    // Sent once, and taken: nobody asks what becomes of it.
    if (isKept(entry.event)) room.update(entry)
    else finishBy(entry, leg, handler)
  }

  function finishFor(id: string, handler: string): void {
    const [entry, leg] = room.legOf(id, handler, () => true)
    if (leg === undefined) return
    if (leg.state !== 'accepted') emit({ kind: 'accepted', id, handler })
    finishBy(entry, leg, handler)
  }

  function refuse(id: string, handler: string, answer: FailedAnswer, now: number): void {
    const [entry, leg] = room.legWith(id, handler)
    if (leg === undefined) return
    const { code, message, retryable, retryAfterMs } = answer
    Object.assign(entry, { code, message })
    noteFailure(leg, code)
    if (!retryable || !isKept(entry.event) || leg.failures >= MAX_FAILED_TRIES) return fail(entry, leg, 'failed')
    askLater(entry, leg, handler, retryAfterMs, now)
  }

  function lose(id: string, handler: string, now: number): void {
    const [entry, leg] = room.legWith(id, handler)
    if (leg === undefined || leg.state === 'waiting') return
    if (leg.state === 'sent' && !isKept(entry.event)) return fail(entry, leg, 'unanswered')
    if (leg.state !== 'accepted') return askLater(entry, leg, handler, 0, now)
    set(leg, 'waiting', handler, now + returnMs(entry.event.priority))
    room.update(entry)
  }

  /** Of those that its handler wants in order only the first waits for a time: the others for it. */
  function askLater(entry: OutboxEntry<E>, leg: Leg, handler: string, pauseMs: number, now: number): void {
    if (isTooEarly(entry, leg, handler)) return hold(entry, leg)
    noteRefusal(leg, pauseMs, entry.event.priority, now, random)
    retry(entry, leg, now)
  }

  function look(back: ReadonlySet<string>, now: number): void {
    for (const entry of room.entries()) {
      for (const leg of back.size === 0 ? [] : entry.legs) {
        for (const handler of back) leg.asked.delete(handler)
        if (leg.state === 'waiting' && leg.handler !== undefined && back.has(leg.handler)) offer(entry, leg, leg.handler, now)
      }
      dispatch(entry, now)
    }
  }

  function withdraw(entry: OutboxEntry<E> | undefined): boolean {
    if (entry === undefined) return false
    leave(entry)
    emit({ kind: 'withdrawn', event: entry.event })
    return true
  }

  function tick(now: number): void {
    for (let id = expiries.takeDue(now); id !== undefined; id = expiries.takeDue(now)) giveUp(room.get(id)!, 'expired')
    for (let leg = legsDue.takeDue(now); leg !== undefined; leg = legsDue.takeDue(now)) onDue(leg, now)
  }

  for (const letter of init.letters ?? []) letters.add(letter)
  for (const { event, ageMs, handlers, handled, acceptedBy = [] } of init.kept ?? []) {
    const entry = enter(event, (init.now ?? 0) + event.expiresMs - ageMs, handled, handlers)
    for (const leg of leaveTo(acceptedBy, entry.legs)) legsDue.set(leg, (init.now ?? 0) + returnMs(event.priority))
    for (const leg of entry.legs) lanes.moved(leg, entry)
    if (event.fanOut !== 'all' || handlers !== undefined) finish(entry)
  }

  return {
    add: (event, now) => followed(() => add(event, [], now), now),

    sent(id, handler, now) {
      const [entry, leg] = room.legWith(id, handler)
      if (leg === undefined || leg.state !== 'offered') return undefined
      // One that is older came back meanwhile, and stands behind it at its link.
      if (lanes.isAhead(leg, entry) && isOrdered(handler)) return void hold(entry, leg, true)
      set(leg, 'sent', handler, now + ackWaitMs(entry.event.priority, leg.tries, random))
      follow(now)
      return Math.max(0, entry.expiresAt - now)
    },

    fetched(id, handler, now) {
      const [entry, leg] = room.legWith(id, handler)
      if (leg?.state === 'sent') legsDue.set(leg, now + ackWaitMs(entry!.event.priority, leg.tries, random))
    },

    accepted: (id, handler, now) => followed(() => accept(id, handler), now),
    done: (id, handler, now) => followed(() => finishFor(id, handler), now),
    failed: (id, handler, answer, now) => followed(() => refuse(id, handler, answer, now), now),
    lost: (id, handler, now) => followed(() => lose(id, handler, now), now),
    handlersChanged: (now, appeared = []) => followed(() => look(new Set(appeared), now), now),
    tick: (now) => followed(() => tick(now), now),

    pending: (id) => (id === undefined ? room.entries() : [room.get(id) ?? []].flat()).map(pendingOf),
    withdraw: (id, now) => followed(() => withdraw(room.get(id)), now),

    takenBy: room.takenBy,
    deadLetters: letters.all,
    replay(id, now) {
      const letter = letters.get(id)
      if (letter === undefined) return undefined
      const added = followed(() => add(letter.event, letter.handled, now), now)
      if (added.outcome !== 'refused' && letters.delete(id)) emit({ kind: 'erased', id })
      return added
    },
    discard(id) {
      if (letters.get(id) !== undefined) emit({ kind: 'erased', id })
      return letters.delete(id)
    },
    get nextAt() {
      return Math.min(legsDue.nextAt, expiries.nextAt)
    },
    get size() {
      return room.size
    },
    get waiting() {
      return room.waiting
    },
    get bytes() {
      return room.bytes
    }
  }
}
