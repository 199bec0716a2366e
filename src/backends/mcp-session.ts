/** One connection to an MCP server, from the handshake to its end. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { CallToolResult, Tool, Transport } from '@modelcontextprotocol/client'
import { resolve } from 'node:path'
import type { JsonObject } from '../core/invoke.ts'
import type { ToolContext } from '../mesh-api.ts'
import { PROGRAM } from '../version.ts'
import { programEnv } from './child-process.ts'
import type { ProgramGroup } from './child-process.ts'
import type { McpConfig } from './mcp-config.ts'
import { createStdioTransport } from './mcp-stdio.ts'
import { delay } from './restart-delay.ts'

/** Time for the handshake, in ms. Long, because `npx` may fetch the server first. */
export const CONNECT_TIMEOUT_MS = 60_000
/** Time between two looks whether an HTTP server is still there, in ms; over HTTP nobody says goodbye. */
export const PROBE_MS = 15_000
const PROBE_TIMEOUT_MS = 10_000
const GOODBYE_MS = 1_000
const LIST_CHANGED_DEBOUNCE_MS = 100
/** Why nothing of a node is offered: it would be announced, come back as new tools of that node, and so on without end; and who calls would be hidden from its policy. */
const IS_NODE =
  'the MCP server is a node of Atmosphere: what its mesh offers is in that already, and goes to another mesh by a treaty (atmo treaty)'
/** The longest that a timer takes. Calls end by their signal; the SDK's own 60 s would end long ones. */
const NO_TIMEOUT_MS = 2 ** 31 - 1

/** How to find out which era of MCP a server speaks. */
export type Negotiation = 'legacy' | 'auto'

/** What a session needs. */
export interface McpSessionInit {
  config: McpConfig
  baseDir: string
  /** Version of Atmosphere, told to the server. */
  version: string
  programs: ProgramGroup
  negotiation: Negotiation
  probeMs?: number
  /** The tools, first and after each change. */
  onTools(tools: Tool[], session: McpSession): void
}

/** A live connection. */
export interface McpSession {
  readonly client: Client
  /** Resolves with the reason when it is over. */
  readonly ended: Promise<string>
  call(tool: string, input: JsonObject, context: ToolContext): Promise<CallToolResult>
  /** Asks the server whether it is still there; if not, the session ends. */
  check(): void
  close(): Promise<void>
}

/** What a server says of itself keeps it from being used; how its process ends then says nothing more. */
class RefusedServer extends Error {}

/** Connects and lists the tools. Throws an Error for people if that fails; nothing is left then. */
export async function openMcpSession(init: McpSessionInit, signal: AbortSignal): Promise<McpSession> {
  const { transport, endReason } = createTransport(init)
  let end: (reason: string) => void = () => {}
  const ended = new Promise<string>((resolve) => (end = resolve))
  const over = new AbortController()
  let checking = false

  const client = new Client(
    { name: PROGRAM, version: init.version },
    {
      versionNegotiation: { mode: init.negotiation },
      listChanged: {
        tools: {
          debounceMs: LIST_CHANGED_DEBOUNCE_MS,
          onChanged: (error, tools) => {
            // It may still change while it is being left.
            if (over.signal.aborted) return
            if (error === null && tools !== null) init.onTools(tools, session)
            else session.check()
          }
        }
      }
    }
  )
  client.onclose = () => end(endReason() ?? 'the MCP server closed the connection')

  const listTools = async (timeout: number): Promise<Tool[]> =>
    (await client.listTools(undefined, { cacheMode: 'refresh', timeout, signal: over.signal })).tools

  const session: McpSession = {
    client,
    ended,
    call(tool, input, context) {
      const meta = context.traceparent === undefined ? {} : { _meta: { traceparent: context.traceparent } }
      return client.callTool(
        { name: tool, arguments: input, ...meta },
        {
          signal: context.signal,
          timeout: NO_TIMEOUT_MS,
          onprogress: ({ progress, total, message }) => context.progress(progress, total, message)
        }
      )
    },
    check() {
      if (checking || over.signal.aborted) return
      checking = true
      listTools(PROBE_TIMEOUT_MS)
        .then((tools) => init.onTools(tools, session))
        .catch((error: unknown) => end(`the MCP server does not answer: ${reasonOf(error)}`))
        .finally(() => (checking = false))
    },
    async close() {
      over.abort()
      if (transport instanceof StreamableHTTPClientTransport) await sayGoodbye(transport)
      await client.close().catch(() => {})
      await transport.close().catch(() => {})
      end('closed')
    }
  }

  try {
    await client.connect(transport, { signal, timeout: CONNECT_TIMEOUT_MS })
    if (client.getServerVersion()?.name === PROGRAM) throw new RefusedServer(IS_NODE)
    init.onTools(await listTools(CONNECT_TIMEOUT_MS), session)
  } catch (error) {
    await session.close()
    if (error instanceof RefusedServer) throw error
    throw new Error(endReason() ?? `cannot connect to the MCP server: ${reasonOf(error)}`, { cause: error })
  }
  if ('url' in init.config) void probe(session, init.probeMs ?? PROBE_MS, over.signal)
  return session
}

async function probe(session: McpSession, everyMs: number, signal: AbortSignal): Promise<void> {
  session.client.onerror = () => session.check()
  while (!signal.aborted) {
    await delay(everyMs, signal)
    session.check()
  }
}

function createTransport(init: McpSessionInit): { transport: Transport; endReason: () => string | undefined } {
  const { config } = init
  if ('url' in config) {
    const requestInit = config.headers === undefined ? {} : { headers: config.headers }
    return { transport: new StreamableHTTPClientTransport(new URL(config.url), { requestInit }), endReason: () => undefined }
  }
  const [program = '', ...args] = config.command
  const transport = createStdioTransport(
    { program, args, env: programEnv(config.env), cwd: resolve(init.baseDir, config.cwd ?? '.') },
    init.programs
  )
  return { transport, endReason: () => transport.endReason() }
}

/** Lets the server free its side; one that is gone does not hold us up. */
async function sayGoodbye(transport: StreamableHTTPClientTransport): Promise<void> {
  const answered = new AbortController()
  const goodbye = transport
    .terminateSession()
    .catch(() => {})
    .finally(() => answered.abort())
  await Promise.race([goodbye, delay(GOODBYE_MS, answered.signal)])
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // fetch says "fetch failed" and keeps why to itself.
  return error.cause instanceof Error && error.message === 'fetch failed' ? error.cause.message || error.message : error.message
}
