/** MCP over streamable HTTP, all revisions: https://modelcontextprotocol.io/specification. What loads the SDK; the local API loads it with its first client. */
import { createMcpHandler, isLegacyRequest, type ServerContext } from '@modelcontextprotocol/server'
import { MeshError, isMeshError } from '../../errors.ts'
import type { Mesh } from '../../mesh-api.ts'
import { MAX_BODY_BYTES, MAX_BODY_DEPTH, parseJson, readBytes, requireJson } from '../json-body.ts'
import { boundedStream } from './bounded-stream.ts'
import { RPC_CODES, withRpcCode } from './mcp-errors.ts'
import { createMcpServer, listed, type McpWishes } from './mcp-server.ts'
import { createMcpSessions } from './mcp-sessions.ts'
import { createToolCatalog } from './tool-catalog.ts'
import { createTriggerCatalog, listedTrigger } from './trigger-catalog.ts'
import { listenTriggers } from './trigger-resources.ts'
import { createTriggerWatches } from './trigger-watches.ts'

/** Streams of changes that are open at once. */
export const MAX_SUBSCRIPTIONS = 64
/** Changes of the mesh within this time are told as one, in ms. */
export const LIST_CHANGED_DEBOUNCE_MS = 250
/** A request has its arguments three levels deep. */
const MAX_MESSAGE_DEPTH = MAX_BODY_DEPTH + 2
const CHANGES = [
  'capability:available',
  'capability:updated',
  'capability:suspended',
  'capability:removed',
  'descriptor-changed',
  'descriptor-accepted'
]

/** What the endpoint is made of. */
export interface McpEndpointInit {
  mesh: Mesh
  /** Ends all sessions and streams when aborted: the server closes. */
  closing?: AbortSignal
  heartbeatMs?: number
  debounceMs?: number
  /** See `StreamBound`. */
  maxUnreadBytes?: number
}

/** The endpoint. */
export interface McpEndpoint {
  /** Rejects with a MeshError what is no message: see `mcpErrors`. */
  fetch(request: Request, wishes: McpWishes): Promise<Response>
  /** Sessions now. */
  sessions(): number
}

/** See {@link McpEndpoint}. It looks at the mesh until `closing` aborts. */
export function createMcpEndpoint(init: McpEndpointInit): McpEndpoint {
  const {
    mesh,
    closing = new AbortController().signal,
    heartbeatMs,
    debounceMs = LIST_CHANGED_DEBOUNCE_MS,
    maxUnreadBytes
  } = init
  const now = (): number => performance.now()
  const catalog = createToolCatalog(mesh, now)
  const triggerCatalog = createTriggerCatalog(mesh, now)
  const watches = createTriggerWatches({ mesh, catalog: triggerCatalog })
  const triggers = { catalog: triggerCatalog, watches }
  const wishesOf = new WeakMap<Request, McpWishes>()
  const createServer = (request: Request | undefined, onCall?: (context: ServerContext) => () => void) =>
    createMcpServer({
      mesh,
      catalog,
      triggers,
      wishes: (request && wishesOf.get(request)) ?? { all: false },
      now,
      heartbeatMs,
      onCall
    })

  const sessions = createMcpSessions({ createServer, now, maxUnreadBytes })
  const stateless = createMcpHandler(({ requestInfo }) => createServer(requestInfo), {
    legacy: 'reject',
    // Headers at once, and a sign of life every 15 s: an answer may take longer than anybody waits for headers.
    responseMode: 'sse',
    maxSubscriptions: MAX_SUBSCRIPTIONS
  })
  const tools: Shown = {
    stale: catalog.stale,
    shown: () => shownOf(catalog),
    tellChanged() {
      sessions.toolsChanged()
      stateless.notify.toolsChanged()
    }
  }
  const resources: Shown = {
    stale: triggerCatalog.stale,
    shown: () => JSON.stringify(triggerCatalog.triggers().map(listedTrigger)),
    tellChanged() {
      sessions.resourcesChanged()
      stateless.notify.resourcesChanged()
    }
  }
  const end = (): void => {
    watches.close()
    void Promise.all([sessions.close(), stateless.close()])
  }
  closing.addEventListener('abort', end, { once: true })
  void watch(mesh, closing, debounceMs, { lists: [tools, resources], onChanges: watches.changed })

  /** Triggers that the stream wants are watched before the client is told so, and for as long as it is open. */
  async function handleStateless(request: Request, body: unknown): Promise<Response> {
    const listening = listenTriggers(body, watches, stateless.notify.resourceUpdated)
    if (listening === undefined) return boundedStream(await stateless.fetch(request, { parsedBody: body }), { maxUnreadBytes })
    request.signal.addEventListener('abort', listening.end, { once: true })
    const response = await stateless.fetch(request, { parsedBody: listening.body })
    if (request.signal.aborted) listening.end()
    return boundedStream(response, { maxUnreadBytes, onOver: listening.end })
  }

  return {
    async fetch(request, wishes) {
      wishesOf.set(request, wishes)
      const message = request.method === 'POST' ? await readMessage(request) : undefined
      if (await isLegacyRequest(request, message)) return sessions.handle(request, message)
      return handleStateless(request, message)
    },
    sessions: () => sessions.count()
  }
}

/** Read here, once, with the limits of this API. Throws what that refuses, for `mcpErrors` to answer. */
async function readMessage(request: Request): Promise<object> {
  requireJson(request)
  const bytes = await readBytes(request, MAX_BODY_BYTES)
  let message: unknown
  try {
    message = parseJson(bytes, MAX_MESSAGE_DEPTH)
  } catch (error) {
    if (!isMeshError(error, 'invalid_argument')) throw error
    throw withRpcCode(error, error.cause === undefined ? RPC_CODES.invalidRequest : RPC_CODES.parseError)
  }
  if (message === undefined) throw noMessage('the message is empty', RPC_CODES.parseError)
  if (typeof message !== 'object' || message === null) throw noMessage('a message is an object', RPC_CODES.invalidRequest)
  return message
}

function noMessage(why: string, code: number): MeshError {
  return withRpcCode(new MeshError('invalid_argument', why), code)
}

/** What clients are shown, as a text to compare. */
function shownOf(catalog: ReturnType<typeof createToolCatalog>): string {
  return [true, false].map((all) => JSON.stringify(listed(catalog, { all }))).join('\n')
}

/** A list that clients are shown. */
interface Shown {
  /** The mesh has changed. */
  stale(): void
  /** As a text to compare. */
  shown(): string
  tellChanged(): void
}

/** Tells clients when what they are shown has changed; not each time that something of the mesh has. */
async function watch(
  mesh: Pick<Mesh, 'events'>,
  signal: AbortSignal,
  debounceMs: number,
  { lists, onChanges }: { lists: readonly Shown[]; onChanges(): void }
): Promise<void> {
  const before = new Map(lists.map((list) => [list, list.shown()]))
  let timer: ReturnType<typeof setTimeout> | undefined
  const compare = (): void => {
    timer = undefined
    onChanges()
    for (const list of lists) {
      const after = list.shown()
      if (after === before.get(list)) continue
      before.set(list, after)
      list.tellChanged()
    }
  }
  for await (const { event } of mesh.events({ signal })) {
    if (!CHANGES.includes(event)) continue
    for (const { stale } of lists) stale()
    timer ??= setTimeout(compare, debounceMs)
  }
  clearTimeout(timer)
}
