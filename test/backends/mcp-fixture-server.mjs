// A small MCP server over stdio with the tools that a real one rarely has: one that can be cancelled and says so, one that
// changes the list of tools, and one that dies. Plain JavaScript, so that it starts fast.
import { spawn } from 'node:child_process'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'

if (process.env.FAIL_TO_START) {
  console.error('the configuration is wrong')
  process.exit(2)
}

const server = new Server(
  { name: 'fixture', title: 'Fixture', version: '1.0.0' },
  { capabilities: { tools: { listChanged: true } }, instructions: 'For tests.' }
)
const input = { type: 'object' }
const names = ['echo', 'slow', 'fail', 'waiting', 'grow', 'die', 'mixed', 'child', 'meta', 'bad name!']
const tools = names.map((name) => ({ name, inputSchema: input }))
const image = { type: 'image', data: 'aGk=', mimeType: 'image/png' }
let waiting = 0

const text = (value) => ({ content: [{ type: 'text', text: typeof value === 'string' ? value : JSON.stringify(value) }] })

const handlers = {
  echo: (args) => ({ ...text(args), structuredContent: args }),
  async slow(_args, extra) {
    waiting++
    const progressToken = extra._meta?.progressToken
    if (progressToken !== undefined)
      await extra.sendNotification({
        method: 'notifications/progress',
        params: { progressToken, progress: 1, total: 2, message: 'half' }
      })
    await new Promise((resolve) => extra.signal.addEventListener('abort', resolve))
    waiting--
    return text('cancelled')
  },
  fail: () => ({ ...text('the llama ran away'), isError: true }),
  waiting: () => text(String(waiting)),
  async grow() {
    tools.push({ name: 'grown', inputSchema: input, annotations: { readOnlyHint: true } })
    await server.sendToolListChanged()
    return text('grown')
  },
  die() {
    console.error('out of hay')
    process.exit(9)
  },
  mixed: () => ({ content: [{ type: 'text', text: 'look' }, image] }),
  child() {
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
    return text(`${process.pid} ${child.pid}`)
  },
  meta: (_args, extra) => text(extra._meta ?? {})
}

server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }))
server.setRequestHandler(CallToolRequestSchema, (request, extra) =>
  handlers[request.params.name](request.params.arguments ?? {}, extra)
)
await server.connect(new StdioServerTransport())
