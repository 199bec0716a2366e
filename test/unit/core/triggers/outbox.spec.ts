import assert from 'node:assert/strict'
import { MAX_ROUND, PRIORITIES, type Priority } from '../../../../protocols/trigger/messages.ts'
import { MAX_DEAD_LETTERS, MAX_DEAD_LETTER_BYTES, createDeadLetters } from '../../../../src/core/triggers/dead-letters.ts'
import { createOutbox } from '../../../../src/core/triggers/outbox.ts'
import {
  ACCEPTED_PAST_MS,
  ACCEPTED_SHARE,
  LEG_BYTES,
  MAX_ACCEPTED_BYTES,
  MAX_ACCEPTED_EVENTS,
  MAX_FAILED_TRIES,
  MAX_FETCHING_NODES,
  MAX_OUTBOX_BYTES,
  MAX_OUTBOX_EVENTS,
  OFFER_MS,
  type FailedAnswer,
  type Outbox,
  type OutboxEffect,
  type OutboxEvent,
  type OutboxInit
} from '../../../../src/core/triggers/outbox-contract.ts'
import { MAX_ASKED, createLeg, noteMiss } from '../../../../src/core/triggers/outbox-leg.ts'
import {
  ACK_WAIT_MS,
  CRITICAL_ACK_WAIT_MS,
  JITTER,
  MAX_ACK_WAIT_MS,
  RETURN_MS,
  ackWaitMs
} from '../../../../src/core/triggers/retry-times.ts'
import { MAX_FAN_OUT } from '../../../../src/core/triggers/trigger-routes.ts'

const DAY_MS = 86_400_000
const BUSY: FailedAnswer = { code: 'busy', message: 'full', retryable: true, retryAfterMs: 0 }
const BROKEN: FailedAnswer = { code: 'tool_failed', message: 'no camera', retryable: true, retryAfterMs: 0 }
const NEVER: FailedAnswer = { code: 'invalid_argument', message: 'no such door', retryable: false, retryAfterMs: 0 }

describe('outbox', () => {
  let handlers: string[]
  let effects: OutboxEffect<OutboxEvent>[]
  let outbox: Outbox<OutboxEvent>
  let time: number
  const create = (init: Partial<OutboxInit<OutboxEvent>> = {}): void => {
    effects = []
    outbox = createOutbox({
      route: () => ({ handlers: new Set(handlers) }),
      emit: (effect) => effects.push(effect),
      random: () => 0,
      ...init
    })
  }
  beforeEach(() => {
    handlers = ['a', 'b']
    time = 0
    create()
  })
  const event = (id: string, given: Partial<OutboxEvent> = {}): OutboxEvent => ({
    id,
    priority: 'normal',
    bytes: 100,
    fanOut: 1,
    expiresMs: DAY_MS,
    ...given
  })
  const add = (id: string, given: Partial<OutboxEvent> = {}): ReturnType<typeof outbox.add> => outbox.add(event(id, given), time)
  /** What was done since the last look. */
  const done = (): string[] =>
    effects.splice(0).map((effect) => {
      if (effect.kind === 'append') return `append ${effect.event.id}`
      if (effect.kind === 'send') return `send ${effect.event.id} to ${effect.handler}`
      if (effect.kind === 'withdrawn') return `withdrawn ${effect.event.id}`
      if (effect.kind === 'settled') return `settled ${effect.event.id} by ${effect.by.join(' ')}`
      if (effect.kind === 'dropped') return `dropped ${effect.event.id}: ${effect.reason}`
      if (effect.kind === 'dead') return `dead ${effect.letter.event.id}: ${effect.letter.reason}`
      if (effect.kind === 'routed') return `routed ${effect.id} to ${effect.handlers.join(' ')}`
      return effect.kind === 'erased' ? `erased ${effect.id}` : `${effect.kind} ${effect.id} by ${effect.handler}`
    })
  const go = (id: string, handler: string): void => assert.notEqual(outbox.sent(id, handler, time), undefined, `${id} ${handler}`)
  const tick = (at: number): void => outbox.tick((time = at))

  describe('what is not done', () => {
    it('is listed with why, the most urgent first', () => {
      handlers = []
      add('1')
      add('2', { priority: 'critical' })
      assert.deepEqual(
        outbox.pending().map(({ event, reason, handlers: who, tries }) => [event.id, reason, who, tries]),
        [
          ['2', 'no_handler', [], 0],
          ['1', 'no_handler', [], 0]
        ]
      )
      handlers = ['a']
      outbox.handlersChanged(time, ['a'])
      const of = (id: string) => outbox.pending(id).map(({ reason, handlers: who, tries, code }) => [reason, who, tries, code])
      assert.deepEqual(of('1'), [['unanswered', ['a'], 0, undefined]])
      go('1', 'a')
      outbox.failed('1', 'a', { code: 'busy', message: '', retryable: true, retryAfterMs: 0 }, time)
      assert.deepEqual(of('1'), [['refused', [], 1, 'busy']])
      go('2', 'a')
      outbox.accepted('2', 'a', time)
      assert.deepEqual(of('2'), [['accepted', ['a'], 0, undefined]])
      outbox.lost('2', 'a', time)
      assert.deepEqual(of('2'), [['away', ['a'], 0, undefined]])
      assert.deepEqual(of('3'), [])
    })

    it('of one that wants two handlers and is sent once, the second is not who has got it as the first', () => {
      handlers = ['a']
      add('1', { priority: 'low', fanOut: 2 })
      go('1', 'a')
      done()
      outbox.lost('1', 'a', time)
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(done(), [], 'it may have done it')
      handlers = ['a', 'b']
      outbox.handlersChanged(time, ['b'])
      assert.deepEqual(done(), ['send 1 to b'])
    })

    it('who waits for the payload has its time from when its node got one last, as long as that goes on', () => {
      create({ payloadTo: ({ id }, handler) => (id === 'small' ? undefined : `node of ${handler}`) })
      for (const id of ['1', '2', 'small']) {
        add(id, { expiresMs: 20_000 })
        go(id, 'a')
      }
      done()
      outbox.fetched('node of a', ACK_WAIT_MS - 1)
      outbox.fetched('node of b', ACK_WAIT_MS - 1)
      tick(ACK_WAIT_MS)
      assert.deepEqual(done(), ['send small to b'])
      tick(2 * ACK_WAIT_MS - 2)
      assert.deepEqual(done(), [])
      outbox.fetched('node of a', time)
      tick(3 * ACK_WAIT_MS - 3)
      assert.deepEqual(done(), [])
      outbox.accepted('2', 'a', time)
      tick(3 * ACK_WAIT_MS - 2)
      assert.deepEqual(done(), ['accepted 2 by a', 'send 1 to b'])
      outbox.fetched('node of b', time)
      go('1', 'b')
      for (; time < 20_000; tick(time + 1)) outbox.fetched('node of b', time)
      assert.deepEqual(done(), ['dead 1: expired', 'dead small: expired'])
    })

    it('of nodes that get payloads so many are remembered', () => {
      create({ payloadTo: (_, handler) => handler })
      add('1')
      go('1', 'a')
      done()
      outbox.fetched('a', ACK_WAIT_MS - 1)
      for (let n = 0; n < MAX_FETCHING_NODES; n++) outbox.fetched(`n${n}`, ACK_WAIT_MS - 1)
      tick(ACK_WAIT_MS)
      assert.deepEqual(done(), ['send 1 to b'])
    })

    it('one is withdrawn: it is sent no more, and nothing is said of it', () => {
      add('1')
      done()
      assert.equal(outbox.withdraw('1', 0), true)
      assert.equal(outbox.withdraw('1', 0), false)
      assert.deepEqual(done(), ['withdrawn 1'])
      assert.equal(outbox.sent('1', 'a', time), undefined)
      outbox.done('1', 'a', time)
      tick(DAY_MS + 1)
      assert.deepEqual([done(), outbox.size, outbox.bytes, outbox.nextAt], [[], 0, 0, Infinity])
    })
  })

  describe('an event', () => {
    it('is kept, sent to the first handler, accepted and done', () => {
      assert.deepEqual(add('1'), { outcome: 'sent', handlers: ['a'] })
      assert.deepEqual(done(), ['append 1', 'send 1 to a'])
      assert.equal(outbox.sent('1', 'a', 10)?.remainingMs, DAY_MS - 10)
      assert.equal(outbox.sent('1', 'a', 10), undefined, 'once')
      outbox.accepted('1', 'a', 20)
      outbox.accepted('1', 'a', 21)
      assert.equal(outbox.waiting, 0)
      outbox.done('1', 'a', 30)
      assert.deepEqual(done(), ['accepted 1 by a', 'settled 1 by a'])
      assert.deepEqual([outbox.size, outbox.bytes, outbox.nextAt], [0, 0, Infinity])
      outbox.done('1', 'a', 31)
      assert.deepEqual(done(), [])
    })

    it('that is done without a word before is accepted as well', () => {
      add('1')
      go('1', 'a')
      outbox.done('1', 'a', 5)
      assert.deepEqual(done().slice(2), ['accepted 1 by a', 'settled 1 by a'])
    })

    it('without a handler is no success: it waits, and goes when one appears, the most urgent and oldest first', () => {
      handlers = []
      for (const [id, priority] of [
        ['1', 'low'],
        ['2', 'normal'],
        ['3', 'critical'],
        ['4', 'normal']
      ] as const)
        assert.deepEqual(add(id, { priority }), { outcome: 'queued', handlers: [] })
      assert.deepEqual(done(), ['append 2', 'append 3', 'append 4'])
      tick(60_000)
      assert.deepEqual(done(), [], 'nobody looks again and again')
      handlers = ['a']
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(done(), ['send 3 to a', 'send 2 to a', 'send 4 to a', 'send 1 to a'])
      outbox.handlersChanged(time)
      assert.deepEqual(done(), [])
    })

    it('whose time is over is a dead letter, if nobody has accepted it', () => {
      for (const [id, at] of Object.entries({ nobody: 0, offered: 1, sent: 2 })) {
        handlers = at === 0 ? [] : ['a']
        add(id, { expiresMs: 1_000 })
        if (at > 1) go(id, 'a')
      }
      add('low', { expiresMs: 1_000, priority: 'low' })
      done()
      tick(999)
      assert.deepEqual(done(), [])
      tick(1_000)
      const dead = ['nobody', 'offered', 'sent'].map((id) => `dead ${id}: expired`)
      assert.deepEqual(done(), [...dead, 'dropped low: expired'])
      assert.equal(outbox.sent('offered', 'a', 1_000), undefined)
      assert.deepEqual(done(), [])
      assert.equal(outbox.deadLetters().length, 3)
    })

    it('that a handler has accepted in time is not a dead letter while that works on it', () => {
      for (const id of ['done', 'failed', 'again', 'lost', 'back']) {
        add(id, { expiresMs: 1_000 })
        go(id, 'a')
        outbox.accepted(id, 'a', 0)
      }
      done()
      tick(100_000)
      assert.deepEqual([done(), outbox.nextAt], [[], 1_000 + ACCEPTED_PAST_MS])
      outbox.done('done', 'a', time)
      outbox.failed('failed', 'a', NEVER, time)
      // It could be tried again, but for its time.
      outbox.failed('again', 'a', BROKEN, time)
      assert.deepEqual(done(), ['settled done by a', 'dead failed: failed', 'dead again: expired'])
      for (const id of ['lost', 'back']) outbox.lost(id, 'a', time)
      outbox.handlersChanged(time, ['b'])
      assert.deepEqual(done(), [], 'nobody else gets it')
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(done(), ['send lost to a', 'send back to a'])
      assert.equal(outbox.sent('back', 'a', time)?.remainingMs, 0)
      handlers = ['b']
      outbox.lost('lost', 'a', time)
      outbox.accepted('back', 'a', time)
      done()
      tick(100_000 + RETURN_MS - 1)
      assert.deepEqual(done(), [])
      tick(100_000 + RETURN_MS)
      assert.deepEqual(done(), ['dead lost: expired'])
      outbox.done('back', 'a', time)
      assert.deepEqual([done(), outbox.size], [['settled back by a'], 0])
    })

    it('that a handler has accepted, and says nothing of for a week past its time, is a dead letter', () => {
      add('1', { expiresMs: 1_000 })
      add('2', { expiresMs: 1_000, fanOut: 2 })
      for (const id of ['1', '2']) go(id, 'a')
      go('2', 'b')
      for (const id of ['1', '2']) outbox.accepted(id, 'a', 0)
      outbox.done('2', 'b', 0)
      done()
      tick(1_000 + ACCEPTED_PAST_MS - 1)
      assert.deepEqual(done(), [])
      tick(1_000 + ACCEPTED_PAST_MS)
      assert.deepEqual(done(), ['dead 1: unanswered', 'dead 2: unanswered'])
      assert.deepEqual([outbox.size, outbox.nextAt], [0, Infinity])
      outbox.done('1', 'a', time)
      assert.deepEqual(done(), [])
    })

    it('of which one handler has accepted its part is over for the others', () => {
      handlers = ['a']
      add('1', { expiresMs: 1_000, fanOut: 2 })
      go('1', 'a')
      outbox.accepted('1', 'a', 0)
      done()
      tick(1_000)
      handlers = ['a', 'b']
      outbox.handlersChanged(time, ['b'])
      assert.deepEqual(done(), [])
      outbox.done('1', 'a', time)
      assert.deepEqual(done(), ['dead 1: expired'])
      assert.deepEqual(outbox.deadLetters()[0]?.handled, ['a'])
    })
  })

  describe('tries again', () => {
    it('at the next handler when no answer comes, and waits twice as long each time', () => {
      add('1')
      for (const [handler, waitMs] of [
        ['a', 5_000],
        ['b', 10_000],
        ['a', 20_000],
        ['b', 40_000],
        ['a', 60_000],
        ['b', 60_000]
      ] as const) {
        assert.ok(done().includes(`send 1 to ${handler}`))
        go('1', handler)
        assert.equal(outbox.nextAt, time + waitMs)
        tick(time + waitMs)
      }
      assert.deepEqual(done(), ['send 1 to a'])
    })

    it('within a second if it is critical, and at another one after two tries', () => {
      add('1', { priority: 'critical' })
      for (const handler of ['a', 'a', 'b', 'b', 'a', 'a']) {
        assert.ok(done().includes(`send 1 to ${handler}`), `${handler} at ${time}`)
        go('1', handler)
        tick(time + CRITICAL_ACK_WAIT_MS)
      }
    })

    it('at the next handler at once when one says no, and at the first again after a pause', () => {
      add('1')
      go('1', 'a')
      outbox.failed('1', 'a', BROKEN, time)
      assert.ok(done().includes('send 1 to b'))
      go('1', 'b')
      outbox.failed('1', 'b', { ...BUSY, retryAfterMs: 90_000 }, time)
      assert.deepEqual(done(), [])
      assert.equal(outbox.nextAt, ACK_WAIT_MS)
      tick(ACK_WAIT_MS)
      assert.deepEqual(done(), ['send 1 to a'])
      go('1', 'a')
      outbox.failed('1', 'a', BROKEN, time)
      tick(30_000)
      assert.deepEqual(done(), ['send 1 to a'], 'the other one said when it may be asked again')
    })

    it('not where the handler says never: the event is dead', () => {
      add('1')
      go('1', 'a')
      outbox.accepted('1', 'a', time)
      outbox.failed('1', 'a', NEVER, time)
      assert.deepEqual(done().slice(3), ['dead 1: failed'])
      const [letter] = outbox.deadLetters()
      assert.deepEqual([letter?.code, letter?.message, letter?.handled], ['invalid_argument', 'no such door', []])
    })

    it('ten times at most where the handling itself fails; being busy does not count', () => {
      handlers = ['a']
      add('1')
      for (let n = 0; n < 50; n++) {
        go('1', 'a')
        outbox.failed('1', 'a', BUSY, time)
        tick(outbox.nextAt)
      }
      for (let n = 1; n <= MAX_FAILED_TRIES; n++) {
        assert.equal(outbox.size, 1)
        go('1', 'a')
        outbox.failed('1', 'a', BROKEN, time)
        if (n < MAX_FAILED_TRIES) tick(outbox.nextAt)
      }
      assert.equal(done().at(-1), 'dead 1: failed')
    })

    it('at another handler when its link is lost before it is accepted', () => {
      add('1')
      outbox.lost('1', 'a', time)
      assert.ok(done().includes('send 1 to b'))
      go('1', 'b')
      outbox.lost('1', 'b', time)
      assert.deepEqual(done(), [])
      tick(ACK_WAIT_MS)
      assert.deepEqual(done(), ['send 1 to a'])
    })

    it('at whom has accepted it, and is lost, once it is back; at another one if it stays away', () => {
      for (const id of ['1', '2']) {
        add(id)
        go(id, 'a')
        outbox.accepted(id, 'a', time)
        handlers = ['b']
        outbox.lost(id, 'a', time)
        outbox.lost(id, 'a', time)
        assert.equal(outbox.waiting, 1)
        done()
        if (id === '2') break
        handlers = ['0', 'a', 'b']
        outbox.handlersChanged(time, ['a'])
        assert.deepEqual(done(), ['send 1 to a'])
        go('1', 'a')
        outbox.done('1', 'a', time)
        done()
        handlers = ['a', 'b']
      }
      tick(RETURN_MS - 1)
      assert.deepEqual(done(), [])
      tick(RETURN_MS)
      assert.deepEqual(done(), ['send 2 to b'])
    })

    it('at whom has accepted it, and is there all the while, though another one would be asked first', () => {
      for (const [priority, waitMs] of [
        ['normal', ACK_WAIT_MS],
        ['critical', CRITICAL_ACK_WAIT_MS / 2]
      ] as const) {
        create()
        handlers = ['a']
        add('1', { priority })
        go('1', 'a')
        outbox.accepted('1', 'a', time)
        handlers = ['b', 'a']
        outbox.lost('1', 'a', time)
        done()
        const lostAt = time
        tick(lostAt + waitMs - 1)
        assert.deepEqual(done(), [])
        tick(lostAt + waitMs)
        assert.deepEqual(done(), ['send 1 to a'])
        go('1', 'a')
        outbox.accepted('1', 'a', time)
        tick(lostAt + 2 * RETURN_MS)
        outbox.done('1', 'a', time)
        assert.deepEqual(done(), ['accepted 1 by a', 'settled 1 by a'])
      }
    })

    it('at another one where it is lost to whom has accepted it each time', () => {
      add('1')
      go('1', 'a')
      outbox.accepted('1', 'a', time)
      done()
      let times = 0
      for (outbox.lost('1', 'a', time); time < RETURN_MS; tick(outbox.nextAt)) {
        if (!done().includes('send 1 to a')) continue
        times++
        outbox.lost('1', 'a', time)
      }
      assert.deepEqual([times, done()], [RETURN_MS / ACK_WAIT_MS - 1, ['send 1 to b']])
    })

    it('at another one where whom has accepted it is not there any more when it is to be asked', () => {
      add('1')
      go('1', 'a')
      outbox.accepted('1', 'a', time)
      outbox.lost('1', 'a', time)
      done()
      handlers = ['b']
      tick(RETURN_MS - 1)
      assert.deepEqual(done(), [])
      tick(RETURN_MS)
      assert.deepEqual(done(), ['send 1 to b'])
    })

    it('at another handler when the link of the first does not come to it', () => {
      add('1')
      done()
      tick(OFFER_MS)
      assert.deepEqual(done(), ['send 1 to b'])
      assert.equal(outbox.sent('1', 'a', time), undefined, 'the first does not send it any more')
      handlers = ['b']
      tick(2 * OFFER_MS)
      assert.deepEqual(done(), [], 'there is no other')
      go('1', 'b')
    })

    it('asks a handler at once that has just appeared', () => {
      handlers = ['a']
      add('1')
      go('1', 'a')
      outbox.failed('1', 'a', { ...BUSY, retryAfterMs: 1_000_000 }, time)
      done()
      outbox.handlersChanged(time)
      assert.deepEqual(done(), [])
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(done(), ['send 1 to a'])
    })

    it('takes answers that come late', () => {
      add('1')
      go('1', 'a')
      tick(ACK_WAIT_MS)
      outbox.accepted('1', 'a', time)
      assert.equal(outbox.sent('1', 'b', time), undefined, 'it is not sent to another any more')
      outbox.done('1', 'a', time)
      assert.deepEqual(done().slice(2), ['send 1 to b', 'accepted 1 by a', 'settled 1 by a'])
      add('2')
      go('2', 'a')
      tick(2 * ACK_WAIT_MS)
      go('2', 'b')
      outbox.failed('2', 'a', NEVER, time)
      outbox.done('2', 'a', time)
      assert.equal(done().at(-1), 'settled 2 by a')
    })

    it('with less than the whole wait, by chance, so that not all come at once', () => {
      assert.deepEqual(
        [0, 1, 2, 3, 4, 99].map((tries) => ackWaitMs('high', tries, () => 0)),
        [5_000, 10_000, 20_000, 40_000, 60_000, MAX_ACK_WAIT_MS]
      )
      assert.equal(
        ackWaitMs('normal', 0, () => 1),
        ACK_WAIT_MS * (1 - JITTER)
      )
      assert.equal(
        ackWaitMs('critical', 9, () => 0),
        CRITICAL_ACK_WAIT_MS
      )
    })

    it('remembers so many handlers at most', () => {
      const leg = createLeg('1')
      for (let n = 0; n < MAX_ASKED + 5; n++) {
        leg.handler = `${n}`
        noteMiss(leg, 0)
      }
      assert.equal(leg.asked.size, MAX_ASKED)
    })
  })

  describe('a low event', () => {
    const low = { priority: 'low' } as const

    it('is sent once: it is out when it is accepted, and dropped when it is not', () => {
      for (const id of ['1', '2', '3', '4']) {
        add(id, low)
        go(id, 'a')
      }
      outbox.accepted('1', 'a', time)
      outbox.failed('2', 'a', BUSY, time)
      outbox.lost('3', 'a', time)
      tick(ACK_WAIT_MS)
      const ends = ['accepted 1 by a', 'settled 1 by a', 'dropped 2: failed', 'dropped 3: unanswered', 'dropped 4: unanswered']
      assert.deepEqual(done().slice(4), ends)
      assert.deepEqual(outbox.deadLetters(), [])
    })

    it('that was not sent yet goes to another handler', () => {
      add('1', low)
      outbox.lost('1', 'a', time)
      assert.deepEqual(done(), ['send 1 to a', 'send 1 to b'])
    })
  })

  describe('several handlers', () => {
    it('are all that are there', () => {
      add('1', { fanOut: 'all' })
      assert.deepEqual(done(), ['append 1', 'routed 1 to a b', 'send 1 to a', 'send 1 to b'])
      handlers = ['a', 'b', 'c']
      outbox.handlersChanged(time, ['c'])
      for (const handler of ['a', 'b']) go('1', handler)
      outbox.done('1', 'b', time)
      assert.deepEqual(done(), ['accepted 1 by b', 'handled 1 by b'])
      outbox.failed('1', 'a', BROKEN, time)
      tick(ACK_WAIT_MS)
      assert.deepEqual(done(), ['send 1 to a'], 'nobody takes its place')
      go('1', 'a')
      outbox.done('1', 'a', time)
      assert.deepEqual(done(), ['accepted 1 by a', 'settled 1 by b a'])
    })

    it('are all that are there when the first appears, and so many at most', () => {
      handlers = []
      add('1', { fanOut: 'all' })
      handlers = Array.from({ length: MAX_FAN_OUT + 10 }, (_, n) => `h${n}`)
      done()
      outbox.handlersChanged(time, handlers)
      assert.equal(done().length, 1 + MAX_FAN_OUT)
    })

    it('are so many, each another', () => {
      handlers = ['a', 'b', 'c']
      add('1', { fanOut: 2 })
      assert.deepEqual(done(), ['append 1', 'send 1 to a', 'send 1 to b'])
      for (const handler of ['a', 'b']) go('1', handler)
      outbox.done('1', 'b', time)
      outbox.failed('1', 'a', BUSY, time)
      assert.equal(done().at(-1), 'send 1 to c')
      go('1', 'c')
      outbox.failed('1', 'c', BUSY, time)
      tick(outbox.nextAt)
      assert.deepEqual(done(), ['send 1 to a'], 'who has done it is not asked for more')
      go('1', 'a')
      outbox.done('1', 'a', time)
      assert.equal(done().at(-1), 'settled 1 by b a')
    })

    it('count each once, also one that was asked for two of the handlings', () => {
      add('1', { fanOut: 2 })
      for (const handler of ['a', 'b']) go('1', handler)
      tick(ACK_WAIT_MS)
      assert.deepEqual(done().slice(3), ['send 1 to a', 'send 1 to b'])
      for (const handler of ['a', 'b']) go('1', handler)
      handlers = ['a', 'b', 'c']
      tick(3 * ACK_WAIT_MS)
      assert.deepEqual(done(), ['send 1 to c', 'send 1 to a'], 'the second one has been asked for the other now')
      for (const handler of ['a', 'c']) go('1', handler)
      outbox.done('1', 'a', time)
      outbox.done('1', 'a', time)
      assert.deepEqual(done(), ['accepted 1 by a', 'handled 1 by a'])
      outbox.done('1', 'c', time)
      assert.equal(done().at(-1), 'settled 1 by a c')
    })

    it('have it when each has accepted it or done it', () => {
      add('1', { fanOut: 'all' })
      for (const handler of ['a', 'b']) go('1', handler)
      outbox.accepted('1', 'a', time)
      assert.equal(outbox.waiting, 1)
      outbox.done('1', 'b', time)
      assert.deepEqual([outbox.size, outbox.waiting], [1, 0])
    })

    it('wait for those that are not there yet', () => {
      handlers = ['a']
      add('1', { fanOut: 2 })
      go('1', 'a')
      outbox.done('1', 'a', time)
      assert.equal(outbox.size, 1)
      done()
      handlers = ['a', 'b']
      outbox.handlersChanged(time, ['b'])
      assert.deepEqual(done(), ['send 1 to b'])
      tick(DAY_MS)
      assert.deepEqual(outbox.deadLetters()[0]?.handled, ['a'])
    })
  })

  describe('the order of a subject', () => {
    let routes: Record<string, string[]>
    let chance: number
    const of = 'cam door'
    const way = (given: Partial<OutboxEvent> & { way?: string } = {}) => ({ of, ...given })
    beforeEach(() => {
      routes = { '': ['a'] }
      chance = 0
      create({
        random: () => chance,
        route: (one) => ({ handlers: new Set(routes[(one as { way?: string }).way ?? '']) }),
        wayOf: (one) => (one as { way?: string }).way ?? '',
        isOrdered: (handler) => handler !== 'orderless'
      })
    })

    it('is kept at a handler, at its link as well', () => {
      routes[''] = []
      for (const id of ['1', '2', '3']) add(id, way())
      add('4', way({ priority: 'critical' }))
      done()
      routes[''] = ['a']
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(done(), ['send 1 to a', 'send 2 to a', 'send 3 to a', 'send 4 to a'])
      assert.equal(outbox.sent('4', 'a', time), undefined, 'its link would send it first')
      for (const id of ['1', '2']) go(id, 'a')
      assert.deepEqual(done(), ['send 4 to a'])
      outbox.failed('1', 'a', BUSY, time)
      assert.equal(outbox.sent('3', 'a', time), undefined)
      tick(ACK_WAIT_MS)
      assert.equal(done()[0], 'send 1 to a')
    })

    it('is not held up by an older one that nobody handles, or that another handler waits for', () => {
      Object.assign(routes, { nobody: [], other: ['b'] })
      add('1', way({ way: 'nobody' }))
      add('2', way({ way: 'other' }))
      go('2', 'b')
      outbox.failed('2', 'b', BUSY, time)
      done()
      add('3', way())
      assert.deepEqual(done(), ['append 3', 'send 3 to a'])
      go('3', 'a')
      routes.nobody = ['a']
      add('4', way())
      assert.deepEqual(done(), ['append 4'], 'the first may go there now')
      outbox.handlersChanged(time, ['a'])
      assert.ok(done().join().includes('send 1 to a,send 4 to a'))
    })

    it('is kept while it is not known where an older one goes, at those where that may be', () => {
      let undecided: string[] | undefined = ['a', 'c']
      Object.assign(routes, { words: [], b: ['b'], ab: ['a', 'b'] })
      create({
        route(one) {
          const { way: of = '' } = one as { way?: string }
          return { handlers: new Set(routes[of]), undecided: of === 'words' && undecided ? new Set(undecided) : undefined }
        },
        wayOf: (one) => (one as { way?: string }).way ?? '',
        isOrdered: () => true
      })
      add('1', way({ way: 'words' }))
      add('2', way())
      add('3', way({ way: 'b' }))
      assert.deepEqual(done(), ['append 1', 'append 2', 'append 3', 'send 3 to b'])
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(done(), [])
      ;[undecided, routes['words']] = [undefined, ['a']]
      outbox.handlersChanged(time)
      assert.deepEqual(done(), ['send 1 to a', 'send 2 to a'])
      ;[undecided, routes['words']] = [['a'], []]
      add('4', way({ way: 'words' }))
      add('5', way())
      done()
      undecided = undefined
      outbox.handlersChanged(time)
      assert.deepEqual(done(), ['send 5 to a'], 'nobody is meant by the older one')
    })

    it('holds nothing at a handler that it has made way at, and that it does not go to any more', () => {
      Object.assign(routes, { words: ['a'] })
      add('1', way())
      add('2', way({ way: 'words' }))
      go('1', 'a')
      routes['words'] = ['b']
      outbox.handlersChanged(time)
      tick(ACK_WAIT_MS)
      done()
      assert.equal(outbox.sent('2', 'a', time), undefined)
      assert.deepEqual(done(), ['send 2 to b'])
    })

    it('costs one look at each older one of its subject with words of its own, at each step', () => {
      let looks = 0
      create({
        route(one) {
          looks++
          return { handlers: new Set((one as { way?: string }).way === undefined ? ['a'] : []) }
        },
        wayOf: (one) => (one as { way?: string }).way ?? '',
        isOrdered: () => true
      })
      for (let n = 0; n < 100; n++) add(`words ${n}`, way({ way: `words ${n}` }))
      looks = 0
      add('1', way())
      assert.ok(looks <= 110, `${looks} to send it`)
      looks = 0
      go('1', 'a')
      assert.ok(looks <= 110, `${looks} when it goes`)
    })

    it('costs one look at each of those for all that one has accepted, when handlers change', () => {
      let looks = 0
      let isKnown = true
      create({
        route(one) {
          looks++
          const { way: words } = one as { way?: string }
          if (words === undefined) return { handlers: new Set(['a']) }
          return { handlers: new Set(), undecided: isKnown || words !== 'words 99' ? undefined : new Set(['a']) }
        },
        wayOf: (one) => (one as { way?: string }).way ?? '',
        isOrdered: () => true
      })
      for (let n = 0; n < 100; n++) add(`words ${n}`, way({ way: `words ${n}` }))
      for (let n = 0; n < 100; n++) {
        add(`${n}`, way())
        go(`${n}`, 'a')
        outbox.accepted(`${n}`, 'a', time)
      }
      isKnown = false
      for (let n = 0; n < 100; n++) outbox.lost(`${n}`, 'a', time)
      tick(ACK_WAIT_MS)
      done()
      looks = 0
      for (let n = 0; n < 100; n++) outbox.handlersChanged(time)
      assert.ok(looks <= 100 * 500, `${looks}`)
      isKnown = true
      outbox.handlersChanged(time)
      const sent: string[] = []
      for (let next = done(); next.length > 0; next = done())
        for (const one of next) {
          sent.push(one)
          go(one.split(' ')[1]!, 'a')
        }
      assert.deepEqual(
        sent,
        Array.from({ length: 100 }, (_, n) => `send ${n} to a`)
      )
    })

    it('is not held up by one that wants two handlers where one is', () => {
      for (const id of ['1', '2', '3']) add(id, way({ fanOut: 2 }))
      add('4', way())
      assert.deepEqual(
        done().filter((one) => one.startsWith('send')),
        ['1', '2', '3', '4'].map((id) => `send ${id} to a`)
      )
      for (const id of ['1', '2', '3', '4']) go(id, 'a')
      outbox.done('1', 'a', time)
      add('5', way())
      assert.equal(done().at(-1), 'send 5 to a')
    })

    it('is one for events that are for all, and for others', () => {
      routes[''] = []
      add('1', way({ fanOut: 'all' }))
      add('2', way({ priority: 'critical' }))
      routes[''] = ['a', 'b']
      done()
      outbox.handlersChanged(time, ['a', 'b'])
      assert.deepEqual(done(), ['routed 1 to a b', 'send 1 to a', 'send 1 to b', 'send 2 to a'])
      go('1', 'a')
      outbox.failed('1', 'a', BUSY, time)
      assert.equal(outbox.sent('2', 'a', time), undefined)
      tick(ACK_WAIT_MS)
      assert.deepEqual(done(), ['send 1 to a', 'send 2 to a'])
    })

    it('is none at a handler that wants none, and what has failed is overtaken', () => {
      routes[''] = ['orderless']
      add('1', way())
      go('1', 'orderless')
      outbox.failed('1', 'orderless', BUSY, time)
      add('2', way())
      assert.equal(done().at(-1), 'send 2 to orderless')
      routes[''] = ['a']
      add('3', way())
      assert.equal(done().at(-1), 'append 3', 'the first goes before it')
      outbox.handlersChanged(time, ['a'])
      go('1', 'a')
      outbox.failed('1', 'a', BROKEN, time)
      done()
      add('4', way())
      assert.equal(done().at(-1), 'send 4 to a')
    })

    it('who has accepted one, and comes back, gets it again as soon as what is before it has gone there', () => {
      routes = { '': ['a'], late: [] }
      add('1', way({ way: 'late' }))
      add('2', way())
      go('2', 'a')
      outbox.accepted('2', 'a', time)
      outbox.lost('2', 'a', time)
      routes.late = ['a']
      done()
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(done(), ['send 1 to a'])
      go('1', 'a')
      assert.deepEqual(done(), ['send 2 to a'])
      go('2', 'a')
    })

    /** Accepted by the first, over a link that is lost then: it may have given them back, unheard. */
    const taken = (given: Record<string, Priority>): void => {
      routes[''] = ['a', 'b']
      for (const [id, priority] of Object.entries(given)) {
        add(id, way({ priority }))
        go(id, 'a')
        outbox.accepted(id, 'a', time)
      }
      for (const id of Object.keys(given)) outbox.lost(id, 'a', time)
      done()
    }
    /** The link takes them as they come. @returns what it sent. */
    const sends = (): string[] => {
      const sent: string[] = []
      for (let next = done(); next.length > 0; next = done())
        for (const one of next) {
          const [, id, handler] = /^send (.*) to (.*)$/.exec(one)!
          if (outbox.sent(id!, handler!, time) !== undefined) sent.push(`${id} ${handler}`)
        }
      return sent
    }

    it('of what one has accepted is kept when it comes back, whatever the priorities: it may have given all back, unheard', () => {
      taken({ 1: 'normal', 2: 'critical', 3: 'high' })
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(sends(), ['1 a', '2 a', '3 a'])
    })

    it('all that one has accepted goes there again at once where it was there all the while, and not to another', () => {
      taken({ 1: 'normal', 2: 'normal', 3: 'normal' })
      tick(ACK_WAIT_MS)
      assert.deepEqual(sends(), ['1 a', '2 a', '3 a'])
    })

    it('is kept where its link is lost again when it has had its time to come back', () => {
      routes[''] = ['a']
      taken({ 1: 'normal', 2: 'normal' })
      routes[''] = ['a']
      outbox.handlersChanged(time, ['a'])
      done()
      time = RETURN_MS
      // Each is left alone for a time that is chance, the second for less.
      outbox.lost('1', 'a', time)
      chance = 1
      outbox.lost('2', 'a', time)
      done()
      const sent: string[] = []
      while (sent.length < 2) {
        tick(outbox.nextAt)
        sent.push(...sends())
      }
      assert.deepEqual(sent, ['1 a', '2 a'])
    })

    it('what is of low priority and may be lost on its way is named by what follows there, until that has come', () => {
      routes.orderless = ['orderless']
      const lost = (number: number, given: Partial<OutboxEvent> & { way?: string } = {}, handler = 'a'): number | undefined => {
        add(`${number}`, way({ sequence: { incarnation: 1, number }, ...given }))
        return outbox.sent(`${number}`, handler, time)!.lost
      }
      for (const number of [1, 2, 3]) lost(number, { priority: 'low' })
      outbox.accepted('1', 'a', time)
      outbox.lost('2', 'a', time)
      assert.equal(lost(4), 2)
      outbox.failed('3', 'a', BUSY, time)
      outbox.lost('4', 'a', time)
      outbox.withdraw('4', time)
      assert.equal(lost(5), 2, 'who was to be told was lost as well')
      outbox.accepted('5', 'a', time)
      assert.equal(lost(6), undefined)
      lost(7, { priority: 'low' })
      outbox.accepted('6', 'a', time)
      tick(time + ACK_WAIT_MS)
      assert.deepEqual([lost(8), done().includes('dropped 7: unanswered')], [7, true])
      outbox.done('8', 'a', time)
      assert.equal(lost(9), undefined)
      lost(10, { priority: 'low', way: 'orderless' }, 'orderless')
      outbox.lost('10', 'orderless', time)
      assert.equal(lost(11, { way: 'orderless' }, 'orderless'), undefined)
    })

    it('what is of low priority and ends on its way there is named as well: withdrawn, past its time, or for want of room', () => {
      const lost = (number: number, given: Partial<OutboxEvent> = {}): number | undefined => {
        add(`${number}`, way({ sequence: { incarnation: 1, number }, ...given }))
        return outbox.sent(`${number}`, 'a', time)!.lost
      }
      const answered = (number: number): void => outbox.done(`${number}`, 'a', time)
      lost(1, { priority: 'low' })
      outbox.withdraw('1', time)
      assert.equal(lost(2), 1)
      answered(2)
      lost(3, { priority: 'low', expiresMs: 100 })
      tick(time + 100)
      assert.equal(lost(4), 3)
      answered(4)
      lost(5, { priority: 'low' })
      for (let n = 0; n < MAX_OUTBOX_EVENTS; n++) add(`other ${n}`, { priority: 'high' })
      assert.ok(done().includes('dropped 5: full'))
      for (let n = 0; n < 2; n++) outbox.withdraw(`other ${n}`, time)
      assert.equal(lost(6), 5)
    })

    it('what waits for older ones to go to whom has accepted it has its time, too', () => {
      taken({ 1: 'normal', 2: 'normal' })
      tick(ACK_WAIT_MS)
      assert.deepEqual(done(), ['send 1 to a'])
      routes[''] = ['b']
      tick(RETURN_MS)
      assert.deepEqual(done(), ['send 2 to b'])
    })
  })

  it('looks at the routes of those alone that wait for somebody when handlers change', () => {
    let asked = 0
    create({
      route() {
        asked++
        return { handlers: new Set(handlers) }
      }
    })
    handlers = ['a']
    for (let n = 0; n < 500; n++) {
      add(`${n}`)
      go(`${n}`, 'a')
      if (n % 2 === 0) outbox.accepted(`${n}`, 'a', time)
    }
    handlers = []
    for (let n = 0; n < 10; n++) add(`idle ${n}`)
    asked = 0
    for (let n = 0; n < 100; n++) outbox.handlersChanged(time, [])
    assert.ok(asked <= 100 * 10 * 2, `${asked}`)
  })

  describe('room', () => {
    beforeEach(() => (handlers = []))
    const fill = (priority: Priority, count: number, bytes = 1): void => {
      for (let n = 0; n < count; n++) assert.equal(add(`${priority}-${n}`, { priority, bytes }).outcome, 'queued')
    }

    it('is for a thousand events that wait: the oldest low ones give way, of others no more are taken', () => {
      fill('low', 10)
      fill('normal', MAX_OUTBOX_EVENTS - 10)
      done()
      add('more', { priority: 'low' })
      add('normal', {})
      assert.deepEqual(done(), ['dropped low-0: full', 'dropped low-1: full', 'append normal'])
      assert.equal(outbox.waiting, MAX_OUTBOX_EVENTS)
      for (let n = 0; n < 9; n++) add(`n${n}`)
      assert.deepEqual(add('x'), { outcome: 'refused', reason: 'full' })
      assert.deepEqual(add('x', { priority: 'low' }), { outcome: 'refused', reason: 'full' })
    })

    it('is not kept by those that nobody is there for from what somebody would handle', () => {
      handlers = []
      fill('normal', MAX_OUTBOX_EVENTS)
      done()
      assert.deepEqual(add('x'), { outcome: 'refused', reason: 'full' }, 'one is no better than the other')
      handlers = ['a']
      add('wanted')
      assert.deepEqual(done(), ['dead normal-0: full', 'append wanted', 'send wanted to a'])
      outbox.handlersChanged(time, ['a'])
      assert.deepEqual(add('x'), { outcome: 'refused', reason: 'full' }, 'all have a handler now')
    })

    it('is kept by those of which it is not known yet whom they are for, and given to them, as if somebody was there', () => {
      let undecided: Set<string> | undefined = new Set(['a'])
      const begin = (): void =>
        create({
          route: ({ bytes }) => (bytes === 2 && undecided ? { handlers: new Set(), undecided } : { handlers: new Set(handlers) })
        })
      begin()
      fill('normal', MAX_OUTBOX_EVENTS)
      done()
      add('by words', { bytes: 2 })
      assert.deepEqual(done(), ['dead normal-0: full', 'append by words'])
      begin()
      fill('normal', MAX_OUTBOX_EVENTS, 2)
      handlers = ['a']
      done()
      assert.deepEqual([add('named'), done()], [{ outcome: 'refused', reason: 'full' }, []])
      add('urgent', { priority: 'high' })
      assert.deepEqual(done(), ['dead normal-0: full', 'append urgent', 'send urgent to a'])
      undecided = undefined
      add('named')
      assert.deepEqual(done(), ['dead normal-1: full', 'append named', 'send named to a'], 'nobody is meant')
    })

    it('is made for what is more urgent: what goes for it is a dead letter, critical ones never do', () => {
      fill('normal', MAX_OUTBOX_EVENTS)
      done()
      add('urgent', { priority: 'critical' })
      assert.deepEqual(done(), ['dead normal-0: full', 'append urgent'])
      create()
      fill('critical', MAX_OUTBOX_EVENTS)
      for (const priority of PRIORITIES) assert.deepEqual(add('x', { priority }), { outcome: 'refused', reason: 'full' })
    })

    it('is not made of what a handler has', () => {
      handlers = ['a']
      for (const id of ['accepted', 'sent']) add(id, { fanOut: 2 })
      for (const id of ['accepted', 'sent']) go(id, 'a')
      outbox.accepted('accepted', 'a', time)
      handlers = []
      fill('normal', MAX_OUTBOX_EVENTS - 2)
      done()
      for (const id of ['x', 'y']) add(id, { priority: 'high' })
      assert.deepEqual(done(), ['dead sent: full', 'append x', 'dead normal-0: full', 'append y'])
    })

    it('is for so many bytes', () => {
      const third = Math.floor(MAX_OUTBOX_BYTES / 3)
      fill('low', 1, third)
      fill('normal', 2, third)
      assert.deepEqual(add('huge', { priority: 'critical', bytes: MAX_OUTBOX_BYTES + 1 }), {
        outcome: 'refused',
        reason: 'too_large'
      })
      assert.deepEqual(add('x', { bytes: 2 * third }), { outcome: 'refused', reason: 'full' })
      assert.deepEqual(outbox.size, 3, 'nothing goes for what gets no room after all')
      done()
      add('x', { priority: 'high', bytes: 2 * third })
      assert.deepEqual(done(), ['dropped low-0: full', 'dead normal-0: full', 'append x'])
      assert.ok(outbox.bytes <= MAX_OUTBOX_BYTES)
    })

    const accept = (id: string, given: Partial<OutboxEvent> = {}): void => {
      assert.equal(add(id, given).outcome, 'sent')
      go(id, 'a')
      outbox.accepted(id, 'a', time)
    }
    const quarter = MAX_OUTBOX_BYTES / 4
    const most = MAX_ACCEPTED_BYTES / quarter
    const shared = Math.floor(ACCEPTED_SHARE * MAX_ACCEPTED_EVENTS)

    it('is taken by those whom an event goes to as well, and it goes to all of them once there is room for that', () => {
      handlers = Array.from({ length: MAX_FAN_OUT }, (_, n) => `h${n}`)
      // Without its handlings one more would go out.
      const bytes = Math.floor((ACCEPTED_SHARE * MAX_ACCEPTED_BYTES) / 7) - 1
      const weight = bytes + (MAX_FAN_OUT - 1) * LEG_BYTES
      for (let n = 0; n < 7; n++) assert.equal(add(`out ${n}`, { fanOut: 'all', bytes }).outcome, 'sent')
      assert.equal(outbox.bytes, 7 * weight)
      assert.equal(add('waits', { fanOut: 'all' }).outcome, 'queued')
      assert.equal(outbox.pending('waits')[0]!.reason, 'full')
      assert.equal(outbox.bytes, 7 * weight + 100)
      done()
      outbox.withdraw('out 0', time)
      assert.deepEqual(done().slice(0, 3), ['withdrawn out 0', `routed waits to ${handlers.join(' ')}`, 'send waits to h0'])
      assert.equal(outbox.bytes, 6 * weight + 100 + (MAX_FAN_OUT - 1) * LEG_BYTES)
    })

    it('is taken by the handlings that an event wants, while it waits', () => {
      handlers = []
      const bytes = MAX_OUTBOX_BYTES / 8
      for (let n = 0; n < 7; n++) assert.equal(add(`${n}`, { fanOut: MAX_FAN_OUT, bytes }).outcome, 'queued')
      assert.deepEqual(add('x', { bytes }), { outcome: 'refused', reason: 'full' })
      assert.equal(add('one').outcome, 'queued')
    })

    it('is not taken by the bytes of what handlers have accepted: past their bound others wait, and go when there is room', () => {
      handlers = ['a']
      for (let n = 0; n < most; n++) accept(`${n}`, { bytes: quarter })
      for (let n = 0; n < 4; n++) assert.equal(add(`waits ${n}`, { bytes: quarter }).outcome, 'queued')
      assert.deepEqual(
        outbox.pending('waits 0').map(({ reason, handlers: who }) => [reason, who]),
        [['full', []]]
      )
      assert.deepEqual(add('x', { bytes: quarter }), { outcome: 'refused', reason: 'full' }, 'of those that wait')
      done()
      assert.equal(add('alarm', { priority: 'critical', bytes: 300 }).outcome, 'queued')
      assert.deepEqual(done(), ['dead waits 0: full', 'append alarm'])
      outbox.handlersChanged(time, ['a'])
      tick(ACK_WAIT_MS)
      assert.deepEqual(done(), [])
      outbox.done('0', 'a', time)
      assert.deepEqual(done(), ['settled 0 by a', 'send alarm to a', 'send waits 1 to a'])
      outbox.done('1', 'a', time)
      assert.deepEqual(done(), ['settled 1 by a', 'send waits 2 to a'])
    })

    it('is for so many more that handlers have accepted, of which a part is for critical ones alone', () => {
      handlers = ['a']
      for (let n = 0; n < shared; n++) accept(`${n}`)
      assert.equal(outbox.waiting, 0)
      assert.equal(add('x', { priority: 'high' }).outcome, 'queued')
      for (let n = shared; n < MAX_ACCEPTED_EVENTS; n++) accept(`${n}`, { priority: 'critical' })
      assert.equal(add('y', { priority: 'critical' }).outcome, 'queued')
      done()
      outbox.done('7', 'a', time)
      assert.deepEqual(done(), ['settled 7 by a', 'send y to a'])
      go('y', 'a')
      outbox.accepted('y', 'a', time)
      for (let n = shared; n < MAX_ACCEPTED_EVENTS - 1; n++) outbox.done(`${n}`, 'a', time)
      assert.equal(done().includes('send x to a'), false)
      outbox.done('8', 'a', time)
      assert.deepEqual(done().at(-1), 'settled 8 by a')
      outbox.done('9', 'a', time)
      assert.deepEqual(done().at(-1), 'send x to a')
    })

    it('is neither taken nor given by what was accepted and has lost its handler', () => {
      handlers = ['a']
      const count = MAX_OUTBOX_EVENTS + 500
      for (let n = 0; n < count; n++) accept(`${n}`)
      handlers = []
      for (let n = 0; n < count; n++) outbox.lost(`${n}`, 'a', time)
      tick(RETURN_MS)
      done()
      assert.equal(outbox.waiting, count)
      for (let n = 0; n < MAX_OUTBOX_EVENTS; n++) assert.equal(add(`waits ${n}`).outcome, 'queued')
      assert.deepEqual(add('x'), { outcome: 'refused', reason: 'full' })
      done()
      add('alarm', { priority: 'critical' })
      assert.deepEqual(done(), ['dead waits 0: full', 'append alarm'])
    })

    it('keeps the order of a subject, also of those for which there is none', () => {
      handlers = ['a']
      create({ isOrdered: () => true })
      for (let n = 0; n < shared; n++) accept(`${n}`)
      for (const id of ['x', 'y']) add(id, { of: 'door' })
      done()
      outbox.done('0', 'a', time)
      assert.deepEqual(done(), ['settled 0 by a', 'send x to a'])
      outbox.done('1', 'a', time)
      assert.deepEqual(done(), ['settled 1 by a', 'send y to a'])
    })

    it('of one that is for all there is for each, once there is for one', () => {
      handlers = ['a']
      for (let n = 0; n < shared; n++) accept(`${n}`)
      handlers = ['a', 'b']
      add('all', { fanOut: 'all' })
      add('two', { fanOut: 2 })
      done()
      outbox.done('0', 'a', time)
      assert.deepEqual(done(), ['settled 0 by a', 'routed all to a b', 'send all to a', 'send all to b'])
      outbox.withdraw('all', time)
      assert.deepEqual(done(), ['withdrawn all', 'send two to a', 'send two to b'])
      outbox.withdraw('two', time)
      for (const id of ['1', '2']) outbox.done(id, 'a', time)
      assert.equal(outbox.size, shared - 3)
    })

    it('is not for an event that is in already', () => {
      add('1')
      assert.deepEqual(add('1'), { outcome: 'refused', reason: 'known' })
    })
  })

  describe('dead letters', () => {
    beforeEach(() => {
      add('1', { fanOut: 'all' })
      for (const handler of handlers) go('1', handler)
      outbox.done('1', 'a', time)
      outbox.failed('1', 'b', NEVER, time)
      assert.equal(done().at(-1), 'dead 1: failed')
    })

    it('are listed, and go out again to those who have not done it, with their id', () => {
      assert.deepEqual(
        outbox.deadLetters().map(({ event: { id }, handled }) => [id, handled]),
        [['1', ['a']]]
      )
      assert.deepEqual(outbox.replay('1', time), { outcome: 'sent', handlers: ['b'] })
      assert.deepEqual(done(), ['append 1', 'handled 1 by a', 'routed 1 to a b', 'send 1 to b', 'erased 1'])
      assert.equal(outbox.replay('1', time), undefined)
      go('1', 'b')
      outbox.done('1', 'b', time)
      assert.equal(done().at(-1), 'settled 1 by a b')
    })

    it('go out in a round of their own each time, so that who has failed at them tries anew', () => {
      const rounds = (): (number | undefined)[] =>
        effects.splice(0).flatMap((one) => (one.kind === 'send' || one.kind === 'append' ? [one.event.round] : []))
      for (const round of [1, 2]) {
        outbox.replay('1', time)
        assert.deepEqual(rounds(), [round, round])
        go('1', 'b')
        outbox.failed('1', 'b', NEVER, time)
        assert.equal(outbox.deadLetters()[0]!.event.round, round)
        effects.splice(0)
      }
    })

    it('keep to the last round that there is', () => {
      add('2', { round: MAX_ROUND })
      go('2', 'a')
      outbox.failed('2', 'a', NEVER, time)
      outbox.replay('2', time)
      assert.equal(outbox.pending('2')[0]!.event.round, MAX_ROUND)
    })

    it('stay where there is no room to send them again', () => {
      handlers = []
      for (let n = 0; n < MAX_OUTBOX_EVENTS; n++) add(`n${n}`)
      assert.deepEqual(outbox.replay('1', time), { outcome: 'refused', reason: 'full' })
      assert.equal(outbox.deadLetters().length, 1)
    })

    it('are discarded', () => {
      assert.deepEqual([outbox.discard('1'), outbox.discard('1'), outbox.deadLetters()], [true, false, []])
      assert.deepEqual(done(), ['erased 1'])
    })

    it('are so many at most, and so many bytes', () => {
      const erased: string[] = []
      const letters = createDeadLetters<OutboxEvent>((id) => erased.push(id))
      const letter = (id: string, bytes: number) => ({ event: event(id, { bytes }), reason: 'failed', handled: [] }) as const
      for (let n = 0; n <= MAX_DEAD_LETTERS; n++) letters.add({ ...letter(`${n}`, 1), handled: [] })
      assert.deepEqual(erased.splice(0), ['0'])
      letters.add({ ...letter('large', MAX_DEAD_LETTER_BYTES - 2), handled: [] })
      assert.equal(letters.all().length, 3)
      letters.add({ ...letter('large', 5), handled: [] })
      assert.equal(letters.all().length, 3, 'the same one takes its own place')
    })
  })

  describe('after a restart', () => {
    it('goes on with what was kept, once it is known who is there', () => {
      const kept = [
        { event: event('1'), ageMs: 1_000, handled: [] },
        { event: event('2', { fanOut: 'all' }), ageMs: 0, handlers: ['a', 'b', 'gone'], handled: ['a'] },
        { event: event('3', { fanOut: 2 }), ageMs: 0, handled: ['a'] },
        { event: event('4', { fanOut: 'all' }), ageMs: 0, handlers: ['a'], handled: ['a'] },
        { event: event('5'), ageMs: DAY_MS, handled: [] }
      ]
      create({ kept, letters: [{ event: event('6'), reason: 'expired', handled: [] }], now: 500 })
      assert.deepEqual(done(), ['settled 4 by a'])
      tick(500)
      assert.deepEqual(done(), ['dead 5: expired'])
      outbox.handlersChanged(500)
      assert.deepEqual(done(), ['send 1 to a', 'send 2 to b', 'send 3 to b'])
      assert.equal(outbox.sent('1', 'a', 500)?.remainingMs, DAY_MS - 1_000)
      assert.deepEqual(
        outbox.deadLetters().map((letter) => letter.event.id),
        ['6', '5']
      )
    })
  })
})
