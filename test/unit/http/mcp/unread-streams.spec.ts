import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { MAX_UNREAD_BYTES, boundedStream, cancelledAnswer } from '../../../../src/http/mcp/bounded-stream.ts'
import { createMcpEndpoint, type McpEndpoint } from '../../../../src/http/mcp/mcp-endpoint.ts'
import type { CapabilityView } from '../../../../src/mesh-api.ts'
import { createFakeMesh, type FakeMesh } from '../../../fixtures/fake-mesh.ts'
import { until, within } from '../../../fixtures/libp2p-pair.ts'

const BELL = 'atmosphere://trigger/demo@12D3KooWFakeKitchen/bell'
const clientInfo = { name: 'raw', version: '1' }
/** Of the streams of an endpoint, here. */
const BOUND = 2_048
/** Longest message that is sent here, in bytes. */
const MAX_MESSAGE = 512

/** Of one stream that nobody reads. */
const unread = (pieces: ReadableStream<Uint8Array>, headers = { 'content-type': 'text/event-stream' }): Response =>
  new Response(pieces, { headers })

const sse = (data: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(`event: message\ndata: ${data}\n\n`)
/** Messages of a stream. */
const messagesIn = (text: string): Record<string, unknown>[] =>
  text.split('\n').flatMap((line) => (line.startsWith('data: ') ? [JSON.parse(line.slice(6)) as Record<string, unknown>] : []))

describe('http mcp: a stream that its client does not read', () => {
  it('is over at its bound; what waits is read to its end', async () => {
    let made = 0
    let cancelled = 0
    let over = 0
    const piece = new Uint8Array(64 * 1024)
    const pieces = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          made++
          controller.enqueue(piece)
        },
        cancel: () => void cancelled++
      },
      { highWaterMark: 0 }
    )
    const { body, headers } = boundedStream(unread(pieces), { onOver: () => over++ })
    assert.equal(headers.get('content-type'), 'text/event-stream')
    await until(() => over === 1, 'the stream is over')
    assert.deepEqual([made, cancelled], [MAX_UNREAD_BYTES / piece.length + 1, 1])
    assert.equal((await new Response(body).bytes()).length, MAX_UNREAD_BYTES)
  })

  it('gives one message that is longer, and goes on for who reads', async () => {
    const sizes = [MAX_UNREAD_BYTES + 1, 7, 2 * MAX_UNREAD_BYTES, 9]
    let write!: ReadableStreamDefaultController<Uint8Array>
    let over = 0
    const { body } = boundedStream(unread(new ReadableStream({ start: (controller) => void (write = controller) })), {
      onOver: () => over++
    })
    const reader = body!.getReader()
    for (const size of sizes) {
      write.enqueue(new Uint8Array(size))
      assert.equal((await reader.read()).value?.length, size)
    }
    assert.equal(over, 0)
    write.close()
    assert.equal((await reader.read()).done, true)
    await until(() => over === 1, 'it is over')
  })

  it('of a batch has all answers, and past its bound nothing else', async () => {
    let write!: ReadableStreamDefaultController<Uint8Array>
    const pieces = new ReadableStream<Uint8Array>({ start: (controller) => void (write = controller) })
    let over = 0
    const { body } = boundedStream(unread(pieces), { maxUnreadBytes: BOUND, isBatch: true, onOver: () => over++ })
    const text = 'x'.repeat(BOUND)
    const progress = { jsonrpc: '2.0', method: 'notifications/progress', params: { progress: 1, message: '"result":' } }
    const messages = [
      progress,
      { jsonrpc: '2.0', id: 1, result: { text } },
      progress,
      { jsonrpc: '2.0', id: 'b', error: { code: 1, message: text } },
      { jsonrpc: '2.0', id: 7, method: 'ping' },
      { jsonrpc: '2.0', id: 3, result: {} }
    ]
    for (const message of messages) write.enqueue(sse(JSON.stringify(message)))
    write.enqueue(new TextEncoder().encode(': keepalive\n\n'))
    write.close()
    await until(() => over === 1, 'the stream is over')
    const told = messagesIn(await new Response(body).text())
    assert.deepEqual(
      told.map((message) => messages.findIndex((one) => isDeepStrictEqual(one, message))),
      [0, 1, 3, 5]
    )
  })

  it('is without the answer of what was cancelled, and with all that only looks like it', async () => {
    const error = { code: -32_800, message: 'cancelled' }
    const alike = { jsonrpc: '2.0', id: 2, result: { structuredContent: { error }, content: [JSON.stringify({ error })] } }
    const messages = [cancelledAnswer(1), alike, { id: 3, result: { error } }, cancelledAnswer('"error":{}')]
    for (const isBatch of [true, false]) {
      const pieces = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const message of messages) controller.enqueue(sse(JSON.stringify(message)))
          controller.close()
        }
      })
      const text = await boundedStream(unread(pieces), { isBatch }).text()
      assert.deepEqual(messagesIn(text), messages.slice(1, 3))
    }
  })

  it('ends with its client, and is none where the answer is no stream', async () => {
    let over = 0
    let cancelled = 0
    const silent = new ReadableStream<Uint8Array>({ cancel: () => void cancelled++ })
    await boundedStream(unread(silent), { onOver: () => over++ }).body!.cancel()
    await until(() => over === 1, 'it is over')
    assert.equal(cancelled, 1)
    const answer = Response.json({})
    assert.equal(boundedStream(answer, { onOver: () => over++ }), answer)
    assert.equal(over, 2)
  })
})

describe('http mcp: a client that stops reading', () => {
  let mesh: FakeMesh
  let endpoint: McpEndpoint
  let closing: AbortController
  let cancelled: number
  /** Ends the call of `late`. */
  let finish: () => void
  /** Answers of `big`. */
  let given: number
  beforeEach(() => {
    cancelled = given = 0
    mesh = createFakeMesh({
      slow: (_input, signal) => new Promise((end) => signal.addEventListener('abort', () => (cancelled++, end(null)))),
      late: () => new Promise((end) => (finish = () => end('late'))),
      big: async () => (given++, 'x'.repeat(BOUND))
    })
    closing = new AbortController()
    endpoint = createMcpEndpoint({ mesh, closing: closing.signal, heartbeatMs: 1, debounceMs: 0, maxUnreadBytes: BOUND })
  })
  afterEach(() => closing.abort())

  const send = (body: object | undefined, headers: Record<string, string> = {}): Promise<Response> => {
    const init = body === undefined ? { method: 'GET' } : { method: 'POST', body: JSON.stringify(body) }
    const all = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers }
    return endpoint.fetch(new Request('http://localhost/mcp', { ...init, headers: all }), { all: false })
  }
  const sendStateless = (method: string, params: object, headers: Record<string, string> = {}): Promise<Response> => {
    const _meta = {
      progressToken: 1,
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': clientInfo,
      'io.modelcontextprotocol/clientCapabilities': {}
    }
    const body = { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } }
    return send(body, { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...headers })
  }
  async function begin(): Promise<Record<string, string>> {
    const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo }
    const response = await send({ jsonrpc: '2.0', id: 1, method: 'initialize', params })
    await response.text()
    return { 'mcp-session-id': response.headers.get('mcp-session-id')! }
  }

  /** Clients are to be told that the list of tools is another. */
  function change(n: number): void {
    const [one] = mesh.capabilities() as [CapabilityView]
    mesh.capabilities = () => [{ ...one, tools: [...one.tools.slice(0, 1), { name: `more${n}` }] }]
    mesh.raise({ at: n, event: 'capability:updated', node: one.node, capability: one })
  }

  /** One client reads, the other does not. Resolves once the first has read much more than the bound: all of it, and the other had as much to read. */
  async function readOne(reads: Response, next: (n: number) => void): Promise<void> {
    const reader = reads.body!.getReader()
    let bytes = 0
    for (let n = 0; bytes < 4 * BOUND; n++) {
      next(n)
      const { done, value } = await within(reader.read(), 'what it is told')
      assert.equal(done, false)
      bytes += value.length
    }
  }

  const STREAMS: [what: string, open: () => Promise<[reads: Response, unread: Response]>, next: (n: number) => void][] = [
    ['GET of a session', async () => [await send(undefined, await begin()), await send(undefined, await begin())], change],
    [
      'call of a session',
      async () => {
        const params = { name: 'demo__slow', _meta: { progressToken: 1 } }
        const call = async () => send({ jsonrpc: '2.0', id: 2, method: 'tools/call', params }, await begin())
        return [await call(), await call()]
      },
      () => undefined
    ],
    [
      'call of 2026-07-28',
      async () => {
        const call = () => sendStateless('tools/call', { name: 'demo__slow' }, { 'mcp-name': 'demo__slow' })
        return [await call(), await call()]
      },
      () => undefined
    ],
    [
      'subscription of 2026-07-28',
      async () => {
        const listen = (notifications: object) => sendStateless('subscriptions/listen', { notifications })
        return [await listen({ toolsListChanged: true }), await listen({ toolsListChanged: true, resourceSubscriptions: [BELL] })]
      },
      change
    ]
  ]
  for (const [what, open, next] of STREAMS)
    it(`has no more than the bound kept for it, and one that reads is told all: ${what}`, async () => {
      const [reads, other] = await open()
      await readOne(reads, next)
      const { length } = await within(other.text(), 'the end of the stream')
      assert.ok(length >= BOUND && length < BOUND + MAX_MESSAGE, `${length} bytes`)
    })

  it('gets all answers of a batch once it reads, and little else was kept for it', async () => {
    const session = await begin()
    const call = (id: number, name: string) => ({
      ...{ jsonrpc: '2.0', id, method: 'tools/call' },
      params: { name: `demo__${name}`, _meta: { progressToken: id } }
    })
    const batch = await send([call(1, 'late'), ...[2, 3, 4].map((id) => call(id, 'big'))], session)
    await until(() => given === 3, 'the large answers')
    // Meanwhile much more progress of the last call is told than is kept.
    await readOne(await send(call(5, 'slow'), await begin()), () => undefined)
    finish()
    const messages = messagesIn(await within(batch.text(), 'the answers'))
    const answered = messages.flatMap(({ id, result }) => (result === undefined ? [] : [id]))
    assert.deepEqual(answered.sort(), [1, 2, 3, 4])
    const others = messages.filter(({ result }) => result === undefined)
    assert.ok(JSON.stringify(others).length < BOUND + MAX_MESSAGE, `${others.length} others`)
  })

  it('can open its stream of the session again', async () => {
    const session = await begin()
    const left = await send(undefined, session)
    await readOne(await send(undefined, await begin()), change)
    const again = await send(undefined, session)
    assert.equal(again.status, 200)
    await left.text()
    change(-1)
    assert.equal((await within(again.body!.getReader().read(), 'what it is told')).done, false)
  })

  it('is no longer subscribed, and its call without a session ends', async () => {
    await sendStateless('subscriptions/listen', { notifications: { toolsListChanged: true, resourceSubscriptions: [BELL] } })
    assert.deepEqual(mesh.subscribed(), ['test/demo:bell'])
    const call = () => sendStateless('tools/call', { name: 'demo__slow' }, { 'mcp-name': 'demo__slow' })
    await call()
    await readOne(await call(), () => undefined)
    await until(() => cancelled === 1, 'its call is cancelled')
    await readOne(await sendStateless('subscriptions/listen', { notifications: { toolsListChanged: true } }), change)
    assert.deepEqual(mesh.subscribed(), [])
  })
})
