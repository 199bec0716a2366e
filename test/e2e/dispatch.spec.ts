import assert from 'node:assert/strict'
import { proveDispatch } from '../../scripts/prove/dispatch.ts'
import type { ExplainedCandidate, Mesh } from '../../src/mesh-api.ts'
import { isMeshError } from '../../src/errors.ts'
import type { NodeOptions } from '../../src/node.ts'
import { atmoCommand } from '../fixtures/child.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { requireLab } from '../fixtures/netns.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

describe('the choice among real nodes', function () {
  this.timeout(60_000)
  let mesh: TestMesh
  beforeEach(async () => void (mesh = await createTestMesh('home')))
  afterEach(() => mesh.stop())

  /** A node that takes so long for each call, one after the other. */
  async function worker(name: string, ms: number, options: NodeOptions = {}, concurrency = 1): Promise<Mesh> {
    const node = await mesh.join('member', { name, ...options })
    node.register(
      { id: 'work', type: 'test/work', tools: [{ name: 'do', concurrency }] },
      { do: () => new Promise((resolve) => setTimeout(resolve, ms, name)) }
    )
    return node
  }

  async function caller(workers: Mesh[], options: NodeOptions = {}): Promise<Mesh> {
    const node = await mesh.join('member', { name: 'caller', peers: workers.flatMap((one) => one.multiaddrs()), ...options })
    const seen = (): number => node.capabilities({ id: 'work' }).filter(({ local }) => !local).length
    await until(() => seen() === workers.length && node.status().peers === workers.length, 'all are connected', 20_000)
    return node
  }
  const ask = async (node: Mesh, options = {}): Promise<string> =>
    (await node.call('work', 'do', {}, options).result).providerName
  const of = (node: Mesh, name: string): ExplainedCandidate =>
    node.explain('work', 'do').candidates.find(({ nodeName }) => nodeName === name)!

  it('learns of each reply who is fast, and says so', async () => {
    const node = await caller(await Promise.all([worker('slow', 400), worker('fast', 5)]))
    for (const name of ['fast', 'slow']) assert.notEqual(await ask(node, { notNode: [name] }), name)
    for (let n = 0; n < 5; n++) assert.equal(await ask(node), 'fast')
    const [fast, slow] = [of(node, 'fast'), of(node, 'slow')]
    assert.ok(slow.heardMs !== null && slow.serviceMs! > 350 && fast.serviceMs! < 200, JSON.stringify([fast, slow]))
    assert.deepEqual([fast.place, slow.place, fast.slots, fast.outstanding], [1, 2, 1, 0])
    assert.equal(await ask(node, { notNode: [fast.node] }), 'slow')
    await assert.rejects(ask(node, { notNode: ['fast'], maxLatencyMs: 20 }), (error) => isMeshError(error, 'unavailable'))
  })

  it('hears from providers what others know of them', async () => {
    const workers = await Promise.all([worker('slow', 400), worker('fast', 20)])
    const before = await caller(workers)
    for (const name of ['fast', 'slow', 'fast', 'slow']) await ask(before, { notNode: [name] })
    const node = await caller(workers, { name: 'new' })
    await ask(node)
    await until(() => of(node, 'slow').heardMs !== null && of(node, 'fast').heardMs !== null, 'both were asked')
    const [fast, slow] = [of(node, 'fast'), of(node, 'slow')]
    assert.ok(slow.serviceMs! > 350 && fast.serviceMs! < 200, JSON.stringify([fast, slow]))
  })

  it('spreads more calls than one node runs at once, and refuses none that may wait', async () => {
    const node = await caller(await Promise.all([worker('one', 30), worker('two', 30)]))
    const ran = await Promise.all(Array.from({ length: 16 }, () => ask(node)))
    assert.ok(ran.filter((name) => name === 'one').length >= 4, ran.join())
    assert.ok(ran.filter((name) => name === 'two').length >= 4, ran.join())
  })

  it('goes round those who are full with the calls of others', async () => {
    const [full, free] = await Promise.all([worker('full', 400), worker('free', 400)])
    const [others, node] = [await caller([full, free]), await caller([full, free], { name: 'new' })]
    const running = Array.from({ length: 8 }, () => others.call('work', 'do', {}, { node: 'full' }).result)
    await until(() => full.status().calls.inFlight === 8, 'it is full')
    assert.equal(await ask(node), 'free')
    await Promise.all(running)
  })

  it('weighs what nodes say that calls on them cost', async () => {
    const cost = { power: 'battery', price: 20 } as const
    const node = await caller(await Promise.all([worker('dear', 20, { cost }), worker('free', 250)]))
    for (const name of ['dear', 'free']) assert.notEqual(await ask(node, { notNode: [name] }), name)
    const [dear, free] = [of(node, 'dear'), of(node, 'free')]
    assert.deepEqual([dear.costMs, free.costMs], [450, 0], JSON.stringify(dear))
    assert.equal(await ask(node), 'free')
    assert.equal(await ask(node, { prefer: 'fast' }), 'dear')
    assert.equal(await ask(node, { prefer: 'cheap' }), 'free')
  })

  it('keeps calls here while that is nearly as good, and sends them out when it is not', async () => {
    const node = await caller([await worker('away', 20)])
    node.register(
      { id: 'work', type: 'test/work', tools: [{ name: 'do', concurrency: 1 }] },
      { do: () => new Promise((resolve) => setTimeout(resolve, 20)) }
    )
    await until(() => node.capabilities({ id: 'work' }).length === 2, 'it has it as well')
    const first = await node.call('work', 'do').result
    assert.equal(first.route.local, true)
    const ran = await Promise.all(Array.from({ length: 10 }, () => ask(node)))
    assert.ok(ran.includes('away') && ran.includes('caller'), ran.join())
    assert.equal(await ask(node, { prefer: 'local' }), 'caller')
  })

  it('goes to others as soon as a provider is gone', async () => {
    const [leaves, stays] = await Promise.all([worker('leaves', 5, {}, 4), worker('stays', 50, {}, 4)])
    const node = await caller([leaves, stays])
    for (let n = 0; n < 3; n++) await ask(node)
    const running = Array.from({ length: 20 }, () => ask(node))
    const stopped = leaves.stop()
    running.push(...Array.from({ length: 20 }, () => ask(node)))
    const ran = await Promise.all(running)
    assert.ok(ran.includes('stays'))
    await stopped
    assert.equal(await ask(node), 'stays')
  })
})

describe('load of processes', function () {
  this.timeout(120_000)
  before(function () {
    requireLab(this)
  })

  it('moves within 5 s from a node that becomes slow', async () => {
    atmoCommand()
    const result = (await proveDispatch({ seconds: 8 })) as { pass: boolean }
    assert.equal(result.pass, true, JSON.stringify(result))
  })
})
