import type { Priority } from '../../../protocols/trigger/messages.ts'
import { ackWaitMs } from './retry-times.ts'
import { MAX_FAN_OUT } from './trigger-routes.ts'

/** One of the handlings that an event wants, which one handler after the other is asked for. */
export interface Leg {
  /** Id of the event. */
  readonly event: string
  /** It may go to no other handler. */
  readonly fixed: string | undefined
  /**
   * `idle`: no handler is there. `behind`: older ones of its subject go first. `full`: handlers have as many events as they may. `waiting`: for a time, or for
   * who has accepted it to come back. `offered`: with the link. `accepted`: a handler has it. The last two are final.
   */
  state: 'idle' | 'behind' | 'full' | 'waiting' | 'offered' | 'sent' | 'accepted' | 'done' | 'failed'
  /** Who has it, or has done it; while it waits, who is to have it again. */
  handler: string | undefined
  /** Who has accepted it, the last one. */
  acceptedBy: string | undefined
  /** Until when that one may be gone, ms, since when it was there last. */
  returnBy: number
  /** Times that no answer, or a bad one, came. */
  tries: number
  /** Times that the handling itself failed. */
  failures: number
  /** Its handling failed: what is about the same subject goes on before it. */
  isOvertaken: boolean
  /** What came of those who were asked, for any leg of its event that may go anywhere. */
  readonly asked: Map<string, Asked>
}

/** How somebody was asked for an event. */
export interface Asked {
  /** Times that no answer came. */
  misses: number
  /** It is left alone so long. */
  until: number
}

/** Handlers whose failures are remembered for one event: of more than may have it at once. */
export const MAX_ASKED = MAX_FAN_OUT + 64
/** A handler gets so many chances to answer before another is asked: a critical event comes again within a second. */
export const MISSES_BEFORE_NEXT = { low: 1, normal: 1, high: 1, critical: 2 } as const

/** A new one. @param asked shared with the other legs of the event. */
export function createLeg(event: string, fixed?: string, asked = new Map<string, Asked>()): Leg {
  return {
    event,
    fixed,
    state: 'idle',
    handler: undefined,
    acceptedBy: undefined,
    returnBy: 0,
    tries: 0,
    failures: 0,
    isOvertaken: false,
    asked
  }
}

/** True if it is with nobody. */
export function isFree({ state, handler }: Leg): boolean {
  return state === 'idle' || state === 'behind' || state === 'full' || (state === 'waiting' && handler === undefined)
}

/** True if who has accepted it has it, or is to come back to it, or has it sent again. */
export function hasTaker(leg: Leg): boolean {
  return leg.handler !== undefined && leg.handler === leg.acceptedBy && !isFinal(leg)
}

/** True if it has a handler, or a link to one, or waits for one to come back. */
export function isOut(leg: Leg): boolean {
  return leg.handler !== undefined && !isFinal(leg)
}

/** True if nothing more comes of it. */
export function isFinal({ state }: Leg): boolean {
  return state === 'done' || state === 'failed'
}

/** True if a handler has it, or it is final: it waits for nobody. */
export function isTaken(leg: Leg): boolean {
  return leg.state === 'accepted' || isFinal(leg)
}

/** Who had accepted before a restart is to have it again, unless it stays away: it may be at it, and another one would do it a second time. @returns what waits for them. */
export function leaveTo(handlers: readonly string[], legs: readonly Leg[], returnBy: number): Leg[] {
  return handlers.flatMap((handler) => {
    const leg = legs.find((one) => isFree(one) && (one.fixed ?? handler) === handler)
    return leg === undefined ? [] : [Object.assign(leg, { state: 'waiting' as const, handler, acceptedBy: handler, returnBy })]
  })
}

/** The next to ask: of those who may be asked now one that has missed least, of these the first. Otherwise when one may be asked; Infinity if nobody is there. */
export function chooseHandler(leg: Leg, candidates: Iterable<string>, priority: Priority, now: number): string | number {
  let best: string | undefined
  let least = Infinity
  let at = Infinity
  for (const candidate of candidates) {
    const { misses, until } = leg.asked.get(candidate) ?? { misses: 0, until: 0 }
    if (until > now) at = Math.min(at, until)
    else {
      const rounds = Math.floor(misses / MISSES_BEFORE_NEXT[priority])
      if (rounds < least) [best, least] = [candidate, rounds]
      if (least === 0) break
    }
  }
  return best ?? at
}

/** Codes that say nothing of the event: a handler that answers so may get it any number of times. */
export const NOT_COUNTED = new Set(['busy', 'unavailable', 'unknown_capability'])

/** It said no: the handling itself has failed, unless the code says that it was not begun. */
export function noteFailure(leg: Leg, code: string): void {
  if (NOT_COUNTED.has(code)) return
  leg.failures++
  leg.isOvertaken = true
}

/** No answer came. The time that it was waited for is the pause, so it may be asked again at once, if nobody else is to be. */
export function noteMiss(leg: Leg, now: number): void {
  if (leg.handler === undefined) return
  leg.tries++
  note(leg, leg.handler, { misses: (leg.asked.get(leg.handler)?.misses ?? 0) + 1, until: now })
}

/** It said no, or is not reached: it is left alone for a while. */
export function noteRefusal(leg: Leg, pauseMs: number, priority: Priority, now: number, random: () => number): void {
  if (leg.handler === undefined) return
  const until = now + Math.max(pauseMs, ackWaitMs(priority, leg.tries, random))
  leg.tries++
  note(leg, leg.handler, { misses: leg.asked.get(leg.handler)?.misses ?? 0, until })
}

function note(leg: Leg, handler: string, asked: Asked): void {
  leg.asked.delete(handler)
  leg.asked.set(handler, asked)
  if (leg.asked.size > MAX_ASKED) leg.asked.delete(leg.asked.keys().next().value!)
}
