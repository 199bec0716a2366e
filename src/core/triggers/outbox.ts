import { MAX_ROUND, type Priority } from '../../../protocols/trigger/messages.ts'
import { createDeadLetters, type DeadLetter } from './dead-letters.ts'
import { createDeadlines } from './deadlines.ts'
import { ACCEPTED_PAST_MS, MAX_FAILED_TRIES, MAX_FETCHING_NODES, type Added, type FailedAnswer } from './outbox-contract.ts'
import type { Outbox, OutboxEvent, OutboxInit } from './outbox-contract.ts'
import { createLostEvents } from './lost-events.ts'
import { createLeg, hasTaker, isFinal, leaveTo, noteFailure, noteMiss, type Asked, type Leg } from './outbox-leg.ts'
import { createOutboxMoves } from './outbox-moves.ts'
import { createOutboxRoom, weightOf, type OutboxEntry } from './outbox-room.ts'
import { pendingOf } from './pending-events.ts'
import { ackWaitMs, askTakerMs, returnMs } from './retry-times.ts'

const isKept = ({ priority }: { priority: Priority }): boolean => priority !== 'low'

/** See {@link Outbox}. */
export function createOutbox<E extends OutboxEvent>(init: OutboxInit<E>): Outbox<E> {
  const { route, wayOf = () => '', isOrdered = () => false } = init
  const { payloadTo = () => undefined, emit, random } = init
  const room = createOutboxRoom<E>(route)
  const letters = createDeadLetters<E>((id) => emit({ kind: 'erased', id }))
  const expiries = createDeadlines<string>()
  const moves = createOutboxMoves<E>({
    ...{ route, wayOf, isOrdered, emit, random, room, isKept },
    onOver: (entry, leg) => fail(entry, leg, 'expired')
  })
  const { set } = moves
  const losses = createLostEvents()
  /** By node, when it got a payload last; who did so before, first. */
  const fetches = new Map<string, number>()
  let lastOrder = 0

  // ---- in and out -----------------------------------------------------------------------------
  /** @param all it goes to these alone. */
  function enter(event: E, expiresAt: number, handled: string[], all?: readonly string[]): OutboxEntry<E> {
    const legs = legsOf(event, handled, all)
    const entry: OutboxEntry<E> = {
      ...{ event, expiresAt, handled: [...handled], legs },
      weight: weightOf(event, legs.length),
      order: ++lastOrder,
      isTaken: false,
      wasTaken: false,
      isOver: false
    }
    room.add(entry)
    expiries.set(event.id, expiresAt)
    return entry
  }

  function add(event: E, handled: string[], now: number): Added {
    const victims = room.victimsFor(event)
    if (typeof victims === 'string') return { outcome: 'refused', reason: victims }
    for (const victim of victims) giveUp(victim, 'full')
    const entry = enter(event, now + event.expiresMs, handled)
    if (isKept(event)) emit({ kind: 'append', event })
    for (const handler of handled) emit({ kind: 'handled', id: event.id, handler })
    moves.dispatch(entry, now)
    const handlers = entry.legs.flatMap(({ state, handler }) => (state === 'offered' ? [handler!] : []))
    return { outcome: handlers.length > 0 ? 'sent' : 'queued', handlers }
  }

  /** It was sent once, and ends without an answer: it may not have come there. */
  function noteLost({ event }: OutboxEntry<E>, { state, handler }: Leg): void {
    if (state === 'sent' && !isKept(event) && isOrdered(handler!)) losses.lost(handler!, event)
  }

  function leave(entry: OutboxEntry<E>): void {
    for (const leg of entry.legs) noteLost(entry, leg)
    moves.leave(entry)
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
  function finish(entry: OutboxEntry<E>): void {
    room.update(entry)
    if (!entry.legs.every(isFinal)) return
    if (entry.legs.some(({ state }) => state === 'failed')) return giveUp(entry, entry.reason ?? 'failed')
    leave(entry)
    emit({ kind: 'settled', event: entry.event, by: entry.handled })
  }

  /** Its time is over: who has accepted it may still do it for some days, nobody else. */
  function expire(entry: OutboxEntry<E>): void {
    const isLast = entry.isOver
    entry.isOver = true
    expiries.set(entry.event.id, entry.expiresAt + ACCEPTED_PAST_MS)
    for (const leg of entry.legs) {
      if (isFinal(leg) || (hasTaker(leg) && !isLast)) continue
      entry.reason = isLast ? 'unanswered' : 'expired'
      noteLost(entry, leg)
      set(entry, leg, 'failed', leg.handler, Infinity)
    }
    finish(entry)
  }

  // ---- legs -----------------------------------------------------------------------------------
  /** @returns what `work` does, after which what follows from it has gone. */
  function followed<T>(work: () => T, now: number): T {
    const result = work()
    moves.follow(now)
    return result
  }

  function fail(entry: OutboxEntry<E>, leg: Leg, reason: DeadLetter<E>['reason']): void {
    if (reason === 'unanswered') noteLost(entry, leg)
    // It keeps its handler: no other leg is to go there.
    entry.reason = reason
    set(entry, leg, 'failed', leg.handler, Infinity)
    finish(entry)
  }

  /** How long who is sent it is waited for: from when its node got a payload last, if that is still to get the one of this. */
  function waitedFor({ event }: OutboxEntry<E>, { handler, tries }: Leg): number {
    const node = payloadTo(event, handler!)
    const at = node === undefined ? undefined : fetches.get(node)
    return at === undefined ? -Infinity : at + ackWaitMs(event.priority, tries, random)
  }

  function onDue(leg: Leg, now: number): void {
    const entry = room.get(leg.event)!
    if (leg.state === 'offered') return moves.offerElsewhere(entry, leg, now)
    if (leg.state === 'waiting' && hasTaker(leg) && leg.returnBy > now) return moves.askTaker(entry, leg, now)
    const until = leg.state === 'sent' ? waitedFor(entry, leg) : now
    if (until > now) return moves.due.set(leg, until)
    if (leg.state === 'sent' && !isKept(entry.event)) return fail(entry, leg, 'unanswered')
    if (moves.isUndecided(entry, leg)) return moves.askTaker(entry, leg, now)
    // Who has it and is gone has had its time to come back, as who has not answered.
    noteMiss(leg, now)
    moves.retry(entry, leg, now)
  }

  function finishBy(entry: OutboxEntry<E>, leg: Leg, handler: string): void {
    set(entry, leg, 'done', handler, Infinity)
    entry.handled.push(handler)
    if (isKept(entry.event) && !entry.legs.every(isFinal)) emit({ kind: 'handled', id: entry.event.id, handler })
    finish(entry)
  }

  // ---- what links and time say ------------------------------------------------------------------
  function accept(id: string, handler: string): void {
    const [entry, leg] = room.legOf(id, handler, ({ state }) => state !== 'sent' && state !== 'accepted')
    if (leg === undefined || leg.state === 'accepted') return
    Object.assign(leg, { acceptedBy: handler, returnBy: 0 })
    set(entry, leg, 'accepted', handler, Infinity)
    losses.told(handler, entry.event)
    emit({ kind: 'accepted', id, handler })
    // Sent once, and taken: nobody asks what becomes of it.
    if (isKept(entry.event)) room.update(entry)
    else finishBy(entry, leg, handler)
  }

  function finishFor(id: string, handler: string): void {
    const [entry, leg] = room.legOf(id, handler, () => true)
    if (leg === undefined) return
    losses.told(handler, entry.event)
    if (leg.state !== 'accepted') emit({ kind: 'accepted', id, handler })
    finishBy(entry, leg, handler)
  }

  function refuse(id: string, handler: string, answer: FailedAnswer, now: number): void {
    const [entry, leg] = room.legWith(id, handler)
    if (leg === undefined) return
    const { code, message, retryable, retryAfterMs } = answer
    Object.assign(entry, { code, message })
    leg.acceptedBy = undefined
    noteFailure(leg, code)
    if (!retryable || !isKept(entry.event) || leg.failures >= MAX_FAILED_TRIES) return fail(entry, leg, 'failed')
    moves.askLater(entry, leg, handler, retryAfterMs, now)
  }

  function lose(id: string, handler: string, now: number): void {
    const [entry, leg] = room.legWith(id, handler)
    if (leg === undefined || leg.state === 'waiting') return
    if (leg.state === 'sent' && !isKept(entry.event)) return fail(entry, leg, 'unanswered')
    if (leg.state === 'accepted') leg.returnBy = now + returnMs(entry.event.priority)
    if (!hasTaker(leg) || leg.returnBy <= now) return moves.askLater(entry, leg, handler, 0, now)
    // It may be there all the while: nobody will say that it has come back.
    const askAt = now + askTakerMs(entry.event.priority)
    set(entry, leg, 'waiting', handler, Math.min(askAt, leg.returnBy))
    room.update(entry)
  }

  function withdraw(entry: OutboxEntry<E> | undefined): boolean {
    if (entry === undefined) return false
    leave(entry)
    emit({ kind: 'withdrawn', event: entry.event })
    return true
  }

  function tick(now: number): void {
    for (let id = expiries.takeDue(now); id !== undefined; id = expiries.takeDue(now)) expire(room.get(id)!)
    for (let leg = moves.due.takeDue(now); leg !== undefined; leg = moves.due.takeDue(now)) onDue(leg, now)
  }

  for (const letter of init.letters ?? []) letters.add(letter)
  for (const { event, ageMs, handlers, handled, acceptedBy = [] } of init.kept ?? []) {
    const entry = enter(event, (init.now ?? 0) + event.expiresMs - ageMs, handled, handlers)
    const returnBy = (init.now ?? 0) + returnMs(event.priority)
    for (const leg of leaveTo(acceptedBy, entry.legs, returnBy)) moves.due.set(leg, returnBy)
    moves.enter(entry)
    finish(entry)
  }

  return {
    add: (event, now) => followed(() => add(event, [], now), now),

    sent(id, handler, now) {
      const [entry, leg] = room.legWith(id, handler)
      if (leg === undefined || leg.state !== 'offered') return undefined
      if (!moves.mayGo(entry, leg, handler, now)) return undefined
      const until = now + ackWaitMs(entry.event.priority, leg.tries, random)
      set(entry, leg, 'sent', handler, hasTaker(leg) ? Math.max(until, leg.returnBy) : until)
      moves.follow(now)
      return { remainingMs: Math.max(0, entry.expiresAt - now), lost: losses.before(handler, entry.event) }
    },

    fetched(node, now) {
      fetches.delete(node)
      fetches.set(node, now)
      if (fetches.size > MAX_FETCHING_NODES) fetches.delete(fetches.keys().next().value!)
    },

    accepted: (id, handler, now) => followed(() => accept(id, handler), now),
    done: (id, handler, now) => followed(() => finishFor(id, handler), now),
    failed: (id, handler, answer, now) => followed(() => refuse(id, handler, answer, now), now),
    lost: (id, handler, now) => followed(() => lose(id, handler, now), now),
    handlersChanged: (now, appeared = []) => followed(() => moves.look(new Set(appeared), now), now),
    tick: (now) => followed(() => tick(now), now),

    pending: (id) => (id === undefined ? room.entries() : [room.get(id) ?? []].flat()).map(pendingOf),
    withdraw: (id, now) => followed(() => withdraw(room.get(id)), now),

    takenBy: room.takenBy,
    deadLetters: letters.all,
    replay(id, now) {
      const letter = letters.get(id)
      if (letter === undefined) return undefined
      const round = Math.min(MAX_ROUND, (letter.event.round ?? 0) + 1)
      const added = followed(() => add({ ...letter.event, round }, letter.handled, now), now)
      if (added.outcome !== 'refused' && letters.delete(id)) emit({ kind: 'erased', id })
      return added
    },
    discard(id) {
      if (letters.get(id) !== undefined) emit({ kind: 'erased', id })
      return letters.delete(id)
    },
    get nextAt() {
      return Math.min(moves.due.nextAt, expiries.nextAt)
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

/** What an event wants done, but for who has done it. @param all it goes to these alone. */
function legsOf({ id, fanOut }: OutboxEvent, handled: readonly string[], all: readonly string[] | undefined): Leg[] {
  if (fanOut === 'all')
    return all === undefined ? [createLeg(id)] : all.filter((one) => !handled.includes(one)).map((one) => createLeg(id, one))
  const asked = new Map<string, Asked>()
  return Array.from({ length: Math.max(0, fanOut - handled.length) }, () => createLeg(id, undefined, asked))
}
