/** What the dialer reads from libp2p about connections. */
import type { Multiaddr } from '@multiformats/multiaddr'
import type { DialFunction } from './dial-attempt.ts'
import { parseIpMultiaddr } from './ip-multiaddr.ts'
import type { KnownPeer } from './known-peers.ts'

interface PeerIdLike {
  toString(): string
}

/** A connection, as far as it is looked at. */
export interface DialerConnection {
  remotePeer: PeerIdLike
  remoteAddr: Multiaddr
  direction: 'inbound' | 'outbound'
  /** Set where other nodes forward it: such a peer is reached, and is no neighbour. */
  limits?: object | undefined
}

/** The part of libp2p that the dialer uses. */
export interface DialerLibp2p {
  peerId: PeerIdLike
  dial: DialFunction
  getConnections(): readonly DialerConnection[]
  addEventListener(type: 'connection:open' | 'connection:close', listener: (event: CustomEvent<DialerConnection>) => void): void
  removeEventListener(
    type: 'connection:open' | 'connection:close',
    listener: (event: CustomEvent<DialerConnection>) => void
  ): void
}

/** True unless other nodes forward it. */
export function isDirect({ limits }: DialerConnection): boolean {
  return limits === undefined
}

/** The direct connections of a peer. */
export function connectionsOf(libp2p: DialerLibp2p, peerId: string): DialerConnection[] {
  return libp2p.getConnections().filter((connection) => isDirect(connection) && connection.remotePeer.toString() === peerId)
}

/** True if there is a connection to a peer that other nodes forward. */
export function isReachedOverOthers(libp2p: DialerLibp2p, peerId: string): boolean {
  return libp2p.getConnections().some((connection) => !isDirect(connection) && connection.remotePeer.toString() === peerId)
}

/**
 * The connection to an address whose owner is not known, if there is one: libp2p compares PeerIds only and would open a second.
 */
export function connectionAt(libp2p: DialerLibp2p, { peerId, addrs }: KnownPeer): DialerConnection | undefined {
  if (peerId !== undefined) return undefined
  const isAt = ({ remoteAddr }: DialerConnection): boolean => addrs.has(remoteAddr.toString().split('/p2p/')[0] ?? '')
  return libp2p.getConnections().find((connection) => isDirect(connection) && isAt(connection))
}

const WEBRTC = 'webrtc-direct'

/**
 * The address of a peer that a connection proves. The port of an inbound one is of no use, but a known address of the same
 * host is confirmed by it: one of WebRTC by WebRTC alone, since it is loaded where such an address is remembered.
 */
export function provenAddress({ addrs }: KnownPeer, { direction, remoteAddr }: DialerConnection): string | undefined {
  const text = remoteAddr.toString()
  if (direction === 'outbound') return text
  const from = parseIpMultiaddr(text)
  if (from === undefined) return undefined
  return [...addrs].find((addr) => {
    const at = parseIpMultiaddr(addr)
    return at?.host === from.host && (!at.protocols.includes(WEBRTC) || from.protocols.includes(WEBRTC))
  })
}
