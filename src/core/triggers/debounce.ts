import { createDeadlines } from './deadlines.ts'
import { coalesce, type Firing } from './firing.ts'

/** Keys that wait for quiet at once; past it the one that is due next goes early, which loses nothing. */
export const MAX_DEBOUNCED = 8_192
/** Bytes of the payloads that wait; past it as well. */
export const MAX_DEBOUNCED_BYTES = 16 * 1024 * 1024
/** What never gets quiet goes after so many times the quiet that it waits for. */
export const MAX_DEBOUNCE_FACTOR = 5

/** Waits until a key has been quiet for a time; then all its firings become one event. */
export interface Debounce<P> {
  fire(key: string, firing: Firing<P>, quietMs: number, now: number): void
  /** Lets go what has been quiet, or has waited long enough. */
  tick(now: number): void
  /** Lets go everything: the node stops. */
  flush(): void
  /** When `tick` is next to be called; Infinity if nothing waits. */
  readonly nextAt: number
  readonly size: number
}

/** @param emit told each event that goes on. Their counts add up to the firings. */
export function createDebounce<P>(emit: (key: string, firing: Firing<P>) => void): Debounce<P> {
  const waiting = new Map<string, Firing<P>>()
  const due = createDeadlines<string>()
  let bytes = 0

  function letGo(key: string): void {
    const firing = waiting.get(key)!
    waiting.delete(key)
    due.delete(key)
    bytes -= firing.bytes
    emit(key, firing)
  }

  return {
    fire(key, firing, quietMs, now) {
      if ((due.at(key) ?? Infinity) <= now) letGo(key)
      const before = waiting.get(key)
      const all = coalesce(before, firing)
      waiting.set(key, all)
      bytes += all.bytes - (before?.bytes ?? 0)
      due.set(key, Math.min(now + quietMs, all.firstAt + MAX_DEBOUNCE_FACTOR * quietMs))
      while (waiting.size > MAX_DEBOUNCED || bytes > MAX_DEBOUNCED_BYTES) letGo(due.first!)
    },
    tick(now) {
      while (due.nextAt <= now) letGo(due.first!)
    },
    flush() {
      for (const key of [...waiting.keys()]) letGo(key)
    },
    get nextAt() {
      return due.nextAt
    },
    get size() {
      return waiting.size
    }
  }
}
