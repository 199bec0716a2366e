/** Events that wait for one reader; past it the oldest are dropped and counted. */
export const MAX_WAITING_EVENTS = 1_000

/** One source, many readers, each with its own bounded queue. The source never waits. */
export interface EventHub<T> {
  emit(event: T): void
  /** Events from now on, until the signal aborts or the hub closes. */
  subscribe(signal: AbortSignal): AsyncIterable<T>
  close(): void
  /** True if anybody reads: events that cost something to make need not be made otherwise. */
  readonly read: boolean
}

/** @param onDropped called for each event that a slow reader lost. */
export function createEventHub<T>(onDropped: () => void): EventHub<T> {
  const readers = new Set<{ queue: T[]; wake: (() => void) | undefined }>()
  let closed = false

  return {
    emit(event) {
      for (const reader of readers) {
        reader.queue.push(event)
        if (reader.queue.length > MAX_WAITING_EVENTS) {
          reader.queue.shift()
          onDropped()
        }
        reader.wake?.()
      }
    },
    subscribe(signal) {
      const reader: { queue: T[]; wake: (() => void) | undefined } = { queue: [], wake: undefined }
      const wake = (): void => reader.wake?.()
      // Registered now, not at the first read: nothing that happens in between is missed.
      readers.add(reader)
      signal.addEventListener('abort', wake, { once: true })
      const leave = (): void => {
        readers.delete(reader)
        signal.removeEventListener('abort', wake)
      }
      if (signal.aborted) leave()
      else signal.addEventListener('abort', () => readers.delete(reader), { once: true })
      async function* read(): AsyncGenerator<T, void, void> {
        try {
          while (!signal.aborted) {
            const event = reader.queue.shift()
            if (event !== undefined) yield event
            else if (closed) return
            else await new Promise<void>((resolve) => (reader.wake = resolve))
          }
        } finally {
          leave()
        }
      }
      return read()
    },
    get read() {
      return readers.size > 0
    },
    close() {
      closed = true
      for (const reader of readers) reader.wake?.()
    }
  }
}
