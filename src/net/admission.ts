import type { Identify } from '@libp2p/identify'
import type { Connection, Libp2p, StreamHandler } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { CALL_PROTOCOL } from '../../protocols/call/messages.ts'
import { LEND_PROTOCOL } from '../../protocols/lend/messages.ts'
import { MEMBER_PROTOCOL } from '../../protocols/member/messages.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { AdmissionGate } from './admission-gate.ts'
import type { Knocks } from './knocks.ts'
import { createMember, type MemberComponents } from './member.ts'
import { MAX_SINGLE_STREAMS, answerSingle, limited, openSingle } from './single-exchange.ts'

/** A connection on which nothing is proved within this time is closed, in ms. */
export const PROOF_WITHIN_MS = 10_000
/** What is open to nodes of other meshes: never what tells of the own mesh, or speaks for it. */
export const FOREIGN_PROTOCOLS: ReadonlySet<string> = new Set([CALL_PROTOCOL, LEND_PROTOCOL])
/** Who is told that a treaty is over has the connection for this long at most, in ms. */
export const PART_WITHIN_MS = 1_000
/** Proofs that a peer may ask for, each over a connection or several. Each is some signatures. */
export const PROOF_RATE = { perSecond: 10, burst: 200 } as const
/** Notices that a peer may tell in its proofs: all that there can be, three times, and then so many a second. Each is some signatures to check. */
export const TOLD_RATE = { perSecond: 50, burst: 4_096 } as const
/** Connections that have not proved anything yet; the oldest is closed for a new one. */
export const MAX_UNPROVED = 64

/** Lets members in and disconnects everybody else, before anything else is open to them. */
export interface Admission {
  start(): Promise<void>
  stop(): Promise<void>
  /** Ends the admission of a peer, and with it all that it has open. */
  expel(peer: string, error: MeshError): void
  /** As `expel`, of a node of another mesh, once it has been told what ended the treaty; it has a moment for that. */
  part(peer: string, error: MeshError): void
  /**
   * Proves once more, with a member that is admitted, over the connection that is there: both then know the same notices and the newest certificates.
   * @throws MeshError as proving does; one that is no member any more is turned out.
   */
  again(peer: string): Promise<void>
  /** This connection may stay though nothing is proved on it; whoever says so closes it. */
  excuse(connection: Connection): void
}

/** What admission needs. */
export interface AdmissionComponents extends Omit<MemberComponents, 'self' | 'onRevoked'> {
  libp2p: Pick<
    Libp2p,
    'peerId' | 'peerStore' | 'handle' | 'unhandle' | 'addEventListener' | 'removeEventListener' | 'getConnections'
  > & {
    services: { gate: AdmissionGate; identify: Identify; knocks: Knocks }
  }
  now: () => number
  /** A node of the own mesh is admitted. */
  onMember?(peer: string): void
  /** A node of another mesh is admitted, by a treaty. */
  onForeign(peer: string, mesh: string): void
  /** A peer has shown that it is not of the mesh, or that it does not speak as its nodes do: to try again makes no sense. Its connections are closed. */
  onStranger(peer: string, error: MeshError): void
  /** How proving ended with a peer: each side took the other, or the connection that this side opened came to nothing. */
  onProof(peer: string, accepted: boolean): void
}

/** See {@link Admission}. */
export function createAdmission(components: AdmissionComponents): Admission {
  const { libp2p, now, onStranger, onForeign, onMember, onProof, ...rest } = components
  const { gate, identify, knocks } = libp2p.services
  const self = libp2p.peerId.toString()
  /** Peers that were told that they are revoked, until their exchange is over. */
  const revoked = new Map<string, MeshError>()
  const told = createTokenBuckets(TOLD_RATE, now)
  const member = createMember(
    {
      self,
      ...rest,
      async learn(notices, peer) {
        const { successions, revocations, treaties, treatyRevocations } = notices
        const count = successions.length + revocations.length + treaties.length + treatyRevocations.length
        if (!told.take(peer, count)) throw new MeshError('busy', 'the peer tells too much in its proofs', { reason: 'limit' })
        await rest.learn(notices, peer)
      },
      onRevoked: (peer, error) => void revoked.set(peer, error)
    },
    admit
  )
  const protocol = limited(member.protocol, createTokenBuckets(PROOF_RATE, now))
  /** Connections without a proof, the oldest first. */
  const unproved = new Map<Connection, ReturnType<typeof setTimeout>>()
  let running = false

  function onOpen({ detail: connection }: CustomEvent<Connection>): void {
    if (!running) return
    const peer = connection.remotePeer.toString()
    if (connection.direction === 'inbound' && gate.isAdmitted(peer)) return
    const [oldest] = unproved.size >= MAX_UNPROVED ? unproved.keys() : []
    if (oldest !== undefined) refuse(oldest, new MeshError('busy', 'too many peers have not proved to be of this mesh'))
    const late = new MeshError('unavailable', `no proof of membership within ${PROOF_WITHIN_MS} ms`)
    const timer = setTimeout(() => refuse(connection, late), PROOF_WITHIN_MS)
    timer.unref?.()
    unproved.set(connection, timer)
    // Also to a peer that is admitted: it may have started anew and not know this node any more.
    if (connection.direction === 'outbound') void ask(connection, peer)
  }

  /** This side opened the connection: it asks. */
  async function ask(connection: Connection, peer: string): Promise<void> {
    try {
      await prove(connection, peer)
      onProof(peer, true)
    } catch (error) {
      // Of two connections at once, one is closed: that is no refusal.
      const others = libp2p.getConnections(connection.remotePeer).filter((other) => other !== connection)
      if (running && !others.some((other) => good.has(other))) onProof(peer, false)
      refuse(
        connection,
        isUnsupported(error) ? new MeshError('permission_denied', 'it is no node of a mesh') : toMeshError(error)
      )
    }
  }

  async function prove(connection: Connection, peer: string): Promise<void> {
    const signal = AbortSignal.timeout(PROOF_WITHIN_MS)
    const session = await openSingle(connection, MEMBER_PROTOCOL, { signal, now })
    await member.prove(session, peer)
    await session.close()
  }

  async function again(peer: string): Promise<void> {
    const connection = libp2p.getConnections(peerIdFromString(peer)).find((one) => good.has(one))
    if (connection === undefined || gate.openingOf(peer) !== 'all') return
    try {
      await prove(connection, peer)
    } catch (error) {
      const mesh = toMeshError(error)
      if (mesh.code === 'permission_denied') refuse(connection, mesh)
      throw mesh
    }
  }

  /** Nothing opens any more meanwhile, and its calls are refused: there is no treaty. */
  function part(peer: string, error: MeshError): void {
    const connection = libp2p.getConnections(peerIdFromString(peer)).find((one) => good.has(one))
    if (connection === undefined) return turnOut(peer, error)
    gate.dismiss(peer)
    const timer = setTimeout(() => turnOut(peer, error), PART_WITHIN_MS)
    void prove(connection, peer)
      .catch(() => undefined)
      .finally(() => {
        clearTimeout(timer)
        turnOut(peer, error)
      })
  }

  function admit(peer: string, mesh: string | undefined): void {
    const connections = libp2p.getConnections(peerIdFromString(peer))
    for (const connection of connections) {
      proved(connection)
      good.add(connection)
    }
    if (connections.length === 0) return
    if (gate.openingOf(peer) !== 'all') {
      if (mesh !== undefined) {
        gate.admit(peer, FOREIGN_PROTOCOLS)
        return onForeign(peer, mesh)
      }
      gate.admit(peer)
      onMember?.(peer)
    }
    const direct = connections.find(({ limits }) => limits === undefined)
    if (mesh !== undefined || direct === undefined || identified.has(peer)) return
    identified.add(peer)
    // Only now: who the node is and what it speaks is for members. Gossip learns from it whom it may speak to; never over a circuit.
    identify.identify(direct).then(undefined, () => undefined)
  }

  /** Members that were asked who they are, over a connection that is still there. */
  const identified = new Set<string>()
  /** Connections on which something was proved. */
  const good = new WeakSet<Connection>()
  function proved(connection: Connection): void {
    clearTimeout(unproved.get(connection))
    unproved.delete(connection)
  }

  /** Closes a connection; all of the peer's, if it has shown that it is not of the mesh or does not speak as its nodes do. */
  function refuse(connection: Connection, error: MeshError): void {
    const { remotePeer } = connection
    const peer = remotePeer.toString()
    proved(connection)
    connection.abort(error)
    // Whoever was dialled and breaks the contract would be dialled again within a second, and so on.
    if (error.code === 'permission_denied' || (error.code === 'protocol_error' && connection.direction === 'outbound'))
      turnOut(peer, error)
  }

  /** Nothing more is open to the peer; what it has open ends. */
  function turnOut(peer: string, error: MeshError): void {
    gate.dismiss(peer)
    for (const connection of libp2p.getConnections(peerIdFromString(peer))) connection.abort(error)
    if (running) onStranger(peer, error)
  }

  function onClose({ detail: connection }: CustomEvent<Connection>): void {
    proved(connection)
    const { remotePeer } = connection
    const isGood = good.has(connection) || gate.isAdmitted(remotePeer.toString())
    if (connection.direction === 'inbound' && !isGood) knocks.failed(connection.remoteAddr.toString())
    const others = libp2p.getConnections(remotePeer)
    if (connection.limits === undefined && !others.some(({ limits }) => limits === undefined)) {
      identified.delete(remotePeer.toString())
      // libp2p tells gossip of the end of the last one alone; calls open a circuit again if they need one.
      for (const circuit of others) circuit.abort(new MeshError('unavailable', 'the connection to the peer was lost'))
    }
    if (others.length > 0) return
    const wasAdmitted = gate.isAdmitted(remotePeer.toString())
    gate.dismiss(remotePeer.toString())
    // libp2p notes what a stranger names, also of one that leaves before it is refused: nothing of it is kept.
    if (wasAdmitted) return
    libp2p.peerStore.delete(remotePeer).catch(() => undefined)
  }

  /** The other side opened the connection: it asks. */
  const answer: StreamHandler = async (stream, connection) => {
    const peer = connection.remotePeer.toString()
    const refusal = (await answerSingle(stream, peer, protocol, now)) ?? revoked.get(peer)
    revoked.delete(peer)
    if (refusal === undefined && gate.isAdmitted(peer)) onProof(peer, true)
    else refuse(connection, refusal ?? new MeshError('unavailable', 'the peer proved nothing'))
  }

  return {
    expel: turnOut,
    part,
    again,
    excuse: proved,
    async start() {
      running = true
      gate.close()
      gate.leaveOpen(MEMBER_PROTOCOL)
      libp2p.addEventListener('connection:open', onOpen)
      libp2p.addEventListener('connection:close', onClose)
      const streams = {
        maxInboundStreams: MAX_SINGLE_STREAMS,
        maxOutboundStreams: MAX_SINGLE_STREAMS,
        runOnLimitedConnection: true
      }
      await libp2p.handle(MEMBER_PROTOCOL, answer, streams)
    },
    async stop() {
      running = false
      libp2p.removeEventListener('connection:open', onOpen)
      libp2p.removeEventListener('connection:close', onClose)
      for (const timer of unproved.values()) clearTimeout(timer)
      unproved.clear()
      await libp2p.unhandle(MEMBER_PROTOCOL)
    }
  }
}

function isUnsupported(error: unknown): boolean {
  return error instanceof Error && error.name === 'UnsupportedProtocolError'
}
