import assert from 'node:assert/strict'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import { ask, stream } from '../../fixtures/api-request.ts'
import { createFakeMesh, type FakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)

describe('http routes', () => {
  let mesh: FakeMesh
  let server: ApiServer
  beforeEach(async () => {
    mesh = createFakeMesh({
      async ping() {
        return 'pong'
      }
    })
    server = await serveApi({ mesh, token })
  })
  afterEach(() => server.close())
  const get = (path: string) => ask(server.url, path, { token })
  const lines = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)

  it('GET /mesh/routes', async () => {
    const { status, json } = await get('/mesh/routes')
    assert.deepEqual([status, json], [200, JSON.parse(JSON.stringify(mesh.routes()))])
    assert.equal((await get('/mesh/routes?node=x')).status, 400)
  })
  it('GET /mesh/route passes the question on, and calls nothing', async () => {
    const { status, json } = await get(
      '/mesh/route?target=demo&tool=ping&prefer=cheap&notNode=attic&notNode=cellar&maxLatencyMs=99.5&node=kitchen'
    )
    const options = { prefer: 'cheap', notNode: ['attic', 'cellar'], maxLatencyMs: 99.5, node: 'kitchen' } as const
    assert.deepEqual(mesh.asked, [{ target: 'demo', tool: 'ping', options }])
    assert.deepEqual([status, json], [200, JSON.parse(JSON.stringify(mesh.explain('demo', 'ping', options)))])
    await get('/mesh/route?target=test/demo')
    assert.deepEqual(mesh.asked.at(-1), { target: 'test/demo', tool: undefined, options: {} })
    assert.deepEqual(mesh.calls, [])
  })
  it('GET /mesh/route takes words, and says what they mean, or that it is not clear', async () => {
    const { status, json } = await get('/mesh/route?target=ring%20it%20please&tool=ping')
    const meaning = { text: 'ring it please', characters: 14, outcome: 'one', likelihood: 0.9 }
    const { target, candidates, ...answer } = json as { target: string; candidates: unknown[]; meaning: object }
    assert.deepEqual([status, target, candidates.length > 0], [200, 'ring it please', true])
    assert.deepEqual({ ...answer.meaning, ...meaning }, answer.meaning)
    assert.equal((answer.meaning as { by: { path: string } }).by.path, 'both')
    assert.deepEqual(mesh.understood, [{ text: 'ring it please', tool: 'ping', type: undefined }])
    const unclear = await get('/mesh/route?target=perhaps%20that')
    assert.deepEqual([unclear.status, unclear.json.error?.code], [409, 'ambiguous'])
    assert.match(unclear.json.error?.message ?? '', /"perhaps that" may mean demo or other/)
  })
  it('GET /mesh/route says no more of long words again than their beginning', async () => {
    for (const words of ['please ', 'perhaps ', 'nothing like it ']) {
      const target = words.padEnd(3_000, 'x')
      const { json } = await get(`/mesh/route?target=${encodeURIComponent(target)}`)
      const told = JSON.stringify(json)
      assert.ok(told.includes(target.slice(0, 256)) && !told.includes(target.slice(0, 257)), told.slice(0, 400))
      if (json.error !== undefined) assert.ok(json.error.message.includes(`${target.slice(0, 256)}…"`))
      else assert.equal((json as { meaning?: { characters: number } }).meaning?.characters, 3_000)
    }
  })
  it('GET /mesh/route of words is about those that are meant, not about others of their type', async () => {
    assert.equal((await get('/mesh/route?target=either%20please&tool=ping')).status, 200)
    const { target, options } = mesh.asked.at(-1)!
    assert.deepEqual([target, options?.ids], ['test/demo', ['demo', 'twin']])
  })
  it('GET /mesh/meaning says what words mean', async () => {
    const { status, json } = await get('/mesh/meaning?text=perhaps&tool=ask&type=agent/*')
    assert.deepEqual([status, (json as { outcome?: string }).outcome], [200, 'ambiguous'])
    const by = { path: 'both', model: 'tiny', reason: 'vectors of tiny (capability nomic, int8) of 2 of 2 capabilities' }
    assert.deepEqual((json as { by?: object }).by, by)
    assert.deepEqual(mesh.understood, [{ text: 'perhaps', tool: 'ask', type: 'agent/*' }])
    assert.equal((await get('/mesh/meaning')).status, 400)
    assert.equal((await get('/mesh/meaning?words=x')).status, 400)
  })
  it('GET /mesh/route fails as a call would', async () => {
    const [none, tool] = [await get('/mesh/route?target=nothing'), await get('/mesh/route?target=demo&tool=x')]
    assert.deepEqual([none.status, none.json.error?.code], [404, 'unknown_capability'])
    assert.deepEqual([tool.status, tool.json.error?.code], [404, 'unknown_tool'])
    assert.match(none.json.error?.message ?? '', /nothing in the mesh is called "nothing"/)
  })
  it('GET /mesh/route says of words that mean nothing that no capability is meant, and what to try', async () => {
    for (const [words, told] of [
      [
        'sing a song',
        /^no capability is meant by "sing a song"\. Say it in other words, .*`atmo capabilities`.*, or name one of them$/
      ],
      ['nearly a song', /^no capability is meant by "nearly a song"; what comes nearest is demo, and not near enough\. Say it/],
      ['唱歌', /^no capability is meant by "唱歌"\. /],
      ['sing@my house', /^nothing in the mesh is called "sing@my house"/]
    ] as const) {
      const { status, json } = await get(`/mesh/route?target=${encodeURIComponent(words)}`)
      assert.deepEqual([status, json.error?.code], [404, 'unknown_capability'])
      assert.match(json.error?.message ?? '', told)
    }
  })
  for (const [query, message] of [
    ['', /name a target/],
    ['target=', /name a target/],
    ['target=demo&target=x', /give target once/],
    ['target=demo&tool=a&tool=b', /give tool once/],
    ['target=demo&prefer=best', /prefer must be one of local, fast, cheap/],
    ['target=demo&prefer=', /prefer must be/],
    ['target=demo&maxLatencyMs=-5', /maxLatencyMs must be a number of milliseconds above 0/],
    ['target=demo&maxLatencyMs=0', /maxLatencyMs must be/],
    ['target=demo&maxLatencyMs=', /maxLatencyMs must be/],
    ['target=demo&maxLatencyMs=1e3', /maxLatencyMs must be/],
    [`target=demo&maxLatencyMs=${'9'.repeat(400)}`, /maxLatencyMs must be/],
    ['target=demo&node=kitchen&notNode=attic&notNode=kitchen', /node and notNode name the same node/],
    ['target=demo&explain=1', /unknown query parameter 'explain'/]
  ] as const) {
    it(`refuses /mesh/route?${query.slice(0, 60)}`, async () => {
      const { status, json } = await get(`/mesh/route?${query}`)
      assert.deepEqual([status, json.error?.code], [400, 'invalid_argument'])
      assert.match(json.error?.message ?? '', message)
      assert.deepEqual(mesh.asked, [])
    })
  }
  it('GET /mesh/trace streams a line for each hop', async () => {
    const answer = await get('/mesh/trace?target=pi-garden')
    assert.match(answer.headers['content-type'] ?? '', /^application\/x-ndjson/)
    assert.deepEqual(
      lines(answer.text).map(({ hop, nodeName, rttMs }) => [hop, nodeName, rttMs]),
      [
        [1, 'kitchen', 1.31],
        [2, 'attic', 9.5],
        [3, 'pi-garden', 14.22]
      ]
    )
  })
  it('a trace whose way ends early says so last, after those that answered', async () => {
    const early = await get('/mesh/trace?target=attic')
    const [hop, end] = lines(early.text)
    assert.deepEqual([lines(early.text).length, hop?.['nodeName']], [2, 'kitchen'])
    assert.equal((end?.['error'] as { code: string }).code, 'unavailable')
  })
  it('a trace of nobody is an error at once', async () => {
    const { status, json } = await get('/mesh/trace?target=nobody')
    assert.deepEqual([status, json.error?.code], [404, 'unknown_capability'])
  })
  it('says of a parameter that is not known which are, or that there are none', async () => {
    for (const [path, known] of [
      ['/mesh/routes?all=1', /unknown query parameter 'all'; there are none/],
      ['/mesh/trace?target=a&ttl=3', /unknown query parameter 'ttl'; known are: target/]
    ] as const) {
      const { status, json } = await get(path)
      assert.equal(status, 400)
      assert.match(json.error?.message ?? '', known)
    }
  })
  it('sends a hop as soon as it has answered, and stops asking when the client goes', async () => {
    const answer = await stream(server.url, '/mesh/trace?target=kitchen', { token })
    assert.match((await answer.next()) ?? '', /^\{"hop":1,"node":"12D3KooWFakeKitchen"/)
    answer.cut()
    await mesh.cancelled
  })
  it('refuses a trace without a target, and what it does not know', async () => {
    for (const query of ['', '?target=', '?target=a&target=b', '?target=a&maxHops=3'])
      assert.equal((await get(`/mesh/trace${query}`)).status, 400, query)
    assert.equal((await ask(server.url, '/mesh/trace?target=kitchen', { token, json: {} })).status, 405)
    assert.equal((await ask(server.url, '/mesh/trace?target=kitchen')).status, 401)
  })
})
