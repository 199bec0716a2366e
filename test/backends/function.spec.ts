import assert from 'node:assert/strict'
import { TRIGGER_QUEUE_LIMIT, createFunctionBackend } from '../../src/backends/function.ts'
import type { FunctionBackend } from '../../src/backends/function.ts'
import type { Item } from '../../src/core/invoke.ts'
import { isMeshError } from '../../src/errors.ts'
import type { ToolHandler } from '../../src/mesh-api.ts'
import { backendContract, collect, errorOf, invoke, resultOf, run, within } from './contract.ts'

backendContract('function', () => {
  const backend = createFunctionBackend()
  let finallyRan = false
  backend.register(
    { id: 'demo', type: 'test/demo' },
    {
      echo: (input) => ({ n: input['n'] ?? null }),
      fail: () => Promise.reject(new Error('the cat is out')),
      async *slow(_input, { signal }) {
        try {
          yield 1
          await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
        } finally {
          finallyRan = true
        }
      }
    }
  )
  return {
    backend,
    capability: 'demo',
    echo: { tool: 'echo', input: (n) => ({ n }), output: (n) => ({ n }) },
    slow: { tool: 'slow', input: {}, isGone: () => finallyRan },
    failing: { tool: 'fail', input: {}, message: /the cat is out/ }
  }
})

function withTool(handler: ToolHandler): (input?: Record<string, never>, signal?: AbortSignal) => AsyncIterable<Item> {
  const backend = createFunctionBackend()
  backend.register({ id: 'c', type: 't' }, { tool: handler })
  return (input = {}, signal) => invoke(backend, 'c', 'tool', input, { signal })
}

describe('function backend: calls', () => {
  it('takes plain, async and generator functions', async () => {
    assert.deepEqual(await collect(withTool(() => 5)()), [{ kind: 'result', value: 5 }])
    assert.deepEqual(await collect(withTool(async () => ({ a: [1] }))()), [{ kind: 'result', value: { a: [1] } }])
    assert.deepEqual(await collect(withTool(() => {})()), [{ kind: 'result', value: null }])
    const bytes = new Uint8Array([1, 2])
    const call = withTool(async function* () {
      yield bytes
      yield 'text'
      yield { a: 1 }
      return 'end'
    })
    assert.deepEqual(await collect(call()), [
      { kind: 'bytes', bytes },
      { kind: 'json', value: 'text' },
      { kind: 'json', value: { a: 1 } },
      { kind: 'result', value: 'end' }
    ])
  })

  it('maps errors: own ones pass, others become tool_failed', async () => {
    const sync = withTool(() => {
      throw new RangeError('too far')
    })
    assert.equal((await errorOf(sync(), 'tool_failed')).message, 'too far')
    const midway = withTool(async function* () {
      yield 1
      throw new Error('midway')
    })
    assert.equal((await errorOf(midway(), 'tool_failed')).message, 'midway')
    await errorOf(withTool(() => new Uint8Array(3) as unknown as null)(), 'tool_failed')
  })

  it('keeps the latest progress only, never a falling one, and delivers at once to a waiting reader', async () => {
    const coalesced = withTool(async (_input, { progress }) => {
      for (let n = 1; n <= 10_000; n++) progress(n, 10_000)
      progress(3)
      progress(Number.NaN)
      return 'done'
    })
    const items = await collect(coalesced())
    assert.deepEqual(items, [
      { kind: 'progress', progress: { done: 10_000, total: 10_000 } },
      { kind: 'result', value: 'done' }
    ])

    let go = (): void => {}
    const live = withTool(async (_input, context) => {
      await new Promise<void>((resolve) => (go = resolve))
      context.progress(1, 2, 'half')
      await new Promise<void>((resolve) => (go = resolve))
      return null
    })
    const iterator = live()[Symbol.asyncIterator]()
    const next = iterator.next()
    go()
    assert.deepEqual((await within(next, 'progress')).value, {
      kind: 'progress',
      progress: { done: 1, total: 2, message: 'half' }
    })
    const last = iterator.next()
    go()
    assert.deepEqual((await last).value, { kind: 'result', value: null })
    assert.equal((await iterator.next()).done, true)
  })

  it('ends an aborted call at once, even if the handler does not listen', async () => {
    const controller = new AbortController()
    const iterator = withTool(() => new Promise(() => {}))({}, controller.signal)[Symbol.asyncIterator]()
    const next = iterator.next()
    controller.abort()
    await assert.rejects(within(next, 'the abort'), (error) => isMeshError(error, 'cancelled'))
    assert.equal((await iterator.next()).done, true)
  })

  it('aborts the signal of the handler when a reader leaves at a progress item', async () => {
    let heard: () => void
    const aborted = new Promise<void>((resolve) => (heard = resolve))
    const call = withTool(async (_input, { signal, progress }) => {
      signal.addEventListener('abort', () => heard())
      progress(1)
      await new Promise(() => {})
    })
    for await (const item of call()) {
      assert.equal(item.kind, 'progress')
      break
    }
    await within(aborted, 'the signal')
  })

  it('asks a generator for no more than is read', async () => {
    let produced = 0
    const call = withTool(async function* () {
      for (;;) yield ++produced
    })
    for await (const item of call()) if (item.kind === 'json' && item.value === 3) break
    assert.equal(produced, 3)
  })

  it('hands the stream of the caller to the tool, and ends it with the call', async () => {
    const backend = createFunctionBackend()
    backend.register(
      { id: 'c', type: 't' },
      {
        sum: async (_input, { stream }) => {
          let sum = 0
          for await (const item of stream ?? []) if (item.kind === 'json') sum += Number(item.value)
          return sum
        }
      }
    )
    async function* numbers(hang: boolean): AsyncGenerator<Item> {
      yield { kind: 'json', value: 1 }
      yield { kind: 'json', value: 2 }
      if (hang) await new Promise(() => {})
    }
    assert.equal(await resultOf(invoke(backend, 'c', 'sum', {}, { stream: numbers(false) })), 3)
    await errorOf(
      invoke(backend, 'c', 'sum', {}, { stream: numbers(true), signal: AbortSignal.timeout(50) }),
      'deadline_exceeded'
    )
    await within(backend.discover(AbortSignal.abort())[Symbol.asyncIterator]().next(), 'the handler, too, has ended', 1_000)
  })
})

describe('function backend: registrations', () => {
  let backend: FunctionBackend
  beforeEach(() => (backend = createFunctionBackend()))

  it('announces every change', async () => {
    const running = run(backend)
    const registration = backend.register({ id: 'a', type: 't', name: 'one' }, { tool: () => 1 })
    assert.deepEqual(await running.snapshot(), { id: 'a', type: 't', name: 'one', tools: [{ name: 'tool' }] })
    registration.update({ name: 'two' })
    assert.equal((await running.snapshot()).name, 'two')
    registration.suspend('lunch')
    const suspended = await running.snapshot()
    assert.equal(suspended.status, 'suspended')
    assert.equal(suspended.statusReason, 'lunch')
    assert.match((await errorOf(invoke(backend, 'a', 'tool'), 'unavailable')).message, /lunch/)
    registration.resume()
    assert.deepEqual(await running.snapshot(), { id: 'a', type: 't', name: 'two', tools: [{ name: 'tool' }] })
    assert.equal(await resultOf(invoke(backend, 'a', 'tool')), 1)
    registration.remove()
    await errorOf(invoke(backend, 'a', 'tool'), 'unknown_capability')
    assert.throws(
      () => registration.update({}),
      (error) => isMeshError(error, 'unknown_capability')
    )
    backend.register({ id: 'a', type: 't2' })
    assert.equal((await running.snapshot(({ type }) => type === 't2')).id, 'a')
    registration.remove()
    await running.stop()
  })

  it('refuses what cannot work', () => {
    backend.register({ id: 'a', type: 't' })
    assert.throws(
      () => backend.register({ id: 'a', type: 't' }),
      (error) => isMeshError(error, 'conflict')
    )
    assert.throws(
      () => backend.register({ id: 'b', type: 't', tools: [{ name: 'x' }] }),
      (error) => isMeshError(error, 'invalid_argument')
    )
  })

  it('raises declared triggers, and drops the oldest of too many', async () => {
    const registration = backend.register({ id: 'cam', type: 'sensor/camera', triggers: [{ event: 'motion' }] })
    assert.throws(
      () => registration.emit('other', {}),
      (error) => isMeshError(error, 'invalid_argument')
    )
    for (let n = 0; n < TRIGGER_QUEUE_LIMIT + 5; n++) registration.emit('motion', { n })
    const controller = new AbortController()
    const payloads: unknown[] = []
    for await (const event of backend.watch(controller.signal)) {
      assert.equal(event.capability, 'cam')
      payloads.push(event.payload)
      if (payloads.length === TRIGGER_QUEUE_LIMIT) controller.abort()
    }
    assert.deepEqual(payloads[0], { n: 5 })
    assert.deepEqual(payloads.at(-1), { n: TRIGGER_QUEUE_LIMIT + 4 })
  })
})

describe('function backend: what is offered', () => {
  it('has in a snapshot that is read late what was registered since: it was offered already', async () => {
    const backend = createFunctionBackend()
    const stop = new AbortController()
    const snapshots = backend.discover(stop.signal)[Symbol.asyncIterator]()
    const { value } = (await snapshots.next()) as { value: { id: string }[] }
    backend.register({ id: 'late', type: 't' }, { tool: () => 1 })
    assert.deepEqual(
      value.map(({ id }) => id),
      ['late']
    )
    stop.abort()
    await snapshots.return?.(undefined)
  })
})
