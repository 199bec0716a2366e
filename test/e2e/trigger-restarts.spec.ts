import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, type Mesh } from '../../src/index.ts'
import { startChild, type Child } from '../fixtures/child.ts'
import { until } from '../fixtures/libp2p-pair.ts'

const COUNT = 300

describe('events over kills', function () {
  this.timeout(60_000)
  let dir: string
  const nodes: Mesh[] = []
  const children: Child[] = []
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'atmo-events-'))))
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.process.kill('SIGKILL')
      await child.ended
    }
    await Promise.all(nodes.splice(0).map((node) => node.stop()))
    await rm(dir, { recursive: true, force: true })
  })
  const joined = async (...peers: string[]): Promise<Mesh> => {
    const node = await createNode({ open: true, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'], peers })
    nodes.push(node)
    return node
  }
  const run = (...args: string[]): Child => {
    const child = startChild('test/fixtures/event-node.ts', args)
    children.push(child)
    return child
  }
  /** The next line that has the key. */
  async function nextLine(child: Child, key: string): Promise<Record<string, unknown>> {
    for (;;) {
      const line = JSON.parse(await child.line(20_000)) as Record<string, unknown>
      if (line[key] !== undefined) return line
    }
  }
  const next = async <T>(child: Child, key: string): Promise<T> => (await nextLine(child, key))[key] as T
  async function kill(child: Child): Promise<void> {
    child.process.kill('SIGKILL')
    await child.ended
  }

  it('a source that is killed with a full outbox, and started again: all is handled, once', async () => {
    const hub = await joined()
    const first = run('source', join(dir, 'source'), hub.multiaddrs()[0]!, String(COUNT))
    const ids = await next<string[]>(first, 'fired')
    await kill(first)
    assert.equal(new Set(ids).size, COUNT)
    const got: string[] = []
    hub.register({ id: 'guard', type: 'agent/guard', handles: {} }, {}, ({ id }) => void got.push(id))
    const [after] = await next<[string]>(run('source', join(dir, 'source'), hub.multiaddrs()[0]!, '1'), 'fired')
    await until(() => got.length > COUNT && got.includes(after), 'all are handled, and what was fired after them', 20_000)
    assert.deepEqual(got.sort(), [...ids, after].sort())
  })

  it('a handler that is killed between accepted and done handles it when it is back', async () => {
    const source = await joined()
    source.register({ id: 'cam', type: 'sensor/camera', triggers: [{ event: 'person', routeHint: 'agent/*' }] })
    const [address] = source.multiaddrs() as [string]
    const first = run('handler', join(dir, 'handler'), address, 'hang')
    await next(first, 'ready')
    await until(() => source.capabilities({ id: 'guard' }).length > 0, 'the handler is known', 10_000)
    const { outcome, id } = await source.fire('cam', 'person', 'x'.repeat(200_000), { waitMs: 10_000 })
    assert.equal(outcome, 'delivered', 'accepted: it is on the disk of the handler')
    assert.equal(await next(first, 'begun'), id)
    await kill(first)
    const second = run('handler', join(dir, 'handler'), address, 'done')
    const { handled, size } = await nextLine(second, 'handled')
    assert.deepEqual([handled, size], [id, 200_002], 'with its payload, which is on its disk, too')
    await until(() => source.status().counters['events.done'] === 1, 'the source hears of it', 40_000)
  })

  it('a handler whose node is stopped while it works goes on after the restart, also if the source is gone for good', async () => {
    const start = async (): Promise<Mesh> => {
      const node = await createNode({
        open: true,
        mdns: false,
        listen: ['/ip4/127.0.0.1/tcp/0'],
        dataDir: join(dir, 'handler')
      })
      nodes.push(node)
      return node
    }
    const first = await start()
    const begun: string[] = []
    first.register({ id: 'guard', type: 'agent/guard', handles: {} }, {}, ({ id }, { signal }) => {
      begun.push(id)
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    })
    // It keeps nothing over its own end.
    const source = await joined(first.multiaddrs()[0]!)
    source.register({ id: 'cam', type: 'sensor/camera', triggers: [{ event: 'person', routeHint: 'agent/*' }] })
    await until(() => source.capabilities({ id: 'guard' }).length > 0, 'the handler is known', 10_000)
    const fired = await Promise.all(
      ['small', 'x'.repeat(200_000)].map((payload) => source.fire('cam', 'person', payload, { waitMs: 10_000 }))
    )
    assert.deepEqual(
      fired.map(({ outcome }) => outcome),
      ['delivered', 'delivered'],
      'accepted: they are on the disk of the handler'
    )
    await until(() => begun.length === 2, 'both are being handled')
    await first.stop()
    await source.stop()
    const got: [string, number][] = []
    const second = await start()
    second.register({ id: 'guard', type: 'agent/guard', handles: {} }, {}, ({ id, payload }) => {
      got.push([id, (payload as string).length])
    })
    await until(() => got.length === 2, 'both are handled', 10_000)
    assert.deepEqual(got.sort(), [
      [fired[0]!.id, 5],
      [fired[1]!.id, 200_000]
    ])
  })

  it('a source that is killed while its payload is on its way: it comes after the restart, whole', async () => {
    const source = join(dir, 'source')
    const handler = await createNode({
      open: true,
      mdns: false,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      dataDir: join(dir, 'handler')
    })
    nodes.push(handler)
    const got: unknown[] = []
    handler.register({ id: 'guard', type: 'agent/guard', handles: {} }, {}, ({ id, payload }) => {
      got.push(id, JSON.stringify(payload).length)
    })
    const address = handler.multiaddrs()[0]!
    const first = run('source', source, address, '1', '12000000')
    // It is killed as soon as something of it is there: a payload that is whole has another name.
    const arriving = join(dir, 'handler', 'events-in.payloads')
    await until(async () => (await readdir(arriving).catch(() => [])).length > 0, 'it begins to come', 30_000)
    // Before that nobody was told that it is on disk.
    assert.equal(await next(first, 'kept'), 1)
    await kill(first)
    const [kept, got0] = [await readdir(join(source, 'events-out.payloads')), got.length]
    assert.deepEqual([kept.length, got0], [1, 0])
    run('source', source, address, '0')
    await until(() => got.length > 0, 'it is handled', 30_000)
    assert.deepEqual([/^\d+-\d+$/.test(String(got[0])), got.slice(1)], [true, [12_000_016]])
    await until(
      async () => (await readdir(join(source, 'events-out.payloads'))).length === 0,
      'it is gone with its event',
      20_000
    )
    await until(async () => (await readdir(arriving)).length === 0, 'here as well', 20_000)
  })
})
