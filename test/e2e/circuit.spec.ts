import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { CALL_PROTOCOL } from '../../protocols/call/messages.ts'
import { CIRCUIT_ID_BYTES, FORWARD_PROTOCOL, encodeForwardReply, encodeForwardRequest } from '../../protocols/forward/messages.ts'
import { encodeFrame } from '../../protocols/framing/messages.ts'
import { GRADIENT_PROTOCOL } from '../../protocols/gradient/messages.ts'
import { SYNC_PROTOCOL } from '../../protocols/sync/messages.ts'
import { originBytes } from '../../src/core/document.ts'
import { isMeshError, type MeshError } from '../../src/errors.ts'
import type { CallResult, Mesh, MeshEvent } from '../../src/mesh-api.ts'
import { CARRIED_TURNS } from '../../src/net/circuit-trial.ts'
import { createCircuits } from '../../src/net/circuits.ts'
import { FARTHEST } from '../../src/net/forwarder.ts'
import { createNodeLibp2p } from '../../src/net/node-preset.ts'
import { until, within } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMember, type TestMesh } from '../fixtures/test-mesh.ts'
import { startWalled, touching, type WalledNode, type WalledOptions } from '../fixtures/walled-node.ts'
import { HELLO } from '../protocols/raw-stream.ts'

/** What a call is made of, in words that occur nowhere else. */
const WORDS = { tool: 'unfasten', input: 'the-dog-barks-at-midnight', result: 'gold-under-the-third-stair' }

/** What is behind the provider: what it was asked. */
interface Vault {
  opened: { caller: string; word: unknown }[]
  /** Aborted when the call that it streams to is over. */
  streams: AbortSignal[]
}
function equip(node: Mesh): Vault {
  const vault: Vault = { opened: [], streams: [] }
  node.register(
    { id: 'vault', type: 'test/vault', tools: [{ name: WORDS.tool, idempotent: true }, { name: 'watch' }] },
    {
      [WORDS.tool]: (input, { caller }) => {
        vault.opened.push({ caller, word: input['word'] })
        return WORDS.result
      },
      async *watch(_input, { signal }) {
        vault.streams.push(signal)
        yield 0
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        return null
      }
    }
  )
  return vault
}

describe('calls between nodes that cannot connect', function () {
  this.timeout(60_000)
  let home: TestMesh
  let walled: WalledNode[]
  let stops: (() => void)[]
  beforeEach(async () => {
    ;[walled, stops] = [[], []]
    home = await createTestMesh('home')
  })
  afterEach(async () => {
    for (const stop of stops) stop()
    await Promise.all([home.stop(), ...walled.map(({ mesh }) => mesh.stop())])
  })

  async function start(member: TestMember, options: WalledOptions = {}): Promise<WalledNode> {
    const node = await startWalled(member, options)
    walled.push(node)
    return node
  }
  const hopsTo = (from: Mesh, to: Mesh): number | null | undefined =>
    from.peers().find(({ peerId }) => peerId === to.peerId)?.hops
  const viaTo = (from: Mesh, to: Mesh): string | null | undefined =>
    from.routes().nodes.find(({ node }) => node === to.peerId)?.via
  const knows = (from: Mesh, to: Mesh, hops = 2): Promise<void> =>
    until(() => hopsTo(from, to) === hops && from.capabilities({ id: 'vault' }).length > 0, `a way of ${hops} hops`, 15_000)
  const open = (from: Mesh, options = {}): Promise<CallResult> =>
    from.call('vault', WORDS.tool, { word: WORDS.input }, { timeoutMs: 20_000, ...options }).result
  async function failure(from: Mesh, options = {}): Promise<MeshError> {
    try {
      await within(open(from, options), 'an end', 55_000)
    } catch (error) {
      if (isMeshError(error)) return error
      throw error
    }
    return assert.fail('it was answered')
  }
  /** Events of a node from now on. */
  function eventsOf(node: Mesh): MeshEvent[] {
    const stop = new AbortController()
    stops.push(() => stop.abort())
    const list: MeshEvent[] = []
    void (async () => {
      for await (const event of node.events({ signal: stop.signal })) list.push(event)
    })().catch(() => undefined)
    return list
  }

  // ---- what it is like -----------------------------------------------------------------------
  it('go over a node between them, which sees nothing of them, and views and events say so', async () => {
    const hub = await home.join('member')
    const peers = hub.multiaddrs()
    const provider = await home.join('member', { listen: [], peers })
    const vault = equip(provider)
    await until(() => hub.status().peers === 1, 'the provider is there')
    const caller = await home.start(await home.member(), { listen: [], peers })
    const events = eventsOf(caller)
    await knows(caller, provider)
    const { result, route } = await open(caller)
    assert.deepEqual([result, vault.opened], [WORDS.result, [{ caller: caller.peerId, word: WORDS.input }]])
    assert.deepEqual([route.path, route.hops, route.local], [[caller.peerId, hub.peerId, provider.peerId], 2, false])
    const { direct, via } = caller.peers().find(({ peerId }) => peerId === provider.peerId)!
    assert.deepEqual([direct, via, viaTo(caller, provider), hopsTo(caller, hub)], [false, hub.peerId, hub.peerId, 1])
    const told = events.find((event) => event.event === 'route' && event.node === provider.peerId)
    assert.ok(told?.event === 'route')
    assert.deepEqual([told.nodeName, told.via, told.hops, told.before], [provider.name, hub.peerId, 2, null])
    const trace: string[] = []
    for await (const { node } of caller.trace(provider.name)) trace.push(node)
    assert.deepEqual(trace, [hub.peerId, provider.peerId])
    assert.deepEqual([caller.status().peers, provider.status().peers, hub.status().peers], [1, 1, 2])
    // When the provider leaves, the way to it goes with it.
    await provider.stop()
    await until(() => caller.capabilities({ id: 'vault' }).length === 0, 'it is gone')
  })

  it('go over as many as it takes', async () => {
    const [a, b, c, d] = await Promise.all([1, 2, 3, 4].map(() => home.member()))
    const [first, second] = [await start(b!), await start(c!)]
    const line = [await start(a!, { peers: first.mesh.multiaddrs(), walls: [c!.peerId, d!.peerId] }), first, second]
    line.push(await start(d!, { peers: second.mesh.multiaddrs(), walls: [a!.peerId, b!.peerId] }))
    for (const [n, walls] of [
      [a!, c!, d!],
      [b!, d!],
      [c!, a!],
      [d!, a!, b!]
    ].entries())
      for (const { peerId } of walls.slice(1)) line[n]!.walls.add(peerId)
    await second.mesh.addPeer(first.mesh.multiaddrs()[0]!)
    const [from, to] = [line[0]!.mesh, line[3]!.mesh]
    const vault = equip(to)
    await knows(from, to, 3)
    const { route } = await open(from)
    assert.deepEqual(
      route.path,
      [a!, b!, c!, d!].map(({ peerId }) => peerId)
    )
    const watching = from.call('vault', 'watch')[Symbol.asyncIterator]()
    assert.deepEqual((await watching.next()).value, { kind: 'json', value: 0 })
    await watching.return?.(undefined)
    await until(() => vault.streams[0]?.aborted === true, 'who leaves is seen to leave at the other end')
  })

  it('are allowed and refused as over a connection: by who calls, as its certificates prove it', async () => {
    const hub = await home.join('member')
    const peers = hub.multiaddrs()
    const provider = await home.join('member', {
      listen: [],
      peers,
      policy: [
        { effect: 'allow', roles: ['admin'], capabilities: ['vault'] },
        { effect: 'deny', roles: ['member'], capabilities: ['vault'] }
      ]
    })
    const vault = equip(provider)
    const [admin, member, guest] = await Promise.all(
      (['admin', 'member', 'guest'] as const).map((role) => home.join(role, { listen: [], peers }))
    )
    for (const caller of [admin!, member!, guest!]) await knows(caller, provider)
    assert.equal((await open(admin!)).result, WORDS.result)
    assert.equal((await failure(member!)).code, 'permission_denied')
    const refused = await failure(guest!)
    assert.deepEqual([refused.code, /a guest may not/.test(refused.message)], ['permission_denied', true])
    assert.deepEqual(
      vault.opened.map(({ caller }) => caller),
      [admin!.peerId]
    )
  })

  // ---- who may do what -----------------------------------------------------------------------
  it('do not go over a node without the right to pass on: nobody takes its word for a way, and it passes nothing on', async () => {
    const hub = await start(await home.member('member', { forward: false }))
    const peers = hub.mesh.multiaddrs()
    const provider = await home.join('member', { listen: [], peers })
    const vault = equip(provider)
    // This one does not care whose word it takes.
    const caller = await start(await home.member(), { listen: [], peers })
    await until(() => caller.mesh.capabilities({ id: 'vault' }).length === 1, 'it is known', 15_000)
    const error = await failure(caller.mesh, { timeoutMs: 10_000 })
    assert.equal(error.code, 'unavailable')
    assert.deepEqual([viaTo(caller.mesh, provider), hopsTo(caller.mesh, provider)], [null, null])
    assert.equal(hub.mesh.status().counters['forward.right'], undefined, 'nobody has asked it')
    const session = await caller.forwarding.get(hub.mesh.peerId)
    const request = {
      destination: originBytes(provider.peerId),
      source: originBytes(caller.mesh.peerId),
      circuit: new Uint8Array(CIRCUIT_ID_BYTES),
      ttl: 9,
      potential: FARTHEST,
      trace: false
    }
    await assert.rejects(session.request(encodeForwardRequest(request), {}).next(), (thrown) =>
      isMeshError(thrown, 'permission_denied')
    )
    assert.deepEqual([hub.mesh.status().counters['forward.right'], vault.opened], [1, []])
  })

  it('end at once when the caller is revoked, and it makes no new ones', async () => {
    const hub = await start(await home.member('owner'))
    const peers = hub.mesh.multiaddrs()
    const provider = await start(await home.member(), { listen: [], peers })
    const vault = equip(provider.mesh)
    const caller = await start(await home.member(), { listen: [], peers })
    await knows(caller.mesh, provider.mesh)
    const watching = caller.mesh.call('vault', 'watch', {}, { timeoutMs: 50_000 })
    const items = watching[Symbol.asyncIterator]()
    await items.next()
    const before = performance.now()
    await hub.mesh.revoke(caller.mesh.peerId, 'stolen')
    await assert.rejects(within(items.next(), 'its call ends', 2_000), (error) => isMeshError(error))
    const left = (): number => provider.libp2p.getConnections(peerIdFromString(caller.mesh.peerId)).length
    await until(() => vault.streams[0]?.aborted === true && left() === 0, 'the provider is rid of it', 2_000)
    assert.ok(performance.now() - before < 2_000)
    assert.ok(isMeshError(await failure(caller.mesh, { timeoutMs: 5_000 })))
    assert.deepEqual(vault.opened, [])
  })

  it('let nobody in who would not be let in over a connection, whoever brings them', async () => {
    const owner = await start(await home.member('owner'))
    const peers = owner.mesh.multiaddrs()
    const provider = await start(await home.member(), { peers })
    // A member that brings whom it likes.
    const smuggler = await start(await home.member(), {
      peers: provider.mesh.multiaddrs(),
      forwarding: touching((bytes) => bytes)
    })
    await until(
      () => provider.mesh.peers().some(({ peerId, direct }) => direct && peerId === smuggler.mesh.peerId),
      'it is in',
      15_000
    )
    const revoked = await start(await home.member(), { listen: [], peers })
    await until(() => owner.mesh.members().some(({ peerId }) => peerId === revoked.mesh.peerId), 'it is a member', 15_000)
    await owner.mesh.revoke(revoked.mesh.peerId, 'stolen')
    await until(() => !owner.mesh.members().some(({ peerId }) => peerId === revoked.mesh.peerId), 'it is none any more')
    const stranger = await createNodeLibp2p(await generateKeyPair('Ed25519'), [])
    await stranger.start()
    stops.push(() => void stranger.stop())

    const bring = async (guest: WalledNode['libp2p']): Promise<Connection> => {
      const circuits = createCircuits({
        self: guest.peerId.toString(),
        sessions: smuggler.forwarding,
        upgrades: guest.services.upgrades,
        hopTo: (peer) => ({ peer, hops: 1, metric: 10, linkMetric: 10, potential: undefined })
      })
      const { connection } = await within(circuits.open(provider.mesh.peerId, new AbortController().signal), 'a circuit')
      // Whatever the other end proves: this one does as it likes.
      guest.services.gate.admit(provider.mesh.peerId)
      return connection
    }
    const isIn = ({ peerId }: WalledNode['libp2p']): boolean => provider.libp2p.services.gate.isAdmitted(peerId.toString())
    for (const [what, guest] of [
      ['one that proves nothing', stranger],
      ['one that is revoked', revoked.libp2p]
    ] as const) {
      const connection = await bring(guest)
      const closed = until(() => connection.status !== 'open', `${what}: turned out`, 15_000)
      const stream = await connection.newStream(CALL_PROTOCOL, { runOnLimitedConnection: true }).catch(() => undefined)
      stream?.send(encodeFrame({ type: 'hello', hello: HELLO }))
      let heard = 0
      stream?.addEventListener('message', () => heard++)
      await closed
      assert.deepEqual([isIn(guest), heard], [false, 0], what)
      await until(() => provider.libp2p.getConnections(guest.peerId).length === 0, `${what}: gone`)
    }
    assert.equal(provider.mesh.status().counters['admission.refused'], 1, 'as over any connection')

    // One that belongs here is let in this way as well, and finds nothing open but calls.
    const guest = await start(await home.member(), { listen: [] })
    const connection = await bring(guest.libp2p)
    await until(() => isIn(guest.libp2p), 'it is admitted')
    const call = await connection.newStream(CALL_PROTOCOL, { runOnLimitedConnection: true })
    let heard = 0
    call.addEventListener('message', () => heard++)
    call.send(encodeFrame({ type: 'hello', hello: HELLO }))
    await until(() => heard > 0, 'it is answered')
    for (const id of [SYNC_PROTOCOL, FORWARD_PROTOCOL, GRADIENT_PROTOCOL]) {
      const stream = await connection.newStream(id, { runOnLimitedConnection: true }).catch(() => undefined)
      if (stream !== undefined) await until(() => stream.status !== 'open', `${id} is reset`)
    }
  })

  // ---- hostile forwarders --------------------------------------------------------------------
  /** Provider and caller at the ends, and a node between them that does something with what it passes on. */
  async function between(touch: Parameters<typeof touching>[0]) {
    const hub = await start(await home.member(), { name: 'hostile', forwarding: touching(touch) })
    const peers = hub.mesh.multiaddrs()
    const provider = await start(await home.member(), { listen: [], peers })
    const vault = equip(provider.mesh)
    const caller = await start(await home.member(), { listen: [], peers })
    await knows(caller.mesh, provider.mesh)
    return { hub, provider, vault, caller: caller.mesh }
  }

  it('show a forwarder no byte of tool, input or result', async () => {
    const seen: Buffer[] = []
    const { caller, vault } = await between((bytes) => (seen.push(Buffer.from(bytes)), bytes))
    assert.equal((await open(caller)).result, WORDS.result)
    const watching = caller.call('vault', 'watch')[Symbol.asyncIterator]()
    await watching.next()
    await watching.return?.(undefined)
    assert.equal(vault.opened.length, 1)
    const all = Buffer.concat(seen)
    assert.ok(all.length > 2_000, `${all.length} bytes`)
    // What both ends say in the clear before they encrypt is there: the spy does see.
    assert.ok(all.includes('/multistream/1.0.0'))
    for (const word of [...Object.values(WORDS), 'vault', 'watch', 'member', '/atmosphere/']) assert.ok(!all.includes(word), word)
  })

  for (const to of ['destination', 'source'] as const) {
    it(`fail, typed, when a forwarder changes a bit of what goes to the ${to}, and nothing else comes of it`, async () => {
      let flips = false
      const { caller, vault } = await between((bytes, direction) => {
        if (!flips || direction !== to) return bytes
        const changed = Uint8Array.from(bytes)
        changed[changed.length >> 1]! ^= 1
        return changed
      })
      assert.equal((await open(caller)).result, WORDS.result)
      vault.opened.length = 0
      flips = true
      const error = await failure(caller, { timeoutMs: 8_000 })
      assert.ok(['unavailable', 'deadline_exceeded'].includes(error.code), error.code)
      for (const { word } of vault.opened) assert.equal(word, WORDS.input)
      if (to === 'destination') assert.deepEqual(vault.opened, [], 'the provider has seen nothing of it')
      flips = false
      await until(() => viaTo(caller, walled[1]!.mesh) !== null, 'there is a way')
      assert.equal((await open(caller)).result, WORDS.result)
    })
  }

  it('fail within seconds when a forwarder swallows them in the middle, and go another way if there is one', async () => {
    let swallows = false
    const { caller, provider, vault, hub } = await between((bytes) => (swallows ? undefined : bytes))
    assert.equal((await open(caller)).result, WORDS.result)
    assert.equal(viaTo(caller, provider.mesh), hub.mesh.peerId)
    swallows = true
    const honest = await start(await home.member(), { name: 'honest' })
    for (const end of [caller, provider.mesh]) await end.addPeer(honest.mesh.multiaddrs()[0]!)
    await until(() => caller.status().peers === 2 && provider.mesh.status().peers === 2, 'there is another way', 15_000)
    vault.opened.length = 0
    const events = eventsOf(caller)
    const from = performance.now()
    const { route } = await open(caller, { timeoutMs: 30_000 })
    assert.deepEqual(route.path, [caller.peerId, honest.mesh.peerId, provider.mesh.peerId])
    assert.ok(performance.now() - from < 15_000)
    // Whoever lets a call go silent is the last choice from then on.
    assert.equal(viaTo(caller, provider.mesh), honest.mesh.peerId)
    const changed = events.findLast((event) => event.event === 'route' && event.node === provider.mesh.peerId)
    assert.ok(changed?.event === 'route')
    assert.deepEqual([changed.via, changed.before], [honest.mesh.peerId, hub.mesh.peerId])
    assert.equal(vault.opened.length, 1)
    const again = performance.now()
    await open(caller)
    assert.ok(performance.now() - again < 1_000, 'calls after it do not wait')
  })

  it('go another way also when a forwarder lets all pass that goes before a call, and swallows the call', async () => {
    let swallows = false
    let [turns, last] = [0, 'source']
    const { caller, provider, hub } = await between((bytes, to) => {
      if (Buffer.from(bytes).indexOf('\x13/multistream/1.0.0\n') === 0 && to === 'destination') turns = 0
      if (to === 'destination' && last === 'source') turns++
      last = to
      // Its ends know each other after three, and are let in after five.
      return swallows && turns > CARRIED_TURNS - 1 ? undefined : bytes
    })
    swallows = true
    const honest = await start(await home.member(), { name: 'honest' })
    for (const end of [caller, provider.mesh]) await end.addPeer(honest.mesh.multiaddrs()[0]!)
    await until(() => caller.status().peers === 2 && provider.mesh.status().peers === 2, 'there is another way', 15_000)
    assert.equal(viaTo(caller, provider.mesh), hub.mesh.peerId)
    for (let n = 0; viaTo(caller, provider.mesh) !== honest.mesh.peerId; n++) {
      assert.ok(n < 3)
      await open(caller, { timeoutMs: 20_000 }).catch(() => undefined)
    }
    const from = performance.now()
    assert.equal((await open(caller)).result, WORDS.result)
    assert.ok(performance.now() - from < 1_000, 'calls after it do not wait')
  })

  it('fail within seconds when the only forwarder accepts them, answers the path and swallows the rest', async () => {
    const hub = await start(await home.member(), {
      forwarding: () =>
        async function* ({ body, input, signal }) {
          const { d } = body as { d: Uint8Array }
          yield encodeForwardReply({ kind: 'path', nodes: [originBytes(hub.mesh.peerId), d] })
          for await (const item of input ?? []) void item
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          return null
        }
    })
    const peers = hub.mesh.multiaddrs()
    const provider = await start(await home.member(), { listen: [], peers })
    const vault = equip(provider.mesh)
    const caller = await start(await home.member(), { listen: [], peers })
    await knows(caller.mesh, provider.mesh)
    const from = performance.now()
    const error = await failure(caller.mesh, { timeoutMs: 50_000 })
    assert.equal(error.code, 'unavailable')
    assert.match(error.message, /nothing came back/)
    assert.ok(performance.now() - from < 15_000)
    assert.deepEqual(vault.opened, [])
  })

  it('are none where all see all: nobody speaks of routes then', async () => {
    const first = await start(await home.member())
    const peers = first.mesh.multiaddrs()
    const all = [first]
    for (let n = 0; n < 7; n++) all.push(await start(await home.member(), { peers }))
    // Each session of the protocol is a stream.
    const speaking = (): number =>
      all
        .flatMap(({ libp2p }) => libp2p.getConnections().flatMap(({ streams }) => streams))
        .filter(({ protocol }) => protocol === GRADIENT_PROTOCOL).length
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, speaking())), 50)
    stops.push(() => clearInterval(watch))
    const seen = (): boolean => all.every(({ mesh }) => mesh.peers().filter(({ direct }) => direct).length === all.length - 1)
    await until(seen, 'all see all', 20_000)
    assert.equal(most, 0)
  })

  // ---- when they can connect -----------------------------------------------------------------
  it('go directly once there is a connection, which also brings gossip and sync; over others again when it is lost', async () => {
    const hub = await start(await home.member())
    const peers = hub.mesh.multiaddrs()
    const [one, other] = [await home.member(), await home.member()]
    const caller = await start(one, { name: 'caller', peers, walls: [other.peerId] })
    const provider = await start(other, { name: 'provider', peers, walls: [one.peerId] })
    const vault = equip(provider.mesh)
    await knows(caller.mesh, provider.mesh)
    assert.equal((await open(caller.mesh)).route.hops, 2)
    const gossips = (): boolean => caller.libp2p.services.pubsub.getPeers().some((peer) => peer.toString() === other.peerId)
    assert.equal(gossips(), false, 'never over a circuit')
    // A call that runs over the circuit goes on there.
    const watching = caller.mesh.call('vault', 'watch', {}, { timeoutMs: 50_000 })[Symbol.asyncIterator]()
    await watching.next()

    const connect = async (): Promise<void> => {
      for (const { walls } of [caller, provider]) walls.clear()
      await caller.mesh.addPeer(provider.mesh.multiaddrs()[0]!)
      await until(() => hopsTo(caller.mesh, provider.mesh) === 1, 'they are neighbours', 15_000)
    }
    await connect()
    const { route } = await open(caller.mesh)
    assert.deepEqual([route.path, route.hops], [[one.peerId, other.peerId], 1])
    const { direct, via } = caller.mesh.peers().find(({ peerId }) => peerId === other.peerId)!
    assert.deepEqual([direct, via], [true, null])
    await until(gossips, 'gossip runs over it')
    assert.equal(vault.streams[0]?.aborted, false)
    await watching.return?.(undefined)

    // Without the node between them they still hear of each other.
    for (const { walls } of [caller, provider]) walls.add(hub.mesh.peerId)
    for (const connection of hub.libp2p.getConnections()) connection.abort(new Error('cut'))
    await until(() => caller.mesh.status().peers === 1 && provider.mesh.status().peers === 1, 'the hub is cut off')
    provider.mesh.register({ id: 'late', type: 'test/late', tools: [] })
    await until(() => caller.mesh.capabilities({ id: 'late' }).length === 1, 'what is announced arrives')
    for (const { walls } of [caller, provider]) walls.clear()
    for (const { mesh } of [caller, provider]) await mesh.addPeer(hub.mesh.multiaddrs()[0]!)
    await until(() => [caller, provider].every(({ mesh }) => mesh.status().peers === 2), 'the hub is back', 15_000)

    caller.walls.add(other.peerId)
    provider.walls.add(one.peerId)
    for (const connection of caller.libp2p.getConnections(peerIdFromString(other.peerId))) connection.abort(new Error('cut'))
    await until(() => hopsTo(caller.mesh, provider.mesh) === 2, 'a way over the hub', 15_000)
    assert.deepEqual((await open(caller.mesh)).route.path, [one.peerId, hub.mesh.peerId, other.peerId])
  })
})
