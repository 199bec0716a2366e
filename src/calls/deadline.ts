import type { Cancellation } from '../core/cancellation.ts'
import { MeshError } from '../errors.ts'

/** Time given to a call when neither caller nor tool names one, in ms. */
export const DEFAULT_TIMEOUT_MS = 30_000
/** A source that ignores its cancellation gets this long to end after it was told to, in ms; then it is left behind. */
export const ABANDON_AFTER_MS = 5_000

/** A time limit on a call. */
export interface Deadline {
  /** Ms left, never below 0. */
  remaining(): number
  /** Frees the timer. */
  clear(): void
}

/** Aborts the call with `deadline_exceeded` when `timeoutMs` are over. @param now monotonic ms. */
export function createDeadline(cancellation: Cancellation, timeoutMs: number, now: () => number): Deadline {
  const endsAt = now() + timeoutMs
  // setTimeout counts in 32 bits; a longer deadline than 24 days is none.
  const timer = timeoutMs <= 0x7fff_ffff ? setTimeout(expire, timeoutMs, cancellation, timeoutMs) : undefined
  return {
    remaining: () => Math.max(0, endsAt - now()),
    clear: () => clearTimeout(timer)
  }
}

function expire(cancellation: Cancellation, timeoutMs: number): void {
  const message = `the call took longer than the ${Math.round(timeoutMs)} ms that it was given`
  cancellation.abort(new MeshError('deadline_exceeded', message, { timeoutMs }))
}

/** Reads a source step by step; an abort ends the read at once, even if the source does not listen. */
export interface AbortableSteps<T> {
  /** The next step. Rejects with the reason of the cancellation, or with what the source threw. */
  next(): Promise<IteratorResult<T>>
  /** Must be called when no step is read any more: tells the source to end, if it has not. */
  close(): void
}

/** @param onSettled runs once, when the source has really ended, or ABANDON_AFTER_MS after it was told to. */
export function abortableSteps<T>(
  source: AsyncIterable<T>,
  cancellation: Cancellation,
  onSettled: () => void
): AbortableSteps<T> {
  const iterator = source[Symbol.asyncIterator]()
  let rejectStep: ((reason: unknown) => void) | undefined
  let over = false
  const onAbort = (reason: MeshError): void => {
    if (rejectStep !== undefined) return rejectStep(reason)
    // Its consumer holds an item and may never come back: the source must not wait for that.
    end(false)
  }
  cancellation.onAbort(onAbort)

  function end(finished: boolean): void {
    if (over) return
    over = true
    cancellation.offAbort(onAbort)
    if (finished) onSettled()
    else leave(iterator, onSettled)
  }

  return {
    next: () =>
      new Promise((resolve, reject) => {
        if (cancellation.reason !== undefined) return reject(cancellation.reason)
        rejectStep = reject
        iterator.next().then(
          (step) => {
            rejectStep = undefined
            if (step.done === true) end(true)
            if (cancellation.reason !== undefined) reject(cancellation.reason)
            else resolve(step)
          },
          (error: Error) => {
            rejectStep = undefined
            end(true)
            reject(error)
          }
        )
      }),
    close: () => end(false)
  }
}

function leave(iterator: AsyncIterator<unknown>, onSettled: () => void): void {
  let settled = false
  const settle = (): void => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    onSettled()
  }
  const timer = setTimeout(settle, ABANDON_AFTER_MS)
  const returned = iterator.return?.() ?? Promise.resolve()
  returned.then(settle, settle)
}
