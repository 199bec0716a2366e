/** Copies of what this node raises, for other nodes that observe it. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { MAX_COPY_TYPE, MAX_REFUSED } from '../../protocols/trigger/observe.ts'
import { encodeCopy, type EventCopy } from '../../protocols/trigger/messages.ts'
import type { Cancellation } from '../core/cancellation.ts'
import { createCopyQueue, type CopyQueue } from '../core/triggers/copy-queue.ts'
import { createEventFilter, type EventFilter } from '../core/triggers/event-filter.ts'
import { createTokenBuckets } from '../core/token-buckets.ts'
import { MeshError } from '../errors.ts'

/** Nodes that may observe this one at the same time; one more is told `busy`. */
export const MAX_OBSERVERS = 256
/** What waits for one of them; past it the oldest copies go. */
export const COPY_ROOM = { copies: 256, bytes: 1024 * 1024 } as const
/** Exchanges `observe` that one node may open: each has patterns that are looked up in all that this node may raise. */
export const OBSERVE_RATE = { perSecond: 1, burst: 30 } as const

/** Which capabilities a node may observe now. */
export type Observer = (capability: CapabilityDeclaration) => boolean

/** What they need. */
export interface EventCopiesComponents {
  /** Whether a node may observe at all. @throws MeshError `permission_denied`. */
  observerOf(peer: string): Observer
  /** Capabilities of this node. */
  own(): Iterable<CapabilityDeclaration>
  /** A copy found no room. */
  onDropped(): void
  /** Monotonic ms. */
  now: () => number
}

/** The side of the source. */
export interface EventCopies {
  /** Answers an exchange `observe`. One for each node: another one takes the place of the one before, and what waits. */
  observe(patterns: readonly string[], peer: string, cancellation: Cancellation): AsyncGenerator<unknown, null, void>
  /** An event is raised. Never throws, and waits for nobody. */
  raised(capability: CapabilityDeclaration, event: string, copy: EventCopy): void
  /** A node has fewer rights than before: what waits for it goes, and its exchanges end, so that it asks anew. */
  less(peer: string): void
  /** Nodes that observe this one now. */
  readonly size: number
  /** All exchanges end. */
  stop(): void
}

interface Reader {
  fits: EventFilter
  may: Observer
  queue: CopyQueue<EventCopy>
  over: boolean
  wake: (() => void) | undefined
}

/** See {@link EventCopies}. */
export function createEventCopies({ observerOf, own, onDropped, now }: EventCopiesComponents): EventCopies {
  const readers = new Map<string, Reader>()
  /** All exchanges, also those that another one has taken the place of: of each, one copy may wait for credit. */
  const exchanges = new Map<Cancellation, string>()
  const rates = createTokenBuckets(OBSERVE_RATE, now)
  let stopped = false

  function end(reader: Reader): void {
    reader.over = true
    reader.wake?.()
  }

  function refusedOf({ fits, may }: Pick<Reader, 'fits' | 'may'>): string[] {
    const refused: string[] = []
    for (const capability of own()) {
      if (refused.length === MAX_REFUSED) break
      const { id, type, triggers = [] } = capability
      if (triggers.some(({ event }) => fits(type, event)) && !may(capability)) refused.push(id)
    }
    return refused
  }

  return {
    async *observe(patterns, peer, cancellation) {
      if (stopped) throw new MeshError('unavailable', 'the node is stopping')
      if (!rates.take(peer)) throw new MeshError('busy', 'this node is asked too often for its events', { retryAfterMs: 1_000 })
      const may = observerOf(peer)
      const fits = createEventFilter(patterns)
      const before = readers.get(peer)
      if (before === undefined && readers.size >= MAX_OBSERVERS)
        throw new MeshError('busy', `${MAX_OBSERVERS} nodes observe this one already`)
      const reader: Reader = {
        fits,
        may,
        queue: before?.queue ?? createCopyQueue(COPY_ROOM, onDropped),
        over: false,
        wake: undefined
      }
      readers.set(peer, reader)
      exchanges.set(cancellation, peer)
      if (before !== undefined) end(before)
      cancellation.onAbort(() => end(reader))
      try {
        yield encodeCopy({ refused: refusedOf(reader) })
        while (!reader.over) {
          const next = reader.queue.take()
          if (next !== undefined) yield encodeCopy({ ...next.copy, lost: next.lost })
          else await new Promise<void>((resolve) => (reader.wake = resolve))
        }
        return null
      } finally {
        exchanges.delete(cancellation)
        if (readers.get(peer) === reader) readers.delete(peer)
      }
    },
    raised(capability, event, copy) {
      if (copy.type.length > MAX_COPY_TYPE) return
      for (const reader of readers.values()) {
        if (!reader.fits(capability.type, event) || !reader.may(capability)) continue
        reader.queue.push(copy)
        reader.wake?.()
      }
    },
    less(peer) {
      // Another exchange must not take over what waits.
      readers.delete(peer)
      for (const [cancellation, of] of exchanges)
        if (of === peer) cancellation.abort(new MeshError('cancelled', 'this node has fewer rights here than before'))
    },
    get size() {
      return readers.size
    },
    stop() {
      stopped = true
      for (const reader of readers.values()) end(reader)
    }
  }
}
