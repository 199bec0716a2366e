import assert from 'node:assert/strict'
import {
  createInbox,
  BUSY_MS,
  MAX_BLOCKED,
  type Inbox,
  type InboxEffect,
  type InboxEvent
} from '../../../../src/core/triggers/inbox.ts'
import type { FailedAnswer } from '../../../../src/core/triggers/outbox-contract.ts'
import { QUEUE_ROOM } from '../../../../src/core/triggers/priority-queues.ts'
import { createSeenEvents } from '../../../../src/core/triggers/seen-events.ts'
import { REORDER_MS } from '../../../../src/core/triggers/subject-order.ts'

const AGAIN: FailedAnswer = { code: 'tool_failed', message: 'no camera', retryable: true, retryAfterMs: 0 }
const NEVER: FailedAnswer = { code: 'invalid_argument', message: 'no such door', retryable: false, retryAfterMs: 0 }

describe('inbox', () => {
  let effects: InboxEffect<InboxEvent, string>[]
  let inbox: Inbox<InboxEvent, string>
  const create = (): void => {
    effects = []
    inbox = createInbox({
      seen: createSeenEvents(),
      isOrdered: (handler) => handler === 'ordered',
      emit: (one) => effects.push(one)
    })
  }
  beforeEach(create)
  const event = (number: number, given: Partial<InboxEvent> = {}): InboxEvent => ({
    node: 'n',
    id: `1-${number}`,
    handler: 'guard',
    priority: 'normal',
    bytes: 100,
    of: 'cam door',
    sequence: { incarnation: 1, number },
    expiresAt: Infinity,
    ...given
  })
  const done = (): string[] =>
    effects.splice(0).map((effect) => {
      if (effect.kind === 'ready') return `ready ${effect.handler}`
      if (effect.kind !== 'answer') return `${effect.kind} ${effect.event.id}`
      const { to, answer } = effect
      return `${to}: ${typeof answer === 'string' ? answer : `${answer.code}${answer.retryable ? ', again' : ''}`}`
    })
  const taken = (handler = 'guard', now = 0): string | undefined => inbox.take(handler, now)?.item.id

  it('keeps an event, says so, hands it out and says what came of it', () => {
    inbox.receive(event(1), 'r', 0)
    assert.deepEqual(done(), ['keep 1-1', 'ready guard'])
    inbox.kept(event(1))
    inbox.kept(event(1))
    assert.deepEqual(done(), ['r: accepted'])
    assert.equal(taken(), '1-1')
    assert.equal(taken(), undefined)
    inbox.finish(event(1), 'done', 0)
    inbox.finish(event(1), 'done', 0)
    assert.deepEqual(done(), ['release 1-1', 'r: done'])
    assert.equal(inbox.size, 0)
  })

  it('may hand out what is not written down yet: nothing was promised', () => {
    inbox.receive(event(1), 'r', 0)
    assert.equal(taken(), '1-1')
    inbox.finish(event(1), 'done', 0)
    inbox.kept(event(1))
    assert.deepEqual(done().slice(2), ['release 1-1', 'r: done'])
  })

  it('handles an event once, and answers whoever sent it last', () => {
    inbox.receive(event(1), 'first', 0)
    inbox.receive(event(1), 'second', 0)
    inbox.kept(event(1))
    inbox.receive(event(1), 'third', 0)
    assert.deepEqual(done(), ['keep 1-1', 'ready guard', 'second: accepted', 'third: accepted'])
    assert.equal(taken(), '1-1')
    inbox.finish(event(1), 'done', 0)
    inbox.receive(event(1), 'fourth', 0)
    assert.deepEqual(done(), ['release 1-1', 'third: done', 'fourth: done'])
    assert.equal(taken(), undefined)
    inbox.receive(event(1, { handler: 'other' }), 'r', 0)
    assert.equal(taken('other'), '1-1', 'for another handler it is another one')
  })

  it('takes an event again that failed and may be tried again, and never one that may not', () => {
    inbox.receive(event(1), 'r', 0)
    taken()
    inbox.finish(event(1), AGAIN, 0)
    assert.deepEqual(done().slice(2), ['release 1-1', 'r: tool_failed, again'])
    inbox.receive(event(1), 's', 0)
    assert.equal(taken(), '1-1')
    inbox.finish(event(1), NEVER, 0)
    assert.deepEqual(done().slice(2), ['release 1-1', 's: invalid_argument'])
    inbox.receive(event(1), 't', 0)
    assert.deepEqual([done(), taken()], [['t: tool_failed'], undefined])
  })

  it('has room for so many of each priority; the oldest low one gives way', () => {
    for (let n = 0; n < QUEUE_ROOM.critical; n++) inbox.receive(event(n, { priority: 'critical' }), 'r', 0)
    done()
    inbox.receive(event(9_999, { priority: 'critical' }), 'r', 0)
    assert.deepEqual(effects.splice(0), [
      {
        kind: 'answer',
        to: 'r',
        answer: { code: 'busy', message: 'too many events wait here', retryable: true, retryAfterMs: BUSY_MS }
      }
    ])
    for (let n = 0; n <= QUEUE_ROOM.low; n++) inbox.receive(event(n, { id: `low-${n}`, priority: 'low' }), `r${n}`, 0)
    assert.ok(done().includes('r0: busy, again'))
    assert.equal(inbox.size, QUEUE_ROOM.critical + QUEUE_ROOM.low)
    taken()
    inbox.receive(event(9_999, { priority: 'critical' }), 'r', 0)
    assert.deepEqual(done(), ['keep 1-9999', 'ready guard'], 'it was not remembered as seen')
  })

  it('does not hand out what is over', () => {
    inbox.receive(event(1, { expiresAt: 1_000 }), 'r', 0)
    inbox.receive(event(2), 'r', 0)
    done()
    assert.equal(taken('guard', 1_000), '1-2')
    assert.deepEqual(done(), ['release 1-1', 'r: deadline_exceeded'])
  })

  it('goes on after a restart with what was kept', () => {
    inbox.restore(event(1), 0)
    inbox.restore(event(1), 0)
    assert.deepEqual(done(), ['release 1-1'])
    inbox.receive(event(1), 'r', 0)
    assert.deepEqual(done(), ['r: accepted'])
    assert.equal(taken(), '1-1')
    for (let n = 0; n <= QUEUE_ROOM.high; n++) inbox.restore(event(n + 10, { priority: 'high' }), 0)
    assert.deepEqual(done(), [`release 1-${QUEUE_ROOM.high + 10}`])
    inbox.receive(event(QUEUE_ROOM.high + 10, { priority: 'low' }), 'r', 0)
    assert.equal(done()[0], `keep 1-${QUEUE_ROOM.high + 10}`, 'it may come again')
  })

  describe('of an ordered handler', () => {
    const ordered = (number: number, given: Partial<InboxEvent> = {}): InboxEvent =>
      event(number, { handler: 'ordered', ...given })
    const receive = (number: number, given: Partial<InboxEvent> = {}): void => inbox.receive(ordered(number, given), 'r', 0)

    it('keeps the order of a subject, whatever the priorities, one at a time', () => {
      for (const [number, priority] of [
        [1, 'normal'],
        [3, 'critical'],
        [2, 'low']
      ] as const)
        receive(number, { priority })
      receive(1, { id: '1-9', of: 'cam window' })
      assert.equal(taken('ordered'), '1-3', 'it is the first that is seen of its subject')
      assert.equal(taken('ordered'), '1-9')
      assert.equal(taken('ordered'), undefined, 'one of a subject is being handled')
      done()
      inbox.finish(ordered(3), 'done', 0)
      assert.deepEqual(done().slice(0, 1), ['ready ordered'])
      const late = inbox.take('ordered', 0)
      assert.deepEqual([late?.item.id, late?.late], ['1-1', true])
      inbox.finish(ordered(1), 'done', 0)
      assert.deepEqual(inbox.take('ordered', 0)?.item.id, '1-2')
    })

    it('waits two seconds for what is missing', () => {
      receive(1)
      receive(3)
      assert.equal(taken('ordered'), '1-1')
      inbox.finish(ordered(1), 'done', 0)
      assert.equal(taken('ordered'), undefined)
      assert.equal(inbox.nextAt, REORDER_MS)
      inbox.tick(REORDER_MS - 1)
      done()
      inbox.tick(REORDER_MS)
      assert.deepEqual(done(), ['ready ordered'])
      assert.deepEqual(inbox.take('ordered', REORDER_MS)?.missing, 1)
    })

    it('looks past so many that have to wait', () => {
      for (let n = 1; n <= MAX_BLOCKED + 2; n++) receive(n)
      receive(1, { id: 'x', of: 'cam window' })
      assert.equal(taken('ordered'), '1-1')
      assert.equal(taken('ordered'), undefined)
      inbox.finish(ordered(1), 'done', 0)
      assert.equal(taken('ordered'), '1-2')
      assert.equal(taken('ordered'), undefined)
      inbox.finish(ordered(2), 'done', 0)
      assert.equal(taken('ordered'), '1-3')
      assert.equal(taken('ordered'), 'x')
    })
  })
})
