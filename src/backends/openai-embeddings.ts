/** Backend `openai-embeddings`: one model of a server that speaks the embeddings of OpenAI, as a capability of type `llm/embed`. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { vectorsInOrder } from '../../protocols/vectors-in-order.ts'
import { EMBED_INPUT, EMBED_TOOL, EMBED_TYPE } from '../core/embed.ts'
import type { JsonObject, JsonValue } from '../core/invoke.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { Backend } from './backend.ts'
import { describedBy } from './capability-options.ts'
import { onlineUnless } from './capability-state.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { chatCapabilityId } from './openai-config.ts'
import type { OpenAiEmbeddingsConfig } from './openai-embeddings-config.ts'
import { createOpenAiEndpoint } from './openai-endpoint.ts'
import { createRecheck, discoverBy } from './recheck.ts'
import type { SecretInit } from './secret-source.ts'

/** Time for one answer, where the configuration says nothing, in ms. */
export const DEFAULT_EMBED_MS = 120_000
/** Longest answer of a server, in bytes: numbers are long as text, and short in a result. */
export const MAX_EMBED_ANSWER_BYTES = 64 * 1024 * 1024
const DEFAULT_EMBEDS = 4

/** Makes the backend. */
export function createOpenAiEmbeddingsBackend(
  config: OpenAiEmbeddingsConfig,
  init: SecretInit & { recheckMs?: number }
): Backend {
  const id = chatCapabilityId(config)
  const { model, timeoutMs = DEFAULT_EMBED_MS } = config
  const endpoint = createOpenAiEndpoint({ ...config, timeoutMs, maxAnswerBytes: MAX_EMBED_ANSWER_BYTES, mayRepeat: true }, init)
  const declaration = declare(config, id)
  const calls = createHandlerCalls(lookupIn(id, new Map([[EMBED_TOOL, embed]])))
  const recheck = createRecheck(async (signal) => onlineUnless(declaration, await endpoint.problem(signal)), {
    everyMs: init.recheckMs
  })

  async function embed(input: JsonObject, { signal }: { signal: AbortSignal }): Promise<JsonValue> {
    try {
      // All servers know this form.
      const answer = await endpoint.ask('/embeddings', { ...input, model, encoding_format: 'float' }, signal)
      return { ...answer, object: 'list', data: vectorsOf(answer, textsIn(input['input'])) }
    } catch (error) {
      if (isMeshError(error, 'unavailable')) recheck.now()
      throw error
    }
  }

  return {
    id,
    kind: 'openai-embeddings',
    call: calls.call,
    discover: (signal) => discoverBy(recheck, calls, signal)
  }
}

/** How many vectors are asked for: a list of numbers is one text, in tokens. */
function textsIn(input: JsonValue | undefined): number {
  return Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1
}

/** One vector for each text. @throws MeshError `protocol_error`. */
function vectorsOf({ data }: JsonObject, count: number): JsonValue[] {
  const vectors = vectorsInOrder(data, count)
  if (vectors === undefined) throw noEmbeddings()
  return vectors.map((embedding, index) => ({ object: 'embedding', index, embedding }))
}

function noEmbeddings(): MeshError {
  return new MeshError(
    'protocol_error',
    'the server answers with something that is no vector for each text; is its address right?'
  )
}

function declare(config: OpenAiEmbeddingsConfig, id: string): CapabilityDeclaration {
  const { name, description, model, dimensions, aliases, examples, keywords } = config
  const { timeoutMs = DEFAULT_EMBED_MS, concurrency = DEFAULT_EMBEDS } = config
  const known = Object.fromEntries(
    Object.entries({ dimensions, aliases }).filter(([, value]) => value !== undefined)
  ) as JsonObject
  return describedBy(
    { name, description, examples, keywords },
    {
      id,
      type: EMBED_TYPE,
      name: model,
      description: `The model ${model}: turns texts into vectors, which are near each other where the texts mean the same.`,
      metadata: { model, ...known },
      tools: [
        {
          name: EMBED_TOOL,
          description: 'The vectors of texts: embeddings of OpenAI, as lists of numbers. The model is that of the capability.',
          input: EMBED_INPUT,
          timeoutMs,
          concurrency,
          idempotent: true
        }
      ]
    }
  )
}
