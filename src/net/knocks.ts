import { createTokenBuckets } from '../core/token-buckets.ts'
import { parseIpMultiaddr } from './ip-multiaddr.ts'

/** Connections that one host may open without any proof coming of it: a handshake costs tens of milliseconds. */
export const FAILED_RATE = { perSecond: 1, burst: 32 } as const
/** A host that fails more often is turned away for this time, before any handshake, in ms. */
export const TURNED_AWAY_MS = 5_000
/** Hosts that are turned away at once; the oldest is let in again first. */
export const MAX_TURNED_AWAY = 1_024

/** Hosts that open connections and prove nothing. */
export interface Knocks {
  /** A connection from this multiaddr ended without a proof. */
  failed(address: string): void
  /** True for now for a host that does so again and again. */
  turnsAway(address: string): boolean
}

/** @param now monotonic, in ms. */
export function createKnocks(now: () => number): Knocks {
  const buckets = createTokenBuckets(FAILED_RATE, now)
  const until = new Map<string, number>()
  const hostOf = (address: string): string => parseIpMultiaddr(address)?.host ?? address
  return {
    failed(address) {
      const host = hostOf(address)
      if (buckets.take(host)) return
      until.delete(host)
      until.set(host, now() + TURNED_AWAY_MS)
      if (until.size > MAX_TURNED_AWAY) until.delete(until.keys().next().value!)
    },
    turnsAway: (address) => (until.get(hostOf(address)) ?? -Infinity) > now()
  }
}
