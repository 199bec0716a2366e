import { PRIORITIES, type Priority } from '../../../protocols/trigger/messages.ts'
import { ACCEPTED_SHARE, MAX_ACCEPTED_BYTES, MAX_ACCEPTED_EVENTS } from './outbox-contract.ts'

/** An event, as far as its place counts. */
export interface PlacedEntry {
  readonly event: { priority: Priority }
  /** In bytes; the same as long as it has a place. */
  readonly weight: number
  /** Handlers had accepted all of it: it stays in its place until it is out. */
  readonly wasTaken: boolean
}

/**
 * Which events may be with handlers and their links: what they accept takes room for as long as they please, so it is counted before it is sent. Bytes are
 * counted to the bound and one event over it, so that a large one is not kept back by small ones for good.
 */
export interface OutboxPlaces<N extends PlacedEntry> {
  /** True if it has a place, or gets one: it may go. False: it is told by `next` when there is one. */
  admit(entry: N): boolean
  /** So many of its legs more, or less, are with handlers. */
  changed(entry: N, by: number): void
  /** It is out, or begins anew. */
  leave(entry: N): void
  /** One that waits for a place, and may go now: the most urgent and oldest. It waits no longer. */
  next(): N | undefined
}

/** See {@link OutboxPlaces}. */
export function createOutboxPlaces<N extends PlacedEntry>(): OutboxPlaces<N> {
  /** With how many handlers each is. */
  const placed = new Map<N, number>()
  const waiting: Record<Priority, Set<N>> = { low: new Set(), normal: new Set(), high: new Set(), critical: new Set() }
  /** Waited for a place, and has got it by another leg. */
  const ready = new Set<N>()
  let bytes = 0

  function hasRoom(priority: Priority): boolean {
    const share = priority === 'critical' ? 1 : ACCEPTED_SHARE
    return placed.size < share * MAX_ACCEPTED_EVENTS && bytes < share * MAX_ACCEPTED_BYTES
  }

  function free(entry: N): void {
    if (placed.delete(entry)) bytes -= entry.weight
  }

  return {
    admit(entry) {
      const { priority } = entry.event
      if (placed.has(entry) || hasRoom(priority)) return true
      waiting[priority].add(entry)
      return false
    },
    changed(entry, by) {
      if (by === 0) return
      const before = placed.get(entry)
      const count = (before ?? 0) + by
      if (count === 0 && !entry.wasTaken) return free(entry)
      placed.set(entry, count)
      if (before !== undefined) return
      bytes += entry.weight
      if (waiting[entry.event.priority].delete(entry)) ready.add(entry)
    },
    leave(entry) {
      free(entry)
      ready.delete(entry)
      waiting[entry.event.priority].delete(entry)
    },
    next() {
      for (const entry of ready) {
        ready.delete(entry)
        return entry
      }
      for (const priority of [...PRIORITIES].reverse()) {
        const [first] = hasRoom(priority) ? waiting[priority] : []
        if (first === undefined) continue
        waiting[priority].delete(first)
        return first
      }
      return undefined
    }
  }
}
