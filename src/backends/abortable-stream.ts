import { abortError } from '../errors.ts'

/**
 * The same values, but a read that waits fails as soon as the signal aborts, even if the source never answers again.
 * Throws `cancelled` or `deadline_exceeded` then.
 */
export function abortable<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]()
      const leave = (): void => {
        // Not awaited: it may stand in line behind the read that never ends.
        void Promise.resolve(iterator.return?.()).catch(() => {})
      }
      return {
        next: () =>
          new Promise<IteratorResult<T>>((resolve, reject) => {
            const onAbort = (): void => {
              leave()
              reject(abortError(signal))
            }
            if (signal.aborted) return onAbort()
            signal.addEventListener('abort', onAbort, { once: true })
            iterator
              .next()
              .then(resolve, reject)
              .finally(() => signal.removeEventListener('abort', onAbort))
          }),
        return: () => {
          leave()
          return Promise.resolve({ done: true, value: undefined })
        }
      }
    }
  }
}
