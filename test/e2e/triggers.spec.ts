import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import type { PolicyRule } from '../../src/core/policy.ts'
import { MeshError, isMeshError, type EventFunction, type Mesh, type ReceivedEvent } from '../../src/index.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'
import { startWalled } from '../fixtures/walled-node.ts'

const camera = (trigger: Partial<TriggerDeclaration> = {}): CapabilityDeclaration => ({
  id: 'cam',
  type: 'sensor/camera',
  triggers: [{ event: 'person', intentTemplate: 'Somebody at {location}.', routeHint: 'agent/*', ...trigger }]
})
const agent = (id = 'guard'): CapabilityDeclaration => ({ id, type: `agent/${id}`, handles: {} })

describe('events from node to node', function () {
  this.timeout(30_000)
  let mesh: TestMesh
  beforeEach(async () => (mesh = await createTestMesh('events')))
  afterEach(() => mesh.stop())

  /** Nodes that are connected with the first. */
  async function nodes(count: number): Promise<Mesh[]> {
    const first = await mesh.join('owner')
    const others = []
    for (let n = 1; n < count; n++) others.push(await mesh.join('member', { peers: first.multiaddrs() }))
    const all = [first, ...others]
    await until(() => all.every((node) => node.peers().length === count - 1), 'all know each other')
    return all
  }
  const sees = (node: Mesh, ...ids: string[]): Promise<void> =>
    until(
      () => {
        const known = node.capabilities().map(({ id, node: at }) => `${id}@${at}`)
        return ids.every((id) => known.some((one) => one.startsWith(id)))
      },
      `it sees ${ids.join(', ')}`
    )

  it('an event is handled at another node, once, with all that is known of it', async () => {
    const [source, handler] = (await nodes(2)) as [Mesh, Mesh]
    const got: ReceivedEvent[] = []
    handler.register(agent(), {}, (event) => void got.push(event))
    source.register(camera())
    await sees(source, 'guard')
    const fired = await source.fire('cam', 'person', { location: 'the door' })
    const by = [`guard@${handler.peerId}`]
    assert.deepEqual(
      { ...fired, id: '' },
      { outcome: 'delivered', id: '', intent: 'Somebody at the door.', route: 'type', kept: false, by, tried: [] }
    )
    assert.deepEqual(
      got.map(({ time: _time, ...event }) => event),
      [
        {
          id: fired.id,
          mesh: source.status().mesh.id,
          node: source.peerId,
          capability: 'cam',
          type: 'sensor.camera.person',
          subject: 'the door',
          priority: 'normal',
          intent: 'Somebody at the door.',
          payload: { location: 'the door' },
          depth: 0,
          coalesced: 1,
          missing: 0,
          late: false,
          causes: [source.peerId]
        }
      ]
    )
  })

  it('with nobody there it says queued; what appears later gets all of it, and nothing twice', async () => {
    const [source, handler] = (await nodes(2)) as [Mesh, Mesh]
    source.register(camera())
    const ids = []
    for (let n = 0; n < 20; n++) {
      const { outcome, id, by } = await source.fire('cam', 'person', { n })
      assert.deepEqual([outcome, by], ['queued', []])
      ids.push(id)
    }
    const got: string[] = []
    handler.register(agent(), {}, ({ id }) => void got.push(id))
    await until(() => got.length >= 20, 'all are handled')
    const { id: last } = await source.fire('cam', 'person', { n: 20 }, { waitMs: 10_000 })
    assert.deepEqual(got.sort(), [...ids, last].sort())
  })

  it('whom an event means that takes none now is named, with its state and reason, until it goes on', async () => {
    const [source, handler] = (await nodes(2)) as [Mesh, Mesh]
    const got: unknown[] = []
    const guard = handler.register(agent(), {}, ({ payload }) => void got.push(payload))
    source.register(camera())
    await sees(source, 'guard')
    guard.suspend('on holiday')
    await until(() => source.capabilities({ id: 'guard', status: 'suspended' }).length === 1, 'it is told')
    const away = [
      { handler: `guard@${handler.peerId}`, state: 'suspended', reason: 'on holiday', isAgent: false, local: false }
    ] as const
    const fired = await source.fire('cam', 'person', 'late')
    assert.deepEqual([fired.outcome, fired.reason, fired.away], ['queued', 'no_handler', away])
    assert.deepEqual(source.waitingEvents().events[0]?.away, away)
    guard.resume()
    await until(() => got.length > 0, 'it gets the event')
    const later = await source.fire('cam', 'person', 'now')
    assert.deepEqual([later.outcome, 'away' in later, got], ['delivered', false, ['late', 'now']])
  })

  it('of two handlers one gets it, and the same one for the same subject; with all, both do', async () => {
    const [source, one, other] = (await nodes(3)) as [Mesh, Mesh, Mesh]
    const got: string[] = []
    for (const node of [one, other])
      node.register(agent(), {}, ({ subject, type }) => void got.push(`${type} ${subject} ${node.name}`))
    source.register({
      ...camera(),
      triggers: [...camera().triggers!, { event: 'fire', routeHint: 'agent/*', fanOut: 'all' }]
    })
    await sees(source, `guard@${one.peerId}`, `guard@${other.peerId}`)
    for (let n = 0; n < 3; n++)
      for (const location of ['a', 'b', 'c', 'd']) {
        const { outcome, by } = await source.fire('cam', 'person', { location })
        assert.deepEqual([outcome, by.length], ['delivered', 1])
      }
    assert.equal(got.length, 12)
    assert.equal(new Set(got).size, 4)
    got.length = 0
    const { outcome, by } = await source.fire('cam', 'fire', { location: 'a' })
    assert.deepEqual([outcome, by.length], ['delivered', 2])
    assert.equal(new Set(got).size, 2)
  })

  it('who throws gets it again, until it succeeds; who says never, not', async () => {
    const [source, handler] = (await nodes(2)) as [Mesh, Mesh]
    const tries: string[] = []
    handler.register(agent(), {}, ({ payload, id }) => {
      tries.push(id)
      if (payload === 'never') throw new MeshError('invalid_argument', 'no such door')
      if (tries.length < 3) throw new Error('no arms')
    })
    source.register(camera({ priority: 'critical' }))
    await sees(source, 'guard')
    const { outcome, tried } = await source.fire('cam', 'person', 'again', { waitMs: 100 })
    assert.deepEqual([outcome, tried.length], ['queued', 1])
    await until(() => tries.length === 3, 'three times', 10_000)
    assert.equal(new Set(tries).size, 1)
    const never = await source.fire('cam', 'person', 'never')
    assert.deepEqual([never.outcome, never.reason], ['dropped', 'invalid_argument'])
    const [letter] = source.deadLetters()
    assert.deepEqual(
      [letter?.id, letter?.reason, letter?.code, letter?.message],
      [never.id, 'failed', 'invalid_argument', 'no such door']
    )
    source.discardDeadLetter(never.id!)
    assert.deepEqual(source.deadLetters(), [])
  })

  it('what reaches nobody else goes to the sink of its node, and the answer says so', async () => {
    const source = await mesh.join('owner', { events: { sink: 'capability:clerk' } })
    const handler = await mesh.join('member', { peers: source.multiaddrs() })
    const got: unknown[] = []
    handler.register(agent('clerk'), {}, ({ payload }) => void got.push(payload))
    source.register(camera({ routeHint: 'agent/guard' }))
    source.register({ id: 'bell', type: 'doorbell', triggers: [{ event: 'rings' }] })
    await sees(source, 'clerk')
    const by = [`clerk@${handler.peerId}`]
    for (const [capability, event] of [
      ['cam', 'person'],
      ['bell', 'rings']
    ] as const) {
      const fired = await source.fire(capability, event, capability)
      assert.deepEqual([fired.outcome, fired.route, fired.by], ['delivered', 'sink', by])
    }
    handler.register(agent(), {}, ({ payload }) => void got.push(`guard ${JSON.stringify(payload)}`))
    await sees(source, 'guard')
    assert.equal((await source.fire('cam', 'person', 'again')).route, 'type')
    assert.deepEqual(got, ['cam', 'bell', 'guard "again"'])
    await assert.rejects(mesh.join('member', { events: { sink: 'Agent' } }), /events\.sink: "Agent" is no place for events/)
  })

  it('a policy that denies it: the source is told, and another may', async () => {
    const owner = await mesh.join('owner', { policy: [{ effect: 'deny', roles: ['member'], tools: ['handle'] }] })
    const source = await mesh.join('member', { peers: owner.multiaddrs() })
    const got: string[] = []
    const handle =
      (at: Mesh): EventFunction =>
      ({ id }) =>
        void got.push(`${at.name} ${id}`)
    owner.register(agent(), {}, handle(owner))
    source.register(camera())
    await sees(source, 'guard')
    const fired = await source.fire('cam', 'person', null, { waitMs: 500 })
    assert.deepEqual([fired.outcome, fired.by, fired.tried], ['queued', [], [`guard@${owner.peerId}`]])
    const friend = await mesh.join('member', { peers: owner.multiaddrs() })
    friend.register(agent(), {}, handle(friend))
    await until(() => got.length > 0, 'another handles it', 10_000)
    assert.deepEqual(got, [`${friend.name} ${fired.id}`])
  })

  it('a handler that stops in the middle: another one gets it, or itself when it is back', async () => {
    const source = await mesh.join('owner')
    const member = await mesh.member()
    const start = (): Promise<Mesh> => mesh.start(member, { peers: source.multiaddrs() })
    const first = await start()
    let begun = 0
    first.register(agent(), {}, async (_, { signal }) => {
      begun++
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    })
    source.register(camera())
    await sees(source, 'guard')
    const { outcome, id } = await source.fire('cam', 'person', null, { waitMs: 200 })
    assert.equal(outcome, 'queued')
    await until(() => begun === 1, 'it begins')
    await first.stop()
    const got: string[] = []
    const second = await start()
    second.register(agent(), {}, (event) => void got.push(event.id))
    await until(() => got.length > 0, 'it is handled after all', 15_000)
    assert.deepEqual(got, [id])
  })

  it('a handler fires what follows, on behalf of whom it handles for, and not without end', async () => {
    const [source, handler] = (await nodes(2)) as [Mesh, Mesh]
    const depths: number[] = []
    const causes: string[][] = []
    let last: unknown
    const relay = (node: Mesh, next: string): void => {
      node.register(
        {
          id: next,
          type: `agent/${next}`,
          handles: {},
          triggers: [{ event: 'next', routeHint: `capability:${next === 'a' ? 'b' : 'a'}` }]
        },
        {},
        async (event, context) => {
          depths.push(event.depth)
          causes.push([...event.causes])
          const fired = await node.fire(next, 'next', null, { depth: context.depth, causes: context.causes, waitMs: 0 })
          if (fired.outcome === 'dropped') last = fired
        }
      )
    }
    relay(source, 'a')
    relay(handler, 'b')
    await sees(source, 'b@')
    await sees(handler, 'a@')
    await source.fire('a', 'next')
    await until(() => last !== undefined, 'the ninth is dropped')
    assert.deepEqual(depths, [0, 1, 2, 3, 4, 5, 6, 7])
    assert.deepEqual(causes[1], [source.peerId, handler.peerId])
    assert.deepEqual(last, { outcome: 'dropped', kept: false, by: [], tried: [], reason: 'too_deep' })
  })

  it('over a hub, where source and handler cannot connect', async () => {
    const hub = await startWalled(await mesh.member('owner'), { name: 'hub' })
    const peers = hub.mesh.multiaddrs()
    const [a, b] = [await mesh.member(), await mesh.member()]
    const source = await startWalled(a, { name: 'source', peers, walls: [b.peerId] })
    const handler = await startWalled(b, { name: 'handler', peers, walls: [a.peerId] })
    try {
      const got: string[] = []
      const sizes: number[] = []
      handler.mesh.register(agent(), {}, ({ id, payload }) => {
        got.push(id)
        sizes.push(JSON.stringify(payload).length)
      })
      source.mesh.register(camera())
      await sees(source.mesh, 'guard')
      const fired = await source.mesh.fire('cam', 'person', null, { waitMs: 10_000 })
      assert.deepEqual([fired.outcome, fired.by], ['delivered', [`guard@${b.peerId}`]])
      assert.deepEqual(got, [fired.id])
      const large = { log: 'x'.repeat(1_000_000) }
      const second = await source.mesh.fire('cam', 'person', large, { waitMs: 20_000 })
      assert.deepEqual([second.outcome, got, sizes], ['delivered', [fired.id, second.id], [4, 1_000_010]])
    } finally {
      await Promise.all([source, handler, hub].map((node) => node.mesh.stop()))
    }
  })

  it('a large payload: to another node, to two capabilities of it, and to one of the own', async () => {
    const [source, handler] = (await nodes(2)) as [Mesh, Mesh]
    const got: string[] = []
    const payload = { location: 'door', log: 'é'.repeat(100_000) }
    const note =
      (name: string): EventFunction =>
      (event) => {
        assert.deepEqual(event.payload, payload)
        got.push(name)
      }
    handler.register(agent(), {}, note('guard'))
    handler.register(agent('cook'), {}, note('cook'))
    source.register(agent('own'), {}, note('own'))
    source.register(camera({ fanOut: 'all' }))
    await sees(source, 'guard', 'cook', 'own')
    const { outcome, by, tried } = await source.fire('cam', 'person', payload, { waitMs: 10_000 })
    assert.deepEqual([outcome, by.length, tried], ['delivered', 3, []])
    assert.deepEqual(got.sort(), ['cook', 'guard', 'own'])
    await assert.rejects(source.fire('cam', 'person', 'x'.repeat(17 * 1024 * 1024)), { code: 'too_large' })
  })

  describe('with data directories', () => {
    let dir: string
    beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'atmo-triggers-'))))
    afterEach(() => mesh.stop().then(() => rm(dir, { recursive: true, force: true })))

    it('a handler that takes long has it nevertheless: nobody else gets it, and it does not come again', async () => {
      const source = await mesh.join('owner', { dataDir: join(dir, 'a') })
      const peers = source.multiaddrs()
      const got: string[] = []
      for (const name of ['b', 'c']) {
        const node = await mesh.join('member', { dataDir: join(dir, name), peers })
        node.register(agent(), {}, async ({ id }) => {
          got.push(id)
          await new Promise((resolve) => setTimeout(resolve, 7_000))
        })
      }
      source.register(camera())
      await until(() => source.capabilities({ id: 'guard' }).length === 2, 'both are known')
      const { outcome, id, kept } = await source.fire('cam', 'person')
      assert.deepEqual([outcome, kept], ['delivered', true])
      await until(() => source.status().counters['events.done'] === 1, 'it is done', 15_000)
      assert.deepEqual(got, [id])
    })

    it('what waits for a yes waits for it after a restart as well, though its source is gone, and not once that is revoked', async () => {
      const member = await mesh.member('owner')
      const begun: string[] = []
      const policy: PolicyRule[] = [{ effect: 'ask', tools: ['handle'] }]
      const start = async (): Promise<Mesh> => {
        const node = await mesh.start(member, { dataDir: join(dir, 'a'), policy })
        node.register(agent(), {}, ({ id }) => void begun.push(id))
        return node
      }
      const asks = (node: Mesh): Promise<void> => until(() => node.approvals().length === 1, 'it asks', 10_000)
      const fire = async (node: Mesh): Promise<[Mesh, string]> => {
        const source = await mesh.join('member', { peers: node.multiaddrs() })
        source.register(camera())
        await sees(source, 'guard')
        const { outcome, id } = await source.fire('cam', 'person', { location: 'the door' })
        assert.equal(outcome, 'delivered', 'accepted: it is on the disk of the handler')
        await asks(node)
        return [source, id!]
      }
      const first = await start()
      const [source, id] = await fire(first)
      await first.stop()
      await source.stop()
      const second = await start()
      await asks(second)
      assert.deepEqual(begun, [])
      const [{ id: approval, caller }] = second.approvals() as unknown as [{ id: string; caller: string }]
      assert.equal(caller, source.peerId)
      second.approve(approval, true)
      await until(() => begun.length === 1, 'it is handled')
      assert.deepEqual(begun, [id])
      const [other] = await fire(second)
      await second.revoke(other.peerId, 'gone')
      await second.stop()
      await other.stop()
      const third = await start()
      // What came later and is allowed has been through the same queue.
      third.register(camera())
      await third.fire('cam', 'person')
      await until(() => begun.length === 2, 'the own one is handled')
      assert.deepEqual([third.approvals(), begun.length], [[], 2])
    })

    it('what nobody has done is there again after a restart, with the dead letters', async () => {
      const member = await mesh.member('owner')
      const start = async (): Promise<Mesh> => {
        const node = await mesh.start(member, { dataDir: join(dir, 'a') })
        node.register(camera({ expiresMs: 60_000 }))
        await sees(node, 'cam')
        return node
      }
      const first = await start()
      first.register(agent('cook'), {}, ({ payload }) => {
        throw new MeshError('invalid_argument', `not ${JSON.stringify(payload)}`)
      })
      await sees(first, 'cook')
      const dropped = await first.fire('cam', 'person', 1)
      assert.equal(dropped.outcome, 'dropped')
      await first.stop()
      const second = await start()
      assert.deepEqual(
        second.deadLetters().map(({ id, message }) => [id, message]),
        [[dropped.id, 'not 1']]
      )
      const queued = await second.fire('cam', 'person', 2)
      assert.deepEqual([queued.outcome, queued.kept], ['queued', true])
      await second.stop()
      const third = await start()
      const got: unknown[] = []
      let isWell = false
      third.register(agent(), {}, ({ payload, id }) => {
        if (!isWell && payload === 1) throw new MeshError('invalid_argument', 'still not 1')
        got.push([id, payload])
      })
      await until(() => got.length === 1, 'it is handled')
      third.replayDeadLetter(dropped.id!)
      await until(() => third.deadLetters()[0]?.message === 'still not 1', 'it fails anew, here')
      isWell = true
      third.replayDeadLetter(dropped.id!)
      await until(() => got.length === 2, 'so is the dead letter')
      assert.deepEqual(got, [
        [queued.id, 2],
        [dropped.id, 1]
      ])
    })
  })

  it('a trigger of a backend that is still starting is told to be so, and no unknown name', async () => {
    const [node] = (await nodes(1)) as [Mesh]
    let offer!: () => void
    const known = new Promise<void>((resolve) => (offer = resolve))
    const fired = (capability: string): Promise<unknown> =>
      node.fire(capability, 'person').then(
        ({ reason }) => reason,
        (error: unknown) => (isMeshError(error) ? [error.code, error.details] : error)
      )
    node.addBackend({
      id: 'slow',
      kind: 'camera',
      async *discover(signal) {
        await known
        yield [camera()]
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
      async *call() {}
    })
    const starting = { reason: 'starting', backends: ['slow'], capability: 'cam', retryAfterMs: 1_000 }
    assert.deepEqual(await fired('cam'), ['unavailable', starting])
    offer()
    await until(() => node.capabilities({ id: 'cam' }).length > 0, 'it is offered')
    assert.equal(await fired('cam'), 'no_handler')
    assert.deepEqual(await fired('other'), ['unknown_capability', { capability: 'other' }])
  })

  it('a node that stops with a way for events open does so at once', async () => {
    const [source, handler] = (await nodes(2)) as [Mesh, Mesh]
    handler.register(agent(), {}, () => undefined)
    source.register(camera())
    await sees(source, 'guard')
    await source.fire('cam', 'person')
    const begun = performance.now()
    await handler.stop()
    await source.stop()
    assert.ok(performance.now() - begun < 4_000)
  })
})
