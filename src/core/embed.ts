/** What a capability of type `llm/embed` takes and gives: the embeddings of OpenAI, https://platform.openai.com/docs/api-reference/embeddings */
import type { JsonObject } from '../../protocols/json.ts'

/** Type of the capabilities that make vectors of texts. */
export const EMBED_TYPE = 'llm/embed'
/** Their tool: its input is a request for embeddings; its result what the server answers. */
export const EMBED_TOOL = 'embed'

/** JSON Schema of the input of {@link EMBED_TOOL}: what all servers know, and whatever else the one behind it takes. */
export const EMBED_INPUT: JsonObject = {
  type: 'object',
  required: ['input'],
  properties: {
    input: {
      oneOf: [{ type: 'string' }, { type: 'array', minItems: 1, maxItems: 2048, items: { type: 'string' } }],
      description: 'One text, or several: one vector each.'
    },
    dimensions: { type: 'integer', minimum: 1, description: 'Length of the vectors, where the model can choose it.' },
    encoding_format: { enum: ['float', 'base64'] }
  }
}
