import assert from 'node:assert/strict'
import fc from 'fast-check'
import { MAX_ORDERED_SUBJECTS, createSubjectOrder, type SubjectOrder } from '../../../../src/core/triggers/subject-order.ts'

describe('order of a subject', () => {
  let order: SubjectOrder<number>
  const create = (): void => {
    order = createSubjectOrder()
  }
  beforeEach(create)
  /** Arrives, and waits. */
  const push = (number: number, lost?: number, key = 'a', incarnation = 1, node = 'n'): void => {
    const sequence = { incarnation, number }
    order.push(node, key, sequence, number, order.hear(node, key, sequence, lost))
  }
  /** All that wait are begun, one after the other. */
  const begun = (key = 'a', incarnation = 1): string[] => {
    const shown: string[] = []
    for (let one = order.take(key); one !== undefined; one = order.take(key)) {
      const { item, missing, late } = one
      order.begin('n', key, { incarnation, number: item })
      shown.push(`${item}${missing > 0 ? ` after ${missing} missing` : ''}${late ? ' late' : ''}`)
    }
    return shown
  }

  it('is kept among those that wait, whichever came first', () => {
    for (const number of [5, 8, 7, 6, 9]) push(number)
    assert.equal(order.first('a'), 5)
    assert.deepEqual(begun(), ['5', '6', '7', '8', '9'])
    assert.deepEqual([order.first('a'), order.take('a')], [undefined, undefined])
  })

  it('waits for nobody, since what is not there went elsewhere', () => {
    push(1)
    push(4)
    push(9)
    assert.deepEqual(begun(), ['1', '4', '9'])
  })

  it('one that comes after those that were to follow it is late, and no other', () => {
    push(3)
    push(5)
    assert.equal(order.take('a')?.item, 3)
    push(2)
    assert.deepEqual(begun(), ['2', '5'], 'what was taken was not begun: its time may have been over')
    push(4)
    push(5)
    assert.deepEqual(begun(), ['4 late', '5'], 'what comes again is not late')
    push(3, undefined, 'a', 2)
    assert.deepEqual(begun('a', 2), ['3'], 'another start of the source')
    push(7)
    assert.deepEqual(begun(), ['7 late'])
  })

  it('says that one is missing which may be lost, and has not come', () => {
    push(1)
    push(4, 3)
    push(6, 4)
    push(7)
    push(9, 8)
    push(8, 7)
    assert.deepEqual(begun(), ['1', '4 after 1 missing', '6', '7', '8', '9 after 1 missing'])
    order.hear('n', 'a', { incarnation: 1, number: 10 }, undefined)
    push(11, 10)
    assert.deepEqual(begun(), ['11'], 'it came, and was refused')
    push(5, 4, 'a', 2)
    assert.deepEqual(begun('a', 2), ['5 after 1 missing'], 'of another start of the source')
  })

  it('says nothing of what was before it began', () => {
    push(4, 3)
    assert.deepEqual(begun(), ['4'])
  })

  it('is one for each source and subject', () => {
    push(1, undefined, 'a')
    push(7, undefined, 'b')
    push(2, 1, 'a')
    assert.deepEqual([begun('b'), begun('a')], [['7'], ['1', '2']])
  })

  it('lets go what is over before it was begun, and finds what fits', () => {
    for (const number of [1, 2, 3]) push(number)
    assert.equal(
      order.find((one) => one > 1),
      2
    )
    assert.equal(
      order.find((one) => one > 3),
      undefined
    )
    assert.deepEqual([order.delete('a', 2), order.delete('a', 2), order.delete('b', 1)], [true, false, false])
    assert.deepEqual(begun(), ['1', '3'])
  })

  it('forgets who was silent longest, but nothing that waits', () => {
    push(2, undefined, 'waits')
    push(1, undefined, 's')
    begun('s')
    for (let n = 0; n < MAX_ORDERED_SUBJECTS; n++) push(n + 1, undefined, `s${n}`)
    assert.equal(order.size, MAX_ORDERED_SUBJECTS)
    push(1, undefined, 'waits')
    assert.deepEqual(begun('waits'), ['1', '2'])
    push(0, undefined, 's')
    assert.deepEqual(begun('s'), ['0'], 'it begins anew')
  })

  it('forgets nothing of a node that sends about little for one that sends about much', () => {
    for (let n = 0; n < 100; n++) push(1, undefined, `quiet ${n}`)
    for (let n = 0; n < 2 * MAX_ORDERED_SUBJECTS; n++) push(1, undefined, `loud ${n}`, 1, 'loud')
    assert.equal(order.size, MAX_ORDERED_SUBJECTS)
    for (let n = 0; n < 100; n++) {
      push(3, 2, `quiet ${n}`)
      assert.deepEqual(begun(`quiet ${n}`), ['1', '3 after 1 missing'])
    }
  })

  it('loses nothing, and says what is late and missing, whatever comes and when', () => {
    const steps = fc.array(
      fc.oneof(fc.tuple(fc.nat(30), fc.constantFrom(1, 1, 2), fc.option(fc.nat(30))), fc.constant('begin')),
      {
        maxLength: 80
      }
    )
    fc.assert(
      fc.property(steps, (all) => {
        create()
        const waits: number[] = []
        let [heard, last] = [-1, -1]
        const missing = new Map<number, number>()
        const given = all.filter((one, n) => one === 'begin' || !all.slice(0, n).some((b) => b[0] === one[0] && b[1] === one[1]))
        for (const one of given) {
          if (one === 'begin') {
            const taken = order.take('a')
            const first = waits.sort((a, b) => a - b).shift()
            assert.equal(taken?.item, first)
            if (taken === undefined) continue
            assert.deepEqual([taken.late, taken.missing], [taken.item < last, missing.get(taken.item)])
            order.begin('n', 'a', { incarnation: Math.floor(taken.item / 1_000), number: taken.item % 1_000 })
            last = Math.max(last, taken.item)
            continue
          }
          const [number, incarnation, previous] = one
          const item = 1_000 * incarnation + number
          missing.set(item, Number(heard >= 0 && previous !== null && 1_000 * incarnation + previous > heard))
          heard = Math.max(heard, item)
          const sequence = { incarnation, number }
          order.push('n', 'a', sequence, item, order.hear('n', 'a', sequence, previous ?? undefined))
          waits.push(item)
        }
      })
    )
  })
})
