import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  DEMOTED_COST,
  DEMOTED_MS,
  MAX_DEMOTIONS,
  MAX_TRUST_RECORDS,
  MIN_CALLS,
  createNeighbourTrust,
  type Blame,
  type NeighbourTrust,
  type Outcome
} from '../../../../src/core/routing/neighbour-trust.ts'

describe('trust in neighbours', () => {
  const make = (): NeighbourTrust<number> => createNeighbourTrust()
  const outcomeOf = (ok: boolean): Outcome => (ok ? 'ok' : 'failed')
  const call = (trust: NeighbourTrust<number>, neighbour: number, origin: number, ok: boolean, now = 0): Blame<number>[] =>
    trust.came(neighbour, origin, outcomeOf(ok), now)
  const fail = (trust: NeighbourTrust<number>, link: number, origin: number, now = 0): Blame<number>[] => {
    for (let n = 1; n < MIN_CALLS; n++) assert.deepEqual(call(trust, link, origin, false, now), [])
    return call(trust, link, origin, false, now)
  }

  it('demotes for an origin when less than half of five calls came back, and in all if that is so at three', () => {
    const trust = make()
    assert.deepEqual(fail(trust, 1, 7), [{ neighbour: 1, origin: 7, cost: DEMOTED_COST }])
    // Of one origin alone that one may be at fault.
    assert.deepEqual(call(trust, 1, 8, false), [])
    assert.deepEqual(call(trust, 1, 9, false), [{ neighbour: 1, cost: DEMOTED_COST }])
    assert.deepEqual(trust.tick(DEMOTED_MS - 1), [])
    assert.equal(trust.nextAt, DEMOTED_MS)
  })

  it('demotes for the one origin when the others are served', () => {
    const trust = make()
    for (let n = 0; n < 10; n++) call(trust, 1, 8, true)
    assert.deepEqual(fail(trust, 1, 7), [{ neighbour: 1, origin: 7, cost: DEMOTED_COST }])
  })

  it('leaves alone who brings back half', () => {
    const trust = make()
    for (let n = 0; n < 200; n++) assert.deepEqual(call(trust, 1, 7, n % 2 === 0), [])
  })

  it('remembers less of long ago: who fails after a thousand good calls is demoted soon', () => {
    const trust = make()
    for (let n = 0; n < 1_000; n++) call(trust, 1, 7, true)
    let calls = 0
    while (call(trust, 1, 7, false).length === 0) calls++
    assert.ok(calls < 40, `${calls} calls`)
  })

  it('takes silence, and what is of no use, for as much as five errors, for the one origin', () => {
    const trust = make()
    assert.deepEqual(trust.came(2, 7, 'useless', 0, false), [{ neighbour: 2, origin: 7, cost: DEMOTED_COST }])
    assert.deepEqual(trust.came(1, 7, 'silent', 0), [{ neighbour: 1, origin: 7, cost: DEMOTED_COST }])
    for (let origin = 8; origin < 8 + MIN_CALLS; origin++) call(trust, 1, origin, true)
    assert.deepEqual(trust.came(1, 20, 'silent', 0), [{ neighbour: 1, origin: 20, cost: DEMOTED_COST }])
  })

  it(`demotes for ${MAX_DEMOTIONS} origins at once and no more, and in all though it does so`, () => {
    const trust = make()
    for (let origin = 0; origin < MAX_DEMOTIONS; origin++)
      assert.deepEqual(trust.came(1, origin, 'silent', 0, false), [{ neighbour: 1, origin, cost: DEMOTED_COST }])
    assert.deepEqual(trust.came(1, MAX_DEMOTIONS, 'silent', 0, false), [])
    assert.deepEqual(
      [trust.inForce(1).length, trust.isDemotedFor(0), trust.isDemotedFor(MAX_DEMOTIONS)],
      [MAX_DEMOTIONS, true, false]
    )
    for (let n = 1; n < MIN_CALLS; n++) assert.deepEqual(call(trust, 1, n, false), [])
    assert.deepEqual(call(trust, 1, 0, false), [{ neighbour: 1, cost: DEMOTED_COST }])
    // Those that failed meanwhile go on; the one in all is over.
    assert.equal(trust.tick(DEMOTED_MS).length, MAX_DEMOTIONS - MIN_CALLS + 1)
    assert.equal(trust.tick(2 * DEMOTED_MS).length, MIN_CALLS)
  })

  it('demotes in all for what was of this node alone: others may be in league with who does not answer', () => {
    const trust = make()
    for (let origin = 0; origin < 50; origin++)
      assert.deepEqual(trust.came(1, origin, 'silent', 0, false), [{ neighbour: 1, origin, cost: DEMOTED_COST }])
    for (let origin = 50; origin < 50 + MIN_CALLS - 1; origin++) assert.equal(trust.came(1, origin, 'silent', 0).length, 1)
    assert.deepEqual(trust.came(1, 60, 'silent', 0).at(-1), { neighbour: 1, origin: 60, cost: DEMOTED_COST })
    assert.deepEqual(trust.inForce(1).at(-2), { neighbour: 1, cost: DEMOTED_COST })
  })

  it('takes a demotion back after its time, but not if what was tried failed', () => {
    const trust = make()
    fail(trust, 1, 7)
    call(trust, 1, 7, false, 1_000)
    assert.deepEqual(trust.tick(DEMOTED_MS), [])
    assert.equal(trust.nextAt, 2 * DEMOTED_MS)
    call(trust, 1, 7, true, DEMOTED_MS + 1)
    assert.deepEqual(trust.tick(2 * DEMOTED_MS), [{ neighbour: 1, origin: 7, cost: 0 }])
    assert.equal(trust.nextAt, Infinity)
    // It begins anew.
    assert.equal(fail(trust, 1, 7, 2 * DEMOTED_MS).length, 1)
  })

  it('knows what is in force against a neighbour: a session that ends makes nothing good', () => {
    const trust = make()
    fail(trust, 1, 7)
    fail(trust, 2, 8)
    assert.deepEqual(trust.inForce(1), [{ neighbour: 1, origin: 7, cost: DEMOTED_COST }])
    trust.tick(DEMOTED_MS)
    assert.deepEqual(trust.inForce(1), [])
  })

  it('keeps no more than its limit, and takes every demotion back that it made', () => {
    const trust = make()
    const inForce = new Set<string>()
    const apply = (blames: Blame<number>[]): void => {
      for (const { neighbour, origin, cost } of blames) {
        const key = `${neighbour} ${origin}`
        assert.equal(inForce.has(key), cost === 0, key)
        if (cost > 0) inForce.add(key)
        else inForce.delete(key)
      }
    }
    for (let origin = 0; origin < MAX_TRUST_RECORDS * 2; origin++)
      for (let n = 0; n < MIN_CALLS; n++) apply(call(trust, origin % 50, origin, false, origin))
    assert.ok(trust.size <= MAX_TRUST_RECORDS, `${trust.size}`)
    assert.ok(inForce.size > 0)
    for (let at = DEMOTED_MS; at < 10 * DEMOTED_MS; at += DEMOTED_MS) apply(trust.tick(at))
    assert.equal(inForce.size, 0)
  })

  it('never blames without five calls, whatever comes', () => {
    const outcome = fc.record({ link: fc.integer({ min: 0, max: 2 }), origin: fc.integer({ min: 0, max: 3 }), ok: fc.boolean() })
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 100 }), (outcomes) => {
        const trust = make()
        const calls = new Map<string, number>()
        for (const { link, origin, ok } of outcomes) {
          for (const key of [`${link}`, `${link} ${origin}`]) calls.set(key, (calls.get(key) ?? 0) + 1)
          for (const blame of call(trust, link, origin, ok)) {
            const key = blame.origin === undefined ? `${blame.neighbour}` : `${blame.neighbour} ${blame.origin}`
            assert.ok(calls.get(key)! >= MIN_CALLS)
          }
        }
      })
    )
  })
})
