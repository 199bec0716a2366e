import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Item } from '../../../src/core/invoke.ts'
import { createLimits, type LimitRule, type Limits, type Meter } from '../../../src/core/limits.ts'
import type { Caller } from '../../../src/core/policy.ts'
import { isMeshError } from '../../../src/errors.ts'

const MODEL = { id: 'model', type: 'llm/chat' }
const SAY = { name: 'say' }
const MINUTE = 60_000

describe('limits', () => {
  let time: number
  const now = (): number => time
  beforeEach(() => (time = 0))

  const caller = (peerId = 'a', role: Caller['role'] = 'member'): Caller => ({ peerId, role, tags: [] })
  const enter = (limits: Limits, who = caller()): Meter | undefined => limits.enter(who, MODEL, SAY)
  const refusesAfter =
    (limit: string, ms?: number) =>
    (error: unknown): boolean => {
      assert.ok(isMeshError(error, 'busy'))
      assert.deepEqual(error.details, { reason: 'limit', limit, ...(ms !== undefined && { retryAfterMs: ms }), notStarted: true })
      return true
    }
  const bytes = (n: number): Item => ({ kind: 'bytes', bytes: new Uint8Array(n) })
  const answer = (total_tokens: unknown): Item => ({ kind: 'result', value: { usage: { total_tokens } } as never })

  it('leave alone whom they do not fit', () => {
    const limits = createLimits([{ roles: ['guest'], callsPerMinute: 1 }], now)
    assert.equal(enter(limits), undefined)
    assert.ok(enter(limits, caller('g', 'guest')))
  })

  it('count calls a minute for each caller, or for all, and say when to come back', () => {
    const each = createLimits([{ callsPerMinute: 2 }], now)
    for (const peer of ['a', 'a', 'b', 'b']) enter(each, caller(peer))
    assert.throws(() => enter(each), refusesAfter('callsPerMinute', 30_000))
    time = 30_000
    enter(each)
    assert.throws(() => enter(each), refusesAfter('callsPerMinute', 30_000))
    const all = createLimits([{ per: 'all', callsPerMinute: 2 }], now)
    for (const peer of ['a', 'b']) enter(all, caller(peer))
    assert.throws(() => enter(all, caller('c')), refusesAfter('callsPerMinute', 30_000))
  })

  it('count calls at once until each has left, once', () => {
    const limits = createLimits([{ concurrent: 1 }], now)
    const first = enter(limits)!
    assert.throws(() => enter(limits), refusesAfter('concurrent'))
    assert.ok(enter(limits, caller('b')))
    first.leave()
    first.leave()
    assert.ok(enter(limits))
    assert.throws(() => enter(limits), refusesAfter('concurrent'))
  })

  it('make streams wait that are past their bytes, and let no item be lost for its size', () => {
    const limits = createLimits([{ bytesPerMinute: 600 }], now)
    const meter = enter(limits)!
    assert.equal(meter.yielded(bytes(600)), 0)
    assert.equal(meter.yielded(bytes(1_200)), 2 * MINUTE)
    assert.equal(meter.yielded({ kind: 'progress', progress: { done: 1 } }), 0)
    time = 2 * MINUTE
    assert.equal(meter.yielded(bytes(10)), 1_000)
    assert.equal(meter.yielded({ kind: 'json', value: 'x'.repeat(8) }), 2_000)
    assert.equal(enter(limits, caller('b'))!.yielded(bytes(600)), 0)
  })

  it('count the tokens that models tell, and begin no call when they are used up', () => {
    const limits = createLimits([{ tokensPerDay: 86_400 }], now)
    const meter = enter(limits)!
    for (const wrong of ['many', -5, null]) meter.yielded(answer(wrong))
    meter.yielded({ kind: 'result', value: null })
    meter.yielded(answer(86_399))
    const last = enter(limits)!
    last.yielded({ kind: 'json', value: { usage: { total_tokens: 100 } } })
    assert.throws(() => enter(limits), refusesAfter('tokensPerDay', 100_000))
    time = 100_000
    assert.ok(enter(limits))
  })

  it('estimate the tokens of a call that was cut short before its model told them, and of no other', () => {
    const quota = (): Limits => createLimits([{ tokensPerDay: 86_400 }], now)
    const left = quota()
    const cut = enter(left)!
    // 4 * 86,401 bytes, some of them in characters of three.
    cut.yielded({ kind: 'json', value: '好'.repeat(1_000) })
    cut.yielded(bytes(4 * 86_401 - 3_002))
    cut.leave(true)
    cut.leave(true)
    assert.throws(() => enter(left), refusesAfter('tokensPerDay', 2_000))
    for (const spend of [
      (meter: Meter) => (meter.yielded(bytes(1_000_000)), meter.leave()),
      (meter: Meter) => (meter.yielded(bytes(1_000_000)), meter.yielded(answer(5)), meter.leave(true)),
      (meter: Meter) => (meter.taken(bytes(1_000_000)), meter.taken(answer(1_000_000)), meter.leave(true))
    ]) {
      const limits = quota()
      const meter = enter(limits)!
      spend(meter)
      assert.ok(enter(limits))
    }
    // What the caller streams in says nothing about what the model took.
    const fooled = quota()
    const meter = enter(fooled)!
    meter.taken(answer(1))
    meter.yielded(bytes(4 * 86_400))
    meter.leave(true)
    assert.throws(() => enter(fooled), refusesAfter('tokensPerDay', 1_000))
  })

  it('take nothing of any when one refuses', () => {
    const limits = createLimits([{ callsPerMinute: 1_000 }, { concurrent: 1 }, { callsPerMinute: 2 }], now)
    const first = enter(limits)!
    for (let n = 0; n < 10; n++) assert.throws(() => enter(limits), refusesAfter('concurrent'))
    first.leave()
    enter(limits)!.leave()
    assert.throws(() => enter(limits), refusesAfter('callsPerMinute', 30_000))
  })

  it('never let more through than they say, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.record({ waitMs: fc.integer({ min: 0, max: 20_000 }), leaves: fc.boolean() }), { maxLength: 200 }),
        (callsPerMinute, concurrent, steps) => {
          time = 0
          const rules: LimitRule[] = [{ callsPerMinute, concurrent }]
          const limits = createLimits(rules, now)
          const running: Meter[] = []
          const begun: number[] = []
          for (const { waitMs, leaves } of steps) {
            time += waitMs
            if (leaves) running.shift()?.leave()
            try {
              running.push(enter(limits)!)
              begun.push(time)
            } catch (error) {
              assert.ok(isMeshError(error, 'busy'))
            }
            assert.ok(running.length <= concurrent)
            // A full bucket, and what came in since.
            const inMinute = begun.filter((at) => at > time - MINUTE).length
            assert.ok(inMinute <= 2 * callsPerMinute)
          }
          assert.ok(begun.length <= callsPerMinute + Math.ceil((time / MINUTE) * callsPerMinute))
        }
      )
    )
  })
})
