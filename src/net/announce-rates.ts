import { createTokenBuckets, type TokenBuckets } from '../core/token-buckets.ts'

/** Announcements a second that one origin may send, and how many at once. */
export const ORIGIN_RATE = { perSecond: 20, burst: 200 } as const
/** Announcements a second whose signature is checked for one neighbour, whoever they are of, and how many at once. */
export const SENDER_RATE = { perSecond: 500, burst: 4_000 } as const
/** Records a second that one neighbour may bring over sync, and how many at once: a whole directory and more. */
export const RECORD_RATE = { perSecond: 500, burst: 5_000 } as const
/** How often a node outbids another that uses its key: three times a minute. */
export const HEAL_RATE = { perSecond: 3 / 60, burst: 3 } as const

/** The rates of what an announcer hears: by origin, by neighbour over gossip and over sync, and of its own answers. */
export function createAnnounceRates(now: () => number): Record<'origins' | 'senders' | 'records' | 'heals', TokenBuckets> {
  return {
    origins: createTokenBuckets(ORIGIN_RATE, now),
    senders: createTokenBuckets(SENDER_RATE, now),
    records: createTokenBuckets(RECORD_RATE, now),
    heals: createTokenBuckets(HEAL_RATE, now)
  }
}
