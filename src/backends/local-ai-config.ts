/** What the configuration of backend `local-ai` looks like. Data only. */
import { MAX_PATTERN } from '../../protocols/glob.ts'
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'

/** Engines that a server can be said to be; `src/backends/local-ai-fingerprints.ts` knows them. */
export const NAMED_ENGINES = [
  'llamafarm',
  'universal-runtime',
  'localai',
  'ollama',
  'lm-studio',
  'llama.cpp',
  'vllm',
  'sglang',
  'whisper.cpp',
  'speaches',
  'kokoro',
  'jan',
  'openai'
] as const

/** A server that is looked at beside those of the usual ports, on this machine or another one. */
export interface LocalAiServer {
  /** Without the path of its API: `http://127.0.0.1:1337`. */
  url: string
  /** What it is, where its answers do not show it. */
  engine?: (typeof NAMED_ENGINES)[number]
  /** Environment variable of the node that holds its key. */
  apiKeyEnv?: string
}

/** Configuration of the `local-ai` backend: the AI servers that run on this machine, found by themselves. */
export interface LocalAiConfig {
  kind: 'local-ai'
  /** Default `local-ai`. */
  id?: string
  /** What is shared: globs over `ENGINE/MODEL`, as `atmo scan` shows them. Nothing else is. */
  share: string[]
  /** What is not, though `share` names it. */
  except?: string[]
  /** Ports of 127.0.0.1 to look at. Default: those where such servers usually listen. */
  ports?: number[]
  servers?: LocalAiServer[]
  /** Namespaces of LlamaFarm whose projects may be shared. Default: `discoverable`. */
  namespaces?: string[]
  /** Time between two looks, in ms. Default 15,000. */
  refreshMs?: number
  /** Time for one answer, in ms. Default 600,000: a model may have to be loaded first. */
  timeoutMs?: number
  /** Answers of one model at once; more wait. Default 4. */
  concurrency?: number
}

const text = { type: 'string', minLength: 1 } satisfies JsonSchema
const globs = { type: 'array', maxItems: 256, items: { ...text, maxLength: MAX_PATTERN } } satisfies JsonSchema

/** JSON Schema (2020-12) of {@link LocalAiConfig}. */
export const localAiConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'share'],
  description:
    'The AI servers that run on this machine (Ollama, LlamaFarm, llama.cpp, LM Studio, …), one capability for each model.',
  properties: {
    kind: { const: 'local-ai' },
    id: { type: 'string', pattern: '^[a-z0-9][a-z0-9._:-]{0,127}$', description: 'Id of the backend. Default local-ai.' },
    share: {
      ...globs,
      description: 'What is shared: globs over ENGINE/MODEL as atmo scan shows them (* is any text). Nothing else is.',
      examples: [['ollama/*', 'llamafarm/discoverable/*']]
    },
    except: { ...globs, description: 'What is not shared, though "share" names it.' },
    ports: {
      type: 'array',
      maxItems: 32,
      uniqueItems: true,
      items: { type: 'integer', minimum: 1, maximum: 65535 },
      description: 'Ports of 127.0.0.1 to look at. Default: those where such servers usually listen.'
    },
    servers: {
      type: 'array',
      maxItems: 32,
      description: 'Servers beside those: with a key, or on another machine.',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['url'],
        properties: {
          url: {
            type: 'string',
            pattern: '^https?://[^@?#/\\s]+/?$',
            description: 'Such as http://127.0.0.1:1337, without the path of its API. Neither password nor key belong into it.'
          },
          engine: { enum: [...NAMED_ENGINES], description: 'What it is, where its answers do not show it.' },
          apiKeyEnv: {
            type: 'string',
            pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
            description:
              'Environment variable of the node with the key of the server. The key itself does not belong in this file.'
          }
        }
      }
    },
    namespaces: {
      type: 'array',
      maxItems: 64,
      uniqueItems: true,
      items: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$' },
      description: 'Namespaces of LlamaFarm whose projects may be shared. Default: discoverable.'
    },
    refreshMs: { type: 'integer', minimum: 1000, maximum: 3600000, description: 'Time between two looks, in ms. Default 15000.' },
    timeoutMs: { type: 'integer', minimum: 1, maximum: 3600000, description: 'Time for one answer, in ms. Default 600000.' },
    concurrency: { type: 'integer', minimum: 1, description: 'Answers of one model at once; more wait. Default 4.' }
  }
}
