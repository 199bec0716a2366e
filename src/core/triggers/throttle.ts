import type { TriggerDeclaration } from '../../../protocols/capability.ts'
import { createDeadlines } from './deadlines.ts'
import { coalesce, type Firing } from './firing.ts'

/** Keys that are throttled at once; past it the one whose time ends next is let go early, which loses nothing. */
export const MAX_THROTTLED = 8_192
/** Bytes of the payloads that are held back; past it as well. */
export const MAX_THROTTLED_BYTES = 16 * 1024 * 1024
/** A critical event is never held back for longer, ms. */
export const MAX_CRITICAL_THROTTLE_MS = 1_000

/** Holds back events of a key that come too soon after one another. The first goes at once, the others become one at the end of the interval. */
export interface Throttle<P> {
  /** What is passed on is told to `emit`, before this returns. */
  fire(key: string, firing: Firing<P>, intervalMs: number, now: number): 'fired' | 'coalesced'
  /** Lets go what has waited long enough. */
  tick(now: number): void
  /** Lets go everything: the node stops. */
  flush(): void
  /** When `tick` is next to be called; Infinity if nothing is throttled. */
  readonly nextAt: number
  readonly size: number
}

interface Interval<P> {
  ms: number
  held: Firing<P> | undefined
}

/** How long the events of a trigger are kept apart, ms; 0: not at all. */
export function throttleMsOf({ throttleMs = 0, priority }: TriggerDeclaration): number {
  return priority === 'critical' ? Math.min(throttleMs, MAX_CRITICAL_THROTTLE_MS) : throttleMs
}

/** @param emit told each event that goes on. Their counts add up to the firings. */
export function createThrottle<P>(emit: (key: string, firing: Firing<P>) => void): Throttle<P> {
  const intervals = new Map<string, Interval<P>>()
  const ends = createDeadlines<string>()
  let bytes = 0

  function end(key: string): Firing<P> | undefined {
    const held = intervals.get(key)?.held
    intervals.delete(key)
    ends.delete(key)
    bytes -= held?.bytes ?? 0
    return held
  }

  function begin(key: string, ms: number, now: number): void {
    intervals.set(key, { ms, held: undefined })
    ends.set(key, now + ms)
    while (intervals.size > MAX_THROTTLED) letGo(ends.first!)
  }

  function letGo(key: string): void {
    const held = end(key)
    if (held !== undefined) emit(key, held)
  }

  /** The interval of a key is over. If it held something back, that goes, and the next one begins. */
  function turn(key: string, now: number): void {
    const { ms } = intervals.get(key)!
    const held = end(key)
    if (held === undefined) return
    emit(key, held)
    begin(key, ms, now)
  }

  return {
    fire(key, firing, intervalMs, now) {
      if ((ends.at(key) ?? Infinity) <= now) turn(key, now)
      const interval = intervals.get(key)
      if (interval !== undefined && intervalMs > 0) {
        bytes += firing.bytes - (interval.held?.bytes ?? 0)
        interval.held = coalesce(interval.held, firing)
        while (bytes > MAX_THROTTLED_BYTES) letGo(ends.first!)
        return intervals.has(key) ? 'coalesced' : 'fired'
      }
      emit(key, coalesce(end(key), firing))
      if (intervalMs > 0) begin(key, intervalMs, now)
      return 'fired'
    },
    tick(now) {
      while (ends.nextAt <= now) turn(ends.first!, now)
    },
    flush() {
      for (const key of [...intervals.keys()]) letGo(key)
    },
    get nextAt() {
      return ends.nextAt
    },
    get size() {
      return intervals.size
    }
  }
}
