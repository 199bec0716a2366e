import assert from 'node:assert/strict'
import { Hono } from 'hono'
import { createApp, type FetchHandler } from '../../../../src/http/app.ts'
import { errorResponse } from '../../../../src/http/errors.ts'
import { MAX_BODY_BYTES, MAX_BODY_VALUES } from '../../../../src/http/json-body.ts'
import { mcpErrors } from '../../../../src/http/mcp/mcp-errors.ts'
import { createMcpServer } from '../../../../src/http/mcp/mcp-server.ts'
import { MAX_SESSIONS, SESSION_IDLE_MS, createMcpSessions, type McpSessions } from '../../../../src/http/mcp/mcp-sessions.ts'
import { createToolCatalog } from '../../../../src/http/mcp/tool-catalog.ts'
import { createTriggerCatalog } from '../../../../src/http/mcp/trigger-catalog.ts'
import { MAX_SUBSCRIBED } from '../../../../src/http/mcp/trigger-resources.ts'
import { createTriggerWatches, type TriggerWatches } from '../../../../src/http/mcp/trigger-watches.ts'
import { createFakeMesh, type FakeMesh } from '../../../fixtures/fake-mesh.ts'

const TOKEN = 'T'.repeat(43)
const URL = 'http://localhost/mcp'
const HEADERS = {
  authorization: `Bearer ${TOKEN}`,
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream'
}
const clientInfo = { name: 'raw', version: '1' }

const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo }
}

/** A message of 2026-07-28, which has no session. */
function stateless(method: string, params: object = {}): { body: object; headers: Record<string, string> } {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': clientInfo,
    'io.modelcontextprotocol/clientCapabilities': {}
  }
  const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method }
  return { body: { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }, headers }
}

/** The last message of a stream, or the body. */
async function messageOf(
  response: Response
): Promise<{ result?: Record<string, unknown>; error?: { code: number; message: string; data?: unknown } }> {
  const text = await response.text()
  const data = text.split('\n').filter((line) => line.startsWith('data: '))
  return JSON.parse(data.at(-1)?.slice('data: '.length) ?? text) as Awaited<ReturnType<typeof messageOf>>
}

describe('http mcp: the endpoint', () => {
  let mesh: FakeMesh
  let app: FetchHandler
  let closing: AbortController
  beforeEach(() => {
    mesh = createFakeMesh({
      echo: async (input) => input,
      slow: (_input, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(null)))
    })
    closing = new AbortController()
    app = createApp({ mesh, tokens: [TOKEN], closing: closing.signal })
  })
  afterEach(() => closing.abort())

  const send = async (
    body: unknown,
    headers: Record<string, string> = {},
    init: RequestInit = {},
    url = URL
  ): Promise<Response> => {
    const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body)
    return app(new Request(url, { method: 'POST', body: text, ...init, headers: { ...HEADERS, ...headers } }))
  }
  const begin = async (): Promise<string> => {
    const response = await send(initialize)
    await response.text()
    return response.headers.get('mcp-session-id')!
  }
  const ping = (id: string): Promise<Response> => send({ jsonrpc: '2.0', id: 2, method: 'ping' }, { 'mcp-session-id': id })

  it('is guarded like the rest of the API', async () => {
    assert.equal((await send(initialize, { authorization: 'Bearer wrong' })).status, 401)
    assert.equal((await send(initialize, { host: 'evil.example' })).status, 403)
    assert.equal((await send(initialize, { origin: 'http://evil.example' })).status, 403)
    assert.equal((await send(initialize, {}, {}, `${URL}?tool=all`)).status, 400)
    assert.equal((await send(initialize, {}, {}, `${URL}?tools=some`)).status, 400)
    assert.equal((await send(initialize, {}, {}, `${URL}?timeoutMs=0`)).status, 400)
    assert.equal((await send(initialize, {}, { method: 'PUT' })).status, 405)
    assert.equal(mesh.calls.length, 0)
  })

  it('refuses in the shape of JSON-RPC, with the status and headers of HTTP', async () => {
    for (const [headers, init, url, status, code] of [
      [{ authorization: '' }, {}, URL, 401, 'permission_denied'],
      [{ authorization: 'Bearer wrong' }, {}, URL, 401, 'permission_denied'],
      [{ host: 'evil.example' }, {}, URL, 403, 'permission_denied'],
      [{ origin: 'http://evil.example' }, {}, URL, 403, 'permission_denied'],
      [{}, {}, `${URL}?tool=all`, 400, 'invalid_argument'],
      [{}, {}, `${URL}?timeoutMs=0`, 400, 'invalid_argument'],
      [{}, { method: 'PUT' }, URL, 405, 'unsupported'],
      [{}, {}, `${URL}/more`, 404, 'unsupported'],
      [{ 'content-length': String(MAX_BODY_BYTES + 1) }, {}, URL, 413, 'too_large']
    ] as [Record<string, string>, RequestInit, string, number, string][]) {
      const response = await send(initialize, headers, init, url)
      const { jsonrpc, id, error } = (await response.json()) as Record<string, unknown> & {
        error: { code: number; message: string; data: { code: string } }
      }
      assert.deepEqual([response.status, jsonrpc, id, error.code, error.data.code], [status, '2.0', null, -32_000, code])
      assert.ok(error.message.length > 0)
      assert.equal(response.headers.get('content-type'), 'application/json')
      assert.equal(response.headers.get('server'), 'atmosphere')
      assert.equal(response.headers.has('www-authenticate'), status === 401)
      assert.equal(response.headers.get('allow'), status === 405 ? 'GET, POST, DELETE' : null)
    }
    const faulty = new Hono().onError(errorResponse).use(mcpErrors())
    const fault = await faulty.get('/', () => Promise.reject(new Error('a fault'))).request('/')
    assert.deepEqual([fault.status, (await messageOf(fault)).error?.code], [500, -32_603])
  })

  it('takes what is a message, of a size and a depth, and says of others what the rest of the API says', async () => {
    const twice = '{"id":1,"jsonrpc":"2.0","params":{"a/b":1,"a/b":2},"method":"ping"}'
    const none = {}
    for (const [body, headers, status, code, mesh, details] of [
      [initialize, { 'content-type': 'text/plain' }, 415, -32_000, 'invalid_argument', { contentType: 'text/plain' }],
      ['{"jsonrpc"', none, 400, -32_700, 'invalid_argument', {}],
      ['', none, 400, -32_700, 'invalid_argument', {}],
      ['7', none, 400, -32_600, 'invalid_argument', {}],
      [twice, none, 400, -32_600, 'invalid_argument', { key: 'a/b', pointer: '/params/a~1b' }],
      ['['.repeat(200) + ']'.repeat(200), none, 400, -32_600, 'invalid_argument', {}],
      [`[${'0,'.repeat(MAX_BODY_VALUES)}0]`, none, 413, -32_000, 'too_large', { limit: MAX_BODY_VALUES }],
      ['7', { 'content-length': String(MAX_BODY_BYTES + 1) }, 413, -32_000, 'too_large', { maxBytes: MAX_BODY_BYTES }]
    ] as [string | object, Record<string, string>, number, number, string, object][]) {
      const response = await send(body, headers)
      const { error } = await messageOf(response)
      assert.deepEqual([response.status, error?.code, error?.data], [status, code, { code: mesh, details }])
      assert.equal(response.headers.get('accept'), status === 415 ? 'application/json' : null)
      // As elsewhere; there an empty body is one, and what is no object is said otherwise.
      if (body === '') continue
      const other = await send(body, headers, {}, 'http://localhost/discover')
      assert.deepEqual([other.status, other.headers.get('accept')], [status, response.headers.get('accept')])
      assert.deepEqual(((await other.json()) as { error: { details: object } }).error.details, details)
    }
  })

  it('has no sessions for protocols that have none', async () => {
    const discover = stateless('server/discover')
    const { result } = await messageOf(await send(discover.body, discover.headers))
    assert.deepEqual(result?.['supportedVersions'], ['2026-07-28'])
    const list = stateless('tools/list')
    const listed = await send(list.body, list.headers)
    assert.equal(listed.headers.get('mcp-session-id'), null)
    assert.equal(((await messageOf(listed)).result?.['tools'] as object[]).length, 2)
    // A header that says something else than the message.
    const other = await send(list.body, { ...list.headers, 'mcp-method': 'tools/call' })
    assert.deepEqual([other.status, (await messageOf(other)).error?.code], [400, -32_020])
  })

  it('begins a session with initialize alone, and ends it with DELETE', async () => {
    assert.equal((await send({ jsonrpc: '2.0', id: 2, method: 'tools/list' })).status, 400)
    assert.equal((await ping('made-up')).status, 404)
    const id = await begin()
    assert.deepEqual((await messageOf(await ping(id))).result, {})
    const ended = await send(undefined, { 'mcp-session-id': id }, { method: 'DELETE' })
    assert.equal(ended.status, 200)
    assert.equal((await ping(id)).status, 404)
  })

  it('agrees to what an old client speaks', async () => {
    for (const protocolVersion of ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']) {
      const response = await send({ ...initialize, params: { ...initialize.params, protocolVersion } })
      assert.equal((await messageOf(response)).result?.['protocolVersion'], protocolVersion)
    }
  })

  it('ends calls of a client that goes', async () => {
    const call = stateless('tools/call', { name: 'demo__slow' })
    const gone = new AbortController()
    await send(call.body, { ...call.headers, 'mcp-name': 'demo__slow' }, { signal: gone.signal })
    gone.abort()
    await mesh.cancelled

    const other = createFakeMesh({
      slow: (_input, signal) => new Promise((end) => signal.addEventListener('abort', () => end(null)))
    })
    mesh = other
    app = createApp({ mesh: other, tokens: [TOKEN], closing: closing.signal })
    const id = await begin()
    const left = new AbortController()
    const slow = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'demo__slow' } }
    await send(slow, { 'mcp-session-id': id }, { signal: left.signal })
    left.abort()
    await other.cancelled
  })

  it('ends sessions and what runs in them when the server closes', async () => {
    const id = await begin()
    await send({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'demo__slow' } }, { 'mcp-session-id': id })
    const stream = await send(undefined, { 'mcp-session-id': id }, { method: 'GET' })
    assert.equal(stream.status, 200)
    closing.abort()
    await mesh.cancelled
    await stream.text()
    assert.equal((await ping(id)).status, 404)
  })

  it('reads the mesh for nobody before the first client', async () => {
    assert.equal(mesh.readers(), 0)
    await begin()
    assert.equal(mesh.readers(), 1)
  })
})

describe('http mcp: sessions', () => {
  let mesh: FakeMesh
  let sessions: McpSessions
  let watches: TriggerWatches
  let time: number
  /** Ends the call of `late`. */
  let finish: (result: string) => void
  beforeEach(() => {
    time = 0
    mesh = createFakeMesh({
      slow: (_input, signal) => new Promise((end) => signal.addEventListener('abort', () => end(null))),
      late: () => new Promise((end) => (finish = end))
    })
    const now = (): number => time
    const catalog = createToolCatalog(mesh, now)
    const triggerCatalog = createTriggerCatalog(mesh, now)
    watches = createTriggerWatches({ mesh, catalog: triggerCatalog })
    const triggers = { catalog: triggerCatalog, watches }
    sessions = createMcpSessions({
      createServer: (_request, onCall) => createMcpServer({ mesh, catalog, triggers, wishes: { all: false }, now, onCall }),
      now
    })
  })
  afterEach(() => sessions.close())

  const handle = (body: unknown, id?: string, init: RequestInit = {}): Promise<Response> => {
    const headers = { ...HEADERS, ...(id !== undefined && { 'mcp-session-id': id }) }
    return sessions.handle(new Request(URL, { method: 'POST', ...init, headers }), body)
  }
  const begin = async (): Promise<string> => (await handle(initialize)).headers.get('mcp-session-id')!
  const ping = async (id: string): Promise<number> => (await handle({ jsonrpc: '2.0', id: 7, method: 'ping' }, id)).status

  it('are bounded: the one that was idle for longest makes room', async () => {
    const first = await begin()
    time++
    for (let n = 1; n < MAX_SESSIONS; n++) await begin()
    time++
    const second = await begin()
    assert.deepEqual([sessions.count(), await ping(first), await ping(second)], [MAX_SESSIONS, 404, 200])
  })

  it('that are in use make no room, and do not end', async () => {
    const leaving: AbortController[] = []
    for (let n = 0; n < MAX_SESSIONS; n++) {
      const id = await begin()
      const gone = new AbortController()
      leaving.push(gone)
      await handle(undefined, id, { method: 'GET', signal: gone.signal })
    }
    time += 2 * SESSION_IDLE_MS
    const refused = await handle(initialize)
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '30'])
    leaving[0]!.abort()
    assert.equal((await handle(initialize)).status, 200)
  })

  it('end when nobody has used them for a while', async () => {
    const id = await begin()
    time += SESSION_IDLE_MS
    assert.equal(await ping(id), 200)
    time += SESSION_IDLE_MS + 1
    assert.equal(await ping(id), 404)
    assert.equal(sessions.count(), 0)
  })

  it('observe nothing any more when they end', async () => {
    const [, id] = [await begin(), await begin()]
    const uri = 'atmosphere://trigger/demo@12D3KooWFakeKitchen/bell'
    await handle({ jsonrpc: '2.0', id: 2, method: 'resources/subscribe', params: { uri } }, id)
    assert.deepEqual([mesh.subscribed(), watches.read(uri).state], [['test/demo:bell'], 'asking'])
    await handle(undefined, id, { method: 'DELETE' })
    assert.deepEqual([mesh.subscribed(), watches.read(uri).state, sessions.count()], [[], 'unsubscribed', 1])
  })

  it('subscribe to what is a trigger, and to so many', async () => {
    const id = await begin()
    const subscribe = async (uri: string) => {
      const response = await handle({ jsonrpc: '2.0', id: 2, method: 'resources/subscribe', params: { uri } }, id)
      return (await messageOf(response)).error
    }
    assert.equal((await subscribe('file:///etc/passwd'))?.code, -32_602)
    const uriOf = (n: number): string => `atmosphere://trigger/c${n}@12D3KooWFakeKitchen/bell`
    for (let n = 0; n < MAX_SUBSCRIBED; n++) assert.equal(await subscribe(uriOf(n)), undefined)
    assert.equal(await subscribe(uriOf(0)), undefined)
    assert.match((await subscribe(uriOf(MAX_SUBSCRIBED)))?.message ?? '', /^busy: this session is subscribed to 64 triggers/)
    await handle({ jsonrpc: '2.0', id: 3, method: 'resources/unsubscribe', params: { uri: uriOf(0) } }, id)
    assert.equal(await subscribe(uriOf(MAX_SUBSCRIBED)), undefined)
  })

  it('leave nothing of a call that was cancelled', async () => {
    const id = await begin()
    const call = await handle({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'demo__slow' } }, id)
    await handle({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 2 } }, id)
    await mesh.cancelled
    // Its stream ends, without an answer.
    assert.equal((await call.text()).includes('"result"'), false)
    // The tool is told first, and gives back its place in what follows from that.
    await new Promise((resolve) => setImmediate(resolve))
    time += SESSION_IDLE_MS + 1
    assert.equal(await ping(id), 404)
  })

  it('answer all of a batch but what of it was cancelled', async () => {
    const id = await begin()
    const call = (n: number, name: string): object => ({ jsonrpc: '2.0', id: n, method: 'tools/call', params: { name } })
    const cancel = (n: number): Promise<Response> =>
      handle({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: n } }, id)
    const batch = await handle([call(2, 'demo__slow'), call(3, 'demo__late'), call(4, 'demo__slow')], id)
    await cancel(2)
    await mesh.cancelled
    finish('in time')
    await cancel(4)
    const text = await batch.text()
    const told = text
      .split('\n')
      .flatMap((line) => (line.startsWith('data: ') ? [JSON.parse(line.slice(6)) as { id: number }] : []))
    assert.deepEqual(
      told.map((one) => one.id),
      [3]
    )
    assert.match(text, /in time/)
  })
})
