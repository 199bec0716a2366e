/** A server that speaks the API of OpenAI (https://platform.openai.com/docs/api-reference): how it is asked, and what its answers mean. */
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { readAtMost } from '../../protocols/bytes-at-most.ts'
import { MeshError, abortError } from '../errors.ts'
import { httpRequest } from './http-request.ts'
import type { HttpAnswer, HttpRequest } from './http-request.ts'
import { serverSentData } from './openai-sse.ts'
import { createStall, paced, type StreamTimes } from './openai-stall.ts'
import { retryAfterMsOf } from './retry-after.ts'
import { readSecret } from './secret-source.ts'
import type { SecretInit } from './secret-source.ts'

/** Time that a server has to say that it is there, in ms. */
const LOOK_TIMEOUT_MS = 5_000
/** What is told of an error of the server, in characters. */
const MAX_REASON = 500

/** Which server, and how much it may say. */
export interface OpenAiEndpointConfig {
  /** Base of the API, such as `http://127.0.0.1:8080/v1`. */
  baseUrl: string
  /** Name of the variable that holds the key. */
  apiKeyEnv?: string
  /** File that holds it, relative to the configuration file. */
  apiKeyFile?: string
  /** Time for one answer, in ms. Default: as long as the signal lets it. */
  timeoutMs?: number
  /** Longest answer, in bytes. */
  maxAnswerBytes: number
  /** Headers that the server wants beside, names in lower case. */
  headers?: Record<string, string>
  /** What is asked of it may be done twice: see `HttpRequest`. */
  mayRepeat?: boolean
}

/** See {@link createOpenAiEndpoint}. */
export interface OpenAiEndpoint {
  /**
   * The answer to a POST, which must be a JSON object.
   * @throws MeshError `invalid_argument`, `too_large`, `busy`, `unavailable`, `tool_failed`, `protocol_error`, `deadline_exceeded`, and what the signal aborts with.
   */
  ask(path: string, body: JsonObject | FormData, signal: AbortSignal): Promise<JsonObject>
  /**
   * The objects of an answer that is streamed as server-sent events, until it ends or says `[DONE]`; whether it is whole, its reader has to see. A server that does not stream
   * answers in one piece: that is returned. @throws as `ask`, in the middle as well.
   */
  stream(
    path: string,
    body: JsonObject,
    times: StreamTimes,
    signal: AbortSignal
  ): AsyncGenerator<JsonObject, JsonObject | void, void>
  /** Why the server cannot be used; undefined if it can. Never throws. */
  problem(signal: AbortSignal): Promise<string | undefined>
}

/** Makes a client. The key is read anew for each request, goes to no other address, and is in no message. */
export function createOpenAiEndpoint(config: OpenAiEndpointConfig, init: SecretInit): OpenAiEndpoint {
  const { timeoutMs, maxAnswerBytes, apiKeyEnv, apiKeyFile } = config
  const base = config.baseUrl.replace(/\/+$/, '')

  async function send(path: string, key: string | undefined, asked: HttpRequest): Promise<HttpAnswer> {
    const headers = {
      accept: 'application/json',
      ...config.headers,
      ...(key !== undefined && { authorization: `Bearer ${key}` })
    }
    const answer = await httpRequest(`${base}${path}`, { ...asked, headers: { ...headers, ...asked.headers } })
    const { status } = answer
    if (status < 300 || status >= 400) return answer
    answer.cancel()
    // Another address must not get the key.
    const message = `the server does not answer: it is elsewhere (HTTP ${status}), and redirects are not followed`
    throw new MeshError('unavailable', message, { httpStatus: status, notDone: true })
  }

  const keyOf = (): Promise<string | undefined> => readSecret({ variable: apiKeyEnv, file: apiKeyFile }, init)

  /** Sends a request; what is answered is good. */
  async function post(
    path: string,
    key: string | undefined,
    body: JsonObject | FormData,
    signal: AbortSignal
  ): Promise<HttpAnswer> {
    const isForm = body instanceof FormData
    const content = isForm ? { body } : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    const response = await send(path, key, { method: 'POST', signal, mayRepeat: config.mayRepeat, ...content })
    if (response.ok) return response
    throw statusError(response.status, without(key, reasonIn(await textOf(response))), response.headers)
  }

  const textOf = async ({ body }: HttpAnswer): Promise<string> => new TextDecoder().decode(await readAnswer(body, maxAnswerBytes))
  const lateSignal = (): AbortSignal | undefined => (timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs))

  /** What went wrong, in the words of this project. */
  function failureOf(error: unknown, key: string | undefined, given: AbortSignal, late: AbortSignal | undefined): MeshError {
    if (given.aborted) return abortError(given)
    if (late?.aborted === true) return tooLate(timeoutMs!)
    if (error instanceof MeshError) return error
    return new MeshError('unavailable', without(key, `the server does not answer: ${networkReason(error)}`), {
      notStarted: false,
      ...(wasNotReached(error) && { notDone: true })
    })
  }

  return {
    async ask(path, body, given) {
      const key = await keyOf()
      const late = lateSignal()
      const signal = late === undefined ? given : AbortSignal.any([given, late])
      try {
        return objectIn(await textOf(await post(path, key, body, signal)))
      } catch (error) {
        throw failureOf(error, key, given, late)
      }
    },
    async *stream(path, body, times, given) {
      const key = await keyOf()
      const late = lateSignal()
      const stall = createStall(times)
      const signal = AbortSignal.any([given, stall.signal, ...(late === undefined ? [] : [late])])
      let response: HttpAnswer | undefined
      try {
        response = await post(path, key, body, signal)
        const pieces = paced(response.body, stall)
        if (!isEventStream(response)) return objectIn(await textOf({ ...response, body: pieces }))
        for await (const data of serverSentData(pieces)) {
          if (data === STREAM_END) return response.complete()
          const object = objectIn(data)
          const { error } = object
          if (error !== undefined && error !== null) throw errorEvent(without(key, reasonIn(data)), error)
          yield object
        }
      } catch (error) {
        throw failureOf(stall.failure ?? error, key, given, late)
      } finally {
        stall.clear()
        response?.cancel()
      }
    },
    async problem(stop) {
      const late = AbortSignal.timeout(LOOK_TIMEOUT_MS)
      let key: string | undefined
      try {
        key = await keyOf()
        const response = await send('/models', key, { signal: AbortSignal.any([stop, late]) })
        response.cancel()
        if (response.status === 401 || response.status === 403) return 'the server refuses the key of this node'
        // Not every server lists its models.
        return response.status >= 500 ? `the server answers with status ${response.status}` : undefined
      } catch (error) {
        if (error instanceof MeshError) return error.message
        return without(key, `the server does not answer: ${late.aborted ? 'not in time' : networkReason(error)}`)
      }
    }
  }
}

/** What an answer holds. @throws MeshError `too_large`. */
export function readAnswer(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = (): MeshError =>
    new MeshError('too_large', `the server answers with more than ${maxBytes} bytes`, { limit: maxBytes })
  return readAtMost(body, maxBytes, tooLarge)
}

/** Servers like to repeat the key in what they say about it. */
function without(key: string | undefined, text: string): string {
  return (key === undefined ? text : text.replaceAll(key, '…')).slice(0, MAX_REASON)
}

function objectIn(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as JsonValue
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // As what is no object.
  }
  throw new MeshError('protocol_error', 'the server answers with something that is no JSON object; is its address right?')
}

/** What it says itself: `{"error":{"message"}}`, `{"error":"…"}`, or something short. */
function reasonIn(text: string): string {
  try {
    const { error, message } = JSON.parse(text) as { error?: { message?: unknown } | string; message?: unknown }
    const told = typeof error === 'object' ? error?.message : (error ?? message)
    if (typeof told === 'string') return told
  } catch {
    // Not JSON.
  }
  return text.startsWith('<') ? '' : text
}

/** Last event of a stream. Not all servers send it. */
const STREAM_END = '[DONE]'

function isEventStream({ headers }: HttpAnswer): boolean {
  return /^text\/event-stream\b/i.test(headers.get('content-type') ?? '')
}

/** An error after a good status: some servers say there which status it would have been. */
function errorEvent(reason: string, error: JsonValue): MeshError {
  const code = typeof error === 'object' && error !== null && !Array.isArray(error) ? error['code'] : undefined
  return statusError(typeof code === 'number' && code >= 400 && code < 600 ? code : 500, reason)
}

/** Codes of Node for connections that never came to be. */
const NOT_REACHED: readonly unknown[] = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']

/** Nothing of the request has left. */
const wasNotReached = (error: unknown): boolean =>
  error instanceof Error && NOT_REACHED.includes((error as NodeJS.ErrnoException).code)

function statusError(status: number, reason: string, headers?: Headers): MeshError {
  const message = `the server says HTTP ${status}${reason === '' ? '' : `: ${reason}`}`
  const details = { httpStatus: status }
  switch (status) {
    case 400:
    case 415:
    case 422:
      return new MeshError('invalid_argument', message, details)
    case 401:
    case 403:
      // What it says may repeat a part of the key.
      return new MeshError('unavailable', `the server refuses the key of this node (HTTP ${status})`, {
        ...details,
        notDone: true
      })
    case 413:
      return new MeshError('too_large', message, details)
    case 429: {
      const retryAfterMs = headers && retryAfterMsOf(headers, Date.now())
      return new MeshError('busy', message, { ...details, ...(retryAfterMs !== undefined && { retryAfterMs }) })
    }
  }
  // Between this node and its server: another provider may do it.
  const isElsewhere = status === 404 || status === 408 || status >= 500
  return new MeshError(isElsewhere ? 'unavailable' : 'tool_failed', message, details)
}

function tooLate(timeoutMs: number): MeshError {
  const message = `the server has not answered within ${timeoutMs} ms; timeoutMs of the backend allows more`
  return new MeshError('deadline_exceeded', message)
}

/** Codes where there are some. Of an address or a key that cannot be sent, Node says all of it, a password as well: that is not told. */
function networkReason(error: unknown): string {
  if (error instanceof TypeError) return 'it cannot be asked; is its baseUrl right?'
  return error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error)
}
