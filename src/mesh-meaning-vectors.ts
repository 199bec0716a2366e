/** Vectors beside words: made in the background of all that is offered, and of each request while it waits, a moment. Whatever goes wrong with them, words answer. */
import { FUSED_DEPTH } from './core/meaning/dense-calibration.ts'
import { buildDenseIndex, type DenseIndex } from './core/meaning/dense-index.ts'
import type { VectorOf } from './core/meaning/dense-item.ts'
import type { Embedded } from './core/meaning/embedder.ts'
import { MAX_CACHED_TEXTS, createEmbeddingCache } from './core/meaning/embedding-cache.ts'
import { textsOf, type SaidText } from './core/meaning/items.ts'
import type { LexicalIndex, MeaningItem, MeaningMatches } from './core/meaning/lexical-index.ts'
import type { MeaningBy } from './mesh-api-meaning.ts'
import type { Embeddings } from './mesh-embeddings.ts'
import { BUILDING_SHARE } from './mesh-meaning-index.ts'
import { inPieces } from './mesh-meaning-pieces.ts'
import type { ToldVectors } from './mesh-told-vectors.ts'

/** How long a request waits for its own vector, in ms: a small model takes a few. After that words answer. */
export const QUERY_EMBED_MS = 500
/** Requests for vectors of what was asked that run at once; whoever comes then is answered by words. */
export const MAX_QUERIES = 8
/** Vectors of what was asked that are kept. */
export const MAX_CACHED_QUERIES = 1_000
/** Times that texts are embedded anew because others were of another model. */
const MAX_ROUNDS = 2

/** What it needs. */
export interface MeaningVectorsComponents {
  embeddings: Embeddings
  /** What other nodes tell of what they say. Default: all is made here. */
  told?: ToldVectors | undefined
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
  revision: string
  /** Built with a depth of {@link FUSED_DEPTH}. */
  lexical: LexicalIndex
  items(): MeaningItem[]
  /** What of it other nodes say, by the key of the item. Default: nothing. */
  said?: () => ReadonlyMap<string, SaidText>
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
}

/** Without vectors. */
export function findByWords({ text, limit, among }: MeaningQuestion, lexical: LexicalIndex, reason: string): FoundMeaning {
  return { found: lexical.find(text, limit, among), by: { path: 'words', model: null, reason } }
}

/** See {@link MeaningVectors}. */
export function createMeaningVectors({ embeddings, told, now }: MeaningVectorsComponents): MeaningVectors {
  const { name, form, made } = embeddings
  const asked = createEmbeddingCache('float', MAX_CACHED_QUERIES)
  /** `told`: of so many items the vectors, or some of them, were told by others. */
  let built: { revision: string; index: DenseIndex; told: number } | undefined
  let making: { done: number; of: number } | undefined
  /** Until when another index is not built, beside the one that is there: of all that changes a new one would never be done. */
  let nextAt = 0
  let queries = 0

  /** Begins to make the vectors of what is known, unless that is done or under way, or somebody has to rest. */
  function make(words: KnownWords): void {
    const { revision } = words
    if (making !== undefined || built?.revision === revision) return
    if (embeddings.resting() !== undefined || embeddings.stopping.aborted) return
    if (built !== undefined && now() < nextAt) return
    const own = (making = { done: 0, of: 0 })
    build(words, own)
      .catch((error: unknown) => embeddings.failed(error))
      .finally(() => (making = undefined))
  }

  async function build({ revision, lexical, items, said }: KnownWords, own: NonNullable<typeof making>): Promise<void> {
    const all = items()
    const saidBy = said?.() ?? new Map<string, SaidText>()
    await gather(all, saidBy, own)
    const from = now()
    const byOthers = new Set<string>()
    const vectorOf: VectorOf = (text, key) => {
      const node = saidBy.get(key)?.node
      const other = made.modelOf(text) === embeddings.model() || node === undefined ? undefined : told?.get(node, text)
      if (other !== undefined) byOthers.add(key)
      return other ?? made.get(text)
    }
    const index = buildDenseIndex({ items: all, vectorOf, form, heldOut: lexical.heldOut })
    built = { revision, index: await inPieces(index, now, embeddings.stopping), told: byOthers.size }
    nextAt = now() + (now() - from) / BUILDING_SHARE
    embeddings.works()
  }

  /** Vectors of all texts, of one model: those that others have made already, then the rest. */
  async function gather(
    items: readonly MeaningItem[],
    said: ReadonlyMap<string, SaidText>,
    own: NonNullable<typeof making>
  ): Promise<void> {
    const first = items[0]?.description
    if (first === undefined) return
    for (let round = 0; round < MAX_ROUNDS; round++) {
      // Whom to ask depends on the model.
      if (embeddings.model() === undefined) await embeddings.fill([first])
      const model = embeddings.model()
      await told?.gather(said.values())
      const isTold = (node: string | undefined, text: string): boolean =>
        node !== undefined && told?.modelOf(node, text) === model
      const rest = items.flatMap((item) => textsOf(item).filter((text) => !isTold(said.get(item.key)?.node, text)))
      const texts = [...new Set(rest)].slice(0, MAX_CACHED_TEXTS)
      own.of = texts.length
      await embeddings.fill(texts, (done) => (own.done = done))
      if (embeddings.model() === model) return
    }
  }

  /** Its vector is kept once it is there, though nobody waits for it any more. */
  async function embedQuery(
    text: string,
    index: DenseIndex,
    signal: AbortSignal | undefined
  ): Promise<Embedded | 'busy' | 'late'> {
    const known = asked.get(text) ?? made.get(text)
    // One of a model of before says nothing about the index.
    if (known !== undefined && known.model === embeddings.model() && index.comparable(known) > 0) return known
    if (queries >= MAX_QUERIES) return 'busy'
    queries++
    const work = embeddings
      .embed([text], signal ?? embeddings.stopping)
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
    const resting = embeddings.resting()
    if (resting !== undefined) return byWords(resting)
    const { index, told: byOthers } = built
    let query: Awaited<ReturnType<typeof embedQuery>>
    try {
      query = await embedQuery(text, index, signal)
    } catch (error) {
      if (signal?.aborted === true) throw error
      return byWords(embeddings.failed(error))
    }
    if (query === 'busy') return byWords(`${name}: ${MAX_QUERIES} requests wait for their vectors already`)
    if (query === 'late') return byWords(embeddings.rest(`${name}: no vector of the request within ${QUERY_EMBED_MS} ms`))
    const { model } = query
    const compared = index.comparable(query)
    if (compared === 0) {
      const of = index.models.join(' and ')
      // Those are made anew once it has rested.
      built = undefined
      return byWords(
        embeddings.rest(
          `the vector of the request is of ${model}, ${query.values.length} numbers, those of capabilities of ${of}`
        )
      )
    }
    if (index.share(query) === 0) return byWords(`the examples say that vectors of ${model} add nothing to words`)
    const found = index.find(query, words.lexical.find(text, FUSED_DEPTH, among).matches, limit, among)
    const by = byOthers === 0 ? '' : `, of ${byOthers} as their nodes told them`
    const reason = `vectors of ${model} (${name}, ${form}) of ${compared} of ${words.lexical.size} capabilities${by}`
    return { found, by: { path: 'both', model, reason } }
  }

  function whyNone(): string {
    if (making !== undefined) return `${name}: the vectors are being made, ${making.done} of ${making.of} texts so far`
    return embeddings.reason === '' ? `${name}: there is nothing to make vectors of` : embeddings.reason
  }

  return { find }
}
