/** When the dialer dials whom. Pure. */
import type { PeerSource } from './address-book.ts'
import { SOURCE_RANK } from './known-peers.ts'
import type { KnownPeer } from './known-peers.ts'

/** The larger PeerId of a pair waits so long for the smaller one to dial, ms. Two dials at once would make two connections. */
export const LARGER_PEER_WAIT_MS = 1_500
/**
 * Who hears of a peer dials it within this time for each other peer that is known, in ms, at {@link MAX_SPREAD_MS} at most: when one
 * joins a hundred, they do not all shake hands with it at once, and its first session, which brings it the directory, is there early.
 */
export const SPREAD_MS = 20
/** See {@link SPREAD_MS}; less than {@link LARGER_PEER_WAIT_MS}. */
export const MAX_SPREAD_MS = 1_000
/** Wait after a failure, ms: doubles from the first to the second, jittered by a quarter. */
export const BACKOFF_MS = { min: 250, max: 30_000 } as const
/**
 * Wait before a peer is tried again that took the connection and not this node, ms: doubles from the first to the second, jittered by a
 * quarter. Either side pays a handshake for each attempt, and only somebody who changes something there or here can help.
 */
export const REFUSED_BACKOFF_MS = { min: 1_000, max: 60_000 } as const
/** A peer that was there this long ago, in ms, is still tried every {@link RECENT_BACKOFF_MS}: cables are plugged in again, laptops wake up. */
export const RECENT_LOSS_MS = 120_000
/** Longest wait before a peer of {@link RECENT_LOSS_MS} is tried again, ms. */
export const RECENT_BACKOFF_MS = 1_000
/** A peer heard again is dialled at most this often, ms. */
export const MIN_REDIAL_MS = 500
/** Unreachable peers are dropped after so long, ms; remembered ones and those that are reached over others go on at {@link REMEMBERED_BACKOFF_MS}, static ones as before. */
export const GIVE_UP_MS = 600_000
/** Wait between attempts at a peer that has been away for {@link GIVE_UP_MS} and is not dropped, ms. */
export const REMEMBERED_BACKOFF_MS = 300_000

/** Times are monotonic ms, waits are ms. */
export interface DialPolicy {
  /** What this node leaves to the other side before it dials: nothing where it is the smaller, or the peer is configured. */
  headStart(peer: KnownPeer): number
  backoff(peer: KnownPeer): number
  /** When to dial a peer that was just heard of; `fresh` if it or one of its addresses is new, `known` how many others there are. */
  heardDueAt(peer: KnownPeer, source: PeerSource, heard: { fresh: boolean; known: number; delayMs: number }): number
  /** True for hearsay that was unreachable for {@link GIVE_UP_MS}. */
  isHopeless(peer: KnownPeer): boolean
  /** Sort order of what is due: configured and proven peers, then those that failed least: a flood of invented ones cannot starve them. */
  compare(a: KnownPeer, b: KnownPeer): number
}

/** Creates the policy of the node `ownId`. `random` gives [0, 1). */
export function createDialPolicy({ ownId, now, random }: { ownId: string; now(): number; random(): number }): DialPolicy {
  const headStart = (peer: KnownPeer): number =>
    peer.source === 'static' || peer.peerId === undefined || ownId < peer.peerId ? 0 : LARGER_PEER_WAIT_MS
  const refusedMs = ({ refusals }: KnownPeer): number =>
    refusals === 0 ? 0 : Math.min(REFUSED_BACKOFF_MS.max, REFUSED_BACKOFF_MS.min * 2 ** Math.min(refusals - 1, 20))
  const isHopeless = ({ source, wantedSince, heardAt }: KnownPeer): boolean =>
    source !== 'static' &&
    source !== 'remembered' &&
    now() - Math.max(wantedSince, source === 'mdns' ? heardAt : -Infinity) > GIVE_UP_MS
  return {
    headStart,
    backoff: (peer) => {
      const tired = isHopeless(peer) || (peer.source === 'remembered' && now() - peer.wantedSince > GIVE_UP_MS)
      const longest = now() - peer.lostAt < RECENT_LOSS_MS ? RECENT_BACKOFF_MS : BACKOFF_MS.max
      const wait = tired ? REMEMBERED_BACKOFF_MS : Math.min(longest, BACKOFF_MS.min * 2 ** Math.min(peer.failures, 20))
      return Math.max(wait, refusedMs(peer)) * (0.75 + random() / 2)
    },
    heardDueAt: (peer, source, { fresh, known, delayMs }) => {
      if (source === 'static') return Math.max(now() + delayMs, fresh ? -Infinity : peer.lastAttemptAt + MIN_REDIAL_MS)
      const spread = random() * Math.min(MAX_SPREAD_MS, SPREAD_MS * known)
      const soonest = now() + Math.max(delayMs, headStart(peer) + spread)
      return fresh ? soonest : Math.max(soonest, peer.lastAttemptAt + Math.max(MIN_REDIAL_MS, refusedMs(peer)))
    },
    isHopeless,
    compare: (a, b) => SOURCE_RANK[a.source] - SOURCE_RANK[b.source] || a.failures - b.failures || a.dueAt - b.dueAt
  }
}
