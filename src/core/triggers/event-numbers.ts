import type { EventSequence } from '../../../protocols/trigger/messages.ts'

/** Subjects whose last number is remembered; of others the next number leaves a gap, but is never lower. */
export const MAX_NUMBERED_SUBJECTS = 4_096

/** What tells the events of a node apart, and puts them in order. */
export interface EventNumbers {
  /** @param of source capability and subject. */
  next(of: string): { id: string; sequence: EventSequence }
}

/** Numbers of ids begin below this, at random: there is room for as many events as anybody raises before they have more than 16 digits. */
const ID_NUMBERS = 2 ** 53 - 2 ** 44
/** Numbers of one millisecond: no subject has more events. */
const NUMBERS_OF_MS = 1_000
/** Later times count as this one, ms since 1970: numbers stay integers. It is in 2112. */
const MAX_STARTED_AT = 2 ** 52 / NUMBERS_OF_MS

/** What a start of a node has of its own. */
export interface StartOfNumbers {
  /** Counts the starts of the node, so that nothing has to be remembered over them: handlers take a higher one for a new series. */
  incarnation: number
  /** 0 to 1. */
  random: () => number
  /** Wall clock, ms since 1970. */
  startedAt: number
}

/**
 * The incarnation alone does not tell starts apart: one in seconds is the same twice within a second, and a count of starts comes back with a data directory
 * that was copied. Ids that came again would be taken for events that were handled before, and lost. So those of each start begin at another number, by chance;
 * and numbers of subjects begin where the clock is, so that those of the same incarnation go on.
 */
export function createEventNumbers({ incarnation, random, startedAt }: StartOfNumbers): EventNumbers {
  const last = new Map<string, number>()
  const first = Math.floor(random() * ID_NUMBERS)
  const before = Math.floor(Math.max(0, Math.min(startedAt, MAX_STARTED_AT))) * NUMBERS_OF_MS
  let count = 0

  return {
    next(of) {
      count++
      // No subject has more events than the node: so its count is past whatever number a forgotten subject had.
      const number = (last.get(of) ?? before + count - 1) + 1
      last.delete(of)
      last.set(of, number)
      if (last.size > MAX_NUMBERED_SUBJECTS) last.delete(last.keys().next().value!)
      return { id: `${incarnation}-${first + count}`, sequence: { incarnation, number } }
    }
  }
}
