import assert from 'node:assert/strict'
import { MAX_KEYED, KEYED_TTL_MS, createKeyedProviders } from '../../../src/calls/keyed-providers.ts'
import { MAX_AGAIN, MAX_ATTEMPTS, loadOf, outcomeOf } from '../../../src/calls/retry.ts'
import { Cancellation } from '../../../src/core/cancellation.ts'
import { IDLE_RETRIES, RETRIES_PER_CALL } from '../../../src/core/dispatch/retry-budget.ts'
import type { Invoke, Load } from '../../../src/core/invoke.ts'
import { MeshError, isMeshError, type ErrorCode } from '../../../src/errors.ts'
import type { CallItem, CallOptions } from '../../../src/mesh-api.ts'
import { answers, inTurn, scriptedMesh as mesh, throws } from '../../fixtures/scripted-mesh.ts'

const fails =
  (code: ErrorCode, message = /./) =>
  (error: unknown) =>
    isMeshError(error, code) && message.test(error.message)
const lost = throws('unavailable', [], { lost: true })
const told = (load: Load): Invoke =>
  async function* ({ question }) {
    question?.answer(load)
    yield { kind: 'result', value: null }
  }

describe('choice of providers for calls', () => {
  const provider = async (of: ReturnType<typeof mesh>, options?: CallOptions): Promise<string> =>
    (await of.call('echo', 'echo', {}, options).result).provider

  it('goes to the one that is expected to be done first, by what they say of themselves', async () => {
    const two = mesh([told({ running: 0, slots: 1, serviceMs: 500 }), told({ running: 0, slots: 1, serviceMs: 50 })])
    const seen: string[] = []
    for (let n = 0; n < 4; n++) seen.push(await provider(two))
    assert.deepEqual(seen, ['p0', 'p1', 'p1', 'p1'], 'each is tried once, then the better one')
    assert.equal(two.rank(1).serviceMs, 50)
    assert.deepEqual(two.probed[0], ['p0', 'p1'], 'nothing was known of them')
  })

  it('lets no calls that wait for the same answer go to the same one', async () => {
    const two = mesh([answers('x'), answers('y')], { concurrency: 1 })
    await Promise.all(Array.from({ length: 6 }, () => two.call('echo', 'echo').result))
    assert.equal(two.probed.length, 6)
    assert.deepEqual(two.asked, ['p0', 'p1', 'p0', 'p1', 'p0', 'p1'])
  })

  it('asks for the load of one of several, and of no only one', async () => {
    const alone = mesh([answers('x')])
    await alone.call('echo', 'echo').result
    assert.deepEqual([alone.requests[0]!.question, alone.requests[0]!.elsewhere, alone.probed], [undefined, undefined, []])
    assert.equal(alone.rank(0).outstanding, 0)
    const two = mesh([answers('x'), answers('y')])
    await two.call('echo', 'echo').result
    assert.equal(two.requests[0]!.question!.only, false)
  })

  it('lets nobody of a worse class have a call while a better one has somebody usable', async () => {
    const changes = [
      { mesh: 'other' },
      { direct: false },
      { capability: { id: 'echo', type: 'demo/echo', status: 'busy' as const, tools: [{ name: 'echo' }] } },
      { capability: { id: 'echo', type: 'demo/echo', status: 'degraded' as const, tools: [{ name: 'echo' }] } },
      {}
    ]
    const all = mesh([answers('foreign'), answers('no way'), lost, lost, lost], {}, changes)
    await assert.rejects(all.call('echo', 'echo').result, fails('unavailable', /after 5 tries at 3 providers/))
    assert.deepEqual(all.asked.splice(0), ['p4', 'p3', 'p2', 'p2', 'p2'], 'then the last again')
    for (let n = 0; n < 2; n++) assert.equal(await provider(all), 'p1', 'what cannot be reached is passed over')
    assert.deepEqual(all.asked.splice(0), ['p4', 'p3', 'p1', 'p4', 'p3', 'p1'])
    assert.equal(await provider(all), 'p1')
    assert.equal(await provider(all, { notNode: ['p1'] }), 'p0')
    assert.deepEqual(all.asked, ['p1', 'p0'])
  })

  it('prefers this node where it is nearly as good, and wherever it is able if that is asked', async () => {
    const own = {
      local: true,
      capability: { id: 'echo', type: 'demo/echo', status: 'degraded' as const, tools: [{ name: 'echo' }] }
    }
    const two = mesh([answers('own'), told({ running: 0, slots: 1, serviceMs: 1_000 })], {}, [own])
    assert.equal(await provider(two), 'p1')
    assert.equal(await provider(two, { prefer: 'local' }), 'p0')
    two.change(0, { capability: { ...own.capability, status: 'online' } })
    two.here.load = { running: 0, slots: 1, serviceMs: 900 }
    assert.equal(await provider(two), 'p0')
    two.here.load = { running: 2, slots: 1, serviceMs: 900 }
    assert.equal(await provider(two), 'p1', 'its own load is looked at before each call')
    assert.equal(two.requests.at(-1)!.question!.only, false)
  })

  it('leaves out who is excluded, by PeerId or name, and who would take too long', async () => {
    const three = mesh([0, 1, 2].map((n) => told({ running: 0, slots: 1, serviceMs: 100 * (n + 1) })))
    assert.equal(await provider(three, { notNode: ['p0', 'node1'] }), 'p2')
    await assert.rejects(
      three.call('echo', 'echo', {}, { notNode: ['node4'] }).result,
      fails('invalid_argument', /no node to exclude is called "node4"; did you mean "node0"/)
    )
    assert.equal(three.asked.length, 1, 'nobody is called')
    assert.equal(await provider(three, { maxLatencyMs: 50 }), 'p0', 'of whom nothing is known, nothing is expected')
    assert.equal(await provider(three, { maxLatencyMs: 50 }), 'p1')
    await assert.rejects(
      three.call('echo', 'echo', {}, { maxLatencyMs: 50 }).result,
      fails(
        'unavailable',
        /nobody is left \(.*longer than the 50 ms that are allowed: node0: 100 ms, node1: 201 ms, node2: 302 ms\)/
      )
    )
    await assert.rejects(
      three.call('echo', 'echo', {}, { notNode: ['p0', 'p1', 'p2'] }).result,
      fails('unavailable', /excluded by the caller: node0, node1, node2/)
    )
    const one = mesh([answers('x')])
    await assert.rejects(one.call('echo', 'echo', {}, { notNode: ['p0'] }).result, fails('unavailable', /excluded/))
    assert.deepEqual(one.asked, [])
  })

  it('takes no result of the cache from a node that is excluded', async () => {
    const { call } = mesh([answers('of 0'), answers('of 1')], { cache: { ttlMs: 60_000 } })
    assert.equal((await call('echo', 'echo').result).result, 'of 0')
    assert.equal((await call('echo', 'echo', {}, { notNode: ['node0'] }).result).result, 'of 1')
  })

  it('weighs what calls cost by what the caller prefers', async () => {
    const dear = mesh([answers('dear'), answers('free')], {}, [{ cost: { price: 1 } }, { rttMs: 400 }])
    assert.equal(await provider(dear), 'p0')
    assert.equal(await provider(dear, { prefer: 'cheap' }), 'p1')
    assert.equal(await provider(mesh([answers('x'), answers('y')], {}, [{ cost: { power: 'battery' } }])), 'p1')
  })

  it('goes by what the one says that failed, not by what another says, where a second run may do harm', async () => {
    const project = { capability: { id: 'echo', type: 'demo/echo', tools: [{ name: 'echo', idempotent: false }] } }
    const far = { rttMs: 400 }
    const two = mesh([answers('plain'), throws('unavailable')], {}, [far, project])
    await assert.rejects(two.call('echo', 'echo').result, fails('unavailable', /^scripted$/))
    assert.deepEqual(two.asked, ['p1'])
    const turned = mesh([answers('project'), throws('unavailable')], {}, [{ ...project, ...far }])
    assert.equal(await provider(turned), 'p0')
    assert.deepEqual(turned.asked, ['p1', 'p0'])
  })

  it('tells a provider that it may refuse only where another one is at hand and a retry is left', async () => {
    const refuses = throws('busy', [], { running: 1, waiting: 2, slots: 1, serviceMs: 70, notStarted: true, elsewhere: true })
    const two = mesh([refuses, answers('y')], { idempotent: false })
    assert.equal(await provider(two), 'p1')
    assert.deepEqual(
      two.requests.map(({ elsewhere }) => elsewhere),
      [true, undefined],
      'the last one takes it'
    )
    const { why, running, serviceMs, slots } = two.rank(0)
    assert.deepEqual([why, Math.round(running), serviceMs, slots], ['full', 3, 70, 1])
    assert.equal(await provider(two), 'p1')
    assert.equal(two.requests.at(-1)!.elsewhere, undefined, 'the other one is full')
    await two.call('echo', 'echo', {}, { failover: false }).result
    assert.equal(two.requests.at(-1)!.elsewhere, undefined)
  })

  it('lets no provider send calls elsewhere that was not told that there is one', async () => {
    const refuses = throws('busy', [], { notStarted: true, elsewhere: true })
    const one = mesh([refuses, refuses])
    for (let n = 0; n < 40; n++) await assert.rejects(one.call('echo', 'echo').result, fails('busy'))
    // Each pays with a retry of the budget; what nobody offered is not owed.
    assert.ok(one.asked.length <= 40 + IDLE_RETRIES + 4 + 40 / 3, `${one.asked.length} asked`)
  })

  it('pays for retries where all refuse, and for none where providers are lost', async () => {
    const busy = mesh([throws('busy'), throws('busy')])
    for (let n = 0; n < IDLE_RETRIES + 3; n++) await assert.rejects(busy.call('echo', 'echo').result, fails('busy'))
    assert.equal(busy.asked.length, IDLE_RETRIES + 3 + IDLE_RETRIES)
    const gone = mesh([lost, answers('y')])
    for (let n = 0; n < 20; n++) assert.equal(await provider(gone), 'p1')
  })

  describe('calls of one request, each made where the one before failed', () => {
    const busy = new MeshError('busy', 'the other model')

    it('take retries of the same budget, and fail with what the one before did where there is none', async () => {
      const one = mesh([answers('x')])
      await one.call('echo', 'echo', {}, { attempt: {} }).result
      for (let n = 0; n < IDLE_RETRIES; n++) await one.call('echo', 'echo', {}, { attempt: { after: busy } }).result
      assert.equal(one.asked.length, 1 + IDLE_RETRIES)
      const refused = one.call('echo', 'echo', {}, { attempt: { after: busy } })
      await assert.rejects(refused.result, (error) => error === busy)
      assert.equal(one.asked.length, 1 + IDLE_RETRIES)
    })

    it('pay for a part of a retry once for a request', async () => {
      const two = mesh([answers('x'), answers('y')])
      let went = 0
      for (let n = 0; n < 100; n++) {
        await two.call('echo', 'echo', {}, { attempt: {} }).result
        for (let further = 0; further < 2; further++)
          went += await two.call('echo', 'echo', {}, { attempt: { after: busy } }).result.then(
            () => 1,
            () => 0
          )
      }
      assert.ok(went <= IDLE_RETRIES + 100 * RETRIES_PER_CALL + 1e-6 && went >= 100 * RETRIES_PER_CALL, `${went} went on`)
    })

    it('need none after what makes no fleet busier', async () => {
      const one = mesh([answers('x')])
      const after = new MeshError('unavailable', 'gone')
      for (let n = 0; n < 20; n++) await one.call('echo', 'echo', {}, { attempt: { after } }).result
      assert.equal(one.asked.length, 20)
    })
  })

  it('learns from a refusal, whatever load comes with it', async () => {
    const idle = { running: 0, waiting: 0, slots: 4, serviceMs: 1, notStarted: true, elsewhere: true }
    const two = mesh([throws('busy', [], idle), told({ running: 0, slots: 1, serviceMs: 200 })])
    for (let n = 0; n < 20; n++) assert.equal(await provider(two), 'p1')
    assert.ok(two.asked.filter((node) => node === 'p0').length <= 2, two.asked.join())
  })

  it('leaves alone for a while who says that it takes no more of this node now', async () => {
    const limit = throws('busy', [], { reason: 'limit', retryAfterMs: 30_000, notStarted: true })
    const two = mesh([limit, answers('y')])
    for (let n = 0; n < 3; n++) assert.equal(await provider(two), 'p1')
    assert.deepEqual(two.asked, ['p0', 'p1', 'p1', 'p1'])
  })

  it('tries the same one again if the way to it was lost and there is no other', async () => {
    const comesBack = mesh([inTurn(lost, lost, answers('back'))])
    const { result, route } = await comesBack.call('echo', 'echo').result
    assert.deepEqual([result, route.tried.length], ['back', 2])
    const gone = mesh([lost])
    await assert.rejects(gone.call('echo', 'echo').result, fails('unavailable', /after 3 tries at it/))
    assert.equal(gone.asked.length, 1 + MAX_AGAIN)
    const says = mesh([throws('unavailable')])
    await assert.rejects(says.call('echo', 'echo').result, fails('unavailable'))
    assert.equal(says.asked.length, 1, 'one that answers is there')
    const many = mesh(Array.from({ length: 5 }, () => lost))
    await assert.rejects(many.call('echo', 'echo').result)
    assert.equal(many.asked.length, MAX_ATTEMPTS + MAX_AGAIN)
  })

  it('loses no call that may run twice, and runs none twice that must not', async () => {
    const item = { kind: 'json', value: 1 } as const
    const cut = throws('unavailable', [item], { lost: true })
    const items: CallItem[] = []
    for await (const one of mesh([inTurn(cut, answers('whole'))], { idempotent: true }).call('echo', 'echo')) items.push(one)
    assert.deepEqual(items, [
      item,
      { kind: 'restart', provider: 'p0', reason: 'unavailable' },
      { kind: 'result', value: 'whole' }
    ])
    for (const [script, tool, options] of [
      [cut, {}, {}],
      [lost, { idempotent: false }, {}],
      [lost, {}, { failover: false }]
    ] as const) {
      const once = mesh([script], tool)
      await assert.rejects(once.call('echo', 'echo', {}, options).result, fails('unavailable'))
      assert.equal(once.asked.length, 1)
    }
    const neverSent = throws('unavailable', [], { lost: true, notStarted: true })
    assert.equal(await provider(mesh([inTurn(neverSent, answers('x'))], { idempotent: false })), 'p0')
  })

  it('gives the same key to the same provider, though others are better by then', async () => {
    const two = mesh([answers('x'), answers('y')])
    const keyed = (key: string): Promise<string> => provider(two, { idempotencyKey: key })
    assert.equal(await keyed('k'), 'p0')
    for (let n = 0; n < 5; n++)
      two.dispatcher.feedback(two.providers()[0]!, { running: 9, slots: 1, serviceMs: 5_000 }, performance.now())
    assert.deepEqual([await keyed('other'), await keyed('k')], ['p1', 'p0'])
    assert.equal(two.rank(0).serviceMs, 5_000, 'what was done before says nothing of the time')
    assert.equal(await provider(two, { idempotencyKey: 'k', notNode: ['p0'] }), 'p1')
    assert.equal(await keyed('k'), 'p1', 'which has it now')
  })

  it('shows who was between', async () => {
    const far = mesh([answers('x')], {}, [{ direct: false, via: 'between', hops: 2, metricMs: 9, rttMs: undefined }])
    const { route } = await far.call('echo', 'echo').result
    assert.deepEqual([route.path, route.hops, route.rttMs], [['self', 'between', 'p0'], 2, null])
  })

  it('counts no time in which the caller holds an item', async () => {
    const { call, rank } = mesh([throws('tool_failed', [{ kind: 'json', value: 1 }]), answers('y')])
    let at = 0
    for await (const one of call('echo', 'echo')) {
      assert.equal(one.kind, 'json')
      at = performance.now()
      break
    }
    assert.ok(at > 0)
    assert.deepEqual([rank(0).outstanding, rank(0).serviceMs], [0, 1_000], 'left early: nothing was learned')
  })
})

describe('what the end of a try says', () => {
  const none = new Cancellation()
  const aborted = new Cancellation()
  aborted.abort(new MeshError('unavailable', 'the node that this was for is gone', { lost: true }))
  const cases: [string, string, ConstructorParameters<typeof MeshError> | undefined, Cancellation, boolean, boolean?][] = [
    ['a result', 'ok', undefined, none, true],
    ['a result after a stream', 'answered', undefined, none, false],
    ['a failure of the tool', 'answered', ['tool_failed', ''], none, true],
    ['a mistake', 'answered', ['invalid_argument', ''], none, true],
    ['a lost session', 'failed', ['unavailable', '', { lost: true }], none, true],
    ['a capability that is off', 'failed', ['unavailable', ''], none, true],
    ['nonsense', 'failed', ['protocol_error', ''], none, true],
    ['a refusal', 'busy', ['busy', ''], none, true],
    ['a deadline', 'timeout', ['deadline_exceeded', ''], none, true],
    ['a cancelled call', 'cancelled', ['cancelled', ''], none, true],
    ['a stream that was left', 'answered', ['cancelled', ''], none, true, true],
    ['a stream that lasts longer than the deadline', 'answered', ['deadline_exceeded', ''], none, true, true],
    ['a stream that broke off', 'failed', ['unavailable', '', { lost: true }], none, true, true],
    ['a call of somebody who is gone', 'cancelled', ['unavailable', '', { lost: true }], aborted, true]
  ]
  for (const [what, outcome, error, cancellation, measures, yielded = false] of cases) {
    it(`${what}: ${outcome}`, () =>
      assert.equal(outcomeOf(error && new MeshError(...error), cancellation, measures, yielded), outcome))
  }

  it('reads a load out of a refusal only where there is one', () => {
    const read = (details: Record<string, unknown>): Load | undefined => loadOf(new MeshError('busy', '', details))
    assert.deepEqual(read({ running: 2, waiting: 3, slots: 2, serviceMs: 4 }), { running: 5, slots: 2, serviceMs: 4 })
    assert.deepEqual(read({ running: 2, waiting: 3, slots: 2, serviceMs: 'x' }), { running: 5, slots: 2, serviceMs: undefined })
    assert.equal(read({ running: 2, waiting: 3 }), undefined)
    assert.equal(read({ running: '2', waiting: 3, slots: 1 }), undefined)
  })
})

describe('providers that have a key', () => {
  it('are known for as long as outcomes are kept, and only so many', () => {
    let now = 0
    const keyed = createKeyedProviders(() => now)
    keyed.given('k', 'a')
    assert.equal(keyed.of('k'), 'a')
    now = KEYED_TTL_MS
    assert.equal(keyed.of('k'), undefined)
    for (let n = 0; n <= MAX_KEYED; n++) keyed.given(String(n), 'b')
    assert.deepEqual([keyed.of('0'), keyed.of('1')], [undefined, 'b'])
  })
})
