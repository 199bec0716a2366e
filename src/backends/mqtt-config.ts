/** What the configuration of backend `mqtt` looks like. Data only. */
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { CAPABILITY_OPTIONS, EVENT_NAME, TRIGGER_OPTIONS } from './capability-options.ts'
import type { CapabilityOptions, TriggerOptions } from './capability-options.ts'

/** How surely a message arrives: at most once, at least once, once. */
export type MqttQos = 0 | 1 | 2

/** Messages of some topics as events. */
export interface MqttSubscription extends TriggerOptions {
  event: string
  /** Topic filter. */
  topic: string
  /** Default 1. */
  qos?: MqttQos
  /** `auto` (default): JSON if it is, else text, else bytes in base64. `text`: never JSON. */
  format?: 'auto' | 'text'
  /** Raises what the broker had kept when it was subscribed to, too. Default false. */
  retained?: boolean
}

/** Where events that the capability handles go. */
export interface MqttHandles {
  /** With `{node}`, `{capability}`, `{type}`, `{subject}`, `{priority}` of the event. */
  topic: string
  /** The broker keeps the last of each topic. Default false. */
  retain?: boolean
  /** Events of one source and subject are published one after another. Default false. */
  ordered?: boolean
  /** Largest message, in bytes; an event that makes a larger one is not published. Default 262,144. */
  maxBytes?: number
}

/** Configuration of one `mqtt` backend: one broker. */
export interface MqttConfig extends CapabilityOptions {
  kind: 'mqtt'
  id: string
  /** `mqtt://HOST:PORT` or `mqtts://HOST:PORT`, without user and password. */
  url: string
  username?: string
  /** Name of the variable that holds it. */
  usernameEnv?: string
  /** Name of the variable that holds it. */
  passwordEnv?: string
  /** File that holds it, relative to the configuration file. */
  passwordFile?: string
  /** Files in PEM, relative to the configuration file. */
  tls?: { caFile?: string; certFile?: string; keyFile?: string }
  /** With one the broker keeps messages for this node while it is away. */
  clientId?: string
  /** Largest message that is read, in bytes; a broker that sends a larger one is left. Default 16,777,216. */
  maxReceivedBytes?: number
  subscribe?: MqttSubscription[]
  /** Filters of topics that others may publish to. Without it there is no tool `publish`. */
  publish?: string[]
  /** Publishes events of the mesh. */
  handles?: MqttHandles
}

const text = { type: 'string', minLength: 1 } satisfies JsonSchema
const variable = { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' } satisfies JsonSchema
const topic = { type: 'string', minLength: 1, maxLength: 65_535 } satisfies JsonSchema
const qos = { enum: [0, 1, 2], description: 'At most once, at least once, once. Default 1.' } satisfies JsonSchema

/** JSON Schema (2020-12) of {@link MqttConfig}. */
export const mqttConfigSchema: JsonObject = {
  type: 'object',
  additionalProperties: false,
  required: ['kind', 'id', 'url'],
  description: 'An MQTT broker: its messages as events, events of the mesh as its messages, and a tool to publish.',
  properties: {
    kind: { const: 'mqtt' },
    ...CAPABILITY_OPTIONS,
    url: {
      type: 'string',
      pattern: '^mqtts?://[^@/?#\\s]+/?$',
      description:
        'Address of the broker, mqtt://HOST:PORT or, encrypted, mqtts://HOST:PORT. User and password do not stand in it.',
      examples: ['mqtts://broker.lan:8883']
    },
    username: text,
    usernameEnv: { ...variable, description: 'Variable of the environment that holds the user.' },
    passwordEnv: { ...variable, description: 'Variable of the environment that holds the password.' },
    passwordFile: { ...text, description: 'File that holds the password, relative to the configuration file.' },
    tls: {
      type: 'object',
      additionalProperties: false,
      properties: {
        caFile: { ...text, description: 'Certificates that are trusted instead of those of the system, in PEM.' },
        certFile: { ...text, description: 'Certificate of this client, in PEM.' },
        keyFile: { ...text, description: 'Its key, in PEM.' }
      }
    },
    clientId: {
      ...text,
      maxLength: 128,
      description: 'With one, unique at the broker, the broker keeps messages of QoS 1 and 2 for this node while it is away.'
    },
    maxReceivedBytes: {
      type: 'integer',
      minimum: 1_024,
      maximum: 268_435_455,
      description:
        'Largest message that is read, in bytes, with its topic; a broker that sends a larger one is left. Default 16777216.'
    },
    subscribe: {
      type: 'array',
      minItems: 1,
      maxItems: 256,
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['event', 'topic'],
        properties: {
          event: EVENT_NAME,
          topic: { ...topic, description: 'Topic filter: + is one level, # at the end all below.' },
          qos,
          format: {
            enum: ['auto', 'text'],
            description: 'auto (default): JSON if a message is, else text, else bytes in base64. text: never JSON.'
          },
          retained: { type: 'boolean', description: 'Raise what the broker had kept before, too. Default false.' },
          ...TRIGGER_OPTIONS
        }
      }
    },
    publish: {
      type: 'array',
      minItems: 1,
      maxItems: 256,
      items: topic,
      description: 'Filters of topics that others may publish to. Without it nobody may.'
    },
    handles: {
      type: 'object',
      additionalProperties: false,
      required: ['topic'],
      description: 'Events of the mesh that this capability handles are published, as CloudEvents in JSON.',
      properties: {
        topic: {
          ...topic,
          maxLength: 1_024,
          description: 'Topic; {node}, {capability}, {type}, {subject} and {priority} are filled from the event.',
          examples: ['mesh/{type}/{subject}']
        },
        retain: { type: 'boolean', description: 'The broker keeps the last message of each topic. Default false.' },
        ordered: {
          type: 'boolean',
          description: 'Events of one source and subject are published one after another. Default false.'
        },
        maxBytes: {
          type: 'integer',
          minimum: 1_024,
          maximum: 33_554_432,
          description: 'Largest message, in bytes; an event that makes a larger one is not published. Default 262144.'
        }
      }
    }
  }
}
