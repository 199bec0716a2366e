import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { MAX_FORWARD_TTL, encodeForwardReply } from '../../../protocols/forward/messages.ts'
import { MAX_ROUTE_METRIC } from '../../../protocols/gradient/messages.ts'
import { originBytes } from '../../../src/core/document.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'
import { CARRIED_TURNS } from '../../../src/net/circuit-trial.ts'
import { MAX_OPEN_CIRCUIT_MS, OPEN_CIRCUIT_MS, createCircuits, type Circuit, type Circuits } from '../../../src/net/circuits.ts'
import type { ExchangeConnection } from '../../../src/net/exchange-connection.ts'
import type { Outcome } from '../../../src/core/routing/neighbour-trust.ts'
import { createForwarder, silenceMs, type Forwarder, type Hop } from '../../../src/net/forwarder.ts'
import type { ExchangeHandler } from '../../../src/net/inbound-exchanges.ts'
import { createNodeLibp2p, type NodeServices } from '../../../src/net/node-preset.ts'
import { createSessions, type Sessions } from '../../../src/net/sessions.ts'
import { until, within } from '../../fixtures/libp2p-pair.ts'

const MIB = 1024 * 1024
const ECHO = '/test/echo'
const now = (): number => performance.now()
const never = new AbortController().signal

/** A node with real circuits; what it knows of ways is the test's. */
interface Node {
  id: string
  libp2p: Libp2p<NodeServices>
  circuits: Circuits
  forwarder: Forwarder
  sessions: Sessions
  hops: Map<string, Hop>
  came: [neighbour: string, node: string, outcome: Outcome][]
  /** Circuits that others have opened to it. */
  inbound: Connection[]
}

describe('circuits', function () {
  this.timeout(30_000)
  let nodes: Node[]
  let [a, b, c]: Node[] = []
  beforeEach(async () => {
    nodes = [await start(), await start(), await start()]
    ;[a, b, c] = nodes
    for (const end of [a!, c!]) await end.libp2p.dial(b!.libp2p.getMultiaddrs())
    route(a!, c!, b!)
    route(c!, a!, b!)
    for (const end of [a!, c!]) route(b!, end, end)
  })
  afterEach(async () => {
    await until(() => nodes.every(({ forwarder }) => forwarder.circuits === 0), 'all circuits are over')
    for (const { sessions, libp2p } of nodes) {
      await sessions.stop()
      await libp2p.stop()
    }
  })

  async function start(): Promise<Node> {
    const libp2p = await createNodeLibp2p(await generateKeyPair('Ed25519'), ['/ip4/127.0.0.1/tcp/0'])
    const id = libp2p.peerId.toString()
    const hops: Node['hops'] = new Map()
    const [came, inbound]: [Node['came'], Node['inbound']] = [[], []]
    const own = {
      self: id,
      sessions: { get: (peer: string) => sessions.get(peer) },
      hopTo: (node: string) => hops.get(node),
      came: (neighbour: string, node: string, outcome: Outcome) => void came.push([neighbour, node, outcome])
    }
    const circuits = createCircuits({ ...own, upgrades: libp2p.services.upgrades })
    const forwarder = createForwarder({
      ...own,
      mayForward: () => true,
      accept: circuits.accept,
      now,
      count: () => undefined
    })
    const sessions = createSessions({ libp2p, now }, forwarder.protocol)
    await sessions.start()
    await libp2p.handle(ECHO, (stream) => void echo(stream), { runOnLimitedConnection: true })
    libp2p.addEventListener('connection:open', ({ detail }) => {
      if (detail.limits !== undefined && detail.direction === 'inbound') inbound.push(detail)
    })
    await libp2p.start()
    return { id, libp2p, circuits, forwarder, sessions, hops, came, inbound }
  }

  async function echo(stream: Stream): Promise<void> {
    for await (const bytes of stream) if (!stream.send(bytes)) await stream.onDrain()
    await stream.close()
  }

  function route(from: Node, to: Node, over: Node, metric = over === to ? 10 : 20): void {
    from.hops.set(to.id, { peer: over.id, hops: over === to ? 1 : 2, metric, potential: { incarnation: 1, sequence: 0, metric } })
  }

  /** Answers in place of a forwarder as a test tells it. */
  async function replace(node: Node, handle: ExchangeHandler): Promise<void> {
    await node.sessions.stop()
    node.sessions = createSessions({ libp2p: node.libp2p, now }, { ...node.forwarder.protocol, handle })
    await node.sessions.start()
  }

  const open = (from: Node, to: Node): Promise<Circuit> => within(from.circuits.open(to.id, never), 'a circuit')
  async function refusal(from: Node, to: Node): Promise<MeshError> {
    try {
      await open(from, to)
    } catch (error) {
      if (isMeshError(error)) return error
      throw error
    }
    return assert.fail('it was opened')
  }
  const ended = (connection: Connection): Promise<void> =>
    until(() => connection.status !== 'open' && connection.status !== 'closing', 'the connection ends')

  async function roundTrip(connection: Connection, bytes: Uint8Array): Promise<void> {
    const stream = await connection.newStream(ECHO, { runOnLimitedConnection: true })
    let heard = 0
    const reading = (async () => {
      for await (const part of stream) {
        for (const chunk of part instanceof Uint8Array ? [part] : part)
          assert.ok(Buffer.from(chunk).equals(bytes.subarray(heard, (heard += chunk.length))), `${heard} bytes`)
      }
    })()
    for (let at = 0; at < bytes.length; at += 100_000) if (!stream.send(bytes.subarray(at, at + 100_000))) await stream.onDrain()
    await stream.close()
    await within(reading, 'all comes back', 20_000)
    assert.equal(heard, bytes.length)
  }

  it('are connections with the node at their end, encrypted by it, and limited at both ends', async () => {
    const { connection, neighbour, path } = await open(a!, c!)
    assert.deepEqual([connection.remotePeer.toString(), neighbour, path], [c!.id, b!.id, [b!.id, c!.id]])
    await until(() => c!.inbound.length === 1, 'the other end has it')
    assert.equal(c!.inbound[0]!.remotePeer.toString(), a!.id)
    for (const one of [connection, c!.inbound[0]!]) {
      assert.match(one.encryption ?? '', /tls|noise/)
      await assert.rejects(one.newStream(ECHO), { name: 'LimitedConnectionError' })
    }
    assert.deepEqual(a!.came, [[b!.id, c!.id, 'ok']])
    // Who passes it on sees only that they go on speaking.
    for (let n = 0; n < CARRIED_TURNS; n++) await roundTrip(connection, Uint8Array.of(n))
    assert.deepEqual(b!.came, [[c!.id, c!.id, 'ok']])
    await connection.close()
    await ended(connection)
    assert.equal(b!.came.length, 1)
  })

  it('are waited for longer than anybody on the way waits, whatever their ways cost and however far they go', () => {
    for (const metric of [0, 1, 3_000, 6_666, 6_667, MAX_ROUTE_METRIC])
      for (let ttl = 1; ttl <= MAX_FORWARD_TTL; ttl++) {
        assert.ok(silenceMs({ ttl, metric }) + OPEN_CIRCUIT_MS < MAX_OPEN_CIRCUIT_MS)
        assert.ok(silenceMs({ ttl, metric }) >= silenceMs({ ttl: ttl - 1, metric }) + 30)
      }
  })

  it('are opened whatever their way costs', async () => {
    for (const metric of [1, 15, 20_001]) {
      route(a!, c!, b!, metric)
      const { connection } = await open(a!, c!)
      await connection.close()
    }
  })

  it('carry megabytes both ways at once', async () => {
    const { connection } = await open(a!, c!)
    const bytes = Uint8Array.from({ length: 8 * MIB }, (_, n) => (n * 31 + (n >> 11)) & 255)
    await until(() => c!.inbound.length === 1, 'the other end has it')
    await Promise.all([roundTrip(connection, bytes), roundTrip(c!.inbound[0]!, bytes.subarray(MIB))])
    await connection.close()
  })

  for (const by of ['source', 'destination'] as const) {
    for (const how of ['close', 'abort'] as const) {
      it(`are over everywhere once the ${by} ${how}s them`, async () => {
        const { connection } = await open(a!, c!)
        await roundTrip(connection, Uint8Array.of(1, 2, 3))
        const far = c!.inbound[0]!
        const mine = by === 'source' ? connection : far
        if (how === 'close') await mine.close()
        else mine.abort(new Error('enough'))
        await Promise.all([ended(connection), ended(far)])
        await until(() => nodes.every(({ forwarder }) => forwarder.circuits === 0), 'nobody holds it')
      })
    }
  }

  it('end at both ends when the node between them is gone', async () => {
    const { connection } = await open(a!, c!)
    await roundTrip(connection, Uint8Array.of(1))
    b!.sessions.peek(a!.id)!.abort(new MeshError('unavailable', 'cut'))
    await Promise.all([ended(connection), ended(c!.inbound[0]!)])
  })

  it('end at the destination when the source is gone while nobody there reads', async () => {
    const { connection } = await open(a!, c!)
    await until(() => c!.inbound.length === 1, 'the other end has it')
    const far = c!.inbound[0]!
    const stream = await connection.newStream(ECHO, { runOnLimitedConnection: true })
    stream.send(new Uint8Array(100))
    // As if all that libp2p may keep were full.
    const below = pauseBelow(far)
    stream.send(new Uint8Array(100_000))
    await until(() => below.readBufferLength > 0, 'it holds something')
    a!.sessions.peek(b!.id)!.abort(new MeshError('unavailable', 'cut'))
    await ended(far)
  })

  /** Stops what is under the encryption from reading. */
  function pauseBelow(connection: Connection): ExchangeConnection {
    const { maConn } = connection as unknown as { maConn: ExchangeConnection }
    Object.assign(maConn, { resume: () => undefined })
    maConn.pause()
    return maConn
  }

  it('are not opened where no way is known, or the forwarder knows none; it says why', async () => {
    b!.hops.clear()
    const there = await refusal(a!, c!)
    assert.deepEqual([there.code, there.details], ['unavailable', { peer: c!.id, via: b!.id, reason: 'no_route' }])
    assert.match(there.message, new RegExp(`no circuit to ${c!.id} over ${b!.id}: this node knows no way there`))
    assert.deepEqual(a!.came, [[b!.id, c!.id, 'failed']])
    a!.hops.clear()
    const here = await refusal(a!, c!)
    assert.deepEqual([here.code, here.details], ['unavailable', { peer: c!.id, reason: 'no_route' }])
    assert.equal(a!.came.length, 1, "that is nobody else's doing")
  })

  it('are not opened to another node than the one that was asked for', async () => {
    const other = await start()
    nodes.push(other)
    await other.libp2p.dial(b!.libp2p.getMultiaddrs())
    // Where they lead is what the forwarder says, and it says what it likes.
    await replace(b!, async function* ({ body, input, signal }) {
      const session = await b!.sessions.get(other.id)
      return yield* session.request({ ...(body as object), d: originBytes(other.id) }, { signal, input })
    })
    const error = await refusal(a!, c!)
    assert.equal(error.code, 'unavailable')
    assert.deepEqual(a!.came, [[b!.id, c!.id, 'useless']])
    assert.deepEqual([a!.libp2p.getConnections(other.libp2p.peerId), other.inbound], [[], []])
  })

  it('are not taken from another node than the one that they claim to be from', async () => {
    const liar = createCircuits({
      self: c!.id,
      sessions: { get: (peer) => a!.sessions.get(peer) },
      upgrades: a!.libp2p.services.upgrades,
      hopTo: () => a!.hops.get(c!.id),
      came: () => undefined
    })
    // Rule 2 does not let pass what says that it is from its destination; so it is from somebody else.
    const other = await start()
    nodes.push(other)
    const asOther = createCircuits({
      self: other.id,
      sessions: { get: (peer) => a!.sessions.get(peer) },
      upgrades: a!.libp2p.services.upgrades,
      hopTo: () => a!.hops.get(c!.id),
      came: () => undefined
    })
    await assert.rejects(
      within(liar.open(c!.id, never), 'an end'),
      (error) => isMeshError(error) && error.details['reason'] === 'loop'
    )
    const opening = asOther.open(c!.id, never)
    await assert.rejects(
      within(
        opening.then(({ connection }) => ended(connection).then(() => Promise.reject(new Error('ended')))),
        'an end'
      )
    )
    assert.deepEqual(c!.inbound, [])
  })

  it('are given up when what is given is swallowed', async () => {
    for (const answersPath of [false, true]) {
      let cancelled = false
      await replace(b!, async function* ({ cancellation, input }) {
        cancellation.onAbort(() => (cancelled = true))
        if (answersPath) yield encodeForwardReply({ kind: 'path', nodes: [originBytes(b!.id), originBytes(c!.id)] })
        for await (const item of input!) void item
        await new Promise(() => undefined)
      })
      const from = performance.now()
      const error = await refusal(a!, c!)
      assert.deepEqual([error.code, error.details], ['unavailable', { peer: c!.id, via: b!.id, reason: 'silent' }])
      assert.match(error.message, /nothing came back in \d+ ms/)
      assert.ok(performance.now() - from >= OPEN_CIRCUIT_MS)
      await until(() => cancelled, 'it is cancelled')
    }
    assert.deepEqual(a!.came, [
      [b!.id, c!.id, 'silent'],
      // Who has told the way may be one, and who swallows another.
      [b!.id, c!.id, 'useless']
    ])
  })

  for (const [what, outcome, end] of [
    ['ended without a byte', 'failed', () => undefined],
    ['refused as no nearer', 'failed', () => Promise.reject(new MeshError('unavailable', 'no nearer', { reason: 'stale' }))],
    ['refused as too many', 'useless', () => Promise.reject(new MeshError('busy', 'too many'))],
    ['found to be silent', 'failed', () => Promise.reject(new MeshError('unavailable', 'silent', { reason: 'silent' }))]
  ] as const) {
    it(`that are ${what} are held against the neighbour for as much as that`, async () => {
      await replace(b!, async function* ({ input }) {
        yield* []
        for await (const item of input!) if (item !== undefined) break
        await end()
        return null
      })
      assert.equal((await refusal(a!, c!)).code, 'unavailable')
      assert.deepEqual(a!.came, [[b!.id, c!.id, outcome]])
    })
  }

  it('are given up when whoever wants them does not any more, which says nothing of the way', async () => {
    let asked = false
    await replace(b!, async function* () {
      asked = true
      yield* []
      await new Promise(() => undefined)
    })
    const stop = new AbortController()
    const opening = a!.circuits.open(c!.id, stop.signal)
    await until(() => asked, 'it is asked')
    stop.abort(new MeshError('cancelled', 'enough'))
    await assert.rejects(within(opening, 'it ends'), (error) => isMeshError(error, 'unavailable'))
    assert.deepEqual(a!.came, [])
  })

  for (const [what, items] of [
    ['bytes first', () => [Uint8Array.of(1)]],
    ['two paths', () => [1, 2].map(() => encodeForwardReply({ kind: 'path', nodes: [originBytes(SOMEBODY)] }))],
    ['garbage', () => [{ what: 'is this' }]]
  ] as const) {
    it(`are not opened over a neighbour that answers with ${what}`, async () => {
      await replace(b!, async function* ({ signal }) {
        yield* items()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      })
      const error = await refusal(a!, c!)
      assert.equal(error.code, 'unavailable')
      assert.doesNotMatch(error.message, /nothing came back/)
      assert.deepEqual(a!.came, [[b!.id, c!.id, 'failed']])
    })
  }

  it('can be traced: who is on the way, and where it ends', async () => {
    const trace = async (): Promise<string[]> => {
      const names: string[] = []
      for await (const name of a!.circuits.trace(c!.id, never)) names.push(name)
      return names
    }
    assert.deepEqual(await trace(), [b!.id, c!.id])
    b!.hops.clear()
    await assert.rejects(trace(), (error) => isMeshError(error) && error.details['reason'] === 'no_route')
    // One that ends before the node, and says that all is well.
    await replace(b!, async function* () {
      yield encodeForwardReply({ kind: 'hop', node: originBytes(b!.id) })
      return null
    })
    await assert.rejects(trace(), (error) => isMeshError(error, 'unavailable'))
    await replace(b!, async function* () {
      yield encodeForwardReply({ kind: 'path', nodes: [originBytes(b!.id)] })
      return null
    })
    await assert.rejects(trace(), (error) => isMeshError(error, 'unavailable'))
    // One that never ends.
    await replace(b!, async function* () {
      for (;;) yield encodeForwardReply({ kind: 'hop', node: originBytes(b!.id) })
    })
    await assert.rejects(within(trace(), 'it ends'), (error) => isMeshError(error, 'protocol_error'))
    a!.hops.clear()
    await assert.rejects(trace(), (error) => isMeshError(error) && error.details['reason'] === 'no_route')
  })
})

const SOMEBODY = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
