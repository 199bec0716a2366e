import type { Connection, Libp2p } from '@libp2p/interface'
import {
  JOIN_PROTOCOL,
  decodeJoinRequest,
  decodeWelcome,
  encodeJoinRequest,
  encodeWelcome,
  type JoinRequest,
  type Welcome
} from '../../protocols/join/messages.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { AdmissionGate } from './admission-gate.ts'
import type { Protocol } from './protocol.ts'
import { ASK_RATE, MAX_SINGLE_STREAMS, answerSingle, limited, openSingle } from './single-exchange.ts'

/** A request to join or to renew takes at most this long, in ms. */
export const JOIN_TIMEOUT_MS = 5_000

/** Answers nodes that want to become members, and members that renew. */
export interface JoinDesk {
  start(): Promise<void>
  stop(): Promise<void>
}

/** What it needs. */
export interface JoinDeskComponents {
  libp2p: Pick<Libp2p, 'handle' | 'unhandle'> & { services: { gate: AdmissionGate } }
  now: () => number
  /** True while strangers may ask. */
  isOpen(): boolean
  /** @throws MeshError `permission_denied`. */
  welcome(request: JoinRequest, peer: string): Promise<Welcome>
}

/** The answering side of the join protocol as data. */
export function joinProtocol(welcome: JoinDeskComponents['welcome']): Protocol {
  return {
    id: JOIN_PROTOCOL,
    timeoutMs: JOIN_TIMEOUT_MS,

    async *handle({ body }, peer) {
      return encodeWelcome(await welcome(decodeJoinRequest(body), peer))
    }
  }
}

/** See {@link JoinDesk}. */
export function createJoinDesk({ libp2p, now, isOpen, welcome }: JoinDeskComponents): JoinDesk {
  const protocol = limited(joinProtocol(welcome), createTokenBuckets(ASK_RATE, now))
  return {
    async start() {
      libp2p.services.gate.leaveOpen(JOIN_PROTOCOL, isOpen)
      await libp2p.handle(
        JOIN_PROTOCOL,
        async (stream, connection) => {
          await answerSingle(stream, connection.remotePeer.toString(), protocol, now)
        },
        { maxInboundStreams: MAX_SINGLE_STREAMS, maxOutboundStreams: MAX_SINGLE_STREAMS }
      )
    },
    stop: () => libp2p.unhandle(JOIN_PROTOCOL)
  }
}

/**
 * Asks a connected node.
 * @throws MeshError `permission_denied` (its words say why), `busy` with `details.retryAfterMs` if it was asked too often, `unavailable` if it does not answer: it may have no invite out.
 */
export async function requestWelcome(connection: Connection, request: JoinRequest, now: () => number): Promise<Welcome> {
  const signal = AbortSignal.timeout(JOIN_TIMEOUT_MS)
  try {
    const session = await openSingle(connection, JOIN_PROTOCOL, { signal, now })
    try {
      const step = await session.request(encodeJoinRequest(request), { signal }).next()
      if (step.done !== true) throw new MeshError('protocol_error', 'the node sent more than an answer')
      return decodeWelcome(step.value)
    } finally {
      await session.close()
    }
  } catch (error) {
    const mesh = toMeshError(error)
    // With a reason it is the node's own word.
    if (mesh.code === 'permission_denied' || mesh.code === 'protocol_error' || mesh.details['reason'] !== undefined) throw mesh
    throw new MeshError('unavailable', `the node does not answer: ${mesh.message}`, {}, { cause: error })
  }
}
