import assert from 'node:assert/strict'
import type { Stream } from '@libp2p/interface'
import {
  INITIAL_WINDOW_BYTES,
  MAX_EXCHANGES,
  decodeFrame,
  encodeFrame,
  readPrefix,
  type Frame
} from '../../../protocols/framing/messages.ts'
import { Cancellation } from '../../../src/core/cancellation.ts'
import { MeshError, PEER_STOPPED, isMeshError } from '../../../src/errors.ts'
import { createChannel } from '../../../src/net/channel.ts'
import { MAX_WINDOW_BYTES, createReceiveQueue, createSendCredit, createWindowBudget } from '../../../src/net/receive-queue.ts'
import { openSession, type Session } from '../../../src/net/session.ts'
import type { ExchangeHandler } from '../../../src/net/inbound-exchanges.ts'
import { startPair, until, within, type Pair } from '../../fixtures/libp2p-pair.ts'

const MIB = 1024 * 1024
const HELLO = { version: 1, maxFrameBytes: 4 * MIB, windowBytes: INITIAL_WINDOW_BYTES, maxExchanges: MAX_EXCHANGES }
const never = (): AbortSignal => new AbortController().signal
const over = (): MeshError => new MeshError('cancelled', 'the test is over')

const echo: ExchangeHandler = async function* ({ body, input }) {
  for await (const item of input ?? []) yield item
  return body
}

/** Yields until it is stopped. */
const endless: ExchangeHandler = async function* () {
  for (;;) yield new Uint8Array(16 * 1024)
}

async function resultOf(exchange: AsyncGenerator<unknown, unknown, void>): Promise<unknown> {
  for (;;) {
    const step = await exchange.next()
    if (step.done === true) return step.value
  }
}

describe('session', function () {
  this.timeout(30_000)
  let pair: Pair
  const open: Session[] = []
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())
  afterEach(async () => {
    for (const session of open) session.abort(over())
    await Promise.all(open.splice(0).map(({ closed }) => closed))
  })

  async function sessions(handlers: { a?: ExchangeHandler; b?: ExchangeHandler }): Promise<[Session, Session]> {
    const both = await pair.sessions(handlers)
    open.push(...both)
    return both
  }

  /** A session at `b` against a raw stream, with which a test says whatever it likes. */
  async function rawAgainst(
    handler: ExchangeHandler
  ): Promise<{ stream: Stream; say(frame: Frame): void; heard: Frame[]; session: Session }> {
    const [stream, theirs] = await pair.streams()
    const heard: Frame[] = []
    let rest = new Uint8Array(0)
    stream.addEventListener('message', ({ data }) => {
      rest = Buffer.concat([rest, data instanceof Uint8Array ? data : data.subarray()])
      for (let prefix = readPrefix(rest, 0); prefix !== undefined; prefix = readPrefix(rest, 0)) {
        if (prefix.start + prefix.length > rest.length) return
        heard.push(decodeFrame(rest.subarray(prefix.start, prefix.start + prefix.length)))
        rest = rest.subarray(prefix.start + prefix.length)
        if (rest.length === 0) return
      }
    })
    stream.send(encodeFrame({ type: 'hello', hello: HELLO }))
    const session = await openSession({ channel: createChannel(theirs), initiator: false, handler, now: () => performance.now() })
    open.push(session)
    return { stream, say: (frame) => void stream.send(encodeFrame(frame)), heard, session }
  }

  it('carries many exchanges at once, opened by both sides, each with its own answer', async () => {
    const [a, b] = await sessions({ a: echo, b: echo })
    const one = async (session: Session, n: number): Promise<void> => {
      async function* input(): AsyncGenerator<unknown, void, void> {
        for (let i = 0; i < n % 5; i++) yield [n, i]
      }
      const exchange = session.request({ n }, { signal: never(), input: input() })
      for (let i = 0; i < n % 5; i++) assert.deepEqual((await exchange.next()).value, [n, i])
      assert.deepEqual(await exchange.next(), { done: true, value: { n } })
    }
    await Promise.all(Array.from({ length: 400 }, (_, n) => [one(a, n), one(b, n)]).flat())
    assert.equal(a.active + b.active, 0)
  })

  it('queues requests past the exchanges that the peer allows, and runs them all', async () => {
    const [a] = await sessions({ b: echo })
    const results = await Promise.all(
      Array.from({ length: MAX_EXCHANGES + 300 }, (_, n) => resultOf(a.request(n, { signal: never() })))
    )
    assert.deepEqual(results, [...results.keys()])
  })

  it('lets who waits for a free exchange, or for a peer that does not read, give up in time', async () => {
    const [a, b] = await sessions({
      async *b({ cancellation: { signal } }) {
        yield 1
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
      }
    })
    const running = Array.from({ length: MAX_EXCHANGES }, () => a.request(null, { signal: never() }))
    await Promise.all(running.map((exchange) => exchange.next()))
    const controller = new AbortController()
    const waiting = a.request('waits', { signal: controller.signal }).next()
    const next = a.request('next', { signal: never() }).next()
    controller.abort(new MeshError('deadline_exceeded', 'too late'))
    await assert.rejects(within(waiting, 'gives up'), (error) => isMeshError(error, 'deadline_exceeded'))
    await running.pop()!.return(undefined)
    assert.equal((await within(next, 'the next in line gets the place')).value, 1)
    assert.ok(b.active <= MAX_EXCHANGES)
  })

  it('keeps ids in order when many requests wait for a peer that reads slowly', async () => {
    const [a] = await sessions({ b: echo })
    const big = new Uint8Array(200 * 1024)
    const results = await Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        for (let i = 0; i < n % 7; i++) await Promise.resolve()
        return resultOf(a.request(n % 3 === 0 ? big : n, { signal: never() }))
      })
    )
    assert.equal(results.length, 300)
    assert.ok(a.open)
  })

  it('opens the requests that waited for a slow peer before those that come later', async () => {
    const { stream, heard, session } = await rawAgainst(echo)
    stream.pause()
    const cancellation = new Cancellation()
    const ask = (label: string): void =>
      void session
        .request([label, new Uint8Array(64 * 1024)], { cancellation })
        .next()
        .catch(() => undefined)
    for (let n = 0; n < 100; n++) {
      ask(`early ${n}`)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const opened = (): string[] => heard.flatMap((frame) => (frame.type === 'open' ? [(frame.body as [string])[0]] : []))
    let late = 0
    stream.addEventListener('message', () => ask(`late ${late++}`))
    stream.resume()
    await until(() => opened().length >= 120, 'all of the first and some of the later are opened')
    assert.deepEqual(
      opened().slice(0, 100),
      Array.from({ length: 100 }, (_, n) => `early ${n}`)
    )
    cancellation.abort(over())
  })

  it('holds a bounded number of items for a peer that opens, cancels and never reads', async () => {
    let begun = 0
    const { stream, session } = await rawAgainst(async function* () {
      begun++
      for (;;) yield new Uint8Array(64 * 1024)
    })
    stream.pause()
    const ROUND = 256
    for (let at = 0; at < 6 * MAX_EXCHANGES; at += ROUND) {
      const ids = Array.from({ length: ROUND }, (_, n) => 2 * (at + n) + 1)
      for (const id of ids) stream.send(encodeFrame({ type: 'open', id, body: null, more: false }))
      // Time for each to make an item, and to wait with it for a channel that takes it.
      for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve))
      for (const id of ids) stream.send(encodeFrame({ type: 'cancel', id, reason: 'enough' }))
    }
    stream.send(encodeFrame({ type: 'goaway', reason: 'that was all' }))
    await until(() => !session.open, 'all is heard')
    assert.ok(begun > 0 && begun <= 3 * MAX_EXCHANGES, `${begun} were begun, each holds an item`)
  })

  it('tells those that wait for a place at once that none will come, and that they have not begun', async () => {
    const [a, b] = await sessions({ b: endless })
    const running = Array.from({ length: MAX_EXCHANGES }, () => a.request(null, { signal: never() }))
    await Promise.all(running.map((exchange) => exchange.next()))
    const waiting = a.request('waits', { signal: never() }).next()
    void b.close()
    await assert.rejects(
      within(waiting, 'the one that waits', 2_000),
      (error) => isMeshError(error, 'unavailable') && error.details['notStarted'] === true
    )
    a.abort(over())
  })

  it('cancels at the other side when left early, and when the signal aborts', async () => {
    const reasons: string[] = []
    const [a, b] = await sessions({
      async *b({ cancellation: { signal } }) {
        signal.addEventListener('abort', () => reasons.push((signal.reason as Error).message), { once: true })
        for (;;) yield 1
      }
    })
    const left = a.request(null, { signal: never() })
    await left.next()
    await left.return(undefined)
    const controller = new AbortController()
    const aborted = a.request(null, { signal: controller.signal })
    await aborted.next()
    controller.abort(new MeshError('deadline_exceeded', 'late'))
    await assert.rejects(resultOf(aborted), (error) => isMeshError(error, 'deadline_exceeded'))
    await until(() => b.active === 0, 'both are over')
    assert.deepEqual(reasons, ['the caller cancelled (cancelled)', 'the caller cancelled (deadline_exceeded)'])
  })

  it('passes on errors with code, message and details, also codes from tomorrow', async () => {
    const [a] = await sessions({
      async *b({ body }) {
        throw body === 'plain' ? new TypeError('secret') : new MeshError('busy', 'no slot', { running: 3 })
      }
    })
    await assert.rejects(a.request(null, { signal: never() }).next(), (error: unknown) => {
      assert.ok(isMeshError(error, 'busy'))
      assert.deepEqual(error.details, { running: 3 })
      return true
    })
    await assert.rejects(a.request('plain', { signal: never() }).next(), (error: unknown) => isMeshError(error, 'internal'))
    assert.ok(a.open)
  })

  it('answers a result that is over the frame limit with too_large, and lives on', async () => {
    const [a] = await sessions({
      async *b({ body }) {
        return body === 'big' ? new Uint8Array(5 * MIB) : 'small'
      }
    })
    await assert.rejects(resultOf(a.request('big', { signal: never() })), (error) => isMeshError(error, 'too_large'))
    assert.equal(await resultOf(a.request('', { signal: never() })), 'small')
    await assert.rejects(resultOf(a.request(new Uint8Array(5 * MIB), { signal: never() })), (error) =>
      isMeshError(error, 'too_large')
    )
    assert.equal(await resultOf(a.request('', { signal: never() })), 'small')
  })

  it('holds a sender to its credit: more is a protocol_error', async () => {
    const { stream, say, session } = await rawAgainst(async function* ({ cancellation: { signal } }) {
      yield 1
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
    })
    say({ type: 'open', id: 1, body: null, more: true })
    for (let n = 0; n < 6; n++) say({ type: 'item', id: 1, body: new Uint8Array(16 * 1024) })
    assert.equal((await within(session.closed, 'the session ends'))?.code, 'protocol_error')
    await until(() => stream.status !== 'open', 'the stream is reset')
    assert.equal(session.active, 0)
  })

  it('bounds the large items of many exchanges that nobody reads: the exchange is busy, the session lives', async () => {
    let read!: () => void
    const gate = new Promise<void>((resolve) => (read = resolve))
    const { say, heard, session } = await rawAgainst(async function* ({ input }) {
      await gate
      for await (const item of input ?? []) yield (item as Uint8Array).length
    })
    for (let id = 1; id <= 41; id += 2) {
      say({ type: 'open', id, body: null, more: true })
      say({ type: 'item', id, body: new Uint8Array(3 * MIB) })
      say({ type: 'end', id, body: null })
    }
    say({ type: 'ping', nonce: 1 })
    await until(() => heard.some(({ type }) => type === 'pong'), 'all has arrived', 15_000)
    read()
    await until(() => heard.filter(({ type }) => type === 'error' || type === 'end').length === 21, 'all are answered', 15_000)
    const codes = heard.flatMap((frame) => (frame.type === 'error' ? [frame.code] : []))
    assert.ok(codes.length >= 10 && codes.length < 21 && codes.every((code) => code === 'busy'), codes.join())
    assert.ok(session.open)
  })

  for (const [name, frame] of Object.entries({
    'a second hello': { type: 'hello', hello: HELLO },
    'an id of the wrong parity': { type: 'open', id: 2, body: null, more: false },
    'an id that was used': { type: 'open', id: 1, body: null, more: false },
    'an error from the side that opened': { type: 'error', id: 1, code: 'busy', message: '', details: {} },
    'an item without more': { type: 'item', id: 1, body: 1 }
  } as Record<string, Frame>)) {
    it(`ends at ${name} with protocol_error`, async () => {
      const { say, session } = await rawAgainst(endless)
      say({ type: 'open', id: 1, body: null, more: false })
      await until(() => session.active === 1, 'it runs')
      say(frame)
      assert.equal((await within(session.closed, 'the session ends'))?.code, 'protocol_error')
      assert.equal(session.active, 0)
    })
  }

  it('takes late frames of exchanges that are over as normal', async () => {
    const { say, session, heard } = await rawAgainst(echo)
    say({ type: 'open', id: 1, body: 'x', more: false })
    await until(() => heard.some(({ type }) => type === 'end'), 'it ends')
    for (const frame of [
      { type: 'item', id: 1, body: 1 },
      { type: 'credit', id: 1, bytes: 5 },
      { type: 'cancel', id: 1, reason: '' },
      { type: 'end', id: 9, body: 1 }
    ] as Frame[])
      say(frame)
    say({ type: 'ping', nonce: 9 })
    await until(() => heard.some(({ type }) => type === 'pong'), 'it lives')
    assert.ok(session.open)
  })

  it('measures the round trip by ping, and rejects pings when it ends', async () => {
    const [a, b] = await sessions({})
    const ms = await a.ping()
    assert.ok(ms >= 0 && ms < 2_000)
    assert.ok(performance.now() - b.lastHeardAt < 2_000)
    const pending = a.ping()
    b.abort(over())
    await assert.rejects(pending, (error) => isMeshError(error, 'unavailable'))
    await assert.rejects(a.ping(), (error) => isMeshError(error, 'unavailable'))
  })

  it('drains on close: what runs may finish, new exchanges are refused on both sides', async () => {
    let finish!: () => void
    const gate = new Promise<void>((resolve) => (finish = resolve))
    const [a, b] = await sessions({
      async *b() {
        yield 'began'
        await gate
        return 'finished'
      }
    })
    const exchange = a.request(null, { signal: never() })
    await exchange.next()
    const closing = b.close()
    await until(() => !a.open, 'goaway arrives')
    await assert.rejects(a.request(null, { signal: never() }).next(), (error) => isMeshError(error, 'unavailable'))
    await assert.rejects(b.request(null, { signal: never() }).next(), (error) => isMeshError(error, 'unavailable'))
    finish()
    assert.deepEqual(await exchange.next(), { done: true, value: 'finished' })
    await within(closing, 'close ends')
    await a.closed
  })

  it('says of what its end cuts whether the other side had said that it stops', async () => {
    for (const [frame, details] of [
      [
        { type: 'goaway', reason: 'stopping' },
        { lost: true, reason: PEER_STOPPED }
      ],
      [{ type: 'ping', nonce: 1 }, { lost: true }]
    ] as const) {
      const { stream, say, heard, session } = await rawAgainst(endless)
      const cut = session.request('runs', { signal: never() }).next()
      await until(() => heard.some(({ type }) => type === 'open'), 'it is asked')
      say(frame)
      await stream.close()
      await assert.rejects(cut, { code: 'unavailable', details })
    }
  })

  it('refuses what crosses its own goaway as not begun', async () => {
    const { say, heard, session } = await rawAgainst(endless)
    say({ type: 'open', id: 1, body: null, more: false })
    await until(() => session.active === 1, 'one runs, and holds up the end')
    void session.close()
    say({ type: 'open', id: 3, body: null, more: false })
    const answer = (): Frame | undefined => heard.find((frame) => frame.type === 'error' && frame.id === 3)
    await until(() => answer() !== undefined, 'it is refused')
    const error = { code: 'unavailable', message: 'this node is stopping', details: { notStarted: true } }
    assert.deepEqual(answer(), { type: 'error', id: 3, ...error })
  })

  it('ends every request when the connection is lost', async () => {
    const own = await startPair()
    const [a, b] = await own.sessions({ b: endless })
    const exchanges = Array.from({ length: 20 }, () => a.request(null, { signal: never() }))
    await Promise.all(exchanges.map((exchange) => exchange.next()))
    own.connection.abort(new Error('cable'))
    const ends = await Promise.allSettled(exchanges.map(resultOf))
    assert.ok(ends.every((end) => end.status === 'rejected' && isMeshError(end.reason, 'unavailable')))
    await until(() => a.active + b.active === 0, 'nothing runs')
    await own.stop()
  })

  it('stops the input of a request that is over, even if it waits', async () => {
    let stopped = false
    const [a] = await sessions({
      async *b() {
        return 'early'
      }
    })
    async function* input(): AsyncGenerator<unknown, void, void> {
      try {
        for (;;) {
          yield 1
          await new Promise((resolve) => setImmediate(resolve))
        }
      } finally {
        stopped = true
      }
    }
    assert.equal(await resultOf(a.request(null, { signal: never(), input: input() })), 'early')
    await until(() => stopped, 'the input ends')
  })

  it('fails a request whose input fails, with the error of the input', async () => {
    const [a, b] = await sessions({ b: echo })
    async function* input(): AsyncGenerator<unknown, void, void> {
      yield 1
      throw new MeshError('invalid_argument', 'bad input')
    }
    await assert.rejects(resultOf(a.request(null, { signal: never(), input: input() })), (error) =>
      isMeshError(error, 'invalid_argument')
    )
    await until(() => b.active === 0, 'cancelled there')
  })

  it('stays fair: a bulk stream of 64 MB does not hold up small calls', async () => {
    const [a] = await sessions({
      async *b({ body }) {
        if (body === 'bulk') for (let n = 0; n < 1_024; n++) yield new Uint8Array(64 * 1024)
        return body
      }
    })
    let bulkDone = false
    const bulk = resultOf(a.request('bulk', { signal: never() })).then(() => (bulkDone = true))
    const times: number[] = []
    while (!bulkDone) {
      const start = performance.now()
      await resultOf(a.request('small', { signal: never() }))
      times.push(performance.now() - start)
    }
    await bulk
    times.sort((x, y) => x - y)
    assert.ok(times.length >= 10, `only ${times.length} calls beside the stream`)
    assert.ok(times.at(-1)! < 1_000, `the slowest small call took ${times.at(-1)} ms`)
  })
})

describe('receive queue', () => {
  const budgets = (windows: number, excess: number) => ({
    windows: createWindowBudget(windows),
    excess: createWindowBudget(excess)
  })
  const fill = async (queue: ReturnType<typeof createReceiveQueue>, rounds: number): Promise<void> => {
    const reader = queue.read()
    for (let n = 0; n < rounds; n++) {
      queue.push(n, INITIAL_WINDOW_BYTES / 2)
      assert.equal((await reader.next()).value, n)
    }
  }

  it('grants what was read, and more while its reader keeps up, to a limit', async () => {
    const shared = budgets(64 * MIB, MIB)
    let granted = 0
    const queue = createReceiveQueue((bytes) => (granted += bytes), shared)
    await fill(queue, 500)
    const consumed = 500 * (INITIAL_WINDOW_BYTES / 2)
    const window = INITIAL_WINDOW_BYTES + granted - consumed
    assert.ok(window > MAX_WINDOW_BYTES / 2 && window <= MAX_WINDOW_BYTES, `${window}`)
  })

  it('shares one budget, and gives all of it back', async () => {
    const shared = budgets(INITIAL_WINDOW_BYTES * 3, MIB)
    const queues = Array.from({ length: 4 }, () => createReceiveQueue(() => undefined, shared))
    for (const queue of queues) await fill(queue, 100)
    assert.equal(shared.windows.take(INITIAL_WINDOW_BYTES), false)
    for (const queue of queues) {
      queue.dispose()
      queue.dispose()
    }
    assert.equal(shared.windows.take(INITIAL_WINDOW_BYTES * 3), true)
    assert.equal(shared.windows.take(1), false)
  })

  it('gives back what unread large items took, and takes nothing after it is over', async () => {
    const shared = budgets(MIB, MIB)
    const queue = createReceiveQueue(() => undefined, shared)
    queue.push('large', MIB)
    assert.equal(shared.excess.take(MIB / 2), false)
    queue.dispose()
    assert.equal(shared.excess.take(MIB), true)
    queue.push('late', MIB)
    await assert.rejects(queue.read().next(), (error) => isMeshError(error, 'cancelled'))
  })

  it('delivers what came before an error, then the error', async () => {
    const queue = createReceiveQueue(() => undefined, budgets(MIB, MIB))
    queue.push('a', 1)
    queue.fail(new MeshError('unavailable', 'gone'))
    queue.push('b', 1)
    const reader = queue.read()
    assert.equal((await reader.next()).value, 'a')
    await assert.rejects(reader.next(), (error) => isMeshError(error, 'unavailable'))
  })
})

describe('send credit', () => {
  it('lets one frame overshoot, then waits for credit that makes up for it', async () => {
    const credit = createSendCredit()
    credit.spend(INITIAL_WINDOW_BYTES + 100)
    assert.equal(credit.open, false)
    let through = false
    const waiting = credit.wait().then(() => (through = true))
    credit.add(100)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(through, false)
    credit.add(1)
    await waiting
    assert.equal(credit.open, true)
  })

  it('rejects who waits when it fails, and who comes later', async () => {
    const credit = createSendCredit()
    credit.spend(INITIAL_WINDOW_BYTES)
    const waiting = credit.wait()
    credit.fail(new MeshError('unavailable', 'gone'))
    await assert.rejects(waiting, (error) => isMeshError(error, 'unavailable'))
    await assert.rejects(credit.wait(), (error) => isMeshError(error, 'unavailable'))
  })
})
