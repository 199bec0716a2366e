import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeSequence, encodeSequence } from '../../../../protocols/trigger/event-names.ts'
import { createDeadlines } from '../../../../src/core/triggers/deadlines.ts'
import { MAX_NUMBERED_SUBJECTS, createEventNumbers, type EventNumbers } from '../../../../src/core/triggers/event-numbers.ts'
import { hopDepthAfter } from '../../../../src/core/triggers/hop-depth.ts'

describe('event numbers', () => {
  it('number the events of a subject one by one, those of the node as well', () => {
    const numbers = createEventNumbers({ incarnation: 4, random: () => 0, startedAt: 0 })
    assert.deepEqual(numbers.next('a'), { id: '4-1', sequence: { incarnation: 4, number: 1 } })
    assert.deepEqual(numbers.next('b'), { id: '4-2', sequence: { incarnation: 4, number: 2 } })
    assert.deepEqual(numbers.next('a'), { id: '4-3', sequence: { incarnation: 4, number: 2 } })
  })

  it('grow for each subject, also if it was forgotten', () => {
    const numbers = createEventNumbers({ incarnation: 1, random: () => 0, startedAt: 0 })
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

describe('event numbers of two starts', () => {
  const idsOf = (numbers: EventNumbers, count: number): Set<string> =>
    new Set(Array.from({ length: count }, (_, n) => numbers.next(`s${n % 3}`).id))

  it('of one incarnation have no id in common, and go on in their order', () => {
    const startedAt = 1_800_000_000_000
    const [first, second] = [0, 1].map((ms) =>
      createEventNumbers({ incarnation: 7, random: Math.random, startedAt: startedAt + ms })
    ) as [EventNumbers, EventNumbers]
    const before = Math.max(...Array.from({ length: 500 }, () => first.next('door').sequence.number))
    assert.ok(second.next('door').sequence.number > before, 'what a handler has seen before is not what comes now')
    const ids = idsOf(first, 5_000)
    for (const id of idsOf(second, 5_000)) assert.ok(!ids.has(id), id)
  })

  it('are such as every node reads, whatever the clock and chance say', () => {
    const startedAt = fc.oneof(fc.nat(), fc.constantFrom(-1, 0, 1.5, 1_800_000_000_000, 8.64e15, Infinity))
    const drawn = fc.oneof(fc.constantFrom(0, 1 - 2 ** -53), fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }))
    fc.assert(
      fc.property(startedAt, drawn, fc.constantFrom(0, 1, 0xffff_ffff), (at, random, incarnation) => {
        const numbers = createEventNumbers({ incarnation, random: () => random, startedAt: at })
        for (let n = 0; n < 3; n++) {
          const { id, sequence } = numbers.next('a')
          assert.match(id, /^\d{1,10}-\d{1,16}$/)
          assert.deepEqual(decodeSequence(encodeSequence(sequence)), sequence)
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
