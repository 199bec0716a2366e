/** Vectors beside words: made in the background of all that is offered, and of each request while it waits, a moment. Whatever goes wrong with them, words answer. */
import { FUSED_DEPTH } from './core/meaning/dense-calibration.ts'
import { buildDenseIndex, type DenseIndex } from './core/meaning/dense-index.ts'
import type { VectorOf } from './core/meaning/dense-item.ts'
import type { Embedded } from './core/meaning/embedder.ts'
import { MAX_CACHED_TEXTS, createEmbeddingCache } from './core/meaning/embedding-cache.ts'
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
  /** To be told what of it decides, by key. Default: nobody asks. */
  onShown?: (keys: readonly string[]) => void
}

/** See the head of this file. */
export interface MeaningVectors {
  /** Rejects only if the signal aborts. */
  find(question: MeaningQuestion, words: KnownWords): Promise<FoundMeaning>
  /** What a node has told counts no more. */
  disbelieve(node: string): void
}

/** Without vectors. */
export function findByWords({ text, limit, among }: MeaningQuestion, lexical: LexicalIndex, reason: string): FoundMeaning {
  return { found: lexical.find(text, limit, among), by: { path: 'words', model: null, reason } }
}

interface BuiltVectors {
  /** Of which words; undefined if it is to be built anew when there is time. */
  revision: string | undefined
  index: DenseIndex
  /** Who told vectors of which items. */
  tellers: Map<string, string>
  /** Those of which not all was made here as well since. */
  unchecked: Map<string, SaidByNode>
}

/** See {@link MeaningVectors}. */
export function createMeaningVectors({ embeddings, told, now }: MeaningVectorsComponents): MeaningVectors {
  const { name, form, made } = embeddings
  const asked = createEmbeddingCache('float', MAX_CACHED_QUERIES)
  let built: BuiltVectors | undefined
  let making: { done: number; of: number } | undefined
  /** Until when another index is not built, beside the one that is there: of all that changes a new one would never be done. */
  let nextAt = 0
  let queries = 0
  /** How often somebody was found to lie. */
  let liesFound = 0
  // Perhaps another of the same name.
  embeddings.onModel((before) => {
    if (before !== embeddings.model()) return
    asked.clear()
    built = undefined
  })

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
    const all = items()
    const saidBy = said === undefined ? new Map<string, SaidByNode>() : await inPieces(said(), now, stopping)
    const before = liesFound
    const { count, isWhole } = await gather(all, saidBy, own)
    if (count > 0) embeddings.works()
    const generation = embeddings.generation()
    const from = now()
    const byOthers = new Set<string>()
    const vectorOf: VectorOf = (text, key) => {
      const vector = made.modelOf(text) === embeddings.model() ? undefined : toldOf(saidBy.get(key), text)
      if (vector !== undefined) byOthers.add(key)
      return vector ?? made.get(text)
    }
    const index = await inPieces(buildDenseIndex({ items: all, vectorOf, form, heldOut: lexical.heldOut }), now, stopping)
    const unchecked = new Map([...saidBy].filter(([key]) => byOthers.has(key) && index.has(key)))
    const tellers = new Map([...unchecked].map(([key, { node }]) => [key, node]))
    // What was left to who is no longer believed, or was of another model, is missing.
    const next = { revision: isWhole && liesFound === before ? revision : undefined, index, unchecked, tellers }
    // Who has lied meanwhile is left to its words.
    for (const node of new Set(tellers.values())) if (told?.believes(node) !== true) leaveToWords(next, node)
    // What was made of it before is gone.
    if (embeddings.generation() === generation) built = next
    nextAt = now() + (now() - from) / BUILDING_SHARE
  }

  /** By the digests that are known of what the node says. */
  function toldOf(said: SaidByNode | undefined, text: string): Embedded | undefined {
    const digest = said?.texts.find(([, own]) => own === text)?.[0]
    return said === undefined || digest === undefined ? undefined : told?.get(said.node, digest)
  }

  /** Vectors of all texts, of one model: those that others have made already, then the rest. @returns how many were made here, and whether none is missing. */
  async function gather(
    items: readonly MeaningItem[],
    said: ReadonlyMap<string, SaidByNode>,
    own: NonNullable<typeof making>
  ): Promise<{ count: number; isWhole: boolean }> {
    const first = items[0]?.description
    let count = 0
    for (let round = 0; first !== undefined && round < MAX_ROUNDS; round++) {
      // Whom to ask depends on the model.
      if (embeddings.model() === undefined) count += await embeddings.fill([first])
      const generation = embeddings.generation()
      await told?.gather(said.values())
      const texts = (await inPieces(untold(items, said), now, embeddings.stopping)).slice(0, MAX_CACHED_TEXTS)
      own.of = texts.length
      count += await embeddings.fill(texts, { onBatch: (done) => (own.done = done) })
      if (embeddings.generation() === generation) return { count, isWhole: true }
    }
    return { count, isWhole: first === undefined }
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

  /** What decides by vectors that another node has told is made here as well, once: who lies is found out by what comes of it. */
  function check({ unchecked }: BuiltVectors, keys: readonly string[]): void {
    for (const key of keys) {
      const said = unchecked.get(key)
      if (said === undefined) continue
      unchecked.delete(key)
      told?.check(said).catch((error: unknown) => {
        unchecked.set(key, said)
        embeddings.failed(error)
      })
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
    const used = built
    const { index } = used
    const none = uselessOf(index)
    if (none !== undefined) return byWords(`the examples say that vectors of ${none} add nothing to words`)
    let query: Awaited<ReturnType<typeof embedQuery>>
    try {
      query = await embedQuery(text, index, signal)
    } catch (error) {
      if (signal?.aborted === true) throw error
      return byWords(embeddings.failed(error))
    }
    if (query === 'busy') return byWords(`${name}: ${MAX_QUERIES} requests wait for their vectors already`)
    if (query === 'late') return byWords(embeddings.rest(`${name}: no vector of the request within ${QUERY_EMBED_MS} ms`))
    // What was compared with is gone: another model of the same name.
    if (built === undefined) return byWords(whyNone())
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
    const found = index.find(query, words.lexical.find(text, FUSED_DEPTH, among).matches, limit, among)
    const by = used.tellers.size === 0 ? '' : `, of ${used.tellers.size} as their nodes told them`
    const reason = `vectors of ${model} (${name}, ${form}) of ${compared} of ${words.lexical.size} capabilities${by}`
    return { found, by: { path: 'both', model, reason }, onShown: (keys) => check(used, keys) }
  }

  /** The model of now, where its vectors count nothing: then nobody is asked for that of a request. */
  function uselessOf(index: DenseIndex): string | undefined {
    const [model, width] = [embeddings.model(), embeddings.width()]
    if (model === undefined || width === undefined) return undefined
    const like = { model, values: new Float32Array(width) }
    return index.comparable(like) > 0 && index.share(like) === 0 ? model : undefined
  }

  function whyNone(): string {
    if (making?.of === 0) return `${name}: the vectors are being made`
    if (making !== undefined) return `${name}: the vectors are being made, ${making.done} of ${making.of} texts so far`
    return embeddings.reason === '' ? `${name}: there is nothing to make vectors of` : embeddings.reason
  }

  return {
    find,
    disbelieve(node) {
      liesFound++
      if (built !== undefined) leaveToWords(built, node)
    }
  }
}

/** All of a node, until it is made here: checked or not, it told all of it. */
function leaveToWords(built: BuiltVectors, node: string): void {
  built.revision = undefined
  for (const [key, by] of built.tellers)
    if (by === node) {
      built.index.forget(key)
      built.tellers.delete(key)
      built.unchecked.delete(key)
    }
}
