import { cutText } from '../core/cut-text.ts'
import type { JsonValue } from '../core/invoke.ts'
import type { MeshError } from '../errors.ts'
import type { Call, CallOptions, CapabilityView, Mesh } from '../mesh-api.ts'
import type { Budget } from './budget.ts'
import type { AgentStep, EventPort } from './intent.ts'
import { ASK_TOOL } from '../model-tools/ask-schema.ts'
import { chooseAsked } from './circles.ts'
import { boundMemory, type AgentMemory } from './memory.ts'
import { collectCall, modelTokens, type CallOutcome } from './mesh-call.ts'
import type { Picture } from './pictures.ts'
import type { AgentTask } from './task.ts'

/** Time for a call of a tool that says nothing of its own, in ms. */
export const DEFAULT_CALL_MS = 30_000
const MAX_NOTE = 2_000

/** The part of a node that agents see. */
export type AgentMesh = Pick<Mesh, 'peerId' | 'capabilities' | 'call' | 'register' | 'fire' | 'events'>

/** What an agent that is code may do while it works. All of it is counted, and ends with `signal`. */
export interface AgentContext {
  /** Aborted when a limit is reached, when whoever asked leaves, or when the agent or the node stops. */
  readonly signal: AbortSignal
  /** Id of what it works on; empty in a tool of its own. */
  readonly task: string
  /** 1, or more for an event that an earlier start of the node did not finish. */
  readonly attempt: number
  /** On whose behalf it works: PeerIds, who began it first; undefined: of this node itself. Its calls go out with it. */
  readonly causes: readonly string[] | undefined
  /** Events and agents that this follows from. */
  readonly depth: number
  readonly memory: AgentMemory
  readonly budget: Pick<Budget, 'used' | 'tokensLeft' | 'timeLeft'>
  /** All that the mesh offers. */
  capabilities(): CapabilityView[]
  /** Calls a tool of the mesh: a step, and a call of a tool. Of what it yields beside its result see `collectCall`. Rejects with MeshError. */
  call(target: string, tool: string, input?: JsonValue, options?: { timeoutMs?: number; node?: string }): Promise<JsonValue>
  /** Raises one of the triggers of the agent: a step. @returns what became of it. Rejects with MeshError. */
  fire(event: string, payload: JsonValue): Promise<JsonValue>
  /** Says something of its work to who asked, and to its transcript. */
  note(text: string): void
}

/** How a call goes out. */
export interface RequestOptions extends Pick<CallOptions, 'node' | 'notNode'> {
  timeoutMs: number
  /** Its configuration has chosen this call, not what it has read: no consent of this node is needed for it. */
  isConfigured?: boolean
  /** Is given the picture that the tool gives, if it gives one. */
  onPicture?: ((picture: Picture) => void) | undefined
  /** Is given the call before it begins: its `provider` is whom it was sent to, if anybody, also where it fails. */
  onCall?: (call: Call) => void
}

/** All that goes on around one intent: for what performs it. */
export interface AgentWork {
  readonly task: AgentTask
  readonly context: AgentContext
  readonly budget: Budget
  /** Calls without counting. */
  request(target: string, tool: string, input: JsonValue, options: RequestOptions): Promise<CallOutcome>
  /** Raises without counting. */
  raise(event: string, payload: JsonValue): Promise<JsonValue>
  report(step: AgentStep): void
  /** Keeps what is known of the intent, if it is one that goes on after a restart. Rejects if it cannot. */
  save(): Promise<void>
  now(): number
}

/** What {@link createContext} is made of. */
export interface ContextInit extends Pick<AgentContext, 'signal' | 'task' | 'attempt' | 'causes' | 'depth' | 'memory'> {
  agent: string
  mesh: AgentMesh
  events: EventPort
  budget: Budget
  traceparent: string | undefined
  /** Agents that wait for what it does, itself last; see `chooseAsked`. */
  waiting: readonly string[]
  report(step: AgentStep): void
  now(): number
}

/** See {@link AgentContext}, with the calls and events that are not counted. */
export function createContext(init: ContextInit): { context: AgentContext } & Pick<AgentWork, 'request' | 'raise'> {
  const { agent, mesh, events, budget, report, now, signal, task, attempt, causes, depth, memory, traceparent, waiting } = init

  async function request(target: string, tool: string, input: JsonValue, options: RequestOptions): Promise<CallOutcome> {
    signal.throwIfAborted()
    const { timeoutMs: most, isConfigured = false, node, notNode: unwanted = [], onPicture, onCall } = options
    const asked = tool === ASK_TOOL ? chooseAsked(mesh.capabilities(), { target, node, input, waiting }) : { input, notNode: [] }
    const notNode = [...unwanted, ...asked.notNode]
    const call = mesh.call(target, tool, asked.input, {
      signal,
      timeoutMs: Math.max(1, Math.min(most, budget.timeLeft)),
      ...(causes !== undefined && { causes }),
      ...(!isConfigured && { agent }),
      ...(node !== undefined && { node }),
      ...(notNode.length > 0 && { notNode }),
      ...(traceparent !== undefined && { traceparent })
    })
    onCall?.(call)
    return collectCall(call, onPicture)
  }

  async function raise(event: string, payload: JsonValue): Promise<JsonValue> {
    signal.throwIfAborted()
    report({ step: 'fire', event })
    return events.fire(agent, event, payload, { signal, causes, depth, traceparent })
  }

  const context: AgentContext = {
    signal,
    task,
    attempt,
    causes,
    depth,
    memory: boundMemory(memory, signal),
    budget,
    capabilities: () => mesh.capabilities(),
    async call(target, tool, input = {}, { timeoutMs = DEFAULT_CALL_MS, node } = {}) {
      budget.checkTokens(1)
      budget.step()
      budget.toolCall()
      const name = `${target} ${tool}`
      const startedAt = now()
      report({ step: 'call', name, target, tool, input: cutText(JSON.stringify(input), MAX_NOTE) })
      const end = (told: { code?: string; message?: string }): void =>
        report({ step: 'result', name, durationMs: Math.round(now() - startedAt), ...told })
      try {
        const outcome = await request(target, tool, input, { timeoutMs, ...(node !== undefined && { node }) })
        budget.addTokens(modelTokens(outcome, target, () => mesh.capabilities()))
        end({})
        return outcome.value
      } catch (error) {
        const { code, message } = error as MeshError
        end({ code, message: cutText(message, MAX_NOTE) })
        throw error
      }
    },
    async fire(event, payload) {
      budget.step()
      return raise(event, payload)
    },
    note: (text) => report({ step: 'note', text: cutText(text, MAX_NOTE) })
  }
  return { context, request, raise }
}
