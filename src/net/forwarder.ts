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
import { createCircuitTrial } from './circuit-trial.ts'
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
/** A next hop from which nothing comes back in this time, in ms, swallows what it is given; it may be told to wait for longer. */
export const SWALLOWED_MS = 1_000
/** And no longer than this, in ms, whatever anybody says. */
export const MAX_SILENCE_MS = 5_000
/** How long a hop waits that was told nothing of that, in ms. */
const DEFAULT_SILENCE_MS = 3_000
/** Each hop waits less than the one before by the way there and back, twice, and by this, in ms: so who is nearer to where it is swallowed says so in time. */
const HOP_MARGIN_MS = 30

/** The next hop on the way to a node. */
export interface Hop {
  /** PeerId of the neighbour; the node itself if that is one. */
  peer: string
  hops: number
  /** Of the way, in units of 0.1 ms. */
  metric: number
  /** Of the link to the neighbour alone, as this node has measured it. */
  linkMetric: number
  /** This node's feasible distance of the node; undefined if it has told nobody of a way there. */
  potential: Potential | undefined
}

/** How long a source waits for an answer to the first bytes over a way, in ms: enough that each hop may wait for less than the one before. */
export function silenceMs({ hops, metric }: Pick<Hop, 'hops' | 'metric'>): number {
  return Math.min(MAX_SILENCE_MS, SWALLOWED_MS + HOP_MARGIN_MS * (hops + 2) + (3 * metric) / UNITS_PER_MS)
}

/** How long the next hop is to wait, where this node waits so long, in ms. */
export function nextSilenceMs(waitMs: number, { linkMetric }: Pick<Hop, 'linkMetric'>): number {
  return Math.max(0, Math.floor(waitMs - HOP_MARGIN_MS - (2 * linkMetric) / UNITS_PER_MS))
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
  const handed = createTokenBuckets(CIRCUIT_RATE, now)
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
    // What this node itself hands on stays within what it may: a next hop that is busy all the same is so by others.
    if ((perHop.get(peer) ?? 0) >= MAX_CIRCUITS_PER_NEIGHBOUR || !handed.take(peer))
      refuse('busy', new MeshError('busy', 'too many circuits go to the next hop', { notStarted: true }))
    const leaveWay = countIn(perWay, way)
    const leaveHop = countIn(perHop, peer)
    const { waitMs: toldMs = DEFAULT_SILENCE_MS } = request
    const waitMs = Math.min(MAX_SILENCE_MS, Math.max(SWALLOWED_MS, toldMs))
    // A source in a hurry does not make anybody silent.
    const isHasty = toldMs < SWALLOWED_MS + (2 * hop.metric) / UNITS_PER_MS
    const trial = createCircuitTrial({ silentAfterMs: waitMs, now })
    const judge = (outcome: Outcome | undefined): void => {
      if (outcome !== undefined && !request.trace) components.came(peer, destination, outcome)
    }
    let isTold = false
    try {
      const session = await sessions.get(peer)
      const replies = session.request(
        encodeForwardRequest({ ...request, ttl: request.ttl - 1, potential, waitMs: nextSilenceMs(waitMs, hop) }),
        {
          signal: AbortSignal.any([exchange.signal, trial.silent]),
          input: exchange.input === undefined ? undefined : trial.passing(circuit.paced(exchange.input))
        }
      )
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
      judge(trial.outcome(false))
      return null
    } catch (error) {
      if (exchange.signal.aborted) {
        judge(trial.outcome(true))
        throw error
      }
      const mesh = trial.silent.aborted ? noWay('silent', 'the next hop does not answer') : toMeshError(error)
      // Nobody is to blame for what the source asks for.
      const isOfSource = mesh.details['reason'] === 'expired' && request.ttl < hop.hops
      judge(trial.silent.aborted && !isHasty ? 'silent' : isOfSource ? undefined : (trial.outcome(false) ?? 'failed'))
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

function isNearer(own: Potential | undefined, before: Potential): boolean {
  if (own === undefined) return false
  const order = compareSequence(own.incarnation, own.sequence, before.incarnation, before.sequence)
  return order > 0 || (order === 0 && own.metric < before.metric)
}

/** There is none, for a reason that the one before may do something about. */
function noWay(reason: 'no_route' | 'stale' | 'loop' | 'expired' | 'silent', message: string): MeshError {
  return new MeshError('unavailable', message, { reason, notStarted: true })
}
