import type { Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'

/** What a WebSocket or WebRTC link costs beside its round trip, in ms: more work for each message than plain TCP. */
export const WRAPPED_PENALTY_MS = 2

/** What the transport of a neighbour adds to the cost of the link, in ms. */
export function linkPenaltyMs(libp2p: Pick<Libp2p, 'getConnections'>, peer: string): number {
  const direct = libp2p.getConnections(peerIdFromString(peer)).filter(({ limits }) => limits === undefined)
  return direct.length > 0 &&
    direct.every(({ remoteAddr }) => /\/(ws|wss|webrtc|webrtc-direct)(\/|$)/.test(remoteAddr.toString()))
    ? WRAPPED_PENALTY_MS
    : 0
}
