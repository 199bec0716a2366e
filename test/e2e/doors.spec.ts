/** Events that leave the mesh by a broker or a webhook, and come back by it. */
import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { createMqttBackend } from '../../src/backends/mqtt.ts'
import { createNode, type Mesh } from '../../src/index.ts'
import { createAtmo, type Atmo } from '../fixtures/atmo.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { startBroker, type Broker } from '../fixtures/mosquitto.ts'
import { requireProgram } from '../fixtures/system-program.ts'
import { startReceiver, type WebhookReceiver } from '../fixtures/webhook-receiver.ts'

/** An event may follow from so many others, protocols/trigger. */
const MOST = 8

describe('events that leave the mesh and come back', function () {
  this.timeout(120_000)
  let close: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const one of close.splice(0).reverse()) await one()
    close = []
  })

  it('by a broker: they go round eight times at most, and one that is new goes out all the same', async function () {
    requireProgram(this, 'mosquitto')
    const broker: Broker = await startBroker()
    close.push(() => broker.stop())
    const url = `mqtt://127.0.0.1:${broker.port}`
    // Each publishes what the other subscribes to; neither can see that by itself.
    const one = (id: string, other: string) =>
      createMqttBackend(
        {
          kind: 'mqtt',
          id,
          url,
          subscribe: [{ event: 'heard', topic: `from-${other}/#`, routeHint: `capability:${id}` }],
          handles: { topic: `from-${id}/{type}` }
        },
        { baseDir: '.' }
      )
    const node: Mesh = await createNode({
      open: true,
      mdns: false,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      backends: [one('left', 'right'), one('right', 'left')]
    })
    close.push(() => node.stop())
    node.register({ id: 'cam', type: 'sensor/camera', triggers: [{ event: 'person', routeHint: 'capability:left' }] })
    const online = () =>
      node.capabilities().filter(({ type, status }) => type === 'message/mqtt' && status === 'online').length === 2
    await until(online, 'both are connected')
    const client = await connectAsync(url, { reconnectPeriod: 0 })
    close.push(() => client.endAsync(true))
    const depths: number[] = []
    client.on('message', (_, bytes) => depths.push((JSON.parse(bytes.toString()) as { hopdepth: number }).hopdepth))
    await client.subscribeAsync(['from-left/#', 'from-right/#'], { qos: 1 })

    const { outcome } = await node.fire('cam', 'person', { n: 1 })
    assert.equal(outcome, 'delivered')
    await until(() => depths.length >= MOST, 'it has gone round')
    await node.fire('cam', 'person', { n: 2 })
    await until(() => depths.length >= 2 * MOST, 'the second has gone round')
    // What would come too often would have come between the two.
    assert.deepEqual(depths, [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('by webhooks, from a program without the token of the node, in a process as people start it', async () => {
    const key = Buffer.alloc(32, 1)
    const env = { OUT_SECRET: `whsec_${key.toString('base64')}`, IN_SECRET: 'only-for-this-door' }
    const atmo: Atmo = await createAtmo()
    close.push(() => atmo.close())
    const receiver: WebhookReceiver = await startReceiver()
    close.push(() => receiver.stop())
    await mkdir(join(atmo.dir, 'home'))
    await writeFile(
      join(atmo.dir, 'home', 'atmo.yaml'),
      `backends:
  - kind: webhook
    id: house
    out: { url: '${receiver.url}', secretEnv: OUT_SECRET }
    in:
      - { hook: door, event: ring, check: bearer, secretEnv: IN_SECRET, routeHint: 'capability:house', payload: { type: object } }
      - { hook: back, event: back, secretEnv: OUT_SECRET, routeHint: 'capability:house' }
`
    )
    const { ready } = await atmo.start('home', [], { env })
    const api = String(ready['api'])
    const post = (path: string, body: string, headers: Record<string, string>): Promise<Response> =>
      fetch(`${api}${path}`, { method: 'POST', headers, body })

    const first = await post('/hooks/door', '{"door":"front"}', { authorization: `Bearer ${env.IN_SECRET}` })
    assert.deepEqual([first.status, ((await first.json()) as { outcome: string }).outcome], [200, 'delivered'])
    assert.equal((await post('/hooks/door', '"front"', { authorization: `Bearer ${env.IN_SECRET}` })).status, 400)
    assert.equal((await post('/hooks/door', '{}', { authorization: 'Bearer only-for-that-door' })).status, 401)
    await until(() => receiver.received.length === 1, 'it has gone out')
    const event = JSON.parse(receiver.received[0]!.body.toString()) as { type: string; data: unknown; hopdepth: number }
    assert.deepEqual([event.type, event.data, event.hopdepth], ['message.webhook.ring', { door: 'front' }, 0])

    // Now all that goes out comes back.
    const refused: number[] = []
    receiver.answer = (response, { body }) => {
      const id = randomUUID()
      const timestamp = String(Math.floor(Date.now() / 1_000))
      const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')
      const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
      response.writeHead(204).end()
      void post('/hooks/back', body.toString(), headers).then(({ status }) => status >= 400 && refused.push(status))
    }
    await post('/hooks/door', '{"door":"back"}', { authorization: `Bearer ${env.IN_SECRET}` })
    await until(() => refused.length > 0, 'the last is too deep')
    assert.deepEqual(refused, [409])
    const depths = receiver.received.slice(1).map(({ body }) => (JSON.parse(body.toString()) as { hopdepth: number }).hopdepth)
    assert.deepEqual(depths, [0, 1, 2, 3, 4, 5, 6, 7])
  })
})
