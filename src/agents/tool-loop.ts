import { isDeeper, type JsonObject, type JsonValue } from '../../protocols/json.ts'
import { MAX_JSON_DEPTH } from '../../protocols/shape.ts'
import { CHARACTERS_PER_TOKEN, type ChatAnswer, type ChatMessage, type ChatRequest, type ChatToolCall } from '../core/chat.ts'
import { cutText } from '../core/cut-text.ts'
import { MeshError, errorToJson, isMeshError, toMeshError } from '../errors.ts'
import { MAX_FUNCTION_NAME, type KnownTools } from '../model-tools/tool-names.ts'
import type { Budget } from './budget.ts'
import type { AgentStep } from './intent.ts'
import type { ModelTool, ToolTable } from './mesh-tools.ts'
import { dataBlock } from './prompt.ts'

import { MAX_ANSWER_CHARACTERS, MAX_ARGUMENTS_AT_ONCE, MAX_ARGUMENT_CHARACTERS, addMessage, lengthOf } from './transcript.ts'

/** Calls in one answer of a model; those past it are not made, and the model is told. */
export const MAX_CALLS_AT_ONCE = 16
/** Answers in a row in which a model asks for nothing that there is; then it is given up. */
export const MAX_MISTAKEN_ANSWERS = 3
/** Longest answer that is asked for, in tokens; less where less is left. */
export const MAX_ANSWER_TOKENS = 8_192
/** Stands at the end of a text that the model could not end. */
export const CUT_ANSWER = '(cut: the answer was longer than the model may write)'
const MAX_SHOWN_TEXT = 2_000
/** What servers take as name of a function. */
const NOT_IN_NAMES = /[^A-Za-z0-9_-]/g
/** Stand for arguments that are not kept. They are no JSON, so nothing is called with them, after a restart either. */
const TOO_LONG = '(too long)'
const UNFINISHED = '(cut)'

/** What is kept of a conversation, so that it can go on after a restart. */
export interface Conversation {
  messages: ChatMessage[]
  /** Id of the call that is out now: after a restart nobody knows whether it was done. */
  calling?: string | undefined
  /** What the model was told of, by name. */
  tools?: KnownTools | undefined
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
  /** Waits for nodes that may have to be found first, after a start. @returns false if it has waited long enough. */
  wait(): Promise<boolean>
  /** Keeps the conversation. Rejects if that cannot be: then nothing is done that would have to be known after a restart. */
  save(): Promise<void>
  report(step: AgentStep): void
  now(): number
}

/**
 * Asks a model, makes the calls that it asks for one after the other, tells it what became of them, until it asks for none.
 * @returns its last words.
 * @throws MeshError of a limit, of the model, or `tool_failed` if it says nothing, or only what makes no sense; or what `save` says.
 */
export async function runToolLoop(ports: ToolLoopPorts): Promise<string> {
  const { conversation, budget, report } = ports
  const { messages } = conversation
  let mistaken = 0
  const last = messages.at(-1)
  if (last?.role === 'assistant' && last.tool_calls === undefined) return last.content ?? ''
  let wrong = await answerCalls(ports, true)
  for (;;) {
    if (wrong !== undefined && ++mistaken >= MAX_MISTAKEN_ANSWERS) throw givenUp(mistaken, wrong)
    budget.step()
    const { functions } = ports.tools()
    const described = estimate(JSON.stringify(functions).length)
    const question = estimate(lengthOf(messages)) + described
    checkQuestion(budget, question, described)
    const most = Math.max(1, Math.min(budget.tokensLeft - question, MAX_ANSWER_TOKENS))
    const answer = await ports.model({ messages, max_tokens: most, ...(functions.length > 0 && { tools: functions }) })
    ports.signal.throwIfAborted()
    const calls = callsOf(answer, messages.length)
    const text = textOf(answer)
    const said: ChatMessage = { role: 'assistant', content: text || null, ...(calls.length > 0 && { tool_calls: calls }) }
    // Some servers count nothing, or not all; what they have not counted was used all the same.
    const tokens = Math.max(answer.tokens ?? 0, question + estimate(lengthOf([said])))
    budget.addTokens(tokens)
    addMessage(messages, said)
    report({ step: 'model', text: cutText(text, MAX_SHOWN_TEXT), calls: calls.length, tokens })
    await ports.save()
    // Neither is a call made whose result nobody can read any more, nor is what is too much an answer.
    budget.checkTokens(0)
    if (calls.length === 0) return lastWords(text, answer)
    wrong = await answerCalls(ports, false)
    if (wrong === undefined) mistaken = 0
  }
}

/** @throws MeshError of the limit, if the question alone is too much. */
function checkQuestion(budget: Budget, question: number, described: number): void {
  try {
    budget.checkTokens(question)
  } catch (error) {
    const { code, message, details } = toMeshError(error)
    const why = `the next question has about ${question} tokens, of which descriptions of tools are ${described}`
    throw new MeshError(code, `${message}; ${why}`, details, { cause: error })
  }
}

function textOf({ text, calls, isCut }: ChatAnswer): string {
  const isTooLong = text.length > MAX_ANSWER_CHARACTERS
  const shown = cutText(text, MAX_ANSWER_CHARACTERS)
  return isTooLong || (isCut && calls.length === 0 && text.trim() !== '') ? `${shown}\n${CUT_ANSWER}` : shown
}

function lastWords(text: string, { isCut }: ChatAnswer): string {
  if (text.trim() !== '') return text
  const why = isCut ? 'the model has used all that it may write, and said nothing' : 'the model has answered nothing'
  throw new MeshError('tool_failed', `${why}, and asked for no tool; try again, or another model`)
}

/** As they are kept: each with an id of its own, and not too long. One past those that are made stands for all of these. */
function callsOf({ calls, isCut }: ChatAnswer, at: number): ChatToolCall[] {
  const ids = new Set<string>()
  let characters = 0
  return calls.slice(0, MAX_CALLS_AT_ONCE + 1).map((call, index) => {
    const id = call.id === '' || call.id.length > 128 || ids.has(call.id) ? `call_${at}_${index}` : call.id
    ids.add(id)
    const name = call.function.name.replaceAll(NOT_IN_NAMES, '_').slice(0, MAX_FUNCTION_NAME) || 'nameless'
    let given = call.function.arguments
    // Without any it means to give none, or was cut before the first.
    if (isCut && index === calls.length - 1 && given.trim() === '') given = UNFINISHED
    characters += given.length
    if (given.length > MAX_ARGUMENT_CHARACTERS || characters > MAX_ARGUMENTS_AT_ONCE) given = TOO_LONG
    return { ...call, id, function: { name, arguments: given } }
  })
}

function givenUp(times: number, { message }: MeshError): MeshError {
  const last = cutText(message, MAX_SHOWN_TEXT)
  return new MeshError(
    'tool_failed',
    `none of the calls that the model has asked for ${times} times in a row can be made; of the last: ${last}; try another model`
  )
}

/** Makes the calls of the last answer that have no result. @returns what was wrong with the last, if there were some, and none of them made sense. */
async function answerCalls(ports: ToolLoopPorts, isResumed: boolean): Promise<MeshError | undefined> {
  const { conversation, budget, signal } = ports
  const { messages } = conversation
  const open = openCalls(messages)
  let good = open.length === 0
  let wrong: MeshError | undefined
  for (const [index, call] of open) {
    const isInterrupted = isResumed && conversation.calling === call.id
    const prepared = index < MAX_CALLS_AT_ONCE ? await prepare(ports, call, isResumed, isInterrupted) : tooMany(call)
    let content: string
    if ('refusal' in prepared) {
      const { refusal, isMistake, given = '' } = prepared
      good ||= !isMistake
      wrong = refusal
      const { name } = call.function
      ports.report({ step: 'call', name, target: '', tool: '', input: cutText(given, MAX_SHOWN_TEXT) })
      ports.report({ step: 'result', name, durationMs: 0, code: refusal.code, message: cutText(refusal.message, MAX_SHOWN_TEXT) })
      content = errorBlock(refusal)
    }
    // That it was to be made again was counted before.
    if (!isInterrupted && index < MAX_CALLS_AT_ONCE) budget.toolCall()
    if ('tool' in prepared) {
      // Well made, also if it fails.
      good = true
      await beginCall(ports, call.id)
      content = await makeCall(ports, prepared.tool, prepared.input, call.id)
      // Aborted: nobody knows what became of it.
      signal.throwIfAborted()
    }
    delete conversation.calling
    addMessage(messages, { role: 'tool', tool_call_id: call.id, content: content! })
  }
  if (open.length > 0) await ports.save()
  return good ? undefined : wrong
}

/** What is not on disk is not begun: else nobody would know of it after a restart. */
async function beginCall({ conversation, save }: ToolLoopPorts, id: string): Promise<void> {
  conversation.calling = id
  try {
    await save()
  } catch (error) {
    delete conversation.calling
    throw error
  }
}

async function makeCall(ports: ToolLoopPorts, tool: ModelTool, input: JsonObject, call: string): Promise<string> {
  const startedAt = ports.now()
  const { name } = tool
  const [target, called] = tool.kind === 'call' ? [tool.target, tool.tool.name] : ['', tool.trigger.event]
  ports.report({ step: 'call', name, target, tool: called, input: cutText(JSON.stringify(input), MAX_SHOWN_TEXT) })
  const result = (failure?: MeshError): void => {
    const told = failure === undefined ? {} : { code: failure.code, message: cutText(failure.message, MAX_SHOWN_TEXT) }
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

/** `given`: arguments that are kept nowhere else. */
type Prepared = { tool: ModelTool; input: JsonObject } | { refusal: MeshError; isMistake: boolean; given?: string }

/** What a call asks for, or why it is not made. What is refused, or is not there now, is no mistake of the model. */
async function prepare(ports: ToolLoopPorts, call: ChatToolCall, isResumed: boolean, isInterrupted: boolean): Promise<Prepared> {
  const { name, arguments: given } = call.function
  if (isInterrupted && ports.conversation.tools?.[name]?.idempotent !== true) return unknownOutcome()
  let input: JsonObject
  try {
    input = readArguments(given)
  } catch (error) {
    // What is no JSON makes servers refuse the whole conversation.
    call.function.arguments = '{}'
    return { refusal: toMeshError(error), isMistake: true, given }
  }
  for (;;)
    try {
      const tool = ports.tools().find(name)
      if (isInterrupted && !(tool.kind === 'call' && tool.tool.idempotent === true)) return unknownOutcome()
      return { tool, input }
    } catch (error) {
      if (isResumed && isMeshError(error, 'unavailable') && (await ports.wait())) continue
      return { refusal: toMeshError(error), isMistake: isMeshError(error, 'unknown_tool') }
    }
}

/** To do it twice may do harm; not to do it may as well. The model can look. */
function unknownOutcome(): Prepared {
  const unknown = 'the node stopped while this ran, so it is not known whether it was done; find that out before you do it again'
  return { refusal: new MeshError('unavailable', unknown), isMistake: false }
}

function tooMany(call: ChatToolCall): Prepared {
  call.function.arguments = '{}'
  const message = `${MAX_CALLS_AT_ONCE} calls are made at once; this one, and all that came after it, were not: ask for them again`
  return { refusal: new MeshError('too_large', message), isMistake: false }
}

/** @throws MeshError `invalid_argument`. No arguments at all are none. */
function readArguments(text: string): JsonObject {
  const wrong = (what: string): MeshError =>
    new MeshError('invalid_argument', `the arguments that the model wrote for this call ${what}; it must write one JSON object`)
  if (text === TOO_LONG)
    throw wrong(`are longer than ${MAX_ARGUMENT_CHARACTERS} characters, or ${MAX_ARGUMENTS_AT_ONCE} for all calls`)
  if (text === UNFINISHED) throw wrong('were cut, since the answer was too long')
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw wrong(`are not JSON (${(error as Error).message})`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('are no object')
  if (isDeeper(value, MAX_JSON_DEPTH)) throw wrong('are nested too deep')
  return value as JsonObject
}

/** Calls of the last answer that no result follows, with their places in it. */
function openCalls(messages: readonly ChatMessage[]): [index: number, call: ChatToolCall][] {
  const at = messages.findLastIndex(({ role }) => role === 'assistant')
  const last = messages[at]
  if (last?.role !== 'assistant') return []
  const answered = new Set(messages.slice(at + 1).map((message) => (message.role === 'tool' ? message.tool_call_id : undefined)))
  return [...(last.tool_calls ?? []).entries()].filter(([, { id }]) => !answered.has(id))
}

function errorBlock(error: MeshError): string {
  const { code, message } = errorToJson(error)
  return dataBlock({ error: { code, message } })
}

function estimate(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN)
}
