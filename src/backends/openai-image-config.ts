/** What the configuration of backend `openai-image` looks like. Data only. */
import { imageHostsSchema } from './image-hosts.ts'
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { CAPABILITY_OPTIONS, triggerChoices } from './capability-options.ts'
import type { CapabilityOptions, TriggerChoices } from './capability-options.ts'

/** Configuration of one `openai-image` backend: images by a server that speaks the API of OpenAI. */
export interface OpenAiImageConfig extends CapabilityOptions {
  kind: 'openai-image'
  /** Up to `/images/generations`: `http://127.0.0.1:8080/v1`. */
  baseUrl: string
  /** As the server calls it. */
  model: string
  /** Name of the variable that holds the key of the server. */
  apiKeyEnv?: string
  /** File that holds it, relative to the configuration file. */
  apiKeyFile?: string
  /** How the server is asked for images; `none`: it is not told. Default `b64_json`. */
  responseFormat?: 'b64_json' | 'url' | 'none'
  /** Origins (`https://HOST:PORT`), beside that of `baseUrl`, from which images are fetched that the server gives by their address. Without a scheme: that of `baseUrl`. */
  imageHosts?: string[]
  /** Size if the caller names none, such as `1024x1024`. Default: that of the server. */
  size?: string
  /** Time for one answer, in ms. Default 300,000. */
  timeoutMs?: number
  /** Requests at once; more wait. Default 1. */
  concurrency?: number
  triggers?: TriggerChoices<'image_complete'>
}

/** What a size looks like. */
export const SIZE_PATTERN = '^([1-9][0-9]{1,3}x[1-9][0-9]{1,3}|auto)$'

const text = { type: 'string', minLength: 1 } satisfies JsonSchema

/** JSON Schema (2020-12) of {@link OpenAiImageConfig}. */
export const openAiImageConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'baseUrl', 'model'],
  not: { required: ['apiKeyEnv', 'apiKeyFile'] },
  description: 'Images, by a server that speaks the API of OpenAI (POST /v1/images/generations).',
  properties: {
    kind: { const: 'openai-image' },
    ...CAPABILITY_OPTIONS,
    baseUrl: {
      type: 'string',
      pattern: '^https?://[^@?#\\s]+$',
      description: 'Up to /images/generations, such as http://127.0.0.1:8080/v1.'
    },
    model: { ...text, description: 'Name of the model, as the server calls it.' },
    apiKeyEnv: {
      type: 'string',
      pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
      description: 'Variable of the environment that holds the key of the server.'
    },
    apiKeyFile: { ...text, description: 'File that holds the key, relative to the configuration file.' },
    responseFormat: {
      enum: ['b64_json', 'url', 'none'],
      description: 'How the server is asked for images. none: it is not told, as gpt-image models want it. Default b64_json.'
    },
    imageHosts: imageHostsSchema(
      'Where images are fetched that come as addresses, beside the host of baseUrl: https://HOST:PORT. Without a scheme: that of baseUrl.'
    ),
    size: { type: 'string', pattern: SIZE_PATTERN, description: 'Size if the caller names none. Default: that of the server.' },
    timeoutMs: { type: 'integer', minimum: 1, maximum: 3_600_000, description: 'Time for one answer, in ms. Default 300000.' },
    concurrency: { type: 'integer', minimum: 1, description: 'Requests at once; more wait. Default 1.' },
    triggers: triggerChoices(['image_complete'])
  }
}
