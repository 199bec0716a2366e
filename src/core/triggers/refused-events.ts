import type { EventSequence } from '../../../protocols/trigger/messages.ts'

/** What follows an event that had to be sent again later is refused as well, for so long, ms: its source sends them again in their order. */
export const REFUSED_MS = 30_000
/** Subjects of which that is remembered; past it the oldest of the node with the most is not any more. */
export const MAX_REFUSED_SUBJECTS = 4_096

/** The first event of each subject that was refused: nothing of the subject is to come in before it, or the order would be lost. */
export interface RefusedEvents {
  /** True if one before it was refused, and has not come again. @param node its source. @param of handler and subject. */
  isBehind(node: string, of: string, sequence: EventSequence, now: number): boolean
  /** @param expiresAt when its time is over: it does not come again after that. */
  refused(node: string, of: string, sequence: EventSequence, now: number, expiresAt?: number): void
  /** It is in. */
  taken(node: string, of: string, sequence: EventSequence): void
  readonly size: number
}

interface Refused {
  sequence: EventSequence
  until: number
}

/** See {@link RefusedEvents}. A node that is refused much makes this one forget none of others. */
export function createRefusedEvents(): RefusedEvents {
  /** By node and subject, the oldest first. */
  const shares = new Map<string, Map<string, Refused>>()
  let size = 0

  function drop(node: string, of: string): void {
    const share = shares.get(node)
    if (share?.delete(of) !== true) return
    size--
    if (share.size === 0) shares.delete(node)
  }

  function add(node: string, of: string, one: Refused): void {
    drop(node, of)
    const share = shares.get(node) ?? new Map<string, Refused>()
    shares.set(node, share.set(of, one))
    if (++size <= MAX_REFUSED_SUBJECTS) return
    const [from, largest] = [...shares].reduce((a, b) => (b[1].size > a[1].size ? b : a))
    drop(from, largest.keys().next().value!)
  }

  return {
    isBehind(node, of, sequence, now) {
      const one = shares.get(node)?.get(of)
      if (one === undefined) return false
      if (one.until > now) return isBefore(one.sequence, sequence)
      drop(node, of)
      return false
    },
    refused(node, of, sequence, now, expiresAt = Infinity) {
      const one = shares.get(node)?.get(of)
      if (one === undefined || one.until <= now || !isBefore(one.sequence, sequence))
        add(node, of, { sequence, until: Math.min(now + REFUSED_MS, expiresAt) })
    },
    taken(node, of, sequence) {
      const one = shares.get(node)?.get(of)
      if (one !== undefined && !isBefore(one.sequence, sequence) && !isBefore(sequence, one.sequence)) drop(node, of)
    },
    get size() {
      return size
    }
  }
}

/** Whether one event of a subject is older than another. */
export function isBefore(a: EventSequence, b: EventSequence): boolean {
  return a.incarnation < b.incarnation || (a.incarnation === b.incarnation && a.number < b.number)
}
