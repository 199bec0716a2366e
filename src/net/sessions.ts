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

/** The sessions of one protocol: at most one used per peer, opened when first needed, by either side. */
export interface Sessions {
  start(): Promise<void>
  stop(): Promise<void>
  /** The session with a connected peer. @throws MeshError `unavailable`, `unsupported`. */
  get(peer: string): Promise<Session>
  /** The open session, if there is one. */
  peek(peer: string): Session | undefined
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
  const open = new Map<string, Session[]>()
  const opening = new Map<string, Promise<Session>>()
  const rates = createTokenBuckets(STREAM_RATE, now)
  let stopped = false

  function peek(peer: string): Session | undefined {
    return open.get(peer)?.find((session) => session.open)
  }

  function keep(peer: string, session: Session): void {
    const list = open.get(peer) ?? []
    open.set(peer, [...list, session])
    void session.closed.then((error) => {
      const left = (open.get(peer) ?? []).filter((other) => other !== session)
      if (left.length === 0) open.delete(peer)
      else open.set(peer, left)
      if (error !== undefined && error.code !== 'unavailable') onFault?.(peer, error)
    })
  }

  async function connect(peer: string): Promise<Session> {
    const connection = usable(libp2p.getConnections(peerIdFromString(peer)))
    if (connection === undefined) throw new MeshError('unavailable', `no connection to ${peer}`)
    const signal = AbortSignal.timeout(OPEN_TIMEOUT_MS)
    try {
      const stream = await connection.newStream(protocol.id, { signal, maxOutboundStreams: MAX_STREAMS_PER_PEER })
      const session = await openSession({
        channel: createChannel(stream),
        initiator: true,
        handler: (exchange) => protocol.handle(exchange, peer),
        now,
        timeoutMs: protocol.timeoutMs
      })
      if (stopped) session.abort(new MeshError('unavailable', 'this node is stopping'))
      keep(peer, session)
      return session
    } catch (error) {
      if ((error as Error).name === 'UnsupportedProtocolError') {
        throw new MeshError(
          'unsupported',
          `the peer does not speak ${protocol.id}`,
          { peer, protocol: protocol.id },
          { cause: error }
        )
      }
      const mesh = toMeshError(error)
      throw mesh.code === 'internal' || mesh.code === 'deadline_exceeded' || mesh.code === 'cancelled'
        ? new MeshError('unavailable', `no stream to ${peer}: ${mesh.message}`, {}, { cause: error })
        : mesh
    }
  }

  return {
    peek,
    async get(peer) {
      const ready = peek(peer)
      if (ready !== undefined) return ready
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
            keep(peer, session)
            onInbound?.(peer, session)
          } catch (error) {
            onFault?.(peer, toMeshError(error))
          }
        },
        { maxInboundStreams: MAX_STREAMS_PER_PEER, maxOutboundStreams: MAX_STREAMS_PER_PEER }
      )
    },
    async stop() {
      stopped = true
      await libp2p.unhandle(protocol.id)
      await Promise.all([...open.values()].flat().map((session) => session.close()))
    }
  }
}

/** The oldest open connection: the one that a duplicate does not outlive. */
function usable(connections: Connection[]): Connection | undefined {
  return connections.find((connection) => connection.status === 'open')
}
