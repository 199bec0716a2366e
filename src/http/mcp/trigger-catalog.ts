import type { Resource } from '@modelcontextprotocol/server'
import type { TriggerDeclaration } from '../../../protocols/capability.ts'
import type { CapabilityView, Mesh } from '../../mesh-api.ts'
import { shownText } from '../../model-tools/shown-text.ts'
import { MAX_DESCRIPTION, META } from './tool-listing.ts'

/** Triggers in one page of `resources/list`. */
export const TRIGGER_PAGE = 100
/** How long what was read of the mesh counts where no event says that it has changed, in ms. */
const FRESH_MS = 1_000
const MAX_TITLE = 128
const URI = /^atmosphere:\/\/trigger\/[a-z0-9][a-z0-9._:-]{0,127}@[A-Za-z0-9]{1,128}\/[A-Za-z0-9_.-]{1,128}$/

/** A trigger that clients are shown. */
export interface CatalogTrigger {
  uri: string
  capability: CapabilityView
  trigger: TriggerDeclaration
}

/** What the URI of a trigger means now. `refused`: its capability says something else of itself than before, and nobody has accepted that; `unknown`: nobody offers it. */
export type FoundTrigger = CatalogTrigger | 'refused' | 'unknown'

/** All triggers of the mesh that a client of this node may observe; those of other meshes cannot be. */
export interface TriggerCatalog {
  /** In the order of their URIs. */
  triggers(): readonly CatalogTrigger[]
  find(uri: string): FoundTrigger
  /** The mesh has changed. */
  stale(): void
}

/** @param now monotonic, in ms. */
export function createTriggerCatalog(mesh: Pick<Mesh, 'capabilities'>, now: () => number): TriggerCatalog {
  let read: { triggers: CatalogTrigger[]; byUri: Map<string, FoundTrigger>; at: number } | undefined

  function refresh(): NonNullable<typeof read> {
    const byUri = new Map<string, FoundTrigger>()
    const triggers: CatalogTrigger[] = []
    for (const capability of mesh.capabilities()) {
      if (capability.mesh !== undefined) continue
      for (const trigger of capability.triggers) {
        const uri = triggerUri({ node: capability.node, capability: capability.id, event: trigger.event })
        const found = capability.changed === undefined ? { uri, capability, trigger } : 'refused'
        byUri.set(uri, found)
        if (found !== 'refused') triggers.push(found)
      }
    }
    triggers.sort((a, b) => (a.uri < b.uri ? -1 : 1))
    return { triggers, byUri, at: now() }
  }

  function current(): NonNullable<typeof read> {
    if (read === undefined || now() - read.at > FRESH_MS) read = refresh()
    return read
  }

  return {
    triggers: () => current().triggers,
    find: (uri) => current().byUri.get(uri) ?? 'unknown',
    stale: () => (read = undefined)
  }
}

/** One trigger of one capability of one node, whatever that node is called: `atmosphere://trigger/{capability}@{PeerId}/{event}`. All three need no escapes. */
export function triggerUri({ node, capability, event }: { node: string; capability: string; event: string }): string {
  return `atmosphere://trigger/${capability}@${node}/${event}`
}

/** True for what may be the URI of a trigger, if not now then later. */
export function isTriggerUri(text: string): boolean {
  return URI.test(text)
}

/** A trigger as `resources/list` shows it. */
export function listedTrigger({ uri, capability, trigger }: CatalogTrigger): Resource {
  const { id, node, nodeName } = capability
  const about = trigger.description ?? capability.description
  const what = `Events "${trigger.event}" of ${id} at ${nodeName}.`
  return {
    uri,
    name: `${id}/${trigger.event}`,
    title: shownText(`${trigger.event} of ${capability.name} (${nodeName})`, MAX_TITLE),
    description: shownText(about === undefined ? what : `${what} ${about}`, MAX_DESCRIPTION),
    mimeType: 'application/json',
    _meta: { [META.capability]: id, [META.node]: node }
  }
}

/** One page. The cursor is the last URI before it, so that what comes and goes moves nothing from one page to another. */
export function triggerPage(triggers: readonly CatalogTrigger[], cursor = ''): { resources: Resource[]; nextCursor?: string } {
  const rest = triggers.filter(({ uri }) => uri > cursor)
  const page = rest.slice(0, TRIGGER_PAGE)
  return { resources: page.map(listedTrigger), ...(rest.length > page.length && { nextCursor: page.at(-1)!.uri }) }
}
