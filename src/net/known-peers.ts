/** The bounded table of peers that the dialer knows. Pure: no timers, no network. */
import type { PeerSource } from './address-book.ts'
import { withPeerId } from './ip-multiaddr.ts'

/** Peers known at once; the least wanted gives way to a new one. */
export const MAX_KNOWN_PEERS = 1_024
/** Addresses kept per peer; the oldest that nobody configured gives way. */
export const MAX_DIAL_ADDRESSES = 16
/** How much a source counts; lower is more. */
export const SOURCE_RANK: Readonly<Record<PeerSource, number>> = { static: 0, remembered: 1, mdns: 2, peer: 3, inbound: 4 }

/** A peer, or a static address whose owner is not known yet. Times are monotonic ms. */
export interface KnownPeer {
  /** The PeerId, or `address:<multiaddr>`. */
  readonly key: string
  readonly peerId: string | undefined
  source: PeerSource
  addrs: Set<string>
  /** Addresses that a person gave. */
  pinned: Set<string>
  /** Pinned addresses given without PeerId: should another peer turn up there, they are followed to it. */
  anonymous: Set<string>
  connected: boolean
  failures: number
  /** Connections in a row that came about, and on which the two did not accept each other. */
  refusals: number
  /** When to dial; Infinity for not at all. */
  dueAt: number
  lastAttemptAt: number
  heardAt: number
  /** When it was last connected or taken up. */
  wantedSince: number
  /** When its last connection ended; -Infinity if it never had one. */
  lostAt: number
  attempt: AbortController | undefined
  /** Something changed while the attempt was running: try again when it fails, without a wait. */
  again: boolean
}

/** A peer as the dialer shows it. */
export interface DialerPeer {
  /** Undefined for a static address whose owner is not known yet. */
  peerId: string | undefined
  source: PeerSource
  connected: boolean
  dialing: boolean
  /** Failed attempts since the last success. */
  failures: number
  addrs: string[]
}

/** The table. */
export interface KnownPeers {
  readonly peers: Map<string, KnownPeer>
  /** Adds a peer, if it must be by dropping the least wanted one; undefined if all others are wanted more. */
  take(key: string, peerId: string | undefined, source: PeerSource): KnownPeer | undefined
  /** True if the address is new and was added. */
  addAddress(peer: KnownPeer, addr: string): boolean
  /** Static addresses that were given without PeerId turned out to be those of this peer. */
  adopt(owner: KnownPeer, addrs: Iterable<string>): void
  /** Takes such addresses away from it again. @returns them, as they were given. */
  release(owner: KnownPeer): string[]
  views(): DialerPeer[]
  counters(): { full: number; evicted: number }
}

/** Creates an empty table of at most `maxPeers`. */
export function createKnownPeers({ maxPeers, now }: { maxPeers: number; now(): number }): KnownPeers {
  const peers = new Map<string, KnownPeer>()
  const counters = { full: 0, evicted: 0 }

  /** Not connected, not configured; the one that failed most, then the one unheard of longest. */
  const leastWanted = (source: PeerSource): KnownPeer | undefined => {
    let victim: KnownPeer | undefined
    for (const peer of peers.values()) {
      if (peer.connected || peer.source === 'static' || (peer.source === 'remembered' && source !== 'static')) continue
      const worse =
        victim === undefined ||
        peer.failures > victim.failures ||
        (peer.failures === victim.failures && peer.heardAt < victim.heardAt)
      if (worse) victim = peer
    }
    return victim
  }

  const addAddress: KnownPeers['addAddress'] = ({ addrs, pinned }, addr) => {
    if (addrs.has(addr)) return false
    if (addrs.size >= MAX_DIAL_ADDRESSES) {
      const oldest = [...addrs].find((known) => !pinned.has(known))
      if (oldest === undefined) return false
      addrs.delete(oldest)
    }
    addrs.add(addr)
    return true
  }

  return {
    peers,
    take: (key, peerId, source) => {
      if (peers.size >= maxPeers) {
        const victim = leastWanted(source)
        if (victim === undefined) {
          counters.full++
          return undefined
        }
        victim.attempt?.abort()
        peers.delete(victim.key)
        counters.evicted++
      }
      const time = now()
      const sets = { addrs: new Set<string>(), pinned: new Set<string>(), anonymous: new Set<string>() }
      const times = { dueAt: Infinity, lastAttemptAt: -Infinity, heardAt: time, wantedSince: time, lostAt: -Infinity }
      const peer: KnownPeer = {
        key,
        peerId,
        source,
        ...sets,
        ...times,
        connected: false,
        failures: 0,
        refusals: 0,
        attempt: undefined,
        again: false
      }
      peers.set(key, peer)
      return peer
    },
    addAddress,
    adopt(owner, addrs) {
      for (const text of addrs) {
        const full = withPeerId(text, owner.peerId ?? '')
        if (full === undefined) continue
        addAddress(owner, full)
        owner.pinned.add(full)
        owner.anonymous.add(text)
      }
    },
    release(owner) {
      const texts = [...owner.anonymous]
      owner.anonymous.clear()
      for (const text of texts) {
        const full = withPeerId(text, owner.peerId ?? '') ?? ''
        owner.addrs.delete(full)
        owner.pinned.delete(full)
      }
      return texts
    },
    views: () =>
      [...peers.values()].map(({ peerId, source, connected, attempt, failures, addrs }) => {
        return { peerId, source, connected, dialing: attempt !== undefined, failures, addrs: [...addrs] }
      }),
    counters: () => ({ ...counters })
  }
}
