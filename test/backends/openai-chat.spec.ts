import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MAX_ANSWER_BYTES, createOpenAiChatBackend } from '../../src/backends/openai-chat.ts'
import { parseConfig } from '../../src/config.ts'
import { chatCapabilityId } from '../../src/backends/openai-config.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { startScriptedModel, type ScriptedAnswer, type ScriptedModel } from '../fixtures/scripted-model.ts'
import { backendContract, errorOf, invoke, resultOf, run, until } from './contract.ts'

const KEY = 'sk-scripted-0123456789abcdef'
const ask = (text: string): JsonObject => ({ messages: [{ role: 'user', content: text }] })

backendContract(
  'openai-chat',
  async () => {
    const model = await startScriptedModel(({ messages }) => {
      const said = messages.at(-1)?.content ?? ''
      return said === 'fail' ? { status: 418 } : { text: `heard ${said}` }
    })
    return {
      backend: createOpenAiChatBackend({ kind: 'openai-chat', id: 'talk', baseUrl: model.url, model: 'scripted' }),
      capability: 'talk',
      echo: {
        tool: 'chat',
        input: (n) => ask(String(n)),
        output: (n) => ({
          ...{ id: 'chatcmpl-scripted', object: 'chat.completion', created: 0, model: 'scripted' },
          choices: [{ index: 0, message: { role: 'assistant', content: `heard ${n}` }, finish_reason: 'stop' }],
          usage: { prompt_tokens: 9, completion_tokens: 1, total_tokens: 10 }
        })
      },
      failing: { tool: 'chat', input: ask('fail'), message: /418: scripted 418/ },
      dispose: () => model.close()
    }
    // It sends nothing before its answer; how it is stopped is tested below.
  },
  { instant: true }
)

describe('backend openai-chat', () => {
  let model: ScriptedModel
  before(async () => (model = await startScriptedModel(undefined, KEY)))
  after(() => model.close())
  const make = (more: object = {}, env: Record<string, string> = { CHAT_KEY: KEY }) =>
    createOpenAiChatBackend(
      { kind: 'openai-chat', id: 'talk', baseUrl: model.url, model: 'scripted', apiKeyEnv: 'CHAT_KEY', ...more },
      { env, everyMs: 50 }
    )
  const chat = (input: JsonObject, more: object = {}, signal?: AbortSignal) =>
    invoke(make(more), 'talk', 'chat', input, { signal })

  it('offers llm/chat, with what its model can in the metadata, and no secret', async () => {
    const running = run(make({ vision: true }))
    const found = await running.snapshot()
    await running.stop()
    assert.deepEqual([found.type, found.metadata], ['llm/chat', { model: 'scripted', tools: true, vision: true }])
    assert.ok(!JSON.stringify(found).includes(KEY) && !JSON.stringify(found).includes('127.0.0.1'))
    assert.equal(chatCapabilityId({ model: 'Qwen/Qwen3 8B' }), 'qwen-qwen3-8b')
  })

  it('passes on what it is asked, names its own model, and gives back the whole answer', async () => {
    model.play(() => ({ calls: [['lamp__on', { level: 3 }]], tokens: 42 }))
    const tools = [{ type: 'function', function: { name: 'lamp__on', description: '', parameters: { type: 'object' } } }]
    const answer = (await resultOf(chat({ ...ask('light'), model: 'other', tools, top_p: 0.5 }))) as JsonObject
    assert.deepEqual(answer['usage'], { prompt_tokens: 41, completion_tokens: 1, total_tokens: 42 })
    const [request] = model.requests
    assert.deepEqual([request?.model, request?.body['top_p'], request?.tools?.length], ['scripted', 0.5, 1])
    assert.equal(request?.authorization, `Bearer ${KEY}`)
  })

  const ERRORS: [ScriptedAnswer, ErrorCode, RegExp][] = [
    [{ status: 400, body: { error: { message: 'no such role' } } }, 'invalid_argument', /400: no such role/],
    [{ status: 413 }, 'too_large', /413/],
    [{ status: 401, body: { error: `bad key ${KEY}` } }, 'unavailable', /refuses the key of this node \(HTTP 401\)$/],
    [{ status: 404, body: { message: 'model not found' } }, 'unavailable', /404: model not found/],
    [{ status: 429, headers: { 'retry-after': '7' } }, 'busy', /429/],
    [{ status: 503, body: '<html>' }, 'unavailable', /503$/],
    [{ status: 418 }, 'tool_failed', /418/],
    [{ raw: 'hello' }, 'protocol_error', /no JSON object/],
    [{ raw: `{"a":"${'x'.repeat(MAX_ANSWER_BYTES)}"}` }, 'too_large', /more than/]
  ]
  for (const [said, code, message] of ERRORS) {
    it(`${JSON.stringify(said).slice(0, 60)} is ${code}`, async () => {
      model.play(() => said)
      const error = await errorOf(chat(ask('x')), code)
      assert.match(error.message, message)
      assert.ok(!error.message.includes(KEY))
      if (code === 'busy') assert.equal(error.details['retryAfterMs'], 7_000)
    })
  }

  it('a cancel and a passed deadline reach the server', async () => {
    for (const [reason, code] of [
      ['AbortError', 'cancelled'],
      ['TimeoutError', 'deadline_exceeded']
    ] as const) {
      const { left } = model
      model.play(() => ({ hang: true }))
      const abort = new AbortController()
      const ended = errorOf(chat(ask('x'), {}, abort.signal), code)
      await until(() => model.requests.length === 1, 'the request')
      abort.abort(new DOMException('test', reason))
      await ended
      await until(() => model.left === left + 1, 'the end of the request')
    }
  })

  it('its own time ends it, too', async () => {
    model.play(() => ({ hang: true }))
    assert.match((await errorOf(chat(ask('x'), { timeoutMs: 50 }), 'deadline_exceeded')).message, /50 ms/)
  })

  it('waits as long as it may, not as long as the fetch of Node would', async () => {
    // Of undici, which is inside of Node: its limits are 300 s, which no test waits for.
    const key = Symbol.for('undici.globalDispatcher.1')
    const globals = globalThis as unknown as Record<symbol, { constructor: new (limits: object) => object }>
    await fetch(`${model.url}/models`).then((response) => response.body?.cancel())
    const before = globals[key]!
    globals[key] = new before.constructor({ headersTimeout: 20, bodyTimeout: 20 }) as typeof before
    const held: ServerResponse[] = []
    const server = createServer((_, outgoing) => void held.push(outgoing))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
    try {
      const answered = resultOf(chat(ask('think'), { baseUrl }))
      answered.catch(() => {})
      await until(() => held.length === 1, 'the request')
      const isTooLate = (error: unknown) => ((error as Error).cause as { code?: string }).code === 'UND_ERR_HEADERS_TIMEOUT'
      await assert.rejects(fetch(baseUrl), isTooLate)
      held[0]!.end('{"choices":[]}')
      assert.deepEqual(await answered, { choices: [] })
    } finally {
      globals[key] = before
      server.closeAllConnections()
      server.close()
    }
  })

  it('is offline with the reason while it cannot be used, and online as soon as it can', async () => {
    const gone = await startScriptedModel()
    await gone.close()
    for (const [backend, reason] of [
      [make({}, {}), /CHAT_KEY is not set/],
      [make({}, { CHAT_KEY: 'wrong' }), /refuses the key/],
      [make({ baseUrl: gone.url }), /does not answer: ECONNREFUSED/]
    ] as const) {
      const running = run(backend)
      const found = await running.snapshot()
      assert.equal(found.status, 'offline')
      assert.match(found.statusReason ?? '', reason)
      await running.stop()
    }
    let status = 503
    const server = createServer((_, outgoing) => outgoing.writeHead(status).end('{}'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const running = run(make({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }))
    assert.match((await running.snapshot()).statusReason ?? '', /status 503/)
    status = 200
    assert.equal((await running.snapshot()).status, undefined)
    await running.stop()
    server.closeAllConnections()
    server.close()
  })

  it('takes no address with a password or a key in it, and tells nobody of it', async () => {
    const problems = (baseUrl: string) => {
      try {
        parseConfig(JSON.stringify({ backends: [{ kind: 'openai-chat', baseUrl, model: 'm' }] }), 'atmo.yaml')
        return ''
      } catch (error) {
        return (error as Error).message
      }
    }
    assert.equal(problems('https://h:8/v1/'), '')
    for (const baseUrl of [
      'http://u:secret9@h/v1',
      'http://secret9@h',
      'http://h/v1?key=secret9',
      'http://h/#secret9',
      'http://'
    ])
      assert.match(problems(baseUrl), /baseUrl/)
    for (const baseUrl of ['http://u:secret9@127.0.0.1:1/v1', 'http://secret9:99999/v1']) {
      const running = run(make({ baseUrl }))
      const { statusReason = '' } = await running.snapshot()
      await running.stop()
      const { message } = await errorOf(invoke(make({ baseUrl }), 'talk', 'chat', ask('x')), 'unavailable')
      assert.ok(!`${statusReason} ${message}`.includes('secret9') && statusReason !== '', statusReason)
      assert.match(message, /baseUrl/)
    }
  })

  it('does not follow a redirect with its key', async () => {
    model.play(() => ({ status: 302, headers: { location: 'http://127.0.0.1:1/' } }))
    assert.match((await errorOf(chat(ask('x')), 'unavailable')).message, /does not answer/)
  })
})
