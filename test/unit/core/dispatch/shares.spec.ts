import assert from 'node:assert/strict'
import { ours } from '../../../../scripts/simulate/fleet-ours.ts'
import { HETERO } from '../../../../scripts/simulate/fleet-provider.ts'
import { runWorld } from '../../../../scripts/simulate/fleet-world.ts'
import { createRandom } from '../../../../scripts/simulate/random.ts'
import type { Candidate } from '../../../../src/core/dispatch/candidate.ts'
import { createDispatcher } from '../../../../src/core/dispatch/dispatcher.ts'

const CALLS = 20_000

// I14 of the design.
describe('shares of calls', () => {
  for (const slots of [[1, 1], [1, 2, 3], [1, 1, 2, 4, 8, 16], Array.from({ length: 40 }, (_, n) => 1 + (n % 4))]) {
    it(`are within 3 sigma of the weights when all scores are equal: ${slots.length} providers`, () => {
      const dispatcher = createDispatcher({ random: createRandom(3) })
      const candidates = slots.map<Candidate>((count, n) => ({
        node: String(n),
        key: 'work',
        local: false,
        rttMs: 10,
        slots: count
      }))
      for (const [n, one] of candidates.entries()) dispatcher.feedback(one, { running: 0, slots: slots[n]!, serviceMs: 100 }, 0)
      const counts = slots.map(() => 0)
      for (let now = 0; now < CALLS; now++) {
        const chosen = dispatcher.order(candidates, {}, now).tries[0]!.candidate
        counts[Number(chosen.node)]!++
        dispatcher.began(chosen, now)
        dispatcher.ended(chosen, 'ok', 110, now)
      }
      const total = slots.reduce((sum, count) => sum + count, 0)
      for (const [n, count] of counts.entries()) {
        const share = slots[n]! / total
        const sigma = Math.sqrt(CALLS * share * (1 - share))
        assert.ok(Math.abs(count - share * CALLS) <= 3 * sigma, `${n}: ${count} of ${CALLS}, its share is ${share}`)
      }
    })
  }

  it('follow capacity from the first call on', () => {
    const candidates = [1, 4].map<Candidate>((slots, n) => ({ node: String(n), key: 'work', local: false, rttMs: 9, slots }))
    const seeds = Array.from({ length: 2_000 }, (_, seed) => seed)
    const first = seeds.filter((seed) => {
      const { tries } = createDispatcher({ random: createRandom(seed) }).order(candidates, { prefer: 'fast' }, 0)
      return tries[0]!.candidate.node === '1'
    })
    assert.ok(Math.abs(first.length - 1_600) <= 3 * Math.sqrt(2_000 * 0.8 * 0.2), `${first.length} of 2000`)
  })

  for (const callers of [1, 10]) {
    it(`leave no healthy provider without a call for a minute under load: ${callers} callers`, () => {
      const seconds = 240
      const lastAt = new Map<number, number>()
      let longestMs = 0
      const init = { fleet: HETERO, callers, rate: 100, seconds, heartbeatMs: 15_000, slowdowns: false, seed: 1 }
      runWorld(init, (world) => {
        for (const index of world.providers.keys()) lastAt.set(index, 0)
        const { send } = world
        return ours({
          ...world,
          send(call, provider, mayRefuse, replied) {
            longestMs = Math.max(longestMs, world.now() - lastAt.get(provider)!)
            lastAt.set(provider, world.now())
            send(call, provider, mayRefuse, replied)
          }
        })
      })
      for (const at of lastAt.values()) longestMs = Math.max(longestMs, seconds * 1_000 - at)
      assert.ok(longestMs <= 60_000, `${Math.round(longestMs / 1_000)} s`)
    })
  }
})
