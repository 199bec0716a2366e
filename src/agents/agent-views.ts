import type { AgentDefinition } from './definition.ts'
import type { AgentLimits, AgentUsage } from './budget.ts'
import type { AgentTask, AgentTaskState } from './task.ts'
import type { ErrorDetails } from '../errors.ts'

/**
 * `created`: known, and not offered: it is starting, or `reason` says what speaks against it. `running`: takes intents. `suspended`: takes none; events
 * that it had accepted have gone back to who delivers them. `ended`: has nothing any more, until it is resumed, which begins anew.
 */
export type AgentState = 'created' | 'running' | 'suspended' | 'ended'

/** An agent of this node. */
export interface AgentView {
  id: string
  type: string
  name: string
  description: string
  kind: AgentDefinition['kind']
  state: AgentState
  reason?: string
  /** Intents that it works on, and those that wait for their turn. */
  running: number
  waiting: number
  /** Of the last intents that are kept. */
  done: number
  failed: number
  limits: AgentLimits
}

/** An intent of an agent in short. */
export interface AgentTaskSummary {
  id: string
  kind: 'ask' | 'event'
  /** What it was asked, or the text of the intent; cut. */
  text: string
  state: AgentTaskState
  at: string
  attempts: number
  depth: number
  used: AgentUsage
  error?: { code: string; message: string; details: ErrorDetails }
}

const MAX_TEXT = 200

/** See {@link AgentTaskSummary}. */
export function summaryOf({ id, intent, state, at, attempts, depth, used, error }: AgentTask): AgentTaskSummary {
  const text = (intent.kind === 'ask' ? intent.text : intent.event.intent).slice(0, MAX_TEXT)
  return { id, kind: intent.kind, text, state, at, attempts, depth, used, ...(error !== undefined && { error }) }
}

/** See {@link AgentView}. */
export function viewOf(
  { declaration, kind, limits }: AgentDefinition,
  state: AgentState,
  reason: string | undefined,
  tasks: readonly AgentTask[]
): AgentView {
  const { id, type, name = id, description = '' } = declaration
  const count = (wanted: AgentTaskState): number => tasks.filter((task) => task.state === wanted).length
  return {
    ...{ id, type, name, description, kind, state, ...(reason !== undefined && { reason }) },
    running: count('running'),
    waiting: count('accepted'),
    done: count('done'),
    failed: count('failed'),
    limits
  }
}
