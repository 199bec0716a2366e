import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Candidate } from '../../../../src/core/dispatch/candidate.ts'
import { FORGET_MS, MAX_PAUSE_MS, MAX_REFUSAL_MS, PAUSE_MS } from '../../../../src/core/dispatch/estimate.ts'
import { runningAt, serviceMsOf, slotsOf } from '../../../../src/core/dispatch/expected-time.ts'
import { MAX_ESTIMATES, createProviderEstimates } from '../../../../src/core/dispatch/provider-estimates.ts'

const RTT_MS = 4

describe('provider estimates', () => {
  const at = (node: string | number): Candidate => ({ node: String(node), key: 'work', local: false, rttMs: RTT_MS })
  /** A table, and the one provider in it: it is idle, and has said how long calls take. */
  const told = (saysMs: number): [ReturnType<typeof createProviderEstimates>, Candidate] => {
    const [table, candidate] = [createProviderEstimates(), at('a')]
    table.feedback(candidate, { running: 0, slots: 1, serviceMs: saysMs }, 0)
    return [table, candidate]
  }
  const serviceMs = (table: ReturnType<typeof createProviderEstimates>, candidate: Candidate, now: number): number =>
    serviceMsOf(table.get(candidate), candidate, now)

  it('remember so many, and forget first what was used longest ago', () => {
    const table = createProviderEstimates(3)
    for (const node of [1, 2, 3]) table.feedback(at(node), { running: 0, slots: 1, serviceMs: node }, 0)
    table.feedback(at(1), { running: 0, slots: 1, serviceMs: 1 }, 1)
    table.began(at(4), 2)
    assert.deepEqual(
      [1, 2, 3, 4].map((node) => table.get(at(node)) !== undefined),
      [true, false, true, true]
    )
    assert.equal(table.size, 3)
  })

  it('forget none with calls outstanding, and are never more than their limit', () => {
    const table = createProviderEstimates(2)
    const first = [at(1), at(2)]
    for (const candidate of first) table.began(candidate, 0)
    table.began(at(3), 0)
    table.ended(at(3), 'ok', 10, 10)
    assert.equal(table.get(at(3)), undefined)
    assert.deepEqual(
      first.map((candidate) => table.get(candidate)?.outstanding),
      [1, 1]
    )
    table.ended(first[0]!, 'ok', 10, 10)
    table.began(at(3), 20)
    assert.deepEqual(
      [1, 2, 3].map((node) => table.get(at(node))?.outstanding),
      [undefined, 1, 1]
    )
  })

  it('reach their limit and stay there', () => {
    const table = createProviderEstimates()
    for (let node = 0; node < 2 * MAX_ESTIMATES; node++) {
      table.began(at(node), node)
      if (node % 2 === 0) table.ended(at(node), 'ok', 1, node)
      else table.ended(at(node), 'cancelled', 1, node)
    }
    assert.equal(table.size, MAX_ESTIMATES)
  })

  it('keep their bound and the ones in use under any sequence', () => {
    const step = fc.tuple(fc.constantFrom('began', 'feedback', 'ended'), fc.nat(9))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const [table, used] = [createProviderEstimates(4), new Map<number, number>()]
        for (const [now, [what, node]] of steps.entries()) {
          const isKnown = table.get(at(node)) !== undefined
          if (what === 'began') table.began(at(node), now)
          else if (what === 'ended') table.ended(at(node), 'ok', 5, now)
          else table.feedback(at(node), { running: 1, slots: 1, serviceMs: 5 }, now)
          const isNow = table.get(at(node)) !== undefined
          if (what === 'began' && isNow) used.set(node, (used.get(node) ?? 0) + 1)
          if (what === 'ended' && isKnown) used.set(node, Math.max(0, (used.get(node) ?? 0) - 1))
          assert.ok(table.size <= 4)
          for (const [other, outstanding] of used) assert.equal(table.get(at(other))?.outstanding ?? 0, outstanding)
        }
      })
    )
  })

  it('believe what a provider says until five own calls say otherwise', () => {
    const [table, candidate] = told(1)
    assert.equal(serviceMs(table, candidate, 0), 1)
    for (let n = 0; n < 5; n++) {
      assert.equal(serviceMs(table, candidate, n * 1_000), 1)
      table.began(candidate, n * 1_000)
      table.ended(candidate, 'ok', 300 + RTT_MS, n * 1_000 + 304)
    }
    assert.equal(serviceMs(table, candidate, 5_000), 300)
  })

  it('override a liar within five calls, whatever it says with each reply', () => {
    const [table, liar] = [createProviderEstimates(), at('liar')]
    for (let n = 0; n < 5; n++) {
      table.began(liar, n * 1_000)
      table.feedback(liar, { running: 0, slots: 4, serviceMs: 1 }, n * 1_000 + 304)
      table.ended(liar, 'ok', 300 + RTT_MS, n * 1_000 + 304)
    }
    table.feedback(liar, { running: 0, slots: 4, serviceMs: 1 }, 5_000)
    assert.equal(serviceMs(table, liar, 5_000), 300)
  })

  it('do not take the wait behind others for service', () => {
    const [table, candidate] = [createProviderEstimates(), at('a')]
    for (let n = 0; n < 50; n++) {
      const now = n * 1_000
      table.feedback(candidate, { running: 4, slots: 2, serviceMs: 100 }, now)
      table.began(candidate, now)
      table.ended(candidate, 'ok', 250 + RTT_MS, now + 254)
    }
    const estimate = table.get(candidate)!
    assert.ok(Math.abs(estimate.tookMs / estimate.queueFactor - 100) < 1)
  })

  it('double with each timeout, and come back with good calls', () => {
    const [table, candidate] = told(100)
    const seen: number[] = []
    for (const [n, givenMs] of [100, 200, 400].entries()) {
      table.began(candidate, n)
      table.ended(candidate, 'timeout', givenMs + RTT_MS, n)
      seen.push(serviceMs(table, candidate, n))
    }
    assert.deepEqual(seen, [200, 400, 800])
    for (let n = 0; n < 60; n++) {
      table.began(candidate, n * 1_000)
      table.feedback(candidate, { running: 0, slots: 1, serviceMs: 100 }, n * 1_000 + 104)
      table.ended(candidate, 'ok', 104, n * 1_000 + 104)
    }
    assert.equal(serviceMs(table, candidate, 60_000), 100)
  })

  it('take a timeout for as long as it lasted, but none that came before such calls end', () => {
    const [table, candidate] = told(100)
    for (const [givenMs, expectedMs] of [
      [50, 100],
      [5_000, 5_000]
    ] as const) {
      table.began(candidate, 0)
      table.ended(candidate, 'timeout', givenMs + RTT_MS, 0)
      assert.equal(serviceMs(table, candidate, 0), expectedMs)
    }
  })

  it('learn nothing of the time from calls that only show that somebody is there', () => {
    const [table, candidate] = told(100)
    for (let n = 0; n < 9; n++) {
      table.began(candidate, n)
      table.ended(candidate, 'answered', 1, n)
    }
    assert.deepEqual([table.get(candidate)!.samples, serviceMs(table, candidate, 9)], [0, 100])
  })

  it('know from the first call on where nothing else is said, and from five on where something is', () => {
    const [table, silent] = [createProviderEstimates(), at('silent')]
    assert.equal(serviceMs(table, silent, 0), 1_000)
    table.began(silent, 0)
    table.ended(silent, 'ok', 40 + RTT_MS, 44)
    assert.equal(serviceMs(table, silent, 44), 40)
    // It has not run a call yet, so it cannot say how long one takes.
    table.feedback(silent, { running: 0, slots: 4 }, 50)
    assert.deepEqual([serviceMs(table, silent, 50), slotsOf(table.get(silent), silent)], [40, 4])
  })

  it('believe for a while, and for a minute at most, that no call is taken', () => {
    const [table, candidate] = [createProviderEstimates(), at('a')]
    table.refused(candidate, 5_000, 0)
    assert.equal(table.get(candidate), undefined, 'nobody has called it')
    table.began(candidate, 0)
    for (const [forMs, until] of [
      [5_000, 5_000],
      [-1, 5_000],
      [NaN, 5_000],
      [1e12, MAX_REFUSAL_MS]
    ] as const) {
      table.refused(candidate, forMs, 0)
      assert.equal(table.get(candidate)!.refusesUntil, until)
    }
  })

  it('hold a provider for full that refuses while it says that it is not, longer each time in a row', () => {
    const [table, candidate] = [createProviderEstimates(), at('a')]
    const end = (outcome: 'busy' | 'ok', running: number, now: number): number => {
      table.began(candidate, now)
      table.feedback(candidate, { running, slots: 1, serviceMs: 100 }, now)
      table.ended(candidate, outcome, 5, now)
      return Math.max(0, table.get(candidate)!.refusesUntil - now)
    }
    const pauses: number[] = []
    let now = 0
    for (let n = 0; n < 9; n++) {
      pauses.push(end('busy', 0, now))
      assert.equal(end('busy', 0, now + 1), pauses[n]! - 1, 'calls that were out together are one refusal')
      now += pauses[n]!
    }
    assert.deepEqual(
      pauses,
      [1, 2, 4, 8, 16, 32, 64, 100, 100].map((times) => times * PAUSE_MS)
    )
    assert.equal(pauses.at(-1), MAX_PAUSE_MS)
    assert.equal(end('busy', 3, now), 0, 'it is full, and says so')
    end('ok', 0, now)
    assert.equal(end('busy', 0, now), PAUSE_MS, 'it has taken one since')
    end('busy', 0, now + PAUSE_MS)
    assert.equal(end('busy', 0, now + 3 * PAUSE_MS + FORGET_MS + 1), PAUSE_MS, 'that was long ago')
  })

  it('take long silence of calls for slowness', () => {
    const [table, candidate] = told(100)
    table.began(candidate, 0)
    assert.equal(serviceMs(table, candidate, 300), 100)
    assert.equal(serviceMs(table, candidate, 2_000 + RTT_MS), 2_000)
  })

  it('let feedback fade, and know their own calls', () => {
    const [table, candidate] = [createProviderEstimates(), at('a')]
    table.feedback(candidate, { running: 10, slots: 4, serviceMs: 100 }, 0)
    const estimate = table.get(candidate)!
    assert.equal(runningAt(estimate, 0), 10)
    assert.ok(Math.abs(runningAt(estimate, 2_000) - 10 / Math.E) < 1e-9)
    for (let n = 0; n < 3; n++) table.began(candidate, 0)
    assert.ok(runningAt(estimate, 60_000) < 3.001)
    assert.ok(runningAt(estimate, 60_000) >= 3)
  })

  it('stay sound whatever a provider says', () => {
    const hostile = fc.oneof(fc.double(), fc.constantFrom(NaN, Infinity, -Infinity, -1, 0, 1e308))
    fc.assert(
      fc.property(hostile, hostile, hostile, hostile, (running, slots, claimedMs, ageMs) => {
        const [table, candidate] = [createProviderEstimates(), at('a')]
        table.feedback(candidate, { running, slots, serviceMs: claimedMs, ageMs }, 0)
        const estimate = table.get(candidate)
        assert.ok(serviceMs(table, candidate, 1) > 0 && Number.isFinite(serviceMs(table, candidate, 1)))
        assert.ok(slotsOf(estimate, candidate) >= 1 && slotsOf(estimate, candidate) <= 1_024)
        assert.ok(runningAt(estimate!, 1) >= 0 && Number.isFinite(runningAt(estimate!, 1)))
      })
    )
  })
})
