import assert from 'node:assert/strict'
import {
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
    refused.refused('n', 'door', at(5), 10)
    assert.equal(refused.isBehind('n', 'door', at(6), 9 + REFUSED_MS), true)
    assert.equal(refused.isBehind('n', 'door', at(6), 10 + REFUSED_MS), false)
    assert.equal(refused.size, 0)
  })

  it('hold back nothing once their time to be handled is over: they do not come again', () => {
    refused.refused('n', 'door', at(5), 0, 100)
    assert.equal(refused.isBehind('n', 'door', at(6), 99), true)
    assert.equal(refused.isBehind('n', 'door', at(6), 100), false)
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
