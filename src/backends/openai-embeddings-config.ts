/** What the configuration of backend `openai-embeddings` looks like. Data only. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { MODEL_ALIASES } from './openai-config.ts'

/** One model of a server that speaks the embeddings of OpenAI. */
export interface OpenAiEmbeddingsConfig {
  kind: 'openai-embeddings'
  /** Id of the capability. Default: the name of the model, in characters that an id may have. */
  id?: string
  name?: string
  description?: string
  /** Up to `/embeddings`: `http://127.0.0.1:8080/v1`. */
  baseUrl: string
  /** As the server calls it. Vectors of different models are never compared. */
  model: string
  /** Environment variable of the node that holds the key. */
  apiKeyEnv?: string
  /** File that holds it, relative to the configuration file. */
  apiKeyFile?: string
  /** Numbers in a vector, if known. */
  dimensions?: number
  /** Other names by which the OpenAI API of nodes knows it. */
  aliases?: string[]
  /** Time for one answer, in ms. Default 120,000. */
  timeoutMs?: number
  /** Requests at once; more wait. Default 4. */
  concurrency?: number
  examples?: string[]
  keywords?: string[]
}

const text = { type: 'string', minLength: 1 } satisfies JsonSchema

/** JSON Schema (2020-12) of {@link OpenAiEmbeddingsConfig}. */
export const openAiEmbeddingsConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'baseUrl', 'model'],
  not: { required: ['apiKeyEnv', 'apiKeyFile'] },
  description: 'One model of a server that speaks the embeddings of OpenAI, as a capability of type llm/embed.',
  properties: {
    kind: { const: 'openai-embeddings' },
    id: {
      type: 'string',
      pattern: '^[a-z0-9][a-z0-9._:-]{0,127}$',
      description: 'Id of the capability. Default: made of the model.'
    },
    name: text,
    description: text,
    baseUrl: {
      type: 'string',
      pattern: '^https?://[^@?#\\s]+$',
      description: 'Up to /embeddings, such as http://127.0.0.1:8080/v1. Neither password nor key belong into it.'
    },
    model: { ...text, description: 'Name of the model, as the server calls it.' },
    apiKeyEnv: {
      type: 'string',
      pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
      description: 'Environment variable of the node with the key of the server. The key itself does not belong in this file.'
    },
    apiKeyFile: { ...text, description: 'File that holds the key, relative to the configuration file.' },
    dimensions: { type: 'integer', minimum: 1, maximum: 65_536, description: 'Numbers in a vector, if known.' },
    aliases: MODEL_ALIASES,
    timeoutMs: { type: 'integer', minimum: 1, maximum: 3_600_000, description: 'Time for one answer, in ms. Default 120000.' },
    concurrency: { type: 'integer', minimum: 1, description: 'Requests at once; more wait. Default 4.' },
    examples: { type: 'array', items: { type: 'string' }, description: 'Sentences that this capability should answer.' },
    keywords: { type: 'array', items: { type: 'string' } }
  }
}
