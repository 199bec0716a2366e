import type { EventSequence } from '../../../protocols/trigger/messages.ts'
import { createNodeShares } from './node-shares.ts'
import { isBefore } from './refused-events.ts'

/** Sources and subjects of which it is remembered what was begun; past it, of the node with the most, the one that was silent longest begins anew. */
export const MAX_ORDERED_SUBJECTS = 4_096

/** An event in its place. */
export interface Ordered<T> {
  item: T
  /** 1 if one that was sent here before it was lost. */
  missing: number
  /** It comes after one that was to follow it. */
  late: boolean
}

/**
 * Keeps those of a source and subject that wait in their order. None waits for one that is not here: a source sends them in their order, and what
 * went elsewhere, or is lost, cannot be told from what is still to come.
 */
export interface SubjectOrder<T> {
  /** One has arrived, and is taken in. @param node its source. @param lost number of the last one before it that may not have. @returns 1 if that did not, else none. */
  hear(node: string, key: string, sequence: EventSequence, lost: number | undefined): number
  /** It waits. @param key source and subject. */
  push(node: string, key: string, sequence: EventSequence, item: T, missing: number): void
  /** It waits no longer. @returns false if it did not. */
  delete(key: string, item: T): boolean
  /** The next one of a subject. */
  first(key: string): T | undefined
  /** The same: it waits no longer. */
  take(key: string): Ordered<T> | undefined
  /** One that was taken is begun: what is older is late from now on. */
  begin(node: string, key: string, sequence: EventSequence): void
  /** The first that fits, of whatever subject. */
  find(fits: (item: T) => boolean): T | undefined
  /** Subjects of which something is remembered. */
  readonly size: number
}

interface Waiting<T> {
  node: string
  item: T
  sequence: EventSequence
  missing: number
}

/** The newest of a subject that has arrived, and that was begun. */
interface Newest {
  heard: EventSequence | undefined
  begun: EventSequence | undefined
}

/** See {@link SubjectOrder}. */
export function createSubjectOrder<T>(): SubjectOrder<T> {
  /** Of each subject, the oldest first. */
  const waiting = new Map<string, Waiting<T>[]>()
  const newest = createNodeShares<Newest>(MAX_ORDERED_SUBJECTS)

  function leave(key: string, list: Waiting<T>[], at: number): void {
    list.splice(at, 1)
    if (list.length === 0) waiting.delete(key)
  }

  return {
    hear(node, key, sequence, lost) {
      const { heard, begun } = newest.get(node, key) ?? {}
      newest.set(node, key, { heard: heard !== undefined && isBefore(sequence, heard) ? heard : sequence, begun })
      // What came before this node began is not known here.
      if (heard === undefined || lost === undefined) return 0
      return isBefore(heard, { incarnation: sequence.incarnation, number: lost }) ? 1 : 0
    },
    push(node, key, sequence, item, missing) {
      const list = waiting.get(key) ?? []
      waiting.set(key, list)
      let at = list.length
      while (at > 0 && isBefore(sequence, list[at - 1]!.sequence)) at--
      list.splice(at, 0, { node, item, sequence, missing })
    },
    delete(key, item) {
      const list = waiting.get(key) ?? []
      const at = list.findIndex((one) => one.item === item)
      if (at >= 0) leave(key, list, at)
      return at >= 0
    },
    first: (key) => waiting.get(key)?.[0]?.item,
    take(key) {
      const list = waiting.get(key)
      if (list === undefined) return undefined
      const { node, item, sequence, missing } = list[0]!
      leave(key, list, 0)
      const begun = newest.get(node, key)?.begun
      return { item, missing, late: begun !== undefined && isBefore(sequence, begun) }
    },
    begin(node, key, sequence) {
      const { heard, begun = sequence } = newest.get(node, key) ?? {}
      newest.set(node, key, { heard, begun: isBefore(sequence, begun) ? begun : sequence })
    },
    find(fits) {
      for (const list of waiting.values()) for (const { item } of list) if (fits(item)) return item
      return undefined
    },
    get size() {
      return newest.size
    }
  }
}
