import assert from 'node:assert/strict'
import fc from 'fast-check'
import { INFINITE } from '../../../../src/core/routing/metric.ts'
import { createNearest } from '../../../../src/core/routing/nearest.ts'

const PER_TYPE = 3
const ORIGINS = 12

type Step = { origin: number; metric: number } | { origin: number; types: number[] }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    origin: fc.integer({ min: 0, max: ORIGINS - 1 }),
    metric: fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(INFINITE))
  }),
  fc.record({
    origin: fc.integer({ min: 0, max: ORIGINS - 1 }),
    types: fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { maxLength: 3 })
  })
)

describe('nearest origins', () => {
  it('are those of a model that sorts all, and each change is told', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const told = new Set<number>()
        const nearest = createNearest((origin) => {
          if (!told.delete(origin)) told.add(origin)
        }, PER_TYPE)
        const metrics = new Map<number, number>()
        const types = new Map<number, number[]>()
        for (const one of steps) {
          if ('metric' in one) {
            nearest.setMetric(one.origin, one.metric)
            metrics.set(one.origin, one.metric)
          } else {
            nearest.setTypes(one.origin, one.types)
            types.set(one.origin, one.types)
          }
          for (let origin = 0; origin < ORIGINS; origin++) {
            const { must, may } = place(origin, metrics, types)
            assert.ok(!must || nearest.has(origin), `${origin} is missing`)
            assert.ok(may || !nearest.has(origin), `${origin} is none`)
            assert.equal(told.has(origin), nearest.has(origin), `${origin} was not told`)
          }
        }
      })
    )
  })

  it('say which metric would be among them', () => {
    const nearest = createNearest(() => {}, PER_TYPE)
    for (let origin = 0; origin < PER_TYPE + 2; origin++) nearest.setTypes(origin, [7])
    nearest.setTypes(PER_TYPE + 2, [])
    for (let origin = 0; origin < PER_TYPE - 1; origin++) nearest.setMetric(origin, 10)
    assert.equal(nearest.border(PER_TYPE), INFINITE, 'there is a place')
    nearest.setMetric(PER_TYPE - 1, 20)
    assert.equal(nearest.border(PER_TYPE), 20)
    assert.equal(nearest.border(0), INFINITE, 'it is one of them')
    assert.deepEqual([nearest.border(PER_TYPE + 2), nearest.border(999)], [0, 0], 'of no type')
  })

  it('keep their number for each type, also when all are equally near', () => {
    const nearest = createNearest(() => {}, PER_TYPE)
    for (let origin = 0; origin < ORIGINS; origin++) {
      nearest.setTypes(origin, [7])
      nearest.setMetric(origin, 5)
    }
    assert.equal(Array.from({ length: ORIGINS }, (_, origin) => origin).filter(nearest.has).length, PER_TYPE)
  })
})

/** Of equally near origins any may be in. */
function place(origin: number, metrics: Map<number, number>, types: Map<number, number[]>): { must: boolean; may: boolean } {
  const metric = metrics.get(origin) ?? INFINITE
  const found = { must: false, may: false }
  if (metric === INFINITE) return found
  for (const type of types.get(origin) ?? []) {
    const others = [...types]
      .filter(([other, of]) => other !== origin && of.includes(type))
      .map(([other]) => metrics.get(other) ?? INFINITE)
    if (others.filter((other) => other <= metric).length < PER_TYPE) found.must = true
    if (others.filter((other) => other < metric).length < PER_TYPE) found.may = true
  }
  return found
}
