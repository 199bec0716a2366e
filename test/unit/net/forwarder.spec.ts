import assert from 'node:assert/strict'
import { mock } from 'node:test'
import {
  CIRCUIT_ID_BYTES,
  MAX_FORWARD_BYTES,
  encodeForwardReply,
  encodeForwardRequest,
  type ForwardRequest
} from '../../../protocols/forward/messages.ts'
import { Cancellation } from '../../../src/core/cancellation.ts'
import { originBytes } from '../../../src/core/document.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { CIRCUIT_IDLE_MS, FINISH_WITHIN_MS, FORWARD_RATE } from '../../../src/net/circuit-watch.ts'
import {
  FARTHEST,
  MAX_CIRCUITS,
  MAX_CIRCUITS_PER_NEIGHBOUR,
  MAX_CIRCUITS_PER_WAY,
  createForwarder,
  type Forwarder
} from '../../../src/net/forwarder.ts'
import type { Session } from '../../../src/net/session.ts'

const SELF = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const SOURCE = '12D3KooWJPxFDQJFJ6RkLDd4zHGCKMtx6hAbK3FB1gRThSXyPaan'
const FAR = '12D3KooW9pNAk8aiBuGVQtWRdbkLmo5qVL3e2h5UxbN2Nz9ttwiw'

/** A circuit as it is at the forwarder. */
interface Held {
  cancellation: Cancellation
  replies: AsyncGenerator<unknown, unknown, void>
  /** Of the source. */
  send(bytes: Uint8Array): void
}

describe('forwarder', () => {
  let time: number
  let forwarder: Forwarder
  let ways: number
  let looked: number
  /** What the next hop was given, and what it answers. */
  let given: AsyncIterator<unknown>[]
  let answers: (signal: AbortSignal) => AsyncGenerator<unknown, unknown, void>
  let held: Held[]
  beforeEach(() => {
    ways = 1
    mock.timers.enable({ apis: ['setTimeout'] })
    ;[time, looked, given, held] = [1_000_000, 0, [], []]
    answers = pathThen()
    forwarder = createForwarder({
      self: SELF,
      sessions: {
        get: async () =>
          ({
            request(_body: unknown, { signal, input }: { signal: AbortSignal; input?: AsyncIterable<unknown> }) {
              if (input !== undefined) given.push(input[Symbol.asyncIterator]())
              return answers(signal)
            }
          }) as unknown as Session
      },
      hopTo(node) {
        looked++
        // Each neighbour has a way of its own now and then: what goes one way is bounded by itself.
        const peer = ways > 1 ? `next ${looked % ways}` : 'next'
        return node === FAR ? { peer, hops: 2, metric: 20, linkMetric: 10, potential: { ...FARTHEST, metric: 20 } } : undefined
      },
      mayForward: () => true,
      came: () => undefined,
      async *accept(_request, incoming) {
        yield* incoming
      },
      now: () => time,
      count: () => undefined
    })
  })
  afterEach('leaves no circuit behind', async () => {
    for (const { cancellation } of held) cancellation.abort(new MeshError('cancelled', 'over'))
    for (const { replies } of held) await replies.return(undefined)
    assert.equal(forwarder.circuits, 0)
    mock.timers.reset()
  })

  /** The path, some bytes, and then nothing until it is cancelled. */
  function pathThen(...items: Uint8Array[]): typeof answers {
    return async function* (signal) {
      yield encodeForwardReply({ kind: 'path', nodes: [originBytes(FAR)] })
      yield* items
      await aborted(signal)
    }
  }
  const aborted = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      const onAbort = (): void => reject(signal.reason as Error)
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  /** Lets time pass, for clocks and timers. */
  async function pass(ms: number): Promise<void> {
    time += ms
    mock.timers.tick(ms)
    await settled()
  }

  function open(neighbour: string, change: Partial<ForwardRequest> = {}): Held {
    const cancellation = new Cancellation()
    const waiting: Uint8Array[] = []
    let wake: (() => void) | undefined
    let over: MeshError | undefined
    cancellation.onAbort((reason) => {
      over = reason
      wake?.()
    })
    async function* input(): AsyncGenerator<unknown, void, void> {
      for (;;) {
        for (let bytes = waiting.shift(); bytes !== undefined; bytes = waiting.shift()) yield bytes
        if (over !== undefined) throw over
        await new Promise<void>((resolve) => (wake = resolve))
      }
    }
    const body = encodeForwardRequest({
      destination: originBytes(FAR),
      source: originBytes(SOURCE),
      circuit: crypto.getRandomValues(new Uint8Array(CIRCUIT_ID_BYTES)),
      ttl: 9,
      potential: FARTHEST,
      trace: false,
      ...change
    })
    const { signal } = cancellation
    const one: Held = {
      cancellation,
      replies: forwarder.protocol.handle({ body, input: input(), cancellation, signal }, neighbour),
      send(bytes) {
        waiting.push(bytes)
        wake?.()
      }
    }
    held.push(one)
    return one
  }

  /** Opens one, up to its path. */
  async function opened(neighbour: string, change: Partial<ForwardRequest> = {}): Promise<Held> {
    const one = open(neighbour, change)
    const { value } = await one.replies.next()
    assert.ok('p' in (value as object))
    return one
  }

  async function codeOf(step: Promise<unknown>): Promise<string> {
    try {
      await step
    } catch (error) {
      if (isMeshError(error)) return error.code
    }
    return assert.fail('no error')
  }

  it(`has ${MAX_CIRCUITS} circuits at once, whoever opens them, and looks for no way for one more`, async () => {
    ways = 4
    for (let n = 0; n < MAX_CIRCUITS; n++) await opened(`neighbour ${Math.floor(n / MAX_CIRCUITS_PER_NEIGHBOUR)}`)
    const before = looked
    assert.equal(await codeOf(open('another').replies.next()), 'busy')
    assert.deepEqual([looked, forwarder.circuits], [before, MAX_CIRCUITS])
    held[0]!.cancellation.abort(new MeshError('cancelled', 'over'))
    await held[0]!.replies.return(undefined)
    await opened('another')
  })

  it(`sends ${MAX_CIRCUITS_PER_WAY} of a neighbour one way, so that it leaves room for others there`, async () => {
    for (let n = 0; n < MAX_CIRCUITS_PER_WAY; n++) await opened('one')
    assert.equal(await codeOf(open('one').replies.next()), 'busy')
    await opened('other')
  })

  it('ends a circuit over which nothing goes for long, in either direction, and no other', async () => {
    const [idle, sends, hears] = [await opened('a'), await opened('b'), await opened('c', { destination: originBytes(SELF) })]
    const [, toNext] = given
    for (let n = 0; n < 4; n++) {
      await pass(CIRCUIT_IDLE_MS / 2 - 1)
      sends.send(Uint8Array.of(n))
      assert.equal((await toNext!.next()).done, false)
      // What goes to this node itself counts as well.
      hears.send(Uint8Array.of(n))
      assert.equal((await hears.replies.next()).done, false)
      assert.equal(idle.cancellation.aborted, n >= 2, `after ${n + 1} halves`)
    }
    assert.equal(idle.cancellation.reason?.code, 'unavailable')
    assert.match(idle.cancellation.reason.message, /nothing went over this circuit/)
    assert.deepEqual([sends.cancellation.aborted, hears.cancellation.aborted], [false, false])
    await pass(CIRCUIT_IDLE_MS)
    assert.deepEqual([sends.cancellation.aborted, hears.cancellation.aborted], [true, true])
  })

  it('passes on what a neighbour may in a time, both ways counted; the rest waits, and that of others does not', async () => {
    const item = new Uint8Array(MAX_FORWARD_BYTES)
    const items = FORWARD_RATE.burst / MAX_FORWARD_BYTES
    answers = pathThen(...new Array<Uint8Array>(items).fill(item))
    const one = await opened('a')
    const [toNext] = given
    /** Takes one, if it comes without time passing. */
    const take = async (from: AsyncIterator<unknown>): Promise<boolean> => {
      let came = false
      void from.next().then(({ done }) => (came = done !== true))
      await settled()
      return came
    }
    // Each is passed on before it is counted: so one more each way.
    for (let n = 0; n <= items / 2; n++) {
      one.send(item)
      assert.deepEqual([await take(toNext!), await take(one.replies)], [true, true], `${n}`)
    }
    one.send(item)
    let came = 0
    for (const from of [toNext!, one.replies]) void from.next().then(() => came++)
    await settled()
    assert.equal(came, 0)
    const other = await opened('b')
    assert.equal(await take(other.replies), true)
    await pass(Math.ceil((1_000 * MAX_FORWARD_BYTES) / FORWARD_RATE.perSecond))
    assert.equal(came, 1)
    await pass(1_000)
    assert.equal(came, 2)
  })

  it('takes none while it stops; ends the idle ones at once, others when nothing goes over them, or the time is over', async () => {
    const [idle, pauses, goesOn] = [await opened('a'), await opened('b'), await opened('c')]
    for (const { cancellation, replies } of [idle, pauses, goesOn])
      cancellation.onAbort(() => void replies.next().catch(() => undefined))
    await pass(1_000)
    let stopped = false
    const [, toPauses, toGoesOn] = given
    const use = async (one: Held, next: AsyncIterator<unknown>): Promise<void> => {
      one.send(Uint8Array.of(1))
      await next.next()
    }
    await use(pauses, toPauses!)
    await use(goesOn, toGoesOn!)
    void forwarder.stop().then(() => (stopped = true))
    await settled()
    assert.deepEqual(
      [idle, pauses, goesOn].map(({ cancellation }) => cancellation.aborted),
      [true, false, false]
    )
    assert.equal(await codeOf(open('a').replies.next()), 'unavailable')
    for (let ms = 0; ms < FINISH_WITHIN_MS; ms += 50) {
      await use(goesOn, toGoesOn!)
      assert.deepEqual([goesOn.cancellation.aborted, stopped], [false, false])
      await pass(50)
    }
    assert.equal(pauses.cancellation.aborted, true)
    await pass(50)
    assert.equal(goesOn.cancellation.reason?.code, 'unavailable')
    await pass(50)
    assert.equal(stopped, true)
  })
})
