import type { Command } from 'commander'
import { Readable } from 'node:stream'
import { connectToNode } from './client.ts'
import { contextOf, interruptSignal, parseDuration } from './command-line.ts'

interface McpFlags {
  dataDir?: string
  allTools?: boolean
  timeout?: number
}

/** `atmo mcp`: the tools of the mesh for a program that starts MCP servers by itself. Nothing but the protocol goes to stdout. */
export function addMcp(program: Command): void {
  program
    .command('mcp')
    .description('serve the tools of the mesh to an MCP client over stdin and stdout; the client starts this')
    .option('--data-dir <dir>', 'data directory of the node (default: $ATMO_DATA_DIR, else the one of this user)')
    .option('--all-tools', 'list all tools, also where there are more than 40 (default: then the client searches them)')
    .option('--timeout <duration>', 'time given to each call (default: what the tool says, else 30s)', parseDuration)
    .action(async ({ dataDir: given, allTools, timeout }: McpFlags) => {
      const { dataDir } = contextOf({ dataDir: given })
      // A client that starts this where no node runs is told so, at once.
      await connectToNode(dataDir)
      const query = new URLSearchParams({
        ...(allTools === true && { tools: 'all' }),
        ...(timeout !== undefined && { timeoutMs: String(timeout) })
      })
      const path = query.size === 0 ? '/mcp' : `/mcp?${query.toString()}`
      // No other command needs the SDK.
      const [{ bridgeMcp }, { MAX_LINE_BYTES, messageLines }, { StdioServerTransport }] = await Promise.all([
        import('./mcp-bridge.ts'),
        import('./mcp-lines.ts'),
        import('@modelcontextprotocol/server/stdio')
      ])
      const input = Readable.from(messageLines(process.stdin, tell), { objectMode: false })
      // Of a batch one may be written longer than it came.
      const client = new StdioServerTransport(input, process.stdout, { maxBufferSize: 2 * MAX_LINE_BYTES })
      const { signal, off } = interruptSignal()
      // Found anew for each request: a node that was started again has another port, and its token goes to nobody else.
      await bridgeMcp({ client, fetch: async (init) => (await connectToNode(dataDir)).fetch(path, init) }, signal)
      off()
      // Connections that are kept for the next request must not keep the process.
      process.exit(0)
    })
}

/** Resolves when it is written; a client that went hears nothing. */
function tell(answer: string): Promise<void> {
  return new Promise((resolve) => void process.stdout.write(answer, () => resolve()))
}
