import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  DEMOTED_COST,
  DEMOTED_MS,
  MAX_TRUST_RECORDS,
  MIN_CALLS,
  PROBE_SHARE,
  createNeighbourTrust,
  type Blame,
  type NeighbourTrust
} from '../../../../src/core/routing/neighbour-trust.ts'
import { createRandom } from '../../../../scripts/simulate/random.ts'

describe('trust in neighbours', () => {
  const make = (random = () => 0.5): NeighbourTrust => createNeighbourTrust({ random })
  const call = (trust: NeighbourTrust, link: number, origin: number, ok: boolean, now = 0): Blame[] => {
    trust.sent(link, origin, false)
    return trust.came(link, origin, ok, now)
  }
  const fail = (trust: NeighbourTrust, link: number, origin: number, now = 0): Blame[] => {
    for (let n = 1; n < MIN_CALLS; n++) assert.deepEqual(call(trust, link, origin, false, now), [])
    return call(trust, link, origin, false, now)
  }

  it('demotes for an origin when less than half of five calls came back, and in all if that is so at three', () => {
    const trust = make()
    assert.deepEqual(fail(trust, 1, 7), [{ link: 1, origin: 7, cost: DEMOTED_COST }])
    // Of one origin alone that one may be at fault.
    assert.deepEqual(call(trust, 1, 8, false), [])
    assert.deepEqual(call(trust, 1, 9, false), [{ link: 1, cost: DEMOTED_COST }])
    assert.deepEqual(trust.tick(DEMOTED_MS - 1), [])
    assert.equal(trust.nextAt, DEMOTED_MS)
  })

  it('demotes for the one origin when the others are served', () => {
    const trust = make()
    for (let n = 0; n < 10; n++) call(trust, 1, 8, true)
    assert.deepEqual(fail(trust, 1, 7), [{ link: 1, origin: 7, cost: DEMOTED_COST }])
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

  it('does not count calls to the neighbour itself, nor answers that nobody waits for', () => {
    const trust = make()
    for (let n = 0; n < 20; n++) {
      trust.sent(1, 7, true)
      assert.deepEqual(trust.came(1, 7, false, 0), [])
    }
    assert.equal(trust.size, 0)
    for (let n = 0; n < 20; n++) assert.deepEqual(trust.came(1, 9, false, 0), [])
  })

  it('takes a demotion back after its time, but not if what was tried failed', () => {
    const trust = make()
    fail(trust, 1, 7)
    call(trust, 1, 7, false, 1_000)
    assert.deepEqual(trust.tick(DEMOTED_MS), [])
    assert.equal(trust.nextAt, 2 * DEMOTED_MS)
    call(trust, 1, 7, true, DEMOTED_MS + 1)
    assert.deepEqual(trust.tick(2 * DEMOTED_MS), [{ link: 1, origin: 7, cost: 0 }])
    assert.equal(trust.nextAt, Infinity)
    // It begins anew.
    assert.equal(fail(trust, 1, 7, 2 * DEMOTED_MS).length, 1)
  })

  it('tries a demoted neighbour with one call in a hundred', () => {
    const trust = make(createRandom(1))
    assert.equal(trust.probe(7), undefined)
    fail(trust, 3, 7)
    let probes = 0
    for (let n = 0; n < 10_000; n++) probes += Number(trust.probe(7) === 3)
    assert.ok(Math.abs(probes - 10_000 * PROBE_SHARE) < 40, `${probes} probes`)
  })

  it('forgets a session', () => {
    const trust = make()
    fail(trust, 1, 7)
    trust.forget(1)
    assert.deepEqual([trust.size, trust.nextAt], [0, Infinity])
    assert.deepEqual(trust.tick(DEMOTED_MS), [])
  })

  it('keeps no more than its limit, and takes every demotion back that it made', () => {
    const trust = make()
    const inForce = new Set<string>()
    const apply = (blames: Blame[]): void => {
      for (const { link, origin, cost } of blames) {
        const key = `${link} ${origin}`
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
            const key = blame.origin === undefined ? `${blame.link}` : `${blame.link} ${blame.origin}`
            assert.ok(calls.get(key)! >= MIN_CALLS)
          }
        }
      })
    )
  })
})
