import assert from 'node:assert/strict'
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/client'
import { bridgeMcp } from '../../../src/cli/mcp-bridge.ts'

const INITIALIZE = {
  jsonrpc: '2.0' as const,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } }
}
const SERVED = { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } }

type Asked = { id?: string | number; method: string; params?: { uri?: string } }
type Answer = (asked: Asked, signal: AbortSignal) => Response | Promise<Response>

const json = (body: object, session?: string) =>
  Response.json(body, { headers: session === undefined ? {} : { 'mcp-session-id': session } })
const events = (cancelled: AbortSignal, text?: string) => {
  const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    cancelled.addEventListener('abort', () => controller.error(cancelled.reason))
    if (text === undefined) return
    controller.enqueue(new TextEncoder().encode(text))
    controller.close()
  }
  return new Response(new ReadableStream({ start }), { headers: { 'content-type': 'text/event-stream' } })
}
const begun: Answer = ({ id }) => json({ jsonrpc: '2.0', id, result: SERVED }, 'second')

describe('atmo mcp: a session that begins again', () => {
  let told: JSONRPCMessage[]
  let onTold: () => void
  let client: Transport
  let renewal: Answer
  let renewals: AbortSignal[]
  let isOver: boolean
  /** What the second session was subscribed to, in order. */
  let again: (string | undefined)[]
  let abort: AbortController
  let bridge: Promise<void>

  /** As a node that has the first session until {@link isOver}, and the second one once it has begun. */
  async function fetch(init: RequestInit): Promise<Response> {
    if (init.method === 'GET') return new Response(null, { status: 405 })
    if (init.method === 'DELETE') return new Response(null, { status: 200 })
    const asked = JSON.parse(init.body as string) as Asked
    if (asked.method === 'initialize') {
      if (asked.id === 1) return json({ jsonrpc: '2.0', id: 1, result: SERVED }, 'first')
      renewals.push(init.signal!)
      return renewal(asked, init.signal!)
    }
    if (asked.id === undefined) return new Response(null, { status: 202 })
    if (isOver && asked.method === 'resources/subscribe') again.push(asked.params?.uri)
    const isFirst = new Headers(init.headers).get('mcp-session-id') === 'first'
    return isOver && isFirst ? new Response('{}', { status: 404 }) : json({ jsonrpc: '2.0', id: asked.id, result: { tools: [] } })
  }

  beforeEach(async () => {
    told = []
    renewals = []
    again = []
    isOver = false
    onTold = () => {}
    abort = new AbortController()
    let onStarted = (): void => {}
    const started = new Promise<void>((resolve) => (onStarted = resolve))
    client = {
      start: async () => onStarted(),
      close: async () => {},
      async send(message) {
        told.push(message)
        onTold()
      }
    }
    bridge = bridgeMcp({ client, fetch, renewalMs: 200 }, abort.signal)
    await started
    await answerTo(1, INITIALIZE.method, INITIALIZE.params)
    client.onmessage!({ jsonrpc: '2.0', method: 'notifications/initialized' })
    assert.ok('result' in (await answerTo(2, 'tools/list')))
    isOver = true
  })
  afterEach(async () => {
    abort.abort()
    await bridge
  })

  async function answerTo(id: number, method: string, params = {}): Promise<JSONRPCMessage> {
    const found = () => told.find((one) => 'id' in one && one.id === id)
    const answered = new Promise<void>((resolve) => (onTold = () => void (found() !== undefined && resolve())))
    client.onmessage!({ jsonrpc: '2.0', id, method, params })
    await answered
    return found()!
  }

  it('is subscribed to what the one before was, once it has begun', async () => {
    isOver = false
    for (const [at, uri] of ['a://1', 'a://2', 'a://3'].entries()) await answerTo(10 + at, 'resources/subscribe', { uri })
    await answerTo(13, 'resources/unsubscribe', { uri: 'a://2' })
    isOver = true
    renewal = begun
    const before = told.length
    assert.ok('result' in (await answerTo(14, 'tools/list')))
    assert.deepEqual(again, ['a://1', 'a://3'])
    assert.deepEqual(
      told.slice(before).map((one) => ('method' in one ? one.method : 'id' in one && one.id)),
      ['notifications/tools/list_changed', 'notifications/resources/list_changed', 14]
    )
  })

  it('is begun once, and the client need not know', async () => {
    renewal = begun
    assert.ok('result' in (await answerTo(3, 'tools/list')))
    assert.equal(renewals.length, 1)
    assert.ok(told.some((one) => 'method' in one && one.method === 'notifications/tools/list_changed'))
  })

  const failures: Record<string, Answer> = {
    'goes before it has answered': (_asked, signal) => events(signal, ': bye\n\n'),
    'says no': ({ id }) => json({ jsonrpc: '2.0', id, error: { code: -32_603, message: 'no more room' } }),
    'does not answer': (_asked, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    'begins to answer, and no more': (_asked, signal) => events(signal),
    'refuses with a status': () => new Response('{"error":{"message":"busy: too many"}}', { status: 503 })
  }
  for (const [what, answer] of Object.entries(failures))
    it(`fails what waits for it when the node ${what}, and is tried again`, async () => {
      renewal = answer
      const failed = await answerTo(3, 'tools/list')
      assert.ok('error' in failed, JSON.stringify(failed))
      assert.match(failed.error.message, /unavailable|busy/)
      assert.equal(renewals.length, 1)
      assert.ok(renewals[0]!.aborted)
      renewal = begun
      assert.ok('result' in (await answerTo(4, 'tools/list')))
      assert.equal(renewals.length, 2)
    })

  it('does not keep the bridge from its end', async () => {
    const asked = new Promise<void>((resolve) => {
      renewal = (_asked, signal) => {
        resolve()
        return events(signal)
      }
    })
    client.onmessage!({ jsonrpc: '2.0', id: 3, method: 'tools/list', params: {} })
    await asked
    abort.abort()
    await bridge
    assert.ok(renewals[0]!.aborted)
  })
})
