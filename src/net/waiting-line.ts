import { MeshError, abortError } from '../errors.ts'

/** First come, first served: work that must wait until there is a place for it. */
export interface WaitingLine {
  /** True if nobody waits and there is a place: then do the work at once, without the line. */
  readonly isFree: boolean
  /**
   * Resolves with what `work` returns, run in the order of arrival as soon as there is a place.
   * Rejects with what it throws, with what the signal stands for, or with `busy` if the line is full.
   */
  enter<T>(signal: AbortSignal, work: () => T): Promise<T>
  /** To be called when there may be a place. */
  next(): void
  /** Ends the waiting of all. */
  failAll(error: MeshError): void
}

interface Place {
  take(): void
  fail(error: MeshError): void
}

/** @param limit how many may wait. @param hasPlace asked before each piece of work, which takes the place before it returns. */
export function createWaitingLine(limit: number, hasPlace: () => boolean): WaitingLine {
  const line: Place[] = []

  function next(): void {
    while (line.length > 0 && hasPlace()) line.shift()!.take()
  }

  return {
    next,
    enter<T>(signal: AbortSignal, work: () => T) {
      return new Promise<T>((resolve, reject) => {
        if (signal.aborted) return reject(abortError(signal))
        if (line.length >= limit)
          return reject(new MeshError('busy', 'too many calls to this peer are waiting; slow down', { notStarted: true }))
        const leave = (): void => signal.removeEventListener('abort', onAbort)
        const place: Place = {
          take() {
            leave()
            // Run at once; what it throws is what the promise rejects with.
            resolve(new Promise<T>((done) => done(work())))
          },
          fail(error) {
            leave()
            reject(error)
          }
        }
        const onAbort = (): void => {
          line.splice(line.indexOf(place), 1)
          place.fail(abortError(signal))
        }
        signal.addEventListener('abort', onAbort, { once: true })
        line.push(place)
        next()
      })
    },
    failAll(error) {
      for (const place of line.splice(0)) place.fail(error)
    },
    get isFree() {
      return line.length === 0 && hasPlace()
    }
  }
}
