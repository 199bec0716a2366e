import assert from 'node:assert/strict'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import type { MeshEvent, ObservedEvent } from '../../../src/mesh-api.ts'
import { ask, stream } from '../../fixtures/api-request.ts'
import { createFakeMesh, type FakeMesh } from '../../fixtures/fake-mesh.ts'

const PERSON = {
  id: '1-1',
  mesh: 'open',
  node: 'p',
  capability: 'cam',
  capabilityType: 'sensor/camera',
  event: 'person',
  type: 'sensor.camera.person',
  sequence: '00000000010000000000000001',
  priority: 'normal',
  intent: 'Somebody.',
  payload: 7,
  depth: 0,
  coalesced: 1,
  lost: 0,
  causes: []
} satisfies ObservedEvent
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
    const answer = await stream(server.url, '/mesh/events?type=*:leave', { token })
    mesh.raise(join)
    mesh.raise(leave)
    assert.deepEqual(JSON.parse((await answer.next())!), leave)
    answer.cut()
    assert.equal((await ask(server.url, `/mesh/events?type=${'a'.repeat(300)}`, { token })).status, 400)
    assert.equal((await ask(server.url, '/mesh/events?flter=x', { token })).status, 400)
  })
  it('streams the events of a pattern as CloudEvents, as lines and as server-sent events', async () => {
    const lines = await stream(server.url, '/mesh/events?events=sensor/*', { token })
    const sse = await stream(server.url, '/mesh/events?events=sensor/camera:person', {
      token,
      headers: { accept: 'text/event-stream' }
    })
    assert.deepEqual(mesh.subscribed(), ['sensor/*', 'sensor/camera:person'])
    await mesh.copy(PERSON)
    const event = JSON.parse((await lines.next())!) as Record<string, unknown>
    assert.deepEqual([event['specversion'], event['type'], event['data']], ['1.0', 'sensor.camera.person', 7])
    let line = await sse.next()
    while (line?.startsWith('data:') !== true) line = await sse.next()
    assert.deepEqual(JSON.parse(line.slice(6)), event)
    lines.cut()
    sse.cut()
    await until(() => mesh.subscribed().length === 0)
    for (const query of ['events=Sensor', 'events=', 'events=**&type=*'])
      assert.equal((await ask(server.url, `/mesh/events?${query}`, { token })).status, 400, query)
  })
  it('streams which nodes are observed, when asked to: at once, and when it changes', async () => {
    const open = { node: 'p', state: 'open' as const, refused: [] }
    mesh.observing([open])
    const lines = await stream(server.url, '/mesh/events?events=sensor/*&sources=true', { token })
    const plain = await stream(server.url, '/mesh/events?events=sensor/*&sources=false', { token })
    const headers = { accept: 'text/event-stream' }
    const sse = await stream(server.url, '/mesh/events?events=sensor/*&sources=true', { token, headers })
    assert.deepEqual(JSON.parse((await lines.next())!), { sources: [open] })
    await mesh.copy(PERSON)
    assert.equal((JSON.parse((await lines.next())!) as ObservedEvent).id, PERSON.id)
    // Of several that nobody has taken yet, the last one says all.
    mesh.observing([])
    mesh.observing([{ ...open, refused: ['cam'] }])
    assert.deepEqual(JSON.parse((await lines.next())!), { sources: [{ ...open, refused: ['cam'] }] })
    assert.equal((JSON.parse((await plain.next())!) as ObservedEvent).id, PERSON.id)
    let line = await sse.next()
    while (line !== 'event: sources') line = await sse.next()
    assert.deepEqual(JSON.parse((await sse.next())!.slice(6)), { sources: [open] })
    for (const one of [lines, plain, sse]) one.cut()
    await until(() => mesh.subscribed().length === 0)
    for (const query of ['events=**&sources=1', 'sources=true', 'type=*&sources=true'])
      assert.equal((await ask(server.url, `/mesh/events?${query}`, { token })).status, 400, query)
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
