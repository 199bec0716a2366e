/** What a capability of type `llm/embed` takes and gives: the embeddings of OpenAI, https://platform.openai.com/docs/api-reference/embeddings */
import type { JsonObject } from '../../protocols/json.ts'

/** Type of the capabilities that turn texts into vectors. */
export const EMBED_TYPE = 'llm/embed'
/** Their tool: its input is a request for embeddings, its result what the server answers, each vector as a list of numbers. */
export const EMBED_TOOL = 'embed'
/** Most texts of one call. */
export const MAX_EMBED_TEXTS = 2_048

/** JSON Schema of the input of {@link EMBED_TOOL}: what all servers know, and whatever else the one behind it takes. */
export const EMBED_INPUT: JsonObject = {
  type: 'object',
  required: ['input'],
  properties: {
    input: {
      description: 'A text, or several. Tokens instead, where the server takes those.',
      oneOf: [
        { type: 'string' },
        { type: 'array', minItems: 1, maxItems: MAX_EMBED_TEXTS, items: { type: 'string' } },
        { type: 'array', minItems: 1, items: { type: 'integer' } },
        {
          type: 'array',
          minItems: 1,
          maxItems: MAX_EMBED_TEXTS,
          items: { type: 'array', minItems: 1, items: { type: 'integer' } }
        }
      ]
    },
    dimensions: { type: 'integer', minimum: 1 }
  }
}
