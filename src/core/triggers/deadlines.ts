/** When something is due for each of many keys. Setting, removing and the next one take O(log n). Of those due at once, the first set comes first. */
export interface Deadlines<K> {
  /** Takes the place of what was set for the key. */
  set(key: K, at: number): void
  delete(key: K): void
  at(key: K): number | undefined
  /** Removes the earliest key that is due, and returns it; undefined if none is. */
  takeDue(now: number): K | undefined
  /** The earliest key. */
  readonly first: K | undefined
  /** When that is due; Infinity if there is none. */
  readonly nextAt: number
  readonly size: number
}

interface Slot<K> {
  key: K
  at: number
  order: number
}

/** A binary heap that knows where each key stands. */
export function createDeadlines<K>(): Deadlines<K> {
  const heap: Slot<K>[] = []
  const places = new Map<K, number>()
  let order = 0

  const before = (a: Slot<K>, b: Slot<K>): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

  function put(place: number, slot: Slot<K>): void {
    heap[place] = slot
    places.set(slot.key, place)
  }

  function rise(place: number, slot: Slot<K>): void {
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!before(slot, heap[parent]!)) break
      put(place, heap[parent]!)
      place = parent
    }
    put(place, slot)
  }

  function sink(place: number, slot: Slot<K>): void {
    for (;;) {
      let child = 2 * place + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, slot)) break
      put(place, heap[child]!)
      place = child
    }
    put(place, slot)
  }

  function remove(key: K): void {
    const place = places.get(key)
    if (place === undefined) return
    places.delete(key)
    const last = heap.pop()!
    if (place === heap.length) return
    if (place > 0 && before(last, heap[(place - 1) >> 1]!)) rise(place, last)
    else sink(place, last)
  }

  return {
    set(key, at) {
      remove(key)
      heap.push({ key, at, order: order++ })
      rise(heap.length - 1, heap[heap.length - 1]!)
    },
    delete: remove,
    at(key) {
      const place = places.get(key)
      return place === undefined ? undefined : heap[place]!.at
    },
    takeDue(now) {
      const [slot] = heap
      if (slot === undefined || slot.at > now) return undefined
      remove(slot.key)
      return slot.key
    },
    get first() {
      return heap[0]?.key
    },
    get nextAt() {
      return heap[0]?.at ?? Infinity
    },
    get size() {
      return heap.length
    }
  }
}
