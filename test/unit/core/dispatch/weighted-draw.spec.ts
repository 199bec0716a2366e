import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createRandom } from '../../../../scripts/simulate/random.ts'
import { createWeightedDraw } from '../../../../src/core/dispatch/weighted-draw.ts'

describe('weighted draw', () => {
  const weightsOf = (weights: number[]): ReturnType<typeof createWeightedDraw> =>
    createWeightedDraw(weights.length, (index) => weights[index]!)

  it('draws nothing of nothing', () => {
    assert.equal(weightsOf([]).draw(0.5), -1)
    assert.equal(weightsOf([0, 0, 0]).draw(0.5), -1)
  })

  it('draws each for its part of the line, whatever the weights and however they changed', () => {
    const weight = fc.oneof(fc.constant(0), fc.double({ min: 1e-9, max: 1e9, noNaN: true }))
    fc.assert(
      fc.property(
        fc.array(weight, { minLength: 1, maxLength: 70 }),
        fc.array(fc.tuple(fc.nat(69), weight), { maxLength: 40 }),
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { maxLength: 20 }),
        (weights, changes, chances) => {
          const draw = weightsOf(weights)
          for (const [index, changed] of changes) {
            if (index >= weights.length) continue
            weights[index] = changed
            draw.set(index, changed)
          }
          const total = weights.reduce((sum, one) => sum + one, 0)
          for (const chance of chances) {
            const index = draw.draw(chance)
            if (total === 0) {
              assert.equal(index, -1)
              continue
            }
            assert.ok(weights[index]! > 0, 'drawn without weight')
            const before = weights.slice(0, index).reduce((sum, one) => sum + one, 0)
            const slack = total * 1e-12
            assert.ok(before - slack <= chance * total && chance * total <= before + weights[index]! + slack)
          }
        }
      )
    )
  })

  it('draws in proportion', () => {
    const [draw, random, counts] = [weightsOf([1, 0, 3, 6]), createRandom(1), [0, 0, 0, 0]]
    for (let n = 0; n < 10_000; n++) counts[draw.draw(random())]!++
    assert.equal(counts[1], 0)
    for (const [index, share] of [0.1, 0, 0.3, 0.6].entries()) {
      assert.ok(Math.abs(counts[index]! - share * 10_000) <= 3 * Math.sqrt(10_000 * share * (1 - share)))
    }
  })
})
