/** Backend `mcp`: all tools of one MCP server as one capability. Keeps the server running, and says so when it is not. */
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { ToolHandler } from '../mesh-api.ts'
import type { Backend } from './backend.ts'
import { createOwnSignal } from './own-signal.ts'
import { createProgramGroup } from './child-process.ts'
import { createDropOldestQueue } from './drop-oldest-queue.ts'
import { createHandlerCalls, unknownCapability, unknownTool } from './handler-calls.ts'
import type { McpConfig } from './mcp-config.ts'
import { offeredTools, toCallError, toResult } from './mcp-items.ts'
import { openMcpSession } from './mcp-session.ts'
import type { McpSession, Negotiation } from './mcp-session.ts'
import { createBackoff, delay } from './restart-delay.ts'

/** Longest description that is taken from a server's instructions, in characters. */
export const MAX_DESCRIPTION_LENGTH = 1_000

/** What the backend needs beside its configuration. */
export interface McpInit {
  /** Folder that relative paths start from. */
  baseDir: string
  /** Version of Atmosphere, told to the server. */
  version: string
  /** Time between two looks whether an HTTP server is there, in ms. Default 15,000. */
  probeMs?: number
  /** First and longest wait before a restart, in ms. Default 500 and 30,000. */
  minRestartMs?: number
  maxRestartMs?: number
}

/** Makes a backend for one server. Connects when `discover` is iterated. */
export function createMcpBackend(config: McpConfig, init: McpInit): Backend {
  const programs = createProgramGroup()
  const snapshots = createDropOldestQueue<CapabilityDeclaration[]>({ limit: 1 })
  let session: McpSession | undefined
  let handlers: ReadonlyMap<string, ToolHandler> = new Map()
  let declared = baseDeclaration(config)

  let said = ''
  const say = (status: 'online' | 'offline', statusReason?: string): void => {
    const snapshot = statusReason === undefined ? { ...declared, status } : { ...declared, status, statusReason }
    const text = JSON.stringify(snapshot)
    if (text !== said) snapshots.push([snapshot])
    said = text
  }

  const calls = createHandlerCalls((request) => {
    if (request.capability !== config.id) throw unknownCapability(request.capability)
    if (session === undefined) throw new MeshError('unavailable', `the MCP server of "${config.id}" is not connected`)
    const handler = handlers.get(request.tool)
    if (handler === undefined) throw unknownTool(request, handlers.keys())
    return handler
  })

  const createHandler =
    (tool: string): ToolHandler =>
    async (input, context) => {
      const current = session
      if (current === undefined) throw new MeshError('unavailable', `the MCP server of "${config.id}" is not connected`)
      try {
        return toResult(tool, await current.call(tool, input, context))
      } catch (error) {
        const failure = toCallError(error, tool)
        if (failure.code === 'unavailable') current.check()
        throw failure
      }
    }

  /** One session, from its start to its end. Returns why it ended. */
  const runSession = async (negotiation: Negotiation, signal: AbortSignal): Promise<{ connected: boolean; reason: string }> => {
    let stop = (): void => {}
    const aborted = new Promise<string>((resolve) => (stop = () => resolve('the provider is stopping')))
    signal.addEventListener('abort', stop)
    try {
      const opened = await openMcpSession(
        {
          config,
          programs,
          negotiation,
          baseDir: init.baseDir,
          version: init.version,
          probeMs: init.probeMs,
          onTools(tools, live) {
            const offered = offeredTools(tools, config.tools)
            handlers = new Map(offered.tools.map((tool) => [tool.name, createHandler(tool.name)]))
            declared = { ...baseDeclaration(config, live), tools: offered.tools }
            if (offered.skipped.length > 0) declared.metadata = { ...declared.metadata, skippedTools: offered.skipped }
            session = live
            say('online')
          }
        },
        signal
      )
      const reason = await Promise.race([opened.ended, aborted])
      session = undefined
      await opened.close()
      return { connected: true, reason }
    } catch (error) {
      return { connected: false, reason: error instanceof Error ? error.message : String(error) }
    } finally {
      session = undefined
      signal.removeEventListener('abort', stop)
    }
  }

  const supervise = async (signal: AbortSignal): Promise<void> => {
    const backoff = createBackoff({ minMs: init.minRestartMs, maxMs: init.maxRestartMs })
    // Over HTTP a probe is one more request. On stdio it costs most servers a timeout or a start, so the old handshake,
    // which nearly all speak, goes first, and the probe only when that failed.
    let negotiation: Negotiation = 'url' in config ? 'auto' : 'legacy'
    while (!signal.aborted) {
      const startedAt = performance.now()
      const { connected, reason } = await runSession(negotiation, signal)
      if (signal.aborted) return
      if (!connected && !('url' in config)) negotiation = negotiation === 'auto' ? 'legacy' : 'auto'
      say('offline', reason)
      await delay(backoff.next(performance.now() - startedAt), signal)
    }
  }

  return {
    id: config.id,
    kind: 'mcp',
    call: calls.call,
    async *discover(signal) {
      const own = createOwnSignal(signal)
      const supervising = supervise(own.signal)
      try {
        yield* snapshots.values(signal)
      } finally {
        const stopping = calls.stop(new MeshError('unavailable', 'the provider is stopping'))
        own.stop()
        await Promise.all([stopping, supervising])
        await programs.killAll()
      }
    }
  }
}

function baseDeclaration(config: McpConfig, session?: McpSession): CapabilityDeclaration {
  const server = session?.client.getServerVersion()
  const declaration: CapabilityDeclaration = {
    id: config.id,
    type: config.type ?? `mcp/${config.id}`,
    name: config.name ?? server?.title ?? server?.name ?? config.id,
    description: config.description ?? session?.client.getInstructions()?.slice(0, MAX_DESCRIPTION_LENGTH),
    version: server?.version,
    examples: config.examples,
    keywords: config.keywords,
    scope: config.scope,
    metadata:
      session === undefined ? undefined : { mcpProtocolVersion: session.client.getNegotiatedProtocolVersion() ?? 'unknown' },
    tools: []
  }
  // Absent, not undefined: a declaration is JSON.
  return Object.fromEntries(Object.entries(declaration).filter(([, value]) => value !== undefined)) as CapabilityDeclaration
}
