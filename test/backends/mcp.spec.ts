import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Backend } from '../../src/backends/backend.ts'
import type { McpConfig, McpStdioConfig } from '../../src/backends/mcp-config.ts'
import { MAX_NAMED_SKIPS, MAX_TOOLS_BYTES, MAX_TOOL_DESCRIPTION_LENGTH, offeredTools } from '../../src/backends/mcp-items.ts'
import { createMcpBackend } from '../../src/backends/mcp.ts'
import { createBackoff } from '../../src/backends/restart-delay.ts'
import type { Item, JsonObject } from '../../src/core/invoke.ts'
import { isMeshError } from '../../src/errors.ts'
import { backendContract, collect, errorOf, invoke, isProcessGone, resultOf, run, until, within } from './contract.ts'
import type { Running } from './contract.ts'

const FIXTURE = fileURLToPath(new URL('mcp-fixture-server.mjs', import.meta.url))
const EVERYTHING = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url)
)
const INIT = { baseDir: '.', version: '0.0.0', minRestartMs: 50, maxRestartMs: 200, probeMs: 200 }

const fixture = (config: Partial<McpStdioConfig> = {}): Backend =>
  createMcpBackend({ kind: 'mcp', id: 'fixture', command: [process.execPath, FIXTURE], ...config }, INIT)
const waitingIn = async (backend: Backend): Promise<number> => Number(await resultOf(invoke(backend, 'fixture', 'waiting')))

backendContract('mcp', () => {
  const backend = fixture()
  return {
    backend,
    capability: 'fixture',
    echo: { tool: 'echo', input: (n) => ({ n }), output: (n) => ({ n }) },
    slow: {
      tool: 'slow',
      input: {},
      // The server itself says that the cancellation arrived; a server that is gone waits for nothing.
      isGone: () =>
        waitingIn(backend).then(
          (waiting) => waiting === 0,
          (error) => isMeshError(error, 'unavailable')
        )
    },
    failing: { tool: 'fail', input: {}, message: /the llama ran away/ }
  }
})

describe('mcp backend: a supervised server', () => {
  let backend: Backend
  let running: Running
  const call = (tool: string, input: JsonObject = {}): AsyncIterable<Item> => invoke(backend, 'fixture', tool, input)
  const start = (config: Partial<McpStdioConfig> = {}): void => {
    backend = fixture(config)
    running = run(backend)
  }
  afterEach(() => running.stop())

  it('passes progress on', async () => {
    start()
    await running.snapshot()
    for await (const item of call('slow')) {
      assert.deepEqual(item, { kind: 'progress', progress: { done: 1, total: 2, message: 'half' } })
      break
    }
  })

  it('gives content blocks when there is more than a text', async () => {
    start()
    await running.snapshot()
    assert.deepEqual(await resultOf(call('mixed')), [
      { type: 'text', text: 'look' },
      { type: 'image', data: 'aGk=', mimeType: 'image/png' }
    ])
  })

  it('sends the trace along', async () => {
    start()
    await running.snapshot()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const request = { capability: 'fixture', tool: 'meta', input: {}, caller: 'x', traceparent }
    const meta = await resultOf(backend.call(request, { signal: new AbortController().signal }))
    assert.equal((JSON.parse(meta as string) as JsonObject)['traceparent'], traceparent)
  })

  it('follows changes of the tools', async () => {
    start()
    const first = await running.snapshot()
    assert.ok(!first.tools?.some((tool) => tool.name === 'grown'))
    assert.deepEqual(first.metadata?.['skippedTools'], ['bad name!'])
    await resultOf(call('grow'))
    const grown = await running.snapshot(({ tools }) => tools?.some((tool) => tool.name === 'grown') === true)
    assert.equal(grown.tools?.find((tool) => tool.name === 'grown')?.idempotent, true)
  })

  it('offers only what is allowed', async () => {
    start({ tools: { allow: ['echo', 'f*', 'd*'], deny: ['d?e', 'die'] } })
    assert.deepEqual(
      (await running.snapshot()).tools?.map((tool) => tool.name),
      ['echo', 'fail']
    )
    await errorOf(call('die'), 'unknown_tool')
  })

  it('is offline with a reason when the server dies, fails its calls, and comes back', async () => {
    start()
    const first = await running.snapshot()
    const slow = call('slow')[Symbol.asyncIterator]()
    await slow.next()
    const lost = assert.rejects(within(slow.next(), 'the lost call'), (error) => isMeshError(error, 'unavailable'))
    await errorOf(call('die'), 'unavailable')
    await lost
    const offline = await running.snapshot(({ status }) => status === 'offline')
    assert.match(offline.statusReason ?? '', /exit code 9.*out of hay/s)
    assert.deepEqual(offline.tools, first.tools)
    await running.snapshot(({ status }) => status === 'online')
    assert.deepEqual(await resultOf(call('echo', { a: 1 })), { a: 1 })
  })

  it('comes back after kill -9, and takes what the server started with it', async () => {
    start()
    await running.snapshot()
    const [server = 0, child = 0] = ((await resultOf(call('child'))) as string).split(' ').map(Number)
    assert.ok(server > 1 && child > 1)
    process.kill(server, 'SIGKILL')
    await running.snapshot(({ status }) => status === 'offline')
    await until(() => isProcessGone(child), 'the end of the child of the server')
    await running.snapshot(({ status }) => status === 'online')
    const [next = 0, orphan = 0] = ((await resultOf(call('child'))) as string).split(' ').map(Number)
    assert.notEqual(next, server)
    await running.stop()
    await until(() => isProcessGone(next), 'the end of the server')
    await until(() => isProcessGone(orphan), 'the end of its child')
  })

  it('says why a server does not start', async () => {
    start({ env: { FAIL_TO_START: '1' } })
    const offline = await running.snapshot()
    assert.equal(offline.status, 'offline')
    assert.match(offline.statusReason ?? '', /exit code 2.*the configuration is wrong/s)
    await errorOf(call('echo'), 'unavailable')
    await running.stop()
    start({ command: ['no-such-program-at-all'] })
    assert.match((await running.snapshot()).statusReason ?? '', /no-such-program-at-all.*not found/)
  })

  it('waits longer after each failure, up to a limit, and starts over after a good run', () => {
    const backoff = createBackoff({ random: () => 1 })
    const waits = Array.from({ length: 9 }, () => backoff.next(10))
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    assert.equal(backoff.next(60_000), 500)
    assert.equal(createBackoff({ random: () => 0 }).next(0), 375)
  })
})

describe('mcp backend: tool declarations', () => {
  it('pass schemas, annotations, titles and descriptions on as they are', () => {
    const inputSchema = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object' as const,
      properties: { a: { type: 'string', 'x-own': [1] } }
    }
    const annotations = { title: 'T', destructiveHint: true, openWorldHint: false }
    const { tools } = offeredTools(
      [{ name: 'a.b', title: 'A', description: 'does', inputSchema, outputSchema: inputSchema, annotations }],
      undefined
    )
    assert.deepEqual(tools, [
      { name: 'a.b', title: 'A', description: 'does', input: inputSchema, output: inputSchema, annotations, idempotent: false }
    ])
  })

  it('leave out single tools that cannot be offered, and name them', () => {
    const tool = (name: string, schema: object = {}, description = '') => ({
      name,
      description,
      inputSchema: { type: 'object' as const, ...schema }
    })
    const names = (tools: ReturnType<typeof tool>[]) => {
      const { tools: offered, skipped } = offeredTools(tools, undefined)
      return { offered: offered.map(({ name }) => name), skipped }
    }
    assert.deepEqual(
      names([
        tool('good', { properties: { self: { $ref: '#' } } }),
        tool('async', { properties: { a: { $async: true } } }),
        tool('nowhere', { $ref: '#/$defs/none' }),
        tool('deep', { properties: { a: JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`) as object } })
      ]),
      { offered: ['good'], skipped: ['async', 'nowhere', 'deep'] }
    )
    const long = offeredTools([tool('a', {}, 'x'.repeat(10_000))], undefined).tools[0]!
    assert.equal(long.description?.length, MAX_TOOL_DESCRIPTION_LENGTH)
    const many = names(Array.from({ length: 300 }, (_, n) => tool(`t${n}`)))
    assert.deepEqual([many.offered.length, many.offered.at(-1)], [256, 't255'])
    assert.deepEqual([many.skipped.length, many.skipped.at(-1)], [MAX_NAMED_SKIPS + 1, `and ${44 - MAX_NAMED_SKIPS} more`])
    const half = { $comment: 'x'.repeat(MAX_TOOLS_BYTES / 2) }
    assert.deepEqual(names([tool('a'), tool('big', half), tool('too', half), tool('z')]), {
      offered: ['a', 'big', 'z'],
      skipped: ['too']
    })
    assert.deepEqual(names([tool('twice'), tool('twice')]).offered, ['twice'])
  })
})

for (const transport of ['stdio', 'streamable HTTP'] as const) {
  describe(`mcp backend: server-everything over ${transport}`, function () {
    this.timeout(60_000)
    let server: ChildProcess | undefined
    let port: number
    let backend: Backend
    let running: Running
    const call = (tool: string, input: JsonObject = {}, signal?: AbortSignal) =>
      invoke(backend, 'everything', tool, input, { signal })

    const startServer = async (): Promise<void> => {
      const child = spawn(process.execPath, [EVERYTHING, 'streamableHttp'], {
        env: { ...process.env, PORT: String(port) },
        stdio: ['ignore', 'ignore', 'pipe']
      })
      server = child
      await within(
        new Promise<void>((resolve) => child.stderr.on('data', (text: Buffer) => text.includes('listening') && resolve())),
        'the HTTP server',
        20_000
      )
    }
    const stopServer = async (): Promise<void> => {
      if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
      const gone = new Promise((resolve) => server?.once('exit', resolve))
      server.kill('SIGKILL')
      await gone
    }

    before(async () => {
      let config: McpConfig = { kind: 'mcp', id: 'everything', command: [process.execPath, EVERYTHING, 'stdio'] }
      if (transport !== 'stdio') {
        port = await freePort()
        await startServer()
        config = { kind: 'mcp', id: 'everything', url: `http://127.0.0.1:${port}/mcp` }
      }
      backend = createMcpBackend(config, INIT)
      running = run(backend)
    })
    after(async () => {
      await running.stop()
      await stopServer()
    })

    it('offers its tools', async () => {
      const capability = await running.snapshot()
      assert.equal(capability.status, 'online')
      assert.equal(capability.type, 'mcp/everything')
      assert.equal(capability.name, 'Everything Reference Server')
      const structured = capability.tools?.find((tool) => tool.name === 'get-structured-content')
      assert.equal(structured?.['title'], 'Get Structured Content Tool')
      assert.ok(typeof structured?.output === 'object' && 'properties' in structured.output)
      assert.ok(!capability.tools?.some((tool) => tool.name === 'simulate-research-query'), 'a tool that runs only as a task')
    })

    it('calls them', async () => {
      assert.equal(await resultOf(call('echo', { message: 'hi' })), 'Echo: hi')
      assert.match((await resultOf(call('get-sum', { a: 2, b: 3 }))) as string, /5/)
      assert.deepEqual(await resultOf(call('get-structured-content', { location: 'Chicago' })), {
        temperature: 36,
        conditions: 'Light rain / drizzle',
        humidity: 82
      })
      const image = (await resultOf(call('get-tiny-image'))) as JsonObject[]
      assert.ok(image.some((block) => block['type'] === 'image' && typeof block['data'] === 'string'))
      const error = await errorOfAny(call('get-sum', { a: 'two' }))
      assert.ok(['tool_failed', 'invalid_argument'].includes(error), error)
    })

    it('reports progress', async () => {
      const items = await collect(call('trigger-long-running-operation', { duration: 0.2, steps: 4 }))
      const progress = items.flatMap((item) => (item.kind === 'progress' ? [item.progress] : []))
      // The SDK drops a progress notification that comes in one piece with the result, so the fourth may be missing.
      assert.deepEqual(
        progress.slice(0, 3),
        [1, 2, 3].map((done) => ({ done, total: 4 }))
      )
      assert.match(JSON.stringify(items.at(-1)), /completed/)
    })

    it('cancels', async () => {
      const controller = new AbortController()
      const read = async (): Promise<void> => {
        for await (const item of call('trigger-long-running-operation', { duration: 1, steps: 20 }, controller.signal)) {
          assert.equal(item.kind, 'progress')
          controller.abort()
        }
      }
      await assert.rejects(within(read(), 'the cancelled call'), (error) => isMeshError(error, 'cancelled'))
      assert.equal(await resultOf(call('echo', { message: 'still here' })), 'Echo: still here')
    })

    if (transport === 'streamable HTTP') {
      it('notices that the server is gone, and that it is back', async () => {
        const pending = errorOfAny(call('trigger-long-running-operation', { duration: 30, steps: 300 }))
        await resultOf(call('echo', { message: 'warm' }))
        await stopServer()
        const offline = await running.snapshot(({ status }) => status === 'offline')
        assert.match(offline.statusReason ?? '', /does not answer|cannot connect|closed/)
        assert.equal(await within(pending, 'the pending call'), 'unavailable')
        assert.equal(await errorOfAny(call('echo', { message: 'x' })), 'unavailable')
        await startServer()
        await running.snapshot(({ status }) => status === 'online')
        assert.equal(await resultOf(call('echo', { message: 'back' })), 'Echo: back')
      })
    }
  })
}

async function errorOfAny(call: AsyncIterable<Item>): Promise<string> {
  try {
    await collect(call)
  } catch (error) {
    assert.ok(isMeshError(error), String(error))
    return error.code
  }
  assert.fail('no error')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
