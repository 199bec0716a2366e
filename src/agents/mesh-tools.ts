import type { ToolDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { matchGlob, matchName } from '../../protocols/glob.ts'
import type { JsonObject, JsonSchema } from '../../protocols/json.ts'
import { CHAT_TYPE, type ChatFunction } from '../core/chat.ts'
import { MeshError } from '../errors.ts'
import type { CapabilityView } from '../mesh-api.ts'
import { functionName } from './tool-names.ts'

/** Tools that a model is shown; past it the rest is left out, in the order of their names. */
export const MAX_SHOWN_TOOLS = 128
/** Longest schema that a model is shown, in characters; a longer one becomes "any object". The node that has the tool checks it all the same. */
export const MAX_SCHEMA_CHARACTERS = 16_384
const MAX_DESCRIPTION = 1_024

/** Tools of the mesh that an agent may use: all keys that are given must fit. */
export interface AgentToolRule {
  /** Globs over ids of capabilities: `*` is any text. */
  capabilities?: string[]
  /** Globs over their types: `*` stays within a segment, `**` crosses them. */
  types?: string[]
  /** Globs over names of tools. */
  tools?: string[]
}

/** Something that a model can ask for. */
export type ModelTool =
  | { kind: 'call'; name: string; target: string; tool: ToolDeclaration }
  | { kind: 'fire'; name: string; trigger: TriggerDeclaration }

/** What a model can ask for at one step. */
export interface ToolTable {
  readonly functions: ChatFunction[]
  /** @throws MeshError `permission_denied` if the agent may not use it, `unknown_tool` if there is none. */
  find(name: string): ModelTool
}

/** What the agent has beside the tools of the mesh, and which of them it may use. */
export interface ToolTableInit {
  /** Its own id: it does not ask itself. */
  agent: string
  rules: readonly AgentToolRule[]
  triggers: readonly TriggerDeclaration[]
}

/** @param capabilities all that the mesh offers now. What has changed its description, and nobody has accepted, is not shown: see `acceptDescriptor`. */
export function createToolTable(capabilities: readonly CapabilityView[], { agent, rules, triggers }: ToolTableInit): ToolTable {
  const shown = new Map<string, ModelTool>()
  const refused = new Set<string>()
  for (const trigger of triggers) {
    const name = functionName('raise', trigger.event)
    shown.set(name, { kind: 'fire', name, trigger })
  }
  const known = capabilities.filter(({ id, local }) => !(local && id === agent)).sort((a, b) => compare(a.ref, b.ref))
  for (const capability of known) {
    const { target, label } = targetOf(capability, known)
    for (const tool of capability.tools) {
      const name = functionName(label, tool.name)
      if (!isAllowed(rules, capability, tool) || isAway(capability) || capability.changed !== undefined) refused.add(name)
      else if (!shown.has(name) && shown.size < MAX_SHOWN_TOOLS) shown.set(name, { kind: 'call', name, target, tool })
    }
  }
  return {
    functions: [...shown.values()].map(functionOf),
    find(name) {
      const found = shown.get(name)
      if (found !== undefined) return found
      const names = [...shown.keys()].join(', ')
      const has = names === '' ? 'there are none' : `there are: ${names}`
      if (refused.has(name)) throw new MeshError('permission_denied', `this agent may not use "${name}" now; ${has}`, { name })
      throw new MeshError('unknown_tool', `there is no tool "${name}"; ${has}`, { name })
    }
  }
}

/** Which capability an agent talks to: an id or a type, perhaps `@node`, of one that can call tools. @throws MeshError `unknown_capability`. */
export function findModel(capabilities: readonly CapabilityView[], model: string): string {
  const named = capabilities.filter(({ id, type, ref }) => id === model || type === model || ref === model)
  const able = named.filter(({ metadata }) => metadata?.['tools'] !== false)
  // `id@node`, or something that the mesh itself knows better: it says what is wrong.
  if (named.length === 0 || able.length === named.length) return model
  const best = able.filter((one) => !isAway(one)).sort((a, b) => Number(b.local) - Number(a.local) || compare(a.ref, b.ref))[0]
  if (best === undefined) {
    const message = `no model of "${model}" calls tools; name another as the model of the agent, such as one of type ${CHAT_TYPE}`
    throw new MeshError('unknown_capability', message, { model })
  }
  return best.ref
}

/** Whether whoever may answer for this model looks at images. */
export function looksAtPictures(capabilities: readonly CapabilityView[], model: string): boolean {
  const named = capabilities.filter(({ id, type, ref }) => id === model || type === model || ref === model)
  return named.length > 0 && named.every(({ metadata }) => metadata?.['vision'] === true)
}

/**
 * The id, which means any node that has it, where that is one thing; else exactly this one. It is labelled with its node even while that is the only one:
 * so its name stays when others come.
 */
function targetOf(capability: CapabilityView, all: readonly CapabilityView[]): { target: string; label: string } {
  const { id, type, ref, scope, node, nodeName } = capability
  const sameId = all.filter((other) => other.id === id)
  if (scope !== 'node' && sameId.every((other) => other.type === type && other.scope !== 'node')) return { target: id, label: id }
  const isNamed = sameId.every((other) => other.nodeName !== nodeName || other === capability)
  return { target: ref, label: `${id}@${isNamed ? nodeName : node}` }
}

function isAllowed(rules: readonly AgentToolRule[], { id, type }: CapabilityView, { name }: ToolDeclaration): boolean {
  return rules.some(
    ({ capabilities, types, tools }) =>
      (capabilities?.some((glob) => matchName(glob, id)) ?? true) &&
      (types?.some((glob) => matchGlob(glob, type)) ?? true) &&
      (tools?.some((glob) => matchName(glob, name)) ?? true)
  )
}

function isAway({ status }: CapabilityView): boolean {
  return status === 'offline' || status === 'suspended'
}

function functionOf(tool: ModelTool): ChatFunction {
  const [description, schema] =
    tool.kind === 'call'
      ? [tool.tool.description, tool.tool.input]
      : [`Raises an event. ${tool.trigger.description ?? ''}`.trim(), tool.trigger.payload]
  const text = (description ?? '').slice(0, MAX_DESCRIPTION)
  return { type: 'function', function: { name: tool.name, description: text, parameters: parametersOf(schema) } }
}

/** Servers want an object at the top. */
function parametersOf(schema: JsonSchema | undefined): JsonObject {
  if (typeof schema !== 'object' || JSON.stringify(schema).length > MAX_SCHEMA_CHARACTERS)
    return { type: 'object', properties: {} }
  const { $schema: _dialect, $id: _id, ...rest } = schema
  return { type: 'object', properties: {}, ...rest }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
