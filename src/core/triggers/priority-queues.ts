import type { Priority } from '../../../protocols/trigger/messages.ts'

/** Most that waits at each priority: none can take the room of another. */
export const QUEUE_ROOM = { low: 1_024, normal: 1_024, high: 512, critical: 256 } as const
/** How many of each go before the others have their turn, `critical` apart. */
export const QUEUE_WEIGHTS = { low: 1, normal: 4, high: 8 } as const
/** After waiting for so long, ms, the first of a priority has the weight of the next one, and again after as long; that of `high` at most. */
export const AGEING_MS = 10_000

const ROUND = ['high', 'normal', 'low'] as const

/** What became of what was to be queued. */
export interface Queued<T> {
  /** False if there is no room: whoever brought it is to come again. Never so at low priority. */
  taken: boolean
  /** What had to go for it: the oldest of low priority. */
  dropped?: T
}

/**
 * Queues of what waits for one link, or one handler. Critical ones get every second place, all if nothing else waits; the others share the rest by
 * deficit round robin, each of the same cost, so that none ever starves.
 */
export interface PriorityQueues<T> {
  push(item: T, priority: Priority, now: number): Queued<T>
  /** The same for who sees to the room: it is in. */
  add(item: T, priority: Priority, now: number): void
  /** The next one, which is taken out. */
  take(now: number): T | undefined
  /** The oldest one of a priority that fits. */
  find(priority: Priority, fits: (item: T) => boolean): T | undefined
  /** Takes out one that waits. @returns false if it does not. */
  delete(item: T, priority: Priority): boolean
  readonly size: number
  sizeOf(priority: Priority): number
}

interface Waiting<T> {
  item: T
  since: number
}

/** See {@link PriorityQueues}. */
export function createPriorityQueues<T>(): PriorityQueues<T> {
  const queues: Record<Priority, Waiting<T>[]> = { low: [], normal: [], high: [], critical: [] }
  let size = 0
  let lastWasCritical = false
  let turn = 0
  let left: number = QUEUE_WEIGHTS.high

  /** Nothing moves to another queue as it ages: it would stand behind what is there, and out of its order. */
  function weightOf(turnOf: number, now: number): number {
    const [head] = queues[ROUND[turnOf]!]
    if (head === undefined) return 0
    const aged = turnOf - Math.floor((now - head.since) / AGEING_MS)
    return QUEUE_WEIGHTS[ROUND[Math.max(0, aged)]!]
  }

  function takeFrom(priority: Priority): T {
    size--
    lastWasCritical = priority === 'critical'
    return queues[priority].shift()!.item
  }

  function add(item: T, priority: Priority, now: number): void {
    queues[priority].push({ item, since: now })
    size++
  }

  return {
    push(item, priority, now) {
      const queue = queues[priority]
      const isFull = queue.length >= QUEUE_ROOM[priority]
      if (isFull && priority !== 'low') return { taken: false }
      add(item, priority, now)
      if (!isFull) return { taken: true }
      size--
      return { taken: true, dropped: queue.shift()!.item }
    },
    add,
    take(now) {
      if (size === 0) return undefined
      const others = size - queues.critical.length
      if (queues.critical.length > 0 && (others === 0 || !lastWasCritical)) return takeFrom('critical')
      while (left === 0 || queues[ROUND[turn]!].length === 0) {
        turn = (turn + 1) % ROUND.length
        left = weightOf(turn, now)
      }
      left--
      return takeFrom(ROUND[turn]!)
    },
    find: (priority, fits) => queues[priority].find(({ item }) => fits(item))?.item,
    delete(item, priority) {
      const at = queues[priority].findIndex((one) => one.item === item)
      if (at < 0) return false
      queues[priority].splice(at, 1)
      size--
      return true
    },
    get size() {
      return size
    },
    sizeOf: (priority) => queues[priority].length
  }
}
