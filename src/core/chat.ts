/** What a capability of type `llm/chat` takes and gives: the chat completions of OpenAI, https://platform.openai.com/docs/api-reference/chat */
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { MeshError } from '../errors.ts'

/** Type of the capabilities that talk. */
export const CHAT_TYPE = 'llm/chat'
/** Their tool: its input is a request for a chat completion; its result the whole answer, before which with `stream: true` its chunks come. */
export const CHAT_TOOL = 'chat'
/** About how many characters a token is, where nobody has counted. */
export const CHARACTERS_PER_TOKEN = 4

/** A function that the model asks for. `arguments` is JSON, if the model has written it well. */
export interface ChatToolCall {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
}

/** A message of a conversation. */
export type ChatMessage =
  | { role: 'system' | 'user'; content: string }
  | { role: 'assistant'; content: string | null; tool_calls?: ChatToolCall[] }
  | { role: 'tool'; tool_call_id: string; content: string }

/** A part of a message that has more than words. */
export type ChatPart = { type: 'text'; text: string } | { type: 'image_url'; image_url: { url: string } }

/** A message as it is sent: of a conversation, or pictures that are shown beside it. */
export type ChatRequestMessage = ChatMessage | { role: 'user'; content: ChatPart[] }

/** A function that a model may ask for. */
export interface ChatFunction {
  type: 'function'
  function: { name: string; description: string; parameters: JsonObject }
}

/** The part of a request that this project writes itself; others may send all that their server takes. */
export interface ChatRequest {
  messages: readonly ChatRequestMessage[]
  tools?: readonly ChatFunction[]
  max_tokens?: number
  temperature?: number
}

/** What a model has answered. */
export interface ChatAnswer {
  text: string
  calls: ChatToolCall[]
  /** Those of the question included; undefined if the server has not counted. */
  tokens: number | undefined
  /** It had more to say than it was allowed to. */
  isCut: boolean
}

/** JSON Schema of the input of {@link CHAT_TOOL}: what all servers know, and whatever else the one behind it takes. */
export const CHAT_INPUT: JsonObject = {
  type: 'object',
  required: ['messages'],
  properties: {
    messages: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['role'],
        properties: { role: { enum: ['system', 'developer', 'user', 'assistant', 'tool'] } }
      }
    },
    tools: { type: 'array', items: { type: 'object' } },
    tool_choice: { type: ['string', 'object'] },
    max_tokens: { type: 'integer', minimum: 1 },
    temperature: { type: 'number' },
    stream: { type: 'boolean' }
  }
}

/** Reads the first choice of an answer. @throws MeshError `protocol_error` if there is none. */
export function readChatAnswer(value: JsonValue): ChatAnswer {
  const body = asObject(value)
  const [first] = Array.isArray(body['choices']) ? body['choices'] : []
  const choice = asObject(first)
  const message = choice['message']
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    throw new MeshError('protocol_error', 'the model has answered without a message; is its capability of type llm/chat?')
  const { content, tool_calls: calls } = message
  const total = asObject(body['usage'])['total_tokens']
  return {
    text: typeof content === 'string' ? content : '',
    calls: (Array.isArray(calls) ? calls : []).map(readCall),
    tokens: typeof total === 'number' && total >= 0 ? total : undefined,
    isCut: choice['finish_reason'] === 'length'
  }
}

/** Some servers leave out ids, or give arguments as an object. */
function readCall(value: JsonValue): ChatToolCall {
  const call = asObject(value)
  const { name, arguments: given = '' } = asObject(call['function'])
  return {
    id: typeof call['id'] === 'string' ? call['id'] : '',
    type: 'function',
    function: {
      name: typeof name === 'string' ? name : '',
      arguments: typeof given === 'string' ? given : JSON.stringify(given)
    }
  }
}

function asObject(value: JsonValue | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
}
