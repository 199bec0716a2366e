/** An endpoint for transcriptions as OpenAI documents it (https://platform.openai.com/docs/api-reference/audio/createTranscription). */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { MeshError, abortError } from '../errors.ts'
import type { TranscriptionConfig } from './transcription-config.ts'

/** Largest answer that is read, in bytes. */
export const MAX_ANSWER_BYTES = 3 * 1024 * 1024
/** Time that an endpoint has to say that it is there, in ms. */
const PROBE_TIMEOUT_MS = 5_000
const MAX_REASON = 300

/** Audio to be transcribed. */
export interface AudioFile {
  bytes: Uint8Array
  name: string
  mediaType: string
  language: string | undefined
  prompt: string | undefined
}

/** See {@link createTranscriptionEndpoint}. */
export interface TranscriptionEndpoint {
  /** The text. Throws `invalid_argument`, `too_large`, `busy`, `unavailable`, `tool_failed`, and what the signal aborts with. */
  transcribe(audio: AudioFile, signal: AbortSignal): Promise<string>
  /** Why the endpoint cannot be used, or undefined if it can. */
  problem(): Promise<string | undefined>
}

/** Makes a client. The key is read anew for each request, and shown nowhere. */
export function createTranscriptionEndpoint(
  config: TranscriptionConfig,
  init: { baseDir: string; env?: Record<string, string | undefined> }
): TranscriptionEndpoint {
  const base = config.url.replace(/\/+$/, '')

  async function headers(): Promise<Record<string, string>> {
    const key = await apiKey(config, init)
    return key === undefined ? {} : { authorization: `Bearer ${key}` }
  }

  async function request(path: string, options: RequestInit, signal: AbortSignal): Promise<Response> {
    try {
      // A key must not follow to another host.
      return await fetch(`${base}${path}`, { ...options, headers: await headers(), redirect: 'error', signal })
    } catch (error) {
      if (signal.aborted) throw abortError(signal)
      if (error instanceof MeshError) throw error
      throw new MeshError('unavailable', 'the endpoint does not answer; start it, or change url', {}, { cause: error })
    }
  }

  return {
    async transcribe({ bytes, name, mediaType, language, prompt }, signal) {
      const form = new FormData()
      form.set('file', new Blob([bytes as Uint8Array<ArrayBuffer>], { type: mediaType }), name)
      form.set('model', config.model)
      form.set('response_format', 'json')
      if (language !== undefined) form.set('language', language)
      if (prompt !== undefined) form.set('prompt', prompt)
      const response = await request('/audio/transcriptions', { method: 'POST', body: form }, signal)
      const answer = await readJson(response, signal)
      if (!response.ok) throw endpointError(response, answer)
      const text = (answer as { text?: unknown } | undefined)?.text
      if (typeof text !== 'string') throw new MeshError('tool_failed', 'the endpoint answered something that is no transcription')
      return text
    },
    async problem() {
      const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS)
      try {
        const response = await request('/models', {}, signal)
        await response.body?.cancel()
        if (response.status === 401 || response.status === 403) return 'the endpoint refuses the key; check it'
        // Not every endpoint lists its models.
        return response.status >= 500 ? `the endpoint fails with HTTP ${response.status}` : undefined
      } catch (error) {
        return signal.aborted ? 'the endpoint does not answer in time' : (error as Error).message
      }
    }
  }
}

async function apiKey(
  { apiKeyEnv, apiKeyFile }: TranscriptionConfig,
  init: { baseDir: string; env?: Record<string, string | undefined> }
): Promise<string | undefined> {
  if (apiKeyEnv !== undefined) {
    const key = (init.env ?? process.env)[apiKeyEnv]
    if (key === undefined || key === '')
      throw new MeshError('unavailable', `the variable ${apiKeyEnv} is not set; set it, and start the node again`)
    return key
  }
  if (apiKeyFile === undefined) return undefined
  const key = await readFile(resolve(init.baseDir, apiKeyFile), 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new MeshError('unavailable', `cannot read the file "${apiKeyFile}" (${error.code}); create it, or change its path`)
  })
  return key.trim()
}

/** The answer as JSON; undefined if it is none. Throws `too_large`. */
async function readJson(response: Response, signal: AbortSignal): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      if (bytes > MAX_ANSWER_BYTES) throw new MeshError('too_large', `the endpoint answers over ${MAX_ANSWER_BYTES} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    if (error instanceof MeshError) throw error
    throw new MeshError('unavailable', 'the endpoint stopped in the middle of its answer', {}, { cause: error })
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown
  } catch {
    return undefined
  }
}

/** What an answer that is no success means: `{ error: { message, type, code } }`. */
function endpointError({ status }: Response, answer: unknown): MeshError {
  const said = (answer as { error?: { message?: unknown } } | undefined)?.error?.message
  const reason = typeof said === 'string' ? `: ${said.slice(0, MAX_REASON)}` : ''
  const details = { httpStatus: status }
  switch (status) {
    case 400:
    case 415:
    case 422:
      return new MeshError('invalid_argument', `the endpoint cannot read this audio${reason}`, details)
    case 401:
    case 403:
      // What it says may repeat a part of the key.
      return new MeshError('unavailable', 'the endpoint refuses the key of this node; its owner must check it', details)
    case 404:
      return new MeshError('unavailable', `the endpoint has no such model, or makes no transcriptions${reason}`, details)
    case 413:
      return new MeshError('too_large', `the endpoint takes no audio of this size${reason}`, details)
    case 429:
      return new MeshError('busy', `the endpoint has too much to do${reason}`, details)
  }
  const code = status >= 500 ? 'unavailable' : 'tool_failed'
  return new MeshError(code, `the endpoint failed with HTTP ${status}${reason}`, details)
}
