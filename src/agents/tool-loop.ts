import { isDeeper, type JsonObject, type JsonValue } from '../../protocols/json.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { CHARACTERS_PER_TOKEN, type ChatAnswer, type ChatMessage, type ChatRequest, type ChatToolCall } from '../core/chat.ts'
import { MeshError, errorToJson, toMeshError } from '../errors.ts'
import type { Budget } from './budget.ts'
import type { AgentStep } from './intent.ts'
import type { ModelTool, ToolTable } from './mesh-tools.ts'
import { dataBlock } from './prompt.ts'
import { MAX_FUNCTION_NAME } from './tool-names.ts'
import { MAX_ARGUMENT_CHARACTERS, addMessage, lengthOf } from './transcript.ts'

/** Calls in one answer of a model; those past it are not made. */
export const MAX_CALLS_AT_ONCE = 16
/** Answers in a row in which a model asks for nothing that there is; then it is given up. */
export const MAX_MISTAKEN_ANSWERS = 3
/** Longest answer that is asked for, in tokens; less where less is left. */
export const MAX_ANSWER_TOKENS = 8_192
const MAX_SHOWN_TEXT = 2_000
/** What servers take as name of a function. */
const NOT_IN_NAMES = /[^A-Za-z0-9_-]/g

/** What is kept of a conversation, so that it can go on after a restart. */
export interface Conversation {
  messages: ChatMessage[]
  /** Id of the call that is out now: after a restart nobody knows whether it was done. */
  calling?: string | undefined
}

/** What the loop asks a model: words, and no pictures yet. */
export interface ToolLoopRequest extends ChatRequest {
  messages: readonly ChatMessage[]
}

/** What the loop is given: it does nothing by itself. */
export interface ToolLoopPorts {
  conversation: Conversation
  budget: Budget
  /** Aborted when the agent is to stop; what fails then is no failure of a tool. */
  signal: AbortSignal
  tools(): ToolTable
  model(request: ToolLoopRequest): Promise<ChatAnswer>
  /** @param call id of the call in the conversation. */
  run(tool: ModelTool, input: JsonObject, call: string): Promise<JsonValue>
  /** Keeps the conversation. */
  save(): Promise<void>
  report(step: AgentStep): void
  now(): number
}

/**
 * Asks a model, makes the calls that it asks for one after the other, tells it what became of them, until it asks for none.
 * @returns its last words.
 * @throws MeshError of a limit, of the model, or `tool_failed` if it says nothing, or only what makes no sense.
 */
export async function runToolLoop(ports: ToolLoopPorts): Promise<string> {
  const { conversation, budget, report } = ports
  const { messages } = conversation
  let mistaken = 0
  const last = messages.at(-1)
  if (last?.role === 'assistant' && last.tool_calls === undefined) return last.content ?? ''
  let good = await answerCalls(ports, ports.tools(), true)
  for (;;) {
    if (!good && ++mistaken >= MAX_MISTAKEN_ANSWERS)
      throw new MeshError(
        'tool_failed',
        `the model has asked ${mistaken} times in a row for what there is not; try another model`
      )
    budget.step()
    const table = ports.tools()
    const question = estimate(lengthOf(messages) + JSON.stringify(table.functions).length)
    budget.checkTokens(question)
    const answer = await ports.model(requestOf(messages, table, budget))
    ports.signal.throwIfAborted()
    const tokens = answer.tokens ?? question + estimate(answer.text.length)
    budget.addTokens(tokens)
    const calls = callsOf(answer, messages.length)
    const content = answer.text === '' ? null : answer.text
    addMessage(messages, { role: 'assistant', content, ...(calls.length > 0 && { tool_calls: calls }) })
    report({ step: 'model', text: answer.text.slice(0, MAX_SHOWN_TEXT), calls: calls.length, tokens })
    await ports.save()
    if (calls.length === 0) return lastWords(answer, budget)
    // A call whose result nobody can read any more is not made.
    budget.checkTokens(0)
    good = await answerCalls(ports, table, false)
    if (good) mistaken = 0
  }
}

function requestOf(messages: readonly ChatMessage[], { functions }: ToolTable, budget: Budget): ToolLoopRequest {
  const most = Math.max(1, Math.min(budget.tokensLeft, MAX_ANSWER_TOKENS))
  return { messages, max_tokens: most, ...(functions.length > 0 && { tools: functions }) }
}

function lastWords({ text, isCut }: ChatAnswer, budget: Budget): string {
  if (isCut) budget.checkTokens(1)
  if (text.trim() === '')
    throw new MeshError('tool_failed', 'the model has answered nothing, and asked for no tool; try again, or another model')
  return text
}

/** Those that can be made: each with an id of its own, and arguments that are not too long to keep. */
function callsOf({ calls }: ChatAnswer, at: number): ChatToolCall[] {
  const ids = new Set<string>()
  return calls.slice(0, MAX_CALLS_AT_ONCE).map((call, index) => {
    const id = call.id === '' || call.id.length > 128 || ids.has(call.id) ? `call_${at}_${index}` : call.id
    ids.add(id)
    const name = call.function.name.replaceAll(NOT_IN_NAMES, '_').slice(0, MAX_FUNCTION_NAME) || 'nameless'
    return { ...call, id, function: { name, arguments: call.function.arguments.slice(0, MAX_ARGUMENT_CHARACTERS + 1) } }
  })
}

/** Makes the calls of the last answer that have no result. @returns false if there were some, and none of them made sense. */
async function answerCalls(ports: ToolLoopPorts, table: ToolTable, isResumed: boolean): Promise<boolean> {
  const { conversation, budget, signal } = ports
  const { messages } = conversation
  const open = openCalls(messages)
  let good = open.length === 0
  for (const call of open) {
    const interrupted = isResumed && conversation.calling === call.id
    const { ready, content: failure } = prepare(call, table, interrupted)
    // Well made, also if it fails, or is refused.
    good ||= ready !== undefined
    let content = failure
    if (ready === undefined) {
      ports.report({ step: 'call', name: call.function.name, target: '', tool: '', input: '' })
      // What is no JSON makes servers refuse the whole conversation.
      call.function.arguments = '{}'
    }
    // That it was to be made again was counted before.
    if (!interrupted) budget.toolCall()
    if (ready !== undefined) {
      conversation.calling = call.id
      await ports.save()
      content = await makeCall(ports, ready.tool, ready.input, call.id)
      // Aborted: nobody knows what became of it.
      signal.throwIfAborted()
    }
    delete conversation.calling
    addMessage(messages, { role: 'tool', tool_call_id: call.id, content })
  }
  if (open.length > 0) await ports.save()
  return good
}

async function makeCall(ports: ToolLoopPorts, tool: ModelTool, input: JsonObject, call: string): Promise<string> {
  const startedAt = ports.now()
  const { name } = tool
  const [target, called] = tool.kind === 'call' ? [tool.target, tool.tool.name] : ['', tool.trigger.event]
  ports.report({ step: 'call', name, target, tool: called, input: JSON.stringify(input).slice(0, MAX_SHOWN_TEXT) })
  const result = (failure?: MeshError): void => {
    const told = failure === undefined ? {} : { code: failure.code, message: failure.message.slice(0, MAX_SHOWN_TEXT) }
    ports.report({ step: 'result', name, durationMs: Math.round(ports.now() - startedAt), ...told })
  }
  try {
    const value = await ports.run(tool, input, call)
    result()
    return dataBlock(value)
  } catch (error) {
    ports.signal.throwIfAborted()
    const failure = toMeshError(error)
    result(failure)
    return errorBlock(failure)
  }
}

/** What a call asks for, or what is wrong with it. */
function prepare(
  { function: { name, arguments: given } }: ChatToolCall,
  table: ToolTable,
  interrupted: boolean
): { ready?: { tool: ModelTool; input: JsonObject }; content: string } {
  try {
    const tool = table.find(name)
    const input = readArguments(given)
    if (!interrupted || (tool.kind === 'call' && tool.tool.idempotent === true)) return { ready: { tool, input }, content: '' }
    // To do it twice may do harm; not to do it may as well. The model can look.
    const unknown =
      'the node stopped while this ran, so it is not known whether it was done; find that out before you do it again'
    return { content: errorBlock(new MeshError('unavailable', unknown)) }
  } catch (error) {
    return { content: errorBlock(toMeshError(error)) }
  }
}

/** @throws MeshError `invalid_argument`. No arguments at all are none. */
function readArguments(text: string): JsonObject {
  const wrong = (what: string): MeshError =>
    new MeshError('invalid_argument', `the arguments of the call ${what}; write one JSON object`)
  if (text.length > MAX_ARGUMENT_CHARACTERS) throw wrong(`are longer than ${MAX_ARGUMENT_CHARACTERS} characters`)
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw wrong('are not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('are no object')
  if (isDeeper(value, MAX_JSON_DEPTH)) throw wrong('are nested too deep')
  return value as JsonObject
}

/** Calls of the last answer that no result follows. */
function openCalls(messages: readonly ChatMessage[]): ChatToolCall[] {
  const at = messages.findLastIndex(({ role }) => role === 'assistant')
  const last = messages[at]
  if (last?.role !== 'assistant') return []
  const answered = new Set(messages.slice(at + 1).map((message) => (message.role === 'tool' ? message.tool_call_id : undefined)))
  return (last.tool_calls ?? []).filter(({ id }) => !answered.has(id))
}

function errorBlock(error: MeshError): string {
  const { code, message } = errorToJson(error)
  return dataBlock({ error: { code, message } })
}

function estimate(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN)
}
