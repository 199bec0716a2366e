/** Triggers of the mesh as resources of MCP: old clients subscribe to them in their session, those of 2026-07-28 with `subscriptions/listen`. */
import { ProtocolError, ProtocolErrorCode, ResourceNotFoundError, type Server } from '@modelcontextprotocol/server'
import { MeshError, isMeshError } from '../../errors.ts'
import { triggerPage, type TriggerCatalog } from './trigger-catalog.ts'
import type { TriggerWatches, Updated } from './trigger-watches.ts'

/** Triggers that one session, or one stream of 2026-07-28, is subscribed to. */
export const MAX_SUBSCRIBED = 64
/** Method of 2026-07-28 that opens a stream of changes. */
const LISTEN = 'subscriptions/listen'

/** What clients are offered. */
export interface TriggerResources {
  catalog: TriggerCatalog
  watches: TriggerWatches
}

/** Lets the client of a server list, read and subscribe to triggers. What it is subscribed to ends with the server. */
export function serveTriggers(server: Server, { catalog, watches }: TriggerResources): void {
  const subscribed = new Map<string, () => void>()
  const updated: Updated = (uri) => void server.sendResourceUpdated({ uri }).catch(() => {})

  server.setRequestHandler('resources/list', ({ params }) => triggerPage(catalog.triggers(), params?.cursor))
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: [] }))
  server.setRequestHandler('resources/read', ({ params: { uri } }) => {
    const reading = watches.read(uri)
    if (reading.state === 'unsubscribed' && typeof catalog.find(uri) === 'string')
      throw new ResourceNotFoundError(uri.slice(0, 512))
    return { contents: [{ uri, mimeType: 'application/json', text: JSON.stringify(reading) }] }
  })
  server.setRequestHandler('resources/subscribe', ({ params: { uri } }) => {
    if (subscribed.has(uri)) return {}
    try {
      if (subscribed.size >= MAX_SUBSCRIBED)
        throw new MeshError('busy', `this session is subscribed to ${MAX_SUBSCRIBED} triggers, and that is the most`)
      subscribed.set(uri, watches.watch(uri, updated))
      return {}
    } catch (error) {
      throw refused(error, uri)
    }
  })
  server.setRequestHandler('resources/unsubscribe', ({ params: { uri } }) => {
    subscribed.get(uri)?.()
    subscribed.delete(uri)
    return {}
  })
  server.onclose = () => {
    for (const end of subscribed.values()) end()
    subscribed.clear()
  }
}

function refused(error: unknown, uri: string): unknown {
  if (isMeshError(error, 'invalid_argument')) return new ResourceNotFoundError(uri.slice(0, 512))
  if (isMeshError(error, 'busy')) return new ProtocolError(ProtocolErrorCode.InternalError, `busy: ${error.message}`)
  return error
}

/** A stream that is to be opened: what of it can be served, and how it ends. */
export interface Listening {
  /** The request without those triggers that are none, or for which there is no room: the acknowledgement tells the client what it has got. */
  body: unknown
  end(): void
}

/** Watches what a stream of 2026-07-28 asks for; undefined for what opens none, or asks for no triggers. */
export function listenTriggers(body: unknown, watches: TriggerWatches, updated: Updated): Listening | undefined {
  const { method, params } = body as { method?: unknown; params?: { notifications?: { resourceSubscriptions?: unknown } } }
  const wanted = method === LISTEN ? params?.notifications?.resourceSubscriptions : undefined
  // What is no list is for the SDK to refuse.
  if (!Array.isArray(wanted)) return undefined
  const held = new Map<string, () => void>()
  for (const uri of wanted as unknown[]) {
    if (typeof uri !== 'string' || held.has(uri) || held.size >= MAX_SUBSCRIBED) continue
    try {
      held.set(uri, watches.watch(uri, updated))
    } catch (error) {
      if (!isMeshError(error)) throw error
    }
  }
  const notifications = { ...params!.notifications, resourceSubscriptions: [...held.keys()] }
  return {
    body: { ...(body as object), params: { ...params, notifications } },
    end() {
      for (const one of held.values()) one()
    }
  }
}
