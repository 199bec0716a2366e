import type { Priority } from '../../../protocols/trigger/messages.ts'
import { createDeadLetters, type DeadLetter } from './dead-letters.ts'
import { createDeadlines } from './deadlines.ts'
import { MAX_FAILED_TRIES, OFFER_MS, type Added, type Outbox, type OutboxEvent, type OutboxInit } from './outbox-contract.ts'
import { chooseHandler, createLeg, isFinal, noteMiss, noteRefusal, type Leg } from './outbox-leg.ts'
import { createOutboxRoom, type OutboxEntry } from './outbox-room.ts'
import { pendingOf } from './pending-events.ts'
import { ackWaitMs, returnMs } from './retry-times.ts'
import { MAX_FAN_OUT } from './trigger-routes.ts'

/** Codes that say nothing of the event: a handler that answers so may get it any number of times. */
const NOT_COUNTED = new Set(['busy', 'unavailable'])
const isKept = ({ priority }: { priority: Priority }): boolean => priority !== 'low'

/** See {@link Outbox}. */
export function createOutbox<E extends OutboxEvent>(init: OutboxInit<E>): Outbox<E> {
  const { route, emit, random } = init
  const room = createOutboxRoom<E>()
  const letters = createDeadLetters<E>((id) => emit({ kind: 'erased', id }))
  const legsDue = createDeadlines<Leg>()
  const expiries = createDeadlines<string>()

  // ---- in and out -----------------------------------------------------------------------------
  function enter(event: E, expiresAt: number, handled: string[], all: readonly string[] = []): OutboxEntry<E> {
    const { id, fanOut } = event
    const count = fanOut === 'all' ? 0 : fanOut - handled.length
    const fixed = all.filter((handler) => !handled.includes(handler)).map((handler) => createLeg(id, handler))
    const legs = fanOut === 'all' ? fixed : Array.from({ length: count }, () => createLeg(id))
    const entry: OutboxEntry<E> = { event, expiresAt, legs, handled: [...handled], isTaken: false }
    room.add(entry)
    expiries.set(id, expiresAt)
    return entry
  }

  function add(event: E, handled: string[], now: number): Added {
    const victims = room.victimsFor(event)
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
  function set(leg: Leg, state: Leg['state'], handler: string | undefined, at: number): void {
    leg.state = state
    leg.handler = handler
    if (at === Infinity) legsDue.delete(leg)
    else legsDue.set(leg, at)
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
    if (typeof choice === 'string') offer(entry, leg, choice, now)
    else set(leg, choice === Infinity ? 'idle' : 'waiting', undefined, choice)
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
    for (const leg of entry.legs)
      if (leg.state === 'idle' || (leg.state === 'waiting' && leg.handler === undefined)) advance(entry, leg, candidates, now)
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
    set(leg, 'failed', undefined, Infinity)
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

  /** The leg of an event that is with a handler. */
  function legWith(id: string, handler: string): [OutboxEntry<E>, Leg] | [undefined, undefined] {
    const entry = room.get(id)
    const leg = entry?.legs.find((one) => one.handler === handler && !isFinal(one))
    return entry === undefined || leg === undefined ? [undefined, undefined] : [entry, leg]
  }

  /** The same, or one that was with it, and is with nobody now. */
  function legOf(id: string, handler: string, isFree: (leg: Leg) => boolean): [OutboxEntry<E>, Leg] | [undefined, undefined] {
    const entry = room.get(id)
    if (entry === undefined || entry.handled.includes(handler)) return [undefined, undefined]
    const leg =
      entry.legs.find((one) => one.handler === handler && !isFinal(one)) ??
      entry.legs.find((one) => !isFinal(one) && isFree(one) && one.asked.has(handler))
    return leg === undefined ? [undefined, undefined] : [entry, leg]
  }

  function finishBy(entry: OutboxEntry<E>, leg: Leg, handler: string): void {
    set(leg, 'done', handler, Infinity)
    entry.handled.push(handler)
    if (isKept(entry.event) && !entry.legs.every(isFinal)) emit({ kind: 'handled', id: entry.event.id, handler })
    finish(entry)
  }

  for (const letter of init.letters ?? []) letters.add(letter)
  for (const { event, ageMs, handlers, handled } of init.kept ?? []) {
    const entry = enter(event, (init.now ?? 0) + event.expiresMs - ageMs, handled, handlers)
    if (event.fanOut !== 'all' || handlers !== undefined) finish(entry)
  }

  return {
    add: (event, now) => add(event, [], now),

    sent(id, handler, now) {
      const [entry, leg] = legWith(id, handler)
      if (leg === undefined || leg.state !== 'offered') return undefined
      set(leg, 'sent', handler, now + ackWaitMs(entry.event.priority, leg.tries, random))
      return Math.max(0, entry.expiresAt - now)
    },

    fetched(id, handler, now) {
      const [entry, leg] = legWith(id, handler)
      if (leg?.state === 'sent') legsDue.set(leg, now + ackWaitMs(entry!.event.priority, leg.tries, random))
    },

    accepted(id, handler) {
      const [entry, leg] = legOf(id, handler, ({ state }) => state === 'idle' || state === 'waiting' || state === 'offered')
      if (leg === undefined || leg.state === 'accepted') return
      set(leg, 'accepted', handler, Infinity)
      emit({ kind: 'accepted', id, handler })
      // Sent once, and taken: nobody asks what becomes of it.
      if (isKept(entry.event)) room.update(entry)
      else finishBy(entry, leg, handler)
    },

    done(id, handler) {
      const [entry, leg] = legOf(id, handler, () => true)
      if (leg === undefined) return
      if (leg.state !== 'accepted') emit({ kind: 'accepted', id, handler })
      finishBy(entry, leg, handler)
    },

    failed(id, handler, { code, message, retryable, retryAfterMs }, now) {
      const [entry, leg] = legWith(id, handler)
      if (leg === undefined) return
      Object.assign(entry, { code, message })
      if (!NOT_COUNTED.has(code)) leg.failures++
      if (!retryable || !isKept(entry.event) || leg.failures >= MAX_FAILED_TRIES) return fail(entry, leg, 'failed')
      noteRefusal(leg, retryAfterMs, entry.event.priority, now, random)
      retry(entry, leg, now)
    },

    lost(id, handler, now) {
      const [entry, leg] = legWith(id, handler)
      if (leg === undefined || leg.state === 'waiting') return
      if (leg.state === 'sent' && !isKept(entry.event)) return fail(entry, leg, 'unanswered')
      if (leg.state === 'accepted') {
        set(leg, 'waiting', handler, now + returnMs(entry.event.priority))
        return room.update(entry)
      }
      noteRefusal(leg, 0, entry.event.priority, now, random)
      retry(entry, leg, now)
    },

    handlersChanged(now, appeared = []) {
      const back = new Set(appeared)
      for (const entry of room.entries()) {
        for (const leg of back.size === 0 ? [] : entry.legs) {
          for (const handler of back) leg.asked.delete(handler)
          if (leg.state === 'waiting' && leg.handler !== undefined && back.has(leg.handler)) offer(entry, leg, leg.handler, now)
        }
        dispatch(entry, now)
      }
    },

    tick(now) {
      for (let id = expiries.takeDue(now); id !== undefined; id = expiries.takeDue(now)) giveUp(room.get(id)!, 'expired')
      for (let leg = legsDue.takeDue(now); leg !== undefined; leg = legsDue.takeDue(now)) onDue(leg, now)
    },

    pending: (id) => (id === undefined ? room.entries() : [room.get(id) ?? []].flat()).map(pendingOf),
    withdraw(id) {
      const entry = room.get(id)
      if (entry === undefined) return false
      leave(entry)
      emit({ kind: 'withdrawn', event: entry.event })
      return true
    },

    deadLetters: letters.all,
    replay(id, now) {
      const letter = letters.get(id)
      if (letter === undefined) return undefined
      const added = add(letter.event, letter.handled, now)
      if (added.outcome !== 'refused' && letters.delete(id)) emit({ kind: 'erased', id })
      return added
    },
    discard(id) {
      if (!letters.delete(id)) return false
      emit({ kind: 'erased', id })
      return true
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
