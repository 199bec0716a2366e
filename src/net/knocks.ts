import { createTokenBuckets } from '../core/token-buckets.ts'
import { ipBytes, ipScope, parseIpMultiaddr } from './ip-multiaddr.ts'

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

/** Bytes before the IPv4 address in an IPv4-mapped IPv6 address. */
const MAPPED_BYTES = 12
/** Bytes of the part of an IPv6 address that a network gives away: who has one address of it has all of them. */
const PREFIX_BYTES = 8

/** What counts as one host: an IPv4 address, also where it is mapped into IPv6; of IPv6 the /64 prefix. */
function hostOf(address: string): string {
  // Circuits come from whom a neighbour likes: they count as its own.
  const circuit = /^\/p2p\/[^/]+\/p2p-circuit/.exec(address)
  if (circuit !== null) return circuit[0]
  const { host, zone = '' } = parseIpMultiaddr(address) ?? {}
  const bytes = host === undefined ? undefined : ipBytes(host)
  if (host === undefined || bytes === undefined) return address
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.subarray(0, MAPPED_BYTES).every((byte, index) => byte === (index < 10 ? 0 : 0xff)))
    return bytes.subarray(MAPPED_BYTES).join('.')
  // All neighbours on a link share fe80::/64: one that attacks must not shut the others out. It may take many such
  // addresses, but whoever is on the link can do worse, and the bounds on connections without a proof still hold.
  const part = ipScope(host) === 'link-local' ? bytes : bytes.subarray(0, PREFIX_BYTES)
  return `${part.join(':')}%${zone}`
}
