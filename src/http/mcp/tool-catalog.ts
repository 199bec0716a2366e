import type { Mesh } from '../../mesh-api.ts'
import { offeredTool, type OfferedTool } from '../../model-tools/callable-tool.ts'
import { nameTools, type KnownTools, type NamedTool } from '../../model-tools/tool-names.ts'

/**
 * Names that are kept, so that each means the same for as long as the node runs. Past it those of this node stay, the others have equal shares by their
 * nodes, and what nobody offers now has the room that is left, shared likewise.
 */
export const MAX_NAMED_TOOLS = 4_096
/** How long what was read of the mesh counts where no event says that it has changed, in ms. */
const FRESH_MS = 1_000

/** A tool as an MCP client calls it. */
export interface CatalogTool extends OfferedTool {
  name: string
}

/** What the name of a tool means now. `refused`, `away` and `unknown`: as {@link offeredTool} says; there never was one of that name. */
export type Found = CatalogTool | 'refused' | 'away' | 'unknown'

/** All tools that a client of this node may call. Names stay, whoever comes and goes. */
export interface ToolCatalog {
  /** In the order of their names. */
  tools(): readonly CatalogTool[]
  find(name: string): Found
  /** The mesh has changed. */
  stale(): void
}

/** @param now monotonic, in ms. */
export function createToolCatalog(mesh: Pick<Mesh, 'capabilities'>, now: () => number): ToolCatalog {
  let known: KnownTools = {}
  /** Who offered what has a name, or did last. */
  let nodes: ReadonlyMap<string, string> = new Map()
  let read: { tools: CatalogTool[]; byName: Map<string, Found>; at: number } | undefined

  function refresh(): NonNullable<typeof read> {
    const all = mesh.capabilities()
    const byName = new Map<string, Found>()
    const tools: CatalogTool[] = []
    const next: KnownTools = {}
    const nextNodes = new Map<string, string>()
    const named = nameTools(all, undefined, known)
    const kept = keptNames(named, nodes)
    for (const one of named) {
      const { name, meaning, providers } = one
      if (!kept.has(name)) continue
      next[name] = meaning
      nextNodes.set(name, providers[0]?.capability.node ?? nodes.get(name) ?? '')
      const offered = offeredTool(one, all)
      const found = typeof offered === 'string' ? offered : { name, ...offered }
      byName.set(name, found)
      if (typeof found !== 'string') tools.push(found)
    }
    nodes = nextNodes
    known = next
    tools.sort((a, b) => (a.name < b.name ? -1 : 1))
    return { tools, byName, at: now() }
  }

  function current(): NonNullable<typeof read> {
    if (read === undefined || now() - read.at > FRESH_MS) read = refresh()
    return read
  }

  return {
    tools: () => current().tools,
    find: (name) => current().byName.get(name) ?? 'unknown',
    stale: () => (read = undefined)
  }
}

/** Which names there is room for. @param nodes who offered last what nobody offers now. */
function keptNames(named: readonly NamedTool[], nodes: ReadonlyMap<string, string>): Set<string> {
  const kept = new Set<string>()
  const offered = new Map<string, string[]>()
  const away = new Map<string, string[]>()
  for (const { name, providers } of named) {
    if (providers.some(({ capability }) => capability.local)) kept.add(name)
    // A name that several offer has the place of any of them.
    for (const { capability } of providers) listAt(offered, capability.node).push(name)
    if (providers.length === 0) listAt(away, nodes.get(name) ?? '').push(name)
  }
  for (const byNode of [offered, away]) addInTurns(kept, [...byNode.values()], MAX_NAMED_TOOLS)
  return kept
}

/** One of each list, then the next of each: who has many keeps out none of the others. */
function addInTurns(kept: Set<string>, lists: readonly (readonly string[])[], most: number): void {
  let open = lists.map((names) => ({ names, at: 0 }))
  while (open.length > 0 && kept.size < most) {
    for (const one of open) {
      while (one.at < one.names.length && kept.has(one.names[one.at]!)) one.at++
      if (one.at < one.names.length && kept.size < most) kept.add(one.names[one.at]!)
    }
    open = open.filter(({ names, at }) => at < names.length)
  }
}

function listAt(lists: Map<string, string[]>, key: string): string[] {
  const list = lists.get(key) ?? []
  lists.set(key, list)
  return list
}
