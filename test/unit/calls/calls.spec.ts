import assert from 'node:assert/strict'
import type { ToolDeclaration } from '../../../protocols/capability.ts'
import { createProvider, type ServedCall } from '../../../src/calls/provider.ts'
import { createReplays } from '../../../src/calls/replay.ts'
import { MAX_ATTEMPTS, mayRetry } from '../../../src/calls/retry.ts'
import { createToolLoad } from '../../../src/calls/tool-load.ts'
import { FAILURES_TO_OPEN } from '../../../src/core/dispatch/circuit-breaker.ts'
import type { Meter } from '../../../src/core/limits.ts'
import { createAdmission, type Admission } from '../../../src/core/admission.ts'
import type { Invoke, Item, ToolRequest } from '../../../src/core/invoke.ts'
import { MeshError, PEER_STOPPED, isMeshError, abortError, type ErrorCode } from '../../../src/errors.ts'
import type { CallItem } from '../../../src/mesh-api.ts'
import { until, within } from '../../fixtures/libp2p-pair.ts'
import { answers, inTurn, scriptedMesh, throws } from '../../fixtures/scripted-mesh.ts'

const now = (): number => performance.now()
const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error, code)

describe('caller', () => {
  const mesh = scriptedMesh
  const silent: Invoke = async function* (_, { signal }) {
    yield { kind: 'progress', progress: { done: 0 } }
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  }
  const item: Item = { kind: 'json', value: 1 }
  async function read(items: AsyncIterable<CallItem>): Promise<CallItem[]> {
    const all: CallItem[] = []
    for await (const one of items) all.push(one)
    return all
  }

  it('tries the next provider before the first item, and says whom it tried', async () => {
    const { call, made } = mesh([throws('unavailable'), throws('busy'), answers('third')])
    const { result, provider, providerName, route } = await call('echo', 'echo').result
    assert.deepEqual([result, provider, providerName], ['third', 'p2', 'node2'])
    assert.deepEqual(route, {
      path: ['self', 'p2'],
      local: false,
      hops: 1,
      rttMs: 2,
      tried: [
        { provider: 'p0', code: 'unavailable' },
        { provider: 'p1', code: 'busy' }
      ]
    })
    assert.deepEqual([made.length, made[0]?.provider, made[0]?.error], [1, 'p2', undefined])
  })

  it('says who runs it as soon as somebody does', async () => {
    const far = mesh([throws('unavailable'), throws('unavailable', [item])], {}, [{}, { direct: false }])
    const call = far.call('echo', 'echo')
    assert.equal(call.provider, undefined)
    for await (const one of call) {
      assert.equal(one.kind, 'json')
      assert.deepEqual(call.provider, { node: 'p1', nodeName: 'node1', path: ['self', 'between', 'p1'] })
      break
    }
  })

  it('tells of each try that another node was sent, and how it ended', async () => {
    const { call, sent, change } = mesh([throws('unavailable'), answers('second')])
    await call('echo', 'echo', { a: 1 }, { causes: ['QmCause'] }).result
    change(0, { local: true })
    await call('echo', 'echo').result
    assert.deepEqual(
      sent.map(({ provider, error, request: { capability, tool, input, causes } }) => [
        provider,
        error?.code,
        capability,
        tool,
        input,
        causes
      ]),
      [
        ['p0', 'unavailable', 'echo', 'echo', { a: 1 }, ['QmCause']],
        ['p1', undefined, 'echo', 'echo', { a: 1 }, ['QmCause']],
        ['p1', undefined, 'echo', 'echo', {}, undefined]
      ]
    )
    const early = mesh([throws('unavailable', [item])])
    for await (const one of early.call('echo', 'echo')) if (one.kind === 'json') break
    assert.deepEqual(
      early.sent.map(({ error }) => error?.code),
      ['cancelled']
    )
  })

  it('tries after the first item only what is idempotent, and tells that it begins anew', async () => {
    const once = mesh([throws('unavailable', [item]), answers('second')])
    await assert.rejects(once.call('echo', 'echo').result, fails('unavailable'))
    assert.deepEqual(once.asked, ['p0'])
    const again = mesh([throws('unavailable', [item]), answers('second')], { idempotent: true })
    assert.deepEqual(await read(again.call('echo', 'echo')), [
      item,
      { kind: 'restart', provider: 'p1', reason: 'unavailable' },
      { kind: 'result', value: 'second' }
    ])
  })

  it('tries nothing again that must not run twice, unless it was busy and did not run', async () => {
    const harmful = mesh([throws('unavailable'), answers('second')], { idempotent: false })
    await assert.rejects(harmful.call('echo', 'echo').result, fails('unavailable'))
    assert.deepEqual(harmful.asked, ['p0'])
    const busy = mesh([throws('busy'), answers('second')], { idempotent: false })
    await assert.rejects(busy.call('echo', 'echo').result, fails('busy'), 'it may have begun')
    const refuses: Invoke = () => {
      throw new MeshError('busy', 'full', { notStarted: true })
    }
    const refused = mesh([refuses, answers('second')], { idempotent: false })
    assert.equal((await refused.call('echo', 'echo').result).result, 'second')
  })

  it('never tries again after a mistake of the caller, a failure of the tool, or at the word of the caller', async () => {
    for (const code of ['invalid_argument', 'tool_failed', 'permission_denied', 'deadline_exceeded', 'too_large'] as const) {
      const { call, asked } = mesh([throws(code), answers('second')], { idempotent: true })
      await assert.rejects(call('echo', 'echo').result, fails(code))
      assert.deepEqual(asked, ['p0'], code)
    }
    const { call, asked } = mesh([throws('busy'), answers('second')])
    await assert.rejects(call('echo', 'echo', {}, { failover: false }).result, fails('busy'))
    assert.deepEqual(asked, ['p0'])
  })

  it('validates before it asks anyone', async () => {
    const { call, asked, made } = mesh([answers('x')], { input: { type: 'object', properties: { a: { type: 'number' } } } })
    await assert.rejects(call('echo', 'echo', { a: 'x' }).result, fails('invalid_argument'))
    await assert.rejects(call('nothing', 'echo').result, fails('unknown_capability'))
    assert.deepEqual([asked.length, made.length], [0, 2])
  })

  it('does not send a stream a second time that a provider has begun to read', async () => {
    const reads: Invoke = async function* ({ stream }) {
      for await (const one of stream ?? []) void one
      throw new MeshError('unavailable', 'died')
      yield item
    }
    async function* stream(): AsyncGenerator<Item, void, void> {
      yield item
    }
    const begun = mesh([reads, answers('second')], { idempotent: true })
    await assert.rejects(begun.call('echo', 'echo', {}, { stream: stream() }).result, fails('unavailable'))
    const unread = mesh([throws('unavailable'), answers('second')])
    assert.equal((await unread.call('echo', 'echo', {}, { stream: stream() }).result).result, 'second')
  })

  it('gives up after a few providers, and says how many', async () => {
    const { call, asked } = mesh(Array.from({ length: 8 }, () => throws('busy')))
    await assert.rejects(
      call('echo', 'echo').result,
      (error: unknown) =>
        isMeshError(error, 'busy') && /3 providers/.test(error.message) && (error.details['tried'] as unknown[]).length === 3
    )
    assert.equal(asked.length, MAX_ATTEMPTS)
  })

  it('says what became of a try that may have begun, and never that it did not', async () => {
    const lost = throws('unavailable', [], { lost: true })
    const stopped = throws('unavailable', [], { lost: true, reason: PEER_STOPPED })
    const noWay = throws('unavailable', [], { peer: 'p0', notStarted: true })
    const noStream = throws('unavailable', [], { lost: true, notStarted: true })
    const full = throws('busy', [], { notStarted: true })
    const told = throws('unavailable')
    const at = 'node0 (p0)'
    for (const [scripts, message, details] of [
      [
        [lost],
        `${at} was lost while it ran the call (after 3 tries at it)`,
        { begun: true, peer: 'p0', reason: 'provider_lost' }
      ],
      [[inTurn(stopped, noWay)], `${at} stopped while it ran the call, and cannot be reached now (after 2 tries at it)`],
      [[inTurn(stopped, noStream)], `${at} stopped while it ran the call, and cannot be reached now (after 3 tries at it)`],
      [[inTurn(lost, noStream, full)], `${at} was lost while it ran the call; then: scripted (after 3 tries at it)`],
      [[lost, full], `${at} was lost while it ran the call; then: scripted (after 2 providers)`],
      // What a provider says of itself came to an end there, but a later one does not undo it.
      [[told, full], 'scripted (after 2 providers)', { begun: undefined }],
      [[full, full], 'scripted (after 2 providers)', { begun: undefined, notStarted: true }],
      [[noWay], 'scripted', { begun: undefined, notStarted: true }]
    ] as [Invoke[], string, Record<string, unknown>?][]) {
      const { call, made } = mesh(scripts)
      const expected = { begun: true, notStarted: undefined, ...details }
      await assert.rejects(call('echo', 'echo').result, (error) => {
        assert.ok(isMeshError(error))
        const seen = Object.fromEntries(Object.keys(expected).map((key) => [key, error.details[key]]))
        assert.deepEqual([error.message, seen], [message, expected])
        assert.equal(made[0]?.error, error)
        return true
      })
    }
    // Also where it is not tried again: for want of leave, and after the first item.
    const whole = { code: 'unavailable', message: `${at} stopped while it ran the call` }
    await assert.rejects(mesh([stopped]).call('echo', 'echo', {}, { failover: false }).result, whole)
    await assert.rejects(
      mesh([throws('unavailable', [item], { lost: true, reason: PEER_STOPPED })]).call('echo', 'echo').result,
      whole
    )
    // One request goes on with another call: what the first may have begun is still so.
    const before = new MeshError('unavailable', 'node7 was lost while it ran the call', { begun: true, peer: 'p7' })
    await assert.rejects(mesh([full]).call('echo', 'echo', {}, { attempt: { after: before } }).result, (error) => {
      assert.ok(isMeshError(error, 'busy'))
      assert.deepEqual([error.message, error.details], [`${before.message}; then: scripted`, { begun: true }])
      return true
    })
  })

  it('ends at its deadline, and tries no other then', async () => {
    const { call, asked, rank } = mesh([silent, answers('second')], { timeoutMs: 60_000 })
    await assert.rejects(within(call('echo', 'echo', {}, { timeoutMs: 30 }).result, 'deadline'), fails('deadline_exceeded'))
    assert.deepEqual([asked, rank(0).outstanding], [['p0'], 0])
  })

  it('ends once, however it is ended: cancel, signal, leaving', async () => {
    const { call, made } = mesh([silent])
    const { result, cancel } = call('echo', 'echo')
    setImmediate(cancel, 'enough')

    await assert.rejects(result, fails('cancelled'))
    const controller = new AbortController()
    const aborted = call('echo', 'echo', {}, { signal: controller.signal }).result
    setImmediate(() => controller.abort())
    await assert.rejects(aborted, fails('cancelled'))
    const left = call('echo', 'echo')
    for await (const one of left) {
      assert.equal(one.kind, 'progress')
      break
    }
    await assert.rejects(left.result, fails('cancelled'))
    await assert.rejects(call('echo', 'echo', {}, { signal: AbortSignal.abort() }).result, fails('cancelled'))
    assert.deepEqual(
      made.map(({ error }) => error?.code),
      Array.from({ length: 4 }, () => 'cancelled')
    )
  })

  it('that its own node cuts off because it stops is tried nowhere else, and says so', async () => {
    const isStopping = { code: 'unavailable', message: 'this node is stopping', details: { reason: 'stopping' } }
    const cut = throws('unavailable', [item], { lost: true })
    const { call, asked, here, sent, rank } = mesh([cut, answers('second')], { idempotent: true })
    here.isStopping = true
    await assert.rejects(call('echo', 'echo').result, isStopping)
    assert.deepEqual([asked, sent[0]?.error?.message], [['p0'], isStopping.message])
    // Nor is it held against the provider, however often.
    for (let n = 1; n < FAILURES_TO_OPEN; n++) await assert.rejects(call('echo', 'echo').result, isStopping)
    assert.equal(asked.length, FAILURES_TO_OPEN)
    assert.notEqual(rank(0).why, 'breaker open')
    // What a provider says of itself, and one that is this node, are told as they are.
    for (const [code, local, details] of [
      ['tool_failed', false, {}],
      ['unavailable', false, { camera: 'unplugged' }],
      ['unavailable', true, {}]
    ] as const) {
      const other = mesh([throws(code, [], details)], {}, [{ local }])
      other.here.isStopping = true
      await assert.rejects(
        other.call('echo', 'echo').result,
        (error) => isMeshError(error, code) && error.message !== isStopping.message
      )
    }
  })

  it('goes on to its own node while that stops, and past all others', async () => {
    const cut = throws('unavailable', [], { lost: true })
    const refuses = throws('unavailable')
    const tools = [{ name: 'echo' }]
    // Degraded, so that it does not come first.
    const here = { local: true, capability: { id: 'echo', type: 'demo/echo', status: 'degraded' as const, tools } }
    for (const [scripts, places, asked] of [
      [
        [cut, answers('from here')],
        [{}, here],
        ['p0', 'p1']
      ],
      [
        [refuses, answers('from here')],
        [{}, here],
        ['p0', 'p1']
      ],
      [
        [cut, answers('from there'), answers('from here')],
        [{}, {}, here],
        ['p0', 'p2']
      ]
    ] as const) {
      const one = mesh([...scripts], {}, [...places])
      one.here.isStopping = true
      assert.equal((await one.call('echo', 'echo').result).result, 'from here')
      assert.deepEqual(one.asked, asked)
    }
    // But not with what must not be done twice.
    const once = mesh([cut, answers('from here')], { idempotent: false }, [{}, here])
    once.here.isStopping = true
    await assert.rejects(once.call('echo', 'echo').result, { message: 'this node is stopping' })
    assert.deepEqual(once.asked, ['p0'])
  })

  it('was not cancelled where its provider was lost, also if its reader leaves at the news', async () => {
    const { call, made, sent } = mesh([throws('unavailable', [item]), answers('second')], { idempotent: true })
    const lost = call('echo', 'echo')
    for await (const one of lost) if (one.kind === 'restart') break
    await assert.rejects(lost.result, fails('unavailable'))
    assert.deepEqual(
      [made, sent].map(([one]) => one?.error?.code),
      ['unavailable', 'unavailable']
    )
    // Whoever takes the news and leaves later, cancels what has begun anew.
    const again = mesh([throws('unavailable', [item]), silent], { idempotent: true })
    let restarted = false
    for await (const one of again.call('echo', 'echo')) {
      if (restarted) break
      restarted = one.kind === 'restart'
    }
    assert.deepEqual(again.made[0]?.error?.code, 'cancelled')
  })

  it('is cancelled by whoever aborts its signal, whatever the reason that is given', async () => {
    const { call, made } = mesh([silent])
    for (const reason of [new Error('Client connection prematurely closed.'), 'enough']) {
      const controller = new AbortController()
      const { result } = call('echo', 'echo', {}, { signal: controller.signal })
      setImmediate(() => controller.abort(reason))
      await assert.rejects(result, fails('cancelled'))
    }
    assert.match(made[0]!.error!.message, /prematurely closed/)
  })

  it('runs once: a second reader is told so', async () => {
    const { call, asked } = mesh([answers('x')])
    const one = call('echo', 'echo')
    await one.result
    assert.equal((await one.result).result, 'x')
    assert.throws(() => one[Symbol.asyncIterator](), fails('conflict'))
    assert.deepEqual(asked, ['p0'])
  })

  it('takes results from its cache only where that is declared, and never those of another node', async () => {
    const cached = mesh([answers('x')], { cache: { ttlMs: 60_000 } })
    assert.equal((await cached.call('echo', 'echo', { list: [1, 2] }).result).cached, false)
    assert.equal((await cached.call('echo', 'echo', { list: [1, 2] }).result).cached, true)
    assert.equal((await cached.call('echo', 'echo', { list: [2, 1] }).result).cached, false)
    assert.equal(cached.asked.length, 2)
    const plain = mesh([answers('x')])
    await plain.call('echo', 'echo').result
    await plain.call('echo', 'echo').result
    assert.equal(plain.asked.length, 2)
    const clocks = mesh([answers('of 0'), answers('of 1')], { cache: { ttlMs: 60_000 } })
    for (const { offer } of clocks.providers()) offer.capability.scope = 'node'
    for (const [target, want] of [
      ['echo@node0', 'of 0'],
      ['echo@node1', 'of 1'],
      ['echo@node1', 'of 1'],
      ['echo@node0', 'of 0']
    ] as const) {
      assert.equal((await clocks.call(target, 'echo').result).result, want)
    }
  })

  it('gives null for a call that ends without a result', async () => {
    const { call } = mesh([
      async function* () {
        yield item
      }
    ])
    assert.equal((await call('echo', 'echo').result).result, null)
  })

  it('knows which errors may be tried elsewhere', () => {
    const tool = { name: 't' }
    assert.equal(mayRetry(new MeshError('unavailable', ''), tool, 0, true), false)
    assert.equal(mayRetry(new MeshError('protocol_error', ''), tool, 0, false), true)
    assert.equal(mayRetry(new MeshError('busy', ''), tool, 5, false), false)
    assert.equal(mayRetry(new MeshError('busy', '', { notStarted: true }), tool, 5, false), false)
    assert.equal(mayRetry(new MeshError('unavailable', ''), tool, 1, false), false)
  })
})

describe('provider', () => {
  function provider(
    invoke: Invoke,
    tool: Partial<ToolDeclaration> = {},
    authorize: Parameters<typeof createProvider>[0]['authorize'] = () => undefined,
    meter?: Meter
  ): { run: Invoke; served: ServedCall[]; admission: Admission; begun: () => number } {
    const served: ServedCall[] = []
    let begun = 0
    const admission = createAdmission('t', tool.concurrency, tool.queue)
    const load = createToolLoad(admission, now)
    const run = createProvider({
      self: 'me',
      find: () => ({ capability: { id: 'c', type: 't' }, tool: { name: 't', ...tool }, invoke, admission, load }),
      replays: createReplays(now),
      authorize,
      meter: () => meter,
      now,
      onBegin: () => begun++,
      onServed: (one) => served.push(one)
    })
    return { run, served, admission, begun: () => begun }
  }
  const request = (change: Partial<ToolRequest> = {}): ToolRequest => ({
    capability: 'c',
    tool: 't',
    input: {},
    caller: 'peer',
    ...change
  })
  const options = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })
  async function read(items: AsyncIterable<Item>): Promise<Item[]> {
    const all: Item[] = []
    for await (const one of items) all.push(one)
    return all
  }
  const echo: Invoke = async function* ({ input }) {
    yield { kind: 'result', value: input }
  }

  it('asks whether another node may call, with the deadline running and before it takes a slot', async () => {
    const asked: string[] = []
    let allow!: () => void
    const { run, admission } = provider(echo, { concurrency: 1, queue: 0 }, ({ tool }, { caller }, { signal }) => {
      asked.push(`${caller} ${tool.name}`)
      return new Promise((resolve, reject) => {
        allow = resolve
        signal.addEventListener('abort', () => reject(abortError(signal)))
      })
    })
    const waits = read(run(request({ input: 1 }), options()))
    assert.deepEqual(asked, ['peer t'])
    assert.equal(admission.tryEnter(), true, 'who waits for a yes holds no slot')
    admission.leave()
    allow()
    assert.deepEqual(
      (await waits).map(({ kind }) => kind),
      ['progress', 'result'],
      'the caller is told that it waits'
    )
    await assert.rejects(read(run(request({ remainingMs: 10 }), options())), { code: 'deadline_exceeded' })
    await read(run(request({ caller: 'me' }), options()))
    assert.equal(asked.length, 2, 'its own node is not asked')
    const forAnother = read(run(request({ caller: 'me', causes: ['peer'] }), options()))
    assert.equal(asked.length, 3, 'but for what it does on behalf of another')
    allow()
    await forAnother
    const denied = provider(echo, {}, () => {
      throw new MeshError('permission_denied', 'no')
    })
    await assert.rejects(read(denied.run(request(), options())), { code: 'permission_denied' })
  })

  it('counts what another node uses, and what it streams waits its time; the count ends with the call', async () => {
    let left = 0
    const counted: string[] = []
    const cut: boolean[] = []
    const item = ({ kind }: Item): number => {
      counted.push(kind)
      return kind === 'bytes' ? 20 : 0
    }
    const meter: Meter = {
      taken: item,
      yielded: item,
      leave(cutShort = false) {
        left++
        cut.push(cutShort)
      }
    }
    const copy: Invoke = async function* ({ stream }) {
      for await (const item of stream ?? []) yield item
      yield { kind: 'result', value: null }
    }
    const { run } = provider(copy, { acceptsStream: true }, undefined, meter)
    const stream = async function* (): AsyncGenerator<Item, void, void> {
      yield { kind: 'bytes', bytes: new Uint8Array(3) }
    }
    const began = now()
    assert.equal((await read(run(request({ stream: stream() }), options()))).length, 2)
    assert.deepEqual([counted, left], [['bytes', 'bytes', 'result'], 1])
    assert.ok(now() - began >= 35, 'it waited in and out')
    const hangs = provider(copy, { acceptsStream: true }, undefined, { ...meter, taken: () => 60_000, yielded: () => 60_000 })
    await assert.rejects(read(hangs.run(request({ stream: stream(), remainingMs: 20 }), options())), {
      code: 'deadline_exceeded'
    })
    assert.equal(left, 2)
    await read(run(request({ caller: 'me' }), options()))
    assert.equal(left, 2, 'its own node is not counted')
    for await (const one of run(request({ stream: stream() }), options())) if (one.kind === 'bytes') break
    const midway: Invoke = async function* () {
      yield { kind: 'json', value: 1 }
      throw new Error('it broke')
    }
    await assert.rejects(read(provider(midway, {}, undefined, meter).run(request(), options())), { code: 'tool_failed' })
    for await (const one of run(request(), options())) if (one.kind === 'result') break
    assert.deepEqual(cut, [false, true, true, true, false], 'says which calls did not come to their end')
  })

  it('holds an input until the tool has ended, also one that does not listen, and none that it refuses', async () => {
    let held = 0
    const keepInput = (): (() => void) => {
      let isHeld = true
      held++
      return () => {
        if (isHeld) held--
        isHeld = false
      }
    }
    let end!: () => void
    const deaf = provider(async function* () {
      await new Promise<void>((resolve) => (end = resolve))
      yield { kind: 'result', value: 1 }
    })
    for (const idempotencyKey of ['k', undefined]) {
      const leaves = new AbortController()
      const left = read(deaf.run(request({ keepInput, idempotencyKey }), { signal: leaves.signal }))
      await until(() => deaf.admission.running === 1, 'it runs')
      leaves.abort(new MeshError('cancelled', 'left'))
      await assert.rejects(left, fails('cancelled'))
      assert.equal(held, 1, 'the tool has it still')
      end()
      await until(() => held === 0, 'it has ended')
    }
    const refuses: [code: ErrorCode, of: ReturnType<typeof provider>][] = [
      ['invalid_argument', provider(echo, { input: { type: 'string' } })],
      [
        'tool_failed',
        provider(() => {
          throw new Error('at once')
        })
      ]
    ]
    for (const [code, { run }] of refuses) await assert.rejects(read(run(request({ keepInput }), options())), fails(code))
    assert.equal((await read(provider(echo).run(request({ keepInput }), options()))).length, 1)
    assert.equal(held, 0)
  })

  it('validates the input, applies defaults, and validates the result', async () => {
    const { run } = provider(echo, { input: { type: 'object', properties: { a: { default: 1 } }, additionalProperties: false } })
    assert.deepEqual(await read(run(request(), options())), [{ kind: 'result', value: { a: 1 } }])
    await assert.rejects(read(run(request({ input: { b: 1 } }), options())), fails('invalid_argument'))
    const wrong = provider(echo, { output: { type: 'string' } })
    await assert.rejects(
      read(wrong.run(request(), options())),
      (error: unknown) => isMeshError(error, 'tool_failed') && /its own schema forbids/.test(error.message)
    )
  })

  it('names what a tool throws, without its stack', async () => {
    const { run, served } = provider(async function* () {
      throw new TypeError('disk full')
      yield { kind: 'result', value: 1 }
    })
    await assert.rejects(
      read(run(request(), options())),
      (error: unknown) => isMeshError(error, 'tool_failed') && error.message === 'disk full'
    )
    assert.equal(served[0]?.error?.code, 'tool_failed')
  })

  it('ends at the deadline, even if the tool does not listen, and frees the slot', async () => {
    let release!: () => void
    const { run, admission } = provider(async function* () {
      await new Promise<void>((resolve) => (release = resolve))
      yield { kind: 'result', value: 1 }
    })
    await assert.rejects(within(read(run(request({ remainingMs: 20 }), options())), 'deadline'), fails('deadline_exceeded'))
    assert.equal(admission.running, 1, 'it still runs')
    release()
    await until(() => admission.running === 0, 'the slot is free once it has ended')
    await assert.rejects(read(run(request({ remainingMs: 0 }), options())), fails('deadline_exceeded'))
  })

  it('frees the slot at the deadline of a caller that took an item and never came back', async () => {
    let ended = false
    const { run, admission } = provider(async function* () {
      try {
        for (;;) yield { kind: 'json', value: 1 }
      } finally {
        ended = true
      }
    })
    const items = run(request({ remainingMs: 30 }), options())[Symbol.asyncIterator]()
    await items.next()
    await until(() => ended && admission.running === 0, 'the source has ended')
    await assert.rejects(items.next(), fails('deadline_exceeded'))
  })

  it('stops the tool when the caller leaves or cancels', async () => {
    let stopped = 0
    const { run, admission, served } = provider(async function* () {
      try {
        for (;;) yield { kind: 'json', value: 1 }
      } finally {
        stopped++
      }
    })
    for await (const one of run(request(), options())) {
      assert.equal(one.kind, 'json')
      break
    }
    await until(() => stopped === 1 && admission.running === 0, 'stopped')
    const controller = new AbortController()
    const items = run(request(), { signal: controller.signal })[Symbol.asyncIterator]()
    await items.next()
    controller.abort(new MeshError('cancelled', 'enough'))
    await assert.rejects(items.next(), fails('cancelled'))
    await until(() => stopped === 2 && admission.running === 0, 'stopped')
    // As the session does when its peer is gone: told, and left while it holds an item.
    const gone = new AbortController()
    const held = run(request(), { signal: gone.signal })[Symbol.asyncIterator]()
    await held.next()
    gone.abort(new MeshError('unavailable', 'the peer closed the session'))
    await held.return!()
    await until(() => stopped === 3 && admission.running === 0, 'stopped')
    assert.deepEqual(
      served.map(({ error }) => error?.code),
      ['cancelled', 'cancelled', 'unavailable']
    )
  })

  it('runs as many as the tool allows, the rest wait or are told busy', async () => {
    let release!: () => void
    const gate = new Promise<void>((resolve) => (release = resolve))
    const { run, begun, served } = provider(
      async function* () {
        await gate
        yield { kind: 'result', value: 1 }
      },
      { concurrency: 2, queue: 1 }
    )
    const all = Array.from({ length: 5 }, () => read(run(request(), options())))
    const settled = Promise.allSettled(all)
    await until(() => served.length === 2, 'two are refused')
    release()
    const ends = await settled
    assert.equal(ends.filter(({ status }) => status === 'fulfilled').length, 3)
    assert.ok(ends.every((end) => end.status === 'fulfilled' || isMeshError(end.reason, 'busy')))
    assert.deepEqual([begun(), served.length], [5, 5])
  })

  it('says that a call did not start only where that is so, whatever the tool says', async () => {
    const { run, admission } = provider(
      () => {
        throw new MeshError('busy', 'full', { notStarted: true, why: 1 })
      },
      { concurrency: 1, queue: 0 }
    )
    const details = async (): Promise<unknown> => read(run(request(), options())).catch((error: MeshError) => error.details)
    assert.deepEqual(await details(), { why: 1 })
    admission.tryEnter()
    assert.deepEqual(await details(), { running: 1, waiting: 0, slots: 1, notStarted: true })
  })

  it('lets who waits for a slot give up, and a tool that throws at once gives its slot back', async () => {
    const { run, admission } = provider(
      () => {
        throw new Error('at once')
      },
      { concurrency: 1 }
    )
    await assert.rejects(read(run(request(), options())), fails('tool_failed'))
    assert.equal(admission.running, 0)
    assert.equal(admission.tryEnter(), true)
    await assert.rejects(within(read(run(request({ remainingMs: 20 }), options())), 'gives up'), fails('deadline_exceeded'))
    assert.equal(admission.waiting, 0)
  })

  it('refuses a stream that the tool does not read', async () => {
    const { run } = provider(echo)
    await assert.rejects(read(run(request({ stream: (async function* () {})() }), options())), fails('invalid_argument'))
  })

  it('runs a key of one caller once, and does not mix up callers or tools', async () => {
    let runs = 0
    const { run } = provider(async function* () {
      yield { kind: 'result', value: ++runs }
    })
    const keyed = async (change: Partial<ToolRequest>): Promise<unknown> =>
      (await read(run(request({ idempotencyKey: 'k', ...change }), options())))[0]
    assert.deepEqual(await keyed({}), await keyed({}))
    await keyed({ caller: 'other' })
    await keyed({ tool: 'u' })
    await keyed({ idempotencyKey: 'l' })
    assert.equal(runs, 4)
  })
})
