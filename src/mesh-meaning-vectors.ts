/** Vectors beside words: made in the background of all that is offered, and of each request while it waits, a moment. Whatever goes wrong with them, words answer. */
import { FUSED_DEPTH } from './core/meaning/dense-calibration.ts'
import { buildDenseIndex, type DenseIndex } from './core/meaning/dense-index.ts'
import type { VectorOf } from './core/meaning/dense-item.ts'
import type { Embedded } from './core/meaning/embedder.ts'
import { MAX_CACHED_TEXTS, createEmbeddingCache } from './core/meaning/embedding-cache.ts'
import { CHOICES } from './core/meaning/decision.ts'
import { textsOf } from './core/meaning/items.ts'
import type { SaidByNode } from './core/meaning/said-texts.ts'
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
  said?: () => Generator<undefined, ReadonlyMap<string, SaidByNode>>
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

interface BuiltVectors {
  /** Of which words; undefined if it is to be built anew when there is time. */
  revision: string | undefined
  index: DenseIndex
  /** Items with vectors that others told, and that were not checked since. */
  told: Map<string, SaidByNode>
  /** How many of those it was built with. */
  count: number
}

/** See {@link MeaningVectors}. */
export function createMeaningVectors({ embeddings, told, now }: MeaningVectorsComponents): MeaningVectors {
  const { name, form, made } = embeddings
  const asked = createEmbeddingCache('float', MAX_CACHED_QUERIES)
  let built: BuiltVectors | undefined
  let making: { done: number; of: number } | undefined
  let checking = false
  /** How often what was told turned out to be a lie: what is built of it meanwhile is not taken. */
  let lies = 0
  /** Until when another index is not built, beside the one that is there: of all that changes a new one would never be done. */
  let nextAt = 0
  let queries = 0

  /** Begins to make the vectors of what is known, unless that is done or under way, or somebody has to rest. */
  function make(words: KnownWords): void {
    if (making !== undefined || built?.revision === words.revision) return
    if (embeddings.resting() !== undefined || embeddings.stopping.aborted) return
    if (built !== undefined && now() < nextAt) return
    const own = (making = { done: 0, of: 0 })
    build(words, own)
      .catch((error: unknown) => embeddings.failed(error))
      .finally(() => (making = undefined))
  }

  async function build({ revision, lexical, items, said }: KnownWords, own: NonNullable<typeof making>): Promise<void> {
    const { stopping } = embeddings
    const before = lies
    const all = items()
    const saidBy = said === undefined ? new Map<string, SaidByNode>() : await inPieces(said(), now, stopping)
    if ((await gather(all, saidBy, own)) > 0) embeddings.works()
    const from = now()
    const byOthers = new Set<string>()
    const vectorOf: VectorOf = (text, key) => {
      const vector = made.modelOf(text) === embeddings.model() ? undefined : toldOf(saidBy.get(key), text)
      if (vector !== undefined) byOthers.add(key)
      return vector ?? made.get(text)
    }
    const index = await inPieces(buildDenseIndex({ items: all, vectorOf, form, heldOut: lexical.heldOut }), now, stopping)
    const told = new Map([...saidBy].filter(([key]) => byOthers.has(key) && index.has(key)))
    if (lies !== before) return
    built = { revision, index, told, count: told.size }
    nextAt = now() + (now() - from) / BUILDING_SHARE
  }

  /** By the digests that are known of what the node says. */
  function toldOf(said: SaidByNode | undefined, text: string): Embedded | undefined {
    const digest = said?.texts.find(([, own]) => own === text)?.[0]
    return said === undefined || digest === undefined ? undefined : told?.get(said.node, digest)
  }

  /** Vectors of all texts, of one model: those that others have made already, then the rest. @returns how many were made here. */
  async function gather(
    items: readonly MeaningItem[],
    said: ReadonlyMap<string, SaidByNode>,
    own: NonNullable<typeof making>
  ): Promise<number> {
    const first = items[0]?.description
    let count = 0
    for (let round = 0; first !== undefined && round < MAX_ROUNDS; round++) {
      // Whom to ask depends on the model.
      if (embeddings.model() === undefined) count += await embeddings.fill([first])
      const model = embeddings.model()
      await told?.gather(said.values())
      const texts = (await inPieces(untold(items, said), now, embeddings.stopping)).slice(0, MAX_CACHED_TEXTS)
      own.of = texts.length
      count += await embeddings.fill(texts, { onBatch: (done) => (own.done = done) })
      if (embeddings.model() === model) break
    }
    return count
  }

  function* untold(items: readonly MeaningItem[], said: ReadonlyMap<string, SaidByNode>): Generator<undefined, string[]> {
    const texts = new Set<string>()
    for (const item of items) {
      const by = said.get(item.key)
      const known = new Set(by?.texts.filter(([digest]) => told?.has(by.node, digest) === true).map(([, text]) => text))
      for (const text of textsOf(item)) if (!known.has(text)) texts.add(text)
      yield
    }
    return [...texts]
  }

  /** What is found by vectors that another node has told is made here as well, once: who lies is found out by what it is asked for, and what was told counts no more. */
  function checkFound(index: BuiltVectors, keys: readonly string[]): void {
    const key = keys.find((one) => index.told.has(one))
    if (key === undefined || checking || told === undefined) return
    const said = index.told.get(key)!
    index.told.delete(key)
    checking = true
    told
      .check(said)
      .then((agrees) => {
        // A lie is not compared with any more; what was checked takes its place when there is time.
        if (agrees) return void (index.revision = undefined)
        lies++
        built = undefined
      })
      .catch((error: unknown) => {
        index.told.set(key, said)
        embeddings.failed(error)
      })
      .finally(() => (checking = false))
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
    const before = built
    const { index } = before
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
    checkFound(
      before,
      found.matches.slice(0, CHOICES).map(({ key }) => key)
    )
    const by = before.count === 0 ? '' : `, of ${before.count} as their nodes told them`
    const reason = `vectors of ${model} (${name}, ${form}) of ${compared} of ${words.lexical.size} capabilities${by}`
    return { found, by: { path: 'both', model, reason } }
  }

  function whyNone(): string {
    if (making !== undefined) return `${name}: the vectors are being made, ${making.done} of ${making.of} texts so far`
    return embeddings.reason === '' ? `${name}: there is nothing to make vectors of` : embeddings.reason
  }

  return { find }
}
