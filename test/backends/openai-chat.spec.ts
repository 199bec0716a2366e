import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MAX_ANSWER_BYTES, createOpenAiChatBackend } from '../../src/backends/openai-chat.ts'
import { OWNER_FIELDS } from '../../src/backends/openai-chat-request.ts'
import { parseConfig } from '../../src/config.ts'
import { chatCapabilityId } from '../../src/backends/openai-config.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { startScriptedModel, type ScriptedAnswer, type ScriptedModel } from '../fixtures/scripted-model.ts'
import { backendContract, collect, errorOf, invoke, resultOf, run, until } from './contract.ts'

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
    assert.deepEqual(
      found.tools?.map(({ name, streams }) => [name, streams]),
      [['chat', true]]
    )
    assert.ok(!JSON.stringify(found).includes(KEY) && !JSON.stringify(found).includes('127.0.0.1'))
    assert.equal(chatCapabilityId({ model: 'Qwen/Qwen3 8B' }), 'qwen-qwen3-8b')
  })

  it('has its server fetch nothing that its owner has not named', async () => {
    const showing = (part: JsonObject): JsonObject => ({
      messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }, part] }]
    })
    const seen = model.requests.length
    for (const part of [
      { type: 'image_url', image_url: { url: 'http://169.254.169.254/latest' } },
      { type: 'image_url', image_url: 'http://192.168.1.1/' },
      { type: 'image_url', image_url: { url: `${model.url}/slots` } },
      { type: 'image_url', image_url: { url: 'file:///etc/passwd' } },
      { type: 'image_url', image_url: { url: '/etc/passwd' } },
      { type: 'image_url', image_url: { url: 'http://images.lan.evil/x' } },
      { type: 'video_url', video_url: { url: 'http://images.lan@evil/x' } }
    ] as JsonObject[]) {
      const { details } = await errorOf(chat(showing(part), { imageHosts: ['images.lan'] }), 'invalid_argument')
      assert.equal(details['key'], `messages[0].content[1].${part['type'] as string}`)
    }
    assert.equal(model.requests.length, seen)
    for (const url of ['data:image/png;base64,AA', 'http://images.lan/x.png'])
      await resultOf(chat(showing({ type: 'image_url', image_url: { url } }), { imageHosts: ['images.lan'] }))
    assert.equal(model.requests.length, seen + 2)
  })

  for (const field of OWNER_FIELDS)
    it(`${field} is for the owner of the server to set`, async () => {
      const { details } = await errorOf(chat({ ...ask('x'), [field]: 'x' }), 'invalid_argument')
      assert.equal(details['key'], field)
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
    [{ raw: '{"error":"out of memory"}' }, 'protocol_error', /no chat completion/],
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

  for (const [runsTools, asked] of [
    [true, 1],
    [false, 2],
    [undefined, 2]
  ] as const)
    it(`a server that dies at a request ${runsTools === true ? 'and runs tools itself gets it once' : 'over a kept connection gets it again'} (runsTools: ${runsTools})`, async () => {
      const running = run(make({ runsTools }))
      assert.equal((await running.snapshot()).tools?.[0]?.idempotent, runsTools !== true)
      await running.stop()
      let dies = false
      let count = 0
      const server = createServer((incoming, outgoing) => {
        incoming.resume().on('end', () => {
          if (dies) count++
          if (dies) outgoing.destroy()
          else outgoing.end('{"choices":[]}')
        })
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const backend = make({ runsTools, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` })
      try {
        for (const stream of [false, true]) {
          dies = false
          count = 0
          await resultOf(invoke(backend, 'talk', 'chat', ask('open the gate')))
          dies = true
          await errorOf(invoke(backend, 'talk', 'chat', { ...ask('open the gate'), stream }), 'unavailable')
          assert.equal(count, asked, `stream: ${stream}`)
        }
      } finally {
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

  describe('streams', () => {
    const start = async (input: JsonObject = {}, more: object = {}, signal?: AbortSignal) => {
      const items = await collect(chat({ ...ask('x'), ...input, stream: true }, more, signal))
      const last = items.at(-1)
      assert.equal(last?.kind, 'result')
      const chunks = items
        .slice(0, -1)
        .map((item) => (item.kind === 'json' ? (item.value as JsonObject) : assert.fail(item.kind)))
      return { chunks, whole: last.value as unknown as Whole }
    }
    interface Whole {
      object: string
      id: string
      usage?: JsonObject
      choices: { index: number; message: JsonObject & { tool_calls?: JsonObject[] }; finish_reason: string; logprobs?: unknown }[]
    }
    const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`
    const delta = (delta: object, more: object = {}) => ({ id: 'c1', choices: [{ index: 0, delta, ...more }] })
    const END = event(delta({}, { finish_reason: 'stop' }))
    const HI = event(delta({ role: 'assistant', content: 'hi' }))
    const textOf = ({ choices: [first] }: Whole) => first?.message['content']

    it('chunks as they come, then the same answer as without', async () => {
      model.play(() => ({ text: 'two words', calls: [['lamp__on', { level: 3, room: 'hall' }]], tokens: 42 }))
      const { chunks, whole } = await start({ stream_options: { include_usage: false }, model: 'other' })
      assert.equal((chunks[1] as unknown as { choices: { delta: JsonObject }[] }).choices[0]?.delta['content'], 'two ')
      assert.deepEqual(chunks.at(-1)?.['usage'], { prompt_tokens: 41, completion_tokens: 1, total_tokens: 42 })
      assert.deepEqual(model.requests[0]?.body['stream_options'], { include_usage: true })
      assert.equal(model.requests[0]?.model, 'scripted')
      const { logprobs: _none, ...choice } = whole.choices[0]!
      const plain = (await resultOf(chat({ ...ask('x'), stream_options: {} }))) as unknown as Whole
      assert.equal(model.requests[1]?.body['stream_options'], undefined)
      const ids = (one: Whole['choices'][0]) => JSON.parse(JSON.stringify(one).replace(/call_\d+/g, 'call')) as object
      assert.deepEqual(ids(choice), ids(plain.choices[0]!))
      assert.deepEqual({ ...whole, choices: [] }, { ...plain, choices: [] })
    })

    const WHOLE: [string, (string | Uint8Array)[], unknown][] = [
      ['without [DONE]', [HI, END], 'hi'],
      ['without the last empty line', [HI, END.trimEnd()], 'hi'],
      [
        'with comments, other fields and CR LF',
        [`: warming up\r\n\r\nevent: x\r\nid: 1\r\n${HI.trimEnd()}\r`, '\n\r', '\n', END],
        'hi'
      ],
      ['with CR alone', [HI.replaceAll('\n', '\r'), END], 'hi'],
      ['without a blank after the colon', [HI.replace('data: ', 'data:'), END, 'data:[DONE]\n\n'], 'hi'],
      [
        'of lines of data that belong together',
        ['data: {"choices":[{"index":0,\ndata: "delta":{"content":"hi"}}]}\n\n', END],
        'hi'
      ],
      [
        'byte by byte',
        [...Buffer.from(event(delta({ content: 'Grüße 🦙' })))].map((byte) => Uint8Array.of(byte)).concat(Buffer.from(END)),
        'Grüße 🦙'
      ],
      [
        'with nulls and keys that nobody knows',
        [event({ ...delta({ role: 'assistant', content: null, tool_calls: null, x: { y: 1 } }), usage: null }), HI, END],
        'hi'
      ],
      ['that says more after [DONE]', [HI, END, 'data: [DONE]\n\n', event(delta({ content: ' and more' }))], 'hi'],
      ['of a server that does not stream', ['{"choices":[{"message":{"content":"hi"}}]}'], 'hi']
    ]
    for (const [what, pieces, text] of WHOLE)
      it(`reads a stream ${what}`, async () => {
        model.play(() => ({
          pieces,
          contentType: what.includes('not stream') ? 'application/json' : 'text/event-stream; charset=utf-8'
        }))
        const { whole } = await start()
        assert.equal(textOf(whole), text)
      })

    it('puts calls together that have no index, or arguments that are no text', async () => {
      const call = (call: object) => event(delta({ tool_calls: [call] }))
      model.play(() => ({
        pieces: [
          call({ id: 'a', function: { name: 'one', arguments: '{"x"' } }),
          call({ function: { arguments: ':1}' } }),
          call({ id: 'b', type: 'function', function: { name: 'two', arguments: { y: 2 } } }),
          event(delta({ reasoning_content: 'hm' })),
          event(delta({ reasoning_content: 'm' }, { finish_reason: 'tool_calls' }))
        ]
      }))
      const { message } = (await start()).whole.choices[0]!
      assert.deepEqual(message, {
        role: 'assistant',
        content: null,
        reasoning_content: 'hmm',
        tool_calls: [
          { type: 'function', id: 'a', function: { name: 'one', arguments: '{"x":1}' } },
          { type: 'function', id: 'b', function: { name: 'two', arguments: '{"y":2}' } }
        ]
      })
    })

    it('keeps several choices apart', async () => {
      const of = (index: number, content: string, finish_reason?: string) =>
        event({ choices: [{ index, delta: { content }, finish_reason }] })
      model.play(() => ({ pieces: [of(1, 'b'), of(0, 'a'), of(1, 'B', 'stop'), of(0, 'A', 'length')] }))
      const { whole } = await start()
      assert.deepEqual(
        whole.choices.map(({ index, message, finish_reason }) => [index, message['content'], finish_reason]),
        [
          [0, 'aA', 'length'],
          [1, 'bB', 'stop']
        ]
      )
    })

    const BROKEN: [string, ScriptedAnswer, ErrorCode, RegExp][] = [
      ['an end without finish_reason', { pieces: [HI, 'data: [DONE]\n\n'] }, 'unavailable', /in the middle/],
      ['an end with nothing', { pieces: [] }, 'unavailable', /in the middle/],
      ['a connection that breaks', { pieces: [HI], then: 'cut' }, 'unavailable', /does not answer/],
      [
        'an error in the middle',
        { pieces: [HI, event({ error: { message: `broken ${KEY}` } })] },
        'unavailable',
        /500: broken …$/
      ],
      ['an error as text', { pieces: [HI, event({ error: 'no memory' })] }, 'unavailable', /500: no memory/],
      [
        'an error with its status',
        { pieces: [event({ error: { code: 400, message: 'too long' } })] },
        'invalid_argument',
        /400: too long/
      ],
      ['what is no JSON', { pieces: [HI, 'data: oops\n\n'] }, 'protocol_error', /no JSON/],
      ['what is no chunk', { pieces: [event({ choices: 7 })] }, 'protocol_error', /no chunk/],
      ['a page with status 200', { pieces: ['<html>welcome</html>'], contentType: 'text/html' }, 'protocol_error', /no JSON/],
      [
        'an error with status 200',
        { pieces: ['{"error":"x"}'], contentType: 'application/json' },
        'protocol_error',
        /no chat completion/
      ],
      ['an event without end', { pieces: Array<string>(17).fill('data: x'.padEnd(65_536, 'x')) }, 'too_large', /event of more/],
      ['a status', { status: 429, headers: { 'retry-after': '7' } }, 'busy', /429/]
    ]
    for (const [what, said, code, message] of BROKEN)
      it(`${what} is ${code}`, async () => {
        model.play(() => said)
        const error = await errorOf(chat({ ...ask('x'), stream: true }), code)
        assert.match(error.message, message)
        assert.ok(!error.message.includes(KEY))
        if (code === 'busy') assert.equal(error.details['retryAfterMs'], 7_000)
      })

    it('a server that does not begin, and one that stalls, are left; one that is slow with its first word is not', async () => {
      const stalled = (more: object) => errorOf(chat({ ...ask('x'), stream: true }, more), 'unavailable')
      model.play(() => ({ hang: true }))
      assert.match((await stalled({ firstByteMs: 30 })).message, /not begun to answer within 30 ms/)
      model.play(() => ({ pieces: [], then: 'hang' }))
      assert.match((await stalled({ firstByteMs: 30 })).message, /not begun to answer within 30 ms/)
      model.play(() => ({ pieces: [HI], then: 'hang' }))
      assert.match((await stalled({ idleMs: 30 })).message, /stalled .* 30 ms/)
      model.play(async () => {
        await new Promise((resolve) => setTimeout(resolve, 60))
        return { text: 'slow' }
      })
      assert.equal(textOf((await start({}, { idleMs: 30 })).whole), 'slow')
      model.play(() => ({ pieces: [HI], then: 'hang' }))
      await errorOf(chat({ ...ask('x'), stream: true }, { timeoutMs: 50 }), 'deadline_exceeded')
    })

    it('while its reader holds a chunk, no time of the server passes', async () => {
      model.play(() => ({ pieces: [HI, HI, END] }))
      const parts: string[] = []
      for await (const item of chat({ ...ask('x'), stream: true }, { idleMs: 20 })) {
        parts.push(item.kind)
        await new Promise((resolve) => setTimeout(resolve, 60))
      }
      assert.deepEqual(parts, ['json', 'json', 'json', 'result'])
    })

    it('who leaves, or cancels, ends the request', async () => {
      for (const leave of [true, false]) {
        const { left } = model
        model.play(() => ({ pieces: [HI], then: 'hang' }))
        const abort = new AbortController()
        const read = async () => {
          for await (const item of chat({ ...ask('x'), stream: true }, {}, abort.signal)) {
            assert.equal(item.kind, 'json')
            if (leave) return
            abort.abort(new DOMException('test', 'AbortError'))
          }
        }
        if (leave) await read()
        else await assert.rejects(read(), { code: 'cancelled' })
        await until(() => model.left === left + 1, 'the end of the request')
      }
    })
  })

  it('does not follow a redirect with its key', async () => {
    model.play(() => ({ status: 302, headers: { location: 'http://127.0.0.1:1/' } }))
    const { message, details } = await errorOf(chat(ask('x')), 'unavailable')
    assert.match(message, /does not answer/)
    assert.equal(details['notDone'], true)
  })

  it('says whether its server may have done it', async () => {
    for (const [play, notDone] of [
      [() => ({ status: 401 }), true],
      [() => ({ pieces: [], then: 'cut' as const }), undefined]
    ] as const) {
      model.play(play)
      assert.equal((await errorOf(chat(ask('x')), 'unavailable')).details['notDone'], notDone)
    }
  })
})
