/** Backend `openai-image`: makes images, by a server that speaks the API of OpenAI. */
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import type { JsonObject } from '../../protocols/json.ts'
import { MeshError } from '../errors.ts'
import type { ToolContext } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { piecesOf } from './byte-pieces.ts'
import { chosenTriggers, describedBy } from './capability-options.ts'
import { originsOf } from './image-hosts.ts'
import { onlineUnless } from './capability-state.ts'
import { createEventQueue } from './event-queue.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { createOpenAiEndpoint } from './openai-endpoint.ts'
import { SIZE_PATTERN } from './openai-image-config.ts'
import type { OpenAiImageConfig } from './openai-image-config.ts'
import { readImage } from './openai-image-data.ts'
import { createRecheck, discoverBy } from './recheck.ts'
import type { SecretInit } from './secret-source.ts'

/** Most images of one call. */
export const MAX_IMAGES = 4
/** Longest prompt, in characters. */
export const MAX_PROMPT = 4_000
/** Longest answer of a server, in bytes: images of it are in base64. */
export const MAX_IMAGE_ANSWER_BYTES = 64 * 1024 * 1024
/** Time for one answer, where the configuration says nothing, in ms. */
export const DEFAULT_IMAGE_MS = 300_000
/** Text of an event, in characters: an event has 64 KiB. */
const MAX_EVENT_PROMPT = 2_000

const MADE = {
  mediaType: { type: 'string', description: 'Of the first: image/png, image/jpeg or image/webp.' },
  bytes: { type: 'integer', description: 'Of all together.' }
}

const TRIGGER: TriggerDeclaration = {
  event: 'image_complete',
  description: 'An image has been made.',
  intentTemplate: 'An image was made: {prompt}',
  payload: {
    type: 'object',
    required: ['prompt', 'count'],
    properties: { prompt: { type: 'string' }, count: { type: 'integer' }, size: { type: 'string' }, ...MADE }
  }
}

/** Makes a backend for one server and model. */
export function createOpenAiImageBackend(config: OpenAiImageConfig, init: SecretInit & { recheckMs?: number }): Backend {
  const id = config.id ?? 'image'
  const { model, responseFormat = 'b64_json', timeoutMs = DEFAULT_IMAGE_MS } = config
  const origins = [new URL(config.baseUrl).origin, ...originsOf(config.baseUrl, config.imageHosts ?? [])]
  const endpoint = createOpenAiEndpoint({ ...config, timeoutMs, maxAnswerBytes: MAX_IMAGE_ANSWER_BYTES }, init)
  const declaration = declare(config, id)
  const queue = createEventQueue(id)
  const isRaised = declaration.triggers?.length !== 0

  async function* generate(input: JsonObject, { signal, progress }: ToolContext): AsyncGenerator<Uint8Array, JsonObject, void> {
    const { prompt, size = config.size, n = 1 } = input
    if (typeof prompt !== 'string' || prompt.trim() === '' || prompt.length > MAX_PROMPT)
      throw new MeshError('invalid_argument', `"prompt" must be a text of 1 to ${MAX_PROMPT} characters`)
    if (typeof n !== 'number' || !Number.isInteger(n) || n < 1 || n > MAX_IMAGES)
      throw new MeshError('invalid_argument', `"n" must be a whole number from 1 to ${MAX_IMAGES}`)
    if (size !== undefined && !(typeof size === 'string' && new RegExp(SIZE_PATTERN).test(size)))
      throw new MeshError('invalid_argument', '"size" must be such as 1024x1024')
    progress(0, n, 'making images')
    const asked = { model, prompt, n, ...(size !== undefined && { size }) }
    const format: JsonObject = responseFormat === 'none' ? {} : { response_format: responseFormat }
    const { data } = await endpoint.ask('/images/generations', { ...asked, ...format }, signal)
    if (!Array.isArray(data) || data.length === 0)
      throw new MeshError('protocol_error', 'the server answers with something that holds no images')
    const images: JsonObject[] = []
    let bytes = 0
    // More than were asked for nobody has a use for.
    for (const entry of data.slice(0, n)) {
      const image = await readImage(entry, origins, signal)
      const { mediaType, revisedPrompt } = image
      images.push({ mediaType, bytes: image.bytes.length, ...(revisedPrompt !== undefined && { revisedPrompt }) })
      bytes += image.bytes.length
      yield* piecesOf(image.bytes)
      progress(images.length, n)
    }
    const made = { mediaType: images[0]!['mediaType']!, bytes }
    const about = { prompt: prompt.slice(0, MAX_EVENT_PROMPT), count: images.length, ...(size !== undefined && { size }) }
    if (isRaised) queue.raise('image_complete', { ...about, ...made })
    return { ...made, images }
  }

  const calls = createHandlerCalls(lookupIn(id, new Map([['generate', generate]])))
  const recheck = createRecheck(async (signal) => onlineUnless(declaration, await endpoint.problem(signal)), {
    everyMs: init.recheckMs
  })

  return {
    id,
    kind: 'openai-image',
    call: calls.call,
    discover: (signal) => discoverBy(recheck, calls, signal),
    watch: (signal) => queue.events(signal)
  }
}

function declare(config: OpenAiImageConfig, id: string): CapabilityDeclaration {
  const { model, timeoutMs = DEFAULT_IMAGE_MS, concurrency = 1 } = config
  return describedBy(config, {
    id,
    type: 'image/generation',
    name: 'Images',
    description: `Makes images of words, by the model ${model}.`,
    examples: ['Draw a llama on a mountain', 'Make a picture of this'],
    tools: [
      {
        name: 'generate',
        description: 'Images of what a text says: their bytes, one after another, and what they are as the result.',
        input: {
          type: 'object',
          additionalProperties: false,
          required: ['prompt'],
          properties: {
            prompt: { type: 'string', minLength: 1, maxLength: MAX_PROMPT, description: 'What is to be seen.' },
            size: { type: 'string', pattern: SIZE_PATTERN, description: 'Width and height in pixels, such as 1024x1024.' },
            n: { type: 'integer', minimum: 1, maximum: MAX_IMAGES, default: 1, description: 'How many.' }
          }
        },
        output: {
          type: 'object',
          properties: {
            ...MADE,
            images: {
              type: 'array',
              items: {
                type: 'object',
                properties: { mediaType: { type: 'string' }, bytes: { type: 'integer' }, revisedPrompt: { type: 'string' } }
              }
            }
          }
        },
        timeoutMs,
        concurrency,
        streams: true
      }
    ],
    triggers: chosenTriggers([TRIGGER], config.triggers)
  })
}
