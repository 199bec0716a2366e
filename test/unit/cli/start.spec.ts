import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockHolder } from '../../../src/data-dir-lock.ts'
import { readNodeFile } from '../../../src/data-dir.ts'
import { startAtmo, startChild, type Child } from '../../fixtures/child.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

type Line = Record<string, unknown> & { error?: { code: string; message: string } }

describe('cli start and stop', function () {
  this.timeout(60_000)
  let dir: string
  const children: Child[] = []
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-start-'))
  })
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.process.kill('SIGKILL')
      await child.ended
    }
    await rm(dir, { recursive: true, force: true })
  })
  const track = (child: Child) => (children.push(child), child)
  const fake = (env: Record<string, string> = {}, ...args: string[]) =>
    track(startChild('test/fixtures/fake-node.ts', [dir, ...args], { env }))
  const atmo = (...args: string[]) => track(startChild('src/cli/main.ts', args))
  const seen = (child: Child, text: string) =>
    new Promise<void>((resolve) => child.process.stderr.on('data', (chunk: string) => chunk.includes(text) && resolve()))

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`${signal} stops in order with exit code 0 and leaves nothing behind`, async () => {
      const node = fake({}, '--json')
      await node.line()
      assert.ok(await readNodeFile(dir))
      node.process.kill(signal)
      assert.deepEqual((({ code, signal: by }) => [code, by])(await node.ended), [0, null])
      assert.equal(await readNodeFile(dir), undefined)
      assert.equal(await lockHolder(dir), undefined)
      assert.deepEqual((await readdir(dir)).sort(), ['api-token', 'lock.1'])
    })
  }
  it('tells what was there before it was ready, after ready', async () => {
    const node = fake({}, '--json')
    const lines: Line[] = []
    while (lines.length < 6) lines.push(JSON.parse(await node.line()) as Line)
    assert.deepEqual(
      lines.map(({ event }) => event),
      ['ready', 'backend', 'peer:join', 'peer:join', 'peer:join', 'capability:available']
    )
    assert.deepEqual(
      lines.slice(2, 5).map(({ name }) => name),
      ['kitchen', 'pi-garden', 'cellar']
    )
  })
  it('people read names of nodes in events', async () => {
    const node = fake()
    const how = { id: 1, direction: 'in', capability: 'guard', tool: 'handle', status: 'success', durationMs: 7 }
    const call = { at: 1, event: 'call:end', ...how }
    let line = await node.line()
    while (!line.includes('atmo peers')) line = await node.line()
    for (const peerId of ['12D3KooWFakeKitchen', '12D3KooWFakeSelf', '12D3KooWFakeAttic'])
      node.process.stdin.write(`${JSON.stringify({ ...call, peerId })}\n`)
    const told: string[] = []
    while (told.length < 3) {
      line = await node.line()
      if (line.includes('guard handle')) told.push(line.replace(/^.*ok /, ''))
    }
    assert.deepEqual(told, ['kitchen 7 ms', 'fake 7 ms', '…akeAttic 7 ms'])
  })
  it('SIGTERM ends it although nobody reads on what it prints', async () => {
    const node = fake({}, '--json')
    await node.line()
    node.process.stdout.pause()
    // More than a pipe holds.
    node.process.stdin.write(`${JSON.stringify({ at: 1, event: 'peer:join', peerId: 'p', name: 'x'.repeat(4_000_000) })}\n`)
    const { stdout } = node.process
    await until(() => stdout.readableLength >= stdout.readableHighWaterMark, 'it is printed')
    node.process.kill('SIGTERM')
    await once(node.process, 'exit')
    assert.equal(node.process.exitCode, 0)
    assert.equal(await lockHolder(dir), undefined)
  })
  it('a second signal ends it at once', async () => {
    const node = fake({ FAKE_STOP: 'never' }, '--json')
    await node.line()
    const stopping = seen(node, 'stopping')
    node.process.kill('SIGTERM')
    await stopping
    node.process.kill('SIGTERM')
    assert.equal((await node.ended).code, 1)
  })
  it('atmo stop returns when the process is gone', async () => {
    const node = fake({}, '--json')
    await node.line()
    const { code, stdout } = await atmo('stop', '--data-dir', dir, '--json').ended
    assert.deepEqual([code, (JSON.parse(stdout) as Line)['pid']], [0, node.process.pid])
    // Still a zombie of this process, but ended.
    assert.equal((await node.ended).code, 0)
  })
  it('atmo stop tells when it takes too long', async () => {
    const node = fake({ FAKE_STOP: 'never' }, '--json')
    await node.line()
    const { code, stdout } = await atmo('stop', '--data-dir', dir, '--json', '--timeout', '300ms').ended
    assert.deepEqual([code, (JSON.parse(stdout) as Line).error?.code], [1, 'deadline_exceeded'])
  })
  it('a second node on the data directory is refused', async () => {
    const node = fake({}, '--json')
    await node.line()
    const { code, stdout } = await atmo('start', '--json', '--data-dir', dir, '--no-mdns').ended
    const { error } = JSON.parse(stdout) as Line
    assert.deepEqual([code, error?.code], [1, 'conflict'])
    assert.match(error?.message ?? '', new RegExp(`process ${node.process.pid}`))
  })
  it('starts over after kill -9', async () => {
    const first = fake({}, '--json')
    await first.line()
    first.process.kill('SIGKILL')
    await first.ended
    const second = fake({}, '--json')
    assert.equal((JSON.parse(await second.line()) as Line)['event'], 'ready')
  })
  it('looks well for people', async () => {
    const node = fake()
    assert.equal(await node.line(), '● fake is up')
    assert.match(await node.line(), /^ {2}mesh {9}fake mesh, private/)
    assert.match(await node.line(), /^ {2}peer id {6}12D3/)
    const lines = new Map<string, string>()
    while (!lines.has('token')) {
      const [, label = '', value = ''] = /^ {2}(.{13})(.*)$/.exec(await node.line()) ?? []
      lines.set(label.trim(), value)
    }
    assert.match(lines.get('local API')!, /^(http:\/\/127\.0\.0\.1:\d+) described at \1\/docs$/)
    assert.match(await readFile(lines.get('token')!, 'utf8'), /^[\w-]{43}$/)
  })
  it('a broken configuration names line and key, and starts nothing', async () => {
    const file = join(dir, 'broken.yaml')
    await writeFile(file, 'backends:\n  - kind: mcp\n    id: x\n    command: npx\n')
    const { code, stdout } = await atmo('start', '--json', '--data-dir', join(dir, 'data'), '--config', file).ended
    assert.equal(code, 1)
    assert.deepEqual(
      [(JSON.parse(stdout) as Line).error?.code, (JSON.parse(stdout) as Line).error?.message],
      ['invalid_config', `${file}:4:14 backends[0].command: must be array`]
    )
    assert.deepEqual(await readdir(dir), ['broken.yaml'])
  })
  it('frees the data directory when it cannot start', async () => {
    const args = ['start', '--json', '--data-dir', dir, '--no-mdns', '--listen', '/ip4/192.0.2.1/tcp/4001']
    const { code, stdout } = await atmo(...args).ended
    assert.deepEqual([code, (JSON.parse(stdout) as Line).error?.code], [1, 'invalid_config'])
    assert.equal(await lockHolder(dir), undefined)
    assert.equal(await readNodeFile(dir), undefined)
  })
  it('an open API without a key in the configuration starts nothing', async () => {
    const file = join(dir, 'open.yaml')
    await writeFile(file, 'api: 0.0.0.0:0\n')
    const { code, stderr } = await atmo('start', '--data-dir', join(dir, 'data'), '--config', file).ended
    assert.equal(code, 1)
    assert.match(stderr, /would be open to other machines/)
    assert.deepEqual(await readdir(dir), ['open.yaml'])
  })
  it('a real node: start, call, stop', async () => {
    const file = join(dir, 'atmo.yaml')
    await writeFile(
      file,
      'name: attic\nbackends:\n  - kind: command\n    id: shell\n    type: compute/shell\n    tools: [{ name: say, run: [echo, "{text}"], input: { type: object, properties: { text: { type: string } } } }]\n'
    )
    const data = join(dir, 'data')
    const listen = ['--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0']
    const node = track(startAtmo(['start', '--json', '--data-dir', data, '--config', file, ...listen]))
    const ready = JSON.parse(await node.line(30_000)) as Line
    assert.deepEqual([ready['event'], ready['name']], ['ready', 'attic'])
    const called = await atmo('call', 'shell', 'say', '--param', 'text=42', '--data-dir', data, '--json').ended
    const last = JSON.parse(called.stdout.trimEnd().split('\n').at(-1)!) as Line
    assert.deepEqual([called.code, last['status']], [0, 'success'], called.stdout)
    assert.match(String(last['result']), /^42\s*$/)
    node.process.kill('SIGTERM')
    assert.equal((await node.ended).code, 0)
  })
})
