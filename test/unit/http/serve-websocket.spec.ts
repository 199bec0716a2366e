import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { WebSocket } from 'ws'
import { SUBPROTOCOL, TOKEN_SUBPROTOCOL } from '../../../src/http/serve-websocket.ts'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import type { MeshEvent, ObservedEvent } from '../../../src/mesh-api.ts'
import { ask } from '../../fixtures/api-request.ts'
import { createFakeMesh, type FakeMesh } from '../../fixtures/fake-mesh.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

const token = 'T'.repeat(43)
const apiKey = 'a key, with "odd" signs'.replaceAll(' ', '_')
const join: MeshEvent = { at: 1, event: 'peer:join', peerId: 'p', name: 'kitchen' }
const PERSON: ObservedEvent = {
  id: '3-17',
  mesh: 'open',
  node: '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5',
  capability: 'cam',
  capabilityType: 'sensor/camera',
  event: 'person',
  type: 'sensor.camera.person',
  sequence: '00000000030000000000000009',
  priority: 'normal',
  intent: 'Somebody.',
  payload: { location: 'door' },
  depth: 0,
  coalesced: 1,
  lost: 0,
  causes: []
}

describe('WebSocket of the local API', () => {
  let mesh: FakeMesh
  let server: ApiServer
  const clients: WebSocket[] = []
  beforeEach(async () => {
    mesh = createFakeMesh()
    server = await serveApi({ mesh, token, apiKey })
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) client.terminate()
    await server.close()
  })

  it('cuts who was refused and does not close its side, so that the server can end', async () => {
    const { port } = new URL(server.url)
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true })
    const closed = once(socket, 'close')
    socket.write(
      `GET /mesh/events HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${'A'.repeat(22)}==\r\n\r\n`
    )
    const [answer] = (await once(socket, 'data')) as [Buffer]
    assert.match(answer.toString(), /^HTTP\/1\.1 401 /)
    await server.close()
    socket.destroy()
    await closed
  })

  const bearer = (given = token): string => `${TOKEN_SUBPROTOCOL}${Buffer.from(given).toString('base64url')}`
  /** @returns messages as they come, and the socket. */
  function dial(path: string, protocols: string[] = [], headers: Record<string, string> = {}) {
    const client = new WebSocket(`${server.url.replace('http', 'ws')}${path}`, protocols, { headers })
    clients.push(client)
    const heard: unknown[] = []
    client.on('message', (data: Buffer) => heard.push(JSON.parse(data.toString())))
    client.on('error', () => undefined)
    return { client, heard, opened: once(client, 'open') }
  }
  const refused = (path: string, protocols?: string[], headers?: Record<string, string>): Promise<[number, string]> =>
    new Promise((resolve, reject) => {
      const { client } = dial(path, protocols, headers)
      client.on('open', () => reject(new Error('it was let in')))
      client.on('unexpected-response', (_, response) => {
        text(response).then(
          (body) => resolve([response.statusCode!, (JSON.parse(body) as { error: { code: string } }).error.code]),
          reject
        )
      })
    })

  it('names the program in every answer, also in those to upgrades, streams and what is no request', async () => {
    const accept = 'text/event-stream'
    const answers = [
      await ask(server.url, '/health'),
      await ask(server.url, '/nowhere', { token }),
      await ask(server.url, '/v1/models'),
      await ask(server.url, '/v1/models', { token }),
      await ask(server.url, '/health', { headers: { host: 'evil.example' } }),
      await ask(server.url, '/mesh/status', { headers: { host: 'not a host' } })
    ]
    assert.deepEqual(
      answers.map(({ headers }) => headers['server']),
      answers.map(() => 'atmosphere')
    )
    const events = await fetch(`${server.url}/mesh/events`, { headers: { accept, authorization: `Bearer ${token}` } })
    await events.body!.cancel()
    assert.equal(events.headers.get('server'), 'atmosphere')
    const { client } = dial('/mesh/events', [], { authorization: `Bearer ${token}` })
    const [upgraded] = (await once(client, 'upgrade')) as [IncomingMessage]
    assert.equal(upgraded.headers['server'], 'atmosphere')
    for (const path of ['/mesh/events', '/elsewhere']) {
      const [, not] = (await once(dial(path).client, 'unexpected-response')) as [unknown, IncomingMessage]
      assert.equal(not.headers['server'], 'atmosphere')
      not.destroy()
    }
  })

  it('gives the events of a pattern as CloudEvents, to who has the token in a header or a subprotocol', async () => {
    const dialled = [
      dial('/mesh/events?events=sensor/*', [], { authorization: `Bearer ${token}` }),
      dial('/mesh/events?events=sensor/*', [SUBPROTOCOL, bearer()]),
      dial('/mesh/events?events=sensor/*:person', [bearer(apiKey), SUBPROTOCOL])
    ]
    await Promise.all(dialled.map(({ opened }) => opened))
    assert.deepEqual(
      dialled.map(({ client }) => client.protocol),
      ['', SUBPROTOCOL, SUBPROTOCOL]
    )
    await mesh.copy({ ...PERSON, capabilityType: 'agent/x' })
    await mesh.copy(PERSON)
    await mesh.copy({ ...PERSON, lost: 3, coalesced: 2 })
    await until(() => dialled.every(({ heard }) => heard.length === 2), 'all have come')
    for (const { heard } of dialled) {
      const event = {
        specversion: '1.0',
        id: '3-17',
        source: `atm://open/${PERSON.node}/cam`,
        type: 'sensor.camera.person',
        datacontenttype: 'application/json',
        sequence: PERSON.sequence,
        priority: 'normal',
        intent: 'Somebody.',
        data: { location: 'door' }
      }
      assert.deepEqual(heard, [event, { ...event, coalesced: 2, lost: 3 }])
    }
  })

  it('gives what happens at the node, as the stream does', async () => {
    const { opened, heard } = dial('/mesh/events?type=peer:*', [SUBPROTOCOL, bearer()])
    await opened
    await until(() => mesh.readers() === 1, 'it reads')
    mesh.raise(join)
    await until(() => heard.length === 1, 'it has come')
    assert.deepEqual(heard, [join])
  })

  it('refuses who has no token or a wrong one, a foreign page and name, another path and a bad pattern', async () => {
    const path = '/mesh/events?events=**'
    assert.deepEqual(await refused(path), [401, 'permission_denied'])
    assert.deepEqual(await refused(path, [SUBPROTOCOL, bearer('wrong')]), [401, 'permission_denied'])
    assert.deepEqual(await refused(path, [SUBPROTOCOL, `${TOKEN_SUBPROTOCOL}AAo`]), [401, 'permission_denied'])
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1'])
      assert.deepEqual(await refused(path, [SUBPROTOCOL, bearer()], { origin }), [403, 'permission_denied'], origin)
    assert.deepEqual(await refused(path, [SUBPROTOCOL, bearer()], { host: 'evil.example' }), [403, 'permission_denied'])
    assert.deepEqual(await refused('/mesh/status', [SUBPROTOCOL, bearer()]), [404, 'unsupported'])
    for (const query of ['events=Sensor/*', 'events=**&type=*', 'evens=**', `type=${'x'.repeat(300)}`])
      assert.deepEqual(await refused(`/mesh/events?${query}`, [SUBPROTOCOL, bearer()]), [400, 'invalid_argument'], query)
    assert.deepEqual(mesh.subscribed(), [])
  })

  it('lets in the page that is its own', async () => {
    const { opened } = dial('/mesh/events?events=**', [SUBPROTOCOL, bearer()], { origin: server.url })
    await opened
    assert.deepEqual(mesh.subscribed(), ['**'])
  })

  it('lets the source go when the client goes, and when it says anything', async () => {
    const one = dial('/mesh/events?events=**', [SUBPROTOCOL, bearer()])
    await one.opened
    one.client.terminate()
    await until(() => mesh.subscribed().length === 0, 'it is gone')
    for (const [said, code] of [
      ['hello', 1008],
      ['x'.repeat(2_000), 1009]
    ] as const) {
      const { client, opened } = dial('/mesh/events?events=**', [SUBPROTOCOL, bearer()])
      await opened
      client.send(said)
      assert.equal(((await once(client, 'close')) as [number])[0], code)
      await until(() => mesh.subscribed().length === 0, 'it is gone')
    }
  })

  it('keeps who answers its heartbeats, and cuts who does not', async () => {
    await server.close()
    server = await serveApi({ mesh, token, apiKey, heartbeatMs: 150 })
    const [one, other] = [0, 1].map((n) => {
      const client = new WebSocket(`${server.url.replace('http', 'ws')}/mesh/events?events=**`, [SUBPROTOCOL, bearer()], {
        autoPong: n === 0
      })
      clients.push(client)
      return client
    }) as [WebSocket, WebSocket]
    let pings = 0
    one.on('ping', () => pings++)
    await once(other, 'close')
    await until(() => pings >= 3 && mesh.subscribed().length === 1, 'three heartbeats')
    assert.equal(one.readyState, WebSocket.OPEN)
  })

  it('a client that takes nothing leaves what it misses where that is bounded', async () => {
    const { client, heard, opened } = dial('/mesh/events?events=**', [SUBPROTOCOL, bearer()])
    await opened
    client.pause()
    const large = { ...PERSON, payload: 'x'.repeat(50_000) }
    let given = 0
    let waiting = false
    void (async () => {
      for (; given < 2_000 && clients.length > 0; given++) await mesh.copy(large)
    })()
    // Each copy is taken as soon as there is room; in the end none is.
    while (!waiting) {
      const before = given
      await new Promise((resolve) => setTimeout(resolve, 20))
      waiting = given === before && given > 0
    }
    assert.ok(given < 2_000, `${given} copies of 50 kB were taken`)
    assert.equal(heard.length, 0)
  })

  it('ends when the server closes', async () => {
    const { client, opened } = dial('/mesh/events?events=**', [SUBPROTOCOL, bearer()])
    await opened
    const begun = performance.now()
    const [closed] = await Promise.all([once(client, 'close') as Promise<[number]>, server.close()])
    assert.equal(closed[0], 1001)
    assert.ok(performance.now() - begun < 1_500)
  })

  it('a handshake that is none is refused, and a request that offers HTTP/2 is answered as ever', async () => {
    const { port } = new URL(server.url)
    const raw = async (lines: string[], body = ''): Promise<string> => {
      const socket = connect(Number(port), '127.0.0.1')
      socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`)
      return text(socket)
    }
    const head = [`Host: 127.0.0.1:${port}`, `Authorization: Bearer ${token}`]
    assert.match(
      await raw(['GET /mesh/events?events=** HTTP/1.1', ...head, 'Connection: Upgrade', 'Upgrade: websocket']),
      /^HTTP\/1\.1 400 /
    )
    await until(() => mesh.subscribed().length === 0, 'nothing is left of it')
    const h2c = ['Connection: Upgrade, close, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA']
    const body = '"queued"'
    assert.match(
      await raw(
        ['POST /trigger/demo/bell HTTP/1.1', ...head, ...h2c, 'Content-Type: application/json', `Content-Length: ${body.length}`],
        body
      ),
      /^HTTP\/1\.1 202 [\s\S]*"outcome":"queued"/
    )
    assert.match(await raw(['GET /mesh/status HTTP/1.1', ...head.slice(0, 1), ...h2c]), /^HTTP\/1\.1 401 /)
    assert.equal((await ask(server.url, '/mesh/status', { token })).status, 200)
  })
})
