/** Answers of models, exactly as the OpenAI API has them: servers leave out, or write in other ways, what its clients rely on. */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { MeshError } from '../../errors.ts'
import { isObject } from './request-fields.ts'

/** What an answer is called where its server does not say. */
export interface AnswerHead {
  id: string
  /** Unix time in s. */
  created: number
  model: string
}

/** The head of an answer, with what it says itself. */
function headOf({ id, created, model }: JsonObject, head: AnswerHead): JsonObject & AnswerHead {
  return {
    id: typeof id === 'string' && id !== '' ? id : head.id,
    created: typeof created === 'number' ? created : head.created,
    model: typeof model === 'string' && model !== '' ? model : head.model
  }
}

/** A whole answer. */
export function shapeCompletion(answer: JsonObject, given: AnswerHead): JsonObject {
  const { id, created, model } = headOf(answer, given)
  const choices = listOf(answer['choices']).map((choice, at) => {
    const { index = at, message, finish_reason: reason = null, ...rest } = choice
    const { role = 'assistant', content = null, tool_calls: calls, ...other } = isObject(message) ? message : {}
    const shaped = listOf(calls).map((call, n) => shapeCall(call, `call_${at}_${n}`))
    const isCalling = shaped.length > 0
    return {
      index: boundedIndex(index),
      ...rest,
      message: { role, content, ...other, ...(isCalling && { tool_calls: shaped }) },
      finish_reason: finishOf(reason, isCalling)
    }
  })
  return { ...answer, id, object: 'chat.completion', created, model, choices }
}

/** See {@link createChunkShape}. */
export interface ChunkShape {
  /** A chunk; undefined for one that says nothing. @throws MeshError `protocol_error` for an index that is none. */
  shape(chunk: JsonObject): JsonObject | undefined
  /** The last chunk, if the client asks for it. */
  usage(usage: JsonValue): JsonObject
}

/** Shapes the chunks of one answer: one head for all, a role in the first of each choice, an index in each call, no usage. */
export function createChunkShape(given: AnswerHead): ChunkShape {
  let head: AnswerHead | undefined
  const begun = new Set<number>()
  const calls = new Map<number, KnownCalls>()

  function shapeChoice(choice: JsonObject, at: number): JsonObject {
    const { index: given = at, delta, finish_reason: reason = null, ...rest } = choice
    const index = boundedIndex(given)
    const { role: _role, tool_calls: called, ...said } = isObject(delta) ? delta : {}
    const role = begun.has(index) ? {} : { role: 'assistant', ...(called === undefined && { content: '' }) }
    begun.add(index)
    const known = calls.get(index) ?? new Map<number, string>()
    calls.set(index, known)
    const shaped = listOf(called).map((call) => shapeCallDelta(call, known))
    return {
      index,
      ...rest,
      delta: { ...role, ...withoutNulls(said), ...(shaped.length > 0 && { tool_calls: shaped }) },
      finish_reason: finishOf(reason, known.size > 0)
    }
  }

  const wrap = (choices: JsonObject[], chunk: JsonObject): JsonObject => {
    head ??= headOf(chunk, given)
    const { usage: _usage, ...rest } = chunk
    return { ...rest, ...head, object: 'chat.completion.chunk', choices }
  }
  return {
    shape(chunk) {
      const choices = listOf(chunk['choices'])
      return choices.length === 0 ? undefined : wrap(choices.map(shapeChoice), chunk)
    },
    usage: (usage) => ({ ...wrap([], {}), usage })
  }
}

/** A whole answer as the chunks that a server which streams would send. */
export function chunksOf(answer: JsonObject): JsonObject[] {
  const { choices, usage: _usage, ...head } = answer
  return listOf(choices).flatMap((choice, at) => {
    const { index = at, message, finish_reason: reason = 'stop', ...rest } = choice
    const { tool_calls: calls, ...said } = isObject(message) ? message : {}
    const numbered = listOf(calls).map((call, n) => ({ ...call, index: n }))
    const delta = { ...said, ...(numbered.length > 0 && { tool_calls: numbered }) }
    return [
      { ...head, choices: [{ index, ...rest, delta }] },
      { ...head, choices: [{ index, delta: {}, finish_reason: reason }] }
    ]
  })
}

/** Calls of a choice: their ids by their index. */
type KnownCalls = Map<number, string>

/** A call in a chunk: with its index, and as the first of its kind with id, type and name. */
function shapeCallDelta(call: JsonObject, known: KnownCalls): JsonObject {
  const { index: given, id, type: _type, function: named } = call
  const { name, arguments: written } = isObject(named) ? named : {}
  const ownId = typeof id === 'string' && id !== '' ? id : undefined
  const index = given === undefined || given === null ? indexFor(ownId, known) : boundedIndex(given)
  const text = textOf(written)
  if (known.has(index)) return { index, function: { arguments: text } }
  const its = ownId ?? `call_${index}`
  known.set(index, its)
  return { index, id: its, type: 'function', function: { name: typeof name === 'string' ? name : '', arguments: text } }
}

/** Without an index a call goes on by its id, or is the next; without either it is the last one. */
function indexFor(id: string | undefined, known: KnownCalls): number {
  const last = Math.max(-1, ...known.keys())
  if (id === undefined) return Math.max(last, 0)
  for (const [index, its] of known) if (its === id) return index
  return boundedIndex(last + 1)
}

/** Most choices of an answer, and most calls in one of them. */
const MAX_ENTRIES = 256

/** @throws MeshError `protocol_error`. */
function boundedIndex(value: JsonValue): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MAX_ENTRIES) return value
  throw new MeshError(
    'protocol_error',
    `the model has numbered a part of its answer with something else than 0 to ${MAX_ENTRIES - 1}`
  )
}

function shapeCall(call: JsonObject, fallback: string): JsonObject {
  const { id, type = 'function', index: _index, function: named, ...rest } = call
  const shaped = isObject(named) ? { ...named, arguments: textOf(named['arguments']) } : named
  return {
    id: typeof id === 'string' && id !== '' ? id : fallback,
    type,
    ...rest,
    ...(shaped !== undefined && { function: shaped })
  }
}

/** Arguments are JSON in a text. */
function textOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value
  return value === undefined || value === null ? '' : JSON.stringify(value)
}

/** Some servers stop where they mean that they call. */
function finishOf(reason: JsonValue, isCalling: boolean): JsonValue {
  return reason === 'stop' && isCalling ? 'tool_calls' : reason
}

function withoutNulls(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null))
}

function listOf(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
