import type { Priority } from '../../../protocols/trigger/messages.ts'
import type { InboxEvent } from './inbox-contract.ts'
import { createPriorityQueues } from './priority-queues.ts'
import { createSubjectOrder, type Ordered, type SubjectOrder } from './subject-order.ts'

/** What waits for one handler, and which is the next of it. */
export interface InboxLane<E> {
  /** Events that are here, those that are being handled included. */
  count: number
  /** One has arrived, and is taken in. @returns how many before it are missing, see {@link SubjectOrder.hear}. */
  hear(event: E, now: number): number
  add(event: E, missing: number, now: number): void
  /** One of low priority that waits long, of a node if it has one. */
  oldestLow(node: string): E | undefined
  /** It is over before it was begun, or was passed over. */
  remove(event: E, now: number): void
  /** Takes out the next one, which is begun or passed over then; of an ordered handler one of whose subject nothing else is being handled. */
  next(now: number): Ordered<E> | undefined
  begin(event: E): void
  /** It is handled, or is to wait again. @returns true if others of its subject may go on. */
  end(event: E, now: number): boolean
}

/** @param isOrdered of its handler. Not yet known when what was kept over a restart comes. */
export function createInboxLane<E extends InboxEvent>(isOrdered: () => boolean): InboxLane<E> {
  /** Of an ordered handler only what came before it was known to be one. */
  const queues = createPriorityQueues<E>()
  let order: SubjectOrder<E> | undefined
  /** Subjects of which one is being handled. */
  const running = new Set<string>()
  /** All other subjects of which some wait, at the priority of the first of them: a subject has one turn at a time. */
  const turns = createPriorityQueues<string>()
  const turnOf = new Map<string, Priority>()

  /** Sees to the turn of a subject after a change of it. */
  function line(of: string, now: number): void {
    const priority = running.has(of) ? undefined : order?.first(of)?.priority
    const before = turnOf.get(of)
    if (priority === before) return
    if (before !== undefined) turns.delete(of, before)
    turnOf.delete(of)
    if (priority === undefined) return
    turnOf.set(of, priority)
    turns.add(of, priority, now)
  }

  function push(into: SubjectOrder<E>, event: E, missing: number, now: number): void {
    into.push(event.node, event.of, event.sequence, event, missing)
    line(event.of, now)
  }

  /** The order, if the handler wants one. */
  function ordered(now: number): SubjectOrder<E> | undefined {
    if (order !== undefined || !isOrdered()) return order
    order = createSubjectOrder<E>()
    for (let event = queues.take(now); event !== undefined; event = queues.take(now)) push(order, event, 0, now)
    return order
  }

  function takeTurn(from: SubjectOrder<E>, now: number): Ordered<E> | undefined {
    const of = turns.take(now)
    if (of === undefined) return undefined
    turnOf.delete(of)
    return from.take(of)
  }

  function findLow(fits: (event: E) => boolean): E | undefined {
    return order?.find((event) => event.priority === 'low' && fits(event)) ?? queues.find('low', fits)
  }

  return {
    count: 0,
    hear: ({ node, of, sequence, lost }, now) => ordered(now)?.hear(node, of, sequence, lost) ?? 0,
    add(event, missing, now) {
      const into = ordered(now)
      if (into === undefined) queues.add(event, event.priority, now)
      else push(into, event, missing, now)
    },
    oldestLow: (node) => findLow((event) => event.node === node) ?? findLow(() => true),
    remove(event, now) {
      if (order === undefined) return void queues.delete(event, event.priority)
      order.delete(event.of, event)
      line(event.of, now)
    },
    next(now) {
      const from = ordered(now)
      if (from !== undefined) return takeTurn(from, now)
      const event = queues.take(now)
      return event && { item: event, missing: 0, late: false }
    },
    begin({ node, of, sequence }) {
      if (order === undefined) return
      running.add(of)
      order.begin(node, of, sequence)
    },
    end({ of }, now) {
      if (!running.delete(of)) return false
      line(of, now)
      return true
    }
  }
}
