import type { EventSequence } from '../../../protocols/trigger/messages.ts'

/** What follows an event that had to be sent again later is refused as well, for so long, ms: its source sends them again in their order. */
export const REFUSED_MS = 30_000
/** Subjects of which that is remembered; past it the oldest is not any more. */
export const MAX_REFUSED_SUBJECTS = 4_096

/** The first event of each subject that was refused: nothing of the subject is to come in before it, or the order would be lost. */
export interface RefusedEvents {
  /** True if one before it was refused, and has not come again. */
  isBehind(of: string, sequence: EventSequence, now: number): boolean
  refused(of: string, sequence: EventSequence, now: number): void
  /** It is in. */
  taken(of: string, sequence: EventSequence): void
}

/** See {@link RefusedEvents}. */
export function createRefusedEvents(): RefusedEvents {
  const first = new Map<string, { sequence: EventSequence; until: number }>()

  return {
    isBehind(of, sequence, now) {
      const one = first.get(of)
      if (one === undefined) return false
      if (one.until > now) return isBefore(one.sequence, sequence)
      first.delete(of)
      return false
    },
    refused(of, sequence, now) {
      const one = first.get(of)
      if (one !== undefined && one.until > now && isBefore(one.sequence, sequence)) return
      first.delete(of)
      first.set(of, { sequence, until: now + REFUSED_MS })
      if (first.size > MAX_REFUSED_SUBJECTS) first.delete(first.keys().next().value!)
    },
    taken(of, sequence) {
      const one = first.get(of)
      if (one !== undefined && !isBefore(one.sequence, sequence) && !isBefore(sequence, one.sequence)) first.delete(of)
    }
  }
}

function isBefore(a: EventSequence, b: EventSequence): boolean {
  return a.incarnation < b.incarnation || (a.incarnation === b.incarnation && a.number < b.number)
}
