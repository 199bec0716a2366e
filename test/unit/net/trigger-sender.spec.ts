import assert from 'node:assert/strict'
import {
  MAX_EVENT_BYTES,
  MAX_UNACCEPTED,
  decodeDelivery,
  encodeAnswers,
  type Answers
} from '../../../protocols/trigger/messages.ts'
import { QUEUE_ROOM } from '../../../src/core/triggers/priority-queues.ts'
import { MeshError } from '../../../src/errors.ts'
import type { Session } from '../../../src/net/session.ts'
import { createTriggerSender, type OutgoingEvent, type TriggerSender } from '../../../src/net/trigger-sender.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

/** The other end of an exchange, by hand. */
interface Line {
  sent: number[]
  answer(answers: Partial<Answers>): void
  fail(): void
  readonly isLeft: boolean
}

describe('the sender of events', () => {
  let lines: Line[]
  let told: string[]
  let sent: string[]
  let remainingMs: number | undefined
  let connect: () => Promise<Session>
  let sender: TriggerSender
  beforeEach(() => {
    lines = []
    told = []
    sent = []
    remainingMs = 1_000
    connect = async () => sessionOf()
    sender = createTriggerSender({
      connect: () => connect(),
      onSent(id) {
        sent.push(id)
        return remainingMs === undefined ? undefined : { remainingMs }
      },
      onAnswer: ({ kind, id }) => void told.push(`${id} ${kind}`),
      onLost: ({ id }) => void told.push(`${id} lost`),
      now: () => performance.now()
    })
  })
  afterEach(() => sender.stop())

  function sessionOf(): Session {
    return {
      async *request(_body: unknown, { input, signal }: { input: AsyncIterable<unknown>; signal: AbortSignal }) {
        const queue: unknown[] = []
        let wake: (() => void) | undefined
        let failed = false
        let isLeft = false
        const line: Line = {
          sent: [],
          answer(answers) {
            queue.push(encodeAnswers({ accepted: [], done: [], failed: [], ...answers }))
            wake?.()
          },
          fail() {
            failed = true
            wake?.()
          },
          get isLeft() {
            return isLeft
          }
        }
        lines.push(line)
        signal.addEventListener('abort', line.fail)
        void (async () => {
          for await (const item of input) line.sent.push(decodeDelivery(item).number)
        })()
        try {
          for (;;) {
            if (queue.length > 0) yield queue.shift()
            else if (failed) throw new MeshError('unavailable', 'gone')
            else await new Promise<void>((resolve) => (wake = resolve))
          }
        } finally {
          isLeft = true
        }
      }
    } as unknown as Session
  }
  const event = (id: string, given: Partial<OutgoingEvent> = {}): OutgoingEvent => ({
    id,
    key: 'guard@n',
    handler: 'guard',
    priority: 'normal',
    bytes: Uint8Array.of(1),
    ...given
  })

  it('one exchange for a node, numbers in order, answers as they come', async () => {
    sender.send('n', event('a'))
    sender.send('n', event('b'))
    await until(() => lines[0]?.sent.length === 2, 'both are sent')
    lines[0]!.answer({ accepted: [0], done: [1] })
    await until(() => told.length === 2, 'both are answered')
    assert.deepEqual([lines.length, lines[0]!.sent, told], [1, [0, 1], ['a accepted', 'b done']])
  })

  it('what ends an exchange loses all that is not answered for good; the next event opens another', async () => {
    for (const id of ['a', 'b', 'c']) sender.send('n', event(id))
    await until(() => lines[0]?.sent.length === 3, 'all are sent')
    lines[0]!.answer({ accepted: [0], done: [1] })
    await until(() => told.length === 2, 'two are answered')
    lines[0]!.fail()
    await until(() => told.length === 4, 'the others are lost')
    assert.deepEqual(told.slice(2), ['a lost', 'c lost'])
    sender.send('n', event('d'))
    await until(() => lines[1]?.sent.length === 1, 'another exchange')
    assert.deepEqual(lines[1]!.sent, [0])
  })

  it('answers about what was not sent end the exchange', async () => {
    sender.send('n', event('a'))
    await until(() => lines[0]?.sent.length === 1, 'it is sent')
    lines[0]!.answer({ done: [7] })
    await until(() => told.length === 1, 'it is lost')
    assert.deepEqual([told, lines[0]!.isLeft], [['a lost'], true])
  })

  it('a node that is not reached loses what waits for it', async () => {
    connect = () => Promise.reject(new MeshError('unavailable', 'no way'))
    sender.send('n', event('a'))
    sender.send('n', event('b'))
    await until(() => told.length === 2, 'both are lost')
    assert.deepEqual(told, ['a lost', 'b lost'])
  })

  it('sends no more than may be without an answer, and what is urgent first', async () => {
    let open: ((session: Session) => void) | undefined
    connect = () => new Promise((resolve) => (open = resolve))
    for (let n = 0; n < QUEUE_ROOM.normal; n++) sender.send('n', event(`n${n}`, { key: `guard${n % 4}@n` }))
    sender.send('n', event('one too many'))
    assert.deepEqual(told, ['one too many lost'])
    for (let n = 0; n < 100; n++)
      sender.send('n', event(`c${n}`, { key: `guard${n % 4}@n`, priority: 'critical', bytes: Uint8Array.of(1) }))
    open!(sessionOf())
    await until(() => (lines[0]?.sent.length ?? 0) >= MAX_UNACCEPTED - 100, 'as many as may be')
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.ok(lines[0]!.sent.length <= MAX_UNACCEPTED)
    lines[0]!.answer({ done: [0, 1, 2, 3] })
    await until(() => told.length === 5, 'answers')
    assert.ok(told.slice(1).filter((one) => one.startsWith('c')).length >= 2)
  })

  it('a handler that does not answer keeps no events from others of its node', async () => {
    const bytes = new Uint8Array(MAX_EVENT_BYTES)
    for (let n = 0; n < 30; n++) sender.send('n', event(`slow ${n}`, { bytes }))
    await until(() => lines[0]?.sent.length === 12, 'the share of the slow one is sent')
    sender.send('n', event('slow 30', { bytes }))
    sender.send('n', event('other', { key: 'other@n', handler: 'other' }))
    await until(() => lines[0]!.sent.length === 13, 'one for another is sent')
    lines[0]!.answer({ done: [12] })
    await until(() => told.length === 1, 'it is answered')
    assert.deepEqual(told, ['other done'])
    for (let n = 0; n < 31; n++) {
      const number = n < 12 ? n : n + 1
      await until(() => lines[0]!.sent.length > number, 'the next one is sent')
      lines[0]!.answer({ done: [number] })
    }
    await until(() => told.length === 32, 'all are answered')
    const order = Array.from({ length: 31 }, (_, n) => `slow ${n} done`)
    assert.deepEqual(told.slice(1), order)
  })

  it('handlers of a node that have much parked take turns with each other, and with what is not', async () => {
    const bytes = new Uint8Array(MAX_EVENT_BYTES)
    const send = (key: string, count: number, given: Partial<OutgoingEvent> = {}): void => {
      for (let n = 0; n < count; n++) sender.send('n', event(`${key}${n}`, { key: `${key}@n`, handler: key, bytes, ...given }))
    }
    send('a', 30)
    await until(() => sent.length === 12, 'the share of the first is sent')
    send('b', 30)
    await until(() => sent.length === 15, 'the share of the second')
    send('c', 1)
    await until(() => sent.length === 16, 'there is no more room')
    for (const key of ['d', 'e', 'f']) send(key, 1, { priority: 'high' })
    lines[0]!.answer({ done: Array.from({ length: 12 }, (_, n) => n) })
    await until(() => sent.length >= 16 + 6, 'six more are sent')
    const next = sent.slice(16, 22)
    assert.deepEqual(
      next.filter((id) => 'def'.includes(id[0]!)),
      ['d0', 'e0', 'f0'],
      next.join()
    )
    assert.deepEqual(
      next.filter((id) => 'ab'.includes(id[0]!)),
      ['a12', 'b3', 'a13']
    )
  })

  it('what is parked is lost with its exchange', async () => {
    for (let n = 0; n < 20; n++) sender.send('n', event(`${n}`, { bytes: new Uint8Array(MAX_EVENT_BYTES) }))
    await until(() => lines[0]?.sent.length === 12, 'some are sent')
    lines[0]!.fail()
    await until(() => told.length === 20, 'all are lost')
    assert.ok(told.every((one) => one.endsWith(' lost')))
  })

  it('what is not to be sent any more is left out; a stop loses the rest at once', async () => {
    remainingMs = undefined
    sender.send('n', event('a'))
    await until(() => lines.length === 1, 'an exchange')
    remainingMs = 5
    sender.send('n', event('b'))
    await until(() => lines[0]!.sent.length === 1, 'the second is sent')
    sender.stop()
    sender.send('n', event('c'))
    await until(() => told.length === 2, 'both are lost')
    assert.deepEqual(told.sort(), ['b lost', 'c lost'])
  })
})
