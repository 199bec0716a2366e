import assert from 'node:assert/strict'
import { createInbox } from '../../../../src/core/triggers/inbox.ts'
import { BUSY_MS, type Inbox, type InboxEffect, type InboxEvent } from '../../../../src/core/triggers/inbox-contract.ts'
import type { FailedAnswer } from '../../../../src/core/triggers/outbox-contract.ts'
import { QUEUE_ROOM, QUEUE_WEIGHTS } from '../../../../src/core/triggers/priority-queues.ts'
import { BEHIND_MS, REFUSED_MS } from '../../../../src/core/triggers/refused-events.ts'
import { ACK_WAIT_MS, CRITICAL_ACK_WAIT_MS } from '../../../../src/core/triggers/retry-times.ts'
import { createSeenEvents } from '../../../../src/core/triggers/seen-events.ts'

const AGAIN: FailedAnswer = { code: 'tool_failed', message: 'no camera', retryable: true, retryAfterMs: 0 }
const NEVER: FailedAnswer = { code: 'invalid_argument', message: 'no such door', retryable: false, retryAfterMs: 0 }

describe('inbox', () => {
  let effects: InboxEffect<InboxEvent, string>[]
  let inbox: Inbox<InboxEvent, string>
  /** Exchanges that are over, and handlers that are not here. */
  let over: Set<string>
  let gone: Set<string>
  let refusal: FailedAnswer | undefined
  const create = (): void => {
    effects = []
    over = new Set()
    gone = new Set()
    refusal = undefined
    inbox = createInbox({
      seen: createSeenEvents(),
      isOrdered: (handler) => handler === 'ordered',
      isHere: (handler) => !gone.has(handler),
      isLive: (to) => !over.has(to),
      admit: () => refusal,
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

  it('tries an event anew that has failed for good and was sent anew by hand, once for each time, and never what is done', () => {
    const again = (round?: number): string[] => {
      inbox.receive(event(1, round === undefined ? {} : { round }), 'r', 0)
      return done()
    }
    const finish = (outcome: 'done' | FailedAnswer): void => {
      inbox.finish(inbox.take('guard', 0)!.item, outcome, 0)
      done()
    }
    assert.deepEqual(again(), ['keep 1-1', 'ready guard'])
    finish(NEVER)
    assert.deepEqual(again(), ['r: tool_failed'])
    assert.deepEqual(again(2), ['keep 1-1', 'ready guard'])
    assert.deepEqual(again(3), [], 'it is in hand')
    finish(NEVER)
    for (const round of [2, 1, undefined]) assert.deepEqual(again(round), ['r: tool_failed'])
    assert.deepEqual(again(3), ['keep 1-1', 'ready guard'])
    finish('done')
    assert.deepEqual(again(4), ['r: done'])
    assert.equal(taken(), undefined)
  })

  /** How many of one node find a place at a handler of whom nobody else wants one. */
  const shareOf = (room: number): number => Math.ceil((2 / 3) * room)
  const fill = (count: number, given: Partial<InboxEvent>): number => {
    const before = inbox.size
    for (let n = 0; n < count; n++) inbox.receive(event(n, { id: `${given.priority}-${n}`, ...given }), 'r', 0)
    return inbox.size - before
  }

  it('has room for so many of each priority; the oldest low one gives way', () => {
    const share = shareOf(QUEUE_ROOM.critical)
    assert.equal(fill(share, { priority: 'critical' }), share)
    done()
    inbox.receive(event(9_999, { priority: 'critical' }), 'r', 0)
    assert.deepEqual(effects.splice(0), [
      {
        kind: 'answer',
        to: 'r',
        answer: { code: 'busy', message: 'too many events wait here', retryable: true, retryAfterMs: BUSY_MS }
      }
    ])
    const low = shareOf(QUEUE_ROOM.low)
    for (let n = 0; n <= low; n++) inbox.receive(event(n, { id: `low-${n}`, priority: 'low' }), `r${n}`, 0)
    assert.ok(done().includes('r0: busy, again'))
    assert.equal(inbox.size, share + low)
    taken()
    inbox.receive(event(9_999, { priority: 'critical' }), 'r', 0)
    assert.deepEqual(done(), ['keep 1-9999', 'ready guard'], 'it was not remembered as seen')
  })

  it('a node that sends more than is done leaves places to others, at each priority; low ones take those of their own', () => {
    for (const priority of ['normal', 'high', 'critical', 'low'] as const) {
      const room = QUEUE_ROOM[priority]
      assert.equal(fill(2 * room, { node: 'loud', priority }), shareOf(room))
      const others = ['second', 'third', 'fourth'].map((node) => fill(10, { node, priority }))
      assert.deepEqual(others, [10, 10, 10])
    }
    done()
    for (let n = 0; n < 3_000; n++) inbox.receive(event(n, { node: 'loud', priority: 'low', id: `more-${n}` }), 'r', 0)
    const victims = effects.flatMap((one) => (one.kind === 'release' ? one.event.node : []))
    assert.deepEqual([...new Set(victims)], ['loud'])
  })

  describe('what was accepted', () => {
    const accept = (given: Partial<InboxEvent> = {}, to = 'r'): InboxEvent => {
      const one = event(1, given)
      inbox.receive(one, to, 0)
      inbox.kept(one)
      done()
      return one
    }

    it('stays when the node stops while it is handled: nothing is deleted, and nothing said', () => {
      const one = accept()
      taken()
      inbox.stop()
      inbox.finish(one, AGAIN, 0)
      assert.deepEqual([done(), inbox.size], [[], 1])
    })

    it('what was not, goes back then', () => {
      inbox.receive(event(1), 'r', 0)
      taken()
      done()
      inbox.stop()
      inbox.finish(event(1), AGAIN, 0)
      assert.deepEqual([done(), inbox.size], [['release 1-1', 'r: tool_failed, again'], 0])
    })

    it('what ends while the node stops is over', () => {
      const one = accept()
      taken()
      inbox.stop()
      inbox.finish(one, 'done', 0)
      assert.deepEqual(done(), ['release 1-1', 'r: done'])
    })

    it('is tried again here when its source hears nothing, later each time, until its time is over', () => {
      const one = accept({ expiresAt: 100_000 })
      over.add('r')
      let now = 0
      const pauses: number[] = []
      while (inbox.size > 0) {
        assert.equal(taken('guard', now), '1-1')
        inbox.finish(one, AGAIN, now)
        assert.deepEqual(done(), ['again 1-1'])
        assert.equal(taken('guard', now), undefined)
        const at = inbox.nextAt
        pauses.push(at - now)
        inbox.tick((now = at))
        if (inbox.size > 0) assert.deepEqual(done(), ['ready guard'])
      }
      assert.deepEqual(pauses, [ACK_WAIT_MS, 2 * ACK_WAIT_MS, 4 * ACK_WAIT_MS, 8 * ACK_WAIT_MS, 100_000 - 15 * ACK_WAIT_MS])
      assert.deepEqual(effects.splice(0)[0], { kind: 'release', event: one, settled: 'failed' })
      inbox.receive(event(1), 's', now)
      assert.deepEqual(done(), ['s: tool_failed'])
    })

    it('waits as long as its handler says; critical ones come soon', () => {
      const one = accept({ priority: 'critical' })
      over.add('r')
      taken()
      inbox.finish(one, { ...AGAIN, retryAfterMs: 70_000 }, 0)
      assert.equal(inbox.nextAt, 70_000)
      inbox.tick(70_000)
      assert.equal(taken('guard', 70_000), '1-1')
      inbox.finish(one, AGAIN, 70_000)
      assert.equal(inbox.nextAt, 70_000 + CRITICAL_ACK_WAIT_MS)
    })

    it('goes back to a source that is there again', () => {
      const one = accept()
      over.add('r')
      taken()
      inbox.finish(one, AGAIN, 0)
      inbox.receive(event(1), 's', 1)
      assert.deepEqual(done(), ['again 1-1', 's: accepted'])
      inbox.tick(ACK_WAIT_MS)
      assert.equal(taken('guard', ACK_WAIT_MS), '1-1')
      done()
      inbox.finish(one, AGAIN, ACK_WAIT_MS)
      assert.deepEqual([done(), inbox.size], [['release 1-1', 's: tool_failed, again'], 0])
    })

    it('is not cut short when its time is over while it is handled', () => {
      const one = accept({ expiresAt: 1_000 })
      taken()
      assert.equal(inbox.nextAt, Infinity)
      inbox.tick(5_000)
      inbox.finish(one, 'done', 5_000)
      assert.deepEqual(done(), ['release 1-1', 'r: done'])
    })

    it('is over in its time also if nobody takes it', () => {
      accept({ expiresAt: 1_000 })
      assert.equal(inbox.nextAt, 1_000)
      inbox.tick(1_000)
      assert.deepEqual([done(), inbox.size, taken('guard', 1_000)], [['release 1-1', 'r: deadline_exceeded'], 0, undefined])
    })

    it('and has lost its handler goes back to a source that hears it, and waits for one that does not', () => {
      accept()
      accept({ id: '1-2' }, 'q')
      over.add('q')
      gone.add('guard')
      inbox.changed(0)
      assert.deepEqual(done(), ['release 1-1', 'r: unknown_capability, again'])
      assert.deepEqual([inbox.size, taken()], [1, undefined])
      gone.clear()
      inbox.changed(0)
      assert.deepEqual([done(), taken()], [['ready guard'], '1-2'])
    })

    it('before a restart waits for its handler until its time is over, in the place that it has', () => {
      gone.add('guard')
      for (let n = 1; n <= 2 * QUEUE_ROOM.critical; n++)
        inbox.restore(event(n, { priority: 'critical', expiresAt: n === 7 ? 50_000 : Infinity }), 0)
      assert.deepEqual([done(), inbox.size, taken()], [[], 2 * QUEUE_ROOM.critical, undefined], 'what was promised has room')
      inbox.tick(50_000)
      assert.deepEqual(done(), ['release 1-7'])
      gone.clear()
      inbox.changed(50_000)
      assert.deepEqual([done(), taken()], [['ready guard'], '1-1'])
      inbox.receive(event(1, { node: 'm', priority: 'critical' }), 'r', 50_000)
      assert.deepEqual(done(), ['r: busy, again'], 'nobody else has, until less wait')
    })

    it('before a restart is handed out in order, once its handler is there and says so', () => {
      gone.add('ordered')
      for (const number of [1, 2]) inbox.restore(event(number, { handler: 'ordered' }), 0)
      gone.clear()
      inbox.changed(0)
      assert.deepEqual([taken('ordered'), taken('ordered')], ['1-1', undefined])
    })

    it('before a restart, its source gives to another if it hears that nobody is here', () => {
      gone.add('guard')
      inbox.restore(event(1), 0)
      inbox.receive(event(1), 'r', 0)
      assert.deepEqual([done(), inbox.size], [['release 1-1', 'r: unknown_capability, again'], 0])
    })
  })

  it('handlers that are gone leave nothing, and those that never were begin nothing', () => {
    refusal = { code: 'unknown_capability', message: '', retryable: true, retryAfterMs: 0 }
    for (let n = 0; n < 100; n++) {
      gone.add(`h${n}`)
      inbox.receive(event(1, { handler: `h${n}` }), 'r', 0)
    }
    assert.equal(inbox.handlers, 0)
    refusal = undefined
    inbox.receive(event(1), 'r', 0)
    inbox.receive(event(2), 'r', 0)
    assert.equal(taken(), '1-1')
    gone.add('guard')
    inbox.changed(0)
    assert.equal(inbox.handlers, 1)
    inbox.finish(event(1), 'done', 0)
    assert.deepEqual([inbox.handlers, inbox.size], [0, 0])
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
    assert.deepEqual(done(), [])
    inbox.receive(event(1), 'r', 0)
    assert.deepEqual(done(), ['r: accepted'])
    assert.equal(taken(), '1-1')
    inbox.finish(event(1), 'done', 0)
    inbox.restore(event(1), 0)
    assert.deepEqual(done(), ['release 1-1', 'r: done', 'release 1-1'])
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
      assert.equal(taken('ordered'), '1-1')
      assert.equal(taken('ordered'), '1-9')
      assert.equal(taken('ordered'), undefined, 'one of a subject is being handled')
      done()
      for (const number of [1, 2]) {
        inbox.finish(ordered(number), 'done', 0)
        assert.deepEqual(done().slice(0, 1), ['ready ordered'])
        const next = inbox.take('ordered', 0)
        assert.deepEqual([next?.item.id, next?.late], [`1-${number + 1}`, false])
      }
      receive(0)
      inbox.finish(ordered(3), 'done', 0)
      assert.equal(inbox.take('ordered', 0)?.late, true)
    })

    /** What its handler is shown of one after the other. */
    const shown = (): [id: string, missing: number, late: boolean][] => {
      const all: [string, number, boolean][] = []
      for (let one = inbox.take('ordered', 0); one !== undefined; one = inbox.take('ordered', 0)) {
        all.push([one.item.id, one.missing, one.late])
        inbox.finish(one.item, 'done', 0)
      }
      return all
    }

    it('waits for none that went to another handler, and counts none as missing', () => {
      for (const number of [1, 3, 7]) receive(number)
      assert.deepEqual(shown(), [
        ['1-1', 0, false],
        ['1-3', 0, false],
        ['1-7', 0, false]
      ])
      assert.equal(inbox.nextAt, Infinity)
    })

    it('says that one is missing which was lost on its way or turned away, not one that came in and whose answer was lost', () => {
      receive(1)
      receive(3, { lost: 2 })
      refusal = { ...NEVER, code: 'permission_denied' }
      receive(4)
      refusal = undefined
      receive(5, { lost: 4 })
      receive(6)
      receive(7, { lost: 6 })
      assert.deepEqual(shown(), [
        ['1-1', 0, false],
        ['1-3', 1, false],
        ['1-5', 1, false],
        ['1-6', 0, false],
        ['1-7', 0, false]
      ])
    })

    it('says so again to one that was turned away and comes again, and to a further try here', () => {
      receive(1)
      refusal = { ...AGAIN, code: 'busy' }
      receive(3, { lost: 2 })
      refusal = undefined
      inbox.finish(inbox.take('ordered', 0)!.item, 'done', 0)
      receive(3, { lost: 2 })
      inbox.kept(ordered(3))
      const first = inbox.take('ordered', 0)!
      assert.deepEqual([first.item.id, first.missing], ['1-3', 1])
      over.add('r')
      inbox.finish(first.item, { ...AGAIN, code: 'unavailable' }, 0)
      const at = inbox.nextAt
      inbox.tick(at)
      assert.deepEqual([inbox.take('ordered', at)?.missing], [1])
    })

    it('remembers nothing of a source that is turned away', () => {
      refusal = { ...NEVER, code: 'permission_denied' }
      receive(9)
      refusal = undefined
      receive(1)
      receive(3, { lost: 2 })
      assert.deepEqual(shown().at(-1), ['1-3', 1, false])
    })

    it('says nothing of what was lost before it began: what a node had when it ended is not known', () => {
      gone.add('ordered')
      inbox.restore(ordered(1), 0)
      gone.clear()
      receive(3, { lost: 2 })
      receive(6, { lost: 5 })
      assert.deepEqual(shown(), [
        ['1-1', 0, false],
        ['1-3', 0, false],
        ['1-6', 1, false]
      ])
    })

    it('one slow subject keeps no other from being handled, and has no more than its share of the places', () => {
      let inside = 0
      for (let n = 1; n <= QUEUE_ROOM.normal; n++) {
        receive(n)
        inside = Math.max(inside, inbox.size)
      }
      assert.equal(inside, QUEUE_ROOM.normal / 2)
      assert.equal(taken('ordered'), '1-1')
      receive(1, { id: 'x', of: 'cam window' })
      receive(1, { id: 'y', of: 'cam cellar' })
      assert.deepEqual([taken('ordered'), taken('ordered'), taken('ordered')], ['x', 'y', undefined])
      inbox.finish(ordered(1), 'done', 0)
      inbox.finish(ordered(1, { id: 'x', of: 'cam window' }), 'done', 0)
      receive(2, { id: 'z', of: 'cam window' })
      assert.deepEqual([taken('ordered'), taken('ordered')], ['1-2', 'z'])
    })

    it('those of many subjects take turns', () => {
      for (const n of [1, 2, 3]) for (const of of ['a', 'b']) receive(n, { id: `${of}${n}`, of })
      const order: string[] = []
      for (let one = inbox.take('ordered', 0); one !== undefined; one = inbox.take('ordered', 0)) {
        const other = inbox.take('ordered', 0)
        for (const { item } of [one, other!]) order.push(item.id)
        inbox.finish(one.item, 'done', 0)
        inbox.finish(other!.item, 'done', 0)
      }
      assert.deepEqual(order, ['a1', 'b1', 'a2', 'b2', 'a3', 'b3'])
    })

    for (const code of ['busy', 'unavailable', 'unknown_capability'])
      it(`nothing overtakes what was turned away with ${code}, wherever that was`, () => {
        refusal = { ...AGAIN, code }
        receive(1)
        refusal = undefined
        receive(2)
        assert.deepEqual(done(), [`r: ${code}, again`, 'r: busy, again'])
        receive(1)
        receive(2)
        assert.equal(inbox.size, 2)
        assert.equal(taken('ordered'), '1-1')
        done()
        inbox.finish(ordered(1), { ...AGAIN, code }, 0)
        receive(3)
        assert.deepEqual(done().slice(-1), ['r: busy, again'], 'or was begun, and is to come again')
        inbox.receive(ordered(3), 'r', REFUSED_MS)
        assert.equal(done()[0], 'keep 1-3', 'it has had its time')
      })

    it('nothing overtakes what was turned away behind another one whose time is over since', () => {
      refusal = { ...AGAIN, code: 'unavailable' }
      receive(1, { expiresAt: 100 })
      refusal = undefined
      inbox.receive(ordered(2), 'r', 99)
      inbox.receive(ordered(3), 'r', 101)
      assert.deepEqual(done(), ['r: unavailable, again', 'r: busy, again', 'r: busy, again'])
      for (const number of [2, 3]) inbox.receive(ordered(number), 'r', 5_000)
      const [first] = [inbox.take('ordered', 5_000)!]
      inbox.finish(first.item, 'done', 5_000)
      const second = inbox.take('ordered', 5_000)!
      assert.deepEqual([first.item.id, second.item.id, second.late], ['1-2', '1-3', false])
    })

    it('nothing overtakes what was turned away behind another one that has come again', () => {
      refusal = { ...AGAIN, code: 'unavailable' }
      for (const number of [1, 2]) receive(number)
      refusal = undefined
      receive(1)
      receive(3)
      assert.equal(done().at(-1), 'r: busy, again', 'its source may not know yet that it is to send the second again')
      for (const number of [2, 3]) receive(number)
      assert.equal(inbox.size, 3)
    })

    it('what goes to others each time that it is turned away behind another one, is turned away for a minute at most', () => {
      refusal = { ...AGAIN, code: 'unavailable' }
      receive(1)
      refusal = undefined
      const taken: number[] = []
      for (let second = 1; second <= 100; second++) {
        inbox.receive(ordered(second + 1), 'r', second * 1_000)
        if (inbox.size > taken.length) taken.push(second * 1_000)
      }
      assert.deepEqual([taken.length, taken[0]], [100 - BEHIND_MS / 1_000 + 1, BEHIND_MS])
    })

    it('and for a minute after the last one that was turned away for what it is itself', () => {
      let at = 0
      for (; inbox.size === 0; at += 1_000) {
        refusal = at === 0 || at === 40_000 ? { ...AGAIN, code: 'unavailable' } : undefined
        inbox.receive(ordered(at + 1), 'r', at)
      }
      assert.equal(at - 1_000, 40_000 + BEHIND_MS)
    })

    it('nothing is turned away behind one that came again and was turned away for good', () => {
      for (const final of [NEVER, { ...NEVER, code: 'permission_denied' }, AGAIN]) {
        create()
        refusal = { ...AGAIN, code: 'unavailable' }
        receive(1)
        refusal = final
        receive(1)
        refusal = undefined
        receive(2)
        assert.deepEqual([inbox.size, done().includes('keep 1-2')], [1, true], final.code)
      }
    })

    for (const code of ['busy', 'unavailable'])
      it(`nothing that is here overtakes what comes again with ${code}`, () => {
        for (const number of [1, 2, 3]) receive(number)
        inbox.receive(ordered(1, { id: 'x', of: 'cam window' }), 'r', 0)
        for (const number of [2, 3]) inbox.kept(ordered(number))
        assert.equal(taken('ordered'), '1-1')
        done()
        inbox.finish(ordered(1), { ...AGAIN, code }, 0)
        const answers = done().filter((one) => one.startsWith('r:'))
        assert.deepEqual([answers, inbox.size], [[`r: ${code}, again`, 'r: busy, again', 'r: busy, again'], 1])
        for (const number of [1, 2]) receive(number)
        for (const number of [1, 2]) inbox.kept(ordered(number))
        const next = [0, 1].map(() => inbox.take('ordered', 0)!)
        assert.deepEqual(
          next.map(({ item, late }) => [item.id, late]),
          [
            ['x', false],
            ['1-1', false]
          ]
        )
        assert.equal(taken('ordered'), undefined)
        // Nobody hears it now: it is tried again here, before the others.
        over.add('r')
        inbox.finish(ordered(1), { ...AGAIN, code }, 0)
        assert.equal(taken('ordered'), undefined)
        inbox.tick(ACK_WAIT_MS)
        const again = inbox.take('ordered', ACK_WAIT_MS)
        assert.deepEqual([again?.item.id, taken('ordered', ACK_WAIT_MS)], ['1-1', undefined])
        inbox.finish(ordered(1), 'done', ACK_WAIT_MS)
        assert.equal(taken('ordered', ACK_WAIT_MS), '1-2')
      })

    /** Subjects of which one is being handled; all that follows these waits for it. */
    const begun = (...subjects: string[]): void => {
      for (const of of subjects) for (let n = 1; n <= 20; n++) receive(n, { id: `${of}${n}`, of })
      for (const of of subjects) assert.equal(taken('ordered'), `${of}1`)
      assert.equal(taken('ordered'), undefined)
    }
    const next = (after: InboxEvent): InboxEvent => {
      inbox.finish(after, 'done', 0)
      return inbox.take('ordered', 0)!.item
    }

    it('what is critical does not wait for what was put in order before it came, and takes every second place', () => {
      begun('a', 'b', 'c')
      for (const of of ['x', 'y', 'z']) receive(1, { id: of, of, priority: 'critical' })
      const order: string[] = []
      for (let one = ordered(1, { id: 'a1', of: 'a' }); order.length < 6; order.push(one.id)) one = next(one)
      assert.deepEqual(order, ['x', 'a2', 'y', 'a3', 'z', 'a4'])
    })

    it('the others have their weights there, too', () => {
      begun('a', 'b', 'c')
      for (let n = 0; n < 20; n++) receive(1, { id: `high${n}`, of: `high${n}`, priority: 'high' })
      const order: string[] = []
      for (
        let one = ordered(1, { id: 'a1', of: 'a' });
        order.length < QUEUE_WEIGHTS.high + QUEUE_WEIGHTS.normal;
        order.push(one.id)
      )
        one = next(one)
      assert.equal(order.filter((id) => id.startsWith('high')).length, QUEUE_WEIGHTS.high, order.join(' '))
    })

    it('what comes before one that waits goes before it', () => {
      receive(1)
      assert.equal(taken('ordered'), '1-1')
      receive(3)
      assert.equal(taken('ordered'), undefined)
      receive(2)
      inbox.finish(ordered(1), 'done', 0)
      const two = inbox.take('ordered', 0)
      assert.deepEqual([two?.item.id, two?.missing, two?.late], ['1-2', 0, false])
    })

    it('the oldest of low priority gives way there as well', () => {
      let inside = 0
      for (let n = 1; inbox.size >= n - 1; n++) {
        receive(n, { priority: 'low' })
        if (n === 1) assert.equal(taken('ordered'), '1-1')
        if (inbox.size < n) break
        inside = n
      }
      assert.equal(inside, 1 + QUEUE_ROOM.low / 2)
      assert.equal(taken('ordered'), undefined)
      done()
      receive(9_999, { priority: 'low' })
      assert.deepEqual(done().slice(0, 2), ['release 1-3', 'r: busy, again'])
      assert.equal(inbox.size, inside)
    })

    it('what is of low priority keeps none before it here: it is sent once, and goes with them', () => {
      receive(1)
      receive(2, { priority: 'low' })
      receive(3)
      for (const number of [1, 3]) inbox.kept(ordered(number))
      inbox.kept(ordered(2, { priority: 'low' }))
      assert.equal(taken('ordered'), '1-1')
      done()
      inbox.finish(ordered(1), { ...AGAIN, code: 'unavailable' }, 0)
      const answers = done().filter((one) => one.startsWith('r:'))
      assert.deepEqual([answers, inbox.size], [['r: unavailable, again', 'r: busy, again', 'r: busy, again'], 0])
      for (const number of [1, 3]) receive(number)
      assert.equal(taken('ordered'), '1-1')
      inbox.finish(ordered(1), 'done', 0)
      const next = inbox.take('ordered', 0)
      assert.deepEqual([next?.item.id, next?.missing, next?.late], ['1-3', 0, false])
    })

    it('one of low priority behind it whose source hears nothing any more goes as well; one that is promised does not', () => {
      receive(1)
      inbox.receive(ordered(2, { priority: 'low' }), 'q', 0)
      inbox.receive(ordered(3), 'q', 0)
      inbox.kept(ordered(1))
      over.add('q')
      assert.equal(taken('ordered'), '1-1')
      inbox.kept(ordered(3))
      inbox.finish(ordered(1), { ...AGAIN, code: 'unavailable' }, 0)
      assert.equal(inbox.size, 3)
      inbox.tick(ACK_WAIT_MS)
      assert.equal(taken('ordered', ACK_WAIT_MS), '1-1')
      inbox.receive(ordered(3), 'r', ACK_WAIT_MS)
      inbox.finish(ordered(1), { ...AGAIN, code: 'unavailable' }, ACK_WAIT_MS)
      assert.equal(inbox.size, 0)
    })

    it('one that came late is late when it is tried again, too', () => {
      receive(2)
      assert.equal(taken('ordered'), '1-2')
      inbox.finish(ordered(2), 'done', 0)
      receive(1)
      inbox.kept(ordered(1))
      over.add('r')
      assert.equal(inbox.take('ordered', 0)?.late, true)
      inbox.finish(ordered(1), { ...AGAIN, code: 'busy' }, 0)
      inbox.tick(ACK_WAIT_MS)
      assert.equal(inbox.take('ordered', ACK_WAIT_MS)?.late, true)
    })

    it('who waits to be tried again, and is over before that, holds up nobody', () => {
      receive(1, { expiresAt: 2_000 })
      receive(2)
      inbox.kept(ordered(1))
      over.add('r')
      assert.equal(taken('ordered'), '1-1')
      inbox.finish(ordered(1), { ...AGAIN, code: 'busy' }, 0)
      assert.equal(taken('ordered', 1_999), undefined)
      done()
      inbox.tick(2_000)
      assert.ok(done().includes('ready ordered'))
      assert.equal(taken('ordered', 2_000), '1-2')
    })

    it('what its handler has failed at is overtaken, as it is at its source, and so is what does not come again', () => {
      receive(1)
      assert.equal(taken('ordered'), '1-1')
      inbox.finish(ordered(1), AGAIN, 0)
      refusal = { ...AGAIN, code: 'busy' }
      receive(2, { priority: 'low' })
      refusal = undefined
      done()
      receive(3)
      assert.equal(done()[0], 'keep 1-3')
    })

    it('one whose time is over before it was begun leaves no gap', () => {
      receive(1)
      receive(2, { expiresAt: 100 })
      receive(3)
      assert.equal(taken('ordered'), '1-1')
      inbox.tick(100)
      inbox.finish(ordered(1), 'done', 100)
      assert.equal(taken('ordered', 100), '1-3')
    })
  })
})
