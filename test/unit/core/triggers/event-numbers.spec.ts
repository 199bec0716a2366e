import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createDeadlines } from '../../../../src/core/triggers/deadlines.ts'
import { MAX_NUMBERED_SUBJECTS, createEventNumbers } from '../../../../src/core/triggers/event-numbers.ts'
import { hopDepthAfter } from '../../../../src/core/triggers/hop-depth.ts'

describe('event numbers', () => {
  it('number the events of a subject one by one, those of the node as well', () => {
    const numbers = createEventNumbers(4)
    assert.deepEqual(numbers.next('a'), { id: '4-1', sequence: { incarnation: 4, number: 1 } })
    assert.deepEqual(numbers.next('b'), { id: '4-2', sequence: { incarnation: 4, number: 2 } })
    assert.deepEqual(numbers.next('a'), { id: '4-3', sequence: { incarnation: 4, number: 2 } })
  })

  it('grow for each subject, also if it was forgotten', () => {
    const numbers = createEventNumbers(1)
    for (let n = 0; n < 50; n++) numbers.next('old')
    for (let n = 0; n < MAX_NUMBERED_SUBJECTS; n++) numbers.next(`s${n}`)
    assert.ok(numbers.next('old').sequence.number > 51, 'it was forgotten')
    fc.assert(
      fc.property(fc.array(fc.nat(MAX_NUMBERED_SUBJECTS + 50), { maxLength: 50, size: 'max' }), (subjects) => {
        const last = new Map<number, number>()
        for (const subject of subjects) {
          const { number } = numbers.next(`s${subject}`).sequence
          assert.ok(number > (last.get(subject) ?? 0))
          last.set(subject, number)
        }
      })
    )
  })
})

describe('hop depth', () => {
  it('ends chains of events', () => {
    let depth = hopDepthAfter(undefined)
    for (let n = 0; n < 8; n++) {
      assert.equal(depth, n)
      depth = hopDepthAfter(depth)
    }
    assert.equal(depth, undefined)
  })
})

describe('deadlines', () => {
  it('come in their order, those of one time as they were set, whatever is set, moved and removed', () => {
    const step = fc.record({ key: fc.nat(20), at: fc.nat(30), what: fc.constantFrom('set', 'set', 'delete', 'take') })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
        const deadlines = createDeadlines<number>()
        let model: { key: number; at: number }[] = []
        for (const { key, at, what } of steps) {
          if (what !== 'take') model = model.filter((one) => one.key !== key)
          if (what === 'set') deadlines.set(key, at)
          if (what === 'set') model.push({ key, at })
          if (what === 'delete') deadlines.delete(key)
          const first = model.reduce<(typeof model)[0] | undefined>((a, b) => (a === undefined || b.at < a.at ? b : a), undefined)
          assert.equal(deadlines.nextAt, first?.at ?? Infinity)
          assert.equal(deadlines.first, first?.key)
          if (what === 'take') {
            const due = first !== undefined && first.at <= at ? first : undefined
            assert.equal(deadlines.takeDue(at), due?.key)
            model = model.filter((one) => one !== due)
          }
          assert.equal(deadlines.size, model.length)
          assert.equal(deadlines.at(key), model.find((one) => one.key === key)?.at)
        }
      })
    )
  })
})
