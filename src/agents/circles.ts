/** Agents that wait for each other: whom an agent asks is told who waits for the answer, so that nobody asks one of those whose places are all taken by that. */
import type { ToolDeclaration } from '../../protocols/capability.ts'
import { parseTarget } from '../../protocols/named-node.ts'
import type { JsonObject, JsonSchema, JsonValue } from '../core/invoke.ts'
import { MeshError } from '../errors.ts'
import type { CapabilityView } from '../mesh-api.ts'
import { ASK_TOOL, WAITING_KEY } from '../model-tools/ask-schema.ts'
import { meantBy } from './meant.ts'

/** Agents in it at most: more than a chain of calls may have. */
const MAX_WAITING = 16
const MAX_NAME = 256

/** Schema of {@link WAITING_KEY}. */
export const WAITING_SCHEMA = {
  type: 'array',
  maxItems: MAX_WAITING,
  items: { type: 'string', maxLength: MAX_NAME },
  description: 'Agents that wait for the answer, as ID@PEERID, who began it first. Agents give it by themselves.'
} satisfies JsonSchema

/** An agent, as it stands in such a list. */
export function nameOf(agent: string, node: string): string {
  return `${agent}@${node}`
}

/** Those that wait for an answer, of what an agent was asked with. The mesh has checked it by the schema. */
export function waitingOf(input: JsonObject): string[] {
  return (input[WAITING_KEY] as string[] | undefined) ?? []
}

/** How an agent asks another one. */
export interface AskChoice {
  input: JsonValue
  /** PeerIds of nodes whose agent waits for the answer itself. */
  notNode: string[]
}

/**
 * What an agent is asked with, and where not. What has a tool of this name and is no agent gets its input as it is.
 * @param waiting those that wait for the answer, the one that asks last.
 * @throws MeshError `conflict` if whoever may be meant waits for the answer with all of its places: it would never begin.
 */
export function chooseAsked(
  capabilities: readonly CapabilityView[],
  { target, node, input, waiting }: { target: string; node: string | undefined; input: JsonValue; waiting: readonly string[] }
): AskChoice {
  const meant = meantBy(capabilities, target, node)
  if (meant.length === 0 || !meant.every(takesWaiting) || typeof input !== 'object' || input === null || Array.isArray(input))
    return { input, notNode: [] }
  const free = meant.filter((one) => !isTaken(one, waiting))
  if (free.length === 0) throw circleError(meant[0]!, waiting)
  const freeNodes = new Set(free.map((one) => one.node))
  const notNode = [...new Set(meant.map((one) => one.node))].filter((one) => !freeNodes.has(one))
  return { input: { ...input, [WAITING_KEY]: waiting.slice(-MAX_WAITING) }, notNode }
}

function askTool({ tools }: CapabilityView): ToolDeclaration | undefined {
  return tools.find(({ name }) => name === ASK_TOOL)
}

/** An agent of a version that knows nothing of it would refuse it. */
function takesWaiting(one: CapabilityView): boolean {
  const schema = askTool(one)?.input
  const properties = typeof schema === 'object' ? (schema['properties'] as JsonObject | undefined) : undefined
  return properties?.[WAITING_KEY] !== undefined
}

/** Each time that an agent waits for the answer takes one of its places. */
function isTaken(one: CapabilityView, waiting: readonly string[]): boolean {
  const places = askTool(one)?.concurrency ?? Infinity
  return waiting.filter((name) => name === nameOf(one.id, one.node)).length >= places
}

function circleError({ id, node }: CapabilityView, waiting: readonly string[]): MeshError {
  const first = waiting.indexOf(nameOf(id, node))
  const circle = [...waiting.slice(first), nameOf(id, node)]
  const shown = circle.map((name) => parseTarget(name).name).join(' → ')
  const message = `agent "${id}" waits for this answer itself, and has no place left: ${shown}; do it without asking it, or raise its concurrency`
  return new MeshError('conflict', message, { circle })
}
