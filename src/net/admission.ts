import type { Identify } from '@libp2p/identify'
import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { MEMBER_PROTOCOL } from '../../protocols/member/messages.ts'
import { toMeshError, type MeshError } from '../errors.ts'
import type { AdmissionGate } from './admission-gate.ts'
import { createChannel } from './channel.ts'
import { createMember, type MemberComponents } from './member.ts'
import { openSession, type Session } from './session.ts'

/** A peer that connects and proves nothing within this time is disconnected, in ms. */
export const PROOF_WITHIN_MS = 5_000
/** Streams of the member protocol that one connection may open: one is needed. */
const MAX_MEMBER_STREAMS = 2

/** Disconnects whoever is not of the mesh, before anything else is open to them. */
export interface Admission {
  start(): Promise<void>
  stop(): Promise<void>
}

/** What admission needs. */
export interface AdmissionComponents extends Omit<MemberComponents, 'self'> {
  libp2p: Pick<
    Libp2p,
    'peerId' | 'peerStore' | 'handle' | 'unhandle' | 'addEventListener' | 'removeEventListener' | 'getConnections'
  > & {
    services: { gate: AdmissionGate; identify: Identify }
  }
  now: () => number
  /** A peer that is not of the mesh; its connection is closed. */
  onStranger(peer: string, error: MeshError): void
}

/** See {@link Admission}. */
export function createAdmission({ libp2p, now, onStranger, ...rest }: AdmissionComponents): Admission {
  const { gate, identify } = libp2p.services
  const self = libp2p.peerId.toString()
  const member = createMember({ self, ...rest }, admit)
  const timers = new Map<Connection, ReturnType<typeof setTimeout>>()
  let running = false

  function onOpen({ detail: connection }: CustomEvent<Connection>): void {
    if (!running) return
    const peer = connection.remotePeer.toString()
    // Also of a peer that is admitted: it may have started anew and not know this node any more.
    if (connection.direction === 'outbound') return void ask(connection, peer)
    if (gate.isAdmitted(peer)) return
    const timer = setTimeout(() => {
      timers.delete(connection)
      if (!gate.isAdmitted(peer)) refuse(connection, toMeshError(new Error('no proof of membership came in time')))
    }, PROOF_WITHIN_MS)
    timer.unref?.()
    timers.set(connection, timer)
  }

  /** This side opened the connection: it asks. */
  async function ask(connection: Connection, peer: string): Promise<void> {
    try {
      const signal = AbortSignal.timeout(PROOF_WITHIN_MS)
      const stream = await connection.newStream(MEMBER_PROTOCOL, { signal, maxOutboundStreams: MAX_MEMBER_STREAMS })
      const session = await openSession({ channel: createChannel(stream), initiator: true, handler: nothing, now })
      await member.prove(session, peer)
      admit(peer)
      await session.close()
    } catch (error) {
      refuse(connection, toMeshError(error))
    }
  }

  function admit(peer: string): void {
    if (gate.isAdmitted(peer)) return
    const [connection] = libp2p.getConnections(peerIdFromString(peer))
    if (connection === undefined) return
    gate.admit(peer)
    // Only now: who the node is and what it speaks is for members. Gossip learns from it whom it may speak to.
    identify.identify(connection).then(undefined, () => undefined)
  }

  function refuse(connection: Connection, error: MeshError): void {
    const peer = connection.remotePeer
    connection.abort(error)
    if (!running || gate.isAdmitted(peer.toString())) return
    onStranger(peer.toString(), error)
    // libp2p notes what a stranger names: nothing of it is kept.
    libp2p.peerStore.delete(peer).catch(() => undefined)
  }

  function onClose({ detail: connection }: CustomEvent<Connection>): void {
    clearTimeout(timers.get(connection))
    timers.delete(connection)
    if (libp2p.getConnections(connection.remotePeer).length === 0) gate.dismiss(connection.remotePeer.toString())
  }

  return {
    async start() {
      running = true
      gate.close()
      gate.leaveOpen(MEMBER_PROTOCOL)
      libp2p.addEventListener('connection:open', onOpen)
      libp2p.addEventListener('connection:close', onClose)
      await libp2p.handle(
        MEMBER_PROTOCOL,
        async (stream, connection) => {
          const peer = connection.remotePeer.toString()
          let session: Session | undefined
          try {
            const { timeoutMs } = member.protocol
            const handler: Parameters<typeof openSession>[0]['handler'] = (exchange) => member.protocol.handle(exchange, peer)
            session = await openSession({ channel: createChannel(stream), initiator: false, handler, now, timeoutMs })
            await session.closed
          } catch (error) {
            session?.abort(toMeshError(error))
          }
          if (!gate.isAdmitted(peer)) refuse(connection, toMeshError(new Error('no proof of membership')))
        },
        { maxInboundStreams: MAX_MEMBER_STREAMS, maxOutboundStreams: MAX_MEMBER_STREAMS }
      )
    },
    async stop() {
      running = false
      libp2p.removeEventListener('connection:open', onOpen)
      libp2p.removeEventListener('connection:close', onClose)
      for (const timer of timers.values()) clearTimeout(timer)
      timers.clear()
      await libp2p.unhandle(MEMBER_PROTOCOL)
    }
  }
}

async function* nothing(): AsyncGenerator<unknown, unknown, void> {
  throw new Error('this side only asks')
}
