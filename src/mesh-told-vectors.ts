/** Vectors that other nodes tell of what they say themselves, as far as they agree with those of this node. */
import { MAX_ASKED_TEXTS, type EmbeddingItem, type EmbeddingRequest } from '../protocols/embedding/messages.ts'
import type { Embedded } from './core/meaning/embedder.ts'
import { createEmbeddingCache, textDigest } from './core/meaning/embedding-cache.ts'
import type { SaidText } from './core/meaning/items.ts'
import { agree, sampleOf } from './core/meaning/told-vectors.ts'
import { toMeshError } from './errors.ts'
import type { Embeddings } from './mesh-embeddings.ts'

/** Nodes that are asked at once. */
export const MAX_ASKED_NODES = 8
/** Nodes of which is remembered that their vectors are not those of the model that they name. */
export const MAX_DISBELIEVED = 4_096

/** What it needs. */
export interface ToldVectorsComponents {
  embeddings: Embeddings
  /** The model of which a node says that it gives vectors. */
  modelOf(node: string): string | undefined
  /** Rejects if the node does not answer, or wrongly. */
  ask(node: string, request: EmbeddingRequest, signal: AbortSignal): AsyncGenerator<EmbeddingItem, unknown>
  /** Uniform in [0, 1). */
  random: () => number
  /** A node tells vectors that are not of the model that it names. */
  onDisagreed(node: string, model: string): void
}

/** See the head of this file. */
export interface ToldVectors {
  /** What a node has told of its text, if that is believed. */
  get(node: string, text: string): Embedded | undefined
  /** The model of that. */
  modelOf(node: string, text: string): string | undefined
  /** Asks for what is missing, of those that have the model of this node. Rejects only as {@link Embeddings.fill} does: what is not told is to be made here. */
  gather(said: Iterable<SaidText>): Promise<void>
}

/** See {@link ToldVectors}. */
export function createToldVectors(components: ToldVectorsComponents): ToldVectors {
  const { embeddings, modelOf, ask, random, onDisagreed } = components
  /** By node and text: nobody speaks for what others say. */
  const told = createEmbeddingCache(embeddings.form)
  const keyOf = (node: string, text: string): string => `${node}\n${text}`
  /** The models that nodes named wrongly. */
  const disbelieved = new Map<string, string>()

  function missing(said: Iterable<SaidText>, model: string): Map<string, string[]> {
    const byNode = new Map<string, Set<string>>()
    for (const { node, texts } of said) {
      if (modelOf(node) !== model || disbelieved.get(node) === model) continue
      const wanted = texts.filter((text) => embeddings.made.modelOf(text) !== model && modelTold(node, text) !== model)
      const known = byNode.get(node) ?? new Set()
      for (const text of wanted) known.add(text)
      if (known.size > 0) byNode.set(node, known)
    }
    return new Map([...byNode].map(([node, texts]) => [node, [...texts]]))
  }

  /** What came before a node failed, or lied in form, counts as far as it agrees. */
  async function askOne(node: string, texts: readonly string[], model: string): Promise<Map<string, Embedded>> {
    const got = new Map<string, Embedded>()
    try {
      for (let from = 0; from < texts.length; from += MAX_ASKED_TEXTS) {
        const batch = texts.slice(from, from + MAX_ASKED_TEXTS)
        for await (const { index, values } of ask(node, { model, digests: batch.map(textDigest) }, embeddings.stopping)) {
          got.set(batch[index]!, { model, values: Float32Array.from(values) })
        }
      }
    } catch (error) {
      if (toMeshError(error).code === 'protocol_error') return new Map()
    }
    return got
  }

  function agrees(text: string, vector: Embedded): boolean {
    const own = embeddings.made.get(text)
    return own !== undefined && agree(own, vector)
  }

  function disbelieve(node: string, model: string): void {
    disbelieved.set(node, model)
    if (disbelieved.size > MAX_DISBELIEVED) disbelieved.delete(disbelieved.keys().next().value!)
    onDisagreed(node, model)
  }

  function modelTold(node: string, text: string): string | undefined {
    const model = told.modelOf(keyOf(node, text))
    return model !== undefined && disbelieved.get(node) !== model ? model : undefined
  }

  return {
    get: (node, text) => (modelTold(node, text) === undefined ? undefined : told.get(keyOf(node, text))),
    modelOf: modelTold,
    async gather(said) {
      const model = embeddings.model()
      if (model === undefined) return
      const nodes = [...missing(said, model)]
      for (let from = 0; from < nodes.length; from += MAX_ASKED_NODES) {
        const some = nodes.slice(from, from + MAX_ASKED_NODES)
        const answers = await Promise.all(
          some.map(async ([node, texts]) => ({ node, vectors: await askOne(node, texts, model) }))
        )
        const samples = answers.map(({ node, vectors }) => ({ node, vectors, sample: sampleOf([...vectors.keys()], random) }))
        await embeddings.fill([...new Set(samples.flatMap(({ sample }) => sample))])
        // The model of this node may have become another meanwhile.
        if (embeddings.model() !== model) return
        for (const { node, vectors, sample } of samples) {
          if (sample.some((text) => !agrees(text, vectors.get(text)!))) {
            disbelieve(node, model)
            continue
          }
          for (const [text, vector] of vectors) told.put(keyOf(node, text), vector)
        }
      }
    }
  }
}
