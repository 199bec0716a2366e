import assert from 'node:assert/strict'
import { MAX_EVENT_STREAMS } from '../../../src/http/events-route.ts'
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

  it('HEAD opens no stream', async () => {
    for (let n = 0; n <= MAX_EVENT_STREAMS; n++)
      assert.equal((await ask(server.url, '/mesh/events', { token, method: 'HEAD' })).status, 200)
    const answer = await stream(server.url, '/mesh/events', { token })
    assert.equal(answer.status, 200)
    answer.cut()
  })

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
  it('takes several names, and refuses one that nothing has', async () => {
    const answer = await stream(server.url, '/mesh/events?type=call:*,peer:leave', { token })
    mesh.raise(join)
    mesh.raise({ at: 3, event: 'call:begin', id: 1, direction: 'in', capability: 'demo', tool: 'ping', peerId: 'p' })
    mesh.raise(leave)
    assert.equal((JSON.parse((await answer.next())!) as MeshEvent).event, 'call:begin')
    assert.equal((JSON.parse((await answer.next())!) as MeshEvent).event, 'peer:leave')
    answer.cut()
    for (const type of ['call', 'peer:*,', 'nothing:*', '']) {
      const { status, json } = await ask(server.url, `/mesh/events?type=${type}`, { token })
      assert.deepEqual([status, json.error?.details['key']], [400, 'type'], type)
    }
  })
  it('a client of server-sent events that comes back goes on where it was, or is told that it missed something', async () => {
    const sse = (after?: string) =>
      stream(server.url, '/mesh/events', {
        token,
        headers: { accept: 'text/event-stream', ...(after !== undefined && { 'last-event-id': after }) }
      })
    const next = async (
      from: Awaited<ReturnType<typeof sse>>
    ): Promise<{ id: string; event: { event: string; at?: number } }> => {
      let id = ''
      for (;;) {
        const line = (await from.next())!
        if (line.startsWith('id: ')) id = line.slice(4)
        if (line.startsWith('data: ')) return { id, event: JSON.parse(line.slice(6)) as { event: string } }
      }
    }
    const first = await sse()
    mesh.raise(join)
    const { id } = await next(first)
    first.cut()
    mesh.raise(leave)
    const second = await sse(id)
    assert.equal((await next(second)).event.at, leave.at)
    second.cut()
    const stranger = await sse('other-7')
    assert.deepEqual((await next(stranger)).event, { event: 'lagged', dropped: null })
    stranger.cut()
  })
  it('has room for so many streams, of all kinds, and again when one has gone', async () => {
    const all = await Promise.all(
      Array.from({ length: MAX_EVENT_STREAMS }, (_, n) =>
        stream(server.url, `/mesh/events${n % 8 === 0 ? '?events=**' : ''}`, { token })
      )
    )
    assert.deepEqual([...new Set(all.map(({ status }) => status))], [200])
    const refused = await ask(server.url, '/mesh/events', { token })
    assert.deepEqual([refused.status, refused.json.error?.code], [429, 'busy'])
    all.pop()!.cut()
    let again = await stream(server.url, '/mesh/events', { token })
    for (const deadline = Date.now() + 5_000; again.status === 429 && Date.now() < deadline; again.cut())
      again = await stream(server.url, '/mesh/events', { token })
    assert.equal(again.status, 200)
    for (const one of [...all, again]) one.cut()
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
