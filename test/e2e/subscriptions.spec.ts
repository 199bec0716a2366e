import assert from 'node:assert/strict'
import { multiaddr } from '@multiformats/multiaddr'
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import type { PolicyRule } from '../../src/core/policy.ts'
import { isMeshError, type Mesh, type ObservedEvent, type ObservedNodeView, type Subscription } from '../../src/index.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'
import { startWalled } from '../fixtures/walled-node.ts'

const camera = (trigger: Partial<TriggerDeclaration> = {}, id = 'cam'): CapabilityDeclaration => ({
  id,
  type: 'sensor/camera',
  triggers: [{ event: 'person', intentTemplate: 'Somebody at {location}.', ...trigger }, { event: 'dark' }]
})

/** Guests may observe these, or all. */
const forGuests = (...capabilities: string[]): PolicyRule => ({
  effect: 'allow',
  roles: ['guest'],
  tools: ['observe'],
  ...(capabilities.length > 0 && { capabilities })
})

/** Other nodes whose events arrive. */
const open = (subscription: Subscription): string[] =>
  subscription.sources().flatMap(({ node, state }) => (state === 'open' ? [node] : []))

describe('subscriptions', function () {
  this.timeout(30_000)
  let mesh: TestMesh
  beforeEach(async () => (mesh = await createTestMesh('subscriptions')))
  afterEach(() => mesh.stop())

  async function pair(policy: NonNullable<Parameters<TestMesh['join']>[1]>['policy'] = []): Promise<[Mesh, Mesh]> {
    const source = await mesh.join('owner', { policy })
    const observer = await mesh.join('member', { peers: source.multiaddrs() })
    await until(() => observer.peers().length === 1 && source.peers().length === 1, 'they know each other')
    return [source, observer]
  }

  it('copies what fits, of this node and of others, whole; and takes it from no handler', async () => {
    const [source, observer] = await pair()
    const handled: string[] = []
    source.register({ id: 'guard', type: 'agent/guard', handles: {} }, {}, ({ id }) => void handled.push(id))
    source.register(camera({ routeHint: 'agent/*', priority: 'high' }))
    observer.register({ id: 'bell', type: 'doorbell', triggers: [{ event: 'rings' }] })
    const [some, all, own]: [ObservedEvent[], ObservedEvent[], ObservedEvent[]] = [[], [], []]
    const subscription = observer.on('sensor/*:person', (event) => void some.push(event))
    observer.on('**', (event) => void all.push(event))
    source.on('sensor/camera', (event) => void own.push(event))
    await until(() => open(subscription).length === 1, 'it observes')
    const { outcome, id, by } = await source.fire('cam', 'person', { location: 'the door' })
    assert.deepEqual([outcome, by], ['delivered', [`guard@${source.peerId}`]])
    const dark = await source.fire('cam', 'dark', null, { waitMs: 0 })
    const rings = await observer.fire('bell', 'rings', null, { waitMs: 0 })
    await until(() => all.length === 3 && own.length === 2, 'all have come')
    assert.deepEqual(handled, [id])
    assert.deepEqual(
      some.map(({ time: _time, ...event }) => event),
      [
        {
          id,
          mesh: mesh.id,
          node: source.peerId,
          capability: 'cam',
          capabilityType: 'sensor/camera',
          event: 'person',
          type: 'sensor.camera.person',
          sequence: some[0]!.sequence,
          subject: 'the door',
          routeHint: 'agent/*',
          priority: 'high',
          intent: 'Somebody at the door.',
          payload: { location: 'the door' },
          depth: 0,
          coalesced: 1,
          lost: 0,
          causes: [source.peerId]
        }
      ]
    )
    assert.match(some[0]!.sequence, /^\d{26}$/)
    assert.deepEqual(all.map((event) => event.id).sort(), [id, dark.id, rings.id].sort())
    assert.deepEqual(
      own.map((event) => event.id),
      [id, dark.id]
    )
  })

  it('an observer is no handler: what says nobody goes nowhere, and at low priority nothing is kept', async () => {
    const [source, observer] = await pair()
    source.register(camera({ priority: 'low', routeHint: 'agent/*' }))
    const got: string[] = []
    const subscription = observer.on('sensor/camera', ({ id }) => void got.push(id))
    await until(() => open(subscription).length === 1, 'it observes')
    const low = await source.fire('cam', 'person', null, { waitMs: 0 })
    const normal = await source.fire('cam', 'dark', null, { waitMs: 50 })
    await until(() => got.length === 2, 'both have come')
    assert.deepEqual([low.by, normal.outcome, normal.reason, normal.by], [[], 'dropped', 'no_route', []])
    assert.equal('route' in normal, false)
    assert.equal(source.status().counters['events.done'], undefined)
  })

  it('ends by close and by its signal, at the source as well; other patterns go on', async () => {
    const [source, observer] = await pair()
    source.register(camera())
    const got: string[] = []
    const abort = new AbortController()
    const persons = observer.on('sensor/camera:person', ({ event }) => void got.push(event))
    observer.on('sensor/camera:dark', ({ event }) => void got.push(event), { signal: abort.signal })
    await until(() => open(persons).length === 1, 'it observes')
    const fire = async (): Promise<void> => {
      await source.fire('cam', 'person', null, { waitMs: 0 })
      await source.fire('cam', 'dark', null, { waitMs: 0 })
    }
    await fire()
    await until(() => got.length === 2, 'both')
    abort.abort()
    await fire()
    await until(() => got.length === 3, 'one of them')
    persons.close()
    persons.close()
    assert.deepEqual(persons.sources(), [])
    await fire()
    const last = observer.on('**:dark', ({ event }) => void got.push(`last ${event}`))
    await until(() => open(last).length === 1, 'another one')
    await fire()
    await until(() => got.length === 4, 'that one alone')
    assert.deepEqual(got, ['person', 'dark', 'person', 'last dark'])
  })

  it('begins by itself where a source comes later, and again when it is back', async () => {
    const member = await mesh.member('owner')
    const observer = await mesh.join('member')
    const got: string[] = []
    const subscription = observer.on('sensor/*', ({ id }) => void got.push(id))
    for (let start = 0; start < 2; start++) {
      const source = await mesh.start(member, { peers: observer.multiaddrs() })
      source.register(camera())
      await until(() => open(subscription).includes(source.peerId), `it observes, start ${start}`, 10_000)
      const { id } = await source.fire('cam', 'person', null, { waitMs: 0 })
      await until(() => got.length === start + 1, 'it has come')
      assert.equal(got[start], id)
      await source.stop()
      await until(() => open(subscription).length === 0, 'it is gone')
    }
  })

  it('over a hub, where source and observer cannot connect', async () => {
    const hub = await startWalled(await mesh.member('owner'), { name: 'hub' })
    const peers = hub.mesh.multiaddrs()
    const [a, b] = [await mesh.member(), await mesh.member()]
    const source = await startWalled(a, { name: 'source', peers, walls: [b.peerId] })
    const observer = await startWalled(b, { name: 'observer', peers, walls: [a.peerId] })
    try {
      source.mesh.register(camera())
      const got: string[] = []
      const subscription = observer.mesh.on('sensor/*', ({ id }) => void got.push(id))
      await until(() => open(subscription).length === 1, 'it observes', 10_000)
      const { id } = await source.mesh.fire('cam', 'person', null, { waitMs: 0 })
      await until(() => got.length === 1, 'it has come')
      assert.deepEqual(got, [id])
      assert.equal(observer.mesh.peers().find(({ peerId }) => peerId === a.peerId)?.direct, false)
    } finally {
      await Promise.all([source, observer, hub].map((node) => node.mesh.stop()))
    }
  })

  it('the policy of the source decides what is copied, and the observer is told', async () => {
    const [source, observer] = await pair([
      { effect: 'deny', capabilities: ['secret'], tools: ['observe'] },
      { effect: 'ask', capabilities: ['asks'] }
    ])
    for (const id of ['secret', 'asks', 'cam']) source.register(camera({}, id))
    await until(() => observer.capabilities({ type: 'sensor/camera' }).length === 3, 'all are known')
    const got: string[] = []
    const subscription = observer.on('sensor/*', ({ capability }) => void got.push(capability))
    await until(() => open(subscription).length === 1, 'it observes')
    assert.deepEqual([...subscription.sources()[0]!.refused].sort(), ['asks', 'secret'])
    for (const id of ['secret', 'asks', 'cam']) await source.fire(id, 'person', null, { waitMs: 0 })
    await until(() => got.length === 1, 'one has come')
    assert.deepEqual(got, ['cam'])
  })

  it('guests observe nothing, unless a rule says so', async () => {
    const source = await mesh.join('owner', { policy: [forGuests()] })
    const closed = await mesh.join('owner', { peers: source.multiaddrs(), policy: [forGuests('bell')] })
    const peers = [...source.multiaddrs(), ...closed.multiaddrs()]
    const [member, guest] = [await mesh.join('member', { peers }), await mesh.join('guest', { peers })]
    for (const node of [source, closed]) for (const id of ['cam', 'bell']) node.register(camera({}, id))
    const seen = { member: [] as string[], guest: [] as string[] }
    const nameOf = ({ node, capability }: ObservedEvent): string =>
      `${node === source.peerId ? 'source' : 'closed'} ${capability}`
    const other = member.on('**', (event) => void seen.member.push(nameOf(event)))
    const subscription = guest.on('**', (event) => void seen.guest.push(nameOf(event)))
    await until(() => [other, subscription].every((one) => open(one).length === 2), 'both answer both')
    assert.deepEqual(Object.fromEntries(subscription.sources().map(({ node, refused }) => [node, refused])), {
      [source.peerId]: [],
      [closed.peerId]: ['cam']
    })
    const all: string[] = []
    for (const node of [source, closed]) {
      // What a guest may see comes after what it may not, over the same exchange: it marks the end of that.
      for (const id of ['cam', 'bell']) await node.fire(id, 'person', null, { waitMs: 0 })
      all.push(...['cam', 'bell'].map((id) => `${node === source ? 'source' : 'closed'} ${id}`))
      for (const one of Object.values(seen)) await until(() => one.at(-1) === all.at(-1), `${all.at(-1)} has come`)
    }
    assert.deepEqual(seen, { member: all, guest: all.filter((one) => one !== 'closed cam') })
  })

  it('a node that comes with a lower role observes less at once, over the same connection, and is told', async () => {
    const owner = await mesh.member('owner')
    const ownerMembership = await owner.membership()
    const source = await mesh.start(owner, { membership: ownerMembership, policy: [forGuests('bell')] })
    for (const id of ['cam', 'bell']) source.register(camera({}, id))
    const member = await mesh.member('member')
    const membership = await member.membership()
    let chain = membership.chain()
    const shown = { ...membership, chain: () => chain }
    const { mesh: observer, libp2p } = await startWalled(
      { ...member, membership: async () => shown },
      { peers: source.multiaddrs() }
    )
    try {
      const [got, told]: [string[], string[]] = [[], []]
      const textOf = ({ state, refused }: ObservedNodeView): string => [state, ...refused].join(' ')
      const onSources = (sources: ObservedNodeView[]): void => void told.push(sources.map(textOf).join())
      const subscription = observer.on('sensor/*', ({ capability }) => void got.push(capability), { onSources })
      await until(() => open(subscription).length === 1, 'it observes')
      await source.fire('cam', 'person', null, { waitMs: 0 })
      await until(() => got.length === 1, 'a member sees it')
      chain = (await ownerMembership.letIn(observer.peerId, { role: 'guest', forward: false }, 'observer')).chain
      // Another connection, over which it shows what it is now; the exchange is on the first one.
      await libp2p.dial(multiaddr(source.multiaddrs()[0]), { force: true })
      await until(() => subscription.sources()[0]?.refused.length === 1, 'it is told', 10_000)
      for (const id of ['cam', 'bell']) await source.fire(id, 'person', null, { waitMs: 0 })
      await until(() => got.length === 2, 'what guests may see comes')
      assert.deepEqual(got, ['cam', 'bell'])
      assert.deepEqual(told, ['asking', 'open', 'asking', 'open cam'])
    } finally {
      await observer.stop()
    }
  })

  it('an observer that hangs holds nobody up, and is told what it lost', async () => {
    const [source, observer] = await pair()
    source.register(camera({ priority: 'low' }))
    const got: ObservedEvent[] = []
    let release: (() => void) | undefined
    const slow = observer.on('sensor/*', (event) => {
      got.push(event)
      return got.length === 1 ? new Promise((resolve) => (release = resolve)) : undefined
    })
    const quick: string[] = []
    observer.on('sensor/*', ({ id }) => void quick.push(id))
    await until(() => open(slow).length === 1, 'it observes')
    const count = 1_101
    for (let n = 0; n < count; n++) {
      await source.fire('cam', 'person', n, { waitMs: 0 })
      if (n % 100 === 0) await until(() => quick.length === n + 1, `the quick one has ${n + 1}`)
    }
    await until(() => quick.length === count, 'the quick one has all')
    assert.equal(slow.dropped, 100)
    assert.equal(observer.status().counters['events.copies_dropped'], 100)
    release!()
    await until(() => got.length === count - 100, 'the rest has come')
    assert.deepEqual([got[1]!.lost, got[2]!.lost, got[1]!.payload], [100, 0, 101])
  })

  it('one that throws is told to the log alone, and goes on; bad patterns and too many are refused', async () => {
    const node = await mesh.join('owner')
    node.register(camera())
    let count = 0
    node.on('sensor/camera', () => {
      count++
      throw new Error('no arms')
    })
    for (let n = 0; n < 2; n++) await node.fire('cam', 'dark', null, { waitMs: 0 })
    await until(() => count === 2, 'both have come')
    assert.equal(node.status().counters['events.observer_failed'], 2)
    for (const pattern of ['', 'Sensor/*', 'sensor /*', 'a:b:c', ':person', 'x'.repeat(257), 'capability:cam@me'])
      assert.throws(
        () => node.on(pattern, () => undefined),
        (error) => isMeshError(error, 'invalid_argument'),
        pattern
      )
    assert.throws(
      () => Array.from({ length: 65 }, (_, n) => node.on(`sensor/n${n}`, () => undefined)),
      (error) => isMeshError(error, 'busy')
    )
  })

  it('a node that stops with subscriptions both ways does so at once', async () => {
    const [source, observer] = await pair()
    source.register(camera())
    observer.register(camera())
    const subscriptions = [source, observer].map((node) => node.on('**', () => undefined))
    await until(() => subscriptions.every((one) => open(one).length === 1), 'both observe')
    const begun = performance.now()
    await observer.stop()
    await source.stop()
    assert.ok(performance.now() - begun < 4_000)
    assert.throws(
      () => source.on('**', () => undefined),
      (error) => isMeshError(error, 'unavailable')
    )
  })
})
