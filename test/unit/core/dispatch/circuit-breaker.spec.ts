import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Outcome } from '../../../../src/core/dispatch/candidate.ts'
import {
  FAILURES_TO_OPEN,
  OPEN_MS,
  breakerBegan,
  breakerEnded,
  createCircuitBreaker,
  isOpen,
  type CircuitBreaker
} from '../../../../src/core/dispatch/circuit-breaker.ts'

describe('circuit breaker', () => {
  const failing = (times: number, now = 0): CircuitBreaker => {
    const breaker = createCircuitBreaker()
    for (let n = 0; n < times; n++) call(breaker, 'failed', now)
    return breaker
  }
  const call = (breaker: CircuitBreaker, outcome: Outcome, now: number): void => {
    breakerBegan(breaker, now)
    breakerEnded(breaker, outcome, now)
  }

  it('opens after three transport failures in a row', () => {
    assert.equal(isOpen(failing(FAILURES_TO_OPEN - 1), 0), false)
    assert.equal(isOpen(failing(FAILURES_TO_OPEN), 0), true)
  })

  it('counts only failures of the transport, and only in a row', () => {
    for (const outcome of ['ok', 'answered', 'busy'] as const) {
      const breaker = failing(FAILURES_TO_OPEN - 1)
      call(breaker, outcome, 0)
      call(breaker, 'failed', 0)
      assert.equal(isOpen(breaker, 0), false, outcome)
    }
    const slow = createCircuitBreaker()
    for (let n = 0; n < 10; n++) call(slow, 'timeout', 0)
    assert.equal(isOpen(slow, 0), false)
  })

  it('lets one call through after five seconds, and closes if that goes well', () => {
    const breaker = failing(FAILURES_TO_OPEN)
    assert.equal(isOpen(breaker, OPEN_MS - 1), true)
    assert.equal(isOpen(breaker, OPEN_MS), false)
    breakerBegan(breaker, OPEN_MS)
    assert.equal(isOpen(breaker, OPEN_MS + 1), true, 'one at a time')
    breakerEnded(breaker, 'ok', OPEN_MS + 2)
    assert.equal(isOpen(breaker, OPEN_MS + 2), false)
  })

  it('opens again if that goes wrong, or lasts too long', () => {
    for (const outcome of ['failed', 'timeout'] as const) {
      const breaker = failing(FAILURES_TO_OPEN)
      call(breaker, outcome, OPEN_MS)
      assert.equal(isOpen(breaker, 2 * OPEN_MS - 1), true, outcome)
      assert.equal(isOpen(breaker, 2 * OPEN_MS), false, outcome)
    }
  })

  it('tries again if the one call was cancelled', () => {
    const breaker = failing(FAILURES_TO_OPEN)
    call(breaker, 'cancelled', OPEN_MS)
    assert.equal(isOpen(breaker, OPEN_MS), false)
  })

  it('never stays open when nothing runs there, for longer than it says', () => {
    const outcomes = fc.constantFrom<Outcome>('ok', 'answered', 'failed', 'timeout', 'busy', 'cancelled')
    fc.assert(
      fc.property(fc.array(fc.tuple(outcomes, fc.nat(10_000)), { maxLength: 100 }), (calls) => {
        const breaker = createCircuitBreaker()
        let now = 0
        for (const [outcome, waitMs] of calls) {
          call(breaker, outcome, (now += waitMs))
          assert.equal(isOpen(breaker, now + OPEN_MS), false)
        }
      })
    )
  })
})
