/** Other candidates that one call may be given to. */
export const MAX_RETRIES = 3
/** Retries that a call pays for: with all providers refusing, this is all that overload is made worse by. */
export const RETRIES_PER_CALL = 0.1
/** Retries that may be saved up: a node that is lost takes all calls with it that run there. */
export const MAX_SAVED_RETRIES = 20
/** Retries that are there after {@link IDLE_MS} without a call, so that a lone one can be retried. */
export const IDLE_RETRIES = 3
/** In ms. */
export const IDLE_MS = 30_000

/** How many calls may be tried again (as the retry budget of Finagle). */
export interface RetryBudget {
  /** A call begins. */
  call(now: number): void
  /** Takes a retry; false if there is none left, or `retry` (1 is the first) is too many for one call. */
  take(retry: number): boolean
  /** True if a retry is left. */
  readonly left: boolean
  /** Takes one in any case; later calls pay for it, for {@link MAX_SAVED_RETRIES} at most. */
  owe(): void
}

/** A budget that all calls of a node share. */
export function createRetryBudget(): RetryBudget {
  let saved = 0
  let calledAt = -Infinity

  return {
    call(now) {
      if (now - calledAt >= IDLE_MS) saved = Math.max(saved, IDLE_RETRIES)
      saved = Math.min(MAX_SAVED_RETRIES, saved + RETRIES_PER_CALL)
      calledAt = now
    },
    take(retry) {
      if (retry > MAX_RETRIES || saved < 1) return false
      saved--
      return true
    },
    get left() {
      return saved >= 1
    },
    owe: () => void (saved = Math.max(-MAX_SAVED_RETRIES, saved - 1))
  }
}
