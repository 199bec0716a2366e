import { MeshError, abortError } from '../errors.ts'

/** Time given to a call when neither caller nor tool names one, in ms. */
export const DEFAULT_TIMEOUT_MS = 30_000

/** A signal that aborts with its parent, or with `deadline_exceeded` when the time is over. */
export interface Deadline {
  readonly signal: AbortSignal
  /** Ms left, never below 0. */
  remaining(): number
  abort(error: MeshError): void
  /** Frees the timer and the listener. */
  clear(): void
}

/** @param now monotonic ms. `controller` is the one that is aborted, if there is one already. */
export function createDeadline(
  parent: AbortSignal | undefined,
  timeoutMs: number,
  now: () => number,
  controller = new AbortController()
): Deadline {
  const endsAt = now() + timeoutMs
  const onAbort = (): void => controller.abort(abortError(parent!))
  const expire = (): void =>
    controller.abort(
      new MeshError('deadline_exceeded', `the call took longer than the ${Math.round(timeoutMs)} ms that it was given`, {
        timeoutMs
      })
    )
  // setTimeout counts in 32 bits; a longer deadline than 24 days is none.
  const timer = timeoutMs <= 0x7fff_ffff ? setTimeout(expire, timeoutMs) : undefined
  if (parent?.aborted === true) onAbort()
  else parent?.addEventListener('abort', onAbort, { once: true })
  return {
    signal: controller.signal,
    remaining: () => Math.max(0, endsAt - now()),
    abort: (error) => controller.abort(error),
    clear() {
      clearTimeout(timer)
      parent?.removeEventListener('abort', onAbort)
    }
  }
}

/** A source that ignores its signal gets this long to end after it was told to, in ms; then it is left behind. */
export const ABANDON_AFTER_MS = 5_000

/**
 * Iterates `source` so that an abort ends the iteration at once, even if the source does not listen.
 * @param onSettled runs once, when the source has really ended, or ABANDON_AFTER_MS after it was told to.
 * @throws the reason of the signal.
 */
export async function* abortable<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
  onSettled: () => void
): AsyncGenerator<T, void, void> {
  const iterator = source[Symbol.asyncIterator]()
  let rejectStep: ((reason: unknown) => void) | undefined
  let finished = false
  let left = false
  const onAbort = (): void => {
    if (rejectStep !== undefined) return rejectStep(signal.reason)
    // Its consumer holds an item and may never come back: the source must not wait for that.
    left = true
    leave(iterator, onSettled)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    for (;;) {
      const step = await new Promise<IteratorResult<T>>((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason as Error)
        rejectStep = reject
        iterator.next().then(resolve, (error: unknown) => {
          finished = true
          reject(error as Error)
        })
      })
      rejectStep = undefined
      if (step.done === true) {
        finished = true
        return
      }
      if (signal.aborted) throw signal.reason
      yield step.value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    if (finished) onSettled()
    else if (!left) leave(iterator, onSettled)
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
