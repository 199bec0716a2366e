import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { createApp } from '../../../src/http/app.ts'
import { MAX_COLLECTED_BYTES } from '../../../src/http/call-routes.ts'
import { toBase64 } from '../../../src/http/base64.ts'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import { ask, stream } from '../../fixtures/api-request.ts'
import { createFakeMesh, type FakeMesh, type FakeTool } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)
const ndjson = { accept: 'application/x-ndjson' }
const chunk = new Uint8Array(64 * 1024).fill(7)

describe('http calls', () => {
  let mesh: FakeMesh
  let server: ApiServer
  let produced = 0
  const tools: Record<string, FakeTool> = {
    async echo(input) {
      return input
    },
    async *items() {
      yield { kind: 'progress', progress: { done: 1, total: 2 } }
      yield { kind: 'json', value: { n: 1 } }
      yield { kind: 'bytes', bytes: new Uint8Array([0, 255, 1]) }
      return { sum: 1 }
    },
    async *forever(_input, signal) {
      yield { kind: 'json', value: 'started' }
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      return null
    },
    async silent(_input, signal) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      return null
    },
    async *restarts() {
      yield { kind: 'json', value: 'void' }
      yield { kind: 'restart', provider: 'p2', reason: 'unavailable' }
      yield { kind: 'json', value: 'valid' }
      return null
    },
    async *flood() {
      while (true) {
        produced++
        yield { kind: 'bytes', bytes: chunk }
      }
    }
  }
  beforeEach(async () => {
    produced = 0
    mesh = createFakeMesh(tools)
    server = await serveApi({ mesh, token })
  })
  afterEach(() => server.close())
  const url = (tool: string, id = 'demo') => `/capabilities/${encodeURIComponent(id)}/tools/${encodeURIComponent(tool)}`

  it('answers in one piece', async () => {
    const answer = await ask(server.url, url('items'), { token, json: {} })
    assert.equal(answer.status, 200)
    const { status, result, items, provider, route, durationMs } = answer.json
    assert.deepEqual(
      { status, result, items },
      {
        status: 'success',
        result: { sum: 1 },
        items: [
          { kind: 'json', value: { n: 1 } },
          { kind: 'bytes', base64: 'AP8B' }
        ]
      }
    )
    assert.equal(typeof provider, 'string')
    assert.equal(typeof durationMs, 'number')
    assert.equal((route as { hops: number }).hops, 1)
    assert.ok(!('items' in (await ask(server.url, url('echo'), { token, json: { input: { a: 1 } } })).json))
  })
  it('streams in order, a status last', async () => {
    const answer = await ask(server.url, url('items'), { token, json: {}, headers: ndjson })
    assert.match(answer.headers['content-type'] ?? '', /^application\/x-ndjson/)
    const lines = answer.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(lines.slice(0, 3), [
      { kind: 'progress', progress: { done: 1, total: 2 } },
      { kind: 'json', value: { n: 1 } },
      { kind: 'bytes', base64: 'AP8B' }
    ])
    assert.deepEqual([lines.length, lines[3]?.['status'], lines[3]?.['result']], [4, 'success', { sum: 1 }])
  })
  it('a restart voids what came before it', async () => {
    const whole = await ask(server.url, url('restarts'), { token, json: {} })
    assert.deepEqual(whole.json['items'], [{ kind: 'json', value: 'valid' }])
    const lines = (await ask(server.url, url('restarts'), { token, json: {}, headers: ndjson })).text.split('\n')
    assert.deepEqual(JSON.parse(lines[1]!), { kind: 'restart', provider: 'p2', reason: 'unavailable' })
  })
  it('sends an item as soon as it is there', async () => {
    const answer = await stream(server.url, url('forever'), { token, json: {}, headers: ndjson })
    assert.equal(await answer.next(), '{"kind":"json","value":"started"}')
    answer.cut()
    await mesh.cancelled
  })
  it('sends the headers before the first item', async () => {
    const answer = await stream(server.url, url('silent'), { token, json: {}, headers: ndjson })
    assert.equal(answer.status, 200)
    answer.cut()
    await mesh.cancelled
  })
  it('a client that goes cancels a call that is answered in one piece', async () => {
    const body = '{}'
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    socket.write(
      `POST ${url('silent')} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    )
    while (mesh.calls.length === 0) await new Promise((resolve) => setImmediate(resolve))
    socket.destroy()
    await mesh.cancelled
  })
  it('a slow client slows the source: nothing piles up', async () => {
    const answer = await stream(server.url, url('flood'), { token, json: {}, headers: ndjson })
    // The reader takes nothing: the source stops once the socket buffers of both ends are full.
    for (let idleTurns = 0, before = -1; idleTurns < 500; idleTurns++) {
      if (produced !== before) idleTurns = 0
      before = produced
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(produced * chunk.length < 24 * 1024 * 1024, `${produced} chunks`)
    answer.cut()
    await mesh.cancelled
  })
  it('makes a line only when it is asked for', async () => {
    const app = createApp({ mesh, tokens: [token] })
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...ndjson }
    const answer = await app(new Request(`http://localhost${url('flood')}`, { method: 'POST', body: '{}', headers }))
    const reader = answer.body!.getReader()
    for (let lines = 1; lines <= 5; lines++) {
      await reader.read()
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(produced <= lines + 2, `${produced} made for ${lines} read`)
    }
    await reader.cancel()
    await mesh.cancelled
  })
  it('refuses to gather more than it can hold', async () => {
    const answer = await ask(server.url, url('flood'), { token, json: {} })
    assert.deepEqual([answer.status, answer.json.error?.code], [413, 'too_large'])
    assert.ok(produced * chunk.length <= MAX_COLLECTED_BYTES + 2 * chunk.length)
    await mesh.cancelled
  })
  it('passes the options on', async () => {
    await ask(server.url, url('echo'), {
      token,
      json: { input: { a: 1 }, timeoutMs: 1500, node: 'kitchen', idempotencyKey: 'k', failover: false }
    })
    const { input, options } = mesh.calls[0]!
    const { signal, ...rest } = options
    assert.deepEqual([input, rest], [{ a: 1 }, { timeoutMs: 1500, node: 'kitchen', idempotencyKey: 'k', failover: false }])
    assert.ok(signal instanceof AbortSignal)
  })
  it('passes on what is asked of the choice among providers', async () => {
    const preference = { prefer: 'cheap', notNode: ['attic', 'cellar'], maxLatencyMs: 250.5 }
    await ask(server.url, url('echo'), { token, json: preference })
    const { signal: _signal, ...rest } = mesh.calls[0]!.options
    assert.deepEqual(rest, preference)
  })
  it('names the wrong option', async () => {
    const bad: [unknown, string][] = [
      [{ timeoutMs: 0 }, 'timeoutMs'],
      [{ timeoutMs: '5s' }, 'timeoutMs'],
      [{ timeoutMs: 1e12 }, 'timeoutMs'],
      [{ node: 1 }, 'node'],
      [{ idempotencyKey: 1 }, 'idempotencyKey'],
      [{ failover: 'no' }, 'failover'],
      [{ prefer: 'slow' }, 'prefer'],
      [{ notNode: 'kitchen' }, 'notNode'],
      [{ notNode: ['kitchen'], node: 'kitchen' }, 'notNode'],
      [{ maxLatencyMs: 0 }, 'maxLatencyMs'],
      [{ maxLatencyMs: '1s' }, 'maxLatencyMs'],
      [{ params: {} }, 'params']
    ]
    for (const [json, key] of bad) {
      const answer = await ask(server.url, url('echo'), { token, json })
      assert.deepEqual([answer.status, answer.json.error?.details['key']], [400, key])
    }
    assert.equal(mesh.calls.length, 0)
  })
  it('takes ids with / and @', async () => {
    for (const id of ['test/demo', 'demo@kitchen', 'test/demo@kitchen']) {
      const answer = await ask(server.url, url('echo', id), { token, json: {} })
      assert.equal(answer.status, 200, id)
    }
    assert.deepEqual(
      mesh.calls.map((call) => call.target),
      ['test/demo', 'demo@kitchen', 'test/demo@kitchen']
    )
  })
  it('maps unknown names', async () => {
    assert.equal((await ask(server.url, url('nothing'), { token, json: {} })).json.error?.code, 'unknown_tool')
    assert.equal((await ask(server.url, url('echo', 'nothing'), { token, json: {} })).status, 404)
  })
  it('needs no Node: the core is Request in, Response out', async () => {
    const app = createApp({ mesh, tokens: [token] })
    const answer = await app(
      new Request(`http://localhost${url('echo')}`, {
        method: 'POST',
        body: '{"input":{"a":2}}',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      })
    )
    assert.deepEqual(((await answer.json()) as { result: unknown }).result, { a: 2 })
  })
  it('closes while a call runs, within its grace', async () => {
    const answer = await stream(server.url, url('silent'), { token, json: {}, headers: ndjson })
    assert.equal(answer.status, 200)
    await server.close()
    await mesh.cancelled
  })
  it('base64 fits that of Node for every length', () => {
    for (const length of [0, 1, 2, 3, 0x5fff, 0x6000, 0x6001, 100_000]) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index * 31) & 255)
      assert.equal(toBase64(bytes), Buffer.from(bytes).toString('base64'))
    }
  })
})
