import {
  checkCapability,
  type CapabilityDeclaration,
  type HandlesDeclaration,
  type ToolDeclaration,
  type TriggerDeclaration
} from '../../protocols/capability.ts'
import type { JsonObject, JsonSchema, JsonValue } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'
import type { CapabilityView } from '../mesh-api.ts'
import type { AgentContext, AgentWork } from './agent-context.ts'
import { completeLimits, type AgentLimits } from './budget.ts'
import { ASK_TOOL, WAITING_KEY } from '../model-tools/ask-schema.ts'
import { WAITING_SCHEMA } from './circles.ts'
import type { Intent } from './intent.ts'

/** Longest text that an agent is asked, in characters. */
export const MAX_ASKED_CHARACTERS = 64 * 1024
/** Intents that an agent works on at once, unless it says otherwise. */
export const DEFAULT_AGENT_CONCURRENCY = 2
/** The most that it may say. */
export const MAX_AGENT_CONCURRENCY = 64

/** A tool that an agent has beside `ask`. */
export interface AgentTool extends Omit<ToolDeclaration, 'name'> {
  run(input: JsonObject, context: AgentContext): JsonValue | void | Promise<JsonValue | void>
}

/** An agent that is code. */
export interface CodeAgent {
  id: string
  /** Default: `agent/<id>`. */
  type?: string
  name?: string
  description?: string
  /** What it says of the events that it handles; default: any that are routed to it. `false`: it handles none, and is only asked. */
  handles?: HandlesDeclaration | false
  tools?: Record<string, AgentTool>
  /** Events that it raises by itself. */
  triggers?: TriggerDeclaration[]
  limits?: Partial<AgentLimits>
  /** Intents that it works on at once; default 2. */
  concurrency?: number
  examples?: string[]
  keywords?: string[]
  metadata?: JsonObject
  /** Schema of what `ask` gives back. */
  output?: JsonSchema
  /**
   * Does what an intent says. What it returns is the result of `ask`. An event whose handling is cut short, by a stop of the node or otherwise, may come
   * again, and begins from the beginning then, with a higher `context.attempt`: so what it does twice must do no harm, or be noted in `context.memory`.
   */
  run(intent: Intent, context: AgentContext): JsonValue | void | Promise<JsonValue | void>
}

/** Anything that handles intents, of either kind. Made by `defineAgent` or of a configuration. */
export interface AgentDefinition {
  readonly kind: 'code' | 'declared'
  /** Without the tools. */
  readonly declaration: CapabilityDeclaration
  readonly tools: Readonly<Record<string, AgentTool>>
  readonly output: JsonSchema | undefined
  readonly limits: AgentLimits
  readonly concurrency: number
  /** What it needs to work and is not there now, in words that other nodes may see. */
  lacks?(capabilities: readonly CapabilityView[]): string | undefined
  perform(work: AgentWork): Promise<JsonValue>
}

/** Makes an agent of code. @throws MeshError `invalid_argument`. */
export function defineAgent(agent: CodeAgent): AgentDefinition {
  const { id, type = `agent/${id}`, handles = {}, tools = {}, limits, concurrency, output, run, ...rest } = agent
  if (Object.hasOwn(tools, ASK_TOOL))
    throw new MeshError('invalid_argument', `an agent has a tool "${ASK_TOOL}" by itself; give that of "${id}" another name`, {
      id
    })
  return {
    kind: 'code',
    declaration: declare({ ...rest, id, type }, handles),
    tools,
    output,
    limits: completeLimits(limits),
    concurrency: checkConcurrency(concurrency),
    perform: async (work) => (await run(work.task.intent, work.context)) ?? null
  }
}

/** A declaration is JSON: what is not given is left out. @throws MeshError `invalid_argument`, also for an id that no capability may have. */
export function declare(capability: CapabilityDeclaration, handles: HandlesDeclaration | false): CapabilityDeclaration {
  const all = { ...capability, ...(handles !== false && { handles }) }
  return checkCapability(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))
}

/** @throws MeshError `invalid_argument`. */
export function checkConcurrency(concurrency = DEFAULT_AGENT_CONCURRENCY): number {
  if (!Number.isSafeInteger(concurrency) || concurrency < 1 || concurrency > MAX_AGENT_CONCURRENCY)
    throw new MeshError('invalid_argument', `concurrency of an agent must be a whole number of 1 to ${MAX_AGENT_CONCURRENCY}`)
  return concurrency
}

/** What the mesh is told of `ask`. Its time is that of the agent, and what it may wait for its turn. */
export function askDeclaration({ limits, concurrency, output, declaration }: AgentDefinition, queue: number): ToolDeclaration {
  return {
    name: ASK_TOOL,
    description: `Asks ${declaration.name ?? declaration.id} to do something, in words. ${declaration.description ?? ''}`.trim(),
    input: {
      type: 'object',
      additionalProperties: false,
      required: ['text'],
      properties: {
        text: { type: 'string', minLength: 1, maxLength: MAX_ASKED_CHARACTERS, description: 'What it is to do.' },
        [WAITING_KEY]: WAITING_SCHEMA
      }
    },
    ...(output !== undefined && { output }),
    streams: true,
    idempotent: false,
    timeoutMs: 2 * limits.timeMs,
    concurrency,
    queue
  }
}
