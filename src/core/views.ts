import type { CapabilityQuery, CapabilityView, ChangedDescriptor } from '../mesh-api.ts'
import type { DirectoryEntry } from './directory.ts'
import { matches, statusOf } from './query.ts'
import { isPeerId, isShortIdOf } from '../../protocols/short-id.ts'

/** How a capability of an origin differs from what is pinned of it; undefined if it does not. */
export type ChangedOf = (origin: string, id: string) => ChangedDescriptor | undefined

/** The visible capabilities that fit a query, own ones first, then by node name and id. */
export function capabilityViews(
  entries: DirectoryEntry[],
  self: string,
  changedOf: ChangedOf,
  query: CapabilityQuery = {}
): CapabilityView[] {
  const holders = new Map<string, number>()
  for (const { document } of entries)
    for (const id of document?.capabilities.keys() ?? []) holders.set(id, (holders.get(id) ?? 0) + 1)
  const views: CapabilityView[] = []
  for (const entry of entries) {
    const { document, origin } = entry
    if (document === undefined) continue
    const { node } = query
    if (node !== undefined && node !== origin && !hasName(document.info.name, node) && !isShortIdOf(origin, node)) continue
    const nodeRef = hasNameAlone(entries, entry) ? document.info.name : origin
    for (const stored of document.capabilities.values()) {
      if (query.id !== undefined && stored.id !== query.id) continue
      const { declaration } = stored
      if (!matches(declaration, query)) continue
      const shared = (holders.get(declaration.id) ?? 0) > 1
      // What this node says of it, never what its origin does: declarations may hold keys that are not known.
      const { changed: _foreign, mesh: _mesh, meshId: _id, ...declared } = declaration
      const changed = changedOf(origin, declaration.id)
      views.push({
        ...declared,
        name: declaration.name ?? declaration.id,
        status: statusOf(declaration),
        tools: declaration.tools ?? [],
        triggers: declaration.triggers ?? [],
        node: origin,
        nodeName: document.info.name,
        ref: shared ? `${declaration.id}@${nodeRef}` : declaration.id,
        local: origin === self,
        ...(changed !== undefined && { changed })
      })
    }
  }
  return views.sort(
    (a, b) =>
      Number(b.local) - Number(a.local) ||
      compareText(a.nodeName, b.nodeName) ||
      compareText(a.id, b.id) ||
      compareText(a.node, b.node)
  )
}

/** The view of one capability, for events. */
export function capabilityView(
  entry: DirectoryEntry,
  id: string,
  entries: DirectoryEntry[],
  self: string,
  changedOf: ChangedOf
): CapabilityView | undefined {
  return capabilityViews(entries, self, changedOf, { node: entry.origin, id })[0]
}

/** What looks like a PeerId, or the end of one, means that node and no name. */
function hasName(name: string, given: string): boolean {
  return name === given && !isPeerId(given) && !given.startsWith('…')
}

function hasNameAlone(entries: DirectoryEntry[], entry: DirectoryEntry): boolean {
  const { name } = entry.document!.info
  return hasName(name, name) && !entries.some((other) => other !== entry && other.document?.info.name === name)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
