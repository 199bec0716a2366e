import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  IDLE_MS,
  IDLE_RETRIES,
  MAX_RETRIES,
  MAX_SAVED_RETRIES,
  RETRIES_PER_CALL,
  createRetryBudget
} from '../../../../src/core/dispatch/retry-budget.ts'

describe('retry budget', () => {
  it('lets a lone call be retried three times, and not a fourth time', () => {
    const budget = createRetryBudget()
    for (const now of [0, IDLE_MS]) {
      budget.call(now)
      assert.deepEqual([1, 2, 3, 4].map(budget.take), [true, true, true, false])
    }
  })

  it('lets one call not be retried more often because others were not', () => {
    const budget = createRetryBudget()
    for (let n = 0; n < 1_000; n++) budget.call(n)
    assert.equal(budget.take(MAX_RETRIES + 1), false)
  })

  it('lets one be owed, and has none until that is paid', () => {
    const budget = createRetryBudget()
    budget.call(0)
    assert.equal(budget.left, true)
    for (let n = 0; n < 2 * IDLE_RETRIES; n++) budget.owe()
    assert.equal(budget.left, false)
    let calls = 0
    while (!budget.left) budget.call(++calls)
    assert.ok(calls > (IDLE_RETRIES + 1) / RETRIES_PER_CALL - 2, `${calls} calls`)
  })

  it('owes no more than can be saved, whatever others claim', () => {
    const budget = createRetryBudget()
    for (let n = 0; n < 10_000; n++) budget.owe()
    let calls = 0
    while (!budget.left) budget.call(++calls)
    assert.ok(calls <= (MAX_SAVED_RETRIES + 2) / RETRIES_PER_CALL, `${calls} calls`)
  })

  it('has none left for the next call right after', () => {
    const budget = createRetryBudget()
    budget.call(0)
    for (let retry = 1; retry <= MAX_RETRIES; retry++) budget.take(retry)
    budget.call(IDLE_MS - 1)
    assert.equal(budget.take(1), false)
  })

  it('has saved enough for all calls that ran on a node that is lost', () => {
    const budget = createRetryBudget()
    for (let n = 0; n < 1_000; n++) budget.call(n)
    let taken = 0
    while (budget.take(1)) taken++
    assert.equal(taken, MAX_SAVED_RETRIES)
  })

  it('never lets more than a tenth of the calls be retried, beside those of lone calls', () => {
    const calls = fc.array(fc.tuple(fc.oneof(fc.nat(200), fc.nat(2 * IDLE_MS)), fc.integer({ min: 0, max: 4 })), {
      maxLength: 500
    })
    fc.assert(
      fc.property(calls, (all) => {
        const budget = createRetryBudget()
        let [now, taken, lone] = [0, 0, 1]
        for (const [n, [waitMs, wanted]] of all.entries()) {
          if (n > 0 && waitMs >= IDLE_MS) lone++
          budget.call((now += waitMs))
          for (let retry = 1; retry <= wanted; retry++) if (budget.take(retry)) taken++
        }
        assert.ok(taken <= IDLE_RETRIES * lone + all.length * RETRIES_PER_CALL + 1e-6, `${taken} of ${all.length} calls`)
      })
    )
  })
})
