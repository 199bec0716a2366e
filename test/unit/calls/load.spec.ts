import assert from 'node:assert/strict'
import { MAX_PROBE_WAIT_MS, PROBE_PAUSE_MS, createLoadProbes } from '../../../src/calls/load-probes.ts'
import { PROBE_RATE, createProvider, type ServedCall } from '../../../src/calls/provider.ts'
import { createReplays } from '../../../src/calls/replay.ts'
import { MAX_TOLD, SERVICE_FORGET_MS, TELL_EVERY_MS, createToolLoad } from '../../../src/calls/tool-load.ts'
import { BUSY_SLOTS, createAdmission } from '../../../src/core/admission.ts'
import type { Offer } from '../../../src/core/candidates.ts'
import type { Invoke, Item, Load, ToolRequest } from '../../../src/core/invoke.ts'
import { Provider } from '../../../src/core/provider-classes.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { within } from '../../fixtures/libp2p-pair.ts'

async function read(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('load of a tool', () => {
  it('is what runs and waits, and how long calls took', () => {
    let now = 0
    const admission = { running: 0, waiting: 0, slots: 2 }
    const load = createToolLoad(admission, () => now)
    assert.deepEqual(load.now(), { running: 0, slots: 2, serviceMs: undefined, ageMs: undefined })
    load.took(100)
    now = 40
    assert.deepEqual(load.now(), { running: 0, slots: 2, serviceMs: 100, ageMs: 40 })
    load.took(300)
    Object.assign(admission, { running: 2, waiting: 3 })
    assert.deepEqual(load.now(), { running: 5, slots: 2, serviceMs: 300, ageMs: 0 }, 'the first call loads what others need')
    for (let n = 0; n < 100; n++) load.took(50)
    assert.ok(Math.abs(load.now().serviceMs! - 50) < 1)
    now += 10 * SERVICE_FORGET_MS
    load.took(400)
    assert.ok(load.now().serviceMs! > 390, 'what was long ago counts little')
  })

  it('is told to each caller now and then, without its own call, and remembered for so many callers', () => {
    let now = 0
    const load = createToolLoad({ running: 2, waiting: 1, slots: 2 }, () => now)
    assert.equal(load.tell('a')!.running, 2)
    assert.equal(load.tell('a'), undefined)
    assert.ok(load.tell('b') !== undefined)
    now = TELL_EVERY_MS
    assert.ok(load.tell('a') !== undefined)
    for (let n = 0; n < MAX_TOLD; n++) load.tell(String(n))
    assert.ok(load.tell('a') !== undefined, 'forgotten')
  })
})

describe('load that a provider tells', () => {
  let now = 0
  const served: ServedCall[] = []
  let allowed = true
  let denied = false
  function provider(invoke: Invoke, { concurrency = 2, queue = 100 } = {}) {
    const admission = createAdmission('t', concurrency, queue)
    const load = createToolLoad(admission, () => now)
    const run = createProvider({
      self: 'me',
      find: () => ({ capability: { id: 'c', type: 't' }, tool: { name: 't', acceptsStream: true }, invoke, admission, load }),
      replays: createReplays(() => now),
      authorize(_local, _request, { signal }) {
        if (denied) throw new MeshError('permission_denied', 'not you')
        if (allowed) return undefined
        // As a policy that asks: nobody is asked once the signal is aborted.
        return signal.aborted ? Promise.reject(signal.reason as Error) : new Promise<void>(() => undefined)
      },
      meter: () => undefined,
      now: () => now,
      onBegin: () => undefined,
      onServed: (one) => served.push(one)
    })
    const told: Load[] = []
    const request = (change: Partial<ToolRequest> = {}): ToolRequest => ({
      capability: 'c',
      tool: 't',
      input: {},
      caller: 'peer',
      question: { only: false, answer: (one) => told.push(one) },
      ...change
    })
    const only = (change: Partial<ToolRequest> = {}): ToolRequest =>
      request({ question: { only: true, answer: (one) => told.push(one) }, ...change })
    return { run, admission, load, told, request, only }
  }
  const options = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })
  /** A tool that takes so long, of the clock of the test. */
  const takes = (ms: number): Invoke =>
    async function* () {
      now += ms
      yield { kind: 'json', value: 1 }
      now += ms
      yield { kind: 'result', value: null }
    }
  beforeEach(() => {
    now = 0
    served.length = 0
    allowed = true
    denied = false
  })

  it('comes with a good end, and counts no time in which the caller holds an item', async () => {
    const { run, request, told } = provider(takes(30))
    for await (const item of run(request(), options())) if (item.kind === 'json') now += 10_000
    assert.deepEqual(told, [{ running: 0, slots: 2, serviceMs: 60, ageMs: 0 }])
    await read(run(request({ question: undefined }), options()))
    assert.equal(told.length, 1)
  })

  it('comes also where there is no result, but not where the tool fails, and no time is learned from that', async () => {
    const { run, request, told, load } = provider(async function* () {
      now += 50
    })
    await read(run(request(), options()))
    assert.deepEqual(told, [{ running: 0, slots: 2, serviceMs: 50, ageMs: 0 }])
    const failing = provider(() => {
      throw new Error('no')
    })
    await assert.rejects(read(failing.run(failing.request(), options())))
    assert.deepEqual([failing.told, failing.load.now().serviceMs], [[], undefined])
    assert.equal(load.now().serviceMs, 50)
  })

  it('learns no time from calls that wait for what is streamed in', async () => {
    const { run, request, load } = provider(takes(30))
    await read(run(request({ stream: (async function* () {})() }), options()))
    assert.equal(load.now().serviceMs, undefined)
  })

  it('says ahead of an input who may not call, without asking anybody, and runs nothing', async () => {
    let ran = 0
    const { run, request } = provider(async function* () {
      ran++
    })
    const ahead = (change: Partial<ToolRequest> = {}) => read(run(request({ ahead: true, ...change }), options()))
    assert.deepEqual(await ahead(), [])
    allowed = false
    assert.deepEqual(await within(ahead(), 'who is asked about may send its input'), [])
    assert.deepEqual([ran, served], [0, []])
    denied = true
    await assert.rejects(ahead(), { code: 'permission_denied' })
    assert.deepEqual(
      served.splice(0).map(({ error }) => error?.code),
      ['permission_denied'],
      'it is told like a call that was refused'
    )
    assert.deepEqual(await ahead({ caller: 'me' }), [])
    ;[denied, allowed] = [false, true]
    await read(run(request({ idempotencyKey: 'k' }), options()))
    denied = true
    assert.deepEqual(await ahead({ idempotencyKey: 'k' }), [], 'the outcome of before is told again')
    await assert.rejects(ahead({ idempotencyKey: 'another' }), { code: 'permission_denied' })
    assert.equal(ran, 1)
  })

  it('is told without a call to who may call, at a rate, and counts as none', async () => {
    const { run, only, told, load } = provider(takes(30))
    load.took(70)
    assert.deepEqual(await read(run(only(), options())), [])
    assert.deepEqual([told.splice(0), served], [[{ running: 0, slots: 2, serviceMs: 70, ageMs: 0 }], []])
    allowed = false
    await assert.rejects(within(read(run(only(), options())), 'nobody is asked'), { code: 'permission_denied' })
    await read(run(only({ caller: 'me' }), options()))
    assert.equal(told.splice(0).length, 1)
    allowed = true
    for (let n = 2; n < PROBE_RATE.burst; n++) await read(run(only(), options()))
    await assert.rejects(read(run(only(), options())), { code: 'busy' })
    await read(run(only({ caller: 'another' }), options()))
  })

  it('comes with a refusal, also of those that can go elsewhere long before the queue is full', async () => {
    let release!: () => void
    const gate = new Promise<void>((resolve) => (release = resolve))
    const { run, request, load, admission } = provider(async function* () {
      await gate
    })
    load.took(40)
    const running = Array.from({ length: 2 * BUSY_SLOTS }, () => read(run(request(), options())))
    assert.equal(admission.running + admission.waiting, 2 * BUSY_SLOTS)
    const refused = await read(run(request({ elsewhere: true }), options())).catch((error: MeshError) => error)
    assert.ok(isMeshError(refused, 'busy'))
    const details = { running: 2, waiting: 4, slots: 2, serviceMs: 40, notStarted: true, elsewhere: true }
    assert.deepEqual(refused.details, details)
    const waits = read(run(request(), options()))
    release()
    await Promise.all([...running, waits])
    await read(run(request({ elsewhere: true }), options()))
  })

  it('lets no tool say that a way is lost, or that a call should go elsewhere', async () => {
    const { run, request } = provider(() => {
      throw new MeshError('unavailable', 'a call of its own', { lost: true, elsewhere: true, notStarted: true, why: 1 })
    })
    const details = await read(run(request(), options())).catch((error: MeshError) => error.details)
    assert.deepEqual(details, { why: 1 })
  })
})

describe('probes', () => {
  const provider = (node: string, change: Partial<Offer> = {}): Provider => {
    const capability = { id: 'c', type: 't', tools: [{ name: 't' }] }
    return new Provider(
      { node, nodeName: node, local: false, direct: true, rttMs: 1, id: 'c', type: 't', capability, ...change },
      't'
    )
  }
  function probes(answer: (node: string) => Promise<Load>) {
    let now = 0
    const heard: [string, number][] = []
    const asked: ToolRequest[] = []
    const all = createLoadProbes({
      self: 'me',
      invokeAt: ({ node }) =>
        async function* (request) {
          asked.push(request)
          request.question!.answer(await answer(node))
        },
      dispatcher: { feedback: ({ node }, { running }) => heard.push([node, running]) },
      now: () => now
    })
    return { all, heard, asked, later: (ms: number) => (now += ms) }
  }
  const two = [provider('a'), provider('b')]

  it('ask all at once, and share what is on its way', async () => {
    const { all, heard, asked } = probes(async (node) => ({ running: node === 'a' ? 1 : 2, slots: 1 }))
    await Promise.all([all.ask(two, 't', ['cause']), all.ask([two[0]!], 't', undefined)])
    assert.deepEqual(heard, [
      ['a', 1],
      ['b', 2]
    ])
    assert.deepEqual([asked.length, asked[0]!.question!.only, asked[0]!.causes], [2, true, ['cause']])
    await all.ask(two, 't', undefined)
    assert.equal(asked.length, 4)
  })

  it('hold up no call for long, and are of use if they come late', async () => {
    let release!: (load: Load) => void
    const late = new Promise<Load>((resolve) => (release = resolve))
    const { all, heard } = probes(() => late)
    await within(all.ask([provider('a', { rttMs: 60_000 })], 't', undefined), 'goes on', 20 * MAX_PROBE_WAIT_MS)
    assert.deepEqual(heard, [])
    release({ running: 7, slots: 1 })
    await late
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(heard, [['a', 7]])
  })

  it('leave in peace for a while who does not know them or refuses, and who cannot be reached at once', async () => {
    const { all, asked, later } = probes(async () => {
      throw new MeshError('protocol_error', 'field "c" is missing')
    })
    await all.ask([two[0]!], 't', undefined)
    await all.ask([two[0]!, provider('far', { direct: false })], 't', undefined)
    assert.equal(asked.length, 1)
    await all.ask([provider('routed', { direct: false, hops: 2 })], 't', undefined)
    later(PROBE_PAUSE_MS)
    await all.ask([two[0]!], 't', undefined)
    assert.equal(asked.length, 3)
  })
})
