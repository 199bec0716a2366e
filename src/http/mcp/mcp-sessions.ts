import { WebStandardStreamableHTTPServerTransport, type Server, type ServerContext } from '@modelcontextprotocol/server'
import { boundedStream, cancelledAnswer } from './bounded-stream.ts'
import { refusal } from './mcp-errors.ts'

/** Sessions at once. One more ends the one that has been idle for longest; if none is, it is refused. */
export const MAX_SESSIONS = 64
/** A session ends after this time without a request, a running call or an open stream, in ms. */
export const SESSION_IDLE_MS = 30 * 60_000
const SESSION_HEADER = 'mcp-session-id'

/** Sessions of the clients that shake hands: all protocols up to 2025-11-25. Later ones have none. */
export interface McpSessions {
  /** Answers a request of such a client. */
  handle(request: Request, body: unknown): Promise<Response>
  /** Tells all that the list of tools has changed. */
  toolsChanged(): void
  /** The same of the list of triggers. */
  resourcesChanged(): void
  count(): number
  close(): Promise<void>
}

/** What they are made of. */
export interface McpSessionsInit {
  /** The server of one session; `request` is the one that began it. */
  createServer(request: Request, onCall: (context: ServerContext) => () => void): Server
  /** Monotonic, in ms. */
  now(): number
  /** See `StreamBound`. */
  maxUnreadBytes?: number | undefined
}

interface Session {
  server: Server
  transport: WebStandardStreamableHTTPServerTransport
  usedAt: number
  /** Calls that run and streams that are open. */
  uses: number
}

/** See {@link McpSessions}. */
export function createMcpSessions({ createServer, now, maxUnreadBytes }: McpSessionsInit): McpSessions {
  const sessions = new Map<string, Session>()

  /** Takes a place of a session, until what is returned is called. */
  function use(session: Session): () => void {
    session.uses++
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      session.uses--
      session.usedAt = now()
    }
  }

  async function open(request: Request, body: unknown): Promise<Response> {
    if (sessions.size >= MAX_SESSIONS && !(await makeRoom()))
      return refusal(503, `this node serves ${MAX_SESSIONS} sessions, and all are in use; end one`, { 'retry-after': '30' })
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      onsessioninitialized: (id) => void sessions.set(id, session)
    })
    const server = createServer(request, ({ mcpReq, http }) => {
      const leave = use(session)
      // What is cancelled is never answered: without this its stream, and that of the batch that it is of, would stay open for as long as the session.
      const end = (): void => void transport.send(cancelledAnswer(mcpReq.id)).catch(() => {})
      mcpReq.signal.addEventListener('abort', end, { once: true })
      http?.req?.signal.addEventListener('abort', leave, { once: true })
      return leave
    })
    const session: Session = { server, transport, usedAt: now(), uses: 0 }
    const { onclose } = server
    server.onclose = () => {
      onclose?.()
      if (transport.sessionId !== undefined) sessions.delete(transport.sessionId)
    }
    await server.connect(transport)
    const response = await transport.handleRequest(request, { parsedBody: body })
    if (transport.sessionId === undefined) await server.close()
    return boundedStream(response, { maxUnreadBytes })
  }

  async function makeRoom(): Promise<boolean> {
    const idle = [...sessions.values()].filter(({ uses }) => uses === 0).sort((a, b) => a.usedAt - b.usedAt)
    await idle[0]?.server.close()
    return idle.length > 0
  }

  /** Looked at with each request: nothing has to run for it. */
  async function endIdle(): Promise<void> {
    for (const { server, uses, usedAt } of sessions.values())
      if (uses === 0 && now() - usedAt > SESSION_IDLE_MS) await server.close()
  }

  return {
    async handle(request, body) {
      await endIdle()
      const id = request.headers.get(SESSION_HEADER)
      if (id === null)
        return isInitialize(body) ? open(request, body) : refusal(400, 'begin with initialize, then send its Mcp-Session-Id')
      const session = sessions.get(id)
      // As the protocol has it: the client begins anew.
      if (session === undefined) return refusal(404, 'this session is over; begin anew with initialize')
      session.usedAt = now()
      const response = await session.transport.handleRequest(request, { parsedBody: body })
      if (request.method !== 'GET') return boundedStream(response, { maxUnreadBytes, isBatch: Array.isArray(body) })
      const leave = use(session)
      request.signal.addEventListener('abort', leave, { once: true })
      return boundedStream(response, { maxUnreadBytes, onOver: leave })
    },
    toolsChanged() {
      for (const { server } of sessions.values()) void server.sendToolListChanged().catch(() => {})
    },
    resourcesChanged() {
      for (const { server } of sessions.values()) void server.sendResourceListChanged().catch(() => {})
    },
    count: () => sessions.size,
    close: async () => void (await Promise.all([...sessions.values()].map(({ server }) => server.close())))
  }
}

function isInitialize(body: unknown): boolean {
  return typeof body === 'object' && body !== null && (body as { method?: unknown }).method === 'initialize'
}
