/** Backend `openai-chat`: one model of a server that speaks the chat completions of OpenAI, as a capability of type `llm/chat`. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { CHAT_INPUT, CHAT_TOOL, CHAT_TYPE } from '../core/chat.ts'
import type { JsonObject, JsonValue } from '../core/invoke.ts'
import { MeshError, abortError } from '../errors.ts'
import type { Backend } from './backend.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { chatCapabilityId, type OpenAiChatConfig } from './openai-config.ts'
import { createRecheck } from './recheck.ts'

/** Time for one answer, where the configuration says nothing, in ms. */
export const DEFAULT_ANSWER_MS = 300_000
/** Longest answer of a server, in bytes: what a result may be. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const DEFAULT_CHATS = 4
const LOOK_TIMEOUT_MS = 5_000
const MAX_REASON = 500

/** Makes the backend. @param env where keys come from. */
export function createOpenAiChatBackend(
  config: OpenAiChatConfig,
  init: { env?: Record<string, string | undefined>; everyMs?: number } = {}
): Backend {
  const id = chatCapabilityId(config)
  const { baseUrl, model, apiKeyEnv, timeoutMs = DEFAULT_ANSWER_MS } = config
  const key = apiKeyEnv === undefined ? undefined : (init.env ?? process.env)[apiKeyEnv] || undefined
  const base = baseUrl.replace(/\/+$/, '')
  const calls = createHandlerCalls(lookupIn(id, new Map([[CHAT_TOOL, chat]])))
  let look: () => void = () => undefined

  /** Servers like to repeat the key in what they say about it. */
  const withoutKey = (text: string): string => (key === undefined ? text : text.replaceAll(key, '…')).slice(0, MAX_REASON)

  async function send(path: string, body: JsonObject | undefined, signal: AbortSignal): Promise<Response> {
    const headers = { accept: 'application/json', ...(key !== undefined && { authorization: `Bearer ${key}` }) }
    // Another address must not get the key.
    const common = { signal, redirect: 'error' } as const
    if (body === undefined) return fetch(`${base}${path}`, { ...common, headers })
    const json = { ...headers, 'content-type': 'application/json' }
    return fetch(`${base}${path}`, { ...common, method: 'POST', headers: json, body: JSON.stringify(body) })
  }

  async function chat(input: JsonObject, { signal: given }: { signal: AbortSignal }): Promise<JsonValue> {
    const late = AbortSignal.timeout(timeoutMs)
    const signal = AbortSignal.any([given, late])
    try {
      const response = await send('/chat/completions', { ...input, model, stream: false }, signal)
      const text = await readText(response)
      if (!response.ok) throw statusError(response, withoutKey(reasonIn(text)))
      return readJson(text)
    } catch (error) {
      if (signal.aborted) throw late.aborted && !given.aborted ? tooLate(timeoutMs) : abortError(given)
      if (error instanceof MeshError) throw error
      look()
      const why = withoutKey(networkReason(error))
      throw new MeshError('unavailable', `the server of "${id}" does not answer: ${why}`, { notStarted: false })
    }
  }

  /** What is wrong, if anything is. */
  async function problem(stop: AbortSignal): Promise<string | undefined> {
    if (apiKeyEnv !== undefined && key === undefined)
      return `the environment variable ${apiKeyEnv} is not set; it is to hold the key of the server`
    try {
      const response = await send('/models', undefined, AbortSignal.any([stop, AbortSignal.timeout(LOOK_TIMEOUT_MS)]))
      await response.body?.cancel()
      if (response.status === 401 || response.status === 403) return 'the server refuses the key of this node'
      return response.status >= 500 ? `the server answers with status ${response.status}` : undefined
    } catch (error) {
      return withoutKey(`the server does not answer: ${networkReason(error)}`)
    }
  }

  async function snapshot(stop: AbortSignal): Promise<CapabilityDeclaration[]> {
    const reason = await problem(stop)
    const declaration = declarationOf(id, config)
    return [reason === undefined ? declaration : { ...declaration, status: 'offline', statusReason: reason }]
  }

  return {
    id,
    kind: 'openai-chat',
    call: calls.call,
    async *discover(signal) {
      const recheck = createRecheck(() => snapshot(signal), { everyMs: init.everyMs })
      look = recheck.now
      try {
        yield* recheck.snapshots(signal)
      } finally {
        await calls.stop(new MeshError('unavailable', 'the provider is stopping'))
      }
    }
  }
}

function declarationOf(id: string, config: OpenAiChatConfig): CapabilityDeclaration {
  const { name, description, model, tools = true, vision = false, examples, keywords } = config
  const { timeoutMs = DEFAULT_ANSWER_MS, concurrency = DEFAULT_CHATS } = config
  const declaration: CapabilityDeclaration = {
    id,
    type: CHAT_TYPE,
    name: name ?? model,
    description: description ?? `The language model ${model}: answers a conversation.`,
    examples,
    keywords,
    metadata: { model, tools, vision },
    tools: [
      {
        name: CHAT_TOOL,
        description: 'Answers a conversation: a chat completion of OpenAI, not streamed. The model is that of the capability.',
        input: CHAT_INPUT,
        timeoutMs,
        concurrency,
        idempotent: true
      }
    ]
  }
  return Object.fromEntries(Object.entries(declaration).filter(([, value]) => value !== undefined)) as CapabilityDeclaration
}

async function readText(response: Response): Promise<string> {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  const parts: string[] = []
  let bytes = 0
  while (reader !== undefined) {
    const { done, value } = await reader.read()
    if (done) break
    bytes += value.byteLength
    if (bytes > MAX_ANSWER_BYTES) {
      await reader.cancel()
      throw new MeshError('too_large', `the server answers with more than ${MAX_ANSWER_BYTES} bytes`, { limit: MAX_ANSWER_BYTES })
    }
    parts.push(decoder.decode(value, { stream: true }))
  }
  return parts.join('') + decoder.decode()
}

function readJson(text: string): JsonObject {
  try {
    const value = JSON.parse(text) as JsonValue
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // As what is no object.
  }
  throw new MeshError('protocol_error', 'the server answers with something that is no JSON object; is its baseUrl right?')
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

function statusError({ status, headers }: Response, reason: string): MeshError {
  const message = `the server says ${status}${reason === '' ? '' : `: ${reason}`}`
  if (status === 413) return new MeshError('too_large', message)
  if (status === 400 || status === 422) return new MeshError('invalid_argument', message)
  // The next ones are between this node and its server: another provider may do it.
  if (status === 429) {
    const seconds = Number(headers.get('retry-after') ?? NaN)
    return new MeshError('busy', message, seconds > 0 ? { retryAfterMs: Math.min(seconds * 1_000, 3_600_000) } : {})
  }
  if (status === 401 || status === 403 || status === 404 || status === 408 || status >= 500)
    return new MeshError('unavailable', message)
  return new MeshError('tool_failed', message)
}

function tooLate(timeoutMs: number): MeshError {
  return new MeshError(
    'deadline_exceeded',
    `the server has not answered within ${timeoutMs} ms; timeoutMs of the backend allows more`
  )
}

/** `fetch` says "fetch failed" and keeps why to itself. Of an address that it does not take, it says all of it, a password as well: that is not told. */
function networkReason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined
  if (cause instanceof Error && !(cause instanceof TypeError)) return (cause as NodeJS.ErrnoException).code ?? cause.message
  return error instanceof TypeError
    ? 'it cannot be asked; is its baseUrl right?'
    : error instanceof Error
      ? error.message
      : String(error)
}
