import { createAdmission } from '../core/admission.ts'
import type { JsonValue } from '../core/invoke.ts'
import { ERROR_CODES, MeshError, isErrorCode, toMeshError } from '../errors.ts'
import type { EventFunction, Registration, ToolContext } from '../mesh-api.ts'
import type { AgentMesh } from './agent-context.ts'
import type { AgentStore } from './agent-store.ts'
import { MAX_ACCEPTED_TASKS, checkEvent, createAgentTasks, taskIdOf } from './agent-tasks.ts'
import { createAgentTools } from './agent-tools.ts'
import { viewOf, type AgentState, type AgentView } from './agent-views.ts'
import { limitError } from './budget.ts'
import type { AgentDefinition } from './definition.ts'
import type { AgentStep, EventPort, HandleOptions, ReceivedEvent } from './intent.ts'
import { createMemory } from './memory.ts'
import { untilAborted } from './mesh-call.ts'
import { runTask } from './task-run.ts'
import { createTask, type AgentTask } from './task.ts'

/** Intents that wait for their turn. More than are ever accepted, of one source as well, which may have half of the places. */
const MAX_WAITING_INTENTS = 4 * MAX_ACCEPTED_TASKS
const NEVER = new AbortController().signal
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
  /** Cuts short what it works on, which is done at the next start if it is an event. */
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

/** Offers an agent, in the state that it was in, and goes on with what it has accepted. Rejects with what its store says. */
export async function hostAgent(definition: AgentDefinition, components: AgentComponents): Promise<HostedAgent> {
  const { mesh, events = eventsOf(mesh), store, now, date, newId, log } = components
  const { declaration, limits, concurrency } = definition
  const { id } = declaration
  const documents = await store.read(id)
  const tasks = createAgentTasks(id, documents, store)
  let memory = createMemory(documents.get(MEMORY), (all) => store.write(id, MEMORY, all))
  const admission = createAdmission(`agent ${id}`, concurrency, MAX_WAITING_INTENTS)
  const following = new Map<string, Promise<void>>()
  let registration: Registration | undefined
  let state: AgentState = 'created'
  let reason: string | undefined
  let stopped = false
  /** Aborted when it is not to work any more; another one when it is again. */
  let working = new AbortController()
  const wake: (() => void)[] = []

  // ---- one intent -----------------------------------------------------------------------------
  async function save(task: AgentTask): Promise<void> {
    // Of one that has ended nothing is kept.
    if (state === 'ended') return
    await tasks
      .save(task)
      .catch((error: unknown) => log('warn', `agent ${id} cannot keep what it does: ${toMeshError(error).message}`))
  }

  async function work(task: AgentTask, who: string, given: AbortSignal, onStep?: (step: AgentStep) => void): Promise<JsonValue> {
    const signal = AbortSignal.any([given, working.signal])
    const isKept = task.intent.kind === 'event'
    signal.throwIfAborted()
    await admission.enter(who, signal)
    try {
      return await runTask(task, { definition, mesh, events, memory, save, now }, { signal, isKept, onStep })
    } finally {
      admission.leave()
    }
  }

  // ---- events ---------------------------------------------------------------------------------
  async function untilRunning(signal: AbortSignal): Promise<void> {
    while (state !== 'running') {
      if (state === 'ended' || stopped) throw notThere()
      await untilAborted(new Promise<void>((resolve) => wake.push(resolve)), signal)
    }
  }

  /** Until it is over: over times in which the agent is suspended as well. */
  async function toEnd(task: AgentTask, { node }: ReceivedEvent, signal: AbortSignal): Promise<void> {
    for (;;) {
      await untilRunning(signal)
      const { signal: mine } = working
      try {
        await work(task, node, signal)
        return
      } catch (error) {
        // Suspended meanwhile: it waits for the next time.
        if (task.state === 'accepted' && mine.aborted && !stopped && !signal.aborted) continue
        throw toMeshError(error)
      }
    }
  }

  function follow(task: AgentTask, event: ReceivedEvent, signal: AbortSignal): Promise<void> {
    const known = following.get(task.id)
    if (known !== undefined) return untilAborted(known, signal)
    const done = toEnd(task, event, signal).finally(() => following.delete(task.id))
    following.set(task.id, done)
    // Nobody may wait for it any more.
    done.catch(() => undefined)
    return done
  }

  async function handle(event: ReceivedEvent, { signal, causes, depth }: HandleOptions): Promise<void> {
    if (stopped || state === 'ended' || state === 'created') throw notThere()
    const known = tasks.get(taskIdOf(event))
    if (known?.state === 'done') return
    if (known?.state === 'failed') {
      const { code, message, details } = known.error ?? { code: 'tool_failed', message: 'it has failed', details: {} }
      if (!isErrorCode(code) || !ERROR_CODES[code].retryable)
        throw new MeshError(isErrorCode(code) ? code : 'tool_failed', message, details)
      // It goes on where it was.
      known.state = 'accepted'
      delete known.error
    }
    if (known !== undefined) return follow(known, event, signal)
    if (depth > limits.depth) throw limitError('depth', limits.depth)
    checkEvent(event)
    if (tasks.pending.length >= MAX_ACCEPTED_TASKS)
      throw new MeshError('busy', `agent "${id}" has ${MAX_ACCEPTED_TASKS} events to do already`, { agent: id })
    const task = createTask({ id: taskIdOf(event), intent: { kind: 'event', event }, causes, depth, at: date() })
    // On disk before anything is done about it, or not accepted.
    await tasks.save(task)
    return follow(task, event, signal)
  }

  // ---- asking ---------------------------------------------------------------------------------
  async function* ask(text: string, { signal, causes, caller }: ToolContext): AsyncGenerator<JsonValue, JsonValue, void> {
    const task = createTask({
      id: newId(),
      intent: { kind: 'ask', text },
      causes,
      depth: Math.max(0, causes.length - 1),
      at: date()
    })
    if (task.depth > limits.depth) throw limitError('depth', limits.depth)
    const steps: AgentStep[] = []
    let onChange: (() => void) | undefined
    let over = false
    const done = work(task, caller, signal, (step) => {
      steps.push(step)
      onChange?.()
    })
    const end = (): void => {
      over = true
      onChange?.()
    }
    done.then(end, end)
    while (!over || steps.length > 0) {
      const step = steps.shift()
      if (step !== undefined) yield step
      else await new Promise<void>((resolve) => (onChange = resolve))
    }
    try {
      return await done
    } catch (error) {
      const { code, message, details } = toMeshError(error)
      throw new MeshError(code, message, { ...details, task: task.id }, { cause: error })
    }
  }

  // ---- life -----------------------------------------------------------------------------------
  function notThere(): MeshError {
    const why = stopped ? 'stops' : state === 'created' ? `is not offered: ${reason ?? 'it is starting'}` : 'has ended'
    return new MeshError('unavailable', `agent "${id}" ${why}`, { agent: id })
  }

  function register(): void {
    const tools = createAgentTools(definition, { ask, signal: () => working.signal, memory: () => memory, mesh, events, now })
    const onEvent: EventFunction = (event, { signal, causes, depth }) => handle(event, { signal, causes, depth })
    registration = mesh.register(
      { ...declaration, tools: tools.declarations },
      tools.handlers,
      declaration.handles === undefined ? undefined : onEvent
    )
  }

  function enter(next: Exclude<AgentState, 'created'>, why: string | undefined): void {
    reason = why
    if (next === 'ended') {
      registration?.remove('the agent has ended')
      registration = undefined
    } else {
      if (registration === undefined) register()
      if (next === 'suspended') registration?.suspend(why ?? 'suspended')
      else registration?.resume()
    }
    if (next === 'running') working = new AbortController()
    else working.abort(new MeshError(next === 'ended' ? 'cancelled' : 'unavailable', `agent "${id}" was ${next}`, { agent: id }))
    state = next
    for (const go of wake.splice(0)) go()
  }

  async function setState(next: Exclude<AgentState, 'created'>, why?: string): Promise<void> {
    if (stopped) throw notThere()
    if (next === state) return
    const before = state
    if (next === 'running' && before === 'ended') memory = createMemory(undefined, (all) => store.write(id, MEMORY, all))
    enter(next, why)
    if (next === 'ended') {
      await Promise.allSettled(following.values())
      await tasks.clear()
      await store.write(id, MEMORY, undefined)
    }
    // Running is what an agent is of which nothing is known.
    await store.write(id, STATE, next === 'running' ? undefined : { state: next, ...(why !== undefined && { reason: why }) })
  }

  const kept = documents.get(STATE) as { state?: unknown; reason?: unknown } | undefined
  const first = kept?.state === 'suspended' || kept?.state === 'ended' ? kept.state : 'running'
  try {
    enter(first, typeof kept?.reason === 'string' ? kept.reason : undefined)
  } catch (error) {
    reason = toMeshError(error).message
    log('warn', `agent ${id} is not offered: ${reason}`)
  }
  for (const task of tasks.pending)
    if (registration !== undefined && task.intent.kind === 'event')
      void follow(task, task.intent.event, NEVER).catch(() => undefined)

  return {
    view: () => viewOf(definition, state, reason, tasks.all()),
    tasks: () => tasks.all(),
    handle,
    setState,
    async stop() {
      if (stopped) return
      stopped = true
      working.abort(new MeshError('unavailable', 'the node is stopping'))
      for (const go of wake.splice(0)) go()
      registration?.remove('shutdown')
      await Promise.allSettled(following.values())
    }
  }
}
