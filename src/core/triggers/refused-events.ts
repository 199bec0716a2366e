import type { EventSequence } from '../../../protocols/trigger/messages.ts'
import { createNodeShares } from './node-shares.ts'

/** What follows an event that had to be sent again later is refused as well, for so long, ms: its source sends them again in their order. */
export const REFUSED_MS = 30_000
/** Subjects of which that is remembered; past it the oldest of the node with the most is not any more. */
export const MAX_REFUSED_SUBJECTS = 4_096
/** Of each of them, events that are: the first ones, and the last. */
export const MAX_REFUSED_OF_SUBJECT = 16

/** Events that were refused, and have not come again: nothing of their subject is to come in before them, or the order would be lost. Each counts for its own time. */
export interface RefusedEvents {
  /** True if one before it was refused, and has not come again. @param node its source. @param of handler and subject. */
  isBehind(node: string, of: string, sequence: EventSequence, now: number): boolean
  /** @param expiresAt when its time is over: it does not come again after that. */
  refused(node: string, of: string, sequence: EventSequence, now: number, expiresAt?: number): void
  /** It is in. */
  taken(node: string, of: string, sequence: EventSequence): void
  /** Subjects. */
  readonly size: number
}

interface Refused {
  sequence: EventSequence
  until: number
}

/** See {@link RefusedEvents}. A node that is refused much makes this one forget none of others. */
export function createRefusedEvents(): RefusedEvents {
  /** By node and subject, in the order of their numbers. */
  const subjects = createNodeShares<Refused[]>(MAX_REFUSED_SUBJECTS)

  /** Without it, if it is there. */
  function forget(node: string, of: string, sequence: EventSequence): void {
    const list = subjects.get(node, of) ?? []
    const at = list.findIndex((one) => !isBefore(one.sequence, sequence))
    if (at < 0 || isBefore(sequence, list[at]!.sequence)) return
    list.splice(at, 1)
    if (list.length === 0) subjects.delete(node, of)
  }

  return {
    isBehind(node, of, sequence, now) {
      const list = subjects.get(node, of) ?? []
      const first = list.findIndex(({ until }) => until > now)
      list.splice(0, first < 0 ? list.length : first)
      if (list.length === 0) subjects.delete(node, of)
      return list.length > 0 && isBefore(list[0]!.sequence, sequence)
    },
    refused(node, of, sequence, now, expiresAt = Infinity) {
      forget(node, of, sequence)
      const list = subjects.get(node, of) ?? []
      const at = list.findIndex((one) => isBefore(sequence, one.sequence))
      list.splice(at < 0 ? list.length : at, 0, { sequence, until: Math.min(now + REFUSED_MS, expiresAt) })
      // What is sent for the first time is newer than the last; what comes again does so in its order.
      if (list.length > MAX_REFUSED_OF_SUBJECT) list.splice(MAX_REFUSED_OF_SUBJECT - 1, 1)
      subjects.set(node, of, list)
    },
    taken: forget,
    get size() {
      return subjects.size
    }
  }
}

/** Whether one event of a subject is older than another. */
export function isBefore(a: EventSequence, b: EventSequence): boolean {
  return a.incarnation < b.incarnation || (a.incarnation === b.incarnation && a.number < b.number)
}
