/** What makes the vectors of a node: its embedder, what it has made, whose turn it is, and its rests when it fails. */
import type { VectorForm } from './core/meaning/vector-table.ts'
import { MAX_EMBED_BATCH, checkEmbedded, type Embedded, type Embedder } from './core/meaning/embedder.ts'
import { createEmbeddingCache, type EmbeddingCache } from './core/meaning/embedding-cache.ts'
import { agree } from './core/meaning/told-vectors.ts'
import { untilAborted } from './core/until-aborted.ts'
import { MeshError, abortError, toMeshError } from './errors.ts'
import { pause } from './mesh-meaning-pieces.ts'

/** How long one request of an embedder may take in all, in ms: what came too late counts for the next one that asks the same. */
export const EMBED_MS = 30_000
/** How long an embedder that has failed is left alone, in ms: at first, and at most. It doubles. */
export const [MIN_REST_MS, MAX_REST_MS] = [5_000, 300_000] as const

/** What it needs. */
export interface EmbeddingsComponents {
  embedder: Embedder
  form: VectorForm
  /** Monotonic ms. */
  now: () => number
}

/** How texts are made. */
export interface FillOptions {
  /** Before what others have begun: what other nodes wait for. Default: false. */
  first?: boolean
  /** After each batch, with how many texts have been looked at. */
  onBatch?: (done: number) => void
}

/** See the head of this file. */
export interface Embeddings {
  /** Of the embedder, for people. */
  readonly name: string
  readonly form: VectorForm
  /** Vectors made here, by their text. */
  readonly made: EmbeddingCache
  /** Monotonic ms. */
  readonly now: () => number
  /** Whether there is anybody to ask for vectors. */
  ready(): boolean
  /** Of which model the embedder's vectors are, as it last said. */
  model(): string | undefined
  /** Another number whenever the listeners of {@link onModel} were told. */
  generation(): number
  /** How many numbers they have. */
  width(): number | undefined
  /** Is told whenever the model is another than before, though its name may be the same: what was made is not like what it makes now. */
  onModel(listener: (before: string | undefined) => void): void
  /** Why the embedder is left alone now; undefined if it is not. */
  resting(): string | undefined
  /** Why it failed last. Empty if it did not. */
  readonly reason: string
  /** How long it is left alone from now on, in ms. */
  restMs(): number
  /** It is left alone for a while. @returns why, with the name of the embedder. */
  failed(error: unknown): string
  /** As {@link failed}, in words of one's own, which it returns. */
  rest(reason: string): string
  /** It works. */
  works(): void
  /** Asks the embedder. Rejects with MeshError. */
  embed(texts: readonly string[], signal: AbortSignal): Promise<readonly Embedded[]>
  /** Makes what is missing of these, of the model that the embedder has now; a batch at a time, whoever asks. Rejects with MeshError. @returns how many were made. */
  fill(texts: readonly string[], options?: FillOptions): Promise<number>
  readonly stopping: AbortSignal
  stop(): void
}

/** See {@link Embeddings}. */
export function createEmbeddings({ embedder, form, now }: EmbeddingsComponents): Embeddings {
  const made = createEmbeddingCache(form)
  const stop = new AbortController()
  const listeners = new Set<(before: string | undefined) => void>()
  const turns = createTurns()
  /** `absent`: because there was nobody to ask. */
  let resting = { until: 0, ms: 0, reason: '', absent: false }
  let latest: { model: string; width: number; by: string | undefined } | undefined
  /** The first that was made: by it is seen whether who embeds is still who it was. */
  let probe: { text: string; vector: Embedded } | undefined
  /** It has failed since, or another answers under the same name. */
  let doubted = false
  let generation = 0

  async function embed(texts: readonly string[], signal: AbortSignal): Promise<readonly Embedded[]> {
    const all = AbortSignal.any([signal, stop.signal, AbortSignal.timeout(EMBED_MS)])
    const vectors = checkEmbedded(await untilAborted(embedder.embed(texts, { signal: all }), all), texts.length)
    const [first] = vectors
    if (first === undefined) return vectors
    const before = latest
    latest = { model: first.model, width: first.values.length, by: first.by }
    if (before?.by !== latest.by) doubted = true
    if (first.model === before?.model && (first.values.length !== before.width || (await isAnother(all)))) made.clear()
    else if (first.model === before?.model) return vectors
    doubted = false
    probe = { text: texts[0]!, vector: first }
    generation++
    for (const listener of listeners) listener(before?.model)
    return vectors
  }

  /** Whether vectors of the same name are no longer those of before: a server may have been given another model. */
  async function isAnother(signal: AbortSignal): Promise<boolean> {
    if (!doubted || probe === undefined) return false
    const [again] = checkEmbedded(await untilAborted(embedder.embed([probe.text], { signal }), signal), 1)
    doubted = false
    return !agree(probe.vector, again!)
  }

  async function fill(texts: readonly string[], { first = false, onBatch }: FillOptions = {}): Promise<number> {
    const due = [...new Set(texts)]
    let count = 0
    for (let from = 0; from < due.length; from += MAX_EMBED_BATCH) {
      const batch = due.slice(from, from + MAX_EMBED_BATCH)
      await turns.take(first)
      try {
        if (stop.signal.aborted) throw abortError(stop.signal)
        const missing = batch.filter((text) => latest === undefined || made.modelOf(text) !== latest.model)
        if (missing.length > 0) {
          const vectors = await embed(missing, stop.signal)
          vectors.forEach((vector, n) => made.put(missing[n]!, vector))
        }
        count += missing.length
        onBatch?.(from + batch.length)
        if (missing.length === 0) await pause()
      } finally {
        turns.done()
      }
    }
    return count
  }

  const ready = (): boolean => embedder.ready?.() !== false
  const works = (): void => void (resting = { until: 0, ms: 0, reason: '', absent: false })

  function isResting(): boolean {
    // Who was missing is here.
    if (resting.absent && ready()) works()
    return now() < resting.until
  }

  function rest(reason: string): string {
    // One failure, which several have met.
    if (isResting()) return reason
    const ms = Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, resting.ms * 2))
    resting = { until: now() + ms, ms, reason, absent: !ready() }
    doubted = true
    return reason
  }

  return {
    name: embedder.name,
    form,
    made,
    now,
    model: () => latest?.model,
    generation: () => generation,
    width: () => latest?.width,
    onModel: (listener) => void listeners.add(listener),
    ready,
    resting: () => (isResting() ? resting.reason : undefined),
    get reason() {
      return resting.reason
    },
    restMs: () => (isResting() ? resting.until - now() : 0),
    failed: (error) => rest(`${embedder.name}: ${toMeshError(error).message}`),
    rest,
    works,
    embed,
    fill,
    stopping: stop.signal,
    stop: () => stop.abort(new MeshError('cancelled', 'the node stops'))
  }
}

/** One at a time, those that go first before the others. */
function createTurns(): { take(first: boolean): Promise<void>; done(): void } {
  const waiting: [first: (() => void)[], others: (() => void)[]] = [[], []]
  let taken = false
  return {
    take(first) {
      if (taken) return new Promise((resolve) => waiting[first ? 0 : 1].push(resolve))
      taken = true
      return Promise.resolve()
    },
    done() {
      const next = waiting[0].shift() ?? waiting[1].shift()
      if (next === undefined) taken = false
      else next()
    }
  }
}
