/** One call of one {@link ToolHandler}. Runs in Node and in the browser. */
import type { Cancellation } from '../core/cancellation.ts'
import type { IdTable } from '../core/id-table.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { Item, JsonObject, JsonValue, Progress, ToolRequest } from '../core/invoke.ts'
import type { ToolContext, ToolHandler } from '../mesh-api.ts'
import { abortable } from './abortable-stream.ts'

type Step = IteratorResult<Item, undefined>
type HandlerGenerator = AsyncGenerator<JsonValue | Uint8Array, JsonValue | void, void>

const DONE: Step = { done: true, value: undefined }
const NEVER_ABORTED = (): void => {}

/** What a handler threw, as the mesh sees it: MeshErrors pass, all else is `tool_failed`. */
export function toToolError(error: unknown, cancellation?: Cancellation): MeshError {
  if (isMeshError(error)) return error
  if (cancellation?.reason !== undefined) return cancellation.reason
  const message = error instanceof Error ? error.message || error.name : String(error)
  return new MeshError('tool_failed', message || 'the tool failed without a message', {}, { cause: error })
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/**
 * The items of one call. Starts at the first read; `next` rejects with MeshError. Sits in `working` while its handler is at
 * work, and calls `ended` when that is over.
 * A class, not closures: one call costs two small objects, and a plain function never gets a listener or a controller.
 */
export class HandlerRun implements AsyncIterableIterator<Item> {
  readonly id: number
  readonly request: ToolRequest
  readonly #handler: ToolHandler
  readonly #cancellation: Cancellation
  readonly #working: IdTable<HandlerRun>
  readonly #ended: (run: HandlerRun) => void
  #started = false
  #closed = false
  /** The handler owes us an answer: its promise, or a step of its generator. */
  #busy = false
  #generator: HandlerGenerator | undefined
  #ready: Item | undefined
  #failure: MeshError | undefined
  // Only the latest progress is kept, so a handler that reports faster than the caller reads costs one slot.
  #progress: Progress | undefined
  #mostDone = Number.NEGATIVE_INFINITY
  #resolve: ((step: Step) => void) | undefined
  #reject: ((error: MeshError) => void) | undefined
  #controller: AbortController | undefined
  #onAbort: (reason: MeshError) => void = NEVER_ABORTED

  constructor(
    id: number,
    handler: ToolHandler,
    request: ToolRequest,
    cancellation: Cancellation,
    working: IdTable<HandlerRun>,
    ended: (run: HandlerRun) => void
  ) {
    this.id = id
    this.#handler = handler
    this.request = request
    this.#cancellation = cancellation
    this.#working = working
    this.#ended = ended
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Step> {
    if (this.#resolve !== undefined)
      return Promise.reject(new MeshError('internal', 'a call is read by one reader, one step at a time'))
    if (!this.#started) this.#start()
    if (this.#failure !== undefined) {
      const failure = this.#failure
      this.#failure = undefined
      return Promise.reject(failure)
    }
    if (this.#closed) return Promise.resolve(DONE)
    if (this.#progress !== undefined) {
      const progress = this.#progress
      this.#progress = undefined
      return Promise.resolve({ done: false, value: { kind: 'progress', progress } })
    }
    const ready = this.#ready
    if (ready !== undefined) {
      this.#ready = undefined
      if (ready.kind === 'result') this.#close()
      return Promise.resolve({ done: false, value: ready })
    }
    return new Promise<Step>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      if (!this.#busy) this.#step()
    })
  }

  async return(): Promise<Step> {
    if (this.#closed) return DONE
    this.#close()
    this.#controller?.abort(new MeshError('cancelled', 'the caller left'))
    // A handler in the middle of a step ends when it heeds its signal; waiting for one that does not would hang the caller.
    const cleanup = this.#endGenerator()
    if (!this.#busy) await cleanup
    return DONE
  }

  /** Ends the call with an error from outside: the caller cancelled, or the backend stops. */
  fail(error: MeshError): void {
    if (this.#closed) return
    this.#close()
    this.#controller?.abort(error)
    void this.#endGenerator()
    this.#deliverFailure(error)
  }

  /** The signal for the handler; made on first use, for most handlers never ask. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#cancellation.aborted) this.#controller.abort(this.#cancellation.reason)
      else if (this.#closed) this.#controller.abort(new MeshError('cancelled', 'the call is over'))
      // A handler that asks for its signal is at work: from here on an abort has to reach it.
      else this.#listen()
    }
    return this.#controller.signal
  }

  report(done: number, total?: number, message?: string): void {
    // Also refuses NaN. `done` never falls.
    if (this.#closed || !(done >= this.#mostDone)) return
    this.#mostDone = done
    const progress: Progress = { done }
    if (total !== undefined) progress.total = total
    if (message !== undefined) progress.message = message
    if (this.#resolve === undefined) this.#progress = progress
    else this.#deliver({ kind: 'progress', progress })
  }

  #start(): void {
    this.#started = true
    if (this.#closed) return
    if (this.#cancellation.aborted) {
      this.#closed = true
      this.#failure = this.#cancellation.reason
      return
    }
    try {
      const out: unknown = this.#handler(this.request.input as JsonObject, new HandlerContext(this))
      if (!isObject(out)) return this.#finish(out as JsonValue | undefined)
      if ('then' in out && typeof out.then === 'function') {
        this.#busy = true
        this.#listen()
        ;(out as Promise<JsonValue | void>).then(
          (value) => this.#onValue(value),
          (error: unknown) => this.#onError(error)
        )
      } else if (Symbol.asyncIterator in out) {
        this.#generator = out as HandlerGenerator
        this.#listen()
      } else this.#finish(out as JsonValue)
    } catch (error) {
      this.#onError(error)
    }
  }

  #step(): void {
    if (this.#generator === undefined) return
    this.#busy = true
    this.#generator.next().then(
      (step) => this.#onStep(step),
      (error: unknown) => this.#onError(error)
    )
  }

  #onValue(value: JsonValue | void): void {
    this.#busy = false
    this.#ended(this)
    if (!this.#closed) this.#finish(value)
  }

  #onStep(step: IteratorResult<JsonValue | Uint8Array, JsonValue | void>): void {
    this.#busy = false
    if (step.done === true) {
      this.#ended(this)
      if (!this.#closed) this.#finish(step.value)
    } else if (!this.#closed) {
      const { value } = step
      this.#settle(value instanceof Uint8Array ? { kind: 'bytes', bytes: value } : { kind: 'json', value: value ?? null })
    }
  }

  #onError(error: unknown): void {
    this.#busy = false
    this.#ended(this)
    if (this.#closed) return
    this.#close()
    this.#deliverFailure(toToolError(error, this.#cancellation))
  }

  #finish(value: JsonValue | void | undefined): void {
    if (value instanceof Uint8Array) {
      this.#onError(new TypeError('a result is JSON: yield bytes from an async generator instead of returning them'))
    } else this.#settle({ kind: 'result', value: value ?? null })
  }

  #settle(item: Item): void {
    if (this.#resolve === undefined) {
      this.#ready = item
      return
    }
    if (item.kind === 'result') this.#close()
    this.#deliver(item)
  }

  #deliver(item: Item): void {
    const resolve = this.#resolve
    this.#resolve = this.#reject = undefined
    resolve?.({ done: false, value: item })
  }

  #deliverFailure(error: MeshError): void {
    const reject = this.#reject
    this.#resolve = this.#reject = undefined
    this.#progress = this.#ready = undefined
    if (reject === undefined) this.#failure = error
    else reject(error)
  }

  #listen(): void {
    if (this.#onAbort !== NEVER_ABORTED || this.#closed) return
    this.#onAbort = (reason) => this.fail(reason)
    this.#working.add(this.id, this)
    // The handler itself may have caused the abort, before anyone listened.
    const { reason } = this.#cancellation
    if (reason === undefined) this.#cancellation.onAbort(this.#onAbort)
    else this.#onAbort(reason)
  }

  #close(): void {
    this.#closed = true
    if (this.#onAbort !== NEVER_ABORTED) this.#cancellation.offAbort(this.#onAbort)
    // A handler that is neither waiting nor a generator has nothing left to do.
    if (!this.#busy && this.#generator === undefined) this.#ended(this)
  }

  #endGenerator(): Promise<void> {
    if (this.#generator === undefined) return Promise.resolve()
    const over = (): void => this.#ended(this)
    // Errors of a `finally` have nobody to go to any more.
    return this.#generator.return(undefined).then(over, over)
  }
}

class HandlerContext implements ToolContext {
  readonly #run: HandlerRun

  constructor(run: HandlerRun) {
    this.#run = run
  }

  get signal(): AbortSignal {
    return this.#run.signal
  }

  get caller(): string {
    return this.#run.request.caller
  }

  get causes(): readonly string[] {
    const { causes, caller } = this.#run.request
    return causes === undefined ? [caller] : [...causes, caller]
  }

  get stream(): AsyncIterable<Item> | undefined {
    const { stream } = this.#run.request
    return stream === undefined ? undefined : abortable(stream, this.#run.signal)
  }

  get traceparent(): string | undefined {
    return this.#run.request.traceparent
  }

  // A getter, so that `({ progress }) => …` works without binding a function for every call.
  get progress(): ToolContext['progress'] {
    return (done, total, message) => this.#run.report(done, total, message)
  }
}
