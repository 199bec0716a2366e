import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeSource } from '../../protocols/trigger/event-names.ts'
import type { Backend } from '../../src/backends/backend.ts'
import type { WebhookOutConfig } from '../../src/backends/webhook-config.ts'
import { MAX_HEADER_LENGTH } from '../../src/backends/webhook-sender.ts'
import { MAX_UNDELIVERED, UNDELIVERED_MS, createWebhookBackend } from '../../src/backends/webhook.ts'
import { isMeshError, type MeshError } from '../../src/errors.ts'
import type { ReceivedEvent } from '../../src/mesh-api-events.ts'
import { eventContext, receivedEvent } from '../fixtures/received-event.ts'
import { startReceiver, type ReceivedWebhook, type WebhookReceiver } from '../fixtures/webhook-receiver.ts'
import { backendContract, invoke, resultOf, run, until, within, type Running } from './contract.ts'

const KEY = Buffer.from('0123456789abcdef0123456789abcdef')
const SECRET = `whsec_${KEY.toString('base64')}`

/** What a receiver makes of the headers, by the text of the specification. */
const expected = ({ headers, body }: ReceivedWebhook, key = KEY): string =>
  `v1,${createHmac('sha256', key)
    .update(`${headers['webhook-id'] as string}.${headers['webhook-timestamp'] as string}.${body.toString()}`)
    .digest('base64')}`

backendContract('webhook', async () => {
  const receiver = await startReceiver()
  receiver.answer = (response, { body }) => {
    const { type } = JSON.parse(body.toString()) as { type: string }
    if (type === 'hang') return
    response.writeHead(type === 'refused' ? 418 : Number(type)).end()
  }
  return {
    backend: createWebhookBackend({ kind: 'webhook', id: 'house', out: { url: receiver.url } }, { baseDir: '.' }),
    capability: 'house',
    echo: { tool: 'send', input: (n) => ({ type: String(200 + n) }), output: (n) => ({ status: 200 + n }) },
    slow: { tool: 'send', input: { type: 'hang' }, isGone: () => receiver.working === 0 },
    failing: { tool: 'send', input: { type: 'refused' }, message: /the receiver refuses it \(HTTP 418\)/ },
    dispose: () => receiver.stop()
  }
})

describe('webhook backend, events out', () => {
  let receiver: WebhookReceiver
  let folder: string
  let running: Running | undefined
  let [clock, mono] = [0, 0]
  beforeEach(async () => {
    ;[clock, mono] = [Date.now(), 0]
    folder = await mkdtemp(join(tmpdir(), 'atmo-webhook-'))
    receiver = await startReceiver()
  })
  afterEach(async () => {
    await running?.stop()
    running = undefined
    await receiver.stop()
    await rm(folder, { recursive: true })
  })

  const make = (out: Partial<WebhookOutConfig> = {}, env: Record<string, string> = { SECRET }): Backend =>
    createWebhookBackend(
      { kind: 'webhook', id: 'house', out: { url: receiver.url, secretEnv: 'SECRET', ...out } },
      { baseDir: folder, env, recheckMs: 30, clock: () => clock, now: () => mono }
    )
  const handle = (backend: Backend, event: Partial<ReceivedEvent> = {}, signal?: AbortSignal): Promise<void> =>
    within(backend.handle!('house', receivedEvent(event), eventContext(signal)), 'the handler')
  const failure = async (promise: Promise<unknown>): Promise<MeshError> => {
    const error: unknown = await promise.then(
      () => assert.fail('it did not fail'),
      (reason: unknown) => reason
    )
    assert.ok(isMeshError(error), String(error))
    return error
  }
  const answers = (status: number, headers: Record<string, string> = {}): void => {
    receiver.answer = (response: ServerResponse) => void response.writeHead(status, headers).end('x'.repeat(9))
  }

  it('sends a CloudEvent, signed by Standard Webhooks, with one id however often it comes', async () => {
    const backend = make()
    await handle(backend)
    await handle(backend)
    const [first, second] = receiver.received as [ReceivedWebhook, ReceivedWebhook]
    assert.deepEqual(
      [first.method, first.path, first.headers['content-type']],
      ['POST', '/events', 'application/cloudevents+json; charset=utf-8']
    )
    assert.equal(first.headers['webhook-id'], '12D3KooWSource_12-4')
    assert.equal(second.headers['webhook-id'], first.headers['webhook-id'])
    assert.ok(Math.abs(Number(first.headers['webhook-timestamp']) - Date.now() / 1_000) < 60)
    assert.equal(first.headers['webhook-signature'], expected(first))
    assert.deepEqual(JSON.parse(first.body.toString()), {
      specversion: '1.0',
      id: '12-4',
      // As who watches events is told it, and as nodes tell it each other.
      source: encodeSource({ mesh: 'open', node: '12D3KooWSource', capability: 'cam' }),
      type: 'sensor.camera.person',
      subject: 'the door',
      time: '2026-11-29T12:00:00.000Z',
      priority: 'normal',
      intent: 'Somebody is at the door.',
      hopdepth: 0,
      datacontenttype: 'application/json',
      data: { location: 'the door' }
    })
  })

  it('binary mode: the data is the body, the rest stands in headers, encoded as the standard says', async () => {
    await handle(make({ mode: 'binary' }), { intent: 'Grüße "100 %" \ud800\n', coalesced: 3, depth: 2 })
    const [{ headers, body }] = receiver.received as [ReceivedWebhook]
    assert.deepEqual(JSON.parse(body.toString()), { location: 'the door' })
    assert.equal(headers['content-type'], 'application/json')
    assert.equal(headers['ce-intent'], 'Gr%C3%BC%C3%9Fe%20%22100%20%25%22%20%EF%BF%BD%0A')
    const { 'ce-type': type, 'ce-specversion': version, 'ce-coalesced': count, 'ce-hopdepth': depth } = headers
    assert.deepEqual([type, version, count, depth], ['sensor.camera.person', '1.0', '3', '2'])
    assert.equal(headers['webhook-signature'], expected(receiver.received[0]!))
  })

  it('binary mode: what is too long for a header is left out, and stands in structured mode', async () => {
    // Three bytes each, once they are encoded.
    const fits = '%'.repeat(Math.floor(MAX_HEADER_LENGTH / 3))
    for (const intent of [fits, `${fits}%`, 'x'.repeat(100_000)]) {
      receiver.received.length = 0
      await handle(make({ mode: 'binary' }), { intent })
      await handle(make(), { intent })
      const [binary, structured] = receiver.received as [ReceivedWebhook, ReceivedWebhook]
      assert.equal(binary.headers['ce-intent'], intent === fits ? intent.replaceAll('%', '%25') : undefined)
      assert.equal(binary.headers['ce-id'], '12-4')
      assert.equal((JSON.parse(structured.body.toString()) as { intent: string }).intent, intent)
    }
  })

  it('two keys sign both, while a new one takes the place of an old one; without a secret nothing is signed', async () => {
    const other = Buffer.alloc(24, 7)
    await writeFile(join(folder, 'secret'), `${SECRET}\nwhsec_${other.toString('base64')}\n`)
    await handle(make({ secretEnv: undefined, secretFile: 'secret' }))
    const [request] = receiver.received as [ReceivedWebhook]
    assert.equal(request.headers['webhook-signature'], `${expected(request)} ${expected(request, other)}`)
    await handle(make({ secretEnv: undefined }))
    assert.equal(receiver.received[1]!.headers['webhook-signature'], undefined)
  })

  it('4xx is refused for good, all else comes again, and when it may is heard', async () => {
    const backend = make()
    for (const status of [400, 401, 404, 410, 422]) {
      answers(status)
      const { code, details } = await failure(handle(backend))
      assert.deepEqual([code, details], ['tool_failed', { httpStatus: status, retryable: false }])
    }
    for (const [status, code] of [
      [408, 'unavailable'],
      [425, 'unavailable'],
      [429, 'busy'],
      [500, 'unavailable'],
      [503, 'unavailable']
    ] as const) {
      answers(status, { 'retry-after': '7' })
      const error = await failure(handle(backend))
      assert.deepEqual([error.code, error.retryable, error.details['retryAfterMs']], [code, true, 7_000])
    }
    answers(503, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() })
    const { retryAfterMs } = (await failure(handle(backend))).details
    assert.ok((retryAfterMs as number) > 50_000 && (retryAfterMs as number) < 61_000, String(retryAfterMs))
    for (const nonsense of ['soon', '-1', '1e400']) {
      answers(429, { 'retry-after': nonsense })
      assert.equal((await failure(handle(backend))).details['retryAfterMs'], undefined)
    }
  })

  it('follows no redirect, and reads no answer', async () => {
    const elsewhere = await startReceiver()
    try {
      answers(307, { location: elsewhere.url })
      const error = await failure(handle(make()))
      assert.match(error.message, /redirects are not followed/)
      assert.equal(error.retryable, true)
      assert.equal(elsewhere.received.length, 0)
    } finally {
      await elsewhere.stop()
    }
    // Without an end.
    receiver.answer = (response) => {
      response.writeHead(200)
      const more = (): void => void (response.destroyed || response.write('x'.repeat(65_536), more))
      more()
    }
    await handle(make())
    await until(() => receiver.working === 0, 'the end of the answer')
  })

  it('a receiver that is silent, or not there, is tried again; neither address nor secret is told', async () => {
    receiver.answer = () => undefined
    const errors = [await failure(handle(make({ timeoutMs: 50 })))]
    await until(() => receiver.working === 0, 'the end of the request')
    const controller = new AbortController()
    const given = failure(handle(make(), {}, controller.signal))
    await until(() => receiver.working === 1, 'the request')
    controller.abort()
    assert.equal((await given).code, 'cancelled')
    await receiver.stop()
    errors.push(await failure(handle(make())))
    assert.deepEqual(
      errors.map(({ code, message }) => [code, message.replace('UND_ERR_SOCKET', 'ECONNREFUSED')]),
      [
        ['unavailable', 'the receiver has not answered within 50 ms'],
        ['unavailable', 'the receiver cannot be reached (ECONNREFUSED)']
      ]
    )
  })

  it('is degraded while the receiver fails, and offline without a usable secret; announces neither address nor secret', async () => {
    const backend = make()
    running = run(backend)
    const declared = await running.snapshot()
    assert.deepEqual([declared.status, declared.type, declared.handles], ['online', 'message/webhook', {}])
    assert.ok(!/127\.0|whsec|SECRET/.test(JSON.stringify(declared)))
    answers(500)
    await failure(handle(backend))
    const degraded = await running.snapshot(({ status }) => status === 'degraded')
    assert.equal(degraded.statusReason, `the receiver failed (HTTP 500), since ${new Date(clock).toISOString()}`)
    answers(200)
    await handle(backend)
    await running.snapshot(({ status }) => status === 'online')
    await running.stop()
    for (const [env, reason] of [
      [{}, 'out: the variable SECRET is not set; set it, and start the node again'],
      [{ SECRET: 'whsec_c2hvcnQ=' }, 'out: the secret must be whsec_ and 24 to 64 bytes in base64, as Standard Webhooks has it'],
      [
        { SECRET: 'correct horse battery staple' },
        'out: the secret must be whsec_ and 24 to 64 bytes in base64, as Standard Webhooks has it'
      ]
    ] as const) {
      running = run(make({}, env))
      const { status, statusReason } = await running.snapshot()
      assert.deepEqual([status, statusReason], ['offline', reason])
      await running.stop()
    }
    running = run(make({ url: undefined, urlEnv: 'URL' }, { SECRET, URL: 'file:///etc/passwd' }))
    assert.equal((await running.snapshot()).statusReason, 'out: the address of the receiver must begin with http:// or https://')
  })

  it('says since when the receiver fails, and how many events have not arrived, each once', async () => {
    const backend = make()
    running = run(backend)
    const begun = new Date(clock).toISOString()
    const fail = async (status: number, id: string): Promise<void> => {
      answers(status)
      await failure(handle(backend, { id }))
    }
    assert.equal(backend.waiting!(), 0)
    await fail(500, '1-1')
    clock += 60_000
    for (const id of ['1-1', '1-2', '1-3']) await fail(503, id)
    const { statusReason } = await running.snapshot(({ statusReason: reason }) => reason?.includes('503') === true)
    assert.equal(statusReason, `the receiver failed (HTTP 503), since ${begun}`)
    assert.equal(backend.waiting!(), 3)
    await fail(410, '1-2')
    assert.equal(backend.waiting!(), 2, 'what is refused does not come again')
    answers(200)
    await handle(backend, { id: '1-3' })
    assert.equal(backend.waiting!(), 1, 'the first has not arrived yet')
    // It may have gone to another handler, or be a dead letter by now.
    mono += UNDELIVERED_MS
    assert.equal(backend.waiting!(), 0)
    // What cannot be signed is not even sent.
    const unsigned = make({}, {})
    for (let n = 0; n <= MAX_UNDELIVERED; n++) await failure(handle(unsigned, { id: `2-${n}` }))
    assert.equal(unsigned.waiting!(), MAX_UNDELIVERED)
  })

  it('the tool sends what it is given', async () => {
    const backend = make()
    const sent = invoke(backend, 'house', 'send', { type: 'note', subject: 'attic', data: [1] })
    assert.deepEqual(await resultOf(sent), { status: 204 })
    const { time, id, ...event } = JSON.parse(receiver.received[0]!.body.toString()) as Record<string, unknown>
    assert.ok(Date.parse(time as string) > 0)
    const source = 'atm:12D3KooWCaller'
    const given = { type: 'note', subject: 'attic', data: [1] }
    assert.equal(id, receiver.received[0]!.headers['webhook-id'])
    assert.deepEqual(event, { specversion: '1.0', source, datacontenttype: 'application/json', ...given })
  })
})
