import type { JsonObject, JsonValue } from '../core/invoke.ts'
import type { ErrorDetails } from '../errors.ts'
import { NOTHING_USED, type AgentUsage } from './budget.ts'
import type { AgentStep, Intent } from './intent.ts'
import type { Conversation } from './tool-loop.ts'

/** Steps that are kept of one intent, the last ones. */
export const MAX_KEPT_STEPS = 200
/** Longest result that is kept, in characters of JSON. */
export const MAX_KEPT_RESULT = 64 * 1024
/** Times that an intent is begun, over restarts: one that takes the node down with it is not tried for ever. */
export const MAX_ATTEMPTS = 3

const STATES = ['accepted', 'running', 'done', 'failed'] as const
/** `accepted`: it is to be done, perhaps after a restart. */
export type AgentTaskState = (typeof STATES)[number]

/** One intent of an agent, and what has become of it: all JSON, kept in its store. */
export interface AgentTask {
  id: string
  intent: Intent
  /** On whose behalf; undefined: of this node itself. */
  causes?: readonly string[] | undefined
  depth: number
  state: AgentTaskState
  /** Times that it was begun. */
  attempts: number
  /** ISO 8601. */
  at: string
  used: AgentUsage
  steps: AgentStep[]
  /** Of a declared agent. */
  conversation?: Conversation | undefined
  result?: JsonValue | undefined
  error?: { code: string; message: string; details: ErrorDetails } | undefined
}

/** An intent that nothing was done about yet. */
export function createTask(fields: Pick<AgentTask, 'id' | 'intent' | 'causes' | 'depth' | 'at'>): AgentTask {
  return { ...fields, state: 'accepted', attempts: 0, used: { ...NOTHING_USED }, steps: [] }
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

/** Reads what was kept; undefined if it is something else. */
export function readTask(document: JsonValue): AgentTask | undefined {
  const task = document as JsonObject | null
  if (typeof task !== 'object' || task === null || Array.isArray(task)) return undefined
  const { id, intent, depth, state, attempts, steps, used } = task
  const isTask =
    typeof id === 'string' &&
    typeof intent === 'object' &&
    intent !== null &&
    typeof depth === 'number' &&
    STATES.some((known) => known === state) &&
    typeof attempts === 'number' &&
    Array.isArray(steps) &&
    typeof used === 'object'
  if (!isTask) return undefined
  // What ran when the node died does not run now.
  return { ...(task as unknown as AgentTask), ...(state === 'running' && { state: 'accepted' }) }
}
