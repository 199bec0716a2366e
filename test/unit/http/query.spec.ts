import assert from 'node:assert/strict'
import { createApp, type FetchHandler } from '../../../src/http/app.ts'
import { callRoutes } from '../../../src/http/call-routes.ts'
import { changeRoutes } from '../../../src/http/change-routes.ts'
import { eventsRoute } from '../../../src/http/events-route.ts'
import { memberRoutes } from '../../../src/http/member-routes.ts'
import { meshRoutes } from '../../../src/http/mesh-routes.ts'
import { routeRoutes } from '../../../src/http/route-routes.ts'
import { treatyRoutes } from '../../../src/http/treaty-routes.ts'
import { createFakeMesh, type FakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)

interface Answer {
  status: number
  error: { code: string; message: string; details: Record<string, unknown> }
}

describe('query parameters of the local API', () => {
  let mesh: FakeMesh
  let app: FetchHandler
  let stops = 0
  beforeEach(() => {
    stops = 0
    mesh = createFakeMesh({ ping: async () => 'pong' })
    app = createApp({ mesh, tokens: [token], stop: () => void stops++ })
  })
  async function ask(method: string, path: string, headers: Record<string, string> = { authorization: `Bearer ${token}` }) {
    const body = method === 'POST' ? '{}' : undefined
    const sent = { method, body, headers: { 'content-type': 'application/json', ...headers } }
    const answer = await app(new Request(`http://localhost${path}`, sent))
    return { status: answer.status, ...((await answer.json()) as object) } as Answer
  }

  /** Each route of the API, of which no part is left out: `METHOD /path`. */
  function routes(): string[] {
    const parts = [meshRoutes({ mesh, stop: () => {} }), memberRoutes({ mesh }), routeRoutes({ mesh }), treatyRoutes({ mesh })]
    const ofMesh = [...parts, changeRoutes({ change: undefined }), eventsRoute({ mesh })].flatMap((part) => part.routes)
    return [
      ...ofMesh.map(({ method, path }) => `${method} /mesh${path}`),
      ...callRoutes({ mesh }).routes.map(({ method, path }) => `${method} /capabilities${path}`)
    ]
  }

  it('refuses on each route what the route does not know, and says what it does', async () => {
    const takes: Record<string, string[]> = {
      'GET /mesh/capabilities': ['id', 'type', 'domain', 'tool', 'trigger', 'text', 'keyword', 'node', 'status'],
      'GET /mesh/meaning': ['text', 'tool', 'type'],
      'GET /mesh/route': ['target', 'tool', 'node', 'prefer', 'notNode', 'maxLatencyMs'],
      'GET /mesh/trace': ['target'],
      'GET /mesh/events': ['type', 'events', 'sources']
    }
    const all = routes()
    assert.ok(all.length > 20 && all.includes('GET /mesh/members') && Object.keys(takes).every((one) => all.includes(one)))
    for (const route of all) {
      const [method, path] = route.split(' ') as [string, string]
      const { status, error } = await ask(method, `${path.replaceAll(/:\w+/g, 'x')}?nosuch=1`)
      const known = takes[route] ?? []
      assert.deepEqual([status, error.code, error.details], [400, 'invalid_argument', { key: 'nosuch', known }], route)
      const list = known.length === 0 ? 'there are none' : `known are: ${known.join(', ')}`
      assert.equal(error.message, `unknown query parameter 'nosuch'; ${list}`, route)
    }
    assert.deepEqual([stops, mesh.calls, mesh.added, mesh.asked], [0, [], [], []])
  })
  it('takes none of two values of one parameter: the other would be lost without a word', async () => {
    for (const path of [
      '/mesh/capabilities?type=a&type=b',
      '/mesh/events?type=call:*&type=route',
      '/mesh/trace?target=a&target=a'
    ]) {
      const { status, error } = await ask('GET', path)
      const key = /\?(\w+)/.exec(path)![1]!
      assert.deepEqual([status, error.message, error.details], [400, `give ${key} once`, { key }], path)
    }
    assert.equal((await ask('GET', '/mesh/route?target=demo&notNode=attic&notNode=cellar')).status, 200)
  })
  it('sees names that objects have by themselves, and those without a value', async () => {
    for (const query of ['__proto__=1', 'constructor=1', 'toString', '%5F_proto__', '=1'])
      assert.equal((await ask('GET', `/mesh/status?${query}`)).status, 400, query)
    for (const query of ['', '?', '?&']) assert.equal((await ask('GET', `/mesh/status${query}`)).status, 200, query)
  })
  it('says first that there is nothing, or that a token is needed', async () => {
    for (const [method, path, status] of [
      ['GET', '/nothing', 404],
      ['GET', '/mesh/status/x', 404],
      ['POST', '/mesh/status', 405]
    ] as const) {
      assert.equal((await ask(method, `${path}?nosuch=1`)).status, status, path)
      assert.equal((await ask(method, `${path}?nosuch=1`, {})).status, 401, path)
    }
    assert.equal((await ask('GET', '/mesh/status?nosuch=1', {})).status, 401)
  })
})
