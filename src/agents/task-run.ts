import { isMeshError, toMeshError, MeshError } from '../errors.ts'
import type { JsonValue } from '../core/invoke.ts'
import { createContext, type AgentMesh } from './agent-context.ts'
import { createBudget, limitError } from './budget.ts'
import type { AgentDefinition } from './definition.ts'
import type { AgentStep, EventPort } from './intent.ts'
import type { AgentMemory } from './memory.ts'
import { untilAborted } from './mesh-call.ts'
import { MAX_ATTEMPTS, addStep, keptResult, type AgentTask } from './task.ts'

/** What running an intent needs. */
export interface TaskRunComponents {
  definition: AgentDefinition
  mesh: AgentMesh
  events: EventPort
  memory: AgentMemory
  /** Keeps an intent. Never rejects. */
  save(task: AgentTask): Promise<void>
  now(): number
}

/** How an intent is run. */
export interface TaskRunOptions {
  /** Aborted with `unavailable` if it is to be done later: the agent is suspended, or the node stops. */
  signal: AbortSignal
  /** It goes on after a restart: nobody waits for it. */
  isKept: boolean
  onStep?: ((step: AgentStep) => void) | undefined
}

/**
 * Does what an intent says, within the limits of its agent, and notes in the task what became of it. Whoever ignores its signal is left behind.
 * @throws MeshError what it failed with; `unavailable` if it was cut short, and is `accepted` again then.
 */
export async function runTask(
  task: AgentTask,
  { definition, mesh, events, memory, save, now }: TaskRunComponents,
  { signal, isKept, onStep }: TaskRunOptions
): Promise<JsonValue> {
  const { limits } = definition
  const over = new AbortController()
  const budget = createBudget(limits, task.used, now)
  const timer = setTimeout(() => over.abort(limitError('timeMs', limits.timeMs)), budget.timeLeft)
  const both = AbortSignal.any([signal, over.signal])
  const keep = async (): Promise<void> => {
    task.used = budget.used
    if (isKept) await save(task)
  }
  const report = (step: AgentStep): void => {
    if (over.signal.aborted) return
    addStep(task, step)
    onStep?.(step)
  }
  try {
    signal.throwIfAborted()
    if (task.attempts >= MAX_ATTEMPTS)
      throw new MeshError(
        'tool_failed',
        `given up: it was begun ${task.attempts} times, and the node has ended each time in the middle`
      )
    if (task.depth > limits.depth) throw limitError('depth', limits.depth)
    task.attempts++
    task.state = 'running'
    await keep()
    const { intent, causes, depth, attempts: attempt } = task
    const { context, request, raise } = createContext({
      agent: definition.declaration.id,
      task: task.id,
      traceparent: intent.kind === 'event' ? intent.event.traceparent : undefined,
      ...{ signal: both, mesh, events, memory, budget, causes, depth, attempt, report, now }
    })
    const work = { task, context, budget, request, raise, report, save: keep, now }
    // What a handler throws at once is a failure like any other.
    const value = await untilAborted(
      Promise.resolve().then(() => definition.perform(work)),
      both
    )
    task.state = 'done'
    task.result = keptResult(value ?? null)
    return value ?? null
  } catch (error) {
    const failure = failureOf(error, both)
    if (isKept && both.aborted && failure.code === 'unavailable') {
      // Cut short, not failed: that is no attempt.
      task.state = 'accepted'
      task.attempts = Math.max(0, task.attempts - 1)
    } else {
      task.state = 'failed'
      task.error = { code: failure.code, message: failure.message, details: failure.details }
    }
    throw failure
  } finally {
    clearTimeout(timer)
    over.abort(new MeshError('cancelled', 'the agent has ended its work on this'))
    task.used = budget.used
    await save(task)
  }
}

/** What is no MeshError comes from the code of the agent. */
function failureOf(error: unknown, signal: AbortSignal): MeshError {
  if (signal.aborted) return toMeshError(signal.reason)
  if (isMeshError(error)) return error
  const message = error instanceof Error ? error.message || error.name : String(error)
  return new MeshError('tool_failed', message || 'the agent failed without a message', {}, { cause: error })
}
