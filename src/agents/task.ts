import type { JsonObject, JsonValue } from '../core/invoke.ts'
import type { MeshError, ErrorDetails } from '../errors.ts'
import { NOTHING_USED, type AgentUsage } from './budget.ts'
import type { AgentStep, Intent } from './intent.ts'
import type { Conversation } from './tool-loop.ts'

/** Steps that are kept of one intent, the last ones. */
export const MAX_KEPT_STEPS = 200
/** Longest result that is kept, in characters of JSON. */
export const MAX_KEPT_RESULT = 64 * 1024
/** Times that the node may end in the middle of one event; then that is given up: one that takes the node down with it is not tried for ever. */
export const MAX_CRASHES = 3

const STATES = ['accepted', 'running', 'interrupted', 'done', 'failed'] as const
/**
 * `accepted`: waits for its turn. `interrupted`: an event that was cut short, or has failed in a way that may go better later: it goes on when it is
 * delivered again. `failed`: for good.
 */
export type AgentTaskState = (typeof STATES)[number]

/** One intent of an agent, and what has become of it: all JSON, kept in its store. */
export interface AgentTask {
  id: string
  intent: Intent
  /** On whose behalf: PeerIds. */
  causes: readonly string[]
  depth: number
  state: AgentTaskState
  /** Times that it was begun. */
  attempts: number
  /** Of those: times that the node has ended in the middle. */
  crashes: number
  /** ISO 8601. */
  at: string
  used: AgentUsage
  steps: AgentStep[]
  /** Of a declared agent. */
  conversation?: Conversation | undefined
  result?: JsonValue | undefined
  /** What it has failed with last. */
  error?: { code: string; message: string; details: ErrorDetails } | undefined
}

/** An intent that nothing was done about yet. */
export function createTask(fields: Pick<AgentTask, 'id' | 'intent' | 'causes' | 'depth' | 'at'>): AgentTask {
  return { ...fields, state: 'accepted', attempts: 0, crashes: 0, used: { ...NOTHING_USED }, steps: [] }
}

/** Notes that it is not worked on any more. @param comesAgain it may go on when it is delivered again. */
export function noteFailure(task: AgentTask, { code, message, details }: MeshError, comesAgain: boolean): void {
  task.state = comesAgain ? 'interrupted' : 'failed'
  task.error = { code, message, details }
}

/** Adds a step; the oldest go. */
export function addStep(task: AgentTask, step: AgentStep): void {
  task.steps.push(step)
  if (task.steps.length > MAX_KEPT_STEPS) task.steps.shift()
}

/** The result, or that it is too long to keep. */
export function keptResult(value: JsonValue): JsonValue {
  const characters = JSON.stringify(value).length
  return characters > MAX_KEPT_RESULT ? { leftOut: `${characters} characters of JSON` } : value
}

/** Reads what was kept; undefined if it is something else. What ran when the node ended is `interrupted`, and that was a crash. */
export function readTask(document: JsonValue): AgentTask | undefined {
  if (!isTask(document)) return undefined
  const task = document as unknown as AgentTask
  if (task.state === 'running') return { ...task, state: 'interrupted', crashes: task.crashes + 1 }
  return task.state === 'accepted' ? { ...task, state: 'interrupted' } : task
}

function isTask(document: JsonValue): boolean {
  if (!isObject(document)) return false
  const { id, intent, causes, depth, state, attempts, crashes, at, used, steps, conversation, error } = document
  return (
    isText(id) &&
    isIntent(intent) &&
    isListOf(causes, isText) &&
    [depth, attempts, crashes].every(isCount) &&
    STATES.some((known) => known === state) &&
    isText(at) &&
    !Number.isNaN(Date.parse(at as string)) &&
    isObject(used) &&
    Object.keys(NOTHING_USED).every((what) => isCount(used[what])) &&
    isListOf(steps, (step) => isObject(step) && isText(step['step'])) &&
    (conversation === undefined || isConversation(conversation)) &&
    (error === undefined || (isObject(error) && isText(error['code']) && isText(error['message']) && isObject(error['details'])))
  )
}

function isIntent(value: JsonValue | undefined): boolean {
  if (!isObject(value)) return false
  if (value['kind'] === 'ask') return isText(value['text'])
  const { kind, event } = value
  return kind === 'event' && isObject(event) && ['id', 'node', 'intent'].every((key) => isText(event[key]))
}

function isConversation(value: JsonValue): boolean {
  return (
    isObject(value) &&
    (value['calling'] === undefined || isText(value['calling'])) &&
    (value['tools'] === undefined || (isObject(value['tools']) && Object.values(value['tools']).every(isKnownTool))) &&
    isListOf(value['messages'], (message) => isObject(message) && isMessage(message))
  )
}

function isKnownTool(value: JsonValue): boolean {
  return (
    isObject(value) &&
    ['id', 'type', 'tool'].every((key) => isText(value[key])) &&
    (value['node'] === undefined || isText(value['node']))
  )
}

function isMessage({ role, content, tool_calls: calls, tool_call_id: answered }: JsonObject): boolean {
  if (role === 'tool') return isText(content) && isText(answered)
  if (role !== 'assistant') return (role === 'system' || role === 'user') && isText(content)
  return (content === null || isText(content)) && (calls === undefined || isListOf(calls, isToolCall))
}

function isToolCall(call: JsonValue): boolean {
  if (!isObject(call) || !isText(call['id']) || !isObject(call['function'])) return false
  const { name, arguments: given } = call['function']
  return isText(name) && isText(given)
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isListOf(value: JsonValue | undefined, isOne: (one: JsonValue) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne)
}

function isText(value: JsonValue | undefined): boolean {
  return typeof value === 'string'
}

function isCount(value: JsonValue | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
