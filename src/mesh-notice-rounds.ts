import { toString } from 'uint8arrays/to-string'
import { createTokenBuckets } from './core/token-buckets.ts'
import type { MeshComponents } from './mesh-components.ts'

/** How often notices are compared because of one member, at most: it may name another digest each time. */
export const NOTICE_ROUND_RATE = { perSecond: 1 / 10, burst: 3 } as const
/** Members whose notices are compared at once; others are heard again soon. */
export const MAX_NOTICE_ROUNDS = 4
/** Two that differ and still do after a comparison, since one keeps what the other does not, are left alone for this time, in ms. */
export const SAME_DIFFERENCE_MS = 600_000
/** Differences that are remembered; the oldest is forgotten first. */
const MAX_DIFFERENCES = 1_024

/** Finds out that a member knows other notices than this node, whatever gossip lost. */
export interface NoticeRounds {
  /** A member says the digest of its notices. */
  heard(peer: string, digest: Uint8Array): void
}

/** What it needs. */
export interface NoticeRoundsComponents extends Pick<MeshComponents, 'now' | 'log'> {
  /** Of the notices of this node. */
  digest(): Uint8Array
  /** Brings both to the same notices, over the connection that is there. */
  compare(peer: string): Promise<void>
}

/** See {@link NoticeRounds}. */
export function createNoticeRounds({ digest, compare, now, log }: NoticeRoundsComponents): NoticeRounds {
  const rate = createTokenBuckets(NOTICE_ROUND_RATE, now)
  const running = new Set<string>()
  /** When each difference with a peer was last compared. */
  const compared = new Map<string, number>()

  return {
    heard(peer, theirs) {
      const [own, other] = [digest(), theirs].map((bytes) => toString(bytes, 'base16'))
      const difference = `${peer} ${own} ${other}`
      if (own === other || running.has(peer) || running.size >= MAX_NOTICE_ROUNDS) return
      if (now() - (compared.get(difference) ?? -Infinity) < SAME_DIFFERENCE_MS || !rate.take(peer)) return
      running.add(peer)
      compare(peer)
        .then(
          () => {
            compared.set(difference, now())
            if (compared.size > MAX_DIFFERENCES) compared.delete(compared.keys().next().value!)
          },
          (error: Error) => log('warn', `comparing notices with ${peer}: ${error.message}`)
        )
        .finally(() => running.delete(peer))
    }
  }
}
