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
}

/** The part of libp2p that the dialer uses. */
export interface DialerLibp2p {
  peerId: PeerIdLike
  dial: DialFunction
  getConnections(): readonly DialerConnection[]
  addEventListener(type: 'peer:connect' | 'peer:disconnect', listener: (event: CustomEvent<PeerIdLike>) => void): void
  removeEventListener(type: 'peer:connect' | 'peer:disconnect', listener: (event: CustomEvent<PeerIdLike>) => void): void
}

/** The connections of a peer. */
export function connectionsOf(libp2p: DialerLibp2p, peerId: string): DialerConnection[] {
  return libp2p.getConnections().filter(({ remotePeer }) => remotePeer.toString() === peerId)
}

/**
 * The connection to an address whose owner is not known, if there is one: libp2p compares PeerIds only and would open a second.
 */
export function connectionAt(libp2p: DialerLibp2p, { peerId, addrs }: KnownPeer): DialerConnection | undefined {
  if (peerId !== undefined) return undefined
  return libp2p.getConnections().find(({ remoteAddr }) => addrs.has(remoteAddr.toString().split('/p2p/')[0] ?? ''))
}

/**
 * The address of a peer that a connection proves. The port of an inbound one is of no use, but a known address of the same
 * host is confirmed by it.
 */
export function provenAddress({ addrs }: KnownPeer, { direction, remoteAddr }: DialerConnection): string | undefined {
  const text = remoteAddr.toString()
  if (direction === 'outbound') return text
  const host = parseIpMultiaddr(text)?.host
  return host === undefined ? undefined : [...addrs].find((addr) => parseIpMultiaddr(addr)?.host === host)
}
