import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CapabilityView } from '../../src/mesh-api.ts'
import type { Scan } from '../../src/node-scan.ts'
import { ask } from '../fixtures/api-request.ts'
import { createAtmo, errorOf, type Atmo } from '../fixtures/atmo.ts'
import { FARM_SECRETS, startFarmStandIn, type FarmStandIn } from '../fixtures/llamafarm-stand-in.ts'
import { startOllamaStandIn, type OllamaStandIn } from '../fixtures/ollama-stand-in.ts'
import { until } from '../backends/contract.ts'

/** Stand-ins for Ollama and LlamaFarm on one machine; another node uses them. */
describe('AI servers of a machine, found and shared', function () {
  this.timeout(240_000)
  let cli: Atmo
  let ollama: OllamaStandIn
  let farm: FarmStandIn
  let ports: string[]
  beforeEach(async () => {
    cli = await createAtmo()
    ollama = await startOllamaStandIn()
    farm = await startFarmStandIn([
      { namespace: 'discoverable', name: 'llamas', documents: true },
      { namespace: 'private', name: 'diary' }
    ])
    ports = [ollama.port, farm.port].flatMap((port) => ['--port', String(port)])
  })
  afterEach(async () => {
    await cli.close()
    await Promise.all([ollama.close(), farm.close()])
  })

  it('scan finds and shares, another node calls, and what goes is gone there', async () => {
    const found = JSON.parse(await cli.ok('one', 'scan', '--json', ...ports)) as Scan
    assert.deepEqual(
      found.servers.map(({ engine }) => engine),
      ['ollama', 'llamafarm']
    )
    assert.ok(found.servers.every(({ models }) => models.every(({ shared }) => !shared)))
    assert.ok(!found.hasConfig)
    for (const secret of [...FARM_SECRETS.slice(0, 3), 'diary']) assert.ok(!JSON.stringify(found).includes(secret))

    const shared = ['--share', 'ollama/llama3.2:3b', '--share', 'llamafarm/discoverable/*']
    const said = await cli.ok('one', 'scan', ...ports, ...shared)
    assert.match(said, /known by: \/ says "Ollama is running"/)
    assert.match(said, /shares ollama\/llama3\.2:3b, llamafarm\/discoverable\/\*/)
    const file = join(cli.dir, 'one', 'atmo.yaml')
    await writeFile(file, (await readFile(file, 'utf8')).replace('kind: local-ai', 'kind: local-ai\n    refreshMs: 1000'))

    const { address } = await cli.start('one')
    const code = (await cli.ok('one', 'invite')).trim()
    await cli.ok('two', 'join', code, '--name', 'two')
    const { ready } = await cli.start('two', ['--peer', address])
    const token = await readFile(join(cli.dir, 'two', 'api-token'), 'utf8')
    const ids = async (): Promise<string[]> => {
      const { json } = await ask(ready['api'] as string, '/mesh/capabilities', { token: token.trim() })
      const capabilities = json['capabilities'] as CapabilityView[]
      return capabilities
        .filter(({ type }) => type.startsWith('llm/'))
        .map(({ id }) => id)
        .sort()
    }
    await until(async () => (await ids()).length === 2, 'both at the other node', 30_000)
    assert.deepEqual(await ids(), ['llama3.2:3b', 'llamafarm:discoverable:llamas'])

    const chat = ['chat', '--params', JSON.stringify({ messages: [{ role: 'user', content: 'hay?' }] }), '--json']
    assert.match(await cli.ok('two', 'call', 'llama3.2:3b', ...chat), /heard hay\?/)
    assert.match(await cli.ok('two', 'call', 'llamafarm:discoverable:llamas', ...chat), /heard hay\?/)
    assert.equal(farm.sessions, 0)

    farm.projects.push({ namespace: 'discoverable', name: 'alpacas' })
    await until(async () => (await ids()).includes('llamafarm:discoverable:alpacas'), 'the new project', 30_000)
    farm.projects.splice(0, 1)
    await ollama.close()
    await until(async () => (await ids()).join() === 'llamafarm:discoverable:alpacas', 'that they are gone', 30_000)
  })

  it('says what it cannot share, and leaves the configuration as it is', async () => {
    const cloud = errorOf(await cli.atmo('one', ['scan', '--json', ...ports, '--share', 'ollama/gpt-oss:120b-cloud']))
    assert.match(cloud.message, /cloud/)
    const fresh = join(cli.dir, 'new', 'fresh.yaml')
    await cli.ok('one', 'scan', ...ports, '--config', fresh, '--share', 'ollama/llava:7b')
    assert.match(await readFile(fresh, 'utf8'), /- ollama\/llava:7b/)
    const file = join(cli.dir, 'flow.yaml')
    const flow = 'backends: [ {kind: system} ]  # mine\n'
    await writeFile(file, flow)
    const refused = await cli.atmo('one', ['scan', ...ports, '--config', file, '--share', 'ollama/llava:7b'])
    assert.deepEqual([refused.code, await readFile(file, 'utf8')], [2, flow])
    await cli.ok('one', 'scan', ...ports, '--config', file, '--share', 'ollama/llava:7b', '--yes')
    assert.match(await readFile(file, 'utf8'), /ollama\/llava:7b[^]*# mine/)
  })

  it('shares MCP servers once, with the tools that are named, and shows no secret of others', async () => {
    const [files, db] = [
      { command: 'npx', args: ['files', '/tmp'] },
      { command: 'npx', args: ['db', 'postgresql://me:hunter2@db/x'] }
    ]
    const home = join(cli.dir, 'home')
    for (const [file, mcpServers] of [
      ['.cursor/mcp.json', { files, db }],
      ['.claude.json', { files, web: { url: 'http://127.0.0.1:1/s/Zk3PqL8vX1mN5tR7wY2b/mcp' } }]
    ] as const) {
      await mkdir(join(home, file, '..'), { recursive: true })
      await writeFile(join(home, file), JSON.stringify({ mcpServers }))
    }
    const scan = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await cli.atmo('one', ['scan', ...ports, ...args], { env: { HOME: home } })
      assert.equal(code, 0, stderr)
      return stdout
    }
    const told = await scan('--json', '--share', 'mcp/*', '--tool', 'read_*')
    const again = await scan()
    const file = await readFile(join(cli.dir, 'one', 'atmo.yaml'), 'utf8')
    assert.ok(!/hunter2|Zk3PqL8vX1mN5tR7wY2b/.test(told + again + file))
    const { mcp, written } = JSON.parse(told) as Scan & { written: boolean }
    assert.deepEqual(
      mcp.map(({ shareName, client, withheld }) => [shareName, client, withheld === undefined]),
      [
        ['mcp/files', 'Claude Code, Cursor', true],
        ['mcp/web', 'Claude Code', false],
        ['mcp/db', 'Cursor', false]
      ]
    )
    assert.ok(written)
    assert.match(file, /kind: mcp\n +id: files\n +command:[^]*allow:\n +- read_\*/)
    assert.match(again, /mcp\/files +Claude Code, Cursor +shared/)
    // Of one that is shared already more tools are, and nothing is written where nothing is new.
    const writes = async (...args: string[]): Promise<boolean> =>
      (JSON.parse(await scan('--json', '--share', 'mcp/files', ...args)) as { written: boolean }).written
    assert.deepEqual([await writes(), await writes('--tool', 'list'), await writes('--tool', 'list')], [false, true, false])
    assert.match(await readFile(join(cli.dir, 'one', 'atmo.yaml'), 'utf8'), /allow:\n +- read_\*\n +- list\n/)
    assert.match(await scan('--share', 'mcp/files'), /shares mcp\/files already/)
    for (const wrong of [
      ['--tool', 'list'],
      ['--tool', 'list', '--share', 'ollama/llava:7b']
    ]) {
      const { code, stderr } = await cli.atmo('one', ['scan', ...ports, ...wrong], { env: { HOME: home } })
      assert.deepEqual([code, /--tool is for MCP servers/.test(stderr)], [2, true], stderr)
    }
  })
})
