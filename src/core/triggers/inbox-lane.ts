import type { Priority } from '../../../protocols/trigger/messages.ts'
import type { InboxEvent } from './inbox-contract.ts'
import { createPriorityQueues } from './priority-queues.ts'
import { createSubjectOrder, type Ordered, type SubjectOrder } from './subject-order.ts'

/** What waits for one handler, and which is the next of it. */
export interface InboxLane<E> {
  /** Events that are here, those that are being handled included. */
  count: number
  add(event: E, now: number): void
  /** One of low priority that waits long, of a node if it has one. */
  oldestLow(node: string): E | undefined
  /** It is over before it was begun, and told so by `isIn`. */
  remove(event: E, now: number): void
  /** Takes out the next one, which is begun or removed then; of an ordered handler one of whose subject nothing else is being handled. */
  next(now: number): Ordered<E> | undefined
  begin(event: E): void
  /** It is handled. @returns true if others of its subject may go on. */
  end(event: E, now: number): boolean
  /** It was begun, and is the next of its subject again. @param late it came after one that was to follow it. */
  back(event: E, late: boolean, now: number): void
  /** It was begun, and comes again from its source, with what follows it. */
  rewind(event: E): void
  /** @returns true if there may be a next one. */
  tick(now: number): boolean
  readonly nextAt: number
}

/** @param isOrdered of its handler. Asked when there is something to hand out, since what was kept over a restart is here before that. @param isIn whether an event is to be handled still. */
export function createInboxLane<E extends InboxEvent>(isOrdered: () => boolean, isIn: (event: E) => boolean): InboxLane<E> {
  /** What has come; of an ordered handler only what came since it was last looked at. */
  const queues = createPriorityQueues<E>()
  let order: SubjectOrder<E> | undefined
  /** Those that are in their order, by subject. */
  const ready = new Map<string, Ordered<E>[]>()
  /** Subjects of which one is being handled. */
  const running = new Set<string>()
  /** All other subjects that have some ready, at the priority of the first of them: a subject has one turn at a time. */
  const turns = createPriorityQueues<string>()
  const turnOf = new Map<string, Priority>()
  /** When something was last put in its order. */
  let at = 0

  /** Sees to the turn of a subject after a change of it. */
  function line(of: string, now: number): void {
    const priority = running.has(of) ? undefined : ready.get(of)?.[0]?.item.priority
    const before = turnOf.get(of)
    if (priority === before) return
    if (before !== undefined) turns.delete(of, before)
    turnOf.delete(of)
    if (priority === undefined) return
    turnOf.set(of, priority)
    turns.add(of, priority, now)
  }

  function letGo(of: string, ordered: Ordered<E>): void {
    if (!isIn(ordered.item)) return
    const list = ready.get(of)
    if (list === undefined) ready.set(of, [ordered])
    else list.push(ordered)
    line(of, at)
  }

  /** All that has come, the urgent ones too: what waits in a queue would be a gap before what follows it, and hold that up. */
  function fill(into: SubjectOrder<E>, now: number): void {
    at = now
    for (let event = queues.take(now); event !== undefined; event = queues.take(now))
      into.push(event.of, event.sequence, event, now)
  }

  function takeReady(now: number): Ordered<E> | undefined {
    const of = turns.take(now)
    if (of === undefined) return undefined
    turnOf.delete(of)
    const list = ready.get(of)!
    const first = list.shift()
    if (list.length === 0) ready.delete(of)
    return first
  }

  function findLow(fits: (event: E) => boolean): E | undefined {
    for (const list of ready.values()) for (const { item } of list) if (item.priority === 'low' && fits(item)) return item
    return queues.find('low', fits)
  }

  return {
    count: 0,
    add: (event, now) => queues.add(event, event.priority, now),
    oldestLow: (node) => findLow((event) => event.node === node) ?? findLow(() => true),
    remove(event, now) {
      if (queues.delete(event, event.priority)) {
        at = now
        return order?.push(event.of, event.sequence, event, now)
      }
      const left = ready.get(event.of)?.filter(({ item }) => item !== event)
      if (left === undefined) return
      if (left.length > 0) ready.set(event.of, left)
      else ready.delete(event.of)
      line(event.of, now)
    },
    next(now) {
      if (order === undefined && isOrdered()) order = createSubjectOrder<E>(letGo)
      if (order !== undefined) {
        fill(order, now)
        return takeReady(now)
      }
      const event = queues.take(now)
      return event && { item: event, missing: 0, late: false }
    },
    begin({ of, sequence }) {
      if (order === undefined) return
      running.add(of)
      order.begin(of, sequence)
    },
    end({ of }, now) {
      if (!running.delete(of)) return false
      line(of, now)
      return true
    },
    back(event, late, now) {
      if (order === undefined) return queues.add(event, event.priority, now)
      running.delete(event.of)
      ready.set(event.of, [{ item: event, missing: 0, late }, ...(ready.get(event.of) ?? [])])
      line(event.of, now)
    },
    rewind: ({ of, sequence }) => order?.rewind(of, sequence, isIn),
    tick(now) {
      if (order === undefined || order.nextAt > now) return false
      fill(order, now)
      order.tick(now)
      return turns.size > 0
    },
    get nextAt() {
      return order?.nextAt ?? Infinity
    }
  }
}
