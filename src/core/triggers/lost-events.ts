import type { EventSequence } from '../../../protocols/trigger/messages.ts'
import { isBefore } from './refused-events.ts'

/** Handlers and subjects of which that is remembered; past it the one that lost its last event longest ago is told nothing. */
export const MAX_LOST_SUBJECTS = 4_096

/** An event, as far as it has a place among those of its subject. */
interface Placed {
  of?: string
  sequence?: EventSequence
}

/**
 * Which events were sent to a handler, once, and may not have come there. All others come again, or went elsewhere; so what follows names these alone, and
 * a handler that wants order is told of what it misses, and waits for nothing.
 */
export interface LostEvents {
  lost(handler: string, event: Placed): void
  /** @returns the number of the last one of its subject before it, of the same start of this node. */
  before(handler: string, event: Placed): number | undefined
  /** The handler has this one: it knows of those before it. */
  told(handler: string, event: Placed): void
}

/** See {@link LostEvents}. */
export function createLostEvents(): LostEvents {
  /** By handler and subject, the newest. */
  const last = new Map<string, EventSequence>()
  const keyOf = (handler: string, of: string): string => `${handler}\n${of}`

  function find(handler: string, { of, sequence }: Placed): EventSequence | undefined {
    const one = of === undefined ? undefined : last.get(keyOf(handler, of))
    return one !== undefined && sequence !== undefined && isBefore(one, sequence) ? one : undefined
  }

  return {
    lost(handler, event) {
      const { of, sequence } = event
      if (of === undefined || sequence === undefined) return
      const key = keyOf(handler, of)
      const before = last.get(key)
      last.delete(key)
      last.set(key, before !== undefined && isBefore(sequence, before) ? before : sequence)
      if (last.size > MAX_LOST_SUBJECTS) last.delete(last.keys().next().value!)
    },
    before(handler, event) {
      const one = find(handler, event)
      return one?.incarnation === event.sequence?.incarnation ? one?.number : undefined
    },
    told(handler, event) {
      if (find(handler, event) !== undefined) last.delete(keyOf(handler, event.of!))
    }
  }
}
