import assert from 'node:assert/strict'
import type { Libp2p } from '@libp2p/interface'
import {
  CIRCUIT_ID_BYTES,
  FORWARD_PROTOCOL,
  MAX_FORWARD_BYTES,
  MAX_FORWARD_PATH,
  MAX_FORWARD_WAIT_MS,
  decodeForwardReply,
  encodeForwardReply,
  encodeForwardRequest,
  type ForwardReply,
  type ForwardRequest
} from '../../protocols/forward/messages.ts'
import { originBytes, originId } from '../../src/core/document.ts'
import type { Outcome } from '../../src/core/routing/neighbour-trust.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import {
  CIRCUIT_RATE,
  FARTHEST,
  MAX_CIRCUITS_PER_NEIGHBOUR,
  MAX_SILENCE_MS,
  SWALLOWED_MS,
  createForwarder,
  type Forwarder,
  type ForwarderComponents,
  nextSilenceMs,
  type Hop
} from '../../src/net/forwarder.ts'
import { CARRIED_TURNS } from '../../src/net/circuit-trial.ts'
import type { ExchangeHandler } from '../../src/net/inbound-exchanges.ts'
import { createSessions, type Sessions } from '../../src/net/sessions.ts'
import { startNode, until, within } from '../fixtures/libp2p-pair.ts'
import { protocolContract } from './contract.ts'

const KIB = 1024
const MIB = 1024 * KIB
const SELF = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const OTHER = '12D3KooWJPxFDQJFJ6RkLDd4zHGCKMtx6hAbK3FB1gRThSXyPaan'
const now = (): number => performance.now()

const requestOf = (destination: string, source: string, change: Partial<ForwardRequest> = {}): unknown =>
  encodeForwardRequest({
    destination: originBytes(destination),
    source: originBytes(source),
    circuit: crypto.getRandomValues(new Uint8Array(CIRCUIT_ID_BYTES)),
    ttl: 9,
    potential: FARTHEST,
    trace: false,
    ...change
  })

type Accept = ForwarderComponents['accept']
const echo: Accept = async function* (_request, incoming) {
  yield* incoming
}

protocolContract('forward', () => {
  const forwarder = createForwarder({
    self: SELF,
    sessions: { get: async () => assert.fail('nothing is passed on here') },
    hopTo: () => undefined,
    mayForward: () => true,
    came: () => undefined,
    accept: echo,
    // A thousand times as fast: the contract opens more circuits than a neighbour may.
    now: () => 1_000 * now(),
    count: () => undefined
  })
  const bytes = Uint8Array.of(1, 2, 3)
  return {
    protocol: forwarder.protocol,
    async good(session) {
      const exchange = session.request(requestOf(SELF, OTHER), {
        input: (async function* () {
          yield bytes
        })()
      })
      const items: unknown[] = []
      for await (const body of exchange) items.push(decodeForwardReply(body))
      assert.deepEqual(items, [
        { kind: 'path', nodes: [originBytes(SELF)] },
        { kind: 'bytes', bytes }
      ])
    },
    request: requestOf(SELF, OTHER),
    unknown: { d: 'somebody' }
  }
})

/** A node on the way: its forwarder is real, what it knows of ways is the test's. */
interface Node {
  id: string
  libp2p: Libp2p
  sessions: Sessions
  forwarder: Forwarder
  hops: Map<string, Hop>
  counts: string[]
  came: [neighbour: string, node: string, outcome: Outcome][]
  faults: MeshError[]
  accept: Accept
  /** PeerIds that may not pass on. */
  denied: Set<string>
  now: () => number
}

/** What one end sees of a circuit. */
interface Circuit {
  replies: ForwardReply[]
  /** Rejects if it ends with an error. */
  ended: Promise<void>
  cancel(): void
}

describe('forward protocol', function () {
  this.timeout(30_000)
  const hosts: Libp2p[] = []
  let [a, b, c, d]: Node[] = []
  before(async () => {
    // A line, and a second neighbour of the second: x - b.
    hosts.push(...(await Promise.all(Array.from({ length: 5 }, () => startNode()))))
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 3],
      [4, 1]
    ] as const)
      await hosts[from]!.dial(hosts[to]!.getMultiaddrs())
  })
  after(async () => void (await Promise.all(hosts.map(async (host) => host.stop()))))
  let nodes: Node[]
  beforeEach(async () => {
    nodes = await Promise.all(hosts.map((host) => nodeOn(host)))
    ;[a, b, c, d] = nodes
    route(b!, d!, c!, 2, 20)
    route(c!, d!, d!, 1, 10)
  })
  afterEach('leaves no circuit behind', async () => {
    await until(() => nodes.every(({ forwarder }) => forwarder.circuits === 0), 'all circuits are over')
    await Promise.all(nodes.map(({ sessions }) => sessions.stop()))
  })

  async function nodeOn(libp2p: Libp2p): Promise<Node> {
    const id = libp2p.peerId.toString()
    const node: Omit<Node, 'forwarder' | 'sessions'> = {
      id,
      libp2p,
      hops: new Map(),
      counts: [],
      came: [],
      faults: [],
      accept: echo,
      denied: new Set(),
      now
    }
    const forwarder = createForwarder({
      self: id,
      sessions: { get: (peer) => sessions.get(peer) },
      hopTo: (peer) => node.hops.get(peer),
      mayForward: (peer) => !node.denied.has(peer),
      came: (...args) => node.came.push(args),
      accept: (...args) => node.accept(...args),
      now: () => node.now(),
      count: (counter) => node.counts.push(counter)
    })
    const sessions = await serve(libp2p, forwarder.protocol.handle, node.faults)
    return Object.assign(node, { forwarder, sessions })
  }

  async function serve(
    libp2p: Libp2p,
    handle: (...args: [Parameters<ExchangeHandler>[0], string]) => ReturnType<ExchangeHandler>,
    faults: MeshError[] = []
  ): Promise<Sessions> {
    const sessions = createSessions({ libp2p, now, onFault: (_, error) => faults.push(error) }, { id: FORWARD_PROTOCOL, handle })
    await sessions.start()
    return sessions
  }

  /** A node that answers as a test tells it takes the place of another. */
  async function replace(node: Node, handle: ExchangeHandler): Promise<void> {
    await node.sessions.stop()
    node.sessions = await serve(node.libp2p, handle)
  }

  function route(from: Node, to: Node, over: Node, hops: number, metric: number): void {
    from.hops.set(to.id, { peer: over.id, hops, metric, linkMetric: 10, potential: { incarnation: 1, sequence: 0, metric } })
  }

  async function open(from: Node, over: Node, body: unknown, input: AsyncIterable<unknown> | null = never()): Promise<Circuit> {
    const stop = new AbortController()
    const session = await from.sessions.get(over.id)
    const replies: ForwardReply[] = []
    const read = async (): Promise<void> => {
      for await (const item of session.request(body, { signal: stop.signal, input: input ?? undefined }))
        replies.push(decodeForwardReply(item))
    }
    const ended = read()
    ended.catch(() => undefined)
    return { replies, ended, cancel: () => stop.abort(new MeshError('cancelled', 'enough')) }
  }

  const to = (node: Node, change: Partial<ForwardRequest> = {}, source = a!): unknown => requestOf(node.id, source.id, change)
  const names = (reply: ForwardReply | undefined): string[] =>
    reply?.kind === 'path' ? reply.nodes.map(originId) : reply?.kind === 'hop' ? [originId(reply.node)] : []
  const bytesOf = ({ replies }: Circuit): Buffer =>
    Buffer.concat(replies.map((reply) => (reply.kind === 'bytes' ? reply.bytes : new Uint8Array(0))))
  const isOpen = ({ replies }: Circuit): boolean => replies[0]?.kind === 'path'

  async function* never(): AsyncGenerator<unknown, void, void> {
    await new Promise(() => undefined)
  }
  async function* then(...items: unknown[]): AsyncGenerator<unknown, void, void> {
    yield* items
    await new Promise(() => undefined)
  }

  async function refusal(
    from: Node,
    over: Node,
    body: unknown,
    input?: AsyncIterable<unknown> | null,
    withinMs = 5_000
  ): Promise<MeshError> {
    const { ended } = await open(from, over, body, input)
    try {
      await within(ended, 'it ends', withinMs)
    } catch (error) {
      if (isMeshError(error)) return error
      throw error
    }
    return assert.fail('it was not refused')
  }

  // ---- what it does --------------------------------------------------------------------------
  it('is passed on to the destination: the path first, then bytes both ways, until the source ends', async () => {
    const asked: unknown[] = []
    d!.accept = async function* ({ source, neighbour }, incoming) {
      asked.push({ source, neighbour })
      yield Uint8Array.of(0)
      yield* incoming
    }
    const { replies, ended } = await open(
      a!,
      b!,
      to(d!),
      (async function* () {
        yield Uint8Array.of(1, 2)
        yield new Uint8Array(MAX_FORWARD_BYTES).fill(3)
      })()
    )
    await within(ended, 'it ends')
    assert.deepEqual(names(replies[0]), [b!.id, c!.id, d!.id])
    assert.deepEqual(
      replies.slice(1).map((reply) => (reply.kind === 'bytes' ? [reply.bytes.length, reply.bytes[0]] : reply)),
      [
        [1, 0],
        [2, 1],
        [MAX_FORWARD_BYTES, 3]
      ]
    )
    assert.deepEqual(asked, [{ source: a!.id, neighbour: c!.id }])
    assert.deepEqual([b!.came, c!.came], [[], []], 'it did not begin as a connection does')
  })

  it('is taken by a neighbour without the right, and without a way to anybody, of whoever passes it on', async () => {
    for (const { id } of nodes) b!.denied.add(id)
    b!.hops.clear()
    const circuit = await open(a!, b!, to(b!, { ttl: 0 }), then(Uint8Array.of(7)))
    await until(() => bytesOf(circuit).length === 1, 'the echo')
    assert.deepEqual(names(circuit.replies[0]), [b!.id])
    circuit.cancel()
  })

  it('tells each hop the feasible distance of the one before it, one hop less, and less time to wait', async () => {
    const heard: unknown[] = []
    await replace(c!, async function* ({ body }) {
      heard.push(body)
      yield encodeForwardReply({ kind: 'path', nodes: [originBytes(d!.id)] })
    })
    const circuit = new Uint8Array(CIRCUIT_ID_BYTES).fill(5)
    const potential = { incarnation: 1, sequence: 0, metric: 20 }
    for (const [waitMs, hereMs] of [
      [undefined, 3_000],
      [3, SWALLOWED_MS],
      [2_000, 2_000],
      [MAX_FORWARD_WAIT_MS, MAX_SILENCE_MS]
    ] as const) {
      const { ended } = await open(a!, b!, to(d!, { ttl: 4, circuit, waitMs }))
      await within(ended, 'it ends', 15_000)
      // And to wait less than it does itself.
      const next = nextSilenceMs(hereMs, { linkMetric: 10 })
      assert.deepEqual(heard.pop(), to(d!, { ttl: 3, circuit, potential, waitMs: next }))
    }
  })

  it('says who is on the way, each node as it is reached, and no connection comes of it', async () => {
    d!.accept = () => assert.fail('this is a trace')
    const trace = await open(a!, b!, to(d!, { trace: true }), null)
    await within(trace.ended, 'it ends')
    assert.deepEqual(
      trace.replies.map((reply) => [reply.kind, ...names(reply)]),
      [
        ['hop', b!.id],
        ['hop', c!.id],
        ['hop', d!.id],
        ['path', b!.id, c!.id, d!.id]
      ]
    )
    assert.deepEqual([b!.came, c!.came], [[], []], 'it says nothing of who passes circuits on')
  })

  it('says of a trace how far it came', async () => {
    c!.hops.clear()
    const trace = await open(a!, b!, to(d!, { trace: true }), null)
    await assert.rejects(within(trace.ended, 'it ends'), (error) => isMeshError(error) && error.details['reason'] === 'no_route')
    assert.deepEqual(trace.replies.map(names), [[b!.id], [c!.id]])
  })

  // ---- what it refuses -----------------------------------------------------------------------
  const REFUSALS: [what: string, code: string, reason: string | undefined, count: string | undefined, body: () => unknown][] = [
    [
      'without the right to pass on',
      'permission_denied',
      undefined,
      'right',
      () => {
        b!.denied.add(b!.id)
        return to(d!)
      }
    ],
    [
      'for a neighbour without the right, unless it is its own',
      'permission_denied',
      undefined,
      'right',
      () => {
        b!.denied.add(a!.id)
        return to(d!, {}, nodes[4])
      }
    ],
    ['over too many hops', 'unavailable', 'expired', 'ttl', () => to(d!, { ttl: 0 })],
    ['to a node that it knows no way to', 'unavailable', 'no_route', 'no_route', () => requestOf(OTHER, a!.id)],
    [
      'where it is no nearer than the one before',
      'unavailable',
      'stale',
      'stale',
      () => to(d!, { potential: { incarnation: 1, sequence: 0, metric: 20 } })
    ],
    [
      'where the one before knows a newer number',
      'unavailable',
      'stale',
      'stale',
      () => to(d!, { potential: { incarnation: 1, sequence: 1, metric: 500 } })
    ],
    [
      'if it has told nobody of a way',
      'unavailable',
      'stale',
      'stale',
      () => {
        b!.hops.set(d!.id, { peer: c!.id, hops: 2, metric: 20, linkMetric: 20, potential: undefined })
        return to(d!)
      }
    ],
    [
      'back to where it came from',
      'unavailable',
      'stale',
      'stale',
      () => {
        route(b!, d!, a!, 2, 20)
        return to(d!)
      }
    ],
    ['from itself', 'unavailable', 'loop', 'loop', () => to(d!, {}, b)],
    ['from a node to that node', 'unavailable', 'loop', 'loop', () => to(d!, {}, d)],
    ['from nobody', 'protocol_error', undefined, undefined, () => to(d!, { source: Uint8Array.of(1, 2, 3) })],
    ['to nobody', 'protocol_error', undefined, undefined, () => to(d!, { destination: new Uint8Array(34).fill(9) })]
  ]
  for (const [what, code, reason, count, body] of REFUSALS) {
    it(`passes nothing on ${what}`, async () => {
      const error = await refusal(a!, b!, body())
      const notStarted = reason === undefined ? undefined : true
      assert.deepEqual([error.code, error.details['reason'], error.details['notStarted']], [code, reason, notStarted])
      assert.deepEqual(b!.counts, count === undefined ? [] : [`forward.${count}`])
      assert.deepEqual([b!.came, c!.counts, a!.faults], [[], [], []])
    })
  }

  it('passes on what is newer, and what is nearer with the same number, and all to a neighbour; of a source also without the right', async () => {
    b!.denied.add(a!.id)
    for (const potential of [
      { incarnation: 1, sequence: 0, metric: 21 },
      { incarnation: 0, sequence: 9, metric: 1 }
    ]) {
      const circuit = await open(a!, b!, to(d!, { potential }))
      await until(() => isOpen(circuit), 'the path')
      circuit.cancel()
    }
    b!.hops.set(c!.id, { peer: c!.id, hops: 1, metric: 10, linkMetric: 10, potential: undefined })
    const circuit = await open(a!, b!, to(c!, { potential: { incarnation: 9, sequence: 0, metric: 1 } }))
    await until(() => isOpen(circuit), 'the path')
    circuit.cancel()
  })

  it('says what a node further on refuses, in its words', async () => {
    c!.denied.add(c!.id)
    const error = await refusal(a!, b!, to(d!))
    assert.equal(error.code, 'permission_denied')
    assert.deepEqual([b!.counts, c!.counts, b!.came], [[], ['forward.right'], [[c!.id, d!.id, 'failed']]])
  })

  it('is refused where it was before, and forgotten when it is over', async () => {
    const body = to(d!)
    const first = await open(a!, b!, body)
    await until(() => isOpen(first), 'the path')
    assert.equal((await refusal(nodes[4]!, b!, body)).details['reason'], 'loop')
    first.cancel()
    await until(() => b!.forwarder.circuits === 0, 'it is over')
    const again = await open(a!, b!, body)
    await until(() => isOpen(again), 'the path')
    again.cancel()
  })

  it('does not go round where tables lead round, whatever the nodes say of their distance', async () => {
    // c leads back over b to d, and lies that it is near: b has it already.
    route(c!, d!, b!, 2, 1)
    const body = to(d!)
    const error = await refusal(a!, b!, body)
    assert.deepEqual([error.details['reason'], c!.counts], ['stale', ['forward.stale']])
    route(b!, d!, c!, 2, 0)
    await replace(c!, async function* ({ body: asked }) {
      const session = await c!.sessions.get(b!.id)
      yield* session.request({ ...(asked as object), p: [0, 0, 600_000] }, {})
      return null
    })
    assert.equal((await refusal(a!, b!, body)).details['reason'], 'loop')
    assert.ok(!b!.came.some(([, , outcome]) => outcome === 'ok'))
  })

  // ---- quotas --------------------------------------------------------------------------------
  it(`has ${MAX_CIRCUITS_PER_NEIGHBOUR} circuits of a neighbour and no more, and those of others beside them`, async () => {
    const circuits: Circuit[] = []
    for (let n = 0; n < MAX_CIRCUITS_PER_NEIGHBOUR; n++) circuits.push(await open(a!, b!, to(b!)))
    await until(() => circuits.every(isOpen), 'all are open')
    const error = await refusal(a!, b!, to(b!))
    assert.deepEqual([error.code, error.details['notStarted'], b!.counts], ['busy', true, ['forward.busy']])
    const other = await open(nodes[4]!, b!, requestOf(b!.id, nodes[4]!.id))
    await until(() => isOpen(other), 'one of another neighbour')
    circuits.pop()!.cancel()
    await until(() => b!.forwarder.circuits === MAX_CIRCUITS_PER_NEIGHBOUR, 'one is over')
    const next = await open(a!, b!, to(b!))
    await until(() => isOpen(next), 'there is room for another')
    for (const circuit of [...circuits, other, next]) circuit.cancel()
  })

  it('lets a neighbour open so many in a time', async () => {
    let time = 0
    b!.now = () => time
    for (let n = 0; n < CIRCUIT_RATE.burst; n++) {
      const { ended } = await open(a!, b!, to(b!), null)
      await within(ended, 'it ends', 15_000)
    }
    assert.equal((await refusal(a!, b!, to(b!), null)).code, 'busy')
    time += 1_000 / CIRCUIT_RATE.perSecond
    await within((await open(a!, b!, to(b!), null)).ended, 'one more')
    assert.equal((await refusal(a!, b!, to(b!), null)).code, 'busy')
  })

  // ---- a next hop that breaks the protocol ----------------------------------------------------
  const path = (length = 1): unknown =>
    encodeForwardReply({ kind: 'path', nodes: new Array<Uint8Array>(length).fill(originBytes(d!.id)) })
  const BREACHES: [what: string, items: () => unknown[]][] = [
    ['bytes before the path', () => [Uint8Array.of(1)]],
    ['a second path', () => [path(), path()]],
    ['a hop after the path', () => [path(), encodeForwardReply({ kind: 'hop', node: originBytes(d!.id) })]],
    ['a path as long as none can be', () => [path(MAX_FORWARD_PATH)]],
    ['a path that is longer yet', () => [path(MAX_FORWARD_PATH + 1)]],
    ['an item that is too large', () => [path(), new Uint8Array(MAX_FORWARD_BYTES + 1)]],
    ['an empty item', () => [path(), new Uint8Array(0)]],
    ['garbage', () => [['what', { is: 'this' }]]]
  ]
  for (const [what, items] of BREACHES) {
    it(`ends a circuit whose next hop answers with ${what}`, async () => {
      let cancelled = false
      await replace(c!, async function* ({ cancellation }) {
        cancellation.onAbort(() => (cancelled = true))
        yield* items()
        await new Promise(() => undefined)
      })
      const error = await refusal(a!, b!, to(d!))
      assert.equal(error.code, 'unavailable')
      assert.match(error.message, /the next hop broke the protocol/)
      assert.deepEqual([b!.came, b!.faults], [[[c!.id, d!.id, 'failed']], []])
      await until(() => cancelled, 'it is cancelled there')
    })
  }

  it('says that the next hop is gone, and counts it', async () => {
    const circuit = await open(a!, b!, to(d!))
    await until(() => isOpen(circuit), 'the path')
    c!.sessions.peek(b!.id)!.abort(new MeshError('unavailable', 'cut'))
    await assert.rejects(within(circuit.ended, 'it ends'), (error) => isMeshError(error, 'unavailable'))
    assert.deepEqual(b!.came, [[c!.id, d!.id, 'failed']])
  })

  // ---- a source that breaks the protocol ------------------------------------------------------
  for (const [what, item] of [
    ['too large', new Uint8Array(MAX_FORWARD_BYTES + 1)],
    ['empty', new Uint8Array(0)],
    ['no bytes', { what: 'is this' }]
  ] as const) {
    it(`tells a source whose item is ${what}, and does not hold it against the next hop`, async () => {
      for (const over of [to(d!), to(b!)]) {
        const error = await refusal(a!, b!, over, then(item))
        assert.equal(error.code, 'protocol_error')
      }
      assert.deepEqual([b!.came, a!.faults, b!.faults], [[], [], []])
      await until(() => c!.forwarder.circuits === 0 && d!.forwarder.circuits === 0, 'it is over everywhere')
    })
  }

  it('does not hold against a next hop what the source brings about by what it asks for', async () => {
    assert.equal((await refusal(a!, b!, to(d!, { ttl: 1 }))).details['reason'], 'expired')
    // A silent source, that leaves after as long as it likes.
    let ahead = 0
    b!.now = () => now() + ahead
    const silent = await open(a!, b!, to(d!))
    await until(() => isOpen(silent), 'the path')
    ahead += 60_000
    silent.cancel()
    await until(() => b!.forwarder.circuits === 0, 'it is over')
    assert.deepEqual(b!.came, [])
  })

  it('counts who refuses, whatever he says', async () => {
    for (const error of [
      new MeshError('busy', 'too many circuits', { notStarted: true }),
      new MeshError('unavailable', 'it was here before', { reason: 'loop' }),
      new MeshError('unavailable', 'too many hops', { reason: 'expired' })
    ]) {
      await replace(c!, async function* () {
        yield* []
        throw error
      })
      assert.equal((await refusal(a!, b!, to(d!))).code, error.code)
    }
    assert.deepEqual(b!.came, new Array(3).fill([c!.id, d!.id, 'failed']))
  })

  it('does not make a next hop busy: it hands on no more than that takes of it, and says so itself', async () => {
    let time = 0
    b!.now = () => time
    let asked = 0
    await replace(c!, async function* () {
      asked++
      yield* []
      throw new MeshError('unavailable', 'no', { reason: 'stale' })
    })
    const burst = [...Array(CIRCUIT_RATE.burst).keys()]
    const half = burst.slice(burst.length / 2)
    for (const from of [a!, nodes[4]!])
      for (const _ of half) assert.equal((await refusal(from, b!, to(d!, {}, from))).details['reason'], 'stale')
    // Each of the two is below its own limit.
    b!.came.length = 0
    for (const from of [a!, nodes[4]!]) assert.equal((await refusal(from, b!, to(d!, {}, from))).code, 'busy')
    assert.deepEqual([asked, b!.came], [burst.length, []])
    time += 1_000 / CIRCUIT_RATE.perSecond
    assert.equal((await refusal(a!, b!, to(d!))).details['reason'], 'stale')
  })

  const OPENING = new TextEncoder().encode('\x13/multistream/1.0.0\n')

  it('is ended where the first bytes of a connection have no answer, by the hop that hands them to who swallows them', async () => {
    d!.accept = async function* (_request, incoming) {
      for await (const _ of incoming) yield* []
    }
    for (const parts of [[OPENING], [OPENING.subarray(0, 3), OPENING.subarray(3)], [Uint8Array.of(...OPENING, 1, 2)]]) {
      b!.came.length = c!.came.length = 0
      // Twice the silence, where this process is held up.
      const error = await refusal(a!, b!, to(d!), then(...parts), 7_000)
      assert.deepEqual([error.code, error.details['reason']], ['unavailable', 'silent'])
      assert.deepEqual(c!.came, [[d!.id, d!.id, 'silent']])
      assert.deepEqual(b!.came, [[c!.id, d!.id, 'failed']], 'the one before has had an answer')
    }
  })

  /** The way and then these items, each after something has come from the source; then as `end` says. */
  const answering = (items: Uint8Array[], end: () => unknown = () => new Promise(() => undefined)): ExchangeHandler =>
    async function* ({ input }) {
      yield path()
      const incoming = input![Symbol.asyncIterator]()
      for (const item of items) {
        await incoming.next()
        yield item
      }
      await incoming.next()
      await end()
      return null
    }

  it('has carried a circuit once its ends have spoken in turn as only those two can', async () => {
    d!.accept = async function* (_request, incoming) {
      for await (const bytes of incoming) yield bytes
    }
    for (const turns of [CARRIED_TURNS - 1, CARRIED_TURNS]) {
      let next = 0
      let say!: () => void
      const circuit = await open(
        a!,
        b!,
        to(d!),
        (async function* () {
          for (; next < turns; next++) {
            // Two items at once are one turn.
            yield next === 0 ? OPENING : Uint8Array.of(1)
            yield Uint8Array.of(2)
            await new Promise<void>((resolve) => (say = resolve))
          }
        })()
      )
      for (let n = 1; n <= turns; n++) {
        await until(() => bytesOf(circuit).length === OPENING.length + 1 + 2 * (n - 1), `answer ${n}`)
        say()
      }
      await within(circuit.ended, 'it ends')
      const outcome = turns < CARRIED_TURNS ? 'failed' : 'ok'
      assert.deepEqual([b!.came, c!.came], [[[c!.id, d!.id, outcome]], [[d!.id, d!.id, outcome]]])
      b!.came.length = c!.came.length = 0
    }
  })

  it('counts who answers the first bytes and swallows the rest, ends without a byte, or says that it was too far', async () => {
    let ahead = 0
    b!.now = () => now() + ahead
    await replace(c!, answering([OPENING]))
    const echoed = await open(a!, b!, to(d!), then(OPENING))
    await until(() => bytesOf(echoed).length > 0, 'the echo')
    ahead += MAX_SILENCE_MS
    echoed.cancel()
    await until(() => b!.came.length === 1, 'it is counted')
    for (const handle of [answering([], () => undefined), answering([OPENING], () => undefined)]) {
      await replace(c!, handle)
      await within((await open(a!, b!, to(d!), then(OPENING, Uint8Array.of(1)))).ended, 'it ends')
    }
    await replace(
      c!,
      answering([], () => Promise.reject(new MeshError('unavailable', 'too many hops', { reason: 'expired' })))
    )
    assert.equal((await refusal(a!, b!, to(d!), then(OPENING))).details['reason'], 'expired')
    assert.deepEqual(b!.came, new Array(4).fill([c!.id, d!.id, 'failed']))
  })

  it('blames nobody for silence after anything else, or for what was cancelled within moments', async () => {
    let sent = 0
    d!.accept = async function* (_request, incoming) {
      for await (const bytes of incoming) sent += bytes.length
      yield* []
    }
    const others = [OPENING.subarray(0, -1), Uint8Array.of(1), Uint8Array.of(...OPENING.subarray(0, -1), 0, ...OPENING)]
    const waits = await Promise.all(others.map((bytes) => open(a!, b!, to(d!), then(bytes))))
    const cancelled = await open(a!, b!, to(d!), then(OPENING))
    const bytes = others.reduce((sum, { length }) => sum + length, OPENING.length)
    await until(() => sent === bytes, 'they have come')
    cancelled.cancel()
    // As long as one that is judged takes to end.
    const answered = await open(a!, b!, to(d!), then(OPENING))
    await within(
      answered.ended.catch(() => undefined),
      'it is found to be silent'
    )
    assert.deepEqual([b!.came, c!.came], [[[c!.id, d!.id, 'failed']], [[d!.id, d!.id, 'silent']]])
    for (const one of waits) one.cancel()
  })

  // ---- ends and backpressure ------------------------------------------------------------------
  it('is cancelled along the whole way when its source goes, even while nothing goes over it', async () => {
    let ended = false
    d!.accept = async function* (_request, incoming) {
      try {
        yield Uint8Array.of(1)
        for await (const bytes of incoming) yield bytes
      } finally {
        ended = true
      }
    }
    const circuit = await open(a!, b!, to(d!))
    await until(() => bytesOf(circuit).length === 1, 'it is open')
    assert.deepEqual(
      nodes.map(({ forwarder }) => forwarder.circuits),
      [0, 1, 1, 1, 0]
    )
    circuit.cancel()
    await until(() => ended && nodes.every(({ forwarder }) => forwarder.circuits === 0), 'it is over everywhere')
    assert.equal(a!.sessions.peek(b!.id)?.active, 0)
  })

  it('ends along the whole way when its destination ends it, or fails', async () => {
    for (const error of [undefined, new MeshError('unavailable', 'no more')]) {
      d!.accept = async function* () {
        yield Uint8Array.of(1)
        if (error !== undefined) throw error
      }
      let stopped = false
      const { ended } = await open(
        a!,
        b!,
        to(d!),
        (async function* () {
          try {
            // A source that writes is told, too.
            for (;;) {
              yield new Uint8Array(KIB)
              await new Promise((resolve) => setImmediate(resolve))
            }
          } finally {
            stopped = true
          }
        })()
      )
      if (error === undefined) await within(ended, 'it ends')
      else await assert.rejects(within(ended, 'it ends'), { code: 'unavailable', message: 'no more' })
      await until(() => stopped && nodes.every(({ forwarder }) => forwarder.circuits === 0), 'it is over everywhere')
    }
  })

  it('holds a bounded amount for a reader that is slow, on each hop, and loses nothing of it', async () => {
    const total = 24 * MIB
    let written = 0
    d!.accept = async function* () {
      for (; written < total; written += MAX_FORWARD_BYTES)
        yield new Uint8Array(MAX_FORWARD_BYTES).fill((written / MAX_FORWARD_BYTES) & 255)
    }
    const session = await a!.sessions.get(b!.id)
    const exchange = session.request(to(d!), { input: never() })
    assert.equal(decodeForwardReply((await exchange.next()).value).kind, 'path')
    // Nobody reads: what is written before it stops is what the hops hold.
    await settles(() => written)
    assert.ok(written < 8 * MIB, `${written / MIB} MiB are held`)
    let read = 0
    for (let step = await exchange.next(); step.done !== true; step = await exchange.next()) {
      const bytes = step.value as Uint8Array
      assert.equal(bytes[0], (read / MAX_FORWARD_BYTES) & 255)
      read += bytes.length
      // Between what is written and what is read there is never more.
      assert.ok(written - read < 12 * MIB)
    }
    assert.equal(read, total)
  })

  it('slows a source down whose destination does not read', async () => {
    let go!: () => void
    const reading = new Promise<void>((resolve) => (go = resolve))
    const total = 24 * MIB
    let [written, read] = [0, 0]
    d!.accept = async function* (_request, incoming) {
      await reading
      for await (const bytes of incoming) read += bytes.length
      yield Uint8Array.of(1)
    }
    const circuit = await open(
      a!,
      b!,
      to(d!),
      (async function* () {
        for (; written < total; written += MAX_FORWARD_BYTES) yield new Uint8Array(MAX_FORWARD_BYTES)
      })()
    )
    await settles(() => written)
    assert.ok(written < 8 * MIB, `${written / MIB} MiB are held`)
    go()
    await within(circuit.ended, 'the rest is read', 20_000)
    assert.deepEqual([read, bytesOf(circuit).length], [total, 1])
  })

  /** Resolves when a figure has begun to rise and rises no more: it is the same in a thousand turns of the event loop. */
  async function settles(figure: () => number): Promise<void> {
    await until(() => figure() > 0, 'it begins')
    for (let same = 0, last = figure(); same < 1_000; same++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (figure() !== last) [same, last] = [0, figure()]
    }
  }

  it('takes no circuit while it stops, and ends those that are there', async () => {
    const circuit = await open(a!, b!, to(d!))
    await until(() => isOpen(circuit), 'the path')
    const stopping = b!.forwarder.stop()
    const error = await refusal(a!, b!, to(d!))
    assert.deepEqual([error.code, error.details['notStarted']], ['unavailable', true])
    await assert.rejects(within(circuit.ended, 'it ends'), (thrown) => isMeshError(thrown, 'unavailable'))
    await within(stopping, 'it stops')
    assert.deepEqual(b!.came, [], "that is nobody's fault")
  })
})
