/** Vectors that other nodes tell of what they say themselves, as far as they agree with those of this node. */
import { hexToBytes } from '@noble/hashes/utils.js'
import { MAX_ASKED_TEXTS, type EmbeddingItem, type EmbeddingRequest } from '../protocols/embedding/messages.ts'
import type { Embedded } from './core/meaning/embedder.ts'
import { MAX_CACHED_TEXTS } from './core/meaning/embedding-cache.ts'
import type { SaidByNode } from './core/meaning/said-texts.ts'
import { agree, sampleOf } from './core/meaning/told-vectors.ts'
import { toMeshError } from './errors.ts'
import type { Embeddings } from './mesh-embeddings.ts'
import { inPieces } from './mesh-meaning-pieces.ts'
import { MAX_OWN_TEXTS } from './mesh-own-vectors.ts'

/** Nodes that are asked at once. */
export const MAX_ASKED_NODES = 8
/** How long one node is asked at most while others wait, in ms. */
export const ASK_NODE_MS = 30_000
/** How long others are asked before what they say is made here, in ms. */
export const GATHER_MS = 60_000
/** A node that did not answer, or too slowly, is not asked again for so long, in ms. */
export const SHUN_MS = 600_000
/** Nodes of which is remembered that they are not asked. */
export const MAX_SHUNNED = 4_096

/** What it needs. */
export interface ToldVectorsComponents {
  embeddings: Embeddings
  /** The model of which a node says that it gives vectors. */
  modelOf(node: string): string | undefined
  /** Vectors of this many numbers; returns the model that the node has. Rejects if it does not answer, or wrongly. */
  ask(node: string, request: EmbeddingRequest, width: number): AsyncGenerator<EmbeddingItem, string | undefined>
  /** Uniform in [0, 1). */
  random: () => number
  /** A node tells vectors that are not of the model that it names. */
  onDisagreed(node: string, model: string): void
}

/** See the head of this file. */
export interface ToldVectors {
  /** What a node has told of its text, by digest, if that is believed and of the model that this node has. */
  get(node: string, digest: string): Embedded | undefined
  has(node: string, digest: string): boolean
  /**
   * Asks for what is missing, of nodes that have the model of this one, and forgets what is said no more. Rejects only as `fill` of {@link Embeddings} does: what is not told is
   * to be made here.
   */
  gather(said: Iterable<SaidByNode>): Promise<void>
  /** Makes all that was told of this here as well. @returns whether it agrees; who told it is believed no more otherwise. */
  check(said: SaidByNode): Promise<boolean>
}

/** See {@link ToldVectors}. */
export function createToldVectors(components: ToldVectorsComponents): ToldVectors {
  const { embeddings, modelOf, ask, random, onDisagreed } = components
  const { now, stopping } = embeddings
  /** By node and digest: nobody speaks for what others say. All of one model. */
  let told: { model: string | undefined; nodes: Map<string, Map<string, Int8Array>> } = { model: undefined, nodes: new Map() }
  /** Nodes with a model that they named wrongly. */
  const disbelieved = new Set<string>()
  /** Until when nodes are not asked. */
  const shunned = new Map<string, number>()

  function get(node: string, digest: string): Embedded | undefined {
    const model = embeddings.model()
    const values = told.model === model ? told.nodes.get(node)?.get(digest) : undefined
    return model === undefined || values === undefined ? undefined : { model, values: Float32Array.from(values) }
  }

  function disbelieve(node: string, model: string): void {
    told.nodes.delete(node)
    disbelieved.add(`${node}\n${model}`)
    dropOldest(disbelieved)
    onDisagreed(node, model)
  }

  function shun(node: string): void {
    shunned.delete(node)
    shunned.set(node, now() + SHUN_MS)
    dropOldest(shunned)
  }

  const isAsked = (node: string, model: string): boolean =>
    modelOf(node) === model && !disbelieved.has(`${node}\n${model}`) && !(now() < (shunned.get(node) ?? 0))

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

  /** Vectors of some texts; what came before the node failed counts. @returns undefined if it breaks the contract. */
  async function askOnce(node: string, digests: readonly string[], model: string, width: number) {
    const got = new Map<string, Int8Array>()
    let goesOn = false
    try {
      const answer = ask(node, { model, digests: digests.map(hexToBytes) }, width)
      for (let step = await answer.next(); ; step = await answer.next()) {
        if (step.done === true) goesOn = step.value === model
        if (step.done === true) break
        got.set(digests[step.value.index]!, step.value.values)
      }
    } catch (error) {
      if (toMeshError(error).code === 'protocol_error') got.clear()
    }
    return { got, goesOn }
  }

  /** All that a node is to tell, part by part: each is checked before the next is asked for. */
  async function askNode(node: string, missing: ReadonlyMap<string, string>, model: string, width: number): Promise<void> {
    const until = now() + ASK_NODE_MS
    const digests = [...missing.keys()]
    for (let from = 0; from < digests.length; from += MAX_ASKED_TEXTS) {
      if (stopping.aborted || embeddings.model() !== model) return
      if (now() >= until) return shun(node)
      const { got, goesOn } = await askOnce(node, digests.slice(from, from + MAX_ASKED_TEXTS), model, width)
      const sample = sampleOf([...got.keys()], random).map((digest) => [missing.get(digest)!, got.get(digest)!] as const)
      await embeddings.fill(sample.map(([text]) => text))
      // The model of this node may have become another meanwhile.
      if (embeddings.model() !== model) return
      if (!sample.every(([text, values]) => agrees(text, values, model))) return disbelieve(node, model)
      const vectors = told.nodes.get(node) ?? new Map<string, Int8Array>()
      if (got.size > 0) told.nodes.set(node, vectors)
      for (const [digest, values] of got) vectors.set(digest, values)
      if (!goesOn) return shun(node)
    }
  }

  return {
    get,
    has: (node, digest) => told.model === embeddings.model() && told.nodes.get(node)?.has(digest) === true,
    async gather(said) {
      const [model, width] = [embeddings.model(), embeddings.width()]
      if (model === undefined || width === undefined) return
      if (told.model !== model) told = { model, nodes: new Map() }
      const all = await inPieces(collect(said), now, stopping)
      let room = MAX_CACHED_TEXTS
      for (const { size } of told.nodes.values()) room -= size
      const due: [node: string, missing: Map<string, string>][] = []
      for (const [node, texts] of all) {
        if (!isAsked(node, model)) continue
        const known = told.nodes.get(node)
        const missing = new Map([...texts].filter(([digest]) => known?.has(digest) !== true))
        if (missing.size > 0) due.push([node, missing])
      }
      // Who says much takes no room from those who say little.
      due.sort(([, a], [, b]) => a.size - b.size)
      const fits = due.filter(([, { size }]) => (room -= size) >= 0)
      const until = now() + GATHER_MS
      for (let from = 0; from < fits.length && now() < until && !stopping.aborted; from += MAX_ASKED_NODES)
        await Promise.all(fits.slice(from, from + MAX_ASKED_NODES).map(([node, missing]) => askNode(node, missing, model, width)))
    },
    async check({ node, texts }) {
      const model = embeddings.model()
      const vectors = told.nodes.get(node)
      if (model === undefined || told.model !== model || vectors === undefined) return true
      const claimed = texts.flatMap(([digest, text]) => {
        const values = vectors.get(digest)
        return values === undefined ? [] : [[text, values] as const]
      })
      await embeddings.fill(claimed.map(([text]) => text))
      if (embeddings.model() !== model || claimed.every(([text, values]) => agrees(text, values, model))) return true
      disbelieve(node, model)
      return false
    }
  }
}

function dropOldest(kept: Set<string> | Map<string, unknown>): void {
  if (kept.size > MAX_SHUNNED) kept.delete(kept.keys().next().value!)
}
