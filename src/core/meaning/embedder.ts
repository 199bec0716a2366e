/** Vectors of texts, and what makes them. */
import { MAX_DIMENSIONS } from '../../../protocols/embedding/messages.ts'
import { MeshError } from '../../errors.ts'

/** Most texts of one request. */
export const MAX_EMBED_BATCH = 32

/** A vector, with the model that it is of: those of two models say nothing about each other. */
export interface Embedded {
  model: string
  values: Float32Array
  /** Who made it, where that may change. */
  by?: string
}

/** Makes vectors of texts: a capability of the mesh, or a model in this process. */
export interface Embedder {
  /** What it is, for people: `capability nomic`. */
  readonly name: string
  /** Whether there is anybody to ask. Default: always. */
  ready?(): boolean
  /**
   * One vector for each text, in their order, all of one model.
   * @param texts at most {@link MAX_EMBED_BATCH}. Rejects with MeshError.
   */
  embed(texts: readonly string[], options: { signal: AbortSignal }): Promise<Embedded[]>
}

/**
 * What an embedder has answered, if it is what it was asked for: who answers may be wrong, or lie.
 * @throws MeshError `protocol_error` that says what is wrong.
 */
export function checkEmbedded(answer: readonly Embedded[], count: number): readonly Embedded[] {
  const wrong = (what: string): MeshError => new MeshError('protocol_error', `the embedder answers with ${what}`)
  if (answer.length !== count) throw wrong(`${answer.length} vectors for ${count} texts`)
  const [first] = answer
  for (const { model, values } of answer) {
    if (values.length === 0 || values.length > MAX_DIMENSIONS) throw wrong(`a vector of ${values.length} numbers`)
    if (model === '') throw wrong('a model without a name')
    if (model !== first!.model || values.length !== first!.values.length) throw wrong('vectors of several lengths or models')
    if (!values.every(Number.isFinite)) throw wrong('a vector in which something is no number')
  }
  return answer
}
