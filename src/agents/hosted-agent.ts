import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { JsonValue } from '../core/invoke.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { EventFunction, Registration, ToolHandler } from '../mesh-api.ts'
import type { AgentMesh } from './agent-context.ts'
import { createAgentRuns } from './agent-runs.ts'
import type { AgentStore } from './agent-store.ts'
import { createAgentTasks } from './agent-tasks.ts'
import { createAgentTools } from './agent-tools.ts'
import { viewOf, type AgentState, type AgentView } from './agent-views.ts'
import { ASK_TOOL } from '../model-tools/ask-schema.ts'
import type { AgentDefinition } from './definition.ts'
import type { EventPort, HandleOptions, ReceivedEvent } from './intent.ts'
import { createMemory, type ClosableMemory } from './memory.ts'
import type { AgentTask } from './task.ts'

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
  /** Says whether it has what it needs: other capabilities have come or gone. */
  look(): void
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
  const { declaration } = definition
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
  let registration: Registration | undefined
  let state: AgentState = 'created'
  let reason: string | undefined
  /** What it needs, and is not there. */
  let lack = definition.lacks?.(mesh.capabilities())
  /** What the mesh was told of that. */
  let shown: string | undefined
  let stopped = false
  /** Aborted when it is not to work any more; another one when it is again. */
  let working = new AbortController()
  /** Changes of the state, one after the other. */
  let changing: Promise<void> = Promise.resolve()

  const runs = createAgentRuns({
    ...{ definition, mesh, events, tasks, checkRunning, now, date, newId },
    memory: () => memory,
    signal: () => working.signal,
    isKept: () => state !== 'ended',
    warn: (message) => log('warn', message)
  })

  function notThere(): MeshError {
    const because = reason === undefined ? '' : `: ${reason}`
    const is = { created: `is not offered${because}`, suspended: `is suspended${because}`, ended: 'has ended', running: 'stops' }
    const why = stopped ? 'stops' : is[state]
    return new MeshError('unavailable', `agent "${id}" ${why}`, { agent: id })
  }

  function checkRunning(): void {
    if (stopped || state !== 'running') throw notThere()
  }

  function readiness(): Pick<CapabilityDeclaration, 'status' | 'statusReason'> {
    return lack === undefined ? { status: 'online' } : { status: 'degraded', statusReason: lack }
  }

  function look(): void {
    lack = definition.lacks?.(mesh.capabilities())
    showReadiness()
  }

  function showReadiness(): void {
    if (lack === shown || state !== 'running' || stopped) return
    shown = lack
    registration?.update({ statusReason: undefined, ...readiness() })
  }

  function register(): void {
    shown = lack
    const tools = createAgentTools(definition, {
      ask: runs.ask,
      signal: () => working.signal,
      memory: () => memory,
      mesh,
      events,
      now
    })
    // Tools of an agent yield nothing but their result.
    const tracked = (handler: ToolHandler): ToolHandler => {
      return (input, context) => runs.track(Promise.resolve(handler(input, context) as Promise<JsonValue>))
    }
    const handlers = Object.entries(tools.handlers).map(([name, handler]) => [
      name,
      name === ASK_TOOL ? handler : tracked(handler)
    ])
    const onEvent: EventFunction = (event, { signal, causes, depth, within }) => {
      // It has a limit of its own, that of its work.
      within(Infinity)
      return runs.handle(event, { signal, causes, depth })
    }
    registration = mesh.register(
      { ...declaration, ...readiness(), tools: tools.declarations },
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
    showReadiness()
    if (next !== 'running') working.abort(new MeshError('unavailable', `agent "${id}" was ${next}`, { agent: id }))
    else if (working.signal.aborted) working = new AbortController()
  }

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
    await Promise.all([runs.over(), memory.close()])
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
    view: () => viewOf(definition, state, reason ?? (state === 'running' ? lack : undefined), tasks.all()),
    tasks: () => tasks.all(),
    handle: runs.handle,
    setState,
    look,
    async stop() {
      if (stopped) return
      stopped = true
      working.abort(new MeshError('unavailable', 'the node is stopping'))
      registration?.remove('shutdown')
      await Promise.all([runs.over(), changing])
    }
  }
}
