import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  CIRCUIT_ID_BYTES,
  FORWARD_PROTOCOL,
  encodeForwardRequest,
  type ForwardRequest
} from '../../protocols/forward/messages.ts'
import {
  GRADIENT_PROTOCOL,
  MAX_ROUTE_ROWS,
  MAX_ROUTE_WANTS,
  encodeGradientItem,
  encodeGradientOpen,
  type GradientItem,
  type RouteRowMessage
} from '../../protocols/gradient/messages.ts'
import { originBytes, originId } from '../../src/core/document.ts'
import { isMeshError, type MeshError } from '../../src/errors.ts'
import { MAX_CIRCUITS_PER_NEIGHBOUR, MAX_CIRCUITS_PER_WAY, FARTHEST } from '../../src/net/forwarder.ts'
import { ITEM_RATE } from '../../src/net/gradient.ts'
import { MAX_BAD_PROOFS } from '../../src/net/gradient-names.ts'
import { createSessions, type Sessions } from '../../src/net/sessions.ts'
import type { Mesh, MeshEvent, RouteView } from '../../src/mesh-api.ts'
import { until, within } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'
import { startWalled, type WalledNode } from '../fixtures/walled-node.ts'

/** An incarnation that no node is in. */
const NO_SUCH_LIFE = 0xffff_fff0

/** A member with a valid certificate does what it likes to a node that others depend on: a caller and a provider that cannot connect. */
describe('a node that passes on calls, under attack by a member', function () {
  this.timeout(90_000)
  let home: TestMesh
  let hub: Mesh
  let provider: Mesh
  let caller: Mesh
  let ends: WalledNode[]
  let attacker: WalledNode
  /** Further on: the hub is not connected with it, and reaches it over `second`. */
  let far: WalledNode
  let second: Mesh
  let gradient: Sessions
  let forward: Sessions
  const over = new AbortController()
  before(async () => {
    home = await createTestMesh('home')
    hub = await home.join('member')
    const peers = hub.multiaddrs()
    second = await home.join('member', { peers })
    // What goes between these two goes over the hub.
    ends = [
      await startWalled(await home.member(), { name: 'provider', listen: [], peers, walls: [second.peerId] }),
      await startWalled(await home.member(), { name: 'caller', listen: [], peers, walls: [second.peerId] })
    ]
    ;[provider, caller] = ends.map(({ mesh }) => mesh) as [Mesh, Mesh]
    provider.register({ id: 'echo', type: 'demo/echo', tools: [{ name: 'echo' }] }, { echo: (input) => input })
    attacker = await startWalled(await home.member(), { name: 'attacker', listen: [], peers, mute: GRADIENT_PROTOCOL })
    far = await startWalled(await home.member(), { name: 'far', listen: [], peers: second.multiaddrs(), walls: [hub.peerId] })
    await until(() => caller.capabilities({ id: 'echo' }).length === 1 && attacker.mesh.status().peers > 0, 'all are there')
    await until(() => wayToFar()?.hops === 2, 'the hub has a way to the one further on', 20_000)
    const sessions = (id: string): Sessions =>
      createSessions(
        { libp2p: attacker.voice, now: () => performance.now() },
        {
          id,
          // It hears what it is told, and says nothing.
          async *handle({ input }) {
            for await (const _ of input ?? []) yield* []
            return null
          }
        }
      )
    ;[gradient, forward] = [sessions(GRADIENT_PROTOCOL), sessions(FORWARD_PROTOCOL)]
    await gradient.start()
  })
  after(async () => {
    over.abort()
    await attacker.mesh.stop()
    for (const { mesh } of [far, ...ends]) await mesh.stop()
    await home.stop()
  })
  afterEach('passes calls on as before', async () => {
    const { result, route } = await caller.call('echo', 'echo', { still: 'here' }, { timeoutMs: 20_000 }).result
    assert.deepEqual([result, route.path], [{ still: 'here' }, [caller.peerId, hub.peerId, provider.peerId]])
  })

  /** Events of a node from now on. */
  function eventsOf(node: Mesh): MeshEvent[] {
    const list: MeshEvent[] = []
    void (async () => {
      for await (const event of node.events({ signal: over.signal })) list.push(event)
    })().catch(() => undefined)
    return list
  }
  /** What the hub goes by on its way to the one further on. */
  const wayToFar = (): Pick<RouteView, 'via' | 'hops' | 'sequence'> | undefined => {
    const view = hub.routes().nodes.find(({ node }) => node === far.mesh.peerId)
    return view && { via: view.via, hops: view.hops, sequence: view.sequence }
  }

  /** What becomes of an exchange; undefined: it ended without an error. */
  async function endOf(exchange: AsyncGenerator<unknown, unknown, void>): Promise<MeshError | undefined> {
    try {
      for await (const _ of exchange);
      return undefined
    } catch (error) {
      if (isMeshError(error)) return error
      throw error
    }
  }
  /** Tells the hub of routes, and ends when that is enough. */
  async function tell(items: Iterable<GradientItem>, isEnough = () => true): Promise<MeshError | undefined> {
    const session = await gradient.get(hub.peerId)
    const { signal } = new AbortController()
    const input = (async function* () {
      for (const item of items) yield encodeGradientItem(item)
      await until(isEnough, 'it is enough')
    })()
    return within(endOf(session.request(encodeGradientOpen(), { signal, input })), 'an end', 30_000)
  }
  const somebody = (): Uint8Array => Uint8Array.of(0, 36, 8, 1, 18, 32, ...randomBytes(32))
  const row = (origin: Uint8Array, change: Partial<RouteRowMessage> = {}): RouteRowMessage => ({
    origin,
    incarnation: NO_SUCH_LIFE,
    sequence: 1,
    metric: 0,
    hops: 0,
    ...change
  })
  function* times<T>(count: number, make: (n: number) => T): Generator<T> {
    for (let n = 0; n < count; n++) yield make(n)
  }
  const usedMb = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return (heapUsed + arrayBuffers) / 2 ** 20
  }

  it('remembers a bounded number of what it is told and asked of nodes that it does not know', async () => {
    const before = usedMb()
    for (let round = 0; round < 5; round++) {
      await tell(
        times(30, (n): GradientItem =>
          n % 2 === 0
            ? { kind: 'rows', rows: [...times(MAX_ROUTE_ROWS, () => row(somebody(), { metric: 0xffff_ffff }))], full: false }
            : { kind: 'wants', add: [...times(MAX_ROUTE_WANTS, somebody)], drop: [] }
        )
      )
    }
    assert.ok(hub.routes().nodes.length <= 5)
    assert.ok(usedMb() - before < 64, `${usedMb() - before} MB`)
  })

  it('ends with who names more origins on one session than there can be, or one that is none', async () => {
    const named = await tell(
      times(40, (): GradientItem => ({ kind: 'wants', add: [...times(MAX_ROUTE_WANTS, somebody)], drop: [] }))
    )
    assert.equal(named?.code, 'protocol_error')
    assert.equal((await tell([{ kind: 'wants', add: [Uint8Array.of(1, 2, 3)], drop: [] }]))?.code, 'protocol_error')
    assert.equal((await tell([{ kind: 'wants', add: [7], drop: [] }]))?.code, 'protocol_error')
  })

  it('answers questions for newer numbers, of anybody and without end, with nothing that others would feel', async () => {
    const ask = (origin: Uint8Array, n: number): GradientItem => ({
      kind: 'request',
      origin,
      incarnation: NO_SUCH_LIFE,
      sequence: n + 1,
      ttl: 64,
      signature: randomBytes(64)
    })
    const { incarnation, sequence } = wayToFar()!.sequence!
    const origins = [somebody(), originBytes(provider.peerId), originBytes(far.mesh.peerId)]
    assert.equal(await tell(times(150, (n) => ask(origins[n % origins.length]!, n))), undefined)
    // The same for numbers of the life that it has, but the next one, which anybody may ask for.
    const later = { incarnation, sequence: sequence + 1_000 }
    assert.equal(await tell([{ ...ask(originBytes(far.mesh.peerId), 0), ...later }]), undefined)
    await far.mesh.call('echo', 'echo', {}, { timeoutMs: 20_000 }).result
    const after = wayToFar()!.sequence!
    assert.equal(after.incarnation, incarnation)
    assert.ok(after.sequence < sequence + 100, `${sequence} became ${after.sequence}`)
  })

  it('takes no route whose number its origin has not signed, though it has no other', async () => {
    const { sequence } = wayToFar()!
    await second.stop()
    await until(() => wayToFar()?.via === null, 'there is no way any more', 20_000)
    const events = eventsOf(hub)
    const overAttacker = (): boolean =>
      events.some((one) => one.event === 'route' && one.node === far.mesh.peerId && one.via === attacker.mesh.peerId)
    const near = { metric: 10, hops: 1 }
    const rowOf = (change: Partial<RouteRowMessage>): GradientItem[] => [
      { kind: 'rows', rows: [row(originBytes(far.mesh.peerId), { ...near, ...change })], full: true }
    ]
    // Without a signature, with one that is not the node's, and as the node itself.
    for (const change of [{}, { signature: randomBytes(64) }, { ...sequence!, metric: 0, hops: 0 }])
      assert.equal(await tell(rowOf(change)), undefined)
    // The same row with a number that the node has signed is taken: so it is the check that has refused the others.
    const told = tell(rowOf({ ...sequence! }), overAttacker)
    await until(overAttacker, 'it is taken')
    assert.equal(events.filter(({ event }) => event === 'route').length, 1)
    await told
    await until(() => wayToFar()?.via === null, 'it holds as long as it is told')
  })

  it('ends with who goes on telling of routes that are not signed', async () => {
    const rows = [...times(MAX_BAD_PROOFS + 1, () => row(somebody(), { signature: randomBytes(64) }))]
    assert.equal((await tell([{ kind: 'rows', rows, full: true }]))?.code, 'protocol_error')
    assert.ok(attacker.mesh.peers().some(({ peerId, direct }) => direct && peerId === hub.peerId))
  })

  it('ends with who tells of routes too often, again and again', async () => {
    for (let n = 0; n < 3; n++) {
      const error = await tell(times(2 * ITEM_RATE.burst, (digest): GradientItem => ({ kind: 'digest', digest, count: 1 })))
      assert.equal(error?.code, 'busy')
    }
  })

  // ---- circuits ------------------------------------------------------------------------------
  const circuitTo = (destination: string, change: Partial<ForwardRequest> = {}): unknown =>
    encodeForwardRequest({
      destination: originBytes(destination),
      source: originBytes(attacker.mesh.peerId),
      circuit: randomBytes(CIRCUIT_ID_BYTES),
      ttl: 9,
      potential: FARTHEST,
      trace: false,
      ...change
    })

  it('tells who asks for ways to nobody, or with nonsense, what is wrong', async () => {
    const session = await forward.get(hub.peerId)
    const { signal } = new AbortController()
    const ends = await Promise.all(
      [
        circuitTo(originId(somebody()), { trace: true }),
        circuitTo(provider.peerId, { source: originBytes(hub.peerId), trace: true }),
        circuitTo(provider.peerId, { ttl: 0, trace: true }),
        { what: 'is this' },
        null
      ].map((body) => endOf(session.request(body, { signal })))
    )
    assert.deepEqual(
      ends.map((error) => [error?.code, error?.details['reason']]),
      [
        ['unavailable', 'no_route'],
        ['unavailable', 'loop'],
        ['unavailable', 'expired'],
        ['protocol_error', undefined],
        ['protocol_error', undefined]
      ]
    )
  })

  it('refuses more circuits of one neighbour than its share; others have room', async () => {
    const session = await forward.get(hub.peerId)
    const stop = new AbortController()
    const refused: string[] = []
    let taken = 0
    const all = [...times(3 * MAX_CIRCUITS_PER_NEIGHBOUR, (n) => n)].map(async () => {
      const input = (async function* () {
        await new Promise(() => undefined)
        yield undefined
      })()
      const exchange = session.request(circuitTo(provider.peerId), { signal: stop.signal, input })
      try {
        await exchange.next()
        taken++
        for await (const _ of exchange);
      } catch (error) {
        refused.push(isMeshError(error) ? error.code : String(error))
      }
    })
    await until(() => taken + refused.length === all.length, 'each has an answer', 20_000)
    assert.ok(taken <= MAX_CIRCUITS_PER_WAY, `${taken} were taken`)
    assert.deepEqual([...new Set(refused)], ['busy'])
    // Beside them that of another neighbour goes on.
    const { result } = await caller.call('echo', 'echo', { beside: 'them' }, { timeoutMs: 20_000 }).result
    assert.deepEqual(result, { beside: 'them' })
    stop.abort()
    await within(Promise.all(all), 'all are over')
  })
})
