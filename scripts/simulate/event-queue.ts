/** What happens in virtual time: a binary heap, by time and then by the order in which it was planned. */
export interface EventQueue<T> {
  /** @param at ms. */
  add(at: number, event: T): void
  /** The next event, or undefined. */
  take(): { at: number; event: T } | undefined
  readonly nextAt: number
  readonly size: number
}

/** An empty queue. What {@link EventQueue.take} returns is the same object each time. */
export function createEventQueue<T>(): EventQueue<T> {
  let capacity = 1_024
  let times = new Float64Array(capacity)
  let orders = new Float64Array(capacity)
  const events: (T | undefined)[] = []
  const taken = { at: 0, event: undefined as T }
  let size = 0
  let planned = 0

  function grow(): void {
    capacity *= 2
    const [oldTimes, oldOrders] = [times, orders]
    times = new Float64Array(capacity)
    orders = new Float64Array(capacity)
    times.set(oldTimes)
    orders.set(oldOrders)
  }

  function put(index: number, at: number, order: number, event: T): void {
    times[index] = at
    orders[index] = order
    events[index] = event
  }

  return {
    add(at, event) {
      if (size === capacity) grow()
      let index = size++
      while (index > 0) {
        const parent = (index - 1) >> 1
        // Of two at the same time, the one that was there first stays before.
        if (times[parent]! <= at) break
        put(index, times[parent]!, orders[parent]!, events[parent]!)
        index = parent
      }
      put(index, at, planned++, event)
    },
    take() {
      if (size === 0) return undefined
      taken.at = times[0]!
      taken.event = events[0]!
      const last = --size
      const [at, order, event] = [times[last]!, orders[last]!, events[last]!]
      events[last] = undefined
      let index = 0
      for (let child = 1; child < last; child = 2 * index + 1) {
        const other = child + 1
        if (other < last && isBefore(times[other]!, orders[other]!, times[child]!, orders[child]!)) child = other
        if (!isBefore(times[child]!, orders[child]!, at, order)) break
        put(index, times[child]!, orders[child]!, events[child]!)
        index = child
      }
      if (last > 0) put(index, at, order, event)
      return taken
    },
    get nextAt() {
      return size === 0 ? Infinity : times[0]!
    },
    get size() {
      return size
    }
  }
}

function isBefore(at: number, order: number, otherAt: number, otherOrder: number): boolean {
  return at < otherAt || (at === otherAt && order < otherOrder)
}
