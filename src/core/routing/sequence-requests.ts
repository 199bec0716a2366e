import { NO_LINK } from './route-table.ts'
import type { SequenceRequest } from './router-messages.ts'
import { compareSequence, type SequenceNumber } from './sequence.ts'

/** First wait for an answer to a request, ms; it doubles up to the last. */
export const REQUEST_RETRY_MS = 2_000
/** Longest wait, ms. */
export const MAX_REQUEST_RETRY_MS = 8_000
/** The same request is passed on once in this time, ms. */
export const FORWARD_MEMORY_MS = 1_500
/** Requests of others that are remembered. */
export const MAX_FORWARDED = 1_024
/** Hops of a request at most. */
export const REQUEST_TTL = 64
/** Own sequence numbers that others may cause at once; then {@link RAISES_PER_SECOND}. */
export const MAX_RAISES = 8
/** See {@link MAX_RAISES}; who asks sooner waits for the next. */
export const RAISES_PER_SECOND = 4

/** Who waits for a newer sequence number: this node, again and again until it comes, and others whose request it has passed on. */
export interface SequenceRequests {
  /**
   * Begins to ask for a sequence number of an origin. True: ask now. False if it has asked already for this or a newer one, and not just because
   * it now has no route at all. One that is of no use is only remembered.
   */
  begin(request: SequenceNumber & { origin: number; starving: boolean; isUseful: boolean }, now: number): boolean
  isAsking(origin: number): boolean
  end(origin: number): void
  /** Origins whose answer is late; their next turn is set. @param isUseful whether it is of use to ask for one now. */
  due(now: number, isUseful: (origin: number) => boolean): number[]
  readonly nextAt: number
  /**
   * True if a request of another is to be passed on; false for the same one a moment later. @param via link that it would go to, NO_LINK: to all.
   * One that went another way may have got lost there. @param proven the origin has signed the number before: one that is not may ask for what
   * there never will be, and stands in the way of nobody but those who ask for the same.
   */
  passOn(request: SequenceRequest, via: number, proven: boolean, now: number): boolean
  /** True if somebody whose request was passed on waits for this; the answer is given once. */
  isAwaited(origin: number, incarnation: number, sequence: number, now: number): boolean
  /** Others want this node to have a sequence number. @returns it, when the time has come; see `nextAt`. */
  raise(wanted: SequenceNumber | undefined, now: number): SequenceNumber | undefined
}

/** See {@link SequenceRequests}. */
export function createSequenceRequests(): SequenceRequests {
  const asking = new Map<number, SequenceNumber & { starving: boolean; isUseful: boolean; at: number; waitMs: number }>()
  /** The newest that was asked for, by origin. */
  const forwarded = new Map<number, SequenceNumber & { via: number; proven: boolean; until: number }>()
  let nextAt = Infinity
  let raises = MAX_RAISES
  let raisedAt = 0
  let toRaise: SequenceNumber | undefined

  const schedule = (): void => {
    nextAt = toRaise === undefined ? Infinity : raisedAt + Math.ceil((1 - raises) * (1_000 / RAISES_PER_SECOND))
    for (const { at } of asking.values()) if (at < nextAt) nextAt = at
  }

  return {
    begin({ origin, incarnation, sequence, starving, isUseful }, now) {
      const asked = asking.get(origin)
      const isNew =
        asked === undefined ||
        compareSequence(incarnation, sequence, asked.incarnation, asked.sequence) > 0 ||
        (starving && !asked.starving) ||
        (isUseful && !asked.isUseful)
      if (asked !== undefined && !isNew) {
        asked.starving = starving
        return false
      }
      asking.set(origin, { incarnation, sequence, starving, isUseful, at: now + REQUEST_RETRY_MS, waitMs: REQUEST_RETRY_MS })
      nextAt = Math.min(nextAt, now + REQUEST_RETRY_MS)
      return isUseful
    },
    isAsking: (origin) => asking.get(origin)?.isUseful === true,
    end(origin) {
      if (asking.delete(origin)) schedule()
    },
    due(now, isUseful) {
      if (now < nextAt) return []
      const late: number[] = []
      for (const [origin, request] of asking) {
        if (request.at > now) continue
        request.isUseful = isUseful(origin)
        if (request.isUseful) {
          late.push(origin)
          request.waitMs = Math.min(MAX_REQUEST_RETRY_MS, request.waitMs * 2)
        }
        request.at = now + request.waitMs
      }
      schedule()
      return late
    },
    get nextAt() {
      return nextAt
    },
    passOn({ origin, incarnation, sequence }, via, proven, now) {
      const known = forwarded.get(origin)
      const isFresh = known !== undefined && now < known.until
      if (isFresh && (via === known.via || via === NO_LINK)) {
        const order = compareSequence(incarnation, sequence, known.incarnation, known.sequence)
        if (order === 0 || (order < 0 && known.proven)) return false
      }
      if (isFresh && known.proven && !proven) return true
      forwarded.delete(origin)
      forwarded.set(origin, { incarnation, sequence, via, proven, until: now + FORWARD_MEMORY_MS })
      if (forwarded.size > MAX_FORWARDED) forwarded.delete(forwarded.keys().next().value!)
      return true
    },
    isAwaited(origin, incarnation, sequence, now) {
      const wanted = forwarded.get(origin)
      if (wanted === undefined || compareSequence(incarnation, sequence, wanted.incarnation, wanted.sequence) < 0) return false
      forwarded.delete(origin)
      return now < wanted.until
    },
    raise(wanted, now) {
      const isNewer =
        wanted !== undefined &&
        (toRaise === undefined || compareSequence(wanted.incarnation, wanted.sequence, toRaise.incarnation, toRaise.sequence) > 0)
      if (isNewer) toRaise = { incarnation: wanted.incarnation, sequence: wanted.sequence }
      if (toRaise === undefined) return undefined
      raises = Math.min(MAX_RAISES, raises + ((now - raisedAt) * RAISES_PER_SECOND) / 1_000)
      raisedAt = now
      const due = raises < 1 ? undefined : toRaise
      if (due !== undefined) {
        raises--
        toRaise = undefined
      }
      schedule()
      return due
    }
  }
}
