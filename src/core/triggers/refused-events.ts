import type { EventSequence } from '../../../protocols/trigger/messages.ts'
import { createNodeShares } from './node-shares.ts'

/** What follows an event that had to be sent again later is refused as well, for so long, ms: its source sends them again in their order. */
export const REFUSED_MS = 30_000
/**
 * What is refused for being behind others alone holds back what follows it no longer than so long after the last one of its subject that was refused for what
 * it is, ms. Each of them may go to another handler and not come again; without this bound one refusal would begin the next for as long as events come.
 */
export const BEHIND_MS = 2 * REFUSED_MS
/** Subjects of which that is remembered; past it the oldest of the node with the most is not any more. */
export const MAX_REFUSED_SUBJECTS = 4_096
/** Of each of them, events that are: the first ones, and the last. */
export const MAX_REFUSED_OF_SUBJECT = 16

/** Events that were refused, and have not come again: nothing of their subject is to come in before them, or the order would be lost. Each counts for its own time. */
export interface RefusedEvents {
  /** True if one before it was refused, and has not come again. @param node its source. @param of handler and subject. */
  isBehind(node: string, of: string, sequence: EventSequence, now: number): boolean
  refused(node: string, of: string, sequence: EventSequence, now: number, how?: RefusedHow): void
  /** It is in, or will not come again. */
  taken(node: string, of: string, sequence: EventSequence): void
  /** Subjects. */
  readonly size: number
}

/** How it was refused. */
export interface RefusedHow {
  /** When its time is over: it does not come again after that. Default: never. */
  expiresAt?: number
  /** For nothing but that it is behind another one: see {@link BEHIND_MS}. */
  isBehind?: boolean
}

interface Refused {
  sequence: EventSequence
  until: number
}

interface Subject {
  /** In the order of their numbers. */
  list: Refused[]
  /** When one was refused last that was not only behind others. */
  refusedAt: number
}

/** See {@link RefusedEvents}. A node that is refused much makes this one forget none of others. */
export function createRefusedEvents(): RefusedEvents {
  const subjects = createNodeShares<Subject>(MAX_REFUSED_SUBJECTS)

  /** Without it, if it is there. */
  function forget(node: string, of: string, sequence: EventSequence): void {
    const list = subjects.get(node, of)?.list ?? []
    const at = list.findIndex((one) => !isBefore(one.sequence, sequence))
    if (at < 0 || isBefore(sequence, list[at]!.sequence)) return
    list.splice(at, 1)
    if (list.length === 0) subjects.delete(node, of)
  }

  return {
    isBehind(node, of, sequence, now) {
      const list = subjects.get(node, of)?.list ?? []
      const first = list.findIndex(({ until }) => until > now)
      list.splice(0, first < 0 ? list.length : first)
      if (list.length === 0) subjects.delete(node, of)
      return list.length > 0 && isBefore(list[0]!.sequence, sequence)
    },
    refused(node, of, sequence, now, { expiresAt = Infinity, isBehind = false } = {}) {
      forget(node, of, sequence)
      const subject = subjects.get(node, of) ?? { list: [], refusedAt: now }
      if (!isBehind) subject.refusedAt = now
      const { list, refusedAt } = subject
      const at = list.findIndex((one) => isBefore(sequence, one.sequence))
      list.splice(at < 0 ? list.length : at, 0, { sequence, until: Math.min(now + REFUSED_MS, expiresAt, refusedAt + BEHIND_MS) })
      // What is sent for the first time is newer than the last; what comes again does so in its order.
      if (list.length > MAX_REFUSED_OF_SUBJECT) list.splice(MAX_REFUSED_OF_SUBJECT - 1, 1)
      subjects.set(node, of, subject)
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
