import { MeshError } from '../errors.ts'
import { MAX_AGENTS } from './agent-config.ts'
import { summaryOf, type AgentState, type AgentTaskSummary, type AgentView } from './agent-views.ts'
import type { AgentDefinition } from './definition.ts'
import { hostAgent, type AgentComponents, type HostedAgent } from './hosted-agent.ts'
import type { HandleOptions, ReceivedEvent } from './intent.ts'
import type { AgentTask } from './task.ts'

/** The agents of a node. */
export interface Agents {
  /** Offers an agent. Rejects with `conflict`, `too_large`, and what its store says. One that the mesh does not take stays `created`, with the reason. */
  add(definition: AgentDefinition): Promise<AgentView>
  /**
   * Has an agent do what an event says; resolves when that is done, and that is on disk, also if it is delivered several times. Rejects with what it failed
   * with: `failureOf` says whether it may be delivered again. It is given back with `unavailable` when the agent is suspended or ends, or the node stops:
   * it goes on where it was when it is delivered again, and not by itself.
   */
  handle(agent: string, event: ReceivedEvent, options: HandleOptions): Promise<void>
  list(): AgentView[]
  /** The newest first. Throws `unknown_capability`. */
  tasks(agent: string): AgentTaskSummary[]
  /** All that is known of one, its transcript as well. Throws `unknown_capability`, `not_found`. */
  task(agent: string, task: string): AgentTask
  /** Suspends, resumes, ends an agent; kept over restarts. Throws `unknown_capability`, `unavailable`, and what the disk says. */
  setState(agent: string, state: Exclude<AgentState, 'created'>, reason?: string): Promise<AgentView>
  /** Cuts short what they work on. To be called before the mesh stops. Idempotent. */
  stop(): Promise<void>
}

/** What comes and goes together is looked at together, this long after the first, in ms. */
const LOOK_AFTER_MS = 50

/** Makes a node that has no agents yet. */
export function createAgents(components: AgentComponents): Agents {
  const hosted = new Map<string, Promise<HostedAgent>>()
  const ready = new Map<string, HostedAgent>()
  let stopping: Promise<void> | undefined
  const watching = new AbortController()
  let looking: ReturnType<typeof setTimeout> | undefined

  /** Agents say whether what they need is there. */
  async function watchMesh(): Promise<void> {
    for await (const { event } of components.mesh.events({ signal: watching.signal }))
      if (event.startsWith('capability:')) looking ??= setTimeout(look, LOOK_AFTER_MS)
  }

  function look(): void {
    looking = undefined
    for (const agent of ready.values()) agent.look()
  }

  watchMesh().catch((error: unknown) =>
    components.log('warn', `agents do not see any more what the mesh offers: ${String(error)}`)
  )

  function find(agent: string): HostedAgent {
    const found = ready.get(agent)
    if (found !== undefined) return found
    const has = [...ready.keys()].join(', ') || 'none'
    throw new MeshError(
      'unknown_capability',
      `this node has no agent "${agent}"; it has ${has}, and one of another node is looked at there`,
      { agent }
    )
  }

  return {
    async add(definition) {
      const { id } = definition.declaration
      if (stopping !== undefined) throw new MeshError('unavailable', 'the node is stopping')
      if (hosted.has(id)) throw new MeshError('conflict', `there is an agent "${id}" already; choose another id`, { agent: id })
      if (hosted.size >= MAX_AGENTS) throw new MeshError('too_large', `a node has at most ${MAX_AGENTS} agents`)
      const starting = hostAgent(definition, components)
      hosted.set(id, starting)
      try {
        const agent = await starting
        ready.set(id, agent)
        // What has changed since it was made.
        agent.look()
        return agent.view()
      } catch (error) {
        hosted.delete(id)
        throw error
      }
    },
    handle: async (agent, event, options) => find(agent).handle(event, options),
    list: () => [...ready.values()].map((agent) => agent.view()),
    tasks: (agent) => find(agent).tasks().map(summaryOf),
    task(agent, id) {
      const found = find(agent)
        .tasks()
        .find((task) => task.id === id)
      if (found === undefined) throw new MeshError('not_found', `agent "${agent}" has no task "${id}" (any more)`, { task: id })
      return found
    },
    async setState(agent, state, reason) {
      const found = find(agent)
      await found.setState(state, reason)
      return found.view()
    },
    stop: () =>
      (stopping ??= (async () => {
        watching.abort()
        clearTimeout(looking)
        const all = await Promise.allSettled(hosted.values())
        await Promise.all(all.map(async (one) => one.status === 'fulfilled' && one.value.stop()))
      })())
  }
}
