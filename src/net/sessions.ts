import { peerIdFromString } from '@libp2p/peer-id'
import type { Connection, Libp2p } from '@libp2p/interface'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, toMeshError } from '../errors.ts'
import { createChannel } from './channel.ts'
import type { Protocol } from './protocol.ts'
import { openSession, type Session } from './session.ts'

/** Streams of one protocol that one peer may open to this node. One is normal, two when both sides open at once. */
export const MAX_STREAMS_PER_PEER = 4
/** Streams of one protocol that one peer may open to this node in a time; more are reset. One lasts as long as its connection. */
export const STREAM_RATE = { perSecond: 5, burst: 50 } as const
/** Negotiating a stream takes at most this long, in ms. */
export const OPEN_TIMEOUT_MS = 5_000

/** The sessions of one protocol: at most one used per peer, opened when first needed, by either side. One with a neighbour goes before one over a circuit. */
export interface Sessions {
  start(): Promise<void>
  stop(): Promise<void>
  /** The session with a connected peer. @throws MeshError `unavailable`, `unsupported`. */
  get(peer: string): Promise<Session>
  /** The open session, if there is one. */
  peek(peer: string): Session | undefined
  /** The open session over a circuit of this node, if there is one. */
  overCircuit(peer: string): Session | undefined
  /** The session that `get` would resolve with at once; undefined where it would open one. */
  ready(peer: string): Session | undefined
}

/** Nothing was sent, and there may be another way. */
const LOST = { lost: true, notStarted: true } as const

/** Peers of which is remembered that they speak a protocol. */
const MAX_SPEAKERS = 4_096

interface OpenSession {
  session: Session
  kind: 'direct' | 'circuit' | 'their circuit'
}

/** What it needs of libp2p. */
export interface SessionsComponents {
  libp2p: Pick<Libp2p, 'handle' | 'unhandle' | 'getConnections'>
  now: () => number
  /** A session that the other side opened is ready. */
  onInbound?: (peer: string, session: Session) => void
  /** A stream or session failed for a reason that is the peer's doing. */
  onFault?: (peer: string, error: MeshError) => void
}

/** See {@link Sessions}. */
export function createSessions({ libp2p, now, onInbound, onFault }: SessionsComponents, protocol: Protocol): Sessions {
  const open = new Map<string, OpenSession[]>()
  const opening = new Map<string, Promise<Session>>()
  /** Peers that have spoken it. */
  const speakers = new Set<string>()
  const rates = createTokenBuckets(STREAM_RATE, now)
  let stopped = false

  const streams = {
    maxInboundStreams: MAX_STREAMS_PER_PEER,
    maxOutboundStreams: MAX_STREAMS_PER_PEER,
    runOnLimitedConnection: protocol.overCircuits === true
  }

  function best(peer: string): OpenSession | undefined {
    // Over circuits of the other end only that one asks: whoever opened a circuit looks after it.
    const able = open.get(peer)?.filter(({ session, kind }) => session.open && kind !== 'their circuit')
    return able?.find(({ kind }) => kind === 'direct') ?? able?.[0]
  }

  function keep(peer: string, session: Session, { limits, direction }: Connection): void {
    const list = open.get(peer) ?? []
    const kind = limits === undefined ? 'direct' : direction === 'outbound' ? 'circuit' : 'their circuit'
    open.set(peer, [...list, { session, kind }])
    speakers.add(peer)
    if (speakers.size > MAX_SPEAKERS) speakers.delete(speakers.values().next().value!)
    void session.closed.then((error) => {
      const left = (open.get(peer) ?? []).filter((other) => other.session !== session)
      if (left.length === 0) open.delete(peer)
      else open.set(peer, left)
      if (error !== undefined && error.code !== 'unavailable') onFault?.(peer, error)
    })
  }

  function connectionTo(peer: string): Connection | undefined {
    return usable(libp2p.getConnections(peerIdFromString(peer)), protocol.overCircuits === true)
  }

  async function connect(peer: string): Promise<Session> {
    const connection = connectionTo(peer)
    if (connection === undefined) throw new MeshError('unavailable', `no connection to ${peer}`, LOST)
    const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS)
    try {
      const stream = await connection.newStream(protocol.id, { signal, ...streams })
      const session = await openSession({
        channel: createChannel(stream),
        initiator: true,
        handler: (exchange) => protocol.handle(exchange, peer),
        now,
        timeoutMs: protocol.timeoutMs
      })
      if (stopped) session.abort(new MeshError('unavailable', 'this node is stopping'))
      keep(peer, session, connection)
      return session
    } catch (error) {
      if ((error as Error).name === 'UnsupportedProtocolError') {
        // It takes no more of what it did: a program that has left the mesh, and not one that cannot.
        if (speakers.has(peer)) throw new MeshError('unavailable', 'the peer is stopping', LOST, { cause: error })
        throw new MeshError(
          'unsupported',
          `the peer does not speak ${protocol.id}`,
          { peer, protocol: protocol.id },
          { cause: error }
        )
      }
      const mesh = toMeshError(error)
      throw mesh.code === 'internal' || mesh.code === 'deadline_exceeded' || mesh.code === 'cancelled'
        ? new MeshError('unavailable', `no stream to ${peer}: ${mesh.message}`, LOST, { cause: error })
        : mesh
    }
  }

  function ready(peer: string): Session | undefined {
    const found = best(peer)
    if (found?.kind !== 'circuit') return found?.session
    // Once there is a connection of its own, new exchanges take that one.
    return connectionTo(peer)?.limits === undefined ? undefined : found.session
  }

  return {
    peek: (peer) => best(peer)?.session,
    overCircuit: (peer) => open.get(peer)?.find(({ session, kind }) => kind === 'circuit' && session.open)?.session,
    ready,
    async get(peer) {
      const session = ready(peer)
      if (session !== undefined) return session
      let pending = opening.get(peer)
      if (pending === undefined) {
        pending = connect(peer).finally(() => opening.delete(peer))
        opening.set(peer, pending)
      }
      return pending
    },
    async start() {
      await libp2p.handle(
        protocol.id,
        async (stream, connection) => {
          const peer = connection.remotePeer.toString()
          if (!rates.take(peer)) return stream.abort(new MeshError('busy', 'the peer opens streams too often'))
          try {
            const handler: Parameters<typeof openSession>[0]['handler'] = (exchange) => protocol.handle(exchange, peer)
            const session = await openSession({
              channel: createChannel(stream),
              initiator: false,
              handler,
              now,
              timeoutMs: protocol.timeoutMs
            })
            keep(peer, session, connection)
            onInbound?.(peer, session)
          } catch (error) {
            onFault?.(peer, toMeshError(error))
          }
        },
        streams
      )
    },
    async stop() {
      stopped = true
      await libp2p.unhandle(protocol.id)
      await Promise.all([...open.values()].flat().map(({ session }) => session.close()))
    }
  }
}

/** The oldest open connection: the one that a duplicate does not outlive. A circuit only where there is none else. */
function usable(connections: Connection[], overCircuits: boolean): Connection | undefined {
  const able = connections.filter(({ status }) => status === 'open')
  const circuit = overCircuits
    ? able.find(({ limits, direction }) => limits !== undefined && direction === 'outbound')
    : undefined
  return able.find(({ limits }) => limits === undefined) ?? circuit
}
