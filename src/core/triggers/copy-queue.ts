/** Room for copies that one observer has not taken yet. */
export interface CopyRoom {
  copies: number
  bytes: number
}

/** Copies of events that wait for one observer. Where there is no room the oldest go, and the next one says how many. */
export interface CopyQueue<C> {
  push(copy: C): void
  /** @returns the oldest, and how many before it are lost. */
  take(): { copy: C; lost: number } | undefined
  clear(): void
}

/** @param onDropped called for each copy that is lost. */
export function createCopyQueue<C extends { readonly event: Uint8Array; readonly lost: number }>(
  room: CopyRoom,
  onDropped: () => void
): CopyQueue<C> {
  let waiting: C[] = []
  /** Where the oldest stands: what is before it is taken. */
  let first = 0
  let bytes = 0
  let lost = 0

  function shift(): C | undefined {
    const copy = waiting[first]
    if (copy === undefined) return undefined
    first++
    bytes -= copy.event.length
    if (first >= 64 && first * 2 >= waiting.length) {
      waiting = waiting.slice(first)
      first = 0
    }
    return copy
  }

  return {
    push(copy) {
      waiting.push(copy)
      bytes += copy.event.length
      while (waiting.length - first > room.copies || bytes > room.bytes) {
        lost += 1 + shift()!.lost
        onDropped()
      }
    },
    take() {
      const copy = shift()
      if (copy === undefined) return undefined
      const found = { copy, lost: lost + copy.lost }
      lost = 0
      return found
    },
    clear() {
      waiting = []
      first = bytes = lost = 0
    }
  }
}
