import type { ToolDeclaration } from '../../protocols/capability.ts'
import type { JsonValue } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'
import type { ToolContext, ToolHandler } from '../mesh-api.ts'
import { ASK_TOOL } from '../model-tools/ask-schema.ts'
import { createContext, type AgentMesh } from './agent-context.ts'
import { NOTHING_USED, createBudget, limitError } from './budget.ts'
import { waitingOf } from './circles.ts'
import { askDeclaration, type AgentDefinition, type AgentTool } from './definition.ts'
import type { EventPort } from './intent.ts'
import type { AgentMemory } from './memory.ts'
import { untilAborted } from '../core/until-aborted.ts'

/** Askers of one agent that wait for their turn. */
const ASK_QUEUE = 16

/** What the tools of an agent are made of. */
export interface AgentToolsInit {
  /** @param waiting agents that wait for the answer. */
  ask(text: string, waiting: readonly string[], context: ToolContext): AsyncGenerator<JsonValue, JsonValue, void>
  /** Aborted when the agent is suspended or ends. */
  signal(): AbortSignal
  memory(): AgentMemory
  mesh: AgentMesh
  events: EventPort
  now(): number
}

/** `ask`, and the tools that an agent of code has beside it: each call of one has the limits of the agent. */
export function createAgentTools(
  definition: AgentDefinition,
  init: AgentToolsInit
): { declarations: ToolDeclaration[]; handlers: Record<string, ToolHandler> } {
  const declarations = [askDeclaration(definition, ASK_QUEUE)]
  const handlers: Record<string, ToolHandler> = {
    // A generator function, so that the mesh knows that it streams.
    async *[ASK_TOOL](input, context) {
      return yield* init.ask(input['text'] as string, waitingOf(input), context)
    }
  }
  for (const [name, tool] of Object.entries(definition.tools)) {
    const { run: _run, ...declaration } = tool
    declarations.push({ ...declaration, name })
    handlers[name] = (input, context) => runTool(definition, tool, input, context, init)
  }
  return { declarations, handlers }
}

async function runTool(
  { declaration, limits }: AgentDefinition,
  tool: AgentTool,
  input: Parameters<AgentTool['run']>[0],
  { signal: given, causes, traceparent }: ToolContext,
  { signal: agentSignal, memory, mesh, events, now }: AgentToolsInit
): Promise<JsonValue> {
  const depth = Math.max(0, causes.length - 1)
  if (depth > limits.depth) throw limitError('depth', limits.depth)
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(limitError('timeMs', limits.timeMs)), limits.timeMs)
  const signal = AbortSignal.any([given, agentSignal(), over.signal])
  const budget = createBudget(limits, NOTHING_USED, now)
  const report = (): void => undefined
  const { context } = createContext({
    ...{ agent: declaration.id, task: '', attempt: 1, signal, causes, depth, traceparent },
    // It takes no place of the agent.
    waiting: [],
    ...{ mesh, events, memory: memory(), budget, report, now }
  })
  try {
    const work = Promise.resolve().then(() => tool.run(input, context))
    return (await untilAborted(work, signal)) ?? null
  } finally {
    clearTimeout(timer)
    // Who has kept its context does nothing more with it.
    over.abort(new MeshError('cancelled', 'the call of the tool is over'))
  }
}
