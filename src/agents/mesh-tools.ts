import type { ToolDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { matchGlob, matchName } from '../../protocols/glob.ts'
import type { ChatFunction } from '../core/chat.ts'
import { MeshError } from '../errors.ts'
import type { CapabilityView } from '../mesh-api.ts'
import { ASK_TOOL, withoutWaiting } from '../model-tools/ask-schema.ts'
import { offeredTool, type CallableTool } from '../model-tools/callable-tool.ts'
import { eventFunctionName, nameTools, type KnownTools } from '../model-tools/tool-names.ts'
import { shownFunctions, type Describable } from './shown-functions.ts'

/** Tools that a model is shown; past it the rest is left out: those that it knows from before stay, and tools of its own node go before others. */
export const MAX_SHOWN_TOOLS = 128
/** Tools that are ever shown in one conversation, and keep their names. */
export const MAX_KNOWN_TOOLS = 512

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
export type ModelTool = CallableTool | { kind: 'fire'; name: string; trigger: TriggerDeclaration }

/** What a model can ask for at one step. */
export interface ToolTable {
  readonly functions: ChatFunction[]
  /**
   * @throws MeshError `permission_denied` if the agent may not use it, `unavailable` if it is not there now, `unknown_tool` if there never was one.
   */
  find(name: string): ModelTool
}

/** What the agent has beside the tools of the mesh, and which of them it may use. */
export interface ToolTableInit {
  /** Its own id: it does not ask itself. */
  agent: string
  rules: readonly AgentToolRule[]
  triggers: readonly TriggerDeclaration[]
  /** What its model knows already, by name; new ones are added. Kept with the conversation: nothing that others offer meanwhile changes a name. */
  known: KnownTools
}

/** @param capabilities all that the mesh offers now. What has changed its description, and nobody has accepted, is not shown: see `acceptDescriptor`. */
export function createToolTable(capabilities: readonly CapabilityView[], init: ToolTableInit): ToolTable {
  const { agent, rules, triggers, known } = init
  const shown = new Map<string, ModelTool>()
  for (const trigger of triggers) {
    const name = eventFunctionName(trigger.event)
    shown.set(name, { kind: 'fire', name, trigger })
  }
  const refused = new Set<string>()
  const away = new Set<string>()
  let count = Object.keys(known).length
  for (const named of nameTools(capabilities, agent, known)) {
    const { name, meaning, providers } = named
    const [first] = providers
    const offered = offeredTool(named, capabilities)
    if (first !== undefined && !isAllowed(rules, first.capability, first.tool)) refused.add(name)
    else if (offered === 'refused') refused.add(name)
    else if (offered !== 'away' && shown.size < MAX_SHOWN_TOOLS && (Object.hasOwn(known, name) || count++ < MAX_KNOWN_TOOLS)) {
      known[name] ??= { ...meaning, ...(offered.callable.tool.idempotent === true && { idempotent: true }) }
      shown.set(name, offered.callable)
    } else away.add(name)
  }
  return {
    functions: shownFunctions([...shown.values()].map(describable)),
    find(name) {
      const found = shown.get(name)
      if (found !== undefined) return found
      const names = [...shown.keys()].join(', ')
      const has = names === '' ? 'there are none' : `there are: ${names}`
      if (refused.has(name)) throw new MeshError('permission_denied', `this agent may not use "${name}" now; ${has}`, { name })
      if (away.has(name)) throw new MeshError('unavailable', `"${name}" is not there now; ${has}`, { name })
      throw new MeshError('unknown_tool', `there is no tool "${name}"; ${has}`, { name })
    }
  }
}

/** Whether whoever may answer for this model looks at images. */
export function looksAtPictures(capabilities: readonly CapabilityView[], model: string): boolean {
  const named = capabilities.filter(({ id, type, ref }) => id === model || type === model || ref === model)
  return named.length > 0 && named.every(({ metadata }) => metadata?.['vision'] === true)
}

function isAllowed(rules: readonly AgentToolRule[], { id, type }: CapabilityView, { name }: ToolDeclaration): boolean {
  return rules.some(
    ({ capabilities, types, tools }) =>
      (capabilities?.some((glob) => matchName(glob, id)) ?? true) &&
      (types?.some((glob) => matchGlob(glob, type)) ?? true) &&
      (tools?.some((glob) => matchName(glob, name)) ?? true)
  )
}

function describable(tool: ModelTool): Describable {
  const { name } = tool
  if (tool.kind === 'call')
    return {
      name,
      description: tool.tool.description,
      schema: tool.tool.name === ASK_TOOL ? withoutWaiting(tool.tool.input) : tool.tool.input
    }
  const { description = '', payload } = tool.trigger
  return { name, description: `Raises an event. ${description}`.trim(), schema: payload }
}
