import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  MAX_DEBOUNCED,
  MAX_DEBOUNCED_BYTES,
  MAX_DEBOUNCE_FACTOR,
  createDebounce,
  type Debounce
} from '../../../../src/core/triggers/debounce.ts'
import { fired, type Firing } from '../../../../src/core/triggers/firing.ts'

describe('debounce', () => {
  const QUIET_MS = 100
  let time: number
  let emitted: (Firing<number> & { key: string; at: number })[]
  let debounce: Debounce<number>
  const create = (): void => {
    time = 0
    emitted = []
    debounce = createDebounce((key, firing) => emitted.push({ key, at: time, ...firing }))
  }
  beforeEach(create)
  const fire = (key: string, payload: number): void => debounce.fire(key, fired(payload, 1, time), QUIET_MS, time)

  it('waits until it is quiet', () => {
    for (const at of [0, 60, 120]) {
      debounce.tick((time = at))
      fire('a', at)
    }
    assert.equal(debounce.nextAt, 220)
    debounce.tick((time = 220))
    assert.deepEqual(emitted, [{ key: 'a', at: 220, payload: 120, count: 3, firstAt: 0, lastAt: 120, bytes: 1 }])
    assert.equal(debounce.nextAt, Infinity)
  })

  it('waits five times as long at most for what never gets quiet', () => {
    for (let at = 0; at < 1_000; at += 50) {
      debounce.tick((time = at))
      fire('a', at)
    }
    assert.deepEqual(
      emitted.map(({ at, count }) => [at, count]),
      [[MAX_DEBOUNCE_FACTOR * QUIET_MS, 10]]
    )
  })

  it('lets go early, and loses nothing, when there are too many keys or bytes', () => {
    for (let n = 0; n < MAX_DEBOUNCED + 5; n++) fire(`k${n}`, n)
    assert.equal(debounce.size, MAX_DEBOUNCED)
    assert.deepEqual(
      emitted.map(({ key }) => key),
      ['k0', 'k1', 'k2', 'k3', 'k4']
    )
    debounce.flush()
    assert.equal(emitted.length, MAX_DEBOUNCED + 5)
    create()
    for (const key of ['a', 'b', 'b', 'c']) debounce.fire(key, fired(0, MAX_DEBOUNCED_BYTES / 2, 0), QUIET_MS, 0)
    assert.deepEqual(
      emitted.map(({ key }) => key),
      ['a']
    )
  })

  it('counts exactly, and nothing waits too long, whatever is fired', () => {
    const steps = fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.nat(150), fc.boolean()), { maxLength: 200, size: 'max' })
    fc.assert(
      fc.property(steps, (fires) => {
        create()
        const count: Record<string, number> = { a: 0, b: 0 }
        fires.forEach(([key, wait, ticks], n) => {
          time += wait
          if (ticks) while (debounce.nextAt <= time) debounce.tick(debounce.nextAt)
          fire(key, n)
          count[key]!++
        })
        while (debounce.nextAt < Infinity) debounce.tick((time = Math.max(time, debounce.nextAt)))
        for (const key of ['a', 'b']) {
          const mine = emitted.filter((one) => one.key === key)
          assert.equal(
            mine.reduce((total, one) => total + one.count, 0),
            count[key]
          )
          for (const { firstAt, lastAt } of mine) assert.ok(lastAt - firstAt <= MAX_DEBOUNCE_FACTOR * QUIET_MS)
        }
      })
    )
  })
})
