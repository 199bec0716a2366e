import {
  FORWARD_PROTOCOL,
  MAX_FORWARD_PATH,
  decodeForwardReply,
  decodeForwardRequest,
  encodeForwardReply,
  encodeForwardRequest,
  type ForwardRequest,
  type Potential
} from '../../protocols/forward/messages.ts'
import { MAX_ROUTE_METRIC } from '../../protocols/gradient/messages.ts'
import { toString } from 'uint8arrays/to-string'
import { originBytes, originId } from '../core/document.ts'
import { UNITS_PER_MS } from '../core/routing/metric.ts'
import type { Outcome } from '../core/routing/neighbour-trust.ts'
import { compareSequence } from '../core/routing/sequence.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, toMeshError } from '../errors.ts'
import { createCircuitTrial, type CircuitTrial } from './circuit-trial.ts'
import { createCircuitWatch, type WatchedCircuit } from './circuit-watch.ts'
import type { IncomingExchange } from './inbound-exchanges.ts'
import { peerIdOf } from './peer-id-bytes.ts'
import type { Protocol } from './protocol.ts'
import type { Sessions } from './sessions.ts'

/** Circuits that are at a node at once; more are refused as `busy`. */
export const MAX_CIRCUITS = 512
/** Of them those of one neighbour. */
export const MAX_CIRCUITS_PER_NEIGHBOUR = 128
/** Of these those that go on to the same next hop: it has a limit for this node, which one neighbour must not use up for all. */
export const MAX_CIRCUITS_PER_WAY = MAX_CIRCUITS_PER_NEIGHBOUR / 4
/** Circuits that a neighbour may open in a time. */
export const CIRCUIT_RATE = { perSecond: 20, burst: 200 } as const
/** A next hop from which nothing comes back in this time, in ms, and what {@link silenceMs} adds to it, swallows what it is given. */
export const SWALLOWED_MS = 1_000
/** For each hop that a circuit may still go, in ms: those who are nearer to where it is swallowed see it first, and say so. */
const PER_HOP_MS = 30
/** For what a route costs, thrice: there and back, and for what holds it up. */
const PER_COST = 3
/** Whatever a neighbour says that its way costs, this is waited for it at most, in ms. */
const MAX_WAY_MS = 2_000

/** The next hop on the way to a node. */
export interface Hop {
  /** PeerId of the neighbour; the node itself if that is one. */
  peer: string
  hops: number
  /** Of the way, in units of 0.1 ms. */
  metric: number
  /** This node's feasible distance of the node; undefined if it has told nobody of a way there. */
  potential: Potential | undefined
}

/**
 * How long an answer to the first bytes over a way may take, in ms. It falls from hop to hop with what a circuit may still go, which no
 * neighbour can claim to be otherwise, and with what the way costs.
 */
export function silenceMs({ ttl, metric }: { ttl: number; metric: number }): number {
  return SWALLOWED_MS + PER_HOP_MS * ttl + Math.min(MAX_WAY_MS, (PER_COST * metric) / UNITS_PER_MS)
}

/** What passes on the circuits of others, and takes those that are for this node. */
export interface Forwarder {
  protocol: Protocol
  /** Circuits that are here now. */
  readonly circuits: number
  /** Takes no more, and ends those that are here: the idle ones at once, others when nothing goes over them or the time is over. */
  stop(): Promise<void>
}

/** What a forwarder needs. */
export interface ForwarderComponents {
  self: string
  /** Of the forward protocol, with neighbours. */
  sessions: Pick<Sessions, 'get'>
  /** The way to a node; undefined: none is known. */
  hopTo(node: string): Hop | undefined
  /** A neighbour, or this node, has the right to pass on what others send. */
  mayForward(node: string): boolean
  /** What came of a circuit to a node that a neighbour was given, for another. */
  came(neighbour: string, node: string, outcome: Outcome): void
  /** A circuit for this node: yields what goes back, ends with it. The signal: the neighbour has cancelled it, or is gone. */
  accept(
    request: { source: string; neighbour: string; signal: AbortSignal },
    incoming: AsyncIterable<Uint8Array>
  ): AsyncGenerator<Uint8Array, void, void>
  now: () => number
  count(counter: string): void
}

/** See {@link Forwarder}. */
export function createForwarder(components: ForwarderComponents): Forwarder {
  const { self, sessions, hopTo, mayForward, accept, now, count } = components
  const selfBytes = originBytes(self)
  const opens = createTokenBuckets(CIRCUIT_RATE, now)
  const watch = createCircuitWatch(now)
  /** Ids of circuits that are here now: one that comes a second time goes in a circle. */
  const pending = new Set<string>()
  let stopping = false
  const perNeighbour = new Map<string, number>()
  const perWay = new Map<string, number>()
  const perHop = new Map<string, number>()

  /** @returns what takes it back. */
  function countIn(counts: Map<string, number>, key: string): () => void {
    counts.set(key, (counts.get(key) ?? 0) + 1)
    return () => {
      const left = counts.get(key)! - 1
      if (left === 0) counts.delete(key)
      else counts.set(key, left)
    }
  }

  function refuse(counter: string, error: MeshError): never {
    count(`forward.${counter}`)
    throw error
  }

  /** The checks of a forwarder, the cheap ones first. @throws MeshError. */
  function nextHop({ ttl, potential, destination, source }: ForwardRequest, neighbour: string): Hop {
    if (originId(source) !== neighbour && !mayForward(neighbour))
      refuse('right', new MeshError('permission_denied', 'the node before may not pass on what others send'))
    if (!mayForward(self)) refuse('right', new MeshError('permission_denied', 'this node may not pass on what others send'))
    if (ttl === 0) refuse('ttl', noWay('expired', 'the circuit went over too many hops'))
    const destinationId = originId(destination)
    const hop = hopTo(destinationId)
    if (hop === undefined) refuse('no_route', noWay('no_route', 'this node knows no way there'))
    // Feasible distances fall with each hop, whatever tables say for a moment: so nothing goes round. See the invariant at createRouter.
    if (hop.peer === neighbour || (hop.peer !== destinationId && !isNearer(hop.potential, potential)))
      refuse('stale', noWay('stale', 'this node is no nearer than the one before'))
    return hop
  }

  function enter(request: ForwardRequest, neighbour: string): () => void {
    const own = perNeighbour.get(neighbour) ?? 0
    if (stopping) throw new MeshError('unavailable', 'this node is stopping', { notStarted: true })
    if (pending.size >= MAX_CIRCUITS || own >= MAX_CIRCUITS_PER_NEIGHBOUR || !opens.take(neighbour))
      refuse('busy', new MeshError('busy', 'too many circuits go over this node', { notStarted: true }))
    const id = toString(request.circuit, 'base16')
    if (pending.has(id)) refuse('loop', noWay('loop', 'the circuit was here before'))
    pending.add(id)
    const leave = countIn(perNeighbour, neighbour)
    return () => {
      pending.delete(id)
      leave()
    }
  }

  async function* handle(exchange: IncomingExchange, neighbour: string): AsyncGenerator<unknown, unknown, void> {
    const request = decodeForwardRequest(exchange.body)
    const [source, destination] = [peerIdOf(request.source), peerIdOf(request.destination)]
    if (source === self || source === destination) refuse('loop', noWay('loop', 'the circuit came back to where it began'))
    const leave = enter(request, neighbour)
    const circuit = watch.add(neighbour, exchange)
    try {
      if (request.trace) yield encodeForwardReply({ kind: 'hop', node: selfBytes })
      if (destination !== self) return yield* passOn(request, exchange, { neighbour, circuit })
      yield encodeForwardReply({ kind: 'path', nodes: [selfBytes] })
      if (request.trace || exchange.input === undefined) return null
      for await (const bytes of accept({ source, neighbour, signal: exchange.signal }, circuit.sent(exchange.input))) {
        circuit.used()
        yield bytes
      }
      return null
    } finally {
      circuit.forget()
      leave()
    }
  }

  async function* passOn(
    request: ForwardRequest,
    exchange: IncomingExchange,
    { neighbour, circuit }: { neighbour: string; circuit: WatchedCircuit }
  ): AsyncGenerator<unknown, unknown, void> {
    const hop = nextHop(request, neighbour)
    const destination = originId(request.destination)
    const { peer, potential = FARTHEST } = hop
    const way = `${neighbour} ${peer}`
    if ((perWay.get(way) ?? 0) >= MAX_CIRCUITS_PER_WAY)
      refuse('busy', new MeshError('busy', 'too many circuits go this way', { notStarted: true }))
    const leaveWay = countIn(perWay, way)
    const leaveHop = countIn(perHop, peer)
    const trial = createCircuitTrial({
      silentAfterMs: silenceMs({ ttl: request.ttl, metric: hop.metric }),
      now,
      onCarried: () => components.came(peer, destination, 'ok')
    })
    let isTold = false
    try {
      const session = await sessions.get(peer)
      const replies = session.request(encodeForwardRequest({ ...request, ttl: request.ttl - 1, potential }), {
        signal: AbortSignal.any([exchange.signal, trial.silent]),
        input: exchange.input === undefined ? undefined : trial.passing(circuit.paced(exchange.input))
      })
      for await (const body of replies) {
        const reply = decodeForwardReply(body)
        if (reply.kind === 'path') {
          if (isTold || reply.nodes.length >= MAX_FORWARD_PATH)
            throw new MeshError('protocol_error', 'a way that no circuit can have gone')
          isTold = true
          yield encodeForwardReply({ kind: 'path', nodes: [selfBytes, ...reply.nodes] })
          continue
        }
        if (isTold !== (reply.kind === 'bytes')) throw new MeshError('protocol_error', 'bytes before the way, or a hop after it')
        if (reply.kind === 'bytes') trial.heard()
        yield body
        if (reply.kind === 'bytes') await circuit.came(reply.bytes.length)
      }
      if (!trial.isCarried && trial.begunForMs !== undefined) components.came(peer, destination, 'failed')
      return null
    } catch (error) {
      const isOver = exchange.signal.aborted
      const mesh = trial.silent.aborted ? noWay('silent', 'the next hop does not answer') : toMeshError(error)
      const outcome = isOver
        ? afterAbort(trial)
        : trial.silent.aborted
          ? 'silent'
          : afterError(mesh, request, hop, perHop.get(peer)!)
      if (outcome !== undefined && !trial.isCarried && !request.trace) components.came(peer, destination, outcome)
      if (isOver) throw error
      throw mesh.code !== 'protocol_error'
        ? mesh
        : new MeshError('unavailable', `the next hop broke the protocol: ${mesh.message}`)
    } finally {
      trial.stop()
      leaveWay()
      leaveHop()
    }
  }

  return {
    protocol: { id: FORWARD_PROTOCOL, handle },
    get circuits() {
      return pending.size
    },
    stop() {
      stopping = true
      return watch.stop()
    }
  }
}

/** What a node says that has told nobody of a way. */
export const FARTHEST: Potential = { incarnation: 0, sequence: 0, metric: MAX_ROUTE_METRIC }

/** A source that waited as long as this and left is one that got no answer; earlier, it may have had enough. */
function afterAbort({ begunForMs }: CircuitTrial): Outcome | undefined {
  return begunForMs !== undefined && begunForMs >= SWALLOWED_MS ? 'failed' : undefined
}

/** What the source can bring about by what it asks for is no fault of the next hop. */
function afterError(
  { code, details: { reason } }: MeshError,
  { ttl }: ForwardRequest,
  { hops }: Hop,
  circuits: number
): Outcome | undefined {
  const isOfSource =
    reason === 'loop' || (reason === 'expired' && ttl < hops) || (code === 'busy' && circuits >= MAX_CIRCUITS_PER_WAY)
  return isOfSource ? undefined : 'failed'
}

function isNearer(own: Potential | undefined, before: Potential): boolean {
  if (own === undefined) return false
  const order = compareSequence(own.incarnation, own.sequence, before.incarnation, before.sequence)
  return order > 0 || (order === 0 && own.metric < before.metric)
}

/** There is none, for a reason that the one before may do something about. */
function noWay(reason: 'no_route' | 'stale' | 'loop' | 'expired' | 'silent', message: string): MeshError {
  return new MeshError('unavailable', message, { reason, notStarted: true })
}
