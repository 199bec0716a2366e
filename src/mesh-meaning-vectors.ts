/** Vectors beside words: made in the background of all that is offered, and of each request while it waits, a moment. Whatever goes wrong with them, words answer. */
import type { VectorForm } from './core/meaning/vector-table.ts'
import { FUSED_DEPTH } from './core/meaning/dense-calibration.ts'
import { buildDenseIndex, type DenseIndex } from './core/meaning/dense-index.ts'
import { MAX_EMBED_BATCH, checkEmbedded, type Embedded, type Embedder } from './core/meaning/embedder.ts'
import { MAX_CACHED_TEXTS, createEmbeddingCache } from './core/meaning/embedding-cache.ts'
import type { LexicalIndex, MeaningItem, MeaningMatches } from './core/meaning/lexical-index.ts'
import { untilAborted } from './core/until-aborted.ts'
import { MeshError, toMeshError } from './errors.ts'
import type { MeaningBy } from './mesh-api-meaning.ts'
import { BUILDING_SHARE } from './mesh-meaning-index.ts'
import { inPieces, pause } from './mesh-meaning-pieces.ts'

/** How long a request waits for its own vector, in ms: a small model takes a few. After that words answer. */
export const QUERY_EMBED_MS = 500
/** How long one request of an embedder may take in all, in ms: what came too late counts for the next one that asks the same. */
export const EMBED_MS = 30_000
/** Requests for vectors of what was asked that run at once; whoever comes then is answered by words. */
export const MAX_QUERIES = 8
/** Vectors of what was asked that are kept. */
export const MAX_CACHED_QUERIES = 1_000
/** How long an embedder that has failed is left alone, in ms: at first, and at most. It doubles. */
export const [MIN_REST_MS, MAX_REST_MS] = [5_000, 300_000] as const
/** Times that texts are embedded anew because others were of another model. */
const MAX_ROUNDS = 2

/** What it needs. */
export interface MeaningVectorsComponents {
  embedder: Embedder
  form: VectorForm
  /** Monotonic ms. */
  now: () => number
}

/** One request in words. */
export interface MeaningQuestion {
  text: string
  limit: number
  among: (key: string) => boolean
  signal: AbortSignal | undefined
}

/** What words are known by now. */
export interface KnownWords {
  /** All words of it, as long as it is the same. */
  said: string
  /** Built with a depth of {@link FUSED_DEPTH}. */
  lexical: LexicalIndex
  items(): MeaningItem[]
}

/** What was found, and by what. */
export interface FoundMeaning {
  found: MeaningMatches
  by: MeaningBy
}

/** See the head of this file. */
export interface MeaningVectors {
  /** Rejects only if the signal aborts. */
  find(question: MeaningQuestion, words: KnownWords): Promise<FoundMeaning>
  stop(): void
}

/** Without vectors. */
export function findByWords({ text, limit, among }: MeaningQuestion, lexical: LexicalIndex, reason: string): FoundMeaning {
  return { found: lexical.find(text, limit, among), by: { path: 'words', model: null, reason } }
}

/** See {@link MeaningVectors}. */
export function createMeaningVectors({ embedder, form, now }: MeaningVectorsComponents): MeaningVectors {
  const cache = createEmbeddingCache(form)
  const asked = createEmbeddingCache('float', MAX_CACHED_QUERIES)
  const stopping = new AbortController()
  let built: { said: string; index: DenseIndex } | undefined
  let making: { done: number; of: number } | undefined
  /** Until when another index is not built, beside the one that is there: of all that changes a new one would never be done. */
  let nextAt = 0
  let rest = { until: 0, ms: 0, reason: '' }
  let queries = 0
  /** Of which model the embedder's vectors are, as it last said. */
  let latest: string | undefined

  async function embed(texts: readonly string[], signal: AbortSignal): Promise<readonly Embedded[]> {
    const all = AbortSignal.any([signal, stopping.signal, AbortSignal.timeout(EMBED_MS)])
    const vectors = checkEmbedded(await untilAborted(embedder.embed(texts, { signal: all }), all), texts.length)
    latest = vectors[0]?.model
    return vectors
  }

  function failed(reason: string): void {
    const ms = Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, rest.ms * 2))
    rest = { until: now() + ms, ms, reason }
  }

  /** Begins to make the vectors of what is known, unless that is done or under way, or somebody has to rest. */
  function make({ said, lexical, items }: KnownWords): void {
    if (making !== undefined || built?.said === said || now() < rest.until || stopping.signal.aborted) return
    if (built !== undefined && now() < nextAt) return
    const own = (making = { done: 0, of: 0 })
    const work = async (): Promise<void> => {
      const all = items()
      await embedAll(all, own)
      const from = now()
      const index = buildDenseIndex({ items: all, vectorOf: cache.get, form, heldOut: lexical.heldOut })
      built = { said, index: await inPieces(index, now, stopping.signal) }
      nextAt = now() + (now() - from) / BUILDING_SHARE
      rest = { until: 0, ms: 0, reason: '' }
    }
    work()
      .catch((error: unknown) => failed(`${embedder.name}: ${toMeshError(error).message}`))
      .finally(() => (making = undefined))
  }

  async function embedAll(items: readonly MeaningItem[], own: NonNullable<typeof making>): Promise<void> {
    const texts = [...new Set(items.flatMap(({ description, examples }) => [description, ...examples]))].slice(
      0,
      MAX_CACHED_TEXTS
    )
    own.of = texts.length
    for (let round = 0; round < MAX_ROUNDS; round++) {
      own.done = 0
      for (let from = 0; from < texts.length; from += MAX_EMBED_BATCH) {
        const batch = texts.slice(from, from + MAX_EMBED_BATCH)
        const missing = batch.filter((text) => cache.modelOf(text) !== latest || latest === undefined)
        const vectors = missing.length === 0 ? [] : await embed(missing, stopping.signal)
        vectors.forEach((vector, n) => cache.put(missing[n]!, vector))
        own.done += batch.length
        if (missing.length === 0) await pause()
      }
    }
  }

  /** Its vector is kept once it is there, though nobody waits for it any more. */
  async function embedQuery(
    text: string,
    index: DenseIndex,
    signal: AbortSignal | undefined
  ): Promise<Embedded | 'busy' | 'late'> {
    const known = asked.get(text) ?? cache.get(text)
    // One of a model of before says nothing about the index.
    if (known !== undefined && known.model === latest && index.comparable(known) > 0) return known
    if (queries >= MAX_QUERIES) return 'busy'
    queries++
    const work = embed([text], signal ?? stopping.signal)
      .then(([vector]) => {
        asked.put(text, vector!)
        return vector!
      })
      .finally(() => queries--)
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), QUERY_EMBED_MS)))
    return Promise.race([work, late]).finally(() => clearTimeout(timer))
  }

  async function find(question: MeaningQuestion, words: KnownWords): Promise<FoundMeaning> {
    const { text, limit, among, signal } = question
    const byWords = (reason: string): FoundMeaning => findByWords(question, words.lexical, reason)
    make(words)
    if (built === undefined) return byWords(whyNone())
    if (now() < rest.until) return byWords(rest.reason)
    const { index } = built
    let query: Awaited<ReturnType<typeof embedQuery>>
    try {
      query = await embedQuery(text, index, signal)
    } catch (error) {
      if (signal?.aborted === true) throw error
      failed(`${embedder.name}: ${toMeshError(error).message}`)
      return byWords(rest.reason)
    }
    if (query === 'busy') return byWords(`${embedder.name}: ${MAX_QUERIES} requests wait for their vectors already`)
    if (query === 'late') {
      failed(`${embedder.name}: no vector of the request within ${QUERY_EMBED_MS} ms`)
      return byWords(rest.reason)
    }
    const { model } = query
    const compared = index.comparable(query)
    if (compared === 0) {
      const of = index.models.join(' and ')
      failed(`the vector of the request is of ${model}, ${query.values.length} numbers, those of capabilities of ${of}`)
      // Those are made anew once it has rested.
      built = undefined
      return byWords(rest.reason)
    }
    if (index.share(query) === 0) return byWords(`the examples say that vectors of ${model} add nothing to words`)
    const found = index.find(query, words.lexical.find(text, FUSED_DEPTH, among).matches, limit, among)
    const reason = `vectors of ${model} (${embedder.name}, ${form}) of ${compared} of ${words.lexical.size} capabilities`
    return { found, by: { path: 'both', model, reason } }
  }

  function whyNone(): string {
    if (making !== undefined) return `${embedder.name}: the vectors are being made, ${making.done} of ${making.of} texts so far`
    return rest.reason === '' ? `${embedder.name}: there is nothing to make vectors of` : rest.reason
  }

  return {
    find,
    stop: () => stopping.abort(new MeshError('cancelled', 'the node stops'))
  }
}
