/** What an agent works on: events that it is handed, what it is asked, and its tools. Whether it takes any is up to its life (`hosted-agent.ts`). */
import { createAdmission } from '../core/admission.ts'
import type { JsonValue } from '../core/invoke.ts'
import { untilAborted } from '../core/until-aborted.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { ToolContext } from '../mesh-api.ts'
import { MAX_ACCEPTED_TASKS, checkEvent, taskIdOf, type AgentTasks } from './agent-tasks.ts'
import { limitError } from './budget.ts'
import type { HandleOptions, ReceivedEvent } from './intent.ts'
import { pause } from './pause.ts'
import { streamSteps } from './step-stream.ts'
import { runTask, type TaskRunComponents, type TaskRunOptions } from './task-run.ts'
import { createTask, noteFailure, type AgentTask } from './task.ts'

/** Intents that wait for their turn. More than are ever accepted, of one source as well, which may have half of the places. */
const MAX_WAITING_INTENTS = 4 * MAX_ACCEPTED_TASKS
/** Waits before what an agent has done is written once more, in ms; the last one again and again. */
const WRITE_AGAIN_MS = [250, 1_000, 5_000, 30_000]

/** What an agent works on. */
export interface AgentRuns {
  /** See `Agents.handle`. */
  handle(event: ReceivedEvent, options: HandleOptions): Promise<void>
  /** @param waiting agents that wait for the answer. Throws MeshError with the id of the task in `details.task`. */
  ask(text: string, waiting: readonly string[], context: ToolContext): AsyncGenerator<JsonValue, JsonValue, void>
  /** Has `over` wait for some other work. @returns that. */
  track<T>(work: Promise<T>): Promise<T>
  /** Resolves when all is over that it works on now. */
  over(): Promise<void>
}

/** What they need. */
export interface AgentRunsInit extends Pick<TaskRunComponents, 'definition' | 'mesh' | 'events' | 'now'> {
  tasks: AgentTasks
  memory(): TaskRunComponents['memory']
  /** Aborted when it is not to work any more. */
  signal(): AbortSignal
  /** Throws `unavailable` unless it takes intents. */
  checkRunning(): void
  /** False for one that has ended: of that nothing is kept. */
  isKept(): boolean
  /** ISO 8601, for people. */
  date(): string
  /** Something that no other has. */
  newId(): string
  warn(message: string): void
}

/** Makes an agent that works on nothing yet. */
export function createAgentRuns(init: AgentRunsInit): AgentRuns {
  const { definition, mesh, events, tasks, checkRunning, isKept, now, date, newId, warn } = init
  const { limits, concurrency } = definition
  const { id } = definition.declaration
  const admission = createAdmission(`agent ${id}`, concurrency, MAX_WAITING_INTENTS)
  /** Events by the id of their task. */
  const following = new Map<string, { done: Promise<void>; signal: AbortSignal }>()
  /** What else it does: what it is asked, and tools of its own. */
  const asked = new Set<Promise<unknown>>()

  // ---- one intent -----------------------------------------------------------------------------
  async function save(task: AgentTask): Promise<void> {
    if (!isKept()) return
    try {
      await tasks.save(task)
    } catch (error) {
      throw new MeshError('unavailable', `agent ${id} cannot keep what it does: ${toMeshError(error).message}`)
    }
  }

  const saveOrTell = (task: AgentTask): Promise<void> => save(task).catch((error: Error) => warn(error.message))

  async function work(task: AgentTask, who: string, options: TaskRunOptions): Promise<JsonValue> {
    const { signal } = options
    try {
      signal.throwIfAborted()
      await admission.enter(who, signal)
    } catch (error) {
      noteFailure(task, toMeshError(error), task.intent.kind === 'event')
      throw error
    }
    try {
      return await runTask(task, { definition, mesh, events, memory: init.memory(), save, now }, options)
    } finally {
      admission.leave()
    }
  }

  // ---- events ---------------------------------------------------------------------------------
  /** The disk may have room again soon: an event that is given back now would be done twice. */
  async function untilKept(task: AgentTask, signal: AbortSignal): Promise<void> {
    for (let again = 0; ; again++) {
      try {
        return await save(task)
      } catch (error) {
        if (again === 0) warn(toMeshError(error).message)
        await pause(WRITE_AGAIN_MS[Math.min(again, WRITE_AGAIN_MS.length - 1)]!, signal)
      }
    }
  }

  async function doEvent(event: ReceivedEvent, { signal, causes, depth }: HandleOptions): Promise<void> {
    let task = tasks.get(taskIdOf(event))
    if (task?.state !== 'done') {
      const intent = { kind: 'event' as const, event }
      // One that has failed for good comes again only if somebody wants it done anew.
      const before = task?.state === 'interrupted' ? task : createTask({ id: taskIdOf(event), intent, causes, depth, at: date() })
      task = { ...before, intent, causes, depth, state: 'accepted' }
      await save(task)
      try {
        await work(task, event.node, { signal, waiting: [] })
      } catch (error) {
        await saveOrTell(task)
        throw toMeshError(error)
      }
    }
    await untilKept(task, signal)
  }

  async function handle(event: ReceivedEvent, options: HandleOptions): Promise<void> {
    const task = taskIdOf(event)
    // What is cut short is over first.
    while (following.get(task)?.signal.aborted === true) await following.get(task)?.done.catch(() => undefined)
    checkRunning()
    if (tasks.isDone(task)) return
    let done = following.get(task)?.done
    if (done === undefined) {
      if (options.depth > limits.depth) throw limitError('depth', limits.depth)
      checkEvent(event)
      if (following.size >= MAX_ACCEPTED_TASKS)
        throw new MeshError('busy', `agent "${id}" has ${MAX_ACCEPTED_TASKS} events to do already`, { agent: id })
      const signal = AbortSignal.any([options.signal, init.signal()])
      done = doEvent(event, { ...options, signal }).finally(() => following.delete(task))
      following.set(task, { done, signal })
      // Nobody may wait for it any more.
      done.catch(() => undefined)
    }
    return untilAborted(done, options.signal)
  }

  // ---- asking ---------------------------------------------------------------------------------
  /** To be waited for when it ends. */
  function track<T>(work: Promise<T>): Promise<T> {
    const over = work.then(
      () => void asked.delete(over),
      () => void asked.delete(over)
    )
    asked.add(over)
    return work
  }

  async function* ask(
    text: string,
    waiting: readonly string[],
    { signal, causes, caller }: ToolContext
  ): AsyncGenerator<JsonValue, JsonValue, void> {
    const depth = Math.max(0, causes.length - 1)
    if (depth > limits.depth) throw limitError('depth', limits.depth)
    const task = createTask({ id: newId(), intent: { kind: 'ask', text }, causes, depth, at: date() })
    tasks.show(task)
    const either = AbortSignal.any([signal, init.signal()])
    try {
      return yield* streamSteps((onStep) =>
        track(work(task, caller, { signal: either, waiting, onStep }).finally(() => saveOrTell(task)))
      )
    } catch (error) {
      const { code, message, details } = toMeshError(error)
      throw new MeshError(code, message, { ...details, task: task.id }, { cause: error })
    }
  }

  return {
    handle,
    ask,
    track,
    over: async () => void (await Promise.allSettled([...[...following.values()].map(({ done }) => done), ...asked]))
  }
}
