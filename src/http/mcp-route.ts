import { Hono } from 'hono'
import { MeshError } from '../errors.ts'
import type { Mesh } from '../mesh-api.ts'
import type { McpEndpoint } from './mcp/mcp-endpoint.ts'
import type { McpWishes } from './mcp/mcp-server.ts'
import { MAX_TIMEOUT_MS } from './call-routes.ts'

/** What the route needs. */
export interface McpRouteInit {
  mesh: Mesh
  /** See `McpEndpointInit`. */
  closing?: AbortSignal
}

/**
 * `/mcp`: all tools of the mesh for MCP clients. `?tools=all` lists each, however many there are; `?timeoutMs=` is the time that each call is given. The SDK is
 * loaded with the first client: most nodes have none.
 */
export function mcpRoute(init: McpRouteInit): Hono {
  let endpoint: Promise<McpEndpoint> | undefined
  const load = async (): Promise<McpEndpoint> => (await import('./mcp/mcp-endpoint.ts')).createMcpEndpoint(init)
  return new Hono().on(['GET', 'POST', 'DELETE'], '/', async ({ req }) => {
    const wishes = wishesOf(req.query())
    return (await (endpoint ??= load())).fetch(req.raw, wishes)
  })
}

function wishesOf({ tools = 'auto', timeoutMs }: Record<string, string>): McpWishes {
  if (tools !== 'auto' && tools !== 'all') throw new MeshError('invalid_argument', 'tools must be auto or all', { key: 'tools' })
  const wishes: McpWishes = { all: tools === 'all' }
  if (timeoutMs === undefined) return wishes
  const time = Number(timeoutMs)
  if (!(time > 0) || time > MAX_TIMEOUT_MS) {
    const message = `timeoutMs must be a number of milliseconds above 0 and up to ${MAX_TIMEOUT_MS}`
    throw new MeshError('invalid_argument', message, { key: 'timeoutMs' })
  }
  return { ...wishes, timeoutMs: time }
}
