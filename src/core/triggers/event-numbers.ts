import type { EventSequence } from '../../../protocols/trigger/messages.ts'

/** Subjects whose last number is remembered; of others the next number leaves a gap, but is never lower. */
export const MAX_NUMBERED_SUBJECTS = 4_096

/** What tells the events of a node apart, and puts them in order. */
export interface EventNumbers {
  /** @param of source capability and subject. */
  next(of: string): { id: string; sequence: EventSequence }
}

/** @param incarnation counts the starts of the node, so that nothing has to be remembered over them. */
export function createEventNumbers(incarnation: number): EventNumbers {
  const last = new Map<string, number>()
  let count = 0

  return {
    next(of) {
      count++
      // No subject has more events than the node: so its count is past whatever number a forgotten subject had.
      const number = (last.get(of) ?? count - 1) + 1
      last.delete(of)
      last.set(of, number)
      if (last.size > MAX_NUMBERED_SUBJECTS) last.delete(last.keys().next().value!)
      return { id: `${incarnation}-${count}`, sequence: { incarnation, number } }
    }
  }
}
