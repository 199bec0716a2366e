/** What makes the vectors of a node: its embedder, all that it has made, and its rests when it fails. */
import type { VectorForm } from './core/meaning/vector-table.ts'
import { MAX_EMBED_BATCH, checkEmbedded, type Embedded, type Embedder } from './core/meaning/embedder.ts'
import { createEmbeddingCache, type EmbeddingCache } from './core/meaning/embedding-cache.ts'
import { untilAborted } from './core/until-aborted.ts'
import { MeshError, toMeshError } from './errors.ts'
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

/** See the head of this file. */
export interface Embeddings {
  /** Of the embedder, for people. */
  readonly name: string
  readonly form: VectorForm
  /** Vectors made here, by their text. */
  readonly made: EmbeddingCache
  /** Whether there is anybody to ask for vectors. */
  ready(): boolean
  /** Of which model the embedder's vectors are, as it last said. */
  model(): string | undefined
  /** Is told whenever that is another. */
  onModel(listener: () => void): void
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
  /**
   * Makes what is missing of these, of the model that the embedder has now; in batches, one after the other, whoever asks. Rejects with MeshError.
   * @param onBatch after each batch, with how many texts have been looked at. @returns how many were made.
   */
  fill(texts: readonly string[], onBatch?: (done: number) => void): Promise<number>
  readonly stopping: AbortSignal
  stop(): void
}

/** See {@link Embeddings}. */
export function createEmbeddings({ embedder, form, now }: EmbeddingsComponents): Embeddings {
  const made = createEmbeddingCache(form)
  const stop = new AbortController()
  const listeners = new Set<() => void>()
  /** `absent`: because there was nobody to ask. */
  let resting = { until: 0, ms: 0, reason: '', absent: false }
  let latest: string | undefined
  let line: Promise<unknown> = Promise.resolve()

  async function embed(texts: readonly string[], signal: AbortSignal): Promise<readonly Embedded[]> {
    const all = AbortSignal.any([signal, stop.signal, AbortSignal.timeout(EMBED_MS)])
    const vectors = checkEmbedded(await untilAborted(embedder.embed(texts, { signal: all }), all), texts.length)
    const model = vectors[0]?.model
    if (model !== undefined && model !== latest) {
      latest = model
      for (const listener of listeners) listener()
    }
    return vectors
  }

  async function fillNow(texts: readonly string[], onBatch: (done: number) => void): Promise<number> {
    let count = 0
    for (let from = 0; from < texts.length; from += MAX_EMBED_BATCH) {
      const batch = texts.slice(from, from + MAX_EMBED_BATCH)
      const missing = batch.filter((text) => latest === undefined || made.modelOf(text) !== latest)
      const vectors = missing.length === 0 ? [] : await embed(missing, stop.signal)
      vectors.forEach((vector, n) => made.put(missing[n]!, vector))
      count += missing.length
      onBatch(from + batch.length)
      if (missing.length === 0) await pause()
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
    return reason
  }

  return {
    name: embedder.name,
    form,
    made,
    model: () => latest,
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
    fill(texts, onBatch = () => undefined) {
      const work = line.then(() => fillNow(texts, onBatch))
      line = work.catch(() => undefined)
      return work
    },
    stopping: stop.signal,
    stop: () => stop.abort(new MeshError('cancelled', 'the node stops'))
  }
}
