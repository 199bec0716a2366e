import assert from 'node:assert/strict'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import { ask } from '../../fixtures/api-request.ts'
import { createFakeMesh, type FakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)

describe('http mesh routes', () => {
  let mesh: FakeMesh
  let server: ApiServer
  before(async () => {
    mesh = createFakeMesh({
      async ping() {
        return 'pong'
      }
    })
    server = await serveApi({ mesh, token })
  })
  after(() => server.close())
  const get = (path: string) => ask(server.url, path, { token })

  it('GET /mesh/status, /mesh/nodes, /mesh/capabilities', async () => {
    assert.deepEqual((await get('/mesh/status')).json, JSON.parse(JSON.stringify(mesh.status())))
    assert.deepEqual((await get('/mesh/nodes')).json, { nodes: mesh.peers() })
    assert.deepEqual((await get('/mesh/capabilities')).json, JSON.parse(JSON.stringify({ capabilities: mesh.capabilities() })))
  })
  it('passes the query on, and names a parameter that it does not know', async () => {
    assert.deepEqual((await get('/mesh/capabilities?id=nothing')).json, { capabilities: [] })
    assert.equal(((await get('/mesh/capabilities?id=demo&status=online')).json['capabilities'] as unknown[]).length, 1)
    const typo = await get('/mesh/capabilities?typ=x')
    assert.equal(typo.status, 400)
    assert.match(typo.json.error?.message ?? '', /'typ'.*type/)
    assert.equal((await get('/mesh/capabilities?status=alive')).status, 400)
  })
  it('POST /mesh/nodes adds a peer', async () => {
    const ok = await ask(server.url, '/mesh/nodes', { token, json: { multiaddr: '/ip4/192.0.2.1/tcp/4001' } })
    assert.deepEqual([ok.status, ok.json], [200, { added: '/ip4/192.0.2.1/tcp/4001' }])
    assert.deepEqual(mesh.added, ['/ip4/192.0.2.1/tcp/4001'])
    for (const json of [{}, { multiaddr: 1 }, { multiaddr: 'x' }, { multiaddr: '/ip4/1.2.3.4/tcp/1', extra: 1 }]) {
      const bad = await ask(server.url, '/mesh/nodes', { token, json })
      assert.deepEqual([bad.status, bad.json.error?.code], [400, 'invalid_argument'], JSON.stringify(json))
    }
  })
  it('POST /mesh/descriptors/accept accepts what has changed, once', async () => {
    const changed = { since: '2026-01-01T00:00:00.000Z', hash: 'ab'.repeat(32), capability: [], tools: [] }
    const flagged = createFakeMesh({}, [], { changed })
    const other = await serveApi({ mesh: flagged, token })
    const accept = (json: object) => ask(other.url, '/mesh/descriptors/accept', { token, json })
    for (const json of [
      {},
      { node: 'kitchen' },
      { node: 1, capability: 'demo' },
      { node: 'kitchen', capability: 'demo', hash: 1 }
    ]) {
      const bad = await accept(json)
      assert.deepEqual([bad.status, bad.json.error?.code], [400, 'invalid_argument'], JSON.stringify(json))
    }
    assert.equal((await accept({ node: 'kitchen', capability: 'demo', hash: 'cd'.repeat(32) })).status, 409)
    const good = await accept({ node: 'kitchen', capability: 'demo', hash: 'abab' })
    assert.deepEqual([good.status, good.json['capability'], good.json['changed']], [200, 'demo', changed])
    assert.equal((await accept({ node: 'kitchen', capability: 'demo' })).status, 400)
    await other.close()
  })
  it('POST takes JSON only: what a web page can send without asking is 415', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonp',
      undefined
    ]) {
      const answer = await ask(server.url, '/mesh/nodes', {
        token,
        body: '{"multiaddr":"/ip4/1.1.1.1/tcp/1"}',
        headers: type ? { 'content-type': type } : {}
      })
      assert.equal(answer.status, 415, type)
    }
    const charset = await ask(server.url, '/mesh/nodes', {
      token,
      body: '{"multiaddr":"/ip4/1.1.1.1/tcp/1"}',
      headers: { 'content-type': 'Application/JSON; charset=utf-8' }
    })
    assert.equal(charset.status, 200)
  })
  it('names what is wrong with a body', async () => {
    for (const body of ['{', '[]', '"x"', 'null', '1']) {
      const answer = await ask(server.url, '/mesh/nodes', { token, body, headers: { 'content-type': 'application/json' } })
      assert.deepEqual([answer.status, answer.json.error?.code], [400, 'invalid_argument'], body)
    }
  })
  it('answers 413 to 33 MiB, announced or not, and serves the next request', async () => {
    const body = new Uint8Array(33 * 1024 * 1024).fill(32)
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }] as Record<string, string>[]) {
      const answer = await ask(server.url, '/capabilities/demo/tools/ping', {
        token,
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...headers }
      })
      assert.deepEqual([answer.status, answer.json.error?.code], [413, 'too_large'])
    }
    assert.equal((await get('/mesh/status')).status, 200)
  })
  it('takes a body just under the limit', async () => {
    const json = { input: { text: 'x'.repeat(31 * 1024 * 1024) } }
    assert.equal((await ask(server.url, '/capabilities/demo/tools/ping', { token, json })).status, 200)
  })
  it('POST /mesh/stop answers, then stops', async () => {
    const answer = await ask(server.url, '/mesh/stop', { token, json: {} })
    assert.deepEqual([answer.status, answer.json], [202, { stopping: true }])
    await mesh.stopped
  })
  it('GET /mesh/approvals, and one of them with its whole input', async () => {
    const { json } = await get('/mesh/approvals')
    const [first] = json['approvals'] as Record<string, unknown>[]
    assert.deepEqual(json, JSON.parse(JSON.stringify({ approvals: mesh.approvals() })))
    assert.ok(first!['inputCut'] === true && first!['inputBytes'] === 3_030)
    const whole = await get('/mesh/approvals/1')
    assert.deepEqual([whole.status, whole.json], [200, JSON.parse(JSON.stringify(mesh.approval('1')))])
    const none = await get('/mesh/approvals/9')
    assert.deepEqual([none.status, none.json.error?.code], [404, 'not_found'])
  })
  it('GET and POST /mesh/treaties', async () => {
    const answer = await get('/mesh/treaties')
    assert.deepEqual(answer.json, JSON.parse(JSON.stringify({ mesh: mesh.status().mesh, treaties: mesh.treaties.list() })))
    const post = (path: string, json: unknown) => ask(server.url, `/mesh/treaties${path}`, { token, json })
    const offer = await post('/offers', { mesh: 'id', lends: ['a'], borrows: ['b'], name: 'x', forMs: 1_000 })
    assert.deepEqual([offer.status, offer.json['code']], [201, 'ATMOT1FAKE'])
    const shown = await post('/show', { code: 'ATMOT1FAKE' })
    assert.deepEqual([shown.status, shown.json['signs']], [200, true])
    assert.equal((await post('', { code: 'ATMOT1FAKE' })).status, 201)
    const revoked = await post('/revocations', { treaty: 'club', reason: 'x' })
    assert.deepEqual([revoked.status, revoked.json['state']], [201, 'revoked'])
    for (const [path, json] of [
      ['', {}],
      ['', { code: 7 }],
      ['', { code: 'x' }],
      ['', { code: 'A'.repeat(20_000) }],
      ['', { code: 'ATMOT1FAKE', yes: true }],
      ['/show', { code: 'x' }],
      ['/offers', {}],
      ['/offers', { mesh: 'id', lends: 'a' }],
      ['/offers', { mesh: 'id', borrows: [1] }],
      ['/offers', { mesh: 'id', name: 1 }],
      ['/offers', { mesh: 'id', forMs: '1' }],
      ['/offers', { mesh: 'id', secret: 'x' }],
      ['/revocations', {}],
      ['/revocations', { treaty: 'club', reason: 'x'.repeat(257) }]
    ] as const) {
      const bad = await post(path, json)
      assert.deepEqual(
        [bad.status, bad.json.error?.code],
        [400, 'invalid_argument'],
        `${path} ${JSON.stringify(json).slice(0, 80)}`
      )
    }
  })
})
