/** A queue between something that happens and the one who iterates over it. The producer never waits. */
export interface DropOldestQueue<T> {
  /** Adds a value; at the limit the oldest one goes. Returns false if one was dropped. */
  push(value: T): boolean
  /** Values as they come, until the signal aborts; then it ends without an error. One reader at a time. */
  values(signal: AbortSignal): AsyncGenerator<T, void, void>
}

/** Makes a queue. With `limit` 1 it holds the latest value only. */
export function createDropOldestQueue<T>(init: { limit: number }): DropOldestQueue<T> {
  const waiting: T[] = []
  let wake: (() => void) | undefined

  return {
    push(value) {
      waiting.push(value)
      const fits = waiting.length <= init.limit
      if (!fits) waiting.shift()
      wake?.()
      return fits
    },
    async *values(signal) {
      const onAbort = (): void => wake?.()
      signal.addEventListener('abort', onAbort)
      try {
        while (!signal.aborted) {
          if (waiting.length > 0) yield waiting.shift() as T
          else await new Promise<void>((resolve) => (wake = resolve))
        }
      } finally {
        wake = undefined
        signal.removeEventListener('abort', onAbort)
      }
    }
  }
}
