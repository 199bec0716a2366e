/** Waiting between attempts to start something again. */

/** First wait, in ms. */
export const MIN_RESTART_MS = 500
/** Longest wait, in ms; something that ran longer than this starts over at the first. */
export const MAX_RESTART_MS = 30_000

/** Waits that double, with jitter, so that what failed together does not come back together. */
export interface Backoff {
  /** Next wait in ms. `ranMs` is how long it ran this time. */
  next(ranMs: number): number
}

/** Makes a backoff. `random` in [0, 1). */
export function createBackoff(init: { random?: () => number; minMs?: number; maxMs?: number } = {}): Backoff {
  const { random = Math.random, minMs = MIN_RESTART_MS, maxMs = MAX_RESTART_MS } = init
  let failures = 0
  return {
    next(ranMs) {
      if (ranMs >= maxMs) failures = 0
      const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(failures++, 20))
      return ceiling * (0.75 + random() * 0.25)
    }
  }
}

/** Waits; ends early, without an error, when the signal aborts. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
