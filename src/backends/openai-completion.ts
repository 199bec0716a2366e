/** The chunks of a chat completion put together: https://platform.openai.com/docs/api-reference/chat-streaming */
import { isDeeper, type JsonObject, type JsonValue } from '../../protocols/json.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { MeshError } from '../errors.ts'

/** Most choices of one answer, most calls in one of them, and most keys of one object that is put together. */
const MAX_ENTRIES = 256
/** Said once; all other texts come in parts. */
const WHOLE_TEXTS = new Set(['id', 'object', 'role', 'type', 'name', 'finish_reason', 'model'])
/** What the first chunk says, holds. */
const FIRST_WINS = new Set(['id', 'created', 'model'])

/** See {@link createCompletion}. */
export interface Completion {
  /** @throws MeshError `protocol_error` for what is no chunk, `too_large`. */
  add(chunk: JsonObject): void
  /** The answer. @throws MeshError `unavailable` if it has not come to its end: some servers say nothing of a failure in its middle. */
  whole(): JsonObject
}

interface Choice {
  message: Map<string, JsonValue>
  calls: Map<number, JsonObject>
  other: Map<string, JsonValue>
}

/** Puts chunks together. @param limit longest answer, in characters. */
export function createCompletion(limit: number): Completion {
  const top = new Map<string, JsonValue>()
  const choices = new Map<number, Choice>()
  let length = 0

  function choiceAt(index: number): Choice {
    let choice = choices.get(index)
    if (choice === undefined) {
      if (choices.size >= MAX_ENTRIES) throw noChunk()
      choices.set(index, (choice = { message: new Map(), calls: new Map(), other: new Map() }))
    }
    return choice
  }

  /** What the last chunk says, holds: usage grows, and comes with each. */
  function addTop(key: string, value: JsonValue): void {
    const before = top.get(key)
    if (value === null || (FIRST_WINS.has(key) && before !== undefined)) return
    if (before === undefined && top.size >= MAX_ENTRIES) throw noChunk()
    length += lengthOf(value) + (before === undefined ? key.length : -lengthOf(before))
    top.set(key, value)
  }

  function addChoice(value: JsonValue): void {
    if (!isObject(value)) throw noChunk()
    const { index, delta, ...other } = value
    const choice = choiceAt(typeof index === 'number' ? index : 0)
    length += addTo(choice.other, other)
    if (!isObject(delta)) return
    const { tool_calls: calls, ...message } = delta
    length += addTo(choice.message, message)
    if (Array.isArray(calls)) for (const call of calls) length += addCall(choice.calls, call)
  }

  return {
    add(chunk) {
      if (isDeeper(chunk, MAX_JSON_DEPTH)) throw noChunk()
      const { choices: parts, object: _object, ...other } = chunk
      if (parts !== undefined && !Array.isArray(parts)) throw noChunk()
      for (const [key, value] of Object.entries(other)) addTop(key, value)
      parts?.forEach(addChoice)
      if (length > limit) throw new MeshError('too_large', `the server answers with more than ${limit} characters`, { limit })
    },
    whole() {
      const all = [...choices].sort(([a], [b]) => a - b)
      if (all.length === 0 || all.some(([, { other }]) => typeof other.get('finish_reason') !== 'string'))
        throw new MeshError('unavailable', 'the server has ended its answer in the middle', { reason: 'cut' })
      return {
        ...Object.fromEntries(top),
        object: 'chat.completion',
        choices: all.map(([index, choice]) => wholeChoice(index, choice))
      }
    }
  }
}

function wholeChoice(index: number, { message, calls, other }: Choice): JsonObject {
  const tools = [...calls].sort(([a], [b]) => a - b).map(([, call]) => call)
  const { role = 'assistant', content = null, ...rest } = Object.fromEntries(message)
  return {
    index,
    message: { role, content, ...rest, ...(tools.length > 0 && { tool_calls: tools }) },
    ...Object.fromEntries(other)
  }
}

/** Without an index a call goes on by its id, or is the next. @returns by how many characters the answer has grown. */
function addCall(calls: Map<number, JsonObject>, value: JsonValue): number {
  if (!isObject(value)) throw noChunk()
  const { index, ...part } = value
  const byId = [...calls].find(([, { id }]) => id !== undefined && id === part['id'])?.[0]
  const next = part['id'] === undefined ? Math.max(0, calls.size - 1) : calls.size
  const at = typeof index === 'number' ? index : (byId ?? next)
  const so = new Map(Object.entries(calls.get(at) ?? {}))
  if (so.size === 0 && calls.size >= MAX_ENTRIES) throw noChunk()
  const grown = addTo(so, {
    type: 'function',
    ...part,
    ...(isObject(part['function']) && { function: withText(part['function']) })
  })
  calls.set(at, Object.fromEntries(so))
  return grown
}

/** Some servers give arguments as the object itself. */
function withText(named: JsonObject): JsonObject {
  const { arguments: given } = named
  return isObject(given) ? { ...named, arguments: JSON.stringify(given) } : named
}

/** Texts are put behind each other, lists as well, objects key by key; of anything else the last holds. @returns by how many characters that has grown. */
function addTo(into: Map<string, JsonValue>, part: JsonObject): number {
  let grown = 0
  for (const [key, value] of Object.entries(part)) {
    const before = into.get(key)
    if (before === undefined) {
      if (into.size >= MAX_ENTRIES) throw noChunk()
      // Its own: more may come to lists in it.
      into.set(key, structuredClone(value))
      grown += key.length + lengthOf(value)
    } else if (value !== null) grown += join(into, key, before, value)
  }
  return grown
}

function join(into: Map<string, JsonValue>, key: string, before: JsonValue, value: JsonValue): number {
  if (typeof value === 'string' && typeof before === 'string') {
    if (WHOLE_TEXTS.has(key)) return 0
    into.set(key, before + value)
    return value.length
  }
  if (Array.isArray(value) && Array.isArray(before)) {
    for (const one of value) before.push(one)
    return lengthOf(value)
  }
  if (isObject(value) && isObject(before)) {
    const inner = new Map(Object.entries(before))
    const grown = addTo(inner, value)
    into.set(key, Object.fromEntries(inner))
    return grown
  }
  into.set(key, value)
  return lengthOf(value) - lengthOf(before)
}

/** In characters: what it takes as JSON, roughly. Nothing takes none. */
function lengthOf(value: JsonValue): number {
  if (typeof value === 'string') return value.length + 1
  if (Array.isArray(value)) return value.reduce<number>((sum, one) => sum + lengthOf(one), 1)
  return isObject(value) ? Object.entries(value).reduce((sum, [key, one]) => sum + key.length + lengthOf(one), 1) : 1
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function noChunk(): MeshError {
  return new MeshError(
    'protocol_error',
    'the server streams something that is no chunk of a chat completion; is its address right?'
  )
}
