import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { ToolDeclaration } from '../../protocols/capability.ts'
import type { CapabilityView } from '../mesh-api.ts'

/** Longest name of a function that servers take, in characters. */
export const MAX_FUNCTION_NAME = 64
const HASH_CHARACTERS = 8
const SEPARATOR = '__'
const PLAIN = /^[A-Za-z0-9-]+(_[A-Za-z0-9-]+)*$/
/** What events are raised by. A capability of this id is named by its node, too. */
const RAISE = 'raise'

/**
 * What a model calls a tool of the mesh: `thermostat__read`. It depends on nothing but the target and the tool. What cannot be written so in letters,
 * digits, `_` and `-` gets a hash of the whole as suffix: so no two share a name.
 */
export function functionName(target: string, tool: string): string {
  const plain = `${target}${SEPARATOR}${tool}`
  // The separator is found only where it was put: "a__b" of "c" must not be "b__c" of "a".
  if (PLAIN.test(target) && PLAIN.test(tool) && plain.length <= MAX_FUNCTION_NAME) return plain
  const hash = bytesToHex(sha256(utf8ToBytes(`${target}\n${tool}`))).slice(0, HASH_CHARACTERS)
  const room = MAX_FUNCTION_NAME - HASH_CHARACTERS - 1
  return `${plain.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, room)}_${hash}`
}

/** What a model calls the raising of an event. */
export function eventFunctionName(event: string): string {
  return functionName(RAISE, event)
}

/** What a name means, for as long as a conversation lasts: a tool of the capabilities of this id and type, or of the one at this node (PeerId). */
export interface KnownTool {
  id: string
  type: string
  tool: string
  node?: string
  /** It said so when the model was told of it. */
  idempotent?: boolean
}

/** By name. */
export type KnownTools = Record<string, KnownTool>

/** A tool with its name, and who offers it now. */
export interface NamedTool {
  name: string
  meaning: KnownTool
  providers: { capability: CapabilityView; tool: ToolDeclaration }[]
}

/**
 * Names all tools that are offered. What has a name keeps it, whatever others offer meanwhile. The same id and type on several nodes is one thing, unless its
 * scope is `node`, or another type is there under this id; those are labelled with their node.
 * @param agent id of the agent that they are shown to, if it is one: one of the same id at another node is not what it is itself.
 * @returns first those that are known, in their order, then those of this node.
 */
export function nameTools(capabilities: readonly CapabilityView[], agent: string | undefined, known: KnownTools): NamedTool[] {
  const named = new Map<string, NamedTool>()
  for (const [name, meaning] of Object.entries(known)) named.set(name, { name, meaning, providers: [] })
  const byTool = new Map<string, NamedTool[]>()
  for (const one of named.values()) {
    const key = keyOf(one.meaning.id, one.meaning.tool)
    byTool.set(key, [...(byTool.get(key) ?? []), one])
  }
  const byId = new Map<string, CapabilityView[]>()
  for (const capability of capabilities) byId.set(capability.id, [...(byId.get(capability.id) ?? []), capability])
  const others = capabilities.filter(({ id, local }) => !(local && id === agent))
  for (const capability of others.sort((a, b) => Number(b.local) - Number(a.local) || (a.ref < b.ref ? -1 : 1)))
    for (const tool of capability.tools) {
      const before = byTool.get(keyOf(capability.id, tool.name))?.find(({ meaning }) => isMeant(meaning, capability))
      const fresh = before ?? newName(capability, tool, byId.get(capability.id)!, agent, named)
      const one = named.get(fresh.name) ?? fresh
      // Another thing of the same name: its hash is the same by somebody's design.
      if (!isMeant(one.meaning, capability)) continue
      named.set(one.name, one)
      one.providers.push({ capability, tool })
    }
  return [...named.values()]
}

function isMeant(meaning: KnownTool, { id, type, node, scope }: CapabilityView): boolean {
  if (meaning.id !== id) return false
  return meaning.node === undefined ? meaning.type === type && scope !== 'node' : meaning.node === node
}

function newName(
  capability: CapabilityView,
  { name: tool }: ToolDeclaration,
  sameId: readonly CapabilityView[],
  agent: string | undefined,
  named: ReadonlyMap<string, NamedTool>
): NamedTool {
  const { id, type, node, nodeName, scope } = capability
  const make = (label: string, more: { node?: string }): NamedTool => {
    return { name: functionName(label, tool), meaning: { id, type, tool, ...more }, providers: [] }
  }
  const isFree = ({ name, meaning }: NamedTool): boolean => {
    const taken = named.get(name)?.meaning
    return taken === undefined || (taken.id === id && taken.type === type && taken.tool === tool && taken.node === meaning.node)
  }
  const isOneThing = scope !== 'node' && sameId.every((other) => other.type === type && other.scope !== 'node')
  const anywhere = make(id, {})
  if (id !== agent && id !== RAISE && isOneThing && isFree(anywhere)) return anywhere
  const byName = make(`${id}@${nodeName}`, { node })
  const isOnly = sameId.every((other) => other.nodeName !== nodeName || other.node === node)
  // Not by "@": a node may call itself by the PeerId of another.
  return isOnly && isFree(byName) ? byName : make(`${id}#${node}`, { node })
}

const keyOf = (id: string, tool: string): string => `${id}\n${tool}`
