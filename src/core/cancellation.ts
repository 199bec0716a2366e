import type { MeshError } from '../errors.ts'
import { abortError } from '../errors.ts'
import type { InvokeOptions } from './invoke.ts'

/**
 * Tells one call that it is over. The same as an AbortController, for the inside of the node: an AbortSignal costs more than
 * the rest of a small call together, so one is made only when somebody asks for `signal`. Whoever runs a call may abort it.
 */
export class Cancellation implements InvokeOptions {
  /** Why, once aborted. */
  reason: MeshError | undefined
  // A list, not a Set: a call has two or three, and makes it anew each time.
  #listeners: ((reason: MeshError) => void)[] | undefined
  #controller: AbortController | undefined

  /** The one that is passed along, or a new one that follows the signal; `release` then stops following. */
  static of(options: InvokeOptions): Cancellation {
    if (options instanceof Cancellation) return options
    const { signal } = options
    const cancellation = new Cancellation()
    if (signal.aborted) cancellation.abort(abortError(signal))
    else {
      const onAbort = (): void => cancellation.abort(abortError(signal))
      signal.addEventListener('abort', onAbort, { once: true })
      cancellation.release = () => signal.removeEventListener('abort', onAbort)
    }
    return cancellation
  }

  /** Stops following the signal that it was made of, if it was. */
  release: () => void = nothing

  get aborted(): boolean {
    return this.reason !== undefined
  }

  /** Made at the first look. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.reason !== undefined) this.#controller.abort(this.reason)
    }
    return this.#controller.signal
  }

  /** @throws the reason, once aborted. */
  throwIfAborted(): void {
    if (this.reason !== undefined) throw this.reason
  }

  /** The first reason counts. */
  abort(reason: MeshError): void {
    if (this.reason !== undefined) return
    this.reason = reason
    const listeners = this.#listeners
    this.#listeners = undefined
    for (const listener of listeners ?? []) listener(reason)
    this.#controller?.abort(reason)
  }

  /** Calls `listener` once when aborted; not if that has happened. */
  onAbort(listener: (reason: MeshError) => void): void {
    if (this.reason === undefined) (this.#listeners ??= []).push(listener)
  }

  offAbort(listener: (reason: MeshError) => void): void {
    const at = this.#listeners?.indexOf(listener) ?? -1
    if (at >= 0) this.#listeners!.splice(at, 1)
  }
}

function nothing(): void {}
