import assert from 'node:assert/strict'
import {
  MAX_BYTES_PER_ITEM,
  MAX_INPUT_BYTES,
  decodeRequest,
  encodeItem,
  encodeRequest,
  type CallRequest
} from '../../protocols/call/messages.ts'
import { MAX_VALUES, encodeCbor } from '../../protocols/cbor.ts'
import type { JsonValue } from '../../protocols/json.ts'
import { createProvider } from '../../src/calls/provider.ts'
import { createReplays } from '../../src/calls/replay.ts'
import { createToolLoad } from '../../src/calls/tool-load.ts'
import { createAdmission } from '../../src/core/admission.ts'
import type { Invoke, Item, Load, LoadQuestion, ToolRequest } from '../../src/core/invoke.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { callOver, createCallProtocol } from '../../src/net/call.ts'
import { LONG_INPUT_CHARACTERS, LongInputs, piecesOf } from '../../src/net/long-input.ts'
import { startPair, until, within, type Pair } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const provider: Invoke = async function* (request, { signal }): AsyncGenerator<Item, void, void> {
  switch (request.tool) {
    case 'hold':
      await new Promise<void>((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
      )
      return
    case 'stream':
      for await (const item of request.stream ?? []) yield item
      yield { kind: 'result', value: 'over' }
      return
    case 'bulk':
      yield { kind: 'bytes', bytes: new Uint8Array(1_000_000).fill(7) }
      return
    default:
      yield { kind: 'progress', progress: { done: 1, total: 2, message: 'half' } }
      yield { kind: 'result', value: request.input }
  }
}
const request = (change: Partial<ToolRequest> = {}): ToolRequest => ({
  capability: 'c',
  tool: 'echo',
  input: { text: 'x'.repeat(1_000) },
  caller: '',
  ...change
})
const asked = (): CallRequest => ({ capability: request().capability, tool: request().tool, input: request().input })
const never = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })
async function read(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

protocolContract('call', () => ({
  protocol: createCallProtocol(provider),
  async good(session) {
    const items = await read(callOver(session)(request(), never()))
    assert.deepEqual(items.at(-1), { kind: 'result', value: request().input })
  },
  request: encodeRequest(asked()),
  holding: encodeRequest({ ...asked(), tool: 'hold' }),
  unknown: { c: 1, t: null }
}))

describe('call protocol', () => {
  let pair: Pair
  before(async () => (pair = await startPair()))
  after(async () => pair.stop())
  const over = async (serve: Invoke): Promise<{ call: Invoke; stop(): void }> => {
    const protocol = createCallProtocol(serve)
    const [a] = await pair.sessions({ b: (exchange) => protocol.handle(exchange, 'the caller') })
    return { call: callOver(a), stop: () => a.abort(new MeshError('cancelled', 'over')) }
  }

  it('carries everything of a request, with the verified caller and nothing that it claims', async () => {
    let seen: ToolRequest | undefined
    const { call, stop } = await over(async function* (incoming) {
      seen = incoming
      yield { kind: 'result', value: null }
    })
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    const causes = [
      '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR',
      '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
    ]
    await read(call(request({ caller: 'someone else', remainingMs: 1_234.9, idempotencyKey: 'k', traceparent, causes }), never()))
    assert.deepEqual(
      { ...seen, stream: undefined },
      {
        ...request(),
        caller: 'the caller',
        remainingMs: 1_234,
        idempotencyKey: 'k',
        traceparent,
        causes,
        keepInput: undefined,
        stream: undefined,
        question: undefined,
        elsewhere: undefined
      }
    )
    stop()
  })

  it('streams items both ways, in order', async () => {
    const { call, stop } = await over(provider)
    const sent: Item[] = [
      { kind: 'json', value: [1] },
      { kind: 'bytes', bytes: Uint8Array.of(1) },
      { kind: 'progress', progress: { done: 0.5 } }
    ]
    async function* stream(): AsyncGenerator<Item, void, void> {
      yield* sent
    }
    const got = await read(call(request({ tool: 'stream', stream: stream() }), never()))
    assert.deepEqual(
      got.map((item) => (item.kind === 'bytes' ? { ...item, bytes: [...item.bytes] } : item)),
      [sent[0], { kind: 'bytes', bytes: [1] }, sent[2], { kind: 'result', value: 'over' }]
    )
    stop()
  })

  it('cuts large bytes into items, and loses none', async () => {
    const { call, stop } = await over(provider)
    const items = await read(call(request({ tool: 'bulk' }), never()))
    const sizes = items.flatMap((item) => (item.kind === 'bytes' ? [item.bytes.length] : []))
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      1_000_000
    )
    assert.ok(Math.max(...sizes) <= 64 * 1024)
    assert.deepEqual(items.at(-1), { kind: 'result', value: null })
    stop()
  })

  describe('an input that is too long for its open frame', () => {
    const bytesOf = (value: unknown): Uint8Array => encodeCbor(value)
    const long = { text: 'x'.repeat(6_000_000), image: 'ä🦙'.repeat(500_000), list: [1, null, { deep: true }] }

    it('goes after it, with all else of the call', async () => {
      let seen: ToolRequest | undefined
      const { call, stop } = await over(async function* (incoming) {
        if (incoming.ahead === true) return
        seen = incoming
        yield { kind: 'result', value: (incoming.input as typeof long).text.length }
      })
      const items = await read(call(request({ input: long, remainingMs: 60_000, idempotencyKey: 'k' }), never()))
      assert.deepEqual(items, [{ kind: 'result', value: 6_000_000 }])
      assert.deepEqual(seen?.input, long)
      assert.deepEqual([seen?.stream, seen?.idempotencyKey, seen?.caller], [undefined, 'k', 'the caller'])
      assert.ok(seen.remainingMs! > 0 && seen.remainingMs! < 60_000)
      stop()
    })

    it('over its limit is refused by the caller', async () => {
      const { call, stop } = await over(provider)
      const input = 'x'.repeat(MAX_INPUT_BYTES)
      assert.throws(
        () => call(request({ input }), never()),
        (error) => isMeshError(error, 'too_large') && error.details['limit'] === MAX_INPUT_BYTES
      )
      stop()
    })

    const LISTS: [what: string, valuesOf: (count: number) => JsonValue][] = [
      ['numbers', (count) => Array.from({ length: count - 1 }, (_, n) => n % 20)],
      ['empty texts', (count) => Array.from({ length: count - 1 }, () => '')],
      ['keys', (count) => Object.fromEntries(Array.from({ length: (count - 2) / 2 }, (_, n) => [n.toString(36), null]))]
    ]
    for (const [what, valuesOf] of LISTS)
      it(`of many ${what} comes whole, or is refused by the caller that has too many`, async () => {
        const { call, stop } = await over(async function* ({ ahead }) {
          if (ahead !== true) yield { kind: 'result', value: true }
        })
        for (const count of [200_000, MAX_VALUES])
          assert.deepEqual(await read(call(request({ input: valuesOf(count) }), never())), [{ kind: 'result', value: true }])
        for (const stream of [undefined, (async function* (): AsyncGenerator<Item, void, void> {})()])
          assert.throws(
            () => call(request({ input: valuesOf(MAX_VALUES + 2), ...(stream && { stream }) }), never()),
            (error) => isMeshError(error, 'too_large') && error.details['limit'] === MAX_VALUES
          )
        stop()
      })

    const encoded = bytesOf({ a: 1 })
    const piece = (bytes: Uint8Array): unknown => encodeItem({ kind: 'bytes', bytes })
    const WRONG: [what: string, length: number, pieces: unknown[] | undefined][] = [
      ['shorter than announced', encoded.length + 1, [piece(encoded)]],
      ['longer than announced', encoded.length - 1, [piece(encoded)]],
      ['not sent', encoded.length, undefined],
      ['no bytes', encoded.length, [encodeItem({ kind: 'json', value: {} })]],
      ['no CBOR', 3, [piece(Uint8Array.of(0xff, 0xff, 0xff))]],
      ['no JSON', bytesOf(encoded).length, [piece(bytesOf(encoded))]],
      ['in tiny pieces', encoded.length, [...encoded].map((byte) => piece(Uint8Array.of(byte)))],
      ['with an empty piece before it', encoded.length, [piece(new Uint8Array()), piece(encoded)]],
      ['with an empty piece after it', encoded.length, [piece(encoded), piece(new Uint8Array())]]
    ]
    for (const [what, inputBytes, pieces] of WRONG)
      it(`${what} is protocol_error, and runs nothing`, async () => {
        let ran = 0
        const protocol = createCallProtocol(async function* ({ ahead }) {
          if (ahead === true) return
          ran++
          yield { kind: 'result', value: null }
        })
        const [a] = await pair.sessions({ b: (exchange) => protocol.handle(exchange, 'the caller') })
        async function* sent(): AsyncGenerator<unknown, void, void> {
          yield* pieces!
        }
        const replies = a.request(encodeRequest({ ...asked(), inputBytes }), { input: pieces === undefined ? undefined : sent() })
        await assert.rejects(within(replies.next(), 'its answer'), (error) => isMeshError(error, 'protocol_error'))
        assert.equal(ran, 0)
        a.abort(new MeshError('cancelled', 'over'))
      })

    it('takes room of its peer, until the call is over, and no more than it leaves to others', async () => {
      const unit = 4 * MAX_BYTES_PER_ITEM
      const inputs = new LongInputs(4 * unit)
      const receive = (peer: string, bytes = unit) => {
        const sent = bytesOf('x'.repeat(bytes - 5))
        assert.equal(sent.length, bytes)
        return inputs.receive(piecesOf(sent), { bytes, peer, ms: 60_000, ...never() })
      }
      const isFull = (error: unknown) => isMeshError(error, 'busy') && error.details['notStarted'] === true
      const [first, second] = [await receive('a'), await receive('a')]
      await assert.rejects(receive('a'), isFull)
      first.release()
      const third = await receive('a')
      const other = await receive('b')
      await assert.rejects(receive('b'), isFull)
      await assert.rejects(receive('c'), isFull, 'half of it is left to one more')
      await receive('c', unit / 2)
      for (const one of [second, third, other]) one.release()
      await receive('c')
    })

    it('takes its room for as long as a call with a key goes on that its caller has left', async () => {
      const finish: (() => void)[] = []
      const declared = { id: 'c', type: 'x', name: 'C', description: '', tools: [] }
      const admission = createAdmission('echo')
      const run = createProvider({
        self: 'me',
        find: () => ({
          capability: declared,
          tool: { name: 'echo', description: '' },
          admission,
          load: createToolLoad(admission, () => 0),
          async *invoke({ input }) {
            await new Promise<void>((resolve) => finish.push(resolve))
            yield { kind: 'result', value: (input as string).length }
          }
        }),
        replays: createReplays(() => 0),
        authorize: () => undefined,
        meter: () => undefined,
        now: () => performance.now(),
        onBegin: () => undefined,
        onServed: () => undefined
      })
      const input = 'x'.repeat(LONG_INPUT_CHARACTERS)
      const protocol = createCallProtocol(run, new LongInputs(4 * LONG_INPUT_CHARACTERS))
      const [a] = await pair.sessions({ b: (exchange) => protocol.handle(exchange, 'the caller') })
      const call = (idempotencyKey: string, signal = never().signal) =>
        read(callOver(a)(request({ input, remainingMs: 86_400_000, idempotencyKey }), { signal }))
      const leaves = new AbortController()
      const left = call('first', leaves.signal)
      await until(() => finish.length === 1, 'the tool has begun')
      leaves.abort(new MeshError('cancelled', 'the caller leaves'))
      await assert.rejects(left, { code: 'cancelled' })
      await until(() => a.active === 0, 'the exchange is over')
      await assert.rejects(within(call('second'), 'its answer'), { code: 'busy' })
      finish[0]!()
      await until(() => admission.running === 0, 'the tool is over')
      const third = call('third')
      await until(() => finish.length === 2, 'there is room again')
      finish[1]!()
      assert.deepEqual(await third, [{ kind: 'result', value: input.length }])
      a.abort(new MeshError('cancelled', 'over'))
    })

    it('takes no room, and is not waited for, where its call may not run anyway', async () => {
      const seen: ToolRequest[] = []
      const protocol = createCallProtocol((incoming) => {
        seen.push(incoming)
        throw new MeshError('permission_denied', 'not you')
      })
      const [a] = await pair.sessions({ b: (exchange) => protocol.handle(exchange, 'the caller') })
      async function* stalls(): AsyncGenerator<unknown, void, void> {
        await new Promise(() => undefined)
        yield null
      }
      const open = encodeRequest({ ...asked(), inputBytes: MAX_INPUT_BYTES, idempotencyKey: 'k' })
      const replies = a.request(open, { input: stalls() })
      await assert.rejects(within(replies.next(), 'its answer'), (error) => isMeshError(error, 'permission_denied'))
      const { capability, tool } = asked()
      const ahead = { capability, tool, input: null, ahead: true, idempotencyKey: 'k', causes: undefined, caller: 'the caller' }
      assert.deepEqual(seen, [ahead])
      a.abort(new MeshError('cancelled', 'over'))
    })

    for (const [what, size] of [
      ['empty', 0],
      ['tiny', 1],
      ['not quite full', MAX_BYTES_PER_ITEM - 1]
    ] as const)
      it(`is given up at the first piece that is ${what}`, async () => {
        let asked = 0
        async function* pieces(): AsyncGenerator<unknown, void, void> {
          for (; asked < 1_000; asked++) yield piece(new Uint8Array(size))
        }
        const received = new LongInputs().receive(pieces(), { bytes: MAX_INPUT_BYTES, peer: 'a', ms: 60_000, ...never() })
        await assert.rejects(received, (error) => isMeshError(error, 'protocol_error'))
        assert.equal(asked, 0)
      })

    it('that stops coming is given up in time', async () => {
      async function* stalls(): AsyncGenerator<unknown, void, void> {
        await new Promise(() => undefined)
        yield null
      }
      const late = new LongInputs().receive(stalls(), { bytes: 9, peer: 'a', ms: 1, ...never() })
      await assert.rejects(within(late, 'its end'), (error) => isMeshError(error, 'deadline_exceeded'))
    })
  })

  const LOAD: Load = { running: 3, slots: 2, serviceMs: 41.5, ageMs: 7 }
  /** Tells its load with each reply that asks for it. */
  const tells: Invoke = async function* ({ question, elsewhere }) {
    yield { kind: 'json', value: elsewhere ?? null }
    question?.answer(LOAD)
    if (question?.only !== true) yield { kind: 'result', value: 1 }
  }
  const asks = (only: boolean): { heard: Load[]; question: LoadQuestion } => {
    const heard: Load[] = []
    return { heard, question: { only, answer: (load) => heard.push(load) } }
  }

  it('tells the load of the provider with the reply, if that was asked, and no item of it is seen', async () => {
    const { call, stop } = await over(tells)
    const { heard, question } = asks(false)
    const items = await read(call(request({ question, elsewhere: true }), never()))
    assert.deepEqual(items, [
      { kind: 'json', value: true },
      { kind: 'result', value: 1 }
    ])
    assert.deepEqual(heard, [LOAD])
    assert.deepEqual(await read(call(request(), never())), [
      { kind: 'json', value: null },
      { kind: 'result', value: 1 }
    ])
    stop()
  })

  it('tells the load without a call, in one round trip', async () => {
    const seen: ToolRequest[] = []
    const { call, stop } = await over(async function* (incoming) {
      seen.push(incoming)
      incoming.question!.answer(LOAD)
    })
    const { heard, question } = asks(true)
    const causes = ['12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR']
    assert.deepEqual(await read(call(request({ question, causes }), never())), [])
    assert.deepEqual(heard, [LOAD])
    const { question: passed, ...rest } = seen[0]!
    assert.equal(passed!.only, true)
    assert.deepEqual(rest, { capability: 'c', tool: 'echo', input: null, caller: 'the caller', causes })
    stop()
  })

  it('says why it does not tell', async () => {
    const refuses = await over(() => {
      throw new MeshError('permission_denied', 'not you')
    })
    const { heard, question } = asks(true)
    await assert.rejects(read(refuses.call(request({ question }), never())), { code: 'permission_denied' })
    refuses.stop()
    const silent = await over(async function* () {})
    await assert.rejects(read(silent.call(request({ question }), never())), { code: 'internal' })
    silent.stop()
    assert.deepEqual(heard, [])
  })

  it('believes no load that is none, nor a second one, nor one that was not asked for', async () => {
    const bodies: Record<string, unknown[]> = {
      bad: [[3, { r: -1, s: 1 }]],
      twice: [
        [3, { r: 1, s: 1 }],
        [3, { r: 1, s: 1 }]
      ],
      unasked: [[3, { r: 1, s: 1 }]]
    }
    for (const [tool, items] of Object.entries(bodies)) {
      const [a] = await pair.sessions({
        async *b() {
          yield* items
          return null
        }
      })
      const { question } = asks(false)
      const call = callOver(a)(request({ tool, ...(tool !== 'unasked' && { question }) }), never())
      await assert.rejects(read(call), { code: 'protocol_error' }, tool)
      a.abort(new MeshError('cancelled', 'over'))
    }
  })

  it('runs nothing at a node that knows no probes', async () => {
    // A reader of before: what it does not know, it ignores, and `c` and `t` it needs.
    const { question } = asks(true)
    const [a] = await pair.sessions({
      async *b({ body }) {
        decodeRequest(body)
        throw new Error('it runs')
      }
    })
    await assert.rejects(read(callOver(a)(request({ question }), never())), { code: 'protocol_error' })
    a.abort(new MeshError('cancelled', 'over'))
  })

  it('ends when the caller cancels, also before an answer', async () => {
    const { call, stop } = await over(provider)
    const controller = new AbortController()
    const held = read(call(request({ tool: 'hold' }), { signal: controller.signal }))
    setImmediate(() => controller.abort(new MeshError('deadline_exceeded', 'late')))
    await assert.rejects(within(held, 'ends'), { code: 'deadline_exceeded' })
    stop()
  })
})
