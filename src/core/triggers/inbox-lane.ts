import type { InboxEvent } from './inbox-contract.ts'
import { createPriorityQueues } from './priority-queues.ts'
import { createSubjectOrder, type Ordered, type SubjectOrder } from './subject-order.ts'

/** What waits for one handler, and which is the next of it. */
export interface InboxLane<E> {
  /** Events that are here, those that are being handled included. */
  count: number
  add(event: E, now: number): void
  /** The oldest one of low priority, of a node if it has one. */
  oldestLow(node: string): E | undefined
  /** It is over before it was begun, and told so by `isIn`. */
  remove(event: E, now: number): void
  /** Takes out the next one; of an ordered handler one of whose subject nothing else is being handled. */
  next(now: number): Ordered<E> | undefined
  begin(event: E): void
  /** It is handled. @returns true if others of its subject may go on. */
  end(event: E): boolean
  /** It was begun, and is the next of its subject again. */
  back(event: E, now: number): void
  /** It was begun, and comes again from its source, with what follows it. */
  rewind(event: E): void
  /** @returns true if there may be a next one. */
  tick(now: number): boolean
  readonly nextAt: number
}

/** @param isOrdered of its handler. Asked when there is something to hand out, since what was kept over a restart is here before that. @param isIn whether an event is to be handled still. */
export function createInboxLane<E extends InboxEvent>(isOrdered: () => boolean, isIn: (event: E) => boolean): InboxLane<E> {
  const queues = createPriorityQueues<E>()
  let order: SubjectOrder<E> | undefined
  /** Those that are in their order, by subject; the subject that had one last, last. */
  const ready = new Map<string, Ordered<E>[]>()
  /** Subjects of which one is being handled. */
  const running = new Set<string>()

  function letGo(of: string, ordered: Ordered<E>): void {
    if (!isIn(ordered.item)) return
    const list = ready.get(of)
    if (list === undefined) ready.set(of, [ordered])
    else list.push(ordered)
  }

  function takeReady(): Ordered<E> | undefined {
    for (const [of, list] of ready) {
      if (running.has(of)) continue
      const first = list.shift()!
      ready.delete(of)
      if (list.length > 0) ready.set(of, list)
      return first
    }
    return undefined
  }

  return {
    count: 0,
    add: (event, now) => queues.add(event, event.priority, now),
    oldestLow: (node) => queues.find('low', (event) => event.node === node) ?? queues.find('low', () => true),
    remove(event, now) {
      if (queues.delete(event, event.priority)) return order?.push(event.of, event.sequence, event, now)
      const left = ready.get(event.of)?.filter(({ item }) => item !== event)
      if (left === undefined) return
      if (left.length > 0) ready.set(event.of, left)
      else ready.delete(event.of)
    },
    next(now) {
      if (order === undefined && isOrdered()) order = createSubjectOrder<E>(letGo)
      for (;;) {
        const first = takeReady()
        if (first !== undefined) return first
        const event = queues.take(now)
        if (event === undefined) return undefined
        if (order === undefined) return { item: event, missing: 0, late: false }
        order.push(event.of, event.sequence, event, now)
      }
    },
    begin({ of }) {
      if (order !== undefined) running.add(of)
    },
    end: ({ of }) => running.delete(of),
    back(event, now) {
      if (order === undefined) return queues.add(event, event.priority, now)
      running.delete(event.of)
      ready.set(event.of, [{ item: event, missing: 0, late: false }, ...(ready.get(event.of) ?? [])])
    },
    rewind: ({ of, sequence }) => order?.rewind(of, sequence, isIn),
    tick(now) {
      if ((order?.nextAt ?? Infinity) > now) return false
      order!.tick(now)
      return ready.size > 0
    },
    get nextAt() {
      return order?.nextAt ?? Infinity
    }
  }
}
