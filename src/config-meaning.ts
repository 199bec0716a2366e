/** The part of the configuration that is about what words mean. */
import type { JsonSchema } from '../protocols/json.ts'
import { VECTOR_FORMS, type VectorForm } from './core/meaning/vector-table.ts'

/** How requests in words are understood. */
export interface MeaningConfig {
  /** Where vectors of texts come from. Default: from nowhere, and words alone count. */
  embeddings?: { capability: string } | { transformers: { model: string } }
  vectors?: VectorForm
  /** Models of other nodes are chosen by what they say of themselves, too. Default: false. */
  believeOthers?: boolean
  /** What somebody says that was meant becomes an example, on this node. Default: false. */
  learn?: boolean
  /** A model of this node, or that of this name, writes examples for capabilities that have none. Default: false. */
  writeExamples?: boolean | string
}

const text = { type: 'string', minLength: 1 } satisfies JsonSchema

/** Its JSON Schema. */
export const MEANING_SCHEMA: JsonSchema = {
  type: 'object',
  additionalProperties: false,
  dependentRequired: { vectors: ['embeddings'] },
  description: 'How requests in words are understood: atmo route "…", atmo ask "…". Default: by their words alone.',
  properties: {
    believeOthers: {
      type: 'boolean',
      description:
        'What models of other nodes say of themselves decides, too, which one a chat of "auto" at the OpenAI API means. Whoever says that it is for everything is sent everything. Default: false, only models of this node are chosen by that.'
    },
    learn: {
      type: 'boolean',
      description:
        'What somebody says that was meant (atmo ask, atmo examples) becomes an example of it, on this node alone. Default: false.'
    },
    writeExamples: {
      type: ['boolean', 'string'],
      minLength: 1,
      description:
        'A model (llm/chat) writes examples for capabilities that have none. It is sent what they say of themselves. true: one of this node. Or the one of this name: its id, or ID@NODE; llm/chat: any of the mesh. One of another mesh only as ID@PEERID. Default: false.',
      examples: [true, 'qwen', 'qwen@attic']
    },
    embeddings: {
      description: 'Where vectors of texts come from, which are compared beside words. Until they are there, words answer.',
      oneOf: [
        {
          type: 'object',
          additionalProperties: false,
          required: ['capability'],
          properties: {
            capability: {
              ...text,
              description:
                'A capability of the mesh of type llm/embed: its id, its type, or ID@NODE; one of another mesh only as ID@PEERID. It is sent what capabilities say of themselves, and what is asked.',
              examples: ['nomic-embed-text', 'llm/embed']
            }
          }
        },
        {
          type: 'object',
          additionalProperties: false,
          required: ['transformers'],
          properties: {
            transformers: {
              type: 'object',
              additionalProperties: false,
              required: ['model'],
              description: 'A model in this process, by the package @huggingface/transformers, which has to be installed.',
              properties: {
                model: {
                  ...text,
                  description:
                    'Folder of the model, relative to this file: config.json, tokenizer.json, onnx/model.onnx. Nothing is ever downloaded.'
                }
              }
            }
          }
        }
      ]
    },
    vectors: {
      enum: [...VECTOR_FORMS],
      description:
        'How vectors are kept. int8 (default): a quarter of the size of floats, as good within a fraction of a point. binary: those, and bits by which the nearest are found first: faster from a thousand capabilities on. float: as they come.'
    }
  }
}
