/** What the configuration of backend `webhook` looks like. Data only. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { CAPABILITY_OPTIONS, EVENT_NAME, TRIGGER_OPTIONS } from './capability-options.ts'
import type { CapabilityOptions, TriggerOptions } from './capability-options.ts'

/** Where a secret stands: one of the two. */
export interface WebhookSecret {
  /** Name of the variable that holds it. */
  secretEnv?: string
  /** File that holds it, relative to the configuration file. */
  secretFile?: string
}

/** Where events go. */
export interface WebhookOutConfig extends WebhookSecret {
  url?: string
  /** Name of the variable that holds it. */
  urlEnv?: string
  /** How a CloudEvent is put into HTTP: all in the body (default), or its data in the body and the rest in headers. */
  mode?: 'structured' | 'binary'
  /** Time that the receiver has for its answer, in ms. Default 15,000. */
  timeoutMs?: number
  /** Events of one source and subject come one after another. Default false. */
  ordered?: boolean
}

/** How who asks shows that it knows the secret. */
export const WEBHOOK_CHECKS = ['standard', 'github', 'bearer'] as const
/** One of {@link WEBHOOK_CHECKS}. */
export type WebhookCheck = (typeof WEBHOOK_CHECKS)[number]

/** A hook of the local API: each request that is good raises an event. */
export interface WebhookInConfig extends TriggerOptions, WebhookSecret {
  /** Last part of its path: `/hooks/NAME`. */
  hook: string
  event: string
  /** Default `standard`. */
  check?: WebhookCheck
  /** JSON Schema of the body. Default: any JSON. */
  payload?: JsonSchema
  /** 1 to 3,000. Default 120. */
  perMinute?: number
}

/** Configuration of one `webhook` backend. */
export interface WebhookConfig extends CapabilityOptions {
  kind: 'webhook'
  id: string
  out?: WebhookOutConfig
  in?: WebhookInConfig[]
}

const variable = { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' } satisfies JsonSchema
const secret = {
  secretEnv: { ...variable, description: 'Variable of the environment that holds the secret.' },
  secretFile: { type: 'string', minLength: 1, description: 'File that holds the secret, relative to the configuration file.' }
} satisfies JsonObject

/** JSON Schema (2020-12) of {@link WebhookConfig}. */
export const webhookConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'id'],
  anyOf: [{ required: ['out'] }, { required: ['in'] }],
  description: 'Webhooks: events of the mesh go to a URL, and other programs raise events by a secret of their own.',
  properties: {
    kind: { const: 'webhook' },
    ...CAPABILITY_OPTIONS,
    out: {
      type: 'object',
      additionalProperties: false,
      oneOf: [{ required: ['url'] }, { required: ['urlEnv'] }],
      not: { required: ['secretEnv', 'secretFile'] },
      description: 'Where events that this capability handles are sent, as CloudEvents, signed by Standard Webhooks.',
      properties: {
        url: {
          type: 'string',
          pattern: '^https?://[^@#\\s]+$',
          description: 'Address of the receiver. It is announced to nobody.',
          examples: ['https://example.org/atmosphere']
        },
        urlEnv: { ...variable, description: 'Variable of the environment that holds the address.' },
        ...secret,
        mode: {
          enum: ['structured', 'binary'],
          description: 'structured (default): the whole event is the body. binary: its data is, and the rest stands in headers.'
        },
        timeoutMs: {
          type: 'integer',
          minimum: 1,
          maximum: 300_000,
          description: 'Time that the receiver has for its answer, in ms. Default 15000.'
        },
        ordered: { type: 'boolean', description: 'Events of one source and subject come one after another. Default false.' }
      }
    },
    in: {
      type: 'array',
      minItems: 1,
      maxItems: 64,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['hook', 'event'],
        oneOf: [{ required: ['secretEnv'] }, { required: ['secretFile'] }],
        properties: {
          hook: {
            type: 'string',
            pattern: '^[A-Za-z0-9_-]{1,64}$',
            description: 'Last part of its path at the local API: POST /hooks/NAME.'
          },
          event: EVENT_NAME,
          ...secret,
          check: {
            enum: [...WEBHOOK_CHECKS],
            description:
              'standard (default): signed by Standard Webhooks. github: X-Hub-Signature-256. bearer: the secret itself in Authorization.'
          },
          payload: { type: ['object', 'boolean'], description: 'JSON Schema of the body. Default: any JSON.' },
          perMinute: {
            type: 'integer',
            minimum: 1,
            maximum: 3_000,
            description: 'Requests a minute that raise an event, 3000 at most; more are told to come later. Default 120.'
          },
          ...TRIGGER_OPTIONS
        }
      }
    }
  }
}
