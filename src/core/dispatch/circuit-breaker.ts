import type { Outcome } from './candidate.ts'

/** Failures in a row that open a breaker. */
export const FAILURES_TO_OPEN = 3
/** How long it stays open before one call may try again. */
export const OPEN_MS = 5_000

/** Keeps calls from a provider that cannot be reached. */
export interface CircuitBreaker {
  /** In a row. */
  failures: number
  /** Open until then; past it, half open. */
  openUntil: number
  /** The one call that a half-open breaker lets through is on its way. */
  trying: boolean
}

/** A closed one. */
export function createCircuitBreaker(): CircuitBreaker {
  return { failures: 0, openUntil: -Infinity, trying: false }
}

/** True if no call should go there now. */
export function isOpen({ failures, openUntil, trying }: CircuitBreaker, now: number): boolean {
  return failures >= FAILURES_TO_OPEN && (now < openUntil || trying)
}

/** A call goes there: through a half-open breaker it is the only one. */
export function breakerBegan(breaker: CircuitBreaker, now: number): void {
  if (breaker.failures >= FAILURES_TO_OPEN && now >= breaker.openUntil) breaker.trying = true
}

/** A call there has ended. Whoever answers, if only to refuse, is there; a cancelled call says nothing; a late answer is not a lost one. */
export function breakerEnded(breaker: CircuitBreaker, outcome: Outcome, now: number): void {
  if (outcome === 'failed') {
    breaker.failures++
    if (breaker.failures >= FAILURES_TO_OPEN) breaker.openUntil = now + OPEN_MS
  } else if (outcome === 'ok' || outcome === 'answered' || outcome === 'busy') breaker.failures = 0
  else if (outcome === 'timeout' && breaker.trying) breaker.openUntil = now + OPEN_MS
  breaker.trying = false
}
