/** The input of a response as messages of a chat: https://platform.openai.com/docs/api-reference/responses/create#responses_create-input */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { refused, wrongField } from './openai-errors.ts'
import { isObject } from './request-fields.ts'

/** Most items of one input. */
export const MAX_INPUT_ITEMS = 4_096

/** Roles of messages, and those that models of any server know. */
const ROLES: Readonly<Record<string, string>> = { user: 'user', assistant: 'assistant', system: 'system', developer: 'system' }
/** Items without a meaning for a chat: what a model thought is not shown to it again. */
const LEFT_OUT = ['reasoning']

/** Finds an item of an earlier response. */
export type FindItem = (id: string) => JsonObject | undefined

/** The messages that an input stands for. @throws a refusal that names the item that is wrong. */
export function messagesIn(input: JsonValue | undefined, find: FindItem): JsonObject[] {
  if (input === undefined) throw refused(400, 'input is missing', 'input', 'missing_required_parameter')
  if (typeof input === 'string') return [{ role: 'user', content: input }]
  if (!Array.isArray(input) || input.length === 0 || input.length > MAX_INPUT_ITEMS)
    throw wrongField('input', `a string, or an array of 1 to ${MAX_INPUT_ITEMS} items`)
  const messages: JsonObject[] = []
  for (const [at, item] of input.entries()) addItem(messages, item, `input[${at}]`, find)
  if (messages.length === 0) throw wrongField('input', 'an array with a message in it')
  return messages
}

/** The messages of what a model has answered. */
export function messagesOfOutput(output: readonly JsonObject[]): JsonObject[] {
  const messages: JsonObject[] = []
  for (const item of output) addItem(messages, item, 'output', () => undefined)
  return messages
}

function addItem(messages: JsonObject[], item: JsonValue, at: string, find: FindItem): void {
  if (!isObject(item)) throw wrongField(at, 'an object')
  const { type = 'message' } = item
  if (type === 'message') messages.push(messageOf(item, at))
  else if (type === 'function_call') addCall(messages, item, at)
  else if (type === 'function_call_output') messages.push(resultOf(item, at))
  else if (type === 'item_reference') addItem(messages, referred(item, at, find), at, () => undefined)
  else if (typeof type !== 'string' || !LEFT_OUT.includes(type))
    throw wrongField(`${at}.type`, 'message, function_call, function_call_output, item_reference or reasoning')
}

/** @throws a refusal also where the item is no more. */
function referred({ id }: JsonObject, at: string, find: FindItem): JsonObject {
  const found = typeof id === 'string' ? find(id) : undefined
  if (found !== undefined) return found
  throw refused(
    400,
    `${at}.id: this node has no item with this id (any more); send the item itself, and store: false where your client has a choice`,
    `${at}.id`,
    'item_not_found'
  )
}

function messageOf({ role, content }: JsonObject, at: string): JsonObject {
  if (typeof role !== 'string' || !Object.hasOwn(ROLES, role))
    throw wrongField(`${at}.role`, `one of ${Object.keys(ROLES).join(', ')}`)
  const its = { role: ROLES[role]! }
  if (typeof content === 'string') return { ...its, content }
  if (!Array.isArray(content)) throw wrongField(`${at}.content`, 'a string, or an array of parts')
  const parts = content.map((part, n) => partOf(part, `${at}.content[${n}]`))
  const texts = textsOf(parts)
  // A list of texts is nothing that all servers know.
  return { ...its, content: texts !== undefined && (role !== 'user' || texts.length === 1) ? texts.join('') : parts }
}

/** A part of a message. What it may not be is told by its name. */
function partOf(part: JsonValue, at: string): JsonObject {
  if (!isObject(part)) throw wrongField(at, 'an object with a type')
  const { type } = part
  switch (type) {
    case 'input_text':
    case 'output_text':
      return { type: 'text', text: textIn(part['text'], `${at}.text`) }
    case 'refusal':
      return { type: 'text', text: textIn(part['refusal'], `${at}.refusal`) }
    case 'input_image': {
      const { image_url: url, detail } = part
      if (typeof url !== 'string')
        throw wrongField(`${at}.image_url`, 'a URL, or an image as a data URL: there are no files here')
      return { type: 'image_url', image_url: { url, ...(typeof detail === 'string' && { detail }) } }
    }
    case 'input_file': {
      const { file_data: data, filename } = part
      if (typeof data !== 'string') throw wrongField(`${at}.file_data`, 'a file in base64: there are no files here')
      return { type: 'file', file: { file_data: data, ...(typeof filename === 'string' && { filename }) } }
    }
    case 'input_audio':
      if (!isObject(part['input_audio'])) throw wrongField(`${at}.input_audio`, 'an object')
      return { type: 'input_audio', input_audio: part['input_audio'] }
    default:
      throw wrongField(`${at}.type`, 'input_text, output_text, refusal, input_image, input_file or input_audio')
  }
}

/** Calls that follow each other, or what was said before them, are one message. */
function addCall(messages: JsonObject[], item: JsonObject, at: string): void {
  const name = textIn(item['name'], `${at}.name`)
  const written = textIn(item['arguments'], `${at}.arguments`)
  const call = { id: callId(item, at), type: 'function', function: { name, arguments: written } }
  const last = messages.at(-1)
  if (last?.['role'] !== 'assistant') return void messages.push({ role: 'assistant', content: null, tool_calls: [call] })
  const before = Array.isArray(last['tool_calls']) ? last['tool_calls'] : []
  messages[messages.length - 1] = { ...last, tool_calls: [...before, call] }
}

function resultOf(item: JsonObject, at: string): JsonObject {
  const { output } = item
  const message = { role: 'tool', tool_call_id: callId(item, at) }
  if (typeof output === 'string') return { ...message, content: output }
  if (!Array.isArray(output)) throw wrongField(`${at}.output`, 'a string, or an array of parts')
  const texts = textsOf(output.map((part, n) => partOf(part, `${at}.output[${n}]`)))
  if (texts === undefined) throw wrongField(`${at}.output`, 'text: models that chat take nothing else from a function')
  return { ...message, content: texts.join('\n') }
}

function callId({ call_id: id }: JsonObject, at: string): string {
  if (typeof id !== 'string' || id === '') throw wrongField(`${at}.call_id`, 'a string')
  return id
}

function textIn(text: JsonValue | undefined, at: string): string {
  if (typeof text !== 'string') throw wrongField(at, 'a string')
  return text
}

/** The texts of parts; undefined if one is no text. */
function textsOf(parts: readonly JsonObject[]): string[] | undefined {
  return parts.every(({ type }) => type === 'text') ? parts.map(({ text }) => text as string) : undefined
}
