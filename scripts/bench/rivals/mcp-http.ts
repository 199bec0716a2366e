import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Rival } from '../rival.ts'

const SCHEMA = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } as const

/**
 * MCP over streamable HTTP with the official SDK, both sides of its v2 line, in its fastest arrangement: replies as plain JSON
 * instead of an event stream, one session. `createMcpHandler` with the stateless 2026-07-28 era was measured too: the same within noise.
 */
export const mcpHttp: Rival = {
  name: 'mcpHttp',
  settings: 'official SDK v2, streamable HTTP on node:http, JSON replies (no SSE), one session, keep-alive connections of fetch',
  async serve() {
    const { fromJsonSchema, McpServer } = await import('@modelcontextprotocol/server')
    const { NodeStreamableHTTPServerTransport } = await import('@modelcontextprotocol/node')
    const inputSchema = fromJsonSchema<{ text: string }>(SCHEMA)
    const mcp = new McpServer({ name: 'bench', version: '1.0.0' })
    mcp.registerTool('echo', { inputSchema }, async ({ text }) => ({ content: [{ type: 'text', text }] }))
    const transport = new NodeStreamableHTTPServerTransport({ sessionIdGenerator: () => randomUUID(), enableJsonResponse: true })
    await mcp.connect(transport)
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveTimeout: 60_000 }, (req, res) => {
      void transport.handleRequest(req, res)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
      async stop() {
        server.closeAllConnections()
        server.close()
      }
    }
  },
  async connect(address) {
    const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client')
    // The SDK hands one abort signal to every fetch; Node 20 then spends its time on warnings. That would not be fair.
    setMaxListeners(0)
    const client = new Client({ name: 'bench', version: '1.0.0' })
    await client.connect(new StreamableHTTPClientTransport(new URL(address)))
    return {
      async call(text) {
        const { content } = await client.callTool({ name: 'echo', arguments: { text } })
        const [first] = content
        if (first?.type !== 'text') throw new Error('an unexpected reply')
        return first.text
      },
      stop: () => client.close()
    }
  }
}
