import { matchGlob } from '../../protocols/glob.ts'
import {
  CAPABILITY_STATUSES,
  type CapabilityDeclaration,
  type CapabilityStatus,
  type ToolDeclaration
} from '../../protocols/capability.ts'

/** Fields that a query may ask for; all given must fit. See CapabilityQuery in mesh-api.ts for their meaning. */
export interface QueryFields {
  id?: string
  type?: string
  domain?: string
  tool?: string
  trigger?: string
  text?: string
  keyword?: string
  status?: CapabilityStatus
}

/** True if the capability fits every field of the query. */
export function matches(capability: CapabilityDeclaration, query: QueryFields): boolean {
  const { id, type, domain, tool, trigger, text, keyword, status } = query
  if (id !== undefined && capability.id !== id) return false
  if (type !== undefined && !matchGlob(type, capability.type)) return false
  if (domain !== undefined && !capability.type.split('/').includes(domain)) return false
  if (tool !== undefined && capability.tools?.some(({ name }) => name === tool) !== true) return false
  if (trigger !== undefined && capability.triggers?.some(({ event }) => event === trigger) !== true) return false
  if (keyword !== undefined && capability.keywords?.includes(keyword) !== true) return false
  if (status !== undefined && statusOf(capability) !== status) return false
  return text === undefined || containsWords(capability, text)
}

/** Status as this version understands it: one that it does not know counts as `degraded`, so that it is used last but used. */
export function statusOf(capability: CapabilityDeclaration): CapabilityStatus {
  const status = capability.status ?? 'online'
  return CAPABILITY_STATUSES.includes(status) ? status : 'degraded'
}

/** Its declaration of a tool, if it has it. */
export function toolOf({ tools }: CapabilityDeclaration, tool: string): ToolDeclaration | undefined {
  return tools?.find(({ name }) => name === tool)
}

function containsWords(capability: CapabilityDeclaration, text: string): boolean {
  const { id, type, name, description, tools, triggers, examples, keywords } = capability
  const words = [id, type, name, description, ...(examples ?? []), ...(keywords ?? [])]
  for (const tool of tools ?? []) words.push(tool.name, tool.description)
  for (const trigger of triggers ?? []) words.push(trigger.event, trigger.description)
  const all = words
    .filter((word) => typeof word === 'string')
    .join('\n')
    .toLowerCase()
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word))
}
