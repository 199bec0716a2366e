import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  MAX_HELD,
  MAX_HELD_OF_SUBJECT,
  MAX_ORDERED_SUBJECTS,
  REORDER_MS,
  createSubjectOrder,
  type Ordered,
  type SubjectOrder
} from '../../../../src/core/triggers/subject-order.ts'

describe('order of a subject', () => {
  let out: (Ordered<number> & { key: string })[]
  let order: SubjectOrder<number>
  const create = (): void => {
    out = []
    order = createSubjectOrder((key, ordered) => out.push({ key, ...ordered }))
  }
  beforeEach(create)
  const push = (number: number, now = 0, key = 'a', incarnation = 1): void =>
    order.push(key, { incarnation, number }, number, now)
  const shown = (): string[] =>
    out.map(({ item, missing, late }) => `${item}${missing > 0 ? ` after ${missing} missing` : ''}${late ? ' late' : ''}`)

  it('is kept: what comes too early waits for those before it', () => {
    for (const number of [5, 8, 7, 6, 9]) push(number)
    assert.deepEqual(shown(), ['5', '6', '7', '8', '9'])
    assert.deepEqual([order.held, order.nextAt], [0, Infinity])
  })

  it('goes on after two seconds, and says what is missing', () => {
    push(1)
    push(4, 100)
    push(6, 500)
    assert.equal(order.nextAt, 100 + REORDER_MS)
    order.tick(99 + REORDER_MS)
    assert.deepEqual(shown(), ['1'])
    order.tick(100 + REORDER_MS)
    assert.deepEqual(shown(), ['1', '4 after 2 missing'])
    order.tick(order.nextAt)
    push(5, 9_000)
    push(7, 9_000)
    assert.deepEqual(shown().slice(2), ['6 after 1 missing', '5 late', '7'])
  })

  it('begins with what comes first, and anew when the source does', () => {
    push(70)
    push(73)
    push(3, 0, 'a', 2)
    push(71, 0, 'a', 1)
    push(4, 0, 'a', 2)
    assert.deepEqual(shown(), ['70', '73 after 2 missing', '3', '71 late', '4'])
  })

  it('goes back to one that is to come again, with what waits behind it', () => {
    for (const number of [1, 2, 3, 5, 7]) push(number)
    assert.deepEqual([shown(), order.held], [['1', '2', '3'], 2])
    order.rewind('a', { incarnation: 1, number: 2 }, (number) => number === 7)
    assert.equal(order.held, 1)
    order.rewind('a', { incarnation: 1, number: 9 }, () => true)
    order.rewind('a', { incarnation: 2, number: 1 }, () => true)
    order.rewind('b', { incarnation: 1, number: 1 }, () => true)
    for (const number of [3, 2, 5, 4, 6]) push(number)
    assert.deepEqual([shown().slice(3), order.held, order.nextAt], [['2', '3', '4', '5', '6', '7'], 0, Infinity])
  })

  it('does not go back behind one that has gone on', () => {
    for (const number of [2, 1, 3, 4]) push(number)
    assert.deepEqual(shown(), ['2', '1 late', '3', '4'])
    for (const number of [2, 1]) order.begin('a', { incarnation: 1, number })
    order.rewind('a', { incarnation: 1, number: 1 }, () => true)
    for (const number of [1, 3, 4]) push(number)
    assert.deepEqual(shown().slice(4), ['1 late', '3', '4'])
    order.begin('a', { incarnation: 1, number: 3 })
    order.rewind('a', { incarnation: 1, number: 3 }, () => true)
    for (const number of [4, 3]) push(number)
    assert.deepEqual(shown().slice(7), ['3', '4'])
  })

  it('is one for each source and subject', () => {
    push(1, 0, 'a')
    push(1, 0, 'b')
    push(3, 0, 'a')
    push(2, 0, 'b')
    assert.deepEqual(shown(), ['1', '1', '2'])
  })

  it('holds so many at most, of a subject and in all, and lets the longest wait go', () => {
    push(0)
    for (let n = 0; n <= MAX_HELD_OF_SUBJECT; n++) push(2 + 2 * n)
    assert.deepEqual(shown(), ['0', '2 after 1 missing'])
    assert.equal(order.held, MAX_HELD_OF_SUBJECT)
    create()
    for (let n = 0; n <= MAX_HELD; n++) {
      push(0, n, `s${n}`)
      push(2, n, `s${n}`)
    }
    assert.equal(order.held, MAX_HELD)
    assert.deepEqual(
      out.filter(({ item }) => item === 2).map(({ key }) => key),
      ['s0']
    )
  })

  it('forgets who was silent longest, but nothing that waits', () => {
    push(1, 0, 'waits')
    push(3, 0, 'waits')
    for (let n = 0; n <= MAX_ORDERED_SUBJECTS; n++) push(n + 1, 0, `s${n}`)
    assert.equal(order.size, MAX_ORDERED_SUBJECTS)
    push(2, 0, 'waits')
    assert.deepEqual(shown().slice(-2), ['2', '3'])
    push(0, 0, 's0')
    assert.deepEqual(shown().at(-1), '0', 'it begins anew')
  })

  it('loses nothing, says what is missing, and keeps the order, whatever comes and when', () => {
    const arrivals = fc.array(fc.tuple(fc.nat(40), fc.constantFrom(0, 1, 700, 3_000), fc.constantFrom(1, 1, 1, 2)), {
      maxLength: 80
    })
    fc.assert(
      fc.property(arrivals, (all) => {
        create()
        let now = 0
        for (const [number, waitMs, incarnation] of all) {
          now += waitMs
          order.tick(now)
          order.push('a', { incarnation, number }, 1_000 * incarnation + number, now)
          assert.ok(order.nextAt - now <= REORDER_MS || order.held === 0, 'nothing waits longer')
        }
        order.tick(now + 10 * REORDER_MS)
        assert.equal(out.length, all.length, 'each goes on once')
        assert.equal(order.held, 0)
        let last = -Infinity
        for (const { item, missing } of out.filter(({ late }) => !late)) {
          assert.ok(item > last, 'in order')
          assert.equal(missing, Math.floor(item / 1_000) === Math.floor(last / 1_000) ? item - last - 1 : 0)
          last = item
        }
        assert.ok(out.filter(({ late }) => !late).length > 0 || all.length === 0)
      })
    )
  })
})
