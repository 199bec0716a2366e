/** A request for a response (https://platform.openai.com/docs/api-reference/responses/create) as one for a chat completion. */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { chatAsked, type ChatAsked } from './chat-request.ts'
import { refused, wrongField } from './openai-errors.ts'
import { givenFields, isObject, modelIn, refuseFields, type FieldKind } from './request-fields.ts'
import { messagesIn } from './responses-input.ts'
import type { ResponsesMemory } from './responses-memory.ts'

const FIELDS = {
  instructions: 'text',
  stream: 'flag',
  stream_options: 'object',
  store: 'flag',
  background: 'flag',
  tools: 'list',
  parallel_tool_calls: 'flag',
  text: 'object',
  reasoning: 'object',
  metadata: 'object',
  include: 'list',
  max_output_tokens: 'count',
  max_tool_calls: 'count',
  temperature: 'number',
  top_p: 'number',
  top_logprobs: 'number',
  truncation: 'text',
  previous_response_id: 'text'
} as const satisfies Record<string, FieldKind>

/** What nobody here can do, and what to do instead. */
const NOT_THERE: Readonly<Record<string, string>> = {
  conversation: 'is not supported: send the items of the conversation as input, or previous_response_id',
  prompt: 'is not supported: this node stores no prompts; send instructions and input',
  context_management: 'is not supported: send a shorter input',
  moderation: 'is not supported'
}
/** Keys of `metadata`. */
const MAX_METADATA = 16
/** Of each, in characters. */
const MAX_METADATA_KEY = 64
const MAX_METADATA_VALUE = 512
const WITH_MODE = ['none', 'auto', 'required']

/** A request that was checked. */
export interface ResponseAsked {
  chat: ChatAsked
  /** The conversation so far, without instructions. */
  messages: JsonObject[]
  store: boolean
  /** What the response says of the request. */
  echo: JsonObject
}

/** Checks a request. @param memory for what it refers to. @throws a refusal that names the field that is wrong. */
export function responseAsked(body: JsonObject, memory: Pick<ResponsesMemory, 'find' | 'item'>): ResponseAsked {
  const given = givenFields(body, FIELDS)
  const model = modelIn(given)
  for (const [key, why] of Object.entries(NOT_THERE)) refuseFields(given, [key], why)
  refuseWhatNobodyDoes(given)
  const { input, instructions, stream, stream_options: options, store = true, tools = [], tool_choice: choice, ...more } = given
  const { text, reasoning, metadata: noted = {}, max_output_tokens: most, previous_response_id: previous, ...rest } = more
  const { background: _b, include: _i, max_tool_calls: _m, top_logprobs: _l, truncation: _t, ...passed } = rest
  if (options !== undefined && stream !== true)
    throw refused(400, 'stream_options goes with stream: true alone', 'stream_options', 'invalid_value')
  const messages = [...before(previous, memory), ...messagesIn(input, (id) => memory.item(id))]
  const { format, verbosity } = (text ?? {}) as JsonObject
  const effort = isObject(reasoning) ? reasoning['effort'] : undefined
  const functions = functionsIn(tools as JsonValue[])
  const optional = {
    max_tokens: most,
    tool_choice: choiceIn(choice),
    response_format: formatIn(format),
    verbosity,
    reasoning_effort: effort,
    ...(functions.length > 0 && { tools: functions })
  }
  const chat = chatAsked({
    ...passed,
    ...(Object.fromEntries(Object.entries(optional).filter(([, one]) => one !== undefined && one !== null)) as JsonObject),
    model,
    messages: [...(instructions === undefined ? [] : [{ role: 'system', content: instructions }]), ...messages],
    ...(stream === true && { stream: true })
  })
  const echo = {
    instructions: instructions ?? null,
    max_output_tokens: most ?? null,
    metadata: metadataIn(noted as JsonObject),
    parallel_tool_calls: given['parallel_tool_calls'] ?? true,
    previous_response_id: previous ?? null,
    reasoning: { effort: effort ?? null, summary: null },
    store,
    temperature: given['temperature'] ?? null,
    text: { format: format ?? { type: 'text' }, ...(verbosity !== undefined && { verbosity }) },
    tool_choice: choice ?? 'auto',
    tools,
    top_p: given['top_p'] ?? null,
    truncation: 'disabled'
  }
  return { chat, messages, store: store === true, echo }
}

function refuseWhatNobodyDoes({ background, truncation, top_logprobs: logprobs, include = [] }: JsonObject): void {
  if (background === true)
    throw refused(400, 'background is not supported: wait for the answer, or stream it', 'background', 'unsupported_value')
  if (truncation !== undefined && truncation !== 'disabled')
    throw refused(400, 'truncation must be disabled: send a shorter input', 'truncation', 'unsupported_value')
  if (logprobs !== undefined && logprobs !== 0)
    throw refused(400, 'top_logprobs is not supported here; /v1/chat/completions has it', 'top_logprobs', 'unsupported_value')
  const at = (include as JsonValue[]).indexOf('message.output_text.logprobs')
  if (at >= 0)
    throw refused(400, `include[${at}] is not supported here; /v1/chat/completions has it`, `include[${at}]`, 'unsupported_value')
}

/** https://platform.openai.com/docs/api-reference/responses/create#responses-create-metadata */
function metadataIn(metadata: JsonObject): JsonObject {
  const entries = Object.entries(metadata)
  if (entries.length > MAX_METADATA || entries.some(([key]) => key.length > MAX_METADATA_KEY))
    throw wrongField('metadata', `an object of at most ${MAX_METADATA} keys, each of at most ${MAX_METADATA_KEY} characters`)
  const wrong = entries.find(([, value]) => typeof value !== 'string' || value.length > MAX_METADATA_VALUE)
  if (wrong !== undefined) throw wrongField(`metadata.${wrong[0]}`, `a string of at most ${MAX_METADATA_VALUE} characters`)
  return metadata
}

/** The conversation that a response ended. */
function before(previous: JsonValue | undefined, memory: Pick<ResponsesMemory, 'find'>): readonly JsonObject[] {
  if (typeof previous !== 'string') return []
  const kept = memory.find(previous)
  if (kept !== undefined) return kept.messages
  const message = `this node has no response "${previous.slice(0, MAX_SHOWN)}" (any more): send the whole conversation as input`
  throw refused(400, message, 'previous_response_id', 'previous_response_not_found')
}
const MAX_SHOWN = 128

/** https://platform.openai.com/docs/guides/function-calling */
function functionsIn(tools: readonly JsonValue[]): JsonObject[] {
  return tools.map((tool, at) => {
    if (!isObject(tool) || typeof tool['type'] !== 'string') throw wrongField(`tools[${at}]`, 'an object with a type')
    const { type, name, description, parameters, strict } = tool
    if (type !== 'function')
      throw refused(
        400,
        `tools[${at}].type: "${type.slice(0, MAX_SHOWN)}" is built into the servers of OpenAI alone; here tools are functions, which your program runs`,
        `tools[${at}].type`,
        'unsupported_value'
      )
    if (typeof name !== 'string' || name === '') throw wrongField(`tools[${at}].name`, 'a string')
    const optional = Object.entries({ description, strict }).filter(([, one]) => one !== undefined && one !== null)
    const schema = isObject(parameters) ? parameters : { type: 'object', properties: {} }
    return { type, function: { name, ...(Object.fromEntries(optional) as JsonObject), parameters: schema } }
  })
}

function choiceIn(choice: JsonValue | undefined): JsonValue | undefined {
  if (choice === undefined || (typeof choice === 'string' && WITH_MODE.includes(choice))) return choice
  if (isObject(choice) && choice['type'] === 'function' && typeof choice['name'] === 'string')
    return { type: 'function', function: { name: choice['name'] } }
  throw wrongField('tool_choice', `${WITH_MODE.join(', ')}, or an object with the type function and a name`)
}

/** https://platform.openai.com/docs/guides/structured-outputs */
function formatIn(format: JsonValue | undefined): JsonObject | undefined {
  if (format === undefined || format === null) return undefined
  if (!isObject(format)) throw wrongField('text.format', 'an object with a type')
  const { type, ...schema } = format
  if (type === 'text') return undefined
  if (type === 'json_object') return { type }
  if (type !== 'json_schema') throw wrongField('text.format.type', 'text, json_object or json_schema')
  if (typeof schema['name'] !== 'string') throw wrongField('text.format.name', 'a string')
  if (!isObject(schema['schema'])) throw wrongField('text.format.schema', 'an object')
  return { type, json_schema: schema }
}
