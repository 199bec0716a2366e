import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { createApp } from '../../src/http/app.ts'
import { eventually } from '../fixtures/eventually.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { MCP_KINDS, connectMcp, type McpTestClient } from '../fixtures/mcp-clients.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

const TOKEN = 'T'.repeat(43)
const camera = (id: string): CapabilityDeclaration => ({ id, type: 'sensor/camera', triggers: [{ event: 'person' }] })

/** Two nodes of one process: cameras at the one, clients of MCP at the other, a guest who may observe one of them. */
describe('MCP clients and triggers of another node', function () {
  this.timeout(120_000)
  let mesh: TestMesh
  const closing = new AbortController()
  const clients: McpTestClient[] = []
  before(async () => (mesh = await createTestMesh('cameras')))
  after(async () => {
    for (const client of clients) await client.close()
    closing.abort()
    await mesh.stop()
  })

  it('are told when one fires and read it, and are told which they may not observe', async () => {
    const source = await mesh.join('owner', {
      policy: [{ effect: 'allow', roles: ['guest'], tools: ['observe'], capabilities: ['door'] }]
    })
    const [door] = [source.register(camera('door')), source.register(camera('bath'))]
    const guest = await mesh.join('guest', { peers: source.multiaddrs() })
    await until(() => guest.capabilities({ type: 'sensor/camera' }).length === 2, 'the guest knows both')
    const app = createApp({ mesh: guest, tokens: [TOKEN], closing: closing.signal })
    const fetch = async (url: string | URL | Request, init?: RequestInit) => app(new Request(url, init))
    const place = { url: 'http://localhost/mcp', headers: { authorization: `Bearer ${TOKEN}` }, fetch }
    for (const kind of MCP_KINDS) clients.push(await connectMcp(kind, place))

    const uriOf = (id: string): string => `atmosphere://trigger/${id}@${source.peerId}/person`
    const uris = [uriOf('bath'), uriOf('door')]
    const told = clients.map(() => [] as string[])
    for (const [at, client] of clients.entries()) {
      const listed = (await client.resources()).map(({ uri }) => uri)
      assert.deepEqual(
        uris.filter((uri) => listed.includes(uri)),
        uris
      )
      await client.subscribe(uris, (uri) => void told[at]!.push(uri))
    }
    await eventually(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      const states = await Promise.all(uris.map(async (uri) => (await clients[0]!.read(uri)).state))
      assert.deepEqual(states, ['refused', 'open'])
    }, 60_000)

    door.emit('person', { at: 'the door' })
    await until(() => told.every((uris) => uris.length > 0), 'all are told')
    assert.deepEqual(
      told,
      clients.map(() => [uriOf('door')])
    )
    for (const client of clients) {
      const { total, events } = await client.read(uriOf('door'))
      assert.deepEqual([total, events[0]!['data'], events[0]!['type']], [1, { at: 'the door' }, 'sensor.camera.person'])
      assert.equal((await client.read(uriOf('bath'))).total, 0)
    }
  })
})
