import assert from 'node:assert/strict'
import {
  BEHIND_MS,
  MAX_REFUSED_OF_SUBJECT,
  MAX_REFUSED_SUBJECTS,
  REFUSED_MS,
  createRefusedEvents,
  type RefusedEvents
} from '../../../../src/core/triggers/refused-events.ts'

describe('events that were refused', () => {
  let refused: RefusedEvents
  beforeEach(() => (refused = createRefusedEvents()))
  const at = (number: number, incarnation = 1): { incarnation: number; number: number } => ({ incarnation, number })

  it('hold back what follows them, until they come again or their time is over', () => {
    refused.refused('n', 'door', at(5), 0)
    refused.refused('n', 'door', at(7), 1)
    const behind = [at(4), at(5), at(6), at(1, 2)].map((one) => refused.isBehind('n', 'door', one, 1))
    assert.deepEqual(behind, [false, false, true, true])
    assert.equal(refused.isBehind('n', 'window', at(6), 1), false)
    assert.equal(refused.isBehind('m', 'door', at(6), 1), false)
    refused.taken('n', 'door', at(6))
    assert.equal(refused.isBehind('n', 'door', at(6), 1), true, 'another one is in')
    refused.taken('n', 'door', at(5))
    assert.equal(refused.isBehind('n', 'door', at(6), 1), false)
    assert.equal(refused.isBehind('n', 'door', at(8), 1), true, 'behind the other one that was refused')
    refused.taken('n', 'door', at(7))
    assert.equal(refused.isBehind('n', 'door', at(8), 1), false)
    refused.refused('n', 'door', at(5), 10)
    assert.equal(refused.isBehind('n', 'door', at(6), 9 + REFUSED_MS), true)
    assert.equal(refused.isBehind('n', 'door', at(6), 10 + REFUSED_MS), false)
    assert.equal(refused.size, 0)
  })

  it('hold back nothing once their time to be handled is over: they do not come again', () => {
    refused.refused('n', 'door', at(5), 0, { expiresAt: 100 })
    assert.equal(refused.isBehind('n', 'door', at(6), 99), true)
    assert.equal(refused.isBehind('n', 'door', at(6), 100), false)
  })

  it('hold back each what follows it: when the time of one is over, the next one that was refused still does', () => {
    refused.refused('n', 'door', at(1), 0, { expiresAt: 100 })
    assert.equal(refused.isBehind('n', 'door', at(2), 99), true)
    refused.refused('n', 'door', at(2), 99)
    assert.equal(refused.isBehind('n', 'door', at(3), 101), true)
    refused.refused('n', 'door', at(3), 101)
    assert.equal(refused.isBehind('n', 'door', at(2), 102), false, 'it is refused no longer than what is before it')
    refused.taken('n', 'door', at(2))
    assert.equal(refused.isBehind('n', 'door', at(4), 102), true)
    refused.taken('n', 'door', at(3))
    assert.deepEqual([refused.isBehind('n', 'door', at(4), 102), refused.size], [false, 0])
  })

  it('hold back what was refused for that alone no longer than a minute after the last one that was refused for what it is', () => {
    const behind = (number: number, now: number): boolean => {
      const is = refused.isBehind('n', 'door', at(number), now)
      if (is) refused.refused('n', 'door', at(number), now, { isBehind: true })
      return is
    }
    refused.refused('n', 'door', at(1), 0)
    for (const now of [REFUSED_MS - 1, BEHIND_MS - 2, BEHIND_MS - 1]) assert.equal(behind(now, now), true, `${now}`)
    assert.equal(behind(BEHIND_MS, BEHIND_MS), false)
    assert.equal(refused.size, 0)
    refused.refused('n', 'door', at(1), 0)
    assert.equal(behind(2, REFUSED_MS - 1), true)
    refused.refused('n', 'door', at(3), REFUSED_MS)
    for (const now of [2 * REFUSED_MS - 1, 3 * REFUSED_MS - 2, REFUSED_MS + BEHIND_MS - 1]) assert.equal(behind(now, now), true)
    assert.equal(behind(REFUSED_MS + BEHIND_MS, REFUSED_MS + BEHIND_MS), false)
    refused.refused('n', 'door', at(1), 0)
    refused.refused('n', 'door', at(2), 0, { isBehind: true, expiresAt: 100 })
    refused.taken('n', 'door', at(1))
    assert.deepEqual([behind(3, 99), refused.isBehind('n', 'door', at(3), 100)], [true, false])
  })

  it('are remembered one by one where many of a subject run out of time together', () => {
    const count = MAX_REFUSED_OF_SUBJECT - 1
    for (let n = count; n > 0; n--) refused.refused('n', 'door', at(n), 0, { expiresAt: 100 + n })
    for (let n = 1; n <= count; n++) {
      assert.equal(refused.isBehind('n', 'door', at(n), 99 + n), false, `${n}`)
      assert.equal(refused.isBehind('n', 'door', at(n + 1), 99 + n), true, `${n + 1}`)
    }
    assert.equal(refused.isBehind('n', 'door', at(count + 1), 100 + count), false)
  })

  it('of a subject are so many at most, the first ones and the last', () => {
    for (let n = 1; n <= 3 * MAX_REFUSED_OF_SUBJECT; n++) refused.refused('n', 'door', at(n), 0)
    for (let n = 1; n < MAX_REFUSED_OF_SUBJECT; n++) {
      assert.equal(refused.isBehind('n', 'door', at(n), 0), false)
      refused.taken('n', 'door', at(n))
    }
    const last = 3 * MAX_REFUSED_OF_SUBJECT
    assert.deepEqual(
      [last, last + 1].map((n) => refused.isBehind('n', 'door', at(n), 0)),
      [false, true]
    )
    refused.taken('n', 'door', at(last))
    assert.equal(refused.size, 0)
  })

  it('are so many at most, and a node that is refused much makes this one forget none of others', () => {
    for (let n = 0; n < 100; n++) refused.refused('quiet', `s${n}`, at(1), 0)
    for (let n = 0; n < 2 * MAX_REFUSED_SUBJECTS; n++) refused.refused('loud', `s${n}`, at(1), 0)
    assert.equal(refused.size, MAX_REFUSED_SUBJECTS)
    for (let n = 0; n < 100; n++) assert.ok(refused.isBehind('quiet', `s${n}`, at(2), 0))
    assert.ok(refused.isBehind('loud', `s${2 * MAX_REFUSED_SUBJECTS - 1}`, at(2), 0))
    assert.ok(!refused.isBehind('loud', 's0', at(2), 0))
  })
})
