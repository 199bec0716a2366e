/** Backend `openai-chat`: one model of a server that speaks the chat completions of OpenAI, as a capability of type `llm/chat`. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { CHAT_INPUT, CHAT_TOOL, CHAT_TYPE } from '../core/chat.ts'
import type { JsonObject, JsonValue } from '../core/invoke.ts'
import { isMeshError } from '../errors.ts'
import type { Backend } from './backend.ts'
import { inState } from './capability-state.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { chatCapabilityId, type OpenAiChatConfig } from './openai-config.ts'
import { createOpenAiEndpoint } from './openai-endpoint.ts'
import { createRecheck, discoverBy } from './recheck.ts'

/** Time for one answer, where the configuration says nothing, in ms. */
export const DEFAULT_ANSWER_MS = 300_000
/** Longest answer of a server, in bytes: what a result may be. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const DEFAULT_CHATS = 4

/** Makes the backend. @param env where keys come from. */
export function createOpenAiChatBackend(
  config: OpenAiChatConfig,
  init: { env?: Record<string, string | undefined>; everyMs?: number } = {}
): Backend {
  const id = chatCapabilityId(config)
  const { model, timeoutMs = DEFAULT_ANSWER_MS } = config
  const endpoint = createOpenAiEndpoint(
    { ...config, timeoutMs, maxAnswerBytes: MAX_ANSWER_BYTES },
    { baseDir: '.', env: init.env }
  )
  const calls = createHandlerCalls(lookupIn(id, new Map([[CHAT_TOOL, chat]])))
  const declaration = declarationOf(id, config)
  const recheck = createRecheck(
    async (signal) => {
      const problem = await endpoint.problem(signal)
      return problem === undefined ? [declaration] : inState(declaration, 'offline', problem)
    },
    { everyMs: init.everyMs }
  )

  async function chat(input: JsonObject, { signal }: { signal: AbortSignal }): Promise<JsonValue> {
    try {
      return await endpoint.ask('/chat/completions', { ...input, model, stream: false }, signal)
    } catch (error) {
      if (isMeshError(error, 'unavailable')) recheck.now()
      throw error
    }
  }

  return {
    id,
    kind: 'openai-chat',
    call: calls.call,
    discover: (signal) => discoverBy(recheck, calls, signal)
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
