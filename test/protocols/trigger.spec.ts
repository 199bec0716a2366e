import assert from 'node:assert/strict'
import { sha256 } from '@noble/hashes/sha2.js'
import { toString } from 'uint8arrays/to-string'
import { encodeCbor } from '../../protocols/cbor.ts'
import {
  MAX_PAYLOAD_PART,
  MAX_UNACCEPTED,
  MAX_UNACCEPTED_BYTES,
  PAYLOAD_TYPE,
  decodeAnswers,
  encodeDelivery,
  encodeEvent,
  encodeTriggerOpen,
  type Answers,
  type MeshEvent
} from '../../protocols/trigger/messages.ts'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { JsonObject } from '../../protocols/json.ts'
import { createInbox } from '../../src/core/triggers/inbox.ts'
import type { InboxEffect, InboxEvent } from '../../src/core/triggers/inbox-contract.ts'
import { QUEUE_ROOM } from '../../src/core/triggers/priority-queues.ts'
import { MAX_HANDLING_OF_NODE, createSeenEvents } from '../../src/core/triggers/seen-events.ts'
import { MeshError } from '../../src/errors.ts'
import type { EventFunction } from '../../src/mesh-api-events.ts'
import { createIncomingEvents, type IncomingEvents } from '../../src/mesh-triggers-in.ts'
import { createEventCopies } from '../../src/net/event-copies.ts'
import type { Session } from '../../src/net/session.ts'
import { MAX_FETCHES_PER_PEER, createPayloadServer, fetchPayload } from '../../src/net/trigger-fetch.ts'
import { createTriggerReader, type TriggerReader } from '../../src/net/trigger.ts'
import type { EventStore } from '../../src/triggers/event-store.ts'
import { MAX_PENDING_OF_NODE } from '../../src/triggers/payload-arrivals.ts'
import { createPayloadKeeper, type PayloadKeeper } from '../../src/triggers/payload-keeper.ts'
import { createPayloadMemory, notKept } from '../../src/triggers/payload-store.ts'
import { startPair, until, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const MESH = '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR'
const SOURCE = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const OTHER = '12D3KooWK4A4XRNyGTfYXU9v8iyF55ervunv25gm2gg6n61S8yr6'

const eventOf = (number: number, given: Partial<MeshEvent> = {}): MeshEvent => ({
  id: `1-${number}`,
  source: { mesh: MESH, node: SOURCE, capability: 'cam' },
  type: 'sensor.camera.person',
  sequence: { incarnation: 1, number },
  priority: 'normal',
  hopDepth: 0,
  intent: 'Somebody.',
  data: number,
  ...given
})
const deliveryOf = (
  number: number,
  given: { event?: Partial<MeshEvent>; bytes?: Uint8Array; handler?: string; ms?: number } = {}
): unknown =>
  encodeDelivery({
    number,
    handler: given.handler ?? 'guard',
    event: given.bytes ?? encodeEvent(eventOf(number, given.event)),
    remainingMs: given.ms ?? 60_000
  })

/** For nodes that nobody observes. */
const NOBODY = createEventCopies({ observerOf: () => () => true, own: () => [], onDropped: () => undefined, now: () => 0 })

/** A node of handlers, all but its connections. */
interface Side extends Pick<IncomingEvents, 'tick'> {
  fetch: (node: string, hash: string, signal: AbortSignal) => AsyncIterable<Uint8Array>
  reader: TriggerReader
  incoming: IncomingEvents
  handle: EventFunction
  declaration: CapabilityDeclaration
  admit: () => void
  now: number
}

async function* nothing(): AsyncGenerator<Uint8Array, void, void> {
  throw notKept()
}

function createSide(events?: EventStore): Side {
  const side: Partial<Side> & Pick<Side, 'now' | 'fetch'> = { now: 0, fetch: nothing }
  const incoming = createIncomingEvents({
    self: OTHER,
    fetch: (...given) => side.fetch(...given),
    own: () => [] as unknown as AsyncIterable<Uint8Array>,
    holdsOwn: () => false,
    membership: { mesh: MESH } as Parameters<typeof createIncomingEvents>[0]['membership'],
    events,
    local: (id) =>
      id === 'guard' && side.declaration !== undefined
        ? { declaration: side.declaration, handle: (event, context) => side.handle!(event, context) }
        : undefined,
    admit: () => side.admit!(),
    authorize: () => undefined,
    standingsOf: () => undefined,
    change: (work) => work(),
    now: () => side.now,
    log: () => undefined,
    count: () => undefined
  })
  const reader = createTriggerReader({
    mesh: MESH,
    takesEvents: () => side.declaration !== undefined,
    receive: incoming.receive,
    payload: nothing,
    observe: NOBODY.observe
  })
  return Object.assign(side, {
    reader,
    incoming,
    tick: incoming.tick,
    handle: () => undefined,
    admit: () => undefined,
    declaration: { id: 'guard', type: 'agent/guard', handles: {} }
  } satisfies Partial<Side>)
}

/** The source's end of an exchange, by hand. */
interface Exchange {
  send(...items: unknown[]): void
  end(): void
  /** All answers until now, as `0: done`. */
  readonly heard: string[]
  readonly answers: Answers[]
  /** How it ended. */
  readonly over: Promise<string>
}

function openExchange(session: Session): Exchange {
  const queue: unknown[] = []
  let ended = false
  let wake: (() => void) | undefined
  async function* input(): AsyncGenerator<unknown, void, void> {
    for (;;) {
      if (queue.length > 0) yield queue.shift()
      else if (ended) return
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const heard: string[] = []
  const answers: Answers[] = []
  async function run(): Promise<string> {
    const items = session.request(encodeTriggerOpen({ kind: 'deliver' }), {
      signal: new AbortController().signal,
      input: input()
    })
    try {
      for await (const item of items) {
        const one = decodeAnswers(item)
        answers.push(one)
        heard.push(...one.accepted.map((n) => `${n}: accepted`), ...one.done.map((n) => `${n}: done`))
        heard.push(...one.failed.map(({ number, code, retryable }) => `${number}: ${code}${retryable ? ', again' : ''}`))
      }
      return 'end'
    } catch (error) {
      return (error as MeshError).code
    }
  }
  const over = run()
  return {
    heard,
    answers,
    over,
    send(...items) {
      queue.push(...items)
      wake?.()
    },
    end() {
      ended = true
      wake?.()
    }
  }
}

protocolContract('trigger', () => ({
  protocol: createSide().reader.protocol,
  async good(session) {
    // The friend of the contract is another node each time: whoever it is, it is told about each delivery.
    const exchange = openExchange(session)
    exchange.send(deliveryOf(0))
    exchange.end()
    assert.equal(await exchange.over, 'end')
    assert.deepEqual(exchange.heard, ['0: permission_denied'])
  },
  request: encodeTriggerOpen({ kind: 'deliver' }),
  unknown: { o: 'shout' }
}))

describe('trigger protocol', () => {
  let pair: Pair
  let side: Side
  let session: Session
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())
  const connect = async (made: Side = createSide()): Promise<void> => {
    side = made
    ;[session] = await pair.sessions({ b: (exchange) => side.reader.protocol.handle(exchange, SOURCE) })
  }
  beforeEach(() => connect())
  afterEach(() => session.abort(new MeshError('cancelled', 'over')))
  /** Sends items in an exchange of their own. */
  const sent = async (...items: unknown[]): Promise<{ heard: string[]; over: string }> => {
    const exchange = openExchange(session)
    exchange.send(...items)
    exchange.end()
    return { over: await exchange.over, heard: exchange.heard }
  }

  it('rule 1: an open that is no open, and a node without handlers', async () => {
    await assert.rejects(
      session.request({ o: 'deliver it' }, { signal: new AbortController().signal }).next(),
      (error: MeshError) => error.code === 'protocol_error'
    )
    side.reader = createTriggerReader({
      mesh: MESH,
      takesEvents: () => false,
      receive: side.incoming.receive,
      payload: nothing,
      observe: NOBODY.observe
    })
    assert.deepEqual(await sent(deliveryOf(0)), { over: 'unsupported', heard: [] })
  })

  for (const [what, items] of [
    ['an item that is none', [deliveryOf(0), { n: 1 }]],
    ['a number twice', [deliveryOf(0), deliveryOf(0)]],
    ['a number that is left out', [deliveryOf(1)]],
    [
      'more than may be without an answer',
      // Of no priority more than one source finds places for.
      Array.from({ length: MAX_UNACCEPTED + 1 }, (_, n) =>
        deliveryOf(n, { event: { priority: n < 600 ? 'normal' : n < 900 ? 'high' : 'critical' } })
      )
    ],
    [
      'more bytes than may be without an answer',
      Array.from({ length: MAX_UNACCEPTED_BYTES / 50_000 + 1 }, (_, n) => deliveryOf(n, { event: { data: 'x'.repeat(50_000) } }))
    ]
  ] as [string, unknown[]][]) {
    it(`rule 2: ${what} ends the exchange`, async () => {
      side.handle = () => new Promise(() => undefined)
      const { over } = await sent(...items)
      assert.equal(over, 'protocol_error')
    })
  }

  it('rules 3 to 5, 8 and 9: each is the answer to one delivery, and the next is handled', async () => {
    const got: unknown[] = []
    side.handle = ({ payload }) => void got.push(payload)
    const exchange = openExchange(session)
    const told = async (item: unknown): Promise<string | undefined> => {
      const before = exchange.heard.length
      exchange.send(item)
      await until(() => exchange.heard.length > before, 'an answer')
      return exchange.heard[before]
    }
    assert.equal(await told(deliveryOf(0, { bytes: Uint8Array.of(0xa0) })), '0: protocol_error')
    const forged = { mesh: MESH, node: OTHER, capability: 'cam' }
    assert.equal(await told(deliveryOf(1, { event: { source: forged } })), '1: permission_denied')
    assert.equal(
      await told(deliveryOf(2, { event: { source: { ...forged, node: SOURCE, mesh: OTHER } } })),
      '2: permission_denied'
    )
    assert.equal(await told(deliveryOf(3, { handler: 'nobody' })), '3: unknown_capability, again')
    side.declaration.status = 'offline'
    assert.equal(await told(deliveryOf(4)), '4: unavailable, again')
    delete side.declaration.status
    side.admit = () => {
      throw new MeshError('permission_denied', 'not you', { reason: 'policy' })
    }
    assert.equal(await told(deliveryOf(5)), '5: permission_denied, again')
    side.admit = () => undefined
    assert.equal(await told(deliveryOf(6)), '6: done')
    assert.deepEqual(got, [6])
    await side.incoming.stop()
    assert.equal(await told(deliveryOf(7)), '7: unavailable, again')
    exchange.end()
    assert.equal(await exchange.over, 'end')
  })

  it('rule 6: what comes again is answered as it was, and not handled again, over any exchange', async () => {
    let finish: (() => void) | undefined
    let count = 0
    side.handle = () => {
      count++
      return new Promise<void>((resolve) => (finish = resolve))
    }
    const first = openExchange(session)
    first.send(deliveryOf(0))
    await until(() => count === 1, 'it begins')
    const second = openExchange(session)
    second.send(deliveryOf(0), deliveryOf(1, { event: { id: '1-0' } }))
    assert.equal(await first.over, 'cancelled')
    await session.ping()
    assert.deepEqual(second.heard, [], 'without a place to keep it nothing is said until it is done')
    finish!()
    await until(() => second.heard.length > 0, 'done')
    second.send(deliveryOf(2, { event: { id: '1-0' } }))
    await until(() => second.heard.length > 1, 'again')
    assert.deepEqual(second.heard, ['1: done', '2: done'])
    assert.equal(count, 1)
  })

  it('rules 9 and 10: no room, or too often, is busy, with a time', async () => {
    side.handle = () => new Promise(() => undefined)
    const exchange = openExchange(session)
    side.admit = () => {
      throw new MeshError('busy', 'too often', { retryAfterMs: 700 })
    }
    exchange.send(deliveryOf(0))
    await until(() => exchange.heard.length === 1, 'an answer')
    side.admit = () => undefined
    assert.deepEqual([exchange.answers[0]?.failed[0]?.code, exchange.answers[0]?.failed[0]?.retryAfterMs], ['busy', 700])
    const room = QUEUE_ROOM.critical
    // Some are being handled; the queue of critical ones is smaller than what may be without an answer.
    for (let n = 1; n <= room + 20; n++) exchange.send(deliveryOf(n, { event: { priority: 'critical' } }))
    await until(() => exchange.heard.length > 1, 'one finds no room')
    const busy = exchange.answers.flatMap(({ failed }) => failed).slice(1)
    assert.ok(
      busy.length > 0 && busy.every(({ code, retryable, retryAfterMs }) => code === 'busy' && retryable && retryAfterMs > 0)
    )
  })

  it('rule 7: of one node so many are accepted and not done', () => {
    const effects: InboxEffect<InboxEvent, number>[] = []
    const seen = createSeenEvents()
    for (let n = 0; n < MAX_HANDLING_OF_NODE; n++) seen.begin(SOURCE, `guard 1-${n}`, 0)
    const inbox = createInbox<InboxEvent, number>({ seen, isOrdered: () => false, emit: (effect) => effects.push(effect) })
    inbox.receive(
      {
        node: SOURCE,
        id: '2-1',
        handler: 'guard',
        priority: 'high',
        bytes: 1,
        of: '',
        sequence: { incarnation: 2, number: 1 },
        expiresAt: 9
      },
      0,
      0
    )
    assert.deepEqual(
      effects.map((effect) => (effect.kind === 'answer' && typeof effect.answer === 'object' ? effect.answer.code : effect.kind)),
      ['busy']
    )
  })

  it('rule 11: accepted once it is kept, then handled; what waited too long is not', async () => {
    const kept: (() => void)[] = []
    const log = { initial: [], onCompact: () => undefined, append: () => new Promise<void>((resolve) => kept.push(resolve)) }
    const payloads = createPayloadMemory()
    await connect(createSide({ inbox: log, outbox: log, inboxPayloads: payloads, outboxPayloads: payloads }))
    const finish: (() => void)[] = []
    side.handle = () => new Promise<void>((resolve) => finish.push(resolve))
    const exchange = openExchange(session)
    for (let n = 0; n < 9; n++) exchange.send(deliveryOf(n, { ms: 1_000 }))
    await until(() => kept.length === 9 && finish.length === 8, 'all are written, and eight begin')
    assert.equal(exchange.heard.length, 0)
    kept.forEach((resolve) => resolve())
    await until(() => exchange.heard.length === 9, 'accepted')
    assert.ok(exchange.heard.every((one) => one.endsWith('accepted')))
    side.now = 1_500
    finish[0]!()
    await until(() => exchange.heard.length === 11, 'done, and over')
    assert.deepEqual(exchange.heard.slice(9).sort(), ['0: done', '8: deadline_exceeded'])
  })

  describe('what was accepted before a restart', () => {
    /** A log that is there again in another node. */
    const records: JsonObject[] = []
    const restart = (): Side => {
      const log = {
        initial: [...records],
        onCompact: () => undefined,
        append: async (record: JsonObject) => void records.push(record)
      }
      const payloads = createPayloadMemory()
      const outbox = { ...log, initial: [], append: async () => undefined }
      return createSide({ inbox: log, outbox, inboxPayloads: payloads, outboxPayloads: payloads })
    }
    beforeEach(async () => {
      records.length = 0
      await connect(restart())
      side.handle = () => new Promise(() => undefined)
      const exchange = openExchange(session)
      exchange.send(deliveryOf(0, { ms: 86_400_000 }))
      await until(() => exchange.heard.length === 1, 'accepted')
    })

    it('waits for its capability, however late that comes', async () => {
      const again = restart()
      const { declaration } = again
      Object.assign(again, { declaration: undefined, now: 0 })
      again.incoming.changed()
      again.now = 3_600_000
      again.tick(again.now)
      const got: string[] = []
      Object.assign(again, { declaration, handle: ({ id }: { id: string }) => void got.push(id) })
      again.incoming.changed()
      await until(() => got.length === 1, 'it is handled')
      assert.deepEqual(got, ['1-0'])
      await until(() => records.at(-1)?.['settled'] === 'done', 'it is over')
    })

    it('is tried again here when it fails, since nobody hears it, and is recorded as failed when its time is over', async () => {
      const again = restart()
      let tries = 0
      again.handle = () => {
        tries++
        throw new Error('no arms')
      }
      again.incoming.changed()
      await until(() => tries === 1, 'it fails')
      const count = records.length
      await until(() => again.incoming.nextAt > again.now, 'it waits')
      again.tick((again.now = again.incoming.nextAt))
      await until(() => tries === 2, 'it is tried again')
      assert.equal(records.length, count, 'it is on disk all the time')
      await until(() => again.incoming.nextAt > again.now, 'it waits again')
      again.tick((again.now = 86_400_001))
      await until(() => records.length > count, 'it is over')
      assert.deepEqual([records.at(-1)?.['k'], records.at(-1)?.['settled'], tries], ['release', 'failed', 2])
    })

    it('is forgotten neither by a stop while it is handled', async () => {
      const [again, count] = [restart(), records.length]
      let begun = false
      again.handle = (_, { signal }) => {
        begun = true
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      }
      again.incoming.changed()
      await until(() => begun, 'it begins')
      await again.incoming.stop()
      assert.equal(records.length, count)
    })
  })

  it('rule 12: what the capability throws, and whether it may be tried again', async () => {
    const errors = [
      new Error('no arms'),
      new MeshError('invalid_argument', 'no such door'),
      new MeshError('unavailable', 'later', { retryAfterMs: 5 }),
      new MeshError('tool_failed', 'never', { retryable: false })
    ]
    side.handle = ({ payload }) => {
      throw errors[payload as number]!
    }
    const { heard, over } = await sent(...errors.map((_, n) => deliveryOf(n)))
    assert.equal(over, 'end')
    assert.deepEqual(heard.sort(), ['0: tool_failed, again', '1: invalid_argument', '2: unavailable, again', '3: tool_failed'])
  })

  it('low ones are accepted at once', async () => {
    side.handle = () => new Promise(() => undefined)
    const exchange = openExchange(session)
    exchange.send(deliveryOf(0, { event: { priority: 'low' } }))
    await until(() => exchange.heard.length === 1, 'accepted')
    assert.deepEqual(exchange.heard, ['0: accepted'])
  })

  it('who ends its side hears the rest; who is gone leaves nothing running', async () => {
    let finish: (() => void) | undefined
    side.handle = () => new Promise<void>((resolve) => (finish = resolve))
    const exchange = openExchange(session)
    exchange.send(deliveryOf(0))
    exchange.end()
    await until(() => finish !== undefined, 'it begins')
    finish!()
    assert.equal(await exchange.over, 'end')
    assert.deepEqual(exchange.heard, ['0: done'])
    finish = undefined
    const next = openExchange(session)
    next.send(deliveryOf(0, { event: { id: '1-9' } }))
    await until(() => finish !== undefined, 'another begins')
    side.reader.stop()
    assert.equal(await next.over, 'unavailable')
    assert.equal(session.active, 0)
    assert.equal((await sent(deliveryOf(0))).over, 'unavailable')
  })

  describe('payloads by reference', () => {
    const payload = { log: 'x'.repeat(200_000) }
    const bytes = encodeCbor(payload)
    const hash = toString(sha256(bytes), 'base16')
    const event: Partial<MeshEvent> = { data: null, dataRef: { hash, size: bytes.length }, dataContentType: PAYLOAD_TYPE }
    let keeper: PayloadKeeper
    let served: string[]
    let got: unknown[]
    beforeEach(async () => {
      served = []
      got = []
      keeper = createPayloadKeeper(createPayloadMemory(), (id, handler) => void served.push(`${id} ${handler}`))
      assert.ok(keeper.hold('1-0', { hash, size: bytes.length }, bytes))
      await connect()
      const made = side
      made.reader = createTriggerReader({
        mesh: MESH,
        takesEvents: () => true,
        receive: made.incoming.receive,
        // What this session asks the other side for: both ends are of this process.
        payload: keeper.read,
        observe: NOBODY.observe
      })
      made.fetch = (_, wanted, signal) => fetchPayload(async () => session, wanted, signal)
      made.handle = ({ payload: whole }) => void got.push(whole)
    })
    const asked = (wanted = hash): AsyncGenerator<Uint8Array, void, void> =>
      fetchPayload(async () => session, wanted, new AbortController().signal)

    it('come before the event is handled, in parts, and the handler sees them as any other', async () => {
      keeper.sent('1-0', 'guard', SOURCE)
      const { heard, over } = await sent(deliveryOf(0, { event }))
      assert.deepEqual([over, heard], ['end', ['0: done']])
      assert.deepEqual(got, [payload])
      assert.equal(served.length, Math.ceil(bytes.length / MAX_PAYLOAD_PART))
      assert.ok(served.every((one) => one === '1-0 guard'))
    })

    it('go to nobody to whom no event with it was sent, and to nobody once it is over', async () => {
      const unavailable = (error: MeshError): boolean => error.code === 'unavailable'
      await assert.rejects(asked().next(), unavailable)
      keeper.sent('1-0', 'guard', OTHER)
      await assert.rejects(asked().next(), unavailable)
      keeper.sent('1-0', 'guard', SOURCE)
      await assert.rejects(asked('00'.repeat(32)).next(), unavailable)
      assert.equal((await asked().next()).value!.length, MAX_PAYLOAD_PART)
      keeper.release('1-0')
      await assert.rejects(asked().next(), unavailable)
    })

    it('what is over while a slow reader is at it ends for it, too', async () => {
      keeper.sent('1-0', 'guard', SOURCE)
      const parts = keeper.read(hash, SOURCE)
      await parts.next()
      keeper.release('1-0')
      await assert.rejects(parts.next(), (error: MeshError) => error.code === 'unavailable')
    })

    it('who asks for many at once is told to wait, and others are not', async () => {
      const serve = createPayloadServer(async function* () {
        yield new Uint8Array(1)
        await new Promise(() => undefined)
      })
      const ask = (peer: string): Promise<unknown> => serve(new Uint8Array(32), peer).next()
      for (let n = 0; n < MAX_FETCHES_PER_PEER; n++) await ask(SOURCE)
      await assert.rejects(ask(SOURCE), (error: MeshError) => error.code === 'busy')
      await ask(OTHER)
    })

    for (const [what, parts, answer] of [
      ['less than it says', [bytes.subarray(0, 60_000)], 'protocol_error'],
      ['more than it says', [bytes.subarray(0, 60_000), bytes], 'protocol_error'],
      ['something else', [new Uint8Array(60_000), bytes.subarray(60_000)], 'protocol_error'],
      ['nothing any more', [], 'unavailable, again']
    ] as const) {
      it(`a source that has ${what}: the event fails, and is not handled`, async () => {
        side.fetch = async function* () {
          if (parts.length === 0) throw notKept()
          yield* parts
        }
        const { heard } = await sent(deliveryOf(0, { event }))
        assert.deepEqual([heard, got], [[`0: ${answer}`], []])
      })
    }

    it('of another type, or that cannot be read, it fails as well', async () => {
      const { heard } = await sent(deliveryOf(0, { event: { ...event, dataContentType: 'video/mp4' } }))
      assert.deepEqual(heard, ['0: unsupported, again'])
      const bad = new Uint8Array(70_000).fill(0xff)
      side.fetch = async function* () {
        yield bad
      }
      const dataRef = { hash: toString(sha256(bad), 'base16'), size: bad.length }
      assert.deepEqual((await sent(deliveryOf(0, { event: { ...event, id: '1-9', dataRef } }))).heard, ['0: protocol_error'])
      assert.deepEqual(got, [])
    })

    it('a source that sends nothing fails after a time', async () => {
      // A way for deliveries takes them, and answers none.
      const silent: Pick<Session, 'request'> = {
        request: (_, { signal }) => session.request(encodeTriggerOpen({ kind: 'deliver' }), { signal, input: endless() })
      }
      const signal = new AbortController().signal
      await assert.rejects(
        fetchPayload(async () => silent, hash, signal, 30).next(),
        (error: MeshError) => error.code === 'unavailable'
      )
    })

    async function* endless(): AsyncGenerator<unknown> {
      await new Promise(() => undefined)
      yield null
    }

    it('nor does one that cannot be reached, or who stops, hold anything', async () => {
      const never = (): Promise<Session> => new Promise(() => undefined)
      const code = async (signal: AbortSignal): Promise<string> =>
        fetchPayload(never, hash, signal, 30)
          .next()
          .then(
            () => 'a part',
            (error: MeshError) => error.code
          )
      assert.equal(await code(new AbortController().signal), 'unavailable')
      assert.equal(await code(AbortSignal.abort(new MeshError('cancelled', 'over'))), 'cancelled')
    })

    it('a source of which many payloads do not come is told to wait, and others are handled meanwhile', async () => {
      side.fetch = async function* () {
        await new Promise(() => undefined)
        yield new Uint8Array(1)
      }
      const exchange = openExchange(session)
      for (let n = 0; n <= MAX_PENDING_OF_NODE; n++)
        exchange.send(deliveryOf(n, { event: { ...event, dataRef: { hash: String(n).padStart(64, '0'), size: 1 } } }))
      exchange.send(deliveryOf(MAX_PENDING_OF_NODE + 1))
      await until(() => exchange.heard.length === 2, 'the last ones')
      assert.deepEqual(
        exchange.heard.map((one) => one.replace(/^\d+: /, '')),
        ['busy, again', 'done']
      )
      assert.deepEqual(got, [MAX_PENDING_OF_NODE + 1])
    })

    it('a second event with it does not fetch it again while the first is not over', async () => {
      keeper.sent('1-0', 'guard', SOURCE)
      let finish: (() => void) | undefined
      side.handle = ({ payload: whole }) => {
        got.push(whole)
        return finish === undefined ? new Promise<void>((resolve) => (finish = resolve)) : undefined
      }
      const exchange = openExchange(session)
      exchange.send(deliveryOf(0, { event }))
      await until(() => got.length === 1, 'the first')
      const before = served.length
      exchange.send(deliveryOf(1, { event: { ...event, id: '1-1' } }))
      await until(() => got.length === 2, 'the second')
      assert.equal(served.length, before)
      finish!()
      exchange.end()
      assert.equal(await exchange.over, 'end')
      assert.deepEqual(got, [payload, payload])
    })
  })
})
