import assert from 'node:assert/strict'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import type { MeshEvent } from '../../../src/mesh-api.ts'
import { ask, stream } from '../../fixtures/api-request.ts'
import { createFakeMesh, type FakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)
const join: MeshEvent = { at: 1, event: 'peer:join', peerId: 'p', name: 'kitchen' }
const leave: MeshEvent = { at: 2, event: 'peer:leave', peerId: 'p', name: 'kitchen', reason: 'left' }

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'it did not happen in time')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('http events', () => {
  let mesh: FakeMesh
  let server: ApiServer
  beforeEach(async () => {
    mesh = createFakeMesh()
    server = await serveApi({ mesh, token, heartbeatMs: 20 })
  })
  afterEach(() => server.close())

  it('streams lines of JSON, from the moment of the headers on', async () => {
    const answer = await stream(server.url, '/mesh/events', { token })
    assert.match(answer.headers['content-type'] ?? '', /x-ndjson/)
    mesh.raise(join)
    mesh.raise(leave)
    assert.deepEqual(JSON.parse((await answer.next())!), join)
    assert.deepEqual(JSON.parse((await answer.next())!), leave)
    answer.cut()
  })
  it('streams server-sent events with heartbeats', async () => {
    const answer = await stream(server.url, '/mesh/events', { token, headers: { accept: 'text/event-stream' } })
    assert.match(answer.headers['content-type'] ?? '', /^text\/event-stream/)
    assert.equal(await answer.next(), ': heartbeat')
    mesh.raise(join)
    const lines: string[] = []
    while (lines.at(-1)?.startsWith('data:') !== true) lines.push((await answer.next())!)
    assert.equal(lines.at(-2), 'event: peer:join')
    assert.deepEqual(JSON.parse(lines.at(-1)!.slice(6)), join)
    answer.cut()
  })
  it('filters by a glob over names', async () => {
    const answer = await stream(server.url, '/mesh/events?filter=*:leave', { token })
    mesh.raise(join)
    mesh.raise(leave)
    assert.deepEqual(JSON.parse((await answer.next())!), leave)
    answer.cut()
    assert.equal((await ask(server.url, `/mesh/events?filter=${'a'.repeat(200)}`, { token })).status, 400)
    assert.equal((await ask(server.url, '/mesh/events?flter=x', { token })).status, 400)
  })
  it('lets the source go when the client goes', async () => {
    const answer = await stream(server.url, '/mesh/events', { token })
    await until(() => mesh.readers() === 1)
    answer.cut()
    await until(() => mesh.readers() === 0)
  })
  it('ends when the server closes, at once', async () => {
    const answer = await stream(server.url, '/mesh/events', { token })
    const started = performance.now()
    await server.close()
    assert.equal(await answer.next(), undefined)
    assert.ok(performance.now() - started < 1_500)
    await until(() => mesh.readers() === 0)
  })
})
