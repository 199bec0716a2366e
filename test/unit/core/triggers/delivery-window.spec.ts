import assert from 'node:assert/strict'
import { MAX_HANDLING, MAX_UNACCEPTED, MAX_UNACCEPTED_BYTES, type Answers } from '../../../../protocols/trigger/messages.ts'
import { createDeliveryWindow } from '../../../../src/core/triggers/delivery-window.ts'
import { isMeshError } from '../../../../src/errors.ts'

const answers = (given: Partial<Answers>): Answers => ({ accepted: [], done: [], failed: [], ...given })
const failure = (number: number) => ({ number, code: 'busy', retryable: true, retryAfterMs: 7, message: 'full' })

describe('delivery window', () => {
  it('numbers deliveries, and says whose an answer is', () => {
    const window = createDeliveryWindow()
    assert.deepEqual([window.open('a', 'guard', 1), window.open('b', 'guard', 1), window.open('a', 'other', 1)], [0, 1, 2])
    assert.deepEqual(window.answered(answers({ accepted: [0], done: [0, 2], failed: [failure(1)] })), [
      { kind: 'accepted', id: 'a', handler: 'guard' },
      { kind: 'done', id: 'a', handler: 'guard' },
      { kind: 'done', id: 'a', handler: 'other' },
      { kind: 'failed', id: 'b', handler: 'guard', code: 'busy', retryable: true, retryAfterMs: 7, message: 'full' }
    ])
    assert.equal(window.open('c', 'guard', 1), 3)
  })

  it('refuses answers to what was not asked, or is answered', () => {
    for (const bad of [
      { accepted: [1] },
      { accepted: [0, 0] },
      { done: [0, 0] },
      { done: [0], failed: [failure(0)] },
      { failed: [failure(5)] }
    ]) {
      const window = createDeliveryWindow()
      window.open('a', 'guard', 1)
      assert.throws(
        () => window.answered(answers(bad)),
        (error) => isMeshError(error, 'protocol_error')
      )
    }
  })

  it('has room for so many, and so many bytes, that are not accepted', () => {
    const window = createDeliveryWindow()
    for (let n = 0; n < MAX_UNACCEPTED; n++) {
      assert.ok(window.hasRoom(1))
      window.open(`${n}`, 'guard', 1)
    }
    assert.ok(!window.hasRoom(1))
    window.answered(answers({ accepted: [5] }))
    assert.ok(window.hasRoom(MAX_UNACCEPTED_BYTES - MAX_UNACCEPTED + 1))
    assert.ok(!window.hasRoom(MAX_UNACCEPTED_BYTES - MAX_UNACCEPTED + 2))
    window.answered(answers({ done: [6] }))
    assert.ok(window.hasRoom(MAX_UNACCEPTED_BYTES - MAX_UNACCEPTED + 2))
  })

  it('has room for so many that are accepted and not done', () => {
    const window = createDeliveryWindow()
    for (let n = 0; n < MAX_HANDLING; n++) {
      assert.ok(window.hasRoom(1))
      window.answered(answers({ accepted: [window.open(`${n}`, 'guard', 1)] }))
    }
    assert.ok(!window.hasRoom(1))
    window.answered(answers({ done: [0] }))
    assert.ok(window.hasRoom(1))
  })

  it('leaves room for others, whatever one handler has out', () => {
    const window = createDeliveryWindow()
    const fill = (handler: string, bytes: number, isAccepted = false): number => {
      let count = 0
      for (; window.hasRoom(bytes) && window.hasRoomFor(handler, bytes); count++) {
        const number = window.open(`${handler} ${count}`, handler, bytes)
        if (isAccepted) window.answered(answers({ accepted: [number] }))
      }
      return count
    }
    assert.deepEqual([fill('slow', 1), fill('other', 1)], [MAX_UNACCEPTED * 0.75, MAX_UNACCEPTED * 0.1875])
    assert.ok(window.hasRoom(1) && window.hasRoomFor('third', 1))
    window.close()
    assert.equal(fill('slow', 65_536), 12)
    assert.equal(fill('other', 65_536), 3)
    assert.equal(fill('third', 65_536), 1)
    window.close()
    assert.equal(fill('slow', 1, true), MAX_HANDLING * 0.75)
    assert.ok(window.hasRoom(1) && window.hasRoomFor('other', 1))
  })

  it('loses at its end what is not answered for good', () => {
    const window = createDeliveryWindow()
    for (const id of ['a', 'b', 'c']) window.open(id, 'guard', 1)
    window.answered(answers({ accepted: [0], done: [1] }))
    assert.deepEqual(window.close(), [
      { id: 'a', handler: 'guard' },
      { id: 'c', handler: 'guard' }
    ])
    assert.deepEqual(window.close(), [])
  })
})
