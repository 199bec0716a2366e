/** Vectors that other nodes tell of what they say themselves, as far as they agree with those of this node. */
import { hexToBytes } from '@noble/hashes/utils.js'
import { MAX_ASKED_TEXTS, type EmbeddingItem, type EmbeddingRequest } from '../protocols/embedding/messages.ts'
import type { Embedded } from './core/meaning/embedder.ts'
import { MAX_CACHED_TEXTS } from './core/meaning/embedding-cache.ts'
import type { SaidByNode, SaidTexts } from './core/meaning/said-texts.ts'
import { agree, sampleOf } from './core/meaning/told-vectors.ts'
import { toMeshError } from './errors.ts'
import type { Embeddings } from './mesh-embeddings.ts'
import { inPieces } from './mesh-meaning-pieces.ts'
import { MAX_OWN_TEXTS } from './mesh-own-vectors.ts'

/** Nodes that are asked at once: of each a text or two is made here as well, for all of them together. */
export const MAX_ASKED_NODES = 32
/** How long others are asked before what they say is made here, in ms. */
export const GATHER_MS = 60_000
/** A node whose answer takes longer is not waited for again soon, in ms. */
export const SLOW_MS = 10_000
/** A node that did not give all that it was asked for, or slowly, is not asked again for so long, in ms. */
export const SHUN_MS = 600_000
/** A node that has told a lie is not believed for so long, in ms: it may have been this node whose model was another. */
export const DISBELIEF_MS = 86_400_000
/** Nodes of which is remembered that they are not asked, or not believed. */
export const MAX_SHUNNED = 4_096

/** What it needs. */
export interface ToldVectorsComponents {
  embeddings: Embeddings
  /** The model of which a node says that it gives vectors. */
  modelOf(node: string): string | undefined
  /** Vectors of this many numbers; returns the model that the node has. Rejects if it does not answer, or wrongly. */
  ask(
    node: string,
    request: EmbeddingRequest,
    width: number,
    signal: AbortSignal
  ): AsyncGenerator<EmbeddingItem, string | undefined>
  /** Uniform in [0, 1). */
  random: () => number
  /** A node tells vectors that are not of the model that it names: it is believed no more. */
  onDisagreed(node: string, model: string): void
}

/** See the head of this file. */
export interface ToldVectors {
  /** What a node has told of its text, by digest, if that is believed and of the model that this node has. */
  get(node: string, digest: string): Embedded | undefined
  has(node: string, digest: string): boolean
  /** Whether what a node tells counts. */
  believes(node: string): boolean
  /**
   * Asks for what is missing, of nodes that have the model of this one, and forgets what is said no more. Rejects only as `fill` of {@link Embeddings} does: what is not told is
   * to be made here.
   */
  gather(said: Iterable<SaidByNode>): Promise<void>
  /** Makes all that was told of this here as well, before all else; who told it is believed no more if it does not agree. */
  check(said: SaidByNode): Promise<void>
}

/** See {@link ToldVectors}. */
export function createToldVectors(components: ToldVectorsComponents): ToldVectors {
  const { embeddings, modelOf, ask, random, onDisagreed } = components
  const { now, stopping } = embeddings
  /** By node and digest: nobody speaks for what others say. All of one model. */
  let told: { model: string | undefined; nodes: Map<string, Map<string, Int8Array>> } = { model: undefined, nodes: new Map() }
  // Perhaps another of the same name.
  embeddings.onModel(() => (told = { model: undefined, nodes: new Map() }))
  /** Until when nodes are not believed, nor asked, with a model that they named wrongly. */
  const disbelieved = new Map<string, number>()
  /** Until when nodes are not asked, with the model that they were asked for. */
  const shunned = new Map<string, number>()
  const keyOf = (node: string): string => `${node}\n${embeddings.model() ?? ''}`
  const isDue = (until: number | undefined): boolean => until !== undefined && now() < until
  const believes = (node: string): boolean => !isDue(disbelieved.get(keyOf(node)))

  function get(node: string, digest: string): Embedded | undefined {
    const model = embeddings.model()
    const values = told.model === model && believes(node) ? told.nodes.get(node)?.get(digest) : undefined
    return model === undefined || values === undefined ? undefined : { model, values: Float32Array.from(values) }
  }

  function disbelieve(node: string, model: string): void {
    if (!believes(node)) return
    told.nodes.delete(node)
    remember(disbelieved, keyOf(node), now() + DISBELIEF_MS)
    onDisagreed(node, model)
  }

  const isAsked = (node: string, model: string): boolean =>
    modelOf(node) === model && believes(node) && !isDue(shunned.get(keyOf(node)))

  /** What each node says, by digest. */
  function* collect(said: Iterable<SaidByNode>): Generator<undefined, Map<string, Map<string, string>>> {
    const nodes = new Map<string, Map<string, string>>()
    for (const { node, texts } of said) {
      const known = nodes.get(node) ?? new Map<string, string>()
      nodes.set(node, known)
      for (const [digest, text] of texts) if (known.size < MAX_OWN_TEXTS) known.set(digest, text)
      yield
    }
    for (const [node, vectors] of told.nodes) {
      for (const digest of vectors.keys()) if (nodes.get(node)?.has(digest) !== true) vectors.delete(digest)
      if (vectors.size === 0) told.nodes.delete(node)
      yield
    }
    return nodes
  }

  function agrees(text: string, values: Int8Array, model: string): boolean {
    const own = embeddings.made.get(text)
    return own !== undefined && agree(own, { model, values: Float32Array.from(values) })
  }

  /** What is missing of whom, who says least first: who says much takes no room and no time from those. */
  function* dueOf(nodes: ReadonlyMap<string, ReadonlyMap<string, string>>, model: string): Generator<undefined, Due[]> {
    let room = MAX_CACHED_TEXTS
    for (const { size } of told.nodes.values()) room -= size
    const due: Due[] = []
    for (const [node, texts] of nodes) {
      yield
      if (!isAsked(node, model)) continue
      const known = told.nodes.get(node)
      const missing = [...texts].filter(([digest]) => known?.has(digest) !== true)
      if (missing.length > 0) due.push({ node, missing })
    }
    return due.sort((a, b) => a.missing.length - b.missing.length).filter(({ missing }) => (room -= missing.length) >= 0)
  }

  /** The first of what a node is to tell; what came before it failed counts, unless it broke the contract. */
  async function askOne({ node, missing }: Due, model: string, width: number, signal: AbortSignal): Promise<Answer> {
    const part = missing.slice(0, MAX_ASKED_TEXTS)
    const got: Answer['got'] = []
    const from = now()
    let all = false
    try {
      const answer = ask(node, { model, digests: part.map(([digest]) => hexToBytes(digest)) }, width, signal)
      for (let step = await answer.next(); ; step = await answer.next()) {
        if (step.done !== true) {
          got.push([...part[step.value.index]!, step.value.values])
          continue
        }
        // Of another model now: that is an answer.
        if (step.value !== model) return { node, got, rest: [] }
        break
      }
      all = got.length === part.length && now() - from < SLOW_MS
    } catch (error) {
      const { code, details } = toMeshError(error)
      if (code === 'protocol_error') got.length = 0
      // It gives to this node already, or there is no connection yet.
      if (code === 'busy' || details['notStarted'] === true) return { node, got, rest: [] }
    }
    if (!all) remember(shunned, keyOf(node), now() + SHUN_MS)
    return { node, got, rest: all ? missing.slice(MAX_ASKED_TEXTS) : [] }
  }

  /** Takes what agrees, by a sample of each, which is made for all at once. */
  async function take(answers: readonly Answer[], model: string): Promise<void> {
    const samples = answers.map(({ got }) => sampleOf(got, random))
    await embeddings.fill(samples.flatMap((sample) => sample.map(([, text]) => text)))
    for (const [n, { node, got }] of answers.entries()) {
      // The model of this node may have become another meanwhile, and who told it a liar.
      if (embeddings.model() !== model || !believes(node)) continue
      if (!samples[n]!.every(([, text, values]) => agrees(text, values, model))) {
        disbelieve(node, model)
        continue
      }
      const vectors = told.nodes.get(node) ?? new Map<string, Int8Array>()
      if (got.length > 0) told.nodes.set(node, vectors)
      for (const [digest, , values] of got) vectors.set(digest, values)
    }
  }

  return {
    get,
    has: (node, digest) => told.model === embeddings.model() && believes(node) && told.nodes.get(node)?.has(digest) === true,
    believes,
    async gather(said) {
      const [model, width] = [embeddings.model(), embeddings.width()]
      if (model === undefined || width === undefined) return
      if (told.model !== model) told = { model, nodes: new Map() }
      const nodes = await inPieces(collect(said), now, stopping)
      const due = await inPieces(dueOf(nodes, model), now, stopping)
      const until = now() + GATHER_MS
      const signal = AbortSignal.any([stopping, AbortSignal.timeout(GATHER_MS)])
      // A part of each, those that have more to tell after all others.
      for (let some = due.splice(0, MAX_ASKED_NODES); some.length > 0; some = due.splice(0, MAX_ASKED_NODES)) {
        if (now() >= until || signal.aborted || embeddings.model() !== model) return
        const answers = await Promise.all(some.map((one) => askOne(one, model, width, signal)))
        await take(answers, model)
        due.push(
          ...answers
            .filter(({ node, rest }) => rest.length > 0 && believes(node))
            .map(({ node, rest }) => ({ node, missing: rest }))
        )
      }
    },
    async check({ node, texts }) {
      const model = embeddings.model()
      const vectors = told.nodes.get(node)
      if (model === undefined || told.model !== model || vectors === undefined) return
      const claimed = texts.flatMap(([digest, text]) => {
        const values = vectors.get(digest)
        return values === undefined ? [] : [[text, values] as const]
      })
      await embeddings.fill(
        claimed.map(([text]) => text),
        { first: true }
      )
      if (embeddings.model() === model && !claimed.every(([text, values]) => agrees(text, values, model))) disbelieve(node, model)
    }
  }
}

/** What is to be asked of a node. */
interface Due {
  node: string
  missing: SaidTexts
}

/** What it has told, and what it may be asked for after that. */
interface Answer {
  node: string
  got: [digest: string, text: string, values: Int8Array][]
  rest: SaidTexts
}

function remember(kept: Map<string, number>, key: string, until: number): void {
  kept.delete(key)
  kept.set(key, until)
  if (kept.size > MAX_SHUNNED) kept.delete(kept.keys().next().value!)
}
