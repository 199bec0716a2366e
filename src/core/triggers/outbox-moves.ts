import { createDeadlines, type Deadlines } from './deadlines.ts'
import { OFFER_MS, type OutboxEvent, type OutboxInit } from './outbox-contract.ts'
import { chooseHandler, createLeg, hasTaker, isFree, isOut, noteRefusal, type Leg } from './outbox-leg.ts'
import { createOutboxLanes } from './outbox-lanes.ts'
import { createOutboxPlaces } from './outbox-places.ts'
import type { OutboxEntry, OutboxRoom } from './outbox-room.ts'
import { returnMs } from './retry-times.ts'
import { MAX_FAN_OUT } from './trigger-routes.ts'

/** Where the legs of events go: to which handler, when, and behind which others. */
export interface OutboxMoves<E> {
  /** When something is due for a leg. */
  readonly due: Deadlines<Leg>
  /** @param at when it is due. */
  set(entry: OutboxEntry<E>, leg: Leg, state: Leg['state'], handler: string | undefined, at: number): void
  /** An event that was kept takes its place. */
  enter(entry: OutboxEntry<E>): void
  leave(entry: OutboxEntry<E>): void
  /** All legs that nobody has. */
  dispatch(entry: OutboxEntry<E>, now: number): void
  /** Its link has not come to it: if another handler is there, that gets it. */
  offerElsewhere(entry: OutboxEntry<E>, leg: Leg, now: number): void
  /** Who has accepted it gets it again, if it is there; else it is waited for. */
  askTaker(entry: OutboxEntry<E>, leg: Leg, now: number): void
  /** It waits for who has accepted it, and it is not known whether that one may be asked, or an older one goes there first, or was not when it was looked at last: no time of it is counted. */
  isUndecided(entry: OutboxEntry<E>, leg: Leg): boolean
  /** It goes to the next handler, if it may still. */
  retry(entry: OutboxEntry<E>, leg: Leg, now: number): void
  /** The same, after a while if it was to be the first of its subject there: those behind it wait for it. */
  askLater(entry: OutboxEntry<E>, leg: Leg, handler: string, pauseMs: number, now: number): void
  /** Its link would send it now. @returns false: one that is older came back meanwhile, and stands behind it there, or waits for who has accepted it; it makes way. */
  mayGo(entry: OutboxEntry<E>, leg: Leg, handler: string, now: number): boolean
  /** There are other handlers. @param back those that were not there. */
  look(back: ReadonlySet<string>, now: number): void
  /** What waited for others to go. */
  follow(now: number): void
}

/** What they need. */
export interface OutboxMovesInit<E> extends Required<Pick<OutboxInit<E>, 'route' | 'wayOf' | 'isOrdered' | 'emit' | 'random'>> {
  room: OutboxRoom<E>
  isKept(event: E): boolean
  /** Its time is over, and nobody has it. */
  onOver(entry: OutboxEntry<E>, leg: Leg): void
}

/** Who is to get a leg, or what it waits for. */
type Choice = { handler: string } | { handler: undefined; state: 'idle' | 'behind' | 'waiting'; at: number }

/** See {@link OutboxMoves}. */
export function createOutboxMoves<E extends OutboxEvent>(init: OutboxMovesInit<E>): OutboxMoves<E> {
  const { route, wayOf, isOrdered, emit, random, room, isKept, onOver } = init
  const due = createDeadlines<Leg>()
  const lanes = createOutboxLanes<OutboxEntry<E>>({
    reaches({ event }, handler) {
      const { handlers, undecided } = route(event)
      return (undecided ?? handlers).has(handler)
    },
    mayReach: ({ event }, handler) => route(event).undecided?.has(handler) === true,
    wayOf: ({ event }) => wayOf(event)
  })
  const places = createOutboxPlaces<OutboxEntry<E>>()
  /** A leg of theirs has left its handler, which another one may have now, or has another, which no other may have. */
  const loosened = new Set<OutboxEntry<E>>()
  /** Legs whose taker was to be asked when others were to go there first, or it was not known whether any goes there: whether that was it. As long as nothing else becomes of them. */
  const deferred = new WeakMap<Leg, boolean>()

  function set(
    entry: OutboxEntry<E>,
    leg: Leg,
    state: Leg['state'],
    handler: string | undefined,
    at: number,
    quietly = false
  ): void {
    if (leg.handler !== handler && leg.fixed === undefined && entry.legs.length > 1) loosened.add(entry)
    const before = Number(isOut(leg))
    leg.state = state
    leg.handler = handler
    deferred.delete(leg)
    places.changed(entry, Number(isOut(leg)) - before)
    if (at === Infinity) due.delete(leg)
    else due.set(leg, at)
    lanes.moved(entry, leg, quietly)
  }

  const isTooEarly = (entry: OutboxEntry<E>, leg: Leg, handler: string): boolean =>
    isOrdered(handler) && lanes.isBehind(entry, leg, handler)

  const isAhead = (entry: OutboxEntry<E>, leg: Leg, handler: string): boolean =>
    isOrdered(handler) && lanes.isAhead(entry, leg, handler)

  /** Of those who do not have the event, and for whom it is not too early. @param without is not asked. */
  function choose(entry: OutboxEntry<E>, leg: Leg, now: number, tooEarly = isTooEarly, without?: string): Choice {
    const { event, legs, handled } = entry
    const { handlers } = route(event)
    const others = new Set(legs.flatMap(({ handler }, n) => (handler === undefined || legs[n] === leg ? [] : [handler])))
    const candidates = leg.fixed === undefined ? handlers : handlers.has(leg.fixed) ? [leg.fixed] : []
    let isBehind = false
    function* usable(): Generator<string, void, void> {
      for (const one of candidates) {
        if (one === without || (leg.fixed === undefined && (others.has(one) || handled.includes(one)))) continue
        if (tooEarly(entry, leg, one)) isBehind = true
        else yield one
      }
    }
    const choice = chooseHandler(leg, usable(), event.priority, now)
    if (typeof choice === 'string') return { handler: choice }
    return { handler: undefined, state: isBehind ? 'behind' : choice === Infinity ? 'idle' : 'waiting', at: choice }
  }

  function offer(entry: OutboxEntry<E>, leg: Leg, handler: string, now: number): void {
    set(entry, leg, 'offered', handler, now + OFFER_MS)
    emit({ kind: 'send', event: entry.event, handler })
  }

  /** Gives a leg that nobody has to the next handler. */
  function advance(entry: OutboxEntry<E>, leg: Leg, now: number, tooEarly = isTooEarly): void {
    // It goes to all or to nobody: `dispatch` says when.
    if (targetsOf(entry).length > 0) return set(entry, leg, 'full', undefined, Infinity)
    const choice = choose(entry, leg, now, tooEarly)
    if (choice.handler === undefined) set(entry, leg, choice.state, undefined, choice.at)
    else if (places.admit(entry)) offer(entry, leg, choice.handler, now)
    else set(entry, leg, 'full', undefined, Infinity)
  }

  /** Of what is for all, and has not gone to them yet, those who are there. */
  function targetsOf({ event, legs, handled }: OutboxEntry<E>): string[] {
    if (event.fanOut !== 'all' || legs.length !== 1 || legs[0]!.fixed !== undefined) return []
    return [...route(event).handlers].filter((one) => !handled.includes(one)).slice(0, MAX_FAN_OUT)
  }

  /** It is for all, and some are there: those are all. Many legs take room, so it has its place before it has them. */
  function spread(entry: OutboxEntry<E>): void {
    const { event, handled } = entry
    const handlers = targetsOf(entry)
    if (handlers.length === 0 || !places.admit(entry)) return
    leave(entry)
    entry.legs = handlers.map((handler) => createLeg(event.id, handler))
    room.weigh(entry)
    enter(entry)
    if (isKept(event)) emit({ kind: 'routed', id: event.id, handlers: [...handled, ...handlers] })
  }

  function dispatch(entry: OutboxEntry<E>, now: number): void {
    spread(entry)
    for (const leg of entry.legs) if (isFree(leg)) advance(entry, leg, now)
  }

  function retry(entry: OutboxEntry<E>, leg: Leg, now: number): void {
    if (entry.isOver) return onOver(entry, leg)
    advance(entry, leg, now)
    room.update(entry)
  }

  /** It is not known whether it goes to its handler, or an older one goes there first. */
  function isUnsure(entry: OutboxEntry<E>, leg: Leg): boolean {
    const handler = leg.handler!
    return route(entry.event).undecided?.has(handler) === true || (isOrdered(handler) && lanes.isUnsure(entry, leg, handler))
  }

  /** It stays with who has accepted it, and goes there when those before it have gone, or it is known where they go. */
  function defer(entry: OutboxEntry<E>, leg: Leg, isUnknown: boolean): void {
    set(entry, leg, 'waiting', leg.handler, leg.returnBy)
    lanes.defer(entry, leg)
    deferred.set(leg, isUnknown)
  }

  /** It waits behind another one of its subject that has gone to who has accepted it, or waits for that one, too: `follow` comes to it. */
  const isFollower = (leg: Leg): boolean => isOrdered(leg.handler!) && lanes.isFollower(leg)

  function askTaker(entry: OutboxEntry<E>, leg: Leg, now: number): void {
    const handler = leg.handler!
    const isUnknown = isUnsure(entry, leg)
    // It is there: its time to come back begins when it is known whether it may be asked.
    if (isUnknown || deferred.get(leg) === true) leg.returnBy = now + returnMs(entry.event.priority)
    deferred.delete(leg)
    // It may have given it back, with an older one of its subject, and the answer was lost: that goes first.
    if (isUnknown || isAhead(entry, leg, handler)) defer(entry, leg, isUnknown)
    else if (route(entry.event).handlers.has(handler)) offer(entry, leg, handler, now)
    else due.set(leg, leg.returnBy)
  }

  function enter(entry: OutboxEntry<E>): void {
    for (const leg of entry.legs) lanes.moved(entry, leg)
    places.changed(entry, entry.legs.filter(isOut).length)
  }

  function leave(entry: OutboxEntry<E>): void {
    for (const leg of entry.legs) due.delete(leg)
    loosened.delete(entry)
    places.leave(entry)
    lanes.leave(entry)
  }

  /** One of its legs has left its handler, or has one. What makes way for an older one at a link must not come back there before that has gone. */
  function loosen(entry: OutboxEntry<E>, now: number): void {
    loosened.delete(entry)
    for (const leg of entry.legs) if (leg.state === 'idle' || leg.state === 'behind') advance(entry, leg, now, isAhead)
  }

  return {
    due,
    set,
    enter,
    leave,
    dispatch,
    retry,
    offerElsewhere(entry, leg, now) {
      if (entry.isOver) return onOver(entry, leg)
      const { handler } = choose(entry, leg, now, isTooEarly, leg.handler)
      if (handler === undefined) due.set(leg, now + OFFER_MS)
      else offer(entry, leg, handler, now)
    },
    askTaker,
    // What it waited for may have left just now, and it was not looked at since: it is to have its time from now on.
    isUndecided: (entry, leg) => leg.state === 'waiting' && hasTaker(leg) && (deferred.get(leg) === true || isUnsure(entry, leg)),
    askLater(entry, leg, handler, pauseMs, now) {
      if (!isTooEarly(entry, leg, handler)) noteRefusal(leg, pauseMs, entry.event.priority, now, random)
      retry(entry, leg, now)
    },
    mayGo(entry, leg, handler, now) {
      if (!isAhead(entry, leg, handler)) return true
      if (hasTaker(leg) && leg.returnBy > now) {
        askTaker(entry, leg, now)
        return false
      }
      // Whom it is for has changed since it was given to the link.
      if (!route(entry.event).handlers.has(handler)) retry(entry, leg, now)
      else {
        set(entry, leg, 'behind', undefined, Infinity, true)
        room.update(entry)
      }
      if (loosened.has(entry)) loosen(entry, now)
      return false
    },
    look(back, now) {
      for (const entry of room.entries()) {
        for (const leg of entry.legs) {
          for (const asked of leg.asked.keys()) if (back.has(asked)) leg.asked.delete(asked)
          if (leg.state !== 'waiting' || !hasTaker(leg)) continue
          if (deferred.has(leg) ? !isFollower(leg) : back.has(leg.handler!)) askTaker(entry, leg, now)
        }
        if (entry.legs.some(isFree)) dispatch(entry, now)
      }
    },
    follow(now) {
      for (let entry: OutboxEntry<E> | undefined; ;) {
        do {
          for (const one of loosened) loosen(one, now)
          lanes.follow((one, leg) => (hasTaker(leg) ? askTaker(one, leg, now) : advance(one, leg, now)))
        } while (loosened.size > 0)
        entry = places.next()
        if (entry === undefined) return
        dispatch(entry, now)
      }
    }
  }
}
