/** Backend `transcription`: speech to text, by an endpoint that speaks the API of OpenAI. */
import { readAtMost } from '../../protocols/bytes-at-most.ts'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import type { ToolContext } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { describedBy } from './capability-options.ts'
import { onlineUnless } from './capability-state.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { mediaTypeOf } from './media-types.ts'
import { createOpenAiEndpoint } from './openai-endpoint.ts'
import type { OpenAiEndpoint } from './openai-endpoint.ts'
import { createRecheck, discoverBy } from './recheck.ts'
import type { TranscriptionConfig } from './transcription-config.ts'

/** Largest audio if nothing is given, in bytes: what OpenAI takes. */
export const DEFAULT_MAX_AUDIO_BYTES = 25 * 1024 * 1024

/** Time for one answer, where the configuration says nothing, in ms. */
const DEFAULT_TRANSCRIPTION_MS = 300_000

/** Longest answer, in bytes. */
const MAX_ANSWER_BYTES = 3 * 1024 * 1024

/** Audio to be transcribed. */
interface AudioFile {
  bytes: Uint8Array
  name: string
  mediaType: string
  language: string | undefined
  prompt: string | undefined
}

/** What the backend needs beside its configuration. */
export interface TranscriptionInit {
  baseDir: string
  /** Variables that the key is read from. Default: those of the process. */
  env?: Record<string, string | undefined>
  recheckMs?: number
}

/** Makes a backend for one endpoint and model. */
export function createTranscriptionBackend(config: TranscriptionConfig, init: TranscriptionInit): Backend {
  const id = config.id ?? 'transcription'
  const maxBytes = config.maxBytes ?? DEFAULT_MAX_AUDIO_BYTES
  const { url: baseUrl, apiKeyEnv, apiKeyFile, timeoutMs = DEFAULT_TRANSCRIPTION_MS } = config
  const endpoint = createOpenAiEndpoint({ baseUrl, apiKeyEnv, apiKeyFile, timeoutMs, maxAnswerBytes: MAX_ANSWER_BYTES }, init)
  const declaration = declare(config, id)

  const transcribe = async (input: JsonObject, context: ToolContext): Promise<JsonObject> => {
    const audio = await audioOf(input, context, config, maxBytes)
    context.progress(0, undefined, 'transcribing')
    return { text: await textIn(audio, config.model, endpoint, context.signal), bytes: audio.bytes.length }
  }
  const calls = createHandlerCalls(lookupIn(id, new Map([['transcribe', transcribe]])))
  const recheck = createRecheck(async (signal) => onlineUnless(declaration, await endpoint.problem(signal)), {
    everyMs: init.recheckMs
  })

  return {
    id,
    kind: 'transcription',
    call: calls.call,
    discover: (signal) => discoverBy(recheck, calls, signal)
  }
}

/** https://platform.openai.com/docs/api-reference/audio/createTranscription */
async function textIn(
  { bytes, name, mediaType, language, prompt }: AudioFile,
  model: string,
  endpoint: OpenAiEndpoint,
  signal: AbortSignal
): Promise<string> {
  const form = new FormData()
  form.set('file', new Blob([bytes as Uint8Array<ArrayBuffer>], { type: mediaType }), name)
  form.set('model', model)
  form.set('response_format', 'json')
  if (language !== undefined) form.set('language', language)
  if (prompt !== undefined) form.set('prompt', prompt)
  const { text } = await endpoint.ask('/audio/transcriptions', form, signal)
  if (typeof text !== 'string')
    throw new MeshError('protocol_error', 'the server answers with something that is no transcription')
  return text
}

async function audioOf(
  input: JsonObject,
  { stream }: ToolContext,
  config: TranscriptionConfig,
  maxBytes: number
): Promise<AudioFile> {
  const { audio, name = 'audio.wav', mediaType, language = config.language, prompt } = input
  const tooLarge = (): MeshError =>
    new MeshError('too_large', `audio has at most ${maxBytes} bytes here; send a shorter part`, { limit: maxBytes })
  let bytes: Uint8Array
  if (typeof audio === 'string') {
    if (audio.length > Math.ceil(maxBytes / 3) * 4) throw tooLarge()
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(audio)) throw new MeshError('invalid_argument', '"audio" must be base64')
    bytes = Buffer.from(audio, 'base64')
  } else {
    bytes = await readAtMost(bytesIn(stream), maxBytes, tooLarge)
  }
  if (bytes.length === 0)
    throw new MeshError('invalid_argument', 'there is no audio; stream its bytes, or send "audio" in base64')
  if (bytes.length > maxBytes) throw tooLarge()
  const fileName = textOf(name) ?? 'audio.wav'
  return {
    bytes,
    name: fileName,
    mediaType: textOf(mediaType) ?? mediaTypeOf(fileName),
    language: textOf(language),
    prompt: textOf(prompt)
  }
}

async function* bytesIn(stream: ToolContext['stream']): AsyncGenerator<Uint8Array> {
  for await (const item of stream ?? []) if (item.kind === 'bytes') yield item.bytes
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function declare(config: TranscriptionConfig, id: string): CapabilityDeclaration {
  const { timeoutMs = DEFAULT_TRANSCRIPTION_MS, concurrency } = config
  return describedBy(config, {
    id,
    type: 'audio/transcription',
    name: 'Transcription',
    description: 'Turns speech into text.',
    examples: ['Write down what is said in this recording'],
    tools: [
      {
        name: 'transcribe',
        description: 'The text of an audio file, whose bytes are streamed in or stand in "audio".',
        input: {
          type: 'object',
          additionalProperties: false,
          properties: {
            audio: { type: 'string', description: 'The file in base64, where its bytes are not streamed.' },
            name: {
              type: 'string',
              maxLength: 255,
              default: 'audio.wav',
              description: 'Its name; the end of it says the format.'
            },
            mediaType: { type: 'string', maxLength: 127, description: 'Default: by its name.' },
            language: { type: 'string', maxLength: 35, description: 'Language of the speech, such as en.' },
            prompt: { type: 'string', maxLength: 2_000, description: 'Words that are likely to occur.' }
          }
        },
        output: { type: 'object', properties: { text: { type: 'string' }, bytes: { type: 'integer' } } },
        timeoutMs,
        ...(concurrency !== undefined && { concurrency }),
        acceptsStream: true,
        idempotent: true
      }
    ]
  })
}
