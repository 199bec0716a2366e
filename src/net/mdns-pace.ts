/** How often a node asks by mDNS who is there: seldom when it has heard nothing new, and more seldom the more would answer. */
import { RECORD_TTL_S } from './mdns-records.ts'

/** Interval of later queries, ms: from the first to the second, doubling while nothing new is heard (RFC 6762, 5.2). Jittered by a fifth. */
export const QUERY_INTERVAL_MS = { min: 10_000, max: 60_000 } as const
/**
 * The same until anybody is heard, ms: one query or its answer is easily lost, and who hears nobody disturbs nobody. The least that RFC 6762
 * allows between the first two (5.2), doubling up to the shortest of later ones.
 */
export const LONELY_INTERVAL_MS = 1_000
/** Each query is answered by all, to all. So the longest interval is at least this for each peer that is known, ms, up to {@link MAX_CROWDED_MS}. */
export const QUERY_SHARE_MS = 6_000
/** See {@link QUERY_SHARE_MS}: also where somebody invents peers, two networks that become one find out within this time, ms. */
export const MAX_CROWDED_MS = 300_000
/** Peers remembered as known, to tell a new one from an old one. */
export const MAX_REMEMBERED_PEERS = 4_096

/** See above. */
export interface QueryPace {
  /** A peer is there, and answers under this DNS name. */
  heard(peer: string, instance: string): void
  /** The owners of these DNS names have gone. */
  gone(instances: readonly string[]): void
  /** Something has changed: as at the start. */
  restart(): void
  /** Time until the next query, ms. */
  nextMs(): number
}

/** @param now monotonic ms. @param random gives [0, 1). */
export function createQueryPace({ now, random }: { now(): number; random(): number }): QueryPace {
  /** In the order of hearing: the first is the oldest. */
  const known = new Map<string, { heardAt: number; instance: string }>()
  let intervalMs: number = QUERY_INTERVAL_MS.min
  let lonelyMs: number = LONELY_INTERVAL_MS

  const longestMs = (): number => Math.max(QUERY_INTERVAL_MS.max, Math.min(MAX_CROWDED_MS, known.size * QUERY_SHARE_MS))
  /** Before that no query has been missed, or two that were lost. */
  const isKnown = ({ heardAt }: { heardAt: number }): boolean =>
    now() <= heardAt + Math.max(RECORD_TTL_S * 1_000, 3 * longestMs())

  return {
    heard(id, instance) {
      const old = known.get(id)
      if (old === undefined || !isKnown(old) || old.instance !== instance) intervalMs = QUERY_INTERVAL_MS.min
      known.delete(id)
      known.set(id, { heardAt: now(), instance })
      for (const [oldest, peer] of known) {
        if (isKnown(peer) && known.size <= MAX_REMEMBERED_PEERS) break
        known.delete(oldest)
      }
    },
    gone(instances) {
      for (const [id, { instance }] of known) if (instances.includes(instance)) known.delete(id)
    },
    restart() {
      lonelyMs = LONELY_INTERVAL_MS
      intervalMs = QUERY_INTERVAL_MS.min
    },
    nextMs() {
      // Jitter may not take it below what the RFC allows.
      if (known.size === 0 && lonelyMs < QUERY_INTERVAL_MS.min) {
        const ms = lonelyMs * (1 + 0.4 * random())
        lonelyMs *= 2
        return ms
      }
      const ms = intervalMs * (0.8 + 0.4 * random())
      intervalMs = Math.min(longestMs(), intervalMs * 2)
      return ms
    }
  }
}
