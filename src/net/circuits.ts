import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import {
  CIRCUIT_ID_BYTES,
  MAX_FORWARD_PATH,
  MAX_FORWARD_TTL,
  decodeForwardReply,
  encodeForwardRequest,
  type ForwardReply
} from '../../protocols/forward/messages.ts'
import { originBytes, originId } from '../core/document.ts'
import type { Outcome } from '../core/routing/neighbour-trust.ts'
import { MeshError, abortError, toMeshError } from '../errors.ts'
import { ExchangeConnection } from './exchange-connection.ts'
import { FARTHEST, silenceMs, type ForwarderComponents, type Hop } from './forwarder.ts'
import type { Sessions } from './sessions.ts'
import type { Upgrades } from './upgrades.ts'

/** A circuit that is not a connection this much later than its first bytes should have been answered, in ms, is given up: see {@link silenceMs}. */
export const OPEN_CIRCUIT_MS = 1_000
/** Never longer than this, in ms, whatever a neighbour says that the way costs. */
export const MAX_OPEN_CIRCUIT_MS = 6_000
/** The other end of a circuit proves who it is within this time, in ms. */
export const ACCEPT_CIRCUIT_MS = 10_000

/** Why a circuit is refused, where that will not be otherwise in a moment. */
export const LASTING: readonly string[] = ['busy', 'permission_denied', 'unsupported', 'expired']

/** A connection over other nodes: encrypted from end to end, for calls alone. */
export interface Circuit {
  connection: Connection
  /** PeerId of the neighbour that it goes through. */
  neighbour: string
  /** PeerIds of those on the way, this node left out and the destination last, as they name themselves; empty until they have. */
  readonly path: readonly string[]
}

/** Connections of this node that others forward. */
export interface Circuits {
  /** Opens one. @throws MeshError `unavailable`, with `details.reason` if a forwarder says why; `silent` if nobody says anything. */
  open(node: string, signal: AbortSignal): Promise<Circuit>
  /** Asks who is on the way: yields PeerIds as they answer. @throws MeshError `unavailable` if the way ends before the node. */
  trace(node: string, signal: AbortSignal): AsyncGenerator<string, void, void>
  /** Takes one that is for this node. */
  accept: ForwarderComponents['accept']
}

/** What circuits need. */
export interface CircuitsComponents {
  self: string
  /** Of the forward protocol, with neighbours. */
  sessions: Pick<Sessions, 'get'>
  upgrades: Upgrades
  hopTo(node: string): Hop | undefined
  /** What came of a circuit to a node that a neighbour was given: `ok` once it is a connection with that node; `failed` if somebody on the way says why not. */
  came(neighbour: string, node: string, outcome: Outcome): void
}

/** See {@link Circuits}. */
export function createCircuits({ self, sessions, upgrades, hopTo, came }: CircuitsComponents): Circuits {
  const source = originBytes(self)

  /** Asks the next hop; what comes back begins with the path. */
  async function ask(
    node: string,
    hop: Hop,
    options: { trace: boolean; signal: AbortSignal; input?: AsyncIterable<Uint8Array> }
  ): Promise<AsyncGenerator<unknown, unknown, void>> {
    const { peer, potential = FARTHEST } = hop
    const session = await sessions.get(peer)
    const request = encodeForwardRequest({
      destination: originBytes(node),
      source,
      circuit: crypto.getRandomValues(new Uint8Array(CIRCUIT_ID_BYTES)),
      ttl: ttlOf(hop),
      potential,
      trace: options.trace
    })
    return session.request(request, { signal: options.signal, input: options.input })
  }

  function hopOrThrow(node: string): Hop {
    const hop = hopTo(node)
    if (hop === undefined) throw new MeshError('unavailable', `no way to ${node} is known`, { reason: 'no_route', peer: node })
    return hop
  }

  return {
    async open(node, signal) {
      const hop = hopOrThrow(node)
      const neighbour = hop.peer
      const withinMs = Math.min(
        MAX_OPEN_CIRCUIT_MS,
        Math.ceil(OPEN_CIRCUIT_MS + silenceMs({ ttl: ttlOf(hop), metric: hop.metric }))
      )
      const late = AbortSignal.any([signal, AbortSignal.timeout(withinMs)])
      const over = new AbortController()
      const wire = new ExchangeConnection({
        remoteAddr: multiaddr(`/p2p/${neighbour}/p2p-circuit/p2p/${node}`),
        direction: 'outbound',
        log: upgrades.log
      })
      wire.addEventListener('close', () => over.abort(new MeshError('cancelled', 'the circuit was closed')))
      const path: string[] = []
      /** Why the way ended: that says more than what libp2p makes of it. */
      let ended: MeshError | undefined
      try {
        const replies = await ask(node, hop, { trace: false, signal: over.signal, input: wire.outgoing() })
        void wire.take(
          bytesOf(
            replies,
            (nodes) => path.push(...nodes),
            (error) => {
              if (!over.signal.aborted) ended = error
            }
          )
        )
        const connection = await upgrades.outbound(wire, late)
        came(neighbour, node, 'ok')
        return { connection, neighbour, path }
      } catch (error) {
        const mesh = toMeshError(ended ?? error)
        wire.abort(mesh)
        const isSilent = late.aborted && !signal.aborted && ended === undefined
        const message = isSilent ? `nothing came back in ${withinMs} ms` : mesh.message
        const reason = isSilent ? 'silent' : (mesh.details['reason'] ?? mesh.code)
        const isUseless = ended === undefined ? path.length > 0 : typeof reason === 'string' && LASTING.includes(reason)
        if (!signal.aborted) came(neighbour, node, isUseless ? 'useless' : isSilent ? 'silent' : 'failed')
        throw new MeshError(
          'unavailable',
          `no circuit to ${node} over ${neighbour}: ${message}`,
          { peer: node, via: neighbour, ...(reason !== undefined && { reason }) },
          { cause: error }
        )
      }
    },

    async *trace(node, signal) {
      const hop = hopOrThrow(node)
      let reached = false
      let count = 0
      for await (const body of await ask(node, hop, { trace: true, signal })) {
        const reply = decodeForwardReply(body)
        if (reply.kind === 'path') break
        if (reply.kind === 'bytes' || ++count > MAX_FORWARD_PATH)
          throw new MeshError('protocol_error', 'an answer to a trace that nobody can have given')
        const name = originId(reply.node)
        reached ||= name === node
        yield name
      }
      if (!reached) throw new MeshError('unavailable', `the way to ${node} ended before it`, { peer: node })
    },

    async *accept({ source: from, neighbour, signal }, incoming) {
      const wire = new ExchangeConnection({
        remoteAddr: multiaddr(`/p2p/${neighbour}/p2p-circuit/p2p/${from}`),
        direction: 'inbound',
        log: upgrades.log
      })
      // Told apart from what comes in: nobody may be reading that now.
      signal.addEventListener('abort', () => wire.lost(abortError(signal)), { once: true })
      void wire.take(incoming)
      upgrades.inbound(wire, AbortSignal.timeout(ACCEPT_CIRCUIT_MS)).catch((error: unknown) => wire.abort(toMeshError(error)))
      try {
        yield* wire.outgoing()
      } finally {
        wire.lost(new MeshError('unavailable', 'the circuit has ended'))
      }
    }
  }
}

/** Hops that a circuit may go: tables may lead round about for a moment. */
const ttlOf = ({ hops }: Hop): number => Math.min(MAX_FORWARD_TTL, 2 * hops + 3)

/** What the destination sends, once the way is told. */
async function* bytesOf(
  replies: AsyncGenerator<unknown, unknown, void>,
  onPath: (nodes: string[]) => void,
  onEnd: (error: MeshError) => void
): AsyncGenerator<Uint8Array, void, void> {
  let told = false
  try {
    for await (const body of replies) {
      const reply: ForwardReply = decodeForwardReply(body)
      if (reply.kind === 'path' && !told) onPath(reply.nodes.map(originId))
      else if (reply.kind !== 'bytes' || !told)
        throw new MeshError('protocol_error', 'a circuit that begins with something else than the way')
      else yield reply.bytes
      told = true
    }
  } catch (error) {
    onEnd(toMeshError(error))
    throw error
  }
}
