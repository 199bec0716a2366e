import { PRIORITIES, type Priority } from '../../../protocols/trigger/messages.ts'
import type { DeadLetter } from './dead-letters.ts'
import {
  LEG_BYTES,
  MAX_OUTBOX_BYTES,
  MAX_OUTBOX_EVENTS,
  type OutboxEvent,
  type OutboxInit,
  type Refusal
} from './outbox-contract.ts'
import { hasTaker, isFinal, isTaken, type Leg } from './outbox-leg.ts'

/** An event that is in. */
export interface OutboxEntry<E> {
  readonly event: E
  /** When its time is over, monotonic ms. */
  readonly expiresAt: number
  /** Higher than that of all before it. */
  readonly order: number
  /** One that is idle stands for all, as long as it is not known who those are. */
  legs: Leg[]
  /** Who has done it. */
  handled: string[]
  /** Of the last failure. */
  code?: string
  message?: string
  /** Why one of its legs has failed, the last one. */
  reason?: DeadLetter<E>['reason']
  /** See {@link weightOf}. */
  weight: number
  /** Handlers have accepted all of it. */
  isTaken: boolean
  /** They had: whatever becomes of it, it has its place among what they accepted, and takes none from what waits. */
  wasTaken: boolean
  /** Its time is over: it goes to nobody who has not accepted it. */
  isOver: boolean
}

/** The events that are in, within their bounds. */
export interface OutboxRoom<E> {
  get(id: string): OutboxEntry<E> | undefined
  /** The leg of an event that is with a handler. */
  legWith(id: string, handler: string): [OutboxEntry<E>, Leg] | [undefined, undefined]
  /** The same, or one that was with it, and is with nobody now. */
  legOf(id: string, handler: string, isOpen: (leg: Leg) => boolean): [OutboxEntry<E>, Leg] | [undefined, undefined]
  /** Who has accepted an event, or has done it. */
  takenBy(id: string): string[]
  /**
   * What would have to go for an event: the oldest low ones, then others of lower priority, none that a handler has, or had. For one that somebody is there to
   * handle also those of its priority for which nobody is. Where that is not known, somebody may be.
   */
  victimsFor(event: E): OutboxEntry<E>[] | Refusal
  add(entry: OutboxEntry<E>): void
  delete(entry: OutboxEntry<E>): void
  /** It has other legs, of which nobody has had any. */
  weigh(entry: OutboxEntry<E>): void
  /** Legs have changed: whether it still waits for a handler may have as well. */
  update(entry: OutboxEntry<E>): void
  /** The most urgent first, then the oldest. */
  entries(): OutboxEntry<E>[]
  readonly size: number
  readonly waiting: number
  readonly bytes: number
}

/** What it counts of the bounds, in bytes. @param legs how many handlings it has. */
export function weightOf(event: OutboxEvent, legs: number): number {
  return event.bytes + LEG_BYTES * Math.max(0, legs - 1)
}

const isIdle = ({ state }: Leg): boolean => state === 'idle'

/** See {@link OutboxRoom}. */
export function createOutboxRoom<E extends OutboxEvent>(route: OutboxInit<E>['route']): OutboxRoom<E> {
  const entries: Record<Priority, Map<string, OutboxEntry<E>>> = {
    low: new Map(),
    normal: new Map(),
    high: new Map(),
    critical: new Map()
  }
  const byId = new Map<string, OutboxEntry<E>>()
  let waiting = 0
  /** Of those that nobody has had as a whole. */
  let queued = 0
  let queuedBytes = 0
  let bytes = 0

  function queue({ weight }: OutboxEntry<E>, sign: 1 | -1): void {
    queued += sign
    queuedBytes += sign * weight
  }

  function mayHaveHandler(event: E): boolean {
    const { handlers, undecided } = route(event)
    return undecided !== undefined || handlers.size > 0
  }

  const isForNobody = ({ event, legs }: OutboxEntry<E>): boolean => legs.every(isIdle) && route(event).undecided === undefined

  return {
    get: (id) => byId.get(id),
    legWith(id, handler) {
      const entry = byId.get(id)
      const leg = entry?.legs.find((one) => one.handler === handler && !isFinal(one))
      return entry === undefined || leg === undefined ? [undefined, undefined] : [entry, leg]
    },
    legOf(id, handler, isOpen) {
      const entry = byId.get(id)
      if (entry === undefined || entry.handled.includes(handler)) return [undefined, undefined]
      const leg =
        entry.legs.find((one) => one.handler === handler && !isFinal(one)) ??
        entry.legs.find((one) => !isFinal(one) && isOpen(one) && one.asked.has(handler))
      return leg === undefined ? [undefined, undefined] : [entry, leg]
    },
    takenBy(id) {
      const { handled = [], legs = [] } = byId.get(id) ?? {}
      return [...handled, ...legs.flatMap(({ state, handler }) => (state === 'accepted' ? [handler!] : []))]
    },
    victimsFor(event) {
      if (byId.has(event.id)) return 'known'
      if (event.bytes > MAX_OUTBOX_BYTES) return 'too_large'
      const victims: OutboxEntry<E>[] = []
      let [events, room] = [MAX_OUTBOX_EVENTS - queued, MAX_OUTBOX_BYTES - queuedBytes]
      // Those whom it goes to are counted once they are known.
      const weight = event.fanOut === 'all' ? event.bytes : Math.min(MAX_OUTBOX_BYTES, weightOf(event, event.fanOut))
      const fits = (): boolean => events > 0 && room >= weight
      for (const priority of PRIORITIES) {
        // Of the same priority what somebody may handle is kept, and who brings more is told. What nobody is there for must not keep all others out.
        const isSame = priority === event.priority && priority !== 'low'
        if (fits() || (isSame && !mayHaveHandler(event))) break
        for (const entry of entries[priority].values()) {
          if (fits()) break
          if (entry.wasTaken) continue
          if (isSame ? !isForNobody(entry) : entry.legs.some(hasTaker)) continue
          victims.push(entry)
          events++
          room += entry.weight
        }
        if (priority === event.priority) break
      }
      return fits() ? victims : 'full'
    },
    add(entry) {
      byId.set(entry.event.id, entry)
      entries[entry.event.priority].set(entry.event.id, entry)
      bytes += entry.weight
      if (!entry.isTaken) waiting++
      if (!entry.wasTaken) queue(entry, 1)
    },
    delete(entry) {
      if (!byId.delete(entry.event.id)) return
      entries[entry.event.priority].delete(entry.event.id)
      bytes -= entry.weight
      if (!entry.isTaken) waiting--
      if (!entry.wasTaken) queue(entry, -1)
    },
    weigh(entry) {
      const weight = weightOf(entry.event, entry.legs.length)
      bytes += weight - entry.weight
      if (!entry.wasTaken) queuedBytes += weight - entry.weight
      entry.weight = weight
    },
    update(entry) {
      const { legs, isTaken: before, wasTaken } = entry
      entry.isTaken = legs.length > 0 && legs.every(isTaken)
      waiting += Number(before) - Number(entry.isTaken)
      if (wasTaken || legs.length === 0 || !legs.every((leg) => isTaken(leg) || hasTaker(leg))) return
      entry.wasTaken = true
      queue(entry, -1)
    },
    entries: () => [...PRIORITIES].reverse().flatMap((priority) => [...entries[priority].values()]),
    get size() {
      return byId.size
    },
    get waiting() {
      return waiting
    },
    get bytes() {
      return bytes
    }
  }
}
