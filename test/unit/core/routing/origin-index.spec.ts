import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createOriginIndex } from '../../../../src/core/routing/origin-index.ts'

const MANY = 300

describe('origins and their slots', () => {
  it('are those of a Map, whatever is set and deleted in whatever order', () => {
    // Few origins, which meet again and again, and numbers whose places are close together.
    const origin = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 0x7fff_ffff }))
    fc.assert(
      fc.property(fc.array(fc.tuple(origin, fc.boolean()), { maxLength: MANY }), (steps) => {
        const [index, model] = [createOriginIndex(), new Map<number, number>()]
        for (const [slot, [one, isIn]] of steps.entries()) {
          if (!isIn) {
            index.delete(one)
            model.delete(one)
          } else if (!model.has(one)) {
            index.set(one, slot)
            model.set(one, slot)
          }
          assert.equal(index.size, model.size)
          for (const [known] of steps) assert.equal(index.get(known), model.get(known) ?? -1)
        }
      }),
      { numRuns: 50 }
    )
  })

  it('are found where all but a few have been deleted', () => {
    const index = createOriginIndex()
    for (let origin = 0; origin < MANY; origin++) index.set(origin, origin * 2)
    for (let origin = 0; origin < MANY; origin++) if (origin % 50 !== 0) index.delete(origin)
    for (let origin = 0; origin < MANY; origin++) assert.equal(index.get(origin), origin % 50 === 0 ? origin * 2 : -1)
    assert.equal(index.size, MANY / 50)
  })
})
