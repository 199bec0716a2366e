import type { ToolDeclaration } from '../../protocols/capability.ts'
import { findCandidates, type Offer } from '../core/candidates.ts'
import { Cancellation } from '../core/cancellation.ts'
import type { Invoke, Item, JsonValue, ToolRequest } from '../core/invoke.ts'
import { validate } from '../core/schema.ts'
import { MeshError, abortError, toMeshError } from '../errors.ts'
import type { Call, CallItem, CallOptions, CallResult } from '../mesh-api.ts'
import { checkCauses } from './causes.ts'
import { DEFAULT_TIMEOUT_MS, createDeadline, type Deadline } from './deadline.ts'
import { canonicalJson, type ResultCache } from './result-cache.ts'

/** Providers that one call tries at most. */
export const MAX_ATTEMPTS = 3

/** How a call that began here ended. */
export interface MadeCall {
  capability: string
  tool: string
  provider: string | undefined
  durationMs: number
  error: MeshError | undefined
}

/** How one try of a call ended that another node was sent. */
export interface SentCall {
  request: ToolRequest
  /** PeerId. */
  provider: string
  durationMs: number
  error: MeshError | undefined
}

/** What the caller side needs. */
export interface CallerComponents {
  self: string
  /** Everything that is offered now, by this node and others. */
  offers(): Offer[]
  /** How to reach the provider of an offer. */
  invokeAt(offer: Offer): Invoke
  cache: ResultCache
  now: () => number
  onMade(call: MadeCall): void
  onSent(call: SentCall): void
}

/** Makes calls: finds who can, validates, tries, and fails over where that does no harm. */
export function createCaller(
  components: CallerComponents
): (target: string, tool: string, input?: JsonValue, options?: CallOptions) => Call {
  return (target, tool, input = {}, options = {}) => new RunningCall(components, target, tool, input, options)
}

const LEFT = 'the call was left before its end'

/**
 * One call. A class, not closures: a generator function that is made anew for each call brings a hidden class of its own
 * each time, which V8 keeps, and with it everything the call held, until the next major collection.
 */
class RunningCall implements Call {
  readonly #parts: CallerComponents
  readonly #target: string
  readonly #tool: string
  readonly #input: JsonValue
  readonly #options: CallOptions
  readonly #cancellation = new Cancellation()
  readonly #finished = deferred<CallResult>()
  #startedAt = 0
  readonly #tried: { provider: string; code: string }[] = []
  #outcome: CallResult | undefined
  #provider: string | undefined
  #started = false

  constructor(parts: CallerComponents, target: string, tool: string, input: JsonValue, options: CallOptions) {
    this.#parts = parts
    this.#target = target
    this.#tool = tool
    this.#input = input
    this.#options = options
  }

  [Symbol.asyncIterator](): AsyncGenerator<CallItem, void, void> {
    // A second run would do twice what was asked for once.
    if (this.#started) throw new MeshError('conflict', 'this call runs already: iterate it once, or await its result')
    this.#started = true
    return this.#run()
  }

  get result(): Promise<CallResult> {
    if (!this.#started) {
      this.#started = true
      this.#drain().catch(() => undefined)
    }
    return this.#finished.promise
  }

  /** Bound, so that it can be handed on as it is, to a button as well: what is no text is no reason. */
  readonly cancel = (reason?: string): void => {
    this.#cancellation.abort(new MeshError('cancelled', typeof reason === 'string' ? reason : 'the caller cancelled'))
  }

  async #drain(): Promise<void> {
    for await (const item of this.#run()) void item
  }

  async *#run(): AsyncGenerator<CallItem, void, void> {
    const { offers, invokeAt, cache, now, onMade, onSent } = this.#parts
    const options = this.#options
    this.#startedAt = now()
    let error: MeshError | undefined
    let deadline: Deadline | undefined
    const unlink = link(options.signal, this.#cancellation)
    try {
      if (options.causes !== undefined) checkCauses(options.causes)
      const { tool, offers: found } = findCandidates(offers(), this.#target, this.#tool, options.node)
      deadline = createDeadline(this.#cancellation, options.timeoutMs ?? tool.timeoutMs ?? DEFAULT_TIMEOUT_MS, now)
      const checked = validate(tool.input, this.#input, found[0]!.local ? 'own' : 'foreign')
      const key = mayCache(tool, options) ? cacheKey(found[0]!, tool, checked) : undefined
      const hit = key === undefined ? undefined : cache.get(key)
      // Another node's result is not the answer where one node was meant.
      const source = hit && found.find((offer) => offer.node === hit.provider)
      if (hit !== undefined && source !== undefined) {
        this.#provider = hit.provider
        this.#settle(hit.value, source, true)
        yield { kind: 'result', value: hit.value }
        return
      }
      const stream = options.stream === undefined ? undefined : watched(options.stream)
      const attempts = options.failover === false ? found.slice(0, 1) : found.slice(0, MAX_ATTEMPTS)
      let items = 0
      for (const [n, offer] of attempts.entries()) {
        if (this.#cancellation.reason !== undefined) throw this.#cancellation.reason
        this.#provider = offer.node
        const request = this.#requestTo(offer, checked, deadline.remaining(), stream?.items)
        const sentAt = now()
        let failed: MeshError | undefined
        offer.outstanding++
        try {
          for await (const item of invokeAt(offer)(request, this.#cancellation)) {
            if (item.kind === 'result') {
              this.#settle(item.value, offer, false)
              if (key !== undefined && items === 0) cache.set(key, item.value, offer.node, tool.cache!.ttlMs)
            } else if (item.kind !== 'progress') items++
            yield item
          }
          if (this.#outcome === undefined) this.#settle(null, offer, false)
          return
        } catch (thrown) {
          failed = this.#cancellation.reason ?? toMeshError(thrown)
          this.#tried.push({ provider: offer.node, code: failed.code })
          const again = n + 1 < attempts.length && mayRetry(failed, tool, items, stream?.begun ?? false)
          if (!again) throw withTried(failed, this.#tried)
          if (items > 0) yield { kind: 'restart', provider: attempts[n + 1]!.node, reason: failed.code }
          items = 0
        } finally {
          offer.outstanding--
          if (this.#outcome === undefined) failed ??= new MeshError('cancelled', LEFT)
          if (!offer.local) onSent({ request, provider: offer.node, durationMs: now() - sentAt, error: failed })
        }
      }
    } catch (thrown) {
      error = this.#cancellation.reason ?? toMeshError(thrown)
      throw error
    } finally {
      deadline?.clear()
      unlink()
      if (this.#outcome === undefined) error ??= new MeshError('cancelled', LEFT)
      onMade({
        capability: this.#target,
        tool: this.#tool,
        provider: this.#provider,
        durationMs: now() - this.#startedAt,
        error
      })
      if (this.#outcome === undefined) this.#finished.reject(error!)
      else this.#finished.resolve(this.#outcome)
    }
  }

  /** Written out: the copy of a spread lives on to the next major collection. */
  #requestTo(offer: Offer, input: JsonValue, remainingMs: number, stream: AsyncIterable<Item> | undefined): ToolRequest {
    const { idempotencyKey, traceparent, causes } = this.#options
    const [capability, tool, caller] = [offer.capability.id, this.#tool, this.#parts.self]
    return { capability, tool, input, caller, remainingMs, stream, idempotencyKey, traceparent, causes }
  }

  #settle(result: JsonValue, offer: Offer, cached: boolean): void {
    const { self, now } = this.#parts
    const path = offer.local ? [self] : [self, offer.node]
    this.#outcome = {
      result,
      provider: offer.node,
      providerName: offer.nodeName,
      durationMs: Math.round((now() - this.#startedAt) * 1_000) / 1_000,
      route: { path, local: offer.local, hops: path.length - 1, rttMs: offer.rttMs ?? null, tried: this.#tried },
      cached
    }
  }
}

/**
 * Another provider may be tried if the fault lies with the first and nothing can happen twice that must not:
 * always if the first says that it did not begin (`details.notStarted`), else before the first item unless the tool says that a second run does harm (`idempotent: false`), later only if it says that it does none.
 */
export function mayRetry(error: MeshError, tool: ToolDeclaration, items: number, streamBegun: boolean): boolean {
  if (!error.retryable || streamBegun) return false
  if (items === 0 && error.details['notStarted'] === true) return true
  return items === 0 ? tool.idempotent !== false : tool.idempotent === true
}

function withTried(error: MeshError, tried: { provider: string; code: string }[]): MeshError {
  return tried.length < 2
    ? error
    : new MeshError(
        error.code,
        `${error.message} (after ${tried.length} providers)`,
        { ...error.details, tried },
        { cause: error }
      )
}

/** What a provider gave to this node, it may refuse to those who cause this call. */
function mayCache({ cache }: ToolDeclaration, { stream, causes }: CallOptions): boolean {
  return cache !== undefined && stream === undefined && causes === undefined
}

function cacheKey({ capability }: Offer, tool: ToolDeclaration, input: JsonValue): string {
  return `${capability.id}\n${capability.type}\n${capability.version ?? ''}\n${tool.name}\n${canonicalJson(input)}`
}

/** The stream of a call, and whether a provider has begun to read it: what was read cannot be sent again. */
function watched(stream: AsyncIterable<Item>): { items: AsyncIterable<Item>; readonly begun: boolean } {
  let begun = false
  return {
    items: {
      [Symbol.asyncIterator]() {
        begun = true
        return stream[Symbol.asyncIterator]()
      }
    },
    get begun() {
      return begun
    }
  }
}

function link(signal: AbortSignal | undefined, cancellation: Cancellation): () => void {
  if (signal === undefined) return () => undefined
  const onAbort = (): void => cancellation.abort(abortError(signal))
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  return () => signal.removeEventListener('abort', onAbort)
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((res, rej) => ([resolve, reject] = [res, rej]))
  // Whoever iterates the call gets the error there; the promise may stay unread.
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}
