import { createAdmission } from '../core/admission.ts'
import type { JsonValue } from '../core/invoke.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { EventFunction, Registration, ToolContext, ToolHandler } from '../mesh-api.ts'
import type { AgentMesh } from './agent-context.ts'
import type { AgentStore } from './agent-store.ts'
import { MAX_ACCEPTED_TASKS, checkEvent, createAgentTasks, taskIdOf } from './agent-tasks.ts'
import { createAgentTools } from './agent-tools.ts'
import { viewOf, type AgentState, type AgentView } from './agent-views.ts'
import { limitError } from './budget.ts'
import { ASK_TOOL, type AgentDefinition } from './definition.ts'
import type { AgentStep, EventPort, HandleOptions, ReceivedEvent } from './intent.ts'
import { createMemory, type ClosableMemory } from './memory.ts'
import { untilAborted } from '../core/until-aborted.ts'
import { pause } from './pause.ts'
import { streamSteps } from './step-stream.ts'
import { runTask } from './task-run.ts'
import { createTask, noteFailure, type AgentTask } from './task.ts'

/** Intents that wait for their turn. More than are ever accepted, of one source as well, which may have half of the places. */
const MAX_WAITING_INTENTS = 4 * MAX_ACCEPTED_TASKS
/** Waits before what an agent has done is written once more, in ms; the last one again and again. */
const WRITE_AGAIN_MS = [250, 1_000, 5_000, 30_000]
const STATE = 'state'
const MEMORY = 'memory'

/** What agents are built on. */
export interface AgentComponents {
  mesh: AgentMesh
  /** Default: what agents raise goes out as from any capability of the mesh, on behalf of who caused it. */
  events?: EventPort
  store: AgentStore
  /** Monotonic ms. */
  now(): number
  /** ISO 8601, for people. */
  date(): string
  /** Something that no other has. */
  newId(): string
  log(level: 'info' | 'warn', message: string): void
}

/** An agent of this node, while that runs. */
export interface HostedAgent {
  view(): AgentView
  tasks(): AgentTask[]
  /** See `Agents.handle`. */
  handle(event: ReceivedEvent, options: HandleOptions): Promise<void>
  /** See `Agents.setState`. */
  setState(state: Exclude<AgentState, 'created'>, reason?: string): Promise<void>
  /** Cuts short what it works on; events go back to who delivers them. Resolves when all of it is over. */
  stop(): Promise<void>
}

function eventsOf(mesh: AgentMesh): EventPort {
  return {
    async fire(capability, event, payload, { causes, depth, traceparent }) {
      const options = { depth, ...(causes !== undefined && { causes }), ...(traceparent !== undefined && { traceparent }) }
      return { ...(await mesh.fire(capability, event, payload, options)) }
    }
  }
}

/**
 * Offers an agent, in the state that it was in. Rejects with what its store says.
 *
 * Whether and when an event is done is up to who delivers it: an agent works on what it was handed, and gives it back when it cannot go on. It keeps where
 * it was, and goes on from there if it is handed the same event again.
 */
export async function hostAgent(definition: AgentDefinition, components: AgentComponents): Promise<HostedAgent> {
  const { mesh, events = eventsOf(mesh), store, now, date, newId, log } = components
  const { declaration, limits, concurrency } = definition
  const { id } = declaration
  const documents = await store.read(id)
  const tasks = createAgentTasks({
    agent: id,
    documents,
    store,
    date,
    onDamaged: (count) => log('warn', `agent ${id} goes on without ${count} of its records: they are not whole`)
  })
  const newMemory = (initial?: JsonValue): ClosableMemory => createMemory(initial, (all) => store.write(id, MEMORY, all))
  let memory = newMemory(documents.get(MEMORY))
  const admission = createAdmission(`agent ${id}`, concurrency, MAX_WAITING_INTENTS)
  /** Events by the id of their task. */
  const following = new Map<string, { done: Promise<void>; signal: AbortSignal }>()
  /** What else it does: what it is asked, and tools of its own. */
  const asked = new Set<Promise<unknown>>()
  let registration: Registration | undefined
  let state: AgentState = 'created'
  let reason: string | undefined
  let stopped = false
  /** Aborted when it is not to work any more; another one when it is again. */
  let working = new AbortController()
  /** Changes of the state, one after the other. */
  let changing: Promise<void> = Promise.resolve()

  // ---- one intent -----------------------------------------------------------------------------
  async function save(task: AgentTask): Promise<void> {
    // Of one that has ended nothing is kept.
    if (state === 'ended') return
    try {
      await tasks.save(task)
    } catch (error) {
      throw new MeshError('unavailable', `agent ${id} cannot keep what it does: ${toMeshError(error).message}`)
    }
  }

  const saveOrTell = (task: AgentTask): Promise<void> => save(task).catch((error: Error) => log('warn', error.message))

  async function work(task: AgentTask, who: string, signal: AbortSignal, onStep?: (step: AgentStep) => void): Promise<JsonValue> {
    try {
      signal.throwIfAborted()
      await admission.enter(who, signal)
    } catch (error) {
      noteFailure(task, toMeshError(error), task.intent.kind === 'event')
      throw error
    }
    try {
      return await runTask(task, { definition, mesh, events, memory, save, now }, { signal, onStep })
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
        if (again === 0) log('warn', toMeshError(error).message)
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
        await work(task, event.node, signal)
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
      const signal = AbortSignal.any([options.signal, working.signal])
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

  async function* ask(text: string, { signal, causes, caller }: ToolContext): AsyncGenerator<JsonValue, JsonValue, void> {
    const depth = Math.max(0, causes.length - 1)
    if (depth > limits.depth) throw limitError('depth', limits.depth)
    const task = createTask({ id: newId(), intent: { kind: 'ask', text }, causes, depth, at: date() })
    tasks.show(task)
    const either = AbortSignal.any([signal, working.signal])
    try {
      return yield* streamSteps((onStep) => track(work(task, caller, either, onStep).finally(() => saveOrTell(task))))
    } catch (error) {
      const { code, message, details } = toMeshError(error)
      throw new MeshError(code, message, { ...details, task: task.id }, { cause: error })
    }
  }

  // ---- life -----------------------------------------------------------------------------------
  function notThere(): MeshError {
    const because = reason === undefined ? '' : `: ${reason}`
    const is = { created: `is not offered${because}`, suspended: `is suspended${because}`, ended: 'has ended', running: 'stops' }
    const why = stopped ? 'stops' : is[state]
    return new MeshError('unavailable', `agent "${id}" ${why}`, { agent: id })
  }

  function checkRunning(): void {
    if (stopped || state !== 'running') throw notThere()
  }

  function register(): void {
    const tools = createAgentTools(definition, { ask, signal: () => working.signal, memory: () => memory, mesh, events, now })
    // Tools of an agent yield nothing but their result.
    const tracked = (handler: ToolHandler): ToolHandler => {
      return (input, context) => track(Promise.resolve(handler(input, context) as Promise<JsonValue>))
    }
    const handlers = Object.entries(tools.handlers).map(([name, handler]) => [
      name,
      name === ASK_TOOL ? handler : tracked(handler)
    ])
    const onEvent: EventFunction = (event, { signal, causes, depth, within }) => {
      // It has a limit of its own, that of its work.
      within(Infinity)
      return handle(event, { signal, causes, depth })
    }
    registration = mesh.register(
      { ...declaration, tools: tools.declarations },
      Object.fromEntries(handlers) as Record<string, ToolHandler>,
      declaration.handles === undefined ? undefined : onEvent
    )
  }

  function enter(next: Exclude<AgentState, 'created'>, why: string | undefined): void {
    if (next === 'ended') {
      registration?.remove('the agent has ended')
      registration = undefined
    } else {
      if (registration === undefined) register()
      if (next === 'suspended') registration?.suspend(why ?? 'suspended')
      else registration?.resume()
    }
    reason = why
    state = next
    if (next !== 'running') working.abort(new MeshError('unavailable', `agent "${id}" was ${next}`, { agent: id }))
    else if (working.signal.aborted) working = new AbortController()
  }

  /** Of what it worked on, which was aborted. */
  const allOver = async (): Promise<unknown> => Promise.allSettled([...[...following.values()].map(({ done }) => done), ...asked])

  async function change(next: Exclude<AgentState, 'created'>, why: string | undefined): Promise<void> {
    if (stopped) throw notThere()
    if (next === state && why === reason) return
    if (next === 'running' && state === 'ended') memory = newMemory()
    enter(next, why)
    // Running is what an agent is of which nothing is known.
    const document =
      next === 'running' && why === undefined ? undefined : { state: next, ...(why !== undefined && { reason: why }) }
    await store.write(id, STATE, document)
    if (next !== 'ended') return
    await Promise.all([allOver(), memory.close()])
    await forget()
  }

  async function forget(): Promise<void> {
    await tasks.clear()
    await store.write(id, MEMORY, undefined)
  }

  function setState(next: Exclude<AgentState, 'created'>, why?: string): Promise<void> {
    const changed = changing.then(() => change(next, why))
    changing = changed.catch(() => undefined)
    return changed
  }

  const kept = documents.get(STATE) as { state?: unknown; reason?: unknown } | undefined
  const first = kept?.state === 'suspended' || kept?.state === 'ended' ? kept.state : 'running'
  // It was ended, and the node with it before all was forgotten.
  if (first === 'ended') await forget().catch((error: unknown) => log('warn', toMeshError(error).message))
  try {
    enter(first, typeof kept?.reason === 'string' ? kept.reason : undefined)
  } catch (error) {
    reason = toMeshError(error).message
    log('warn', `agent ${id} is not offered: ${reason}`)
  }

  return {
    view: () => viewOf(definition, state, reason, tasks.all()),
    tasks: () => tasks.all(),
    handle,
    setState,
    async stop() {
      if (stopped) return
      stopped = true
      working.abort(new MeshError('unavailable', 'the node is stopping'))
      registration?.remove('shutdown')
      await Promise.all([allOver(), changing])
    }
  }
}
