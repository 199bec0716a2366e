import { createDeadlines } from './deadlines.ts'
import {
  BUSY,
  EXPIRED,
  FAILED_BEFORE,
  GONE,
  type Inbox,
  type InboxAnswer,
  type InboxEvent,
  type InboxInit
} from './inbox-contract.ts'
import { createInboxLane, type InboxLane } from './inbox-lane.ts'
import { createInboxRoom } from './inbox-room.ts'
import type { FailedAnswer } from './outbox-contract.ts'
import { NOT_COUNTED } from './outbox-leg.ts'
import { createRefusedEvents, isBefore } from './refused-events.ts'
import { ackWaitMs } from './retry-times.ts'
import type { Settled } from './seen-events.ts'

interface Held<E, R> {
  event: E
  to: R | undefined
  /** 1 if one before it was lost on its way here: told again with each further try here. */
  missing: number
  isKept: boolean
  /** It is being handled. */
  isBegun: boolean
  /** Times that it has failed since it came from its source. */
  tries: number
  /** It is to be tried again here, and no other of its subject before that. */
  holdsSubject: boolean
}

/** See {@link Inbox}. */
export function createInbox<E extends InboxEvent, R>(init: InboxInit<E, R>): Inbox<E, R> {
  const { seen, isOrdered, isHere = () => true, isLive = () => true, admit, emit } = init
  const held = new Map<string, Held<E, R>>()
  const lanes = new Map<string, InboxLane<E>>()
  const refused = createRefusedEvents()
  const room = createInboxRoom()
  /** Of what waits. */
  const expiries = createDeadlines<string>()
  const retries = createDeadlines<string>()
  let stopping = false
  const subjectKey = ({ handler, of }: E): string => `${handler} ${of}`
  const seenKey = ({ handler, id }: E): string => `${handler} ${id}`
  const keyOf = (event: E): string => `${event.node} ${seenKey(event)}`

  function laneOf(handler: string): InboxLane<E> {
    let lane = lanes.get(handler)
    if (lane === undefined) lanes.set(handler, (lane = createInboxLane(() => isOrdered(handler))))
    return lane
  }

  /** What a handler that is gone leaves. */
  function retire(handler: string): void {
    if (lanes.get(handler)?.count === 0 && !isHere(handler)) lanes.delete(handler)
  }

  function answer(to: R | undefined, what: InboxAnswer): void {
    if (to !== undefined) emit({ kind: 'answer', to, answer: what })
  }

  /** Written down, and its source told so. What is of low priority is sent once, and promised to nobody. */
  const isPromised = ({ isKept, event }: Held<E, R>): boolean => isKept && event.priority !== 'low'
  /** To its source; what was promised to nobody ends here, if that hears nothing. */
  const canGoBack = (one: Held<E, R>): boolean => isHeard(one) || !isPromised(one)
  const isHeard = ({ to }: Held<E, R>): boolean => to !== undefined && isLive(to)

  // ---- in ---------------------------------------------------------------------------------------
  function put(event: E, to: R | undefined, isKept: boolean, missing: number, now: number): void {
    const lane = laneOf(event.handler)
    held.set(keyOf(event), { event, to, missing, isKept, isBegun: false, tries: 0, holdsSubject: false })
    room.add(event)
    lane.count++
    wait(event)
    lane.add(event, missing, now)
  }

  function wait(event: E): void {
    if (event.expiresAt < Infinity) expiries.set(keyOf(event), event.expiresAt)
  }

  function enter(event: E, to: R, now: number): boolean {
    if (!room.hasBytes(event)) return false
    if (!room.hasPlace(event, isOrdered(event.handler))) {
      const victim = event.priority === 'low' ? lanes.get(event.handler)?.oldestLow(event.node) : undefined
      if (victim === undefined) return false
      refuse(victim, BUSY, now)
    }
    put(event, to, false, laneOf(event.handler).hear(event, now), now)
    return true
  }

  /** One before it, of the same subject, was refused and has not come again. */
  function isTooEarly(event: E, now: number): boolean {
    return isOrdered(event.handler) && refused.isBehind(event.node, subjectKey(event), event.sequence, now)
  }

  /** Its source sends it again, and nothing of its subject is to overtake it. What a handler has failed at is overtaken, there as here; what is of low priority does not come again. */
  function note(event: E, { code, retryable }: FailedAnswer, now: number, isBehind = false): void {
    const { node, handler, sequence, expiresAt } = event
    if (!retryable || !NOT_COUNTED.has(code) || event.priority === 'low') return refused.taken(node, subjectKey(event), sequence)
    if (isOrdered(handler) || !isHere(handler)) refused.refused(node, subjectKey(event), sequence, now, { expiresAt, isBehind })
  }

  /** It is here already. */
  function comeAgain(one: Held<E, R> | undefined, to: R, now: number): void {
    if (one === undefined) return
    one.to = to
    if (!one.isBegun && !isHere(one.event.handler)) return refuse(one.event, GONE, now)
    if (one.isKept) answer(to, 'accepted')
  }

  // ---- out --------------------------------------------------------------------------------------
  function leave(event: E, what: InboxAnswer, now: number, settled?: Settled): void {
    const key = keyOf(event)
    const one = held.get(key)!
    const lane = lanes.get(event.handler)!
    held.delete(key)
    expiries.delete(key)
    retries.delete(key)
    room.delete(event, !one.isBegun)
    lane.count--
    if (one.holdsSubject) free(event, now)
    if (!one.isBegun) lane.remove(one.event, now)
    retire(event.handler)
    emit(settled === undefined ? { kind: 'release', event } : { kind: 'release', event, settled })
    answer(one.to, what)
  }

  /** Its source has it back, and sends it again. */
  function refuse(event: E, failure: FailedAnswer, now: number): void {
    seen.forget(event.node, seenKey(event))
    note(event, failure, now)
    leave(event, failure, now)
  }

  function settle(event: E, outcome: InboxAnswer, settled: Settled, now: number): void {
    seen.settle(event.node, seenKey(event), settled, now, event.priority !== 'low', event.round)
    leave(event, outcome, now, settled)
  }

  /** Others of its subject may go on. */
  function free(event: E, now: number): void {
    if (lanes.get(event.handler)!.end(event, now)) emit({ kind: 'ready', handler: event.handler })
  }

  /** What waits behind it, where order is wanted and it was not really begun: its source has it behind it, too. */
  function followersOf({ node, handler, of, sequence, priority }: E, { code }: FailedAnswer): Held<E, R>[] {
    if (!isOrdered(handler) || !NOT_COUNTED.has(code) || priority === 'low') return []
    return [...held.values()].filter(({ event, isBegun }) => {
      const isOfSubject = event.node === node && event.handler === handler && event.of === of
      return isOfSubject && !isBegun && isBefore(sequence, event.sequence)
    })
  }

  /** Its source has it back, with its followers. */
  function giveBack(event: E, failure: FailedAnswer, followers: Held<E, R>[], now: number): void {
    refuse(event, failure, now)
    for (const one of followers) refuse(one.event, BUSY, now)
  }

  /** It has failed, is promised, or a follower of it is, and nobody hears it: it is tried again here. */
  function tryAgain(one: Held<E, R>, failure: FailedAnswer, now: number): void {
    const { event } = one
    const pauseMs = Math.max(
      failure.retryAfterMs,
      ackWaitMs(event.priority, one.tries++, () => 0)
    )
    one.holdsSubject = NOT_COUNTED.has(failure.code)
    if (!one.holdsSubject) free(event, now)
    one.isBegun = false
    room.again(event)
    wait(event)
    retries.set(keyOf(event), now + pauseMs)
    emit({ kind: 'again', event })
  }

  function onChanged(handler: string, now: number): void {
    if (isHere(handler)) return emit({ kind: 'ready', handler })
    for (const one of [...held.values()])
      if (one.event.handler === handler && !one.isBegun && canGoBack(one)) refuse(one.event, GONE, now)
    retire(handler)
  }

  return {
    receive(event, to, now) {
      const known = seen.begin(event.node, seenKey(event), now, event.round)
      if (known === 'done') return answer(to, 'done')
      if (known === 'failed') return answer(to, FAILED_BEFORE)
      if (known === 'handling') return comeAgain(held.get(keyOf(event)), to, now)
      const refusal = known === 'full' ? BUSY : admit?.(event)
      const isBehind = refusal === undefined && isTooEarly(event, now)
      const failure = refusal ?? (isBehind || !enter(event, to, now) ? BUSY : undefined)
      if (failure !== undefined) {
        if (known === 'new') seen.forget(event.node, seenKey(event))
        note(event, failure, now, isBehind)
        return answer(to, failure)
      }
      refused.taken(event.node, subjectKey(event), event.sequence)
      emit({ kind: 'keep', event })
      emit({ kind: 'ready', handler: event.handler })
    },

    restore(event, now) {
      const known = seen.begin(event.node, seenKey(event), now, event.round)
      if (known === 'new') put(event, undefined, true, 0, now)
      // It was done before the restart; or is here.
      else if (known !== 'handling') emit({ kind: 'release', event })
    },

    kept(event) {
      const one = held.get(keyOf(event))
      if (one === undefined || one.isKept) return
      one.isKept = true
      answer(one.to, 'accepted')
    },

    take(handler, now) {
      const lane = isHere(handler) ? lanes.get(handler) : undefined
      for (let ordered = lane?.next(now); ordered !== undefined; ordered = lane?.next(now)) {
        const event = ordered.item
        if (event.expiresAt <= now) settle(event, EXPIRED, 'failed', now)
        else {
          held.get(keyOf(event))!.isBegun = true
          room.begin(event)
          expiries.delete(keyOf(event))
          lane!.begin(event)
          return ordered
        }
      }
      return undefined
    },

    finish(event, outcome, now) {
      const one = held.get(keyOf(event))
      if (one?.isBegun !== true) return
      if (outcome === 'done' || !outcome.retryable) {
        free(event, now)
        return settle(event, outcome, outcome === 'done' ? 'done' : 'failed', now)
      }
      if (stopping && isPromised(one)) return
      const followers = stopping ? [] : followersOf(event, outcome)
      // What cannot go back together stays together.
      const mayGoBack = [one, ...followers].every(canGoBack)
      if (!mayGoBack) return tryAgain(one, outcome, now)
      free(event, now)
      giveBack(event, outcome, followers, now)
    },

    changed(now) {
      for (const handler of [...lanes.keys()]) onChanged(handler, now)
    },

    stop() {
      stopping = true
    },

    tick(now) {
      for (let key = expiries.takeDue(now); key !== undefined; key = expiries.takeDue(now))
        settle(held.get(key)!.event, EXPIRED, 'failed', now)
      for (let key = retries.takeDue(now); key !== undefined; key = retries.takeDue(now)) {
        const one = held.get(key)!
        const { event } = one
        const lane = laneOf(event.handler)
        lane.add(event, one.missing, now)
        if (one.holdsSubject) lane.end(event, now)
        one.holdsSubject = false
        emit({ kind: 'ready', handler: event.handler })
      }
    },
    get nextAt() {
      return Math.min(expiries.nextAt, retries.nextAt)
    },
    get size() {
      return held.size
    },
    get handlers() {
      return lanes.size
    }
  }
}
