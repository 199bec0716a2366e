import type { ToolDeclaration } from '../../protocols/capability.ts'
import type { CapabilityView } from '../mesh-api.ts'
import type { NamedTool } from './tool-names.ts'

/** A tool of the mesh as a model calls it: `id` anywhere, but on `notNode`; or, with `node`, exactly there (PeerIds). */
export interface CallableTool {
  kind: 'call'
  name: string
  /** For people. */
  target: string
  id: string
  node?: string
  notNode?: string[]
  tool: ToolDeclaration
}

/** One that can be called, and the best of those that offer it. */
export interface OfferedTool {
  capability: CapabilityView
  callable: CallableTool
}

/**
 * How a tool is called now. `refused`: what all who offer it say of themselves has changed, and nobody has accepted that; see `acceptDescriptor`. `away`: nobody
 * offers it now, or none of them can be called.
 * @param all what the mesh offers.
 */
export function offeredTool(named: NamedTool, all: readonly CapabilityView[]): OfferedTool | 'refused' | 'away' {
  if (named.providers.length === 0) return 'away'
  const accepted = named.providers.filter(({ capability }) => capability.changed === undefined)
  if (accepted.length === 0) return 'refused'
  const best = accepted.find(({ capability }) => !isAway(capability))
  return best === undefined ? 'away' : { capability: best.capability, callable: callable(named, best, all) }
}

/** True for what says itself that it cannot be called now. */
export function isAway({ status }: CapabilityView): boolean {
  return status === 'offline' || status === 'suspended'
}

/** By its id, which means any node that has it, where that is one thing; else the best of those that are meant. */
function callable(
  { name, meaning: { id, type, node }, providers }: NamedTool,
  { capability: best, tool }: NamedTool['providers'][number],
  all: readonly CapabilityView[]
): CallableTool {
  const isOwn = providers.some(({ capability }) => capability.mesh === undefined)
  const rivals = all.filter((other) => other.id === id && (!isOwn || other.mesh === undefined))
  const isOne = rivals.every((other) => other.type === type && other.scope !== 'node')
  // What this node offers under an id is what it means by it.
  if (node !== undefined || !(isOne || providers.some(({ capability }) => capability.local)))
    return { kind: 'call', name, target: `${id}@${best.nodeName}`, id, node: best.node, tool }
  const notNode = providers.filter(({ capability }) => capability.changed !== undefined).map(({ capability }) => capability.node)
  return { kind: 'call', name, target: id, id, ...(notNode.length > 0 && { notNode }), tool }
}
