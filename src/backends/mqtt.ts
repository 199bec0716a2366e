/** Backend `mqtt`: the messages of an MQTT broker as events, events of the mesh as its messages, and a tool that publishes. */
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { isDeeper } from '../../protocols/json.ts'
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { MeshError } from '../errors.ts'
import type { ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { describedBy } from './capability-options.ts'
import { inState } from './capability-state.ts'
import { cloudEventOf, hopDepthIn } from './cloud-event.ts'
import { createDropOldestQueue } from './drop-oldest-queue.ts'
import { createEventQueue } from './event-queue.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import type { MqttConfig, MqttQos, MqttSubscription } from './mqtt-config.ts'
import { createMqttConnection } from './mqtt-connection.ts'
import type { MqttConnection, MqttMessage } from './mqtt-connection.ts'
import { clientOptions } from './mqtt-options.ts'
import { topicOf } from './mqtt-topic-template.ts'
import { matchTopic, mqttProblems, topicProblem } from './mqtt-topics.ts'
import { createOwnSignal } from './own-signal.ts'
import type { Backoff } from './restart-delay.ts'
import type { SecretInit } from './secret-source.ts'

/** Largest message whose content an event carries, in bytes: an event has 64 KiB. */
export const MAX_MESSAGE_BYTES = 40 * 1024
/** Largest message that is published, in bytes; of events, if nothing else is given. */
export const MAX_PUBLISHED_BYTES = 256 * 1024
/** Largest message that is read if nothing is given, in bytes. */
export const DEFAULT_MAX_RECEIVED_BYTES = 16 * 1024 * 1024

const PAYLOAD = {
  type: 'object',
  required: ['topic', 'bytes', 'retained'],
  properties: {
    topic: { type: 'string' },
    value: { description: 'The message: JSON, text, or bytes in base64. Left out of one that is too large.' },
    format: { enum: ['json', 'text', 'base64'] },
    bytes: { type: 'integer', description: 'Its size.' },
    retained: { type: 'boolean', description: 'The broker had kept it: it is not new.' }
  }
}

/** What the backend needs beside its configuration. */
export interface MqttInit extends SecretInit {
  backoff?: Backoff
}

/** Makes a backend for one broker. Throws `invalid_config` for topics that cannot be. */
export function createMqttBackend(config: MqttConfig, init: MqttInit): Backend {
  const { id, subscribe = [] } = config
  const [problem] = mqttProblems(config)
  if (problem !== undefined) throw new MeshError('invalid_config', `backend "${id}": ${problem.message}`, { path: problem.path })
  const declaration = declare(config)
  const queue = createEventQueue(id)
  // Only the latest state counts.
  const snapshots = createDropOldestQueue<CapabilityDeclaration[]>({ limit: 1 })
  const connection = createMqttConnection({
    url: config.url,
    options: () => clientOptions(config, init),
    subscriptions: subscribe.map(({ topic, qos = 1 }) => ({ topic, qos })),
    maxPacketBytes: config.maxReceivedBytes ?? DEFAULT_MAX_RECEIVED_BYTES,
    onMessage: (message) => {
      const subscription = subscribe.find(({ topic }) => matchTopic(topic, message.topic))
      if (subscription === undefined || (message.retained && subscription.retained !== true)) return
      queue.raise(subscription.event, payloadOf(message, subscription), depthOf(message))
    },
    onState: (status, reason) => void snapshots.push(inState(declaration, status, reason)),
    ...(init.backoff === undefined ? {} : { backoff: init.backoff })
  })
  const handlers = new Map<string, ToolHandler>()
  const { publish } = config
  if (publish !== undefined) handlers.set('publish', (input, { signal }) => publishMessage(publish, connection, input, signal))
  const calls = createHandlerCalls(lookupIn(id, handlers))

  return {
    id,
    kind: 'mqtt',
    call: calls.call,
    async *discover(signal) {
      const own = createOwnSignal(signal)
      const running = connection.run(own.signal)
      try {
        yield* snapshots.values(signal)
      } finally {
        await calls.stop(new MeshError('unavailable', 'the provider is stopping'))
        own.stop()
        await running
      }
    },
    watch: (signal) => queue.events(signal),
    async handle(_capability, event, { signal }) {
      if (config.handles === undefined) throw new MeshError('unsupported', `"${id}" publishes no events`)
      const { topic: template, retain = false, maxBytes = MAX_PUBLISHED_BYTES } = config.handles
      const topic = topicOf(template, event)
      const wrong = topicProblem(topic)
      if (wrong !== undefined) throw new MeshError('invalid_argument', wrong, { topic: template })
      const payload = JSON.stringify(cloudEventOf(event))
      checkSize(payload, maxBytes)
      // Done is what the broker has acknowledged.
      await connection.publish({ topic, payload, qos: 1, retain }, signal)
    }
  }
}

function payloadOf({ topic, bytes, retained }: MqttMessage, { format = 'auto' }: MqttSubscription): JsonObject {
  const told = { topic, bytes: bytes.length, retained }
  if (bytes.length > MAX_MESSAGE_BYTES) return told
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return { ...told, format: 'base64', value: Buffer.from(bytes).toString('base64') }
  }
  if (format === 'auto') {
    try {
      const value = JSON.parse(text) as JsonValue
      // Deeper than that no event can be.
      if (!isDeeper(value, MAX_JSON_DEPTH - 2)) return { ...told, format: 'json', value }
    } catch {
      // Text.
    }
  }
  return { ...told, format: 'text', value: text }
}

/** An event of the mesh that comes back goes on from where it was: what goes round comes to an end. */
function depthOf({ bytes }: MqttMessage): number | undefined {
  if (bytes.length > MAX_PUBLISHED_BYTES) return undefined
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  if (!text.includes('"hopdepth"')) return undefined
  try {
    return hopDepthIn(JSON.parse(text) as JsonValue)
  } catch {
    return undefined
  }
}

async function publishMessage(
  allowed: readonly string[],
  connection: MqttConnection,
  input: JsonObject,
  signal: AbortSignal
): Promise<JsonObject> {
  const { topic, payload = '', qos = 1, retain = false } = input
  if (typeof topic !== 'string') throw new MeshError('invalid_argument', '"topic" must be a text')
  const problem = topicProblem(topic)
  if (problem !== undefined) throw new MeshError('invalid_argument', problem, { topic })
  if (!allowed.some((filter) => matchTopic(filter, topic)))
    throw new MeshError('permission_denied', `nobody may publish to "${topic}" from here; it may be added to "publish"`, {
      topic
    })
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const bytes = checkSize(text, MAX_PUBLISHED_BYTES)
  await connection.publish({ topic, payload: text, qos: qos as MqttQos, retain: retain === true }, signal)
  return { topic, bytes }
}

/** @returns how many bytes a message has. @throws MeshError `too_large`. */
function checkSize(text: string, limit: number): number {
  const bytes = Buffer.byteLength(text)
  if (bytes > limit) throw new MeshError('too_large', `a message has at most ${limit} bytes`, { bytes, limit })
  return bytes
}

function declare(config: MqttConfig): CapabilityDeclaration {
  const { id, subscribe = [], publish, handles } = config
  const triggers = subscribe.map(
    ({ topic, qos: _qos, format: _format, retained: _retained, ...trigger }): TriggerDeclaration => ({
      description: `A message of ${topic}.`,
      // Each topic by itself: throttles and debounces do not mix them.
      subject: 'topic',
      payload: PAYLOAD,
      ...trigger
    })
  )
  const declaration: CapabilityDeclaration = {
    id,
    type: 'message/mqtt',
    name: id,
    description: 'Messages of an MQTT broker.',
    triggers
  }
  if (handles !== undefined) declaration.handles = handles.ordered === true ? { ordered: true } : {}
  if (publish !== undefined) {
    declaration.tools = [
      {
        name: 'publish',
        description: `Publishes a message. Topics: ${publish.join(', ')}`.slice(0, 1_024),
        input: {
          type: 'object',
          additionalProperties: false,
          required: ['topic'],
          properties: {
            topic: { type: 'string' },
            payload: { description: 'A text is sent as it is, all else as JSON. Default: nothing.' },
            qos: { enum: [0, 1, 2], default: 1, description: 'At most once, at least once, once.' },
            retain: { type: 'boolean', default: false, description: 'The broker keeps it for those who subscribe later.' }
          }
        },
        output: { type: 'object', properties: { topic: { type: 'string' }, bytes: { type: 'integer' } } }
      }
    ]
  }
  return describedBy(config, declaration)
}
