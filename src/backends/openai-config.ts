/** What the configuration of backend `openai-chat` looks like. Data only. */
import type { JsonObject } from '../core/invoke.ts'
import { imageHostsSchema } from './image-hosts.ts'

/** One model of a server that speaks the chat completions of OpenAI. */
export interface OpenAiChatConfig {
  kind: 'openai-chat'
  /** Id of the capability. Default: the name of the model, in characters that an id may have. */
  id?: string
  name?: string
  description?: string
  /** Up to `/chat/completions`: `http://127.0.0.1:8080/v1`. */
  baseUrl: string
  /** As the server calls it. */
  model: string
  /** Environment variable of the node that holds the key. */
  apiKeyEnv?: string
  /** The model calls tools. Default true. */
  tools?: boolean
  /** The model looks at images. Default false. */
  vision?: boolean
  /** The server runs tools itself while it answers: no request is sent to it, or to another provider, a second time. Default false. */
  runsTools?: boolean
  /** Other names by which the OpenAI API of nodes knows it. */
  aliases?: string[]
  /** Where the server may fetch what messages name by its address. Default: nowhere. */
  imageHosts?: string[]
  /** Time for one answer, in ms. Default 300,000. */
  timeoutMs?: number
  /** Time until a streamed answer begins, in ms. Default: that of all of it. */
  firstByteMs?: number
  /** Longest silence in the middle of a streamed answer, in ms. Default 60,000. */
  idleMs?: number
  /** Answers at once; more wait. Default 4. */
  concurrency?: number
  examples?: string[]
  keywords?: string[]
}

/** Id of its capability. */
export function chatCapabilityId({ id, model }: Pick<OpenAiChatConfig, 'id' | 'model'>): string {
  return (
    id ??
    (model
      .toLowerCase()
      .replaceAll(/[^a-z0-9._:-]+/g, '-')
      .replace(/^[^a-z0-9]+/, '')
      .slice(0, 128) ||
      'chat')
  )
}

/** Property `aliases` in a JSON Schema. */
export const MODEL_ALIASES: JsonObject = {
  type: 'array',
  maxItems: 32,
  items: { type: 'string', minLength: 1, maxLength: 128 },
  description: 'Other names by which the OpenAI API of nodes knows it, such as those that programs have built in.'
}

/** JSON Schema (2020-12) of {@link OpenAiChatConfig}. */
export const openAiChatConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'baseUrl', 'model'],
  description: 'One model of a server that speaks the chat completions of OpenAI, as a capability of type llm/chat.',
  properties: {
    kind: { const: 'openai-chat' },
    id: {
      type: 'string',
      pattern: '^[a-z0-9][a-z0-9._:-]{0,127}$',
      description: 'Id of the capability. Default: made of the model.'
    },
    name: { type: 'string' },
    description: { type: 'string' },
    baseUrl: {
      type: 'string',
      pattern: '^https?://[^@?#\\s]+$',
      description: 'Up to /chat/completions, such as http://127.0.0.1:8080/v1. Neither password nor key belong into it.'
    },
    model: { type: 'string', minLength: 1, description: 'Name of the model, as the server calls it.' },
    apiKeyEnv: {
      type: 'string',
      pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
      description: 'Environment variable of the node with the key of the server. The key itself does not belong in this file.'
    },
    tools: { type: 'boolean', description: 'The model calls tools. Default true.' },
    vision: { type: 'boolean', description: 'The model looks at images. Default false.' },
    runsTools: {
      type: 'boolean',
      description:
        'The server runs tools by itself while it answers, such as those of MCP servers: no request is sent a second time, to it or to another provider. Default false.'
    },
    aliases: MODEL_ALIASES,
    imageHosts: imageHostsSchema(
      'Where the server may fetch images that messages name by their address: https://HOST:PORT. Without a scheme: that of baseUrl. Default: nowhere.'
    ),
    timeoutMs: { type: 'integer', minimum: 1, maximum: 3600000, description: 'Time for one answer, in ms. Default 300000.' },
    firstByteMs: {
      type: 'integer',
      minimum: 1,
      maximum: 3600000,
      description: 'Time until a streamed answer begins, in ms. Default: that of all of it.'
    },
    idleMs: {
      type: 'integer',
      minimum: 1,
      maximum: 3600000,
      description: 'Longest silence in the middle of a streamed answer, in ms. Default 60000.'
    },
    concurrency: { type: 'integer', minimum: 1, description: 'Answers at once; more wait. Default 4.' },
    examples: { type: 'array', items: { type: 'string' }, description: 'Sentences that this capability should answer.' },
    keywords: { type: 'array', items: { type: 'string' } }
  }
}
