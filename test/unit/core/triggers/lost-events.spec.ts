import assert from 'node:assert/strict'
import { MAX_LOST_SUBJECTS, createLostEvents, type LostEvents } from '../../../../src/core/triggers/lost-events.ts'

describe('what is lost', () => {
  let events: LostEvents
  beforeEach(() => {
    events = createLostEvents()
  })
  const event = (number: number, of = 'cam door', incarnation = 1) => ({ of, sequence: { incarnation, number } })

  it('of a subject on its way to a handler is named by what follows there, until that has come', () => {
    for (const number of [4, 5, 3]) events.lost('a', event(number))
    assert.deepEqual(
      [
        events.before('b', event(6)),
        events.before('a', event(6, 'cam window')),
        events.before('a', event(4)),
        events.before('a', event(5))
      ],
      [undefined, undefined, undefined, undefined]
    )
    for (const number of [2, 5]) events.told('a', event(number))
    assert.deepEqual([events.before('a', event(6)), events.before('a', event(9))], [5, 5])
    events.told('a', event(6))
    assert.equal(events.before('a', event(9)), undefined)
  })

  it('is not named by those of another start, and nothing by what has no place', () => {
    events.lost('a', event(4))
    assert.equal(events.before('a', event(6, 'cam door', 2)), undefined)
    events.told('a', event(6, 'cam door', 2))
    assert.equal(events.before('a', event(6)), undefined)
    events.lost('a', {})
    events.told('a', {})
    assert.equal(events.before('a', {}), undefined)
  })

  it('is remembered of so many', () => {
    for (let n = 0; n <= MAX_LOST_SUBJECTS; n++) events.lost('a', event(1, `${n}`))
    assert.deepEqual([events.before('a', event(2, '0')), events.before('a', event(2, '1'))], [undefined, 1])
  })
})
