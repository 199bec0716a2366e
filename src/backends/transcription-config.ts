/** What the configuration of backend `transcription` looks like. Data only. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { CAPABILITY_OPTIONS } from './capability-options.ts'
import type { CapabilityOptions } from './capability-options.ts'

/** Configuration of one `transcription` backend: speech to text by an endpoint that speaks the API of OpenAI. */
export interface TranscriptionConfig extends CapabilityOptions {
  kind: 'transcription'
  /** Base of the API, such as `http://127.0.0.1:8000/v1`. */
  url: string
  model: string
  /** Language of the audio if the caller names none, ISO 639-1. Default: the endpoint finds out. */
  language?: string
  /** Name of the variable that holds the key of the API. */
  apiKeyEnv?: string
  /** File that holds it, relative to the configuration file. */
  apiKeyFile?: string
  /** Largest audio, in bytes. Default 25 MiB. */
  maxBytes?: number
  /** Time for one answer, in ms. Default 300,000. */
  timeoutMs?: number
  /** Requests at once; more wait. Default: no limit of its own. */
  concurrency?: number
}

const text = { type: 'string', minLength: 1 } satisfies JsonSchema

/** JSON Schema (2020-12) of {@link TranscriptionConfig}. */
export const transcriptionConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'url', 'model'],
  not: { required: ['apiKeyEnv', 'apiKeyFile'] },
  description: 'Speech to text, by an endpoint that speaks the API of OpenAI (POST /v1/audio/transcriptions).',
  properties: {
    kind: { const: 'transcription' },
    ...CAPABILITY_OPTIONS,
    url: { type: 'string', pattern: '^https?://[^@?#\\s]+$', description: 'Base of the API, such as http://127.0.0.1:8000/v1' },
    model: text,
    language: { ...text, description: 'Language of the audio, such as en. Default: the endpoint finds out.' },
    apiKeyEnv: {
      type: 'string',
      pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
      description: 'Variable of the environment that holds the key of the API.'
    },
    apiKeyFile: { ...text, description: 'File that holds the key, relative to the configuration file.' },
    maxBytes: { type: 'integer', minimum: 1, maximum: 268_435_456, description: 'Largest audio, in bytes. Default 25 MiB.' },
    timeoutMs: { type: 'integer', minimum: 1, maximum: 3_600_000, description: 'Time for one answer, in ms. Default 300000.' },
    concurrency: { type: 'integer', minimum: 1, description: 'Requests at once; more wait. Default: no limit.' }
  }
}
