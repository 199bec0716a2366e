/** The tool of models that speak: text in, the bytes of an audio file out. https://platform.openai.com/docs/api-reference/audio/createSpeech */
import { readAtMost } from '../../protocols/bytes-at-most.ts'
import type { JsonObject } from '../../protocols/json.ts'
import { MeshError, abortError, isMeshError } from '../errors.ts'
import type { ToolContext } from '../mesh-api.ts'
import { piecesOf } from './byte-pieces.ts'
import { httpRequest } from './http-request.ts'
import type { HttpAnswer } from './http-request.ts'
import type { LocalAiTool, ToolTimes } from './local-ai-tools.ts'
import { readSecret } from './secret-source.ts'

/** Longest text, in characters: what the servers take. */
export const MAX_SPOKEN = 4_096
/** Largest audio, in bytes. */
const MAX_AUDIO_BYTES = 64 * 1024 * 1024
/** Largest reason that is read of an error, in bytes. */
const MAX_REASON_BYTES = 4_096
const VOICE = '^[A-Za-z0-9_.()+-]{1,64}$'
const FORMATS = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm']

/** Where it is asked, and as which model. */
export interface SpeakInit extends ToolTimes {
  /** Up to `/audio/speech`. */
  baseUrl: string
  /** Default: that of the server. */
  model?: string
  headers?: Record<string, string>
  apiKeyEnv?: string
  env?: Record<string, string | undefined>
}

/** Makes the tool. */
export function speakTool(init: SpeakInit): LocalAiTool {
  const { timeoutMs, concurrency } = init
  return {
    declaration: {
      name: 'speak',
      description: 'Gives a spoken text: the bytes of an audio file.',
      input: {
        type: 'object',
        required: ['text'],
        properties: {
          text: { type: 'string', minLength: 1, maxLength: MAX_SPOKEN },
          voice: { type: 'string', pattern: VOICE, description: 'One of the voices of the server. Default: its own choice.' },
          format: { enum: FORMATS, default: 'wav' },
          speed: { type: 'number', minimum: 0.25, maximum: 4 }
        }
      },
      output: { type: 'object', properties: { mediaType: { type: 'string' }, bytes: { type: 'integer' } } },
      timeoutMs,
      concurrency,
      streams: true
    },
    handler: (input, context) => speak(init, input, context)
  }
}

async function* speak(
  init: SpeakInit,
  { text, voice, format = 'wav', speed }: JsonObject,
  { signal }: ToolContext
): AsyncGenerator<Uint8Array, JsonObject, void> {
  const asked = { model: init.model, input: text, voice, response_format: format, speed }
  const late = AbortSignal.timeout(init.timeoutMs)
  let answer: HttpAnswer | undefined
  let bytes = 0
  try {
    const key = await readSecret({ variable: init.apiKeyEnv, file: undefined }, { baseDir: '.', env: init.env })
    answer = await httpRequest(`${init.baseUrl}/audio/speech`, {
      method: 'POST',
      headers: {
        ...{ ...init.headers, accept: 'audio/*', 'content-type': 'application/json' },
        ...(key !== undefined && { authorization: `Bearer ${key}` })
      },
      body: JSON.stringify(asked),
      signal: AbortSignal.any([signal, late])
    })
    const mediaType = answer.headers.get('content-type')?.split(';')[0]?.trim() ?? ''
    if (!answer.ok) throw await refusal(answer)
    if (!/^(audio\/[a-z0-9.+-]+|application\/octet-stream)$/i.test(mediaType))
      throw new MeshError('protocol_error', 'the server answers with something that is no audio')
    for await (const piece of answer.body) {
      bytes += piece.byteLength
      if (bytes > MAX_AUDIO_BYTES) throw new MeshError('too_large', `the server answers with more than ${MAX_AUDIO_BYTES} bytes`)
      yield* piecesOf(piece)
    }
    return { mediaType, bytes }
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    if (late.aborted) throw new MeshError('deadline_exceeded', `the server has not answered within ${init.timeoutMs} ms`)
    if (isMeshError(error)) throw error
    throw new MeshError('unavailable', 'the server does not answer', { notStarted: false }, { cause: error })
  } finally {
    answer?.cancel()
  }
}

/** What a refusal says may be long, or a page. */
async function refusal(answer: HttpAnswer): Promise<MeshError> {
  const { status } = answer
  const text = await readAtMost(answer.body, MAX_REASON_BYTES, () => new Error('too long'))
    .then((bytes) => new TextDecoder().decode(bytes))
    .catch(() => '')
  const reason = /^\s*[{[]/.test(text) ? `: ${text.slice(0, 300)}` : ''
  const message = `the server says HTTP ${status}${reason}`
  const isWrong = status === 400 || status === 415 || status === 422
  if (isWrong) return new MeshError('invalid_argument', message, { httpStatus: status })
  const isElsewhere = [401, 403, 404, 408, 429].includes(status) || status >= 500
  return new MeshError(isElsewhere ? 'unavailable' : 'tool_failed', message, { httpStatus: status })
}
