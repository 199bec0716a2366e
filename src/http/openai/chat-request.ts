/** A request for a chat completion: https://platform.openai.com/docs/api-reference/chat/create */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import type { CapabilityView } from '../../mesh-api.ts'
import type { ModelNeeds } from './find-model.ts'
import { MODEL_USES, toolFor } from './model-uses.ts'
import { refused, wrongField } from './openai-errors.ts'
import { givenFields, isObject, modelIn, type FieldKind } from './request-fields.ts'

/** Most tools of one request. */
export const MAX_REQUEST_TOOLS = 1_024

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function']
const FIELDS = {
  messages: 'list',
  stream: 'flag',
  stream_options: 'object',
  tools: 'list',
  parallel_tool_calls: 'flag',
  response_format: 'object',
  n: 'count',
  max_tokens: 'count',
  max_completion_tokens: 'count',
  temperature: 'number',
  top_p: 'number',
  presence_penalty: 'number',
  frequency_penalty: 'number',
  seed: 'number',
  logprobs: 'flag',
  logit_bias: 'object'
} as const satisfies Record<string, FieldKind>

/** A request that was checked. All that a server behind the mesh may know is passed on. */
export interface ChatAsked {
  model: string
  needs: ModelNeeds
  isStream: boolean
  /** The client wants to know at the end of a stream what was used. */
  withUsage: boolean
  /** The input of the tool, for a capability: one that cannot stream is not asked to. */
  input(view: CapabilityView): JsonObject
}

/** Checks a request. @throws a refusal that names the field that is wrong. */
export function chatAsked(body: JsonObject): ChatAsked {
  const { model: _model, stream: _stream, stream_options: options, ...input } = givenFields(body, FIELDS)
  const model = modelIn(body)
  const isStream = body['stream'] === true
  if (options !== undefined && !isStream)
    throw refused(400, 'stream_options goes with stream: true alone', 'stream_options', 'invalid_value')
  const { messages, tools } = input
  if (messages === undefined) throw refused(400, 'messages is missing', 'messages', 'missing_required_parameter')
  if ((messages as JsonValue[]).length === 0) throw wrongField('messages', 'an array of one message or more')
  for (const [at, message] of (messages as JsonValue[]).entries()) checkMessage(message, `messages[${at}]`)
  if (tools !== undefined) checkTools(tools as JsonValue[])
  return {
    model,
    needs: { tools: ((tools as JsonValue[] | undefined)?.length ?? 0) > 0, vision: (messages as JsonValue[]).some(showsImage) },
    isStream,
    withUsage: isObject(options) && options['include_usage'] === true,
    input: (view) =>
      isStream && toolFor(view, MODEL_USES.chat.tool)?.streams === true
        ? { ...input, stream: true, ...(options !== undefined && { stream_options: options }) }
        : input
  }
}

function checkMessage(message: JsonValue, at: string): void {
  if (!isObject(message)) throw wrongField(at, 'an object')
  const { role, content = null, tool_calls: calls = null } = message
  if (typeof role !== 'string' || !ROLES.includes(role)) throw wrongField(`${at}.role`, `one of ${ROLES.join(', ')}`)
  if (content !== null && typeof content !== 'string' && !Array.isArray(content))
    throw wrongField(`${at}.content`, 'a string, or an array of parts')
  if (Array.isArray(content))
    for (const [n, part] of content.entries()) {
      if (!isObject(part) || typeof part['type'] !== 'string') throw wrongField(`${at}.content[${n}]`, 'an object with a type')
    }
  if (content === null && role !== 'assistant') throw wrongField(`${at}.content`, 'a string, or an array of parts')
  if (calls !== null && !Array.isArray(calls)) throw wrongField(`${at}.tool_calls`, 'an array')
  if (role === 'tool' && typeof message['tool_call_id'] !== 'string') throw wrongField(`${at}.tool_call_id`, 'a string')
}

function checkTools(tools: JsonValue[]): void {
  if (tools.length > MAX_REQUEST_TOOLS) throw wrongField('tools', `an array of at most ${MAX_REQUEST_TOOLS}`)
  for (const [at, tool] of tools.entries()) {
    if (!isObject(tool) || typeof tool['type'] !== 'string') throw wrongField(`tools[${at}]`, 'an object with a type')
    const named = tool['function']
    if (tool['type'] === 'function' && !(isObject(named) && typeof named['name'] === 'string' && named['name'] !== ''))
      throw wrongField(`tools[${at}].function.name`, 'a string')
  }
}

function showsImage(message: JsonValue): boolean {
  const content = isObject(message) ? message['content'] : undefined
  return Array.isArray(content) && content.some((part) => isObject(part) && part['type'] === 'image_url')
}
