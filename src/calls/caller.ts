import { findCandidates, type Candidates, type Offer } from '../core/candidates.ts'
import { toolOf } from '../core/query.ts'
import { Cancellation } from '../core/cancellation.ts'
import type { Invoke, Item, JsonValue, ToolRequest } from '../core/invoke.ts'
import { validate } from '../core/schema.ts'
import { MeshError, abortError, toMeshError } from '../errors.ts'
import type { Call, CallItem, CallOptions, CallProvider, CallResult } from '../mesh-api.ts'
import { checkCauses } from '../core/causes.ts'
import type { Choice } from './choice.ts'
import { DEFAULT_TIMEOUT_MS, createDeadline, type Deadline } from './deadline.ts'
import { excludedNodes, type KnownNode } from './excluded.ts'
import { cacheKey, mayCache, type ResultCache } from './result-cache.ts'
import { FailedTries, MAX_AGAIN, MAX_ATTEMPTS, isLost, mayRetry, outcomeOf } from './retry.ts'

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
  /** All nodes that may be excluded by their names. Asked only if some are. */
  nodes(): Iterable<KnownNode>
  /** How to reach the provider of an offer. */
  invokeAt(offer: Offer): Invoke
  /** PeerIds from the first neighbour to a node, where calls to it go over others. */
  pathTo(node: string): readonly string[] | undefined
  choice: Choice
  /** What to say where a target was not found: see `core/lost-nodes.ts`. */
  whyNotFound(error: unknown, target: string, node: string | undefined): unknown
  cache: ResultCache
  /** This node stops: it ends its ways to others. */
  isStopping(): boolean
  now: () => number
  /** A call begins; `onMade` follows, with the same `of`. */
  onBegin(of: object, capability: string, tool: string): void
  onMade(call: MadeCall, of: object): void
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
  readonly #tries: FailedTries
  #outcome: CallResult | undefined
  #offer: Offer | undefined
  #started = false

  constructor(parts: CallerComponents, target: string, tool: string, input: JsonValue, options: CallOptions) {
    this.#parts = parts
    this.#target = target
    this.#tool = tool
    this.#input = input
    this.#options = options
    this.#tries = new FailedTries(options.attempt?.after)
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

  get provider(): CallProvider | undefined {
    if (this.#offer === undefined) return undefined
    const { self, pathTo } = this.#parts
    const { node, nodeName, local } = this.#offer
    return { node, nodeName, path: local ? [self] : [self, ...(pathTo(node) ?? [node])] }
  }

  /** Bound, so that it can be handed on as it is, to a button as well: what is no text is no reason. */
  readonly cancel = (reason?: string): void => {
    this.#cancellation.abort(new MeshError('cancelled', typeof reason === 'string' ? reason : 'the caller cancelled'))
  }

  #able(offers: readonly Offer[], node: string | undefined): Candidates {
    try {
      return findCandidates(offers, this.#target, this.#tool, node)
    } catch (error) {
      throw this.#parts.whyNotFound(error, this.#target, node)
    }
  }

  async #drain(): Promise<void> {
    for await (const item of this.#run()) void item
  }

  async *#run(): AsyncGenerator<CallItem, void, void> {
    const { offers, nodes, invokeAt, cache, choice, isStopping, now, onBegin, onMade, onSent } = this.#parts
    let options = this.#options
    this.#startedAt = now()
    onBegin(this, this.#target, this.#tool)
    let error: MeshError | undefined
    /** What its reader is told of right now: who leaves at the news that the provider was lost, leaves for that. */
    let news: MeshError | undefined
    let deadline: Deadline | undefined
    const unlink = link(options.signal, this.#cancellation)
    try {
      if (options.causes !== undefined) checkCauses(options.causes)
      if (options.notNode !== undefined) options = { ...options, notNode: excludedNodes(options.notNode, nodes()) }
      const able = this.#able(offers(), options.node)
      const { tool, offers: found } = able
      deadline = createDeadline(this.#cancellation, options.timeoutMs ?? tool.timeoutMs ?? DEFAULT_TIMEOUT_MS, now)
      const checked = validate(tool.input, this.#input, found[0]!.local ? 'own' : 'foreign')
      const key = mayCache(tool, options) ? cacheKey(found[0]!.capability, tool, checked) : undefined
      const hit = key === undefined ? undefined : cache.get(key)
      // Another node's result is not the answer where one node was meant, or was not.
      const source = hit && found.find(({ node }) => node === hit.provider && options.notNode?.includes(node) !== true)
      if (hit !== undefined && source !== undefined) {
        this.#offer = source
        this.#settle(hit.value, source, true)
        yield { kind: 'result', value: hit.value }
        return
      }
      const stream = options.stream === undefined ? undefined : watched(options.stream)
      const plan = choice.plan(able, this.#tool, options)
      if (plan.probes.length > 0) {
        await choice.probe(plan, this.#tool, options.causes)
        // Here and not a turn before it begins: of calls that waited for the same answer, each must see those that went before.
        plan.decideAgain(now())
      }
      for (let place = 0, again = 0, items = 0; ;) {
        this.#cancellation.throwIfAborted()
        const provider = plan.at(place, now())
        // Those that were asked have told that they take longer than the call may.
        if (provider === undefined) throw plan.nobody(now())
        const { offer } = provider
        this.#offer = offer
        const request = this.#requestTo(offer, checked, deadline.remaining(), stream?.items)
        const sentAt = now()
        let tookMs = 0
        // While its reader holds an item, no time of the provider passes.
        let askedAt: number | undefined = sentAt
        let failed: MeshError | undefined
        let isCut = false
        let yielded = false
        const hasNext = options.failover !== false && place + 1 < MAX_ATTEMPTS && plan.isUsable(place + 1)
        choice.began(request, provider, found.length > 1, hasNext)
        try {
          for await (const item of invokeAt(offer)(request, this.#cancellation)) {
            tookMs += now() - askedAt
            askedAt = undefined
            if (item.kind === 'result') {
              this.#settle(item.value, offer, false)
              if (key !== undefined && items === 0) cache.set(key, item.value, offer.node, tool.cache!.ttlMs)
            } else if (item.kind !== 'progress') {
              items++
              yielded = true
            }
            yield item
            askedAt = now()
          }
          if (this.#outcome === undefined) this.#settle(null, offer, false)
          return
        } catch (thrown) {
          failed = this.#cancellation.reason ?? toMeshError(thrown)
          const isOver = this.#cancellation.aborted || options.failover === false
          // Of one type there may be those that a second run harms, and others.
          const failing = toolOf(offer.capability, this.#tool) ?? tool
          const isFinal = isOver || !mayRetry(failed, failing, items, stream?.begun ?? false)
          // No fault of who was asked, and no other node can be: this one still can.
          isCut = !offer.local && !this.#cancellation.aborted && isLost(failed) && isStopping()
          if (isCut) failed = new MeshError('unavailable', 'this node is stopping', { reason: 'stopping' }, { cause: failed })
          failed = this.#tries.add(offer, failed)
          if (isFinal) throw failed
          const next = plan.after(place, now(), isCut)
          if (next !== undefined && choice.mayGoOn(failed, next, request.elsewhere === true)) place = next
          else if (isLost(failed) && again < MAX_AGAIN) again++
          else throw failed
          news = failed
          if (items > 0) yield { kind: 'restart', provider: plan.at(place, now())!.node, reason: failed.code }
          news = undefined
          items = 0
        } finally {
          if (this.#outcome === undefined) failed ??= new MeshError('cancelled', LEFT)
          if (askedAt !== undefined) tookMs += now() - askedAt
          const measures = this.#measures
          const outcome = isCut ? 'cancelled' : outcomeOf(failed, this.#cancellation, measures, yielded)
          choice.ended(provider, outcome, failed, measures ? tookMs : 0)
          if (!offer.local) onSent({ request, provider: offer.node, durationMs: now() - sentAt, error: failed })
        }
      }
    } catch (thrown) {
      error = this.#cancellation.reason ?? this.#tries.error(toMeshError(thrown))
      throw error
    } finally {
      deadline?.clear()
      unlink()
      if (this.#outcome === undefined) error ??= news ?? new MeshError('cancelled', LEFT)
      const [capability, tool, provider] = [this.#target, this.#tool, this.#offer?.node]
      onMade({ capability, tool, provider, durationMs: now() - this.#startedAt, error }, this)
      if (this.#outcome === undefined) this.#finished.reject(error!)
      else this.#finished.resolve(this.#outcome)
    }
  }

  /** What was streamed in took its own time; what was done before, as its key says, none. */
  get #measures(): boolean {
    return this.#options.stream === undefined && this.#options.idempotencyKey === undefined
  }

  /** Written out: the copy of a spread lives on to the next major collection. */
  #requestTo(offer: Offer, input: JsonValue, remainingMs: number, stream: AsyncIterable<Item> | undefined): ToolRequest {
    const { idempotencyKey, traceparent, causes, agent } = this.#options
    const [capability, tool, caller] = [offer.capability.id, this.#tool, this.#parts.self]
    const made: ToolRequest = { capability, tool, input, caller, causes, agent, remainingMs, stream, idempotencyKey, traceparent }
    made.question = made.elsewhere = undefined
    return made
  }

  #settle(result: JsonValue, offer: Offer, cached: boolean): void {
    const { path } = this.provider!
    this.#outcome = {
      result,
      provider: offer.node,
      providerName: offer.nodeName,
      durationMs: Math.round((this.#parts.now() - this.#startedAt) * 1_000) / 1_000,
      route: { path, local: offer.local, hops: path.length - 1, rttMs: offer.rttMs ?? null, tried: this.#tries.all },
      cached
    }
  }
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
