import assert from 'node:assert/strict'
import fc from 'fast-check'
import { fired, type Firing } from '../../../../src/core/triggers/firing.ts'
import {
  MAX_CRITICAL_THROTTLE_MS,
  MAX_THROTTLED,
  MAX_THROTTLED_BYTES,
  createThrottle,
  throttleMsOf,
  type Throttle
} from '../../../../src/core/triggers/throttle.ts'

type Emitted = Firing<number> & { key: string; at: number }

describe('throttle', () => {
  let time: number
  let emitted: Emitted[]
  let throttle: Throttle<number>
  beforeEach(() => {
    time = 0
    emitted = []
    throttle = createThrottle((key, firing) => emitted.push({ key, at: time, ...firing }))
  })
  const fire = (key: string, payload: number, intervalMs = 1_000): string =>
    throttle.fire(key, fired(payload, 1, time), intervalMs, time)
  const tick = (at: number): void => throttle.tick((time = at))

  it('lets the first through at once, and the others as one at the end, with their count, times and last payload', () => {
    assert.equal(fire('a', 1), 'fired')
    for (const at of [100, 200, 900]) {
      time = at
      assert.equal(fire('a', at), 'coalesced')
    }
    assert.equal(emitted.length, 1)
    assert.equal(throttle.nextAt, 1_000)
    tick(1_000)
    assert.deepEqual(emitted.slice(1), [{ key: 'a', at: 1_000, payload: 900, count: 3, firstAt: 100, lastAt: 900, bytes: 1 }])
    time = 1_500
    assert.equal(fire('a', 5), 'coalesced', 'the trailing one begins an interval')
    tick(2_000)
    tick(3_000)
    assert.equal(throttle.size, 0)
    assert.equal(fire('a', 6), 'fired')
  })

  it('does not depend on when it is told that time has passed', () => {
    fire('a', 1)
    time = 1_500
    assert.equal(fire('a', 2), 'fired')
    time = 1_600
    assert.equal(fire('a', 3), 'coalesced')
    time = 2_700
    assert.equal(fire('a', 4), 'coalesced', 'the one before goes now')
    assert.deepEqual(
      emitted.map(({ payload }) => payload),
      [1, 2, 3]
    )
  })

  it('has an interval for each key', () => {
    for (const key of ['a', 'b', 'c']) assert.equal(fire(key, 1), 'fired')
    assert.equal(fire('b', 2), 'coalesced')
  })

  it('does not hold back what has no interval', () => {
    for (let n = 0; n < 5; n++) assert.equal(fire('a', n, 0), 'fired')
    assert.equal(throttle.size, 0)
    fire('a', 1)
    fire('a', 2)
    assert.equal(fire('a', 3, 0), 'fired')
    assert.deepEqual(
      emitted.slice(6).map(({ count, payload }) => [count, payload]),
      [[2, 3]]
    )
  })

  it('holds a critical event back for a second at most', () => {
    assert.equal(throttleMsOf({ event: 'e', throttleMs: 30_000, priority: 'critical' }), MAX_CRITICAL_THROTTLE_MS)
    assert.equal(throttleMsOf({ event: 'e', throttleMs: 500, priority: 'critical' }), 500)
    assert.equal(throttleMsOf({ event: 'e', throttleMs: 30_000, priority: 'high' }), 30_000)
    assert.equal(throttleMsOf({ event: 'e' }), 0)
  })

  it('lets go early, and loses nothing, when there are too many keys', () => {
    for (let n = 0; n <= MAX_THROTTLED + 9; n++) {
      fire(`k${n}`, n, 1_000 + n)
      fire(`k${n}`, -n, 1_000 + n)
    }
    assert.equal(throttle.size, MAX_THROTTLED)
    const early = emitted.filter(({ payload }) => payload <= 0 && payload !== emitted[0]!.payload)
    assert.deepEqual(
      early.slice(0, 3).map(({ key }) => key),
      ['k1', 'k2', 'k3']
    )
    throttle.flush()
    assert.equal(sum(emitted), 2 * (MAX_THROTTLED + 10))
  })

  it('lets go early when what is held back takes too much room', () => {
    const half = MAX_THROTTLED_BYTES / 2
    for (const key of ['a', 'b', 'c']) {
      throttle.fire(key, fired(0, 1, 0), 1_000, 0)
      throttle.fire(key, fired(1, half, 0), 1_000, 0)
    }
    assert.deepEqual(
      emitted.filter(({ bytes }) => bytes === half).map(({ key }) => key),
      ['a']
    )
    for (let n = 0; n < 10; n++) throttle.fire('b', fired(n, half, 0), 1_000, 0)
    assert.equal(throttle.size, 2, 'a payload takes the place of the one before')
    assert.equal(throttle.fire('huge', fired(0, 1, 0), 1, 0), 'fired')
    assert.equal(throttle.fire('huge', fired(0, 3 * half, 0), 1, 0), 'fired', 'too large to hold back')
  })

  it('counts exactly, keeps its distance, and nothing waits longer than its interval, whatever is fired', () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      wait: fc.constantFrom(0, 1, 300, 999, 1_000, 5_000),
      tick: fc.boolean()
    })
    const intervals: Record<string, number> = { a: 1_000, b: 1_500, c: 10 }
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
        time = 0
        emitted = []
        throttle = createThrottle((key, firing) => emitted.push({ key, at: time, ...firing }))
        const last: Record<string, number> = {}
        const count: Record<string, number> = {}
        steps.forEach(({ key, wait, tick: ticks }, n) => {
          time += wait
          if (ticks) throttle.tick(time)
          const before = emitted.length
          const answer = fire(key, n, intervals[key])
          last[key] = n
          count[key] = (count[key] ?? 0) + 1
          const went = emitted.slice(before).some((one) => one.key === key && one.payload === n)
          assert.equal(answer, went ? 'fired' : 'coalesced')
        })
        while (throttle.nextAt < Infinity) tick(throttle.nextAt > time ? throttle.nextAt : time)
        for (const key of Object.keys(count)) {
          const mine = emitted.filter((one) => one.key === key)
          assert.equal(sum(mine), count[key], 'each firing is in one event')
          assert.equal(mine.at(-1)!.payload, last[key], 'the last payload is the last to go')
          mine.slice(1).forEach((one, n) => assert.ok(one.at - mine[n]!.at >= intervals[key]!, 'too soon'))
          for (const one of mine) assert.ok(one.firstAt <= one.lastAt && one.lastAt <= one.at)
          mine.slice(1).forEach((one, n) => assert.ok(one.firstAt >= mine[n]!.lastAt, 'in order'))
        }
      })
    )
  })
})

const sum = (events: { count: number }[]): number => events.reduce((total, { count }) => total + count, 0)
