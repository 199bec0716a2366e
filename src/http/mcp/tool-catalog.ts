import type { Mesh } from '../../mesh-api.ts'
import { offeredTool, type OfferedTool } from '../../model-tools/callable-tool.ts'
import { nameTools, type KnownTool, type KnownTools } from '../../model-tools/tool-names.ts'

/** Names that are kept, so that each means the same for as long as the node runs; past it those that nobody offers now are forgotten first. */
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
  let read: { tools: CatalogTool[]; byName: Map<string, Found>; at: number } | undefined

  function refresh(): NonNullable<typeof read> {
    const all = mesh.capabilities()
    const byName = new Map<string, Found>()
    const tools: CatalogTool[] = []
    const next: KnownTools = {}
    const away: [string, KnownTool][] = []
    let count = 0
    for (const named of nameTools(all, undefined, known)) {
      const { name, meaning } = named
      const offered = offeredTool(named, all)
      if (named.providers.length === 0) away.push([name, meaning])
      else if (count < MAX_NAMED_TOOLS) {
        count++
        next[name] = meaning
      } else continue
      const found = typeof offered === 'string' ? offered : { name, ...offered }
      byName.set(name, found)
      if (typeof found !== 'string') tools.push(found)
    }
    for (const [name, meaning] of away.slice(0, MAX_NAMED_TOOLS - count)) next[name] = meaning
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
