/** The tools of models that have no backend of their own: ranking, and the search in documents of a LlamaFarm project. */
import type { ToolDeclaration } from '../../protocols/capability.ts'
import type { JsonObject } from '../../protocols/json.ts'
import { MeshError } from '../errors.ts'
import type { ToolHandler } from '../mesh-api.ts'
import type { OpenAiEndpoint } from './openai-endpoint.ts'

/** A tool and what runs it. */
export interface LocalAiTool {
  declaration: ToolDeclaration
  handler: ToolHandler
}

/** How long calls take, and how many run at once. */
export interface ToolTimes {
  timeoutMs: number
  concurrency: number
}

/** The order of documents by how well they answer. */
export function rerankTool(endpoint: OpenAiEndpoint, model: string, times: ToolTimes): LocalAiTool {
  return {
    declaration: {
      name: 'rerank',
      description: 'Orders documents by how well they answer a query. The model is that of the capability.',
      input: {
        type: 'object',
        required: ['query', 'documents'],
        properties: {
          query: { type: 'string', minLength: 1 },
          documents: { type: 'array', minItems: 1, maxItems: 2048, items: { type: 'string' } },
          top_n: { type: 'integer', minimum: 1 }
        }
      },
      ...times,
      idempotent: true
    },
    // LlamaFarm says "data", those that follow Cohere "results".
    handler: async (input, { signal }) => listOf(await endpoint.ask('/rerank', { ...input, model }, signal), 'data', 'results')
  }
}

const QUERY_KEYS = ['query', 'database', 'top_k', 'score_threshold', 'metadata_filters', 'retrieval_strategy'] as const

/** What the documents of a LlamaFarm project say: `server/api/routers/rag/rag_query.py` of LlamaFarm. */
export function documentsTool(endpoint: OpenAiEndpoint, times: ToolTimes): LocalAiTool {
  return {
    declaration: {
      name: 'rag_query',
      description: 'The passages of the documents of this project that say most about a question.',
      input: {
        type: 'object',
        additionalProperties: false,
        required: ['query'],
        properties: {
          query: { type: 'string', minLength: 1, maxLength: 8_000 },
          database: {
            type: 'string',
            maxLength: 128,
            description: 'One of the databases of the project. Default: its own choice.'
          },
          top_k: { type: 'integer', minimum: 1, maximum: 50, default: 5, description: 'How many passages.' },
          score_threshold: { type: 'number' },
          metadata_filters: { type: 'object' },
          retrieval_strategy: { type: 'string', maxLength: 128 }
        }
      },
      output: { type: 'object', properties: { results: { type: 'array', items: { type: 'object' } } } },
      ...times,
      idempotent: true
    },
    handler: async (input, { signal }) => {
      const asked = Object.fromEntries(QUERY_KEYS.filter((key) => input[key] !== undefined).map((key) => [key, input[key]!]))
      return listOf(await endpoint.ask('/rag/query', asked, signal), 'results')
    }
  }
}

function listOf(answer: JsonObject, ...keys: string[]): JsonObject {
  if (keys.some((key) => Array.isArray(answer[key]))) return answer
  throw new MeshError('protocol_error', `the server answers without "${keys[0]}"`)
}
