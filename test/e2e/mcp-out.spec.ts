import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { McpConfig } from '../../src/backends/mcp-config.ts'
import { createMcpBackend } from '../../src/backends/mcp.ts'
import { VERSION } from '../../src/version.ts'
import { errorOf, invoke, run } from '../backends/contract.ts'
import { createAtmo, type Atmo } from '../fixtures/atmo.ts'
import { atmoCommand } from '../fixtures/child.ts'
import { eventually } from '../fixtures/eventually.ts'
import { MCP_KINDS, connectMcp, type McpPlace, type McpTestClient } from '../fixtures/mcp-clients.ts'

const EVERYTHING = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url)
)
const FIXTURE = fileURLToPath(new URL('../backends/mcp-fixture-server.mjs', import.meta.url))

/** A source of events, which this test fires by hand. */
const NEW_YEAR = { event: 'new_year', cron: '0 0 1 1 *', description: 'Another year.', routeHint: 'agent/*' }
const CLOCK = { kind: 'schedule', id: 'clock', triggers: [NEW_YEAR] }

/** What a client starts. */
function commandOf(node: string, { dir }: Atmo): McpPlace {
  const [command, ...args] = atmoCommand() as [string, ...string[]]
  return { command, args: [...args, 'mcp', '--data-dir', join(dir, node)], env: { PATH: process.env['PATH']! } }
}

/** Two nodes, two processes: servers of MCP at the one, clients at the other. */
describe('MCP out, over two nodes', function () {
  this.timeout(240_000)
  let world: Atmo
  let http: McpPlace
  let stdio: McpPlace
  before(async () => {
    world = await createAtmo()
    const config = join(world.dir, 'b.json')
    const server = (id: string, ...args: string[]) => ({ kind: 'mcp', id, command: [process.execPath, ...args] })
    await writeFile(
      config,
      JSON.stringify({ backends: [server('everything', EVERYTHING, 'stdio'), server('fixture', FIXTURE), CLOCK] })
    )
    const { address } = await world.start('b', ['--open', '--config', config])
    const { ready } = await world.start('a', ['--open', '--peer', address])
    const token = (await readFile(join(world.dir, 'a', 'api-token'), 'utf8')).trim()
    http = { url: `${String(ready['api'])}/mcp`, headers: { authorization: `Bearer ${token}` } }
    stdio = commandOf('a', world)
    await eventually(
      async () => assert.match(await world.ok('a', 'capabilities', '--json'), /clock[^]*everything[^]*fixture/),
      30_000
    )
  })
  after(() => world.close())

  for (const kind of MCP_KINDS)
    for (const over of ['http', 'stdio'] as const)
      describe(`${kind} client over ${over}`, () => {
        let client: McpTestClient
        before(async () => {
          client = await connectMcp(kind, over === 'http' ? http : stdio)
        })
        after(() => client.close())

        it('lists, calls, and gets structured content and errors', async () => {
          const names = (await client.tools()).map(({ name }) => name)
          assert.ok(names.includes('everything__get-sum') && names.includes('fixture__echo'), names.join())
          const sum = await client.call('everything__get-sum', { a: 19, b: 23 })
          assert.match(sum.content[0]!.text!, /42/)
          const weather = await client.call('everything__get-structured-content', { location: 'New York' })
          assert.deepEqual(Object.keys(weather.structuredContent as object).sort(), ['conditions', 'humidity', 'temperature'])
          const image = await client.call('everything__get-tiny-image')
          assert.ok(image.content.some(({ type, mimeType }) => type === 'image' && mimeType === 'image/png'))
          const failed = await client.call('fixture__fail')
          assert.deepEqual([failed.isError, failed.content[0]!.text], [true, 'tool_failed: the llama ran away'])
          const wrong = await client.call('everything__get-sum', { a: 'x' })
          assert.match(`${wrong.isError} ${wrong.content[0]!.text}`, /^true invalid_argument: /)
          await assert.rejects(client.call('everything__nothing'), { code: -32_602 })
        })

        it('hears of progress, and cancels at the server', async () => {
          const told: number[] = []
          const onprogress = ({ progress }: { progress: number }) => void told.push(progress)
          await client.call('everything__trigger-long-running-operation', { duration: 1, steps: 4 }, { onprogress })
          assert.ok(told.length >= 3 && told.every((one, at) => at === 0 || one > told[at - 1]!), told.join())
          const abort = new AbortController()
          const slow = client.call('fixture__slow', {}, { signal: abort.signal, onprogress: () => abort.abort() })
          await assert.rejects(slow)
          await eventually(async () => assert.equal((await client.call('fixture__waiting')).content[0]!.text, '0'), 20_000)
        })
      })

  it('all clients are told when a trigger of the other node fires, and read the event, until they end that', async () => {
    const places = MCP_KINDS.flatMap((kind) => [http, stdio].map((place) => ({ kind, place })))
    const clients = await Promise.all(places.map(({ kind, place }) => connectMcp(kind, place)))
    const [trigger] = (await clients[0]!.resources()).filter(({ name }) => name === 'clock/new_year')
    const { uri, description } = trigger!
    assert.match(uri, /^atmosphere:\/\/trigger\/clock@12D3KooW\w+\/new_year$/)
    assert.equal(description, 'Events "new_year" of clock at b. Another year.')
    const fire = (missed: number) =>
      world.ok('b', 'fire', 'clock', 'new_year', JSON.stringify({ scheduledAt: '2027-01-01T00:00:00Z', missed }))
    const subscribe = async (client: McpTestClient) => {
      let tell = (_uri: string): void => {}
      const told = new Promise<string>((resolve) => (tell = resolve))
      return { told, end: await client.subscribe([uri], (one) => tell(one)) }
    }
    const subscriptions = await Promise.all(clients.map(subscribe))
    await eventually(async () => assert.equal((await clients[0]!.read(uri)).state, 'open'))
    await fire(7)
    for (const [at, { told, end }] of subscriptions.entries()) {
      assert.equal(await told, uri)
      const { total, events } = await clients[at]!.read(uri)
      assert.deepEqual([total, events.map(({ data }) => data)], [1, [{ scheduledAt: '2027-01-01T00:00:00Z', missed: 7 }]])
      await end()
    }
    // The last one has ended it for all, and it may take a moment until a stream is seen to be closed.
    await eventually(async () => assert.equal((await clients[0]!.read(uri)).state, 'unsubscribed'))
    for (const client of clients) await client.close()
  })

  it('all clients hear that the tools of the other node have changed', async () => {
    const places = MCP_KINDS.flatMap((kind) => [http, stdio].map((place) => ({ kind, place })))
    const clients = await Promise.all(places.map(({ kind, place }) => connectMcp(kind, place)))
    const changed = clients.map((client) => client.changed())
    await clients[0]!.call('fixture__grow')
    await Promise.all(changed)
    // It says something else of itself than before: nobody calls it until the owner of this node accepts that.
    const refused = await clients[0]!.call('fixture__echo')
    assert.match(`${refused.isError} ${refused.content[0]!.text}`, /^true permission_denied: /)
    await world.ok('a', 'accept', 'b', 'fixture')
    for (const client of clients) {
      await eventually(async () => assert.ok((await client.tools()).some(({ name }) => name === 'fixture__grown')))
      await client.close()
    }
  })

  it('a client that goes leaves no call behind, and atmo mcp ends with it', async () => {
    const child = world.run('a', ['mcp'], {})
    const send = (message: object) => child.process.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
    const clientInfo = { name: 'raw', version: '1' }
    send({ id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo } })
    assert.match(await child.line(20_000), /"protocolVersion":"2025-06-18"/)
    send({ method: 'notifications/initialized' })
    send({ id: 2, method: 'tools/call', params: { name: 'fixture__slow' } })
    const other = await connectMcp('new', http)
    const waiting = async () => (await other.call('fixture__waiting')).content[0]!.text
    await eventually(async () => assert.equal(await waiting(), '1'), 20_000)
    child.process.stdin.end()
    const { code, stderr } = await child.ended
    assert.deepEqual([code, stderr], [0, ''])
    await eventually(async () => assert.equal(await waiting(), '0'), 20_000)
    await other.close()
  })

  it('what is no message is answered by atmo mcp as by /mcp, and a batch message by message', async () => {
    const child = world.run('a', ['mcp'], {})
    const send = (line: string) => child.process.stdin.write(`${line}\n`)
    const next = async () => {
      const { id, error, result } = JSON.parse(await child.line(20_000)) as {
        id: unknown
        error?: { code: number }
        result?: unknown
      }
      return [id, error?.code ?? result]
    }
    const clientInfo = { name: 'raw', version: '1' }
    const params = { protocolVersion: '2025-03-26', capabilities: {}, clientInfo }
    send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }))
    assert.equal((await next())[0], 1)
    send('{"jsonrpc":"2.0","method":"notifications/initialized"}')
    for (const [line, code] of [
      ['garbage{', -32_700],
      ['[]', -32_600],
      ['{"jsonrpc":"2.0","id":5,"id":6,"method":"ping"}', -32_600]
    ] as const) {
      send(line)
      assert.deepEqual(await next(), [null, code], line)
    }
    send('[{"jsonrpc":"2.0","id":20,"method":"ping"},{"jsonrpc":"2.0","id":21,"method":"ping"}]')
    const answers = [await next(), await next()].sort(([one], [other]) => Number(one) - Number(other))
    assert.deepEqual(answers, [
      [20, {}],
      [21, {}]
    ])
    child.process.stdin.end()
    assert.equal((await child.ended).code, 0)
  })

  for (const over of ['stdio', 'http'] as const)
    it(`are in no mesh a second time: the backend mcp refuses a node as a server over ${over}`, async () => {
      const place = over === 'http' ? http : stdio
      const server: McpConfig =
        'url' in place
          ? { kind: 'mcp', id: 'again', ...place }
          : { kind: 'mcp', id: 'again', command: [place.command, ...place.args] }
      const backend = createMcpBackend(server, { baseDir: world.dir, version: VERSION, minRestartMs: 100 })
      const running = run(backend)
      try {
        const { status, statusReason = '', tools } = await running.snapshot()
        assert.deepEqual([status, tools], ['offline', []])
        assert.match(statusReason, /^the MCP server is a node of Atmosphere: /)
        await errorOf(invoke(backend, 'again', 'everything__echo', { message: 'x' }), 'unavailable')
      } finally {
        await running.stop()
      }
    })

  it('says on standard error, and nowhere else, that no node runs', async () => {
    const { code, stdout, stderr } = await world.atmo('nobody', ['mcp'])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /No node is running here/)
  })
})

describe('atmo mcp, whose node starts anew', function () {
  this.timeout(120_000)
  let world: Atmo
  let config: string
  before(async () => {
    world = await createAtmo()
    config = join(world.dir, 'clock.json')
    await writeFile(config, JSON.stringify({ backends: [{ kind: 'system' }, CLOCK] }))
  })
  after(() => world.close())

  for (const kind of MCP_KINDS)
    it(`goes on for a ${kind} client`, async () => {
      const node = await world.start(kind, ['--open', '--config', config])
      const client = await connectMcp(kind, commandOf(kind, world))
      const [name] = (await client.tools()).map((tool) => String(tool['name'])).filter((one) => /__echo/.test(one))
      assert.equal((await client.call(name!, { value: 1 })).isError, undefined)
      const [trigger] = await client.resources()
      let told = (_uri: string): void => {}
      const fired = new Promise<string>((resolve) => (told = resolve))
      const subscribe = () => client.subscribe([trigger!.uri], (uri) => told(uri))
      await subscribe()
      await world.ok(kind, 'stop')
      await node.child.ended
      await assert.rejects(client.call(name!, { value: 2 }), /No node is running here/)
      await world.start(kind, ['--open', '--config', config])
      assert.equal((await client.call(name!, { value: 3 })).isError, undefined)
      // Its stream has ended with the node, and the SDK told it so; the session of an old client is what it was.
      if (kind === 'new') await subscribe()
      await eventually(async () => assert.equal((await client.read(trigger!.uri)).state, 'open'))
      await world.ok(kind, 'fire', 'clock', 'new_year', JSON.stringify({ scheduledAt: '2027-01-01T00:00:00Z', missed: 0 }))
      assert.equal(await fired, trigger!.uri)
      await client.close()
    })
})
