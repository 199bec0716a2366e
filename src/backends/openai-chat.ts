/** Backend `openai-chat`: one model of a server that speaks the chat completions of OpenAI, as a capability of type `llm/chat`. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { CHAT_INPUT, CHAT_TOOL, CHAT_TYPE } from '../core/chat.ts'
import type { JsonObject, JsonValue } from '../core/invoke.ts'
import { MeshError, isMeshError } from '../errors.ts'
import type { Backend } from './backend.ts'
import { inState } from './capability-state.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { checkChatRequest } from './openai-chat-request.ts'
import { createCompletion } from './openai-completion.ts'
import { chatCapabilityId, type OpenAiChatConfig } from './openai-config.ts'
import { createOpenAiEndpoint } from './openai-endpoint.ts'
import { createRecheck, discoverBy } from './recheck.ts'

/** Time for one answer, where the configuration says nothing, in ms. */
export const DEFAULT_ANSWER_MS = 300_000
/** Longest answer of a server, in bytes: what a result may be. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024
/** Longest silence in the middle of a streamed answer, where the configuration says nothing, in ms. */
export const DEFAULT_IDLE_MS = 60_000
const DEFAULT_CHATS = 4

/** Makes the backend. @param env where keys come from. */
export function createOpenAiChatBackend(
  config: OpenAiChatConfig,
  init: { env?: Record<string, string | undefined>; everyMs?: number } = {}
): Backend {
  const id = chatCapabilityId(config)
  const { model, timeoutMs = DEFAULT_ANSWER_MS, firstByteMs, idleMs = DEFAULT_IDLE_MS, runsTools = false } = config
  const endpoint = createOpenAiEndpoint(
    { ...config, timeoutMs, maxAnswerBytes: MAX_ANSWER_BYTES, mayRepeat: !runsTools },
    { baseDir: '.', env: init.env }
  )
  const handler = (input: JsonObject, { signal }: { signal: AbortSignal }) => {
    checkChatRequest(input, config.baseUrl, config.imageHosts)
    return input['stream'] === true ? streamed(input, signal) : chat(input, signal)
  }
  const calls = createHandlerCalls(lookupIn(id, new Map([[CHAT_TOOL, handler]])))
  const declaration = declarationOf(id, config)
  const recheck = createRecheck(
    async (signal) => {
      const problem = await endpoint.problem(signal)
      return problem === undefined ? [declaration] : inState(declaration, 'offline', problem)
    },
    { everyMs: init.everyMs }
  )

  function failed(error: unknown): unknown {
    if (isMeshError(error, 'unavailable')) recheck.now()
    return error
  }

  async function chat(input: JsonObject, signal: AbortSignal): Promise<JsonValue> {
    try {
      // Goes with nothing but a stream.
      const { stream_options: _options, ...asked } = input
      return checked(await endpoint.ask('/chat/completions', { ...asked, model, stream: false }, signal))
    } catch (error) {
      throw failed(error)
    }
  }

  async function* streamed(input: JsonObject, signal: AbortSignal): AsyncGenerator<JsonValue, JsonValue, void> {
    const { stream_options: given } = input
    // What was used is always asked for: limits of tokens go by it.
    const options = { ...(typeof given === 'object' && !Array.isArray(given) ? given : {}), include_usage: true }
    const asked = { ...input, model, stream: true, stream_options: options }
    const completion = createCompletion(MAX_ANSWER_BYTES)
    try {
      const chunks = endpoint.stream('/chat/completions', asked, { firstByteMs, idleMs }, signal)
      let step = await chunks.next()
      try {
        for (; step.done !== true; step = await chunks.next()) {
          completion.add(step.value)
          yield step.value
        }
      } finally {
        await chunks.return()
      }
      return step.value === undefined ? completion.whole() : checked(step.value)
    } catch (error) {
      throw failed(error)
    }
  }

  return {
    id,
    kind: 'openai-chat',
    call: calls.call,
    discover: (signal) => discoverBy(recheck, calls, signal)
  }
}

/** Some servers tell of an error with status 200. */
function checked(answer: JsonObject): JsonObject {
  if (Array.isArray(answer['choices'])) return answer
  throw new MeshError('protocol_error', 'the server answers with something that is no chat completion; is its address right?')
}

function declarationOf(id: string, config: OpenAiChatConfig): CapabilityDeclaration {
  const { name, description, model, tools = true, vision = false, runsTools = false, aliases, examples, keywords } = config
  const { timeoutMs = DEFAULT_ANSWER_MS, concurrency = DEFAULT_CHATS } = config
  const declaration: CapabilityDeclaration = {
    id,
    type: CHAT_TYPE,
    name: name ?? model,
    description: description ?? `The language model ${model}: answers a conversation.`,
    examples,
    keywords,
    metadata: { model, tools, vision, ...(aliases !== undefined && { aliases }) },
    tools: [
      {
        name: CHAT_TOOL,
        description:
          'Answers a conversation: a chat completion of OpenAI; with stream: true its chunks come first. The model is that of the capability.',
        input: CHAT_INPUT,
        timeoutMs,
        concurrency,
        idempotent: !runsTools,
        streams: true
      }
    ]
  }
  return Object.fromEntries(Object.entries(declaration).filter(([, value]) => value !== undefined)) as CapabilityDeclaration
}
