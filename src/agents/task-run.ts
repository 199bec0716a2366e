import { failureOf } from '../core/triggers/failure.ts'
import { isMeshError, toMeshError, MeshError } from '../errors.ts'
import type { JsonValue } from '../core/invoke.ts'
import { createContext, type AgentMesh } from './agent-context.ts'
import { NOTHING_USED, createBudget, limitError, type Budget } from './budget.ts'
import { nameOf } from './circles.ts'
import type { AgentDefinition } from './definition.ts'
import type { AgentStep, EventPort } from './intent.ts'
import type { AgentMemory } from './memory.ts'
import { untilAborted } from '../core/until-aborted.ts'
import { MAX_CRASHES, addStep, keptResult, noteFailure, type AgentTask } from './task.ts'

/** While a budget is paused, what is left of its time is looked at this often at most, in ms. */
const MIN_LOOK_MS = 10

/** What running an intent needs. */
export interface TaskRunComponents {
  definition: AgentDefinition
  mesh: AgentMesh
  events: EventPort
  memory: AgentMemory
  /** Keeps an event. Rejects with `unavailable`: then nothing more is done for it. */
  save(task: AgentTask): Promise<void>
  now(): number
}

/** How an intent is run. */
export interface TaskRunOptions {
  /** Aborted if it is not to go on now. */
  signal: AbortSignal
  /** Agents that wait for what comes of it. */
  waiting: readonly string[]
  onStep?: ((step: AgentStep) => void) | undefined
}

/**
 * Does what an intent says, within the limits of its agent, and notes in the task what became of it; to keep that is up to the caller. An event that is cut
 * short, or fails in a way that may be tried again, is `interrupted` then. Whoever ignores its signal is left behind.
 * @throws MeshError what it failed with, or why it was cut short.
 */
export async function runTask(
  task: AgentTask,
  { definition, mesh, events, memory, save, now }: TaskRunComponents,
  { signal, waiting, onStep }: TaskRunOptions
): Promise<JsonValue> {
  const { limits } = definition
  const isEvent = task.intent.kind === 'event'
  // What begins from the start has used nothing yet.
  if (task.conversation === undefined) task.used = { ...NOTHING_USED }
  const over = new AbortController()
  const budget = createBudget(limits, task.used, now)
  const clock = watchTime(budget, () => over.abort(limitError('timeMs', limits.timeMs)))
  const both = AbortSignal.any([signal, over.signal])
  const keep = async (): Promise<void> => {
    both.throwIfAborted()
    task.used = budget.used
    if (isEvent) await save(task)
  }
  const report = (step: AgentStep): void => {
    if (over.signal.aborted) return
    addStep(task, step)
    onStep?.(step)
  }
  try {
    signal.throwIfAborted()
    if (task.crashes >= MAX_CRASHES) throw givenUp(task.crashes)
    if (task.depth > limits.depth) throw limitError('depth', limits.depth)
    task.attempts++
    task.state = 'running'
    await keep()
    const { intent, causes, depth, attempts: attempt } = task
    const { id: agent } = definition.declaration
    const { context, request, raise } = createContext({
      agent,
      waiting: [...waiting, nameOf(agent, mesh.peerId)],
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
    task.used = budget.used
    delete task.error
    return value ?? null
  } catch (error) {
    const isCutShort = both.aborted && both.reason !== over.signal.reason
    // Its last call has no more time than it has itself: whichever of the two ends first.
    const isOverTime = !both.aborted && isMeshError(error, 'deadline_exceeded') && budget.timeLeft < 1
    const ownFailure = isOverTime ? limitError('timeMs', limits.timeMs) : errorOf(error, definition)
    const failure = both.aborted ? toMeshError(both.reason) : ownFailure
    const comesAgain = isEvent && (isCutShort || failureOf(failure).retryable)
    // The step that came to nothing is done again, and counted then.
    const { steps, timeMs } = task.used
    task.used = comesAgain ? { ...budget.used, steps, timeMs } : budget.used
    noteFailure(task, failure, comesAgain)
    throw failure
  } finally {
    clock.stop()
    over.abort(new MeshError('cancelled', 'the agent has ended its work on this'))
  }
}

/** Tells when no time is left, however often the budget was paused. */
function watchTime(budget: Budget, onOver: () => void): { stop(): void } {
  let timer: ReturnType<typeof setTimeout>
  const look = (): void => {
    const { timeLeft } = budget
    if (timeLeft < 1) onOver()
    else timer = setTimeout(look, Math.max(MIN_LOOK_MS, timeLeft))
  }
  timer = setTimeout(look, budget.timeLeft)
  return { stop: () => clearTimeout(timer) }
}

function givenUp(crashes: number): MeshError {
  const message = `given up: it was begun ${crashes} times, and the node has ended each time in the middle`
  return new MeshError('tool_failed', message, { retryable: false })
}

/** What is no MeshError comes from the code of the agent. What a declared one has failed with is the end of its transcript: to go on from there changes nothing. */
function errorOf(error: unknown, { kind }: AgentDefinition): MeshError {
  if (!isMeshError(error)) {
    const message = error instanceof Error ? error.message || error.name : String(error)
    return new MeshError('tool_failed', message || 'the agent failed without a message', {}, { cause: error })
  }
  if (kind === 'code' || error.code !== 'tool_failed' || error.details['retryable'] !== undefined) return error
  return new MeshError(error.code, error.message, { ...error.details, retryable: false }, { cause: error })
}
