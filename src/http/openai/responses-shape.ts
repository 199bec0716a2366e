/** The answer of a model that chats as a response, and as the events of one: https://platform.openai.com/docs/api-reference/responses-streaming */
import type { JsonObject, JsonValue } from '../../../protocols/json.ts'
import { MeshError } from '../../errors.ts'
import { openAiError } from './openai-errors.ts'
import { isObject } from './request-fields.ts'

/** Most items of one answer: what a model says, and the functions that it calls. */
const MAX_OUTPUT_ITEMS = 1_024
/** Longest answer, in characters of its texts and arguments: each is in the last event once more. What a node streams to others is bounded by it, what others stream is not. */
export const MAX_OUTPUT_CHARACTERS = 4 * 1024 * 1024
/** Why an answer is not whole, as the reason of its end says. */
const INCOMPLETE: Readonly<Record<string, string>> = { length: 'max_output_tokens', content_filter: 'content_filter' }

/** What texts are called: parts of a message, their fields, and their events. */
const TEXTS: Record<'content' | 'refusal', { type: string; field: string; event: string; more: JsonObject }> = {
  content: { type: 'output_text', field: 'text', event: 'response.output_text', more: { annotations: [], logprobs: [] } },
  refusal: { type: 'refusal', field: 'refusal', event: 'response.refusal', more: {} }
}
type TextKind = keyof typeof TEXTS

/** See {@link createResponseShape}. */
export interface ResponseShape {
  /** What comes before the answer. */
  begin(): JsonObject[]
  /** What a chunk of a chat completion, shaped as those of `chat-routes`, adds. @throws MeshError `protocol_error`. */
  add(chunk: JsonObject): JsonObject[]
  /** What comes last, if all went well. */
  end(): JsonObject[]
  /** What comes last, if not. */
  fail(error: unknown): JsonObject[]
  /** The response as it is. */
  response(): JsonObject & { output: JsonObject[] }
}

/** An item that grows. */
interface OpenItem {
  at: number
  item: JsonObject & { id: string }
  /** What it has said so far. */
  written: string
  kind: TextKind | 'call'
}

/** Makes the events of one response. @param head its id, time, model, and what it says of the request. */
export function createResponseShape(head: JsonObject & { id: string }): ResponseShape {
  const output: JsonObject[] = []
  const calls = new Map<JsonValue, OpenItem>()
  let text: OpenItem | undefined
  let end: JsonObject = { status: 'in_progress' }
  let finish: string | undefined
  let usage: JsonObject | undefined
  let sequence = 0
  let characters = 0

  const response = (): JsonObject & { output: JsonObject[] } => ({
    ...head,
    object: 'response',
    ...{ background: false, error: null, incomplete_details: null },
    ...end,
    output: [...output],
    ...(usage !== undefined && { usage })
  })
  const event = (type: string, fields: JsonObject): JsonObject => ({ type, sequence_number: sequence++, ...fields })
  const placed = ({ at, item }: OpenItem): JsonObject => ({ item_id: item.id, output_index: at })

  function open(kind: OpenItem['kind'], made: JsonObject): OpenItem {
    const at = output.length
    if (at >= MAX_OUTPUT_ITEMS) throw new MeshError('protocol_error', 'the model answers with too many calls')
    const id = `${kind === 'call' ? 'fc' : 'msg'}_${head.id.replace(/^resp_/, '')}_${at}`
    const item = { id, ...made, status: 'in_progress' }
    output.push(item)
    return { at, item, written: '', kind }
  }

  function write(item: OpenItem, delta: string): void {
    item.written += delta
    characters += delta.length
    if (characters > MAX_OUTPUT_CHARACTERS)
      throw new MeshError('too_large', `the model answers with more than ${MAX_OUTPUT_CHARACTERS} characters`, {
        limit: MAX_OUTPUT_CHARACTERS
      })
  }

  function addText(kind: TextKind, delta: string): JsonObject[] {
    const { type, field, event: name, more } = TEXTS[kind]
    // A refusal after words is a message of its own.
    const closed = text !== undefined && text.kind !== kind ? closeText() : []
    const isNew = text === undefined
    const item = (text ??= open(kind, { type: 'message', role: 'assistant', content: [] }))
    write(item, delta)
    const at = { ...placed(item), content_index: 0 }
    return [
      ...closed,
      ...(isNew
        ? [
            event('response.output_item.added', { output_index: item.at, item: item.item }),
            event('response.content_part.added', { ...at, part: { type, ...more, [field]: '' } })
          ]
        : []),
      event(`${name}.delta`, { ...at, delta, ...(kind === 'content' && { logprobs: [] }) })
    ]
  }

  function closeText(): JsonObject[] {
    const item = text
    if (item === undefined || item.kind === 'call') return []
    text = undefined
    const { type, field, event: name, more } = TEXTS[item.kind]
    const at = { ...placed(item), content_index: 0 }
    const part = { type, ...more, [field]: item.written }
    return [
      event(`${name}.done`, { ...at, [field]: item.written, ...(item.kind === 'content' && { logprobs: [] }) }),
      event('response.content_part.done', { ...at, part }),
      done(item, { content: [part] })
    ]
  }

  function done({ at, item }: OpenItem, more: JsonObject): JsonObject {
    const whole = { ...item, ...more, status: finish !== undefined && finish in INCOMPLETE ? 'incomplete' : 'completed' }
    output[at] = whole
    return event('response.output_item.done', { output_index: at, item: whole })
  }

  function addCall({ index = 0, id, function: named }: JsonObject): JsonObject[] {
    const { name, arguments: delta } = isObject(named) ? named : {}
    let item = calls.get(index)
    const events: JsonObject[] = []
    if (item === undefined) {
      events.push(...closeText())
      const call = { type: 'function_call', call_id: id ?? `call_${output.length}`, name: name ?? '', arguments: '' }
      calls.set(index, (item = open('call', call)))
      events.push(event('response.output_item.added', { output_index: item.at, item: item.item }))
    }
    if (typeof delta !== 'string' || delta === '') return events
    write(item, delta)
    return [...events, event('response.function_call_arguments.delta', { ...placed(item), delta })]
  }

  function closeCall(item: OpenItem): JsonObject[] {
    // Some models write nothing where there is nothing to say.
    const written = item.written === '' ? '{}' : item.written
    const { name } = item.item
    return [
      event('response.function_call_arguments.done', { ...placed(item), name: name!, arguments: written }),
      done(item, { arguments: written })
    ]
  }

  return {
    response,
    begin: () => ['response.created', 'response.in_progress'].map((type) => event(type, { response: response() })),
    add(chunk) {
      if (isObject(chunk['usage'])) usage = usageOf(chunk['usage'])
      const [choice] = Array.isArray(chunk['choices']) ? chunk['choices'] : []
      if (!isObject(choice)) return []
      if (typeof choice['finish_reason'] === 'string') finish = choice['finish_reason']
      const { content, refusal, tool_calls: called } = isObject(choice['delta']) ? choice['delta'] : {}
      return [
        ...(typeof content === 'string' && content !== '' ? addText('content', content) : []),
        ...(typeof refusal === 'string' && refusal !== '' ? addText('refusal', refusal) : []),
        ...(Array.isArray(called) ? called.filter(isObject).flatMap(addCall) : [])
      ]
    },
    end() {
      // An answer without a word is an empty message: programs look for one.
      const empty = output.length === 0 ? addText('content', '') : []
      const closed = [...empty, ...closeText(), ...[...calls.values()].flatMap(closeCall)]
      const reason = finish === undefined ? undefined : INCOMPLETE[finish]
      end =
        reason === undefined
          ? { status: 'completed', completed_at: Math.floor(Date.now() / 1_000) }
          : { status: 'incomplete', incomplete_details: { reason } }
      return [...closed, event(`response.${end['status'] as string}`, { response: response() })]
    },
    fail(thrown) {
      const { message, type, param, code } = openAiError(thrown)
      end = { status: 'failed', error: { code: code ?? 'server_error', message } }
      // The documents of OpenAI have the error in the event, its servers in an object there: SDKs look for either.
      const error = { message, type, param, code }
      return [event('error', { code, message, param, error }), event('response.failed', { response: response() })]
    }
  }
}

function usageOf(usage: JsonObject): JsonObject {
  const count = (value: JsonValue | undefined): number => (typeof value === 'number' ? value : 0)
  const inner = (key: string, name: string): number => (isObject(usage[key]) ? count(usage[key][name]) : 0)
  const [input, output] = [count(usage['prompt_tokens']), count(usage['completion_tokens'])]
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: inner('prompt_tokens_details', 'cached_tokens') },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: inner('completion_tokens_details', 'reasoning_tokens') },
    total_tokens: typeof usage['total_tokens'] === 'number' ? usage['total_tokens'] : input + output
  }
}
