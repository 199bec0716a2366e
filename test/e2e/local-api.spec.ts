/** The local API of a real node beside another one: what it answers is what its document says, and what happens is told as it happens. */
import assert from 'node:assert/strict'
import { serveApi, type ApiServer } from '../../src/http/serve.ts'
import type { LiveEvent } from '../../src/http/event-log.ts'
import type { TopologyView } from '../../src/http/topology.ts'
import { createNode, type Mesh } from '../../src/index.ts'
import type { PeerView } from '../../src/mesh-api.ts'
import { createReadings } from '../../src/node-health.ts'
import { createAnswerCheck } from '../fixtures/api-answers.ts'
import { ask, stream, type ApiStream } from '../fixtures/api-request.ts'
import { until } from '../fixtures/libp2p-pair.ts'

const token = 'T'.repeat(43)
const fits = createAnswerCheck()
type Told<E extends LiveEvent['event']> = LiveEvent & { event: E }

describe('the local API of a node beside another', function () {
  this.timeout(60_000)
  let here: Mesh
  let there: Mesh
  let api: ApiServer
  before(async () => {
    const loopback = { open: true, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false }
    there = await createNode({ ...loopback, name: 'cellar' })
    here = await createNode({ ...loopback, name: 'desk', peers: there.multiaddrs() })
    there.register(
      { id: 'kettle', type: 'iot/kettle', keywords: ['tea'], tools: [{ name: 'boil' }, { name: 'spill' }] },
      {
        boil: () => ({ warm: true }),
        spill: () => {
          throw new Error('it has spilt')
        }
      }
    )
    here.register({ id: 'door', type: 'sensor/door', triggers: [{ event: 'bell' }] })
    await until(() => here.capabilities({ id: 'kettle' }).length === 1, 'the kettle')
    api = await serveApi({ mesh: here, token, readings: createReadings('.') })
  })
  after(async () => {
    await api?.close()
    await here?.stop()
    await there?.stop()
  })

  const get = async (path: string, described = path) => {
    const { status, json, text } = await ask(api.url, path, { token })
    assert.equal(fits('get', described, status, json), undefined, text)
    return json
  }
  const call = (tool: string) => ask(api.url, `/capabilities/kettle/tools/${tool}`, { token, json: {} })
  /** The next event of that name. */
  async function next<E extends LiveEvent['event']>(events: ApiStream, name: E): Promise<Told<E>> {
    for (;;) {
      const line = await events.next()
      assert.ok(line !== undefined, `the stream ended before ${name}`)
      const event = JSON.parse(line) as LiveEvent
      assert.equal(fits('get', '/mesh/events', 200, event, 'application/x-ndjson'), undefined, line)
      if (event.event === name) return event as Told<E>
    }
  }

  it('answers as its document says', async () => {
    for (const path of [
      'status',
      'nodes',
      'topology',
      'capabilities',
      'routes',
      'members',
      'outbox',
      'dead-letters',
      'approvals'
    ])
      await get(`/mesh/${path}`)
    for (const path of ['/health', '/health/detailed', '/discover', '/v1/models', '/mesh/agents']) await get(path)
    await get('/mesh/route?target=kettle', '/mesh/route')
    await get('/mesh/meaning/examples')
    await get('/mesh/meaning?text=boil+water+for+tea', '/mesh/meaning')
    const { status, json } = await call('boil')
    assert.equal(fits('post', '/capabilities/{id}/tools/{tool}', status, json), undefined, JSON.stringify(json))
    const { servers } = (await ask(api.url, '/openapi.json')).json
    assert.deepEqual(servers, [{ url: '/' }])
  })

  it('names the other node with its transport, and links it', async () => {
    const [peer] = (await get('/mesh/nodes'))['nodes'] as PeerView[]
    assert.deepEqual([peer?.name, peer?.direct, peer?.transports, peer?.ageMs], ['cellar', true, ['tcp'], 0])
    const { self, nodes, links, unplaced } = (await get('/mesh/topology')) as unknown as TopologyView
    assert.deepEqual([self, nodes.map(({ place }) => place), unplaced], [here.peerId, ['self', 'neighbour'], 0])
    assert.deepEqual([links.length, links[0]?.kind, links[0]?.from, links[0]?.to], [1, 'connection', here.peerId, there.peerId])
  })

  it('discovers by keyword, and in words', async () => {
    for (const query of ['keyword=tea', 'words=kettle', 'words=kettle&type=iot/*']) {
      const { capabilities } = await get(`/discover?${query}`, '/discover')
      assert.deepEqual(
        (capabilities as { id: string }[]).map(({ id }) => id),
        ['kettle'],
        query
      )
    }
    assert.deepEqual((await get('/discover?keyword=coffee', '/discover'))['capabilities'], [])
  })

  it('tells when calls begin and end, never what they hold, and what capabilities come and raise', async () => {
    const events = await stream(api.url, '/mesh/events', { token })
    await call('boil')
    const begun = await next(events, 'call:begin')
    const ended = await next(events, 'call:end')
    assert.deepEqual([begun.direction, begun.capability, begun.tool, begun.id], ['out', 'kettle', 'boil', ended.id])
    assert.deepEqual([ended.status, ended.peerId, ended.code], ['success', there.peerId, undefined])
    assert.ok(ended.durationMs >= 0)
    assert.doesNotMatch(JSON.stringify([begun, ended]), /input|result|warm/)
    await call('spill')
    const failed = await next(events, 'call:end')
    assert.deepEqual([failed.status, failed.code, failed.id === ended.id], ['error', 'tool_failed', false])

    await ask(api.url, '/trigger/door/bell?waitMs=0', { token, json: { who: 'post' } })
    const rung = await next(events, 'trigger')
    assert.deepEqual([rung.node, rung.capability, rung.trigger, rung.payload], [here.peerId, 'door', 'bell', { who: 'post' }])

    const lamp = there.register({ id: 'lamp', type: 'iot/lamp', tools: [{ name: 'on' }] }, { on: () => null })
    assert.equal((await next(events, 'capability:available')).capability.id, 'lamp')
    lamp.suspend('no bulb')
    assert.equal((await next(events, 'capability:suspended')).capability.statusReason, 'no bulb')
    lamp.remove()
    assert.equal((await next(events, 'capability:removed')).id, 'lamp')
    events.cut()
  })

  it('tells what this node serves, and that a node has left; then the stream ends with the node', async () => {
    const own = here.register({ id: 'clock', type: 'tool/clock', tools: [{ name: 'now' }] }, { now: () => 7 })
    await until(() => there.capabilities({ id: 'clock' }).length === 1, 'the clock')
    const events = await stream(api.url, '/mesh/events?type=call:*,peer:*', { token })
    await there.call('clock', 'now').result
    const served = await next(events, 'call:begin')
    assert.deepEqual([served.direction, served.peerId], ['in', there.peerId])
    assert.equal((await next(events, 'call:end')).id, served.id)
    own.remove()
    await there.stop()
    assert.equal((await next(events, 'peer:leave')).peerId, there.peerId)
    await here.stop()
    while ((await events.next()) !== undefined);
  })
})
