/** Vectors of texts from a capability of the mesh, by ordinary calls. */
import type { JsonValue } from '../protocols/json.ts'
import type { Offer } from './core/candidates.ts'
import { EMBED_TOOL } from './core/embed.ts'
import type { Embedder } from './core/meaning/embedder.ts'
import { embedTarget, type EmbedTarget } from './core/meaning/embed-target.ts'
import { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'

/** What it needs. */
export interface CapabilityEmbedderComponents {
  /** Id, type or ID@NODE of what embeds. It is of the own mesh, unless NODE is the PeerId of another. */
  target: string
  call: Mesh['call']
  offers(): Offer[]
}

/** Vectors are of the model that their provider announces, and that its server names. */
export function createCapabilityEmbedder({ target, call, offers }: CapabilityEmbedderComponents): Embedder {
  let latest: EmbedTarget['chosen']
  /** The node that failed last. */
  let failed: string | undefined
  return {
    name: `capability ${target}`,
    ready: () => embedTarget(offers(), target, latest).chosen !== undefined,
    async embed(texts, { signal }) {
      const { target: asked, notNode, chosen } = embedTarget(offers(), target, latest, failed)
      latest = chosen ?? latest
      const options = { signal, ...(notNode.length > 0 && { notNode }) }
      const answer = call(asked, EMBED_TOOL, { input: [...texts] }, options).result
      const { result, provider } = await answer.catch((error: unknown) => {
        // Who has gone is no fault of it; that it took too long is.
        if (!signal.aborted || (signal.reason as Error | undefined)?.name === 'TimeoutError') failed = chosen?.node
        throw error
      })
      const { data, model: answered } = isObject(result) ? result : {}
      if (!Array.isArray(data)) throw noVectors()
      const declared = chosen?.model ?? target
      // A server that has loaded another model than it was set up for says so, perhaps.
      const model = typeof answered !== 'string' || answered === declared ? declared : `${declared} (${answered})`
      return data.map((entry) => ({ model, values: vectorOf(entry), by: provider }))
    }
  }
}

function vectorOf(entry: JsonValue): Float32Array {
  const embedding = isObject(entry) ? entry['embedding'] : undefined
  if (!Array.isArray(embedding) || !embedding.every((one) => typeof one === 'number')) throw noVectors()
  return Float32Array.from(embedding)
}

function isObject(value: JsonValue | undefined): value is { [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function noVectors(): MeshError {
  return new MeshError('protocol_error', 'the embedder answers with something that is no list of vectors')
}
