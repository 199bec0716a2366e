import assert from 'node:assert/strict'
import OpenAI from 'openai'
import { createApp } from '../../../src/http/app.ts'
import { MeshError } from '../../../src/errors.ts'
import { CHARACTERS_OF_EACH, createResponsesMemory } from '../../../src/http/openai/responses-memory.ts'
import type { JsonObject, JsonValue } from '../../../src/core/invoke.ts'
import { until } from '../../fixtures/libp2p-pair.ts'
import { chunkItem, completion, createModelMesh, says, type FakeModel } from '../../fixtures/model-mesh.ts'

const token = 'T'.repeat(43)

function world(answer: FakeModel = says('two ', 'words')) {
  const { mesh, calls } = createModelMesh([{ id: 'qwen', answer }])
  const app = createApp({ mesh, tokens: [token] })
  const ask = async (path: string, body?: unknown, method = body === undefined ? 'GET' : 'POST') => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }
    const response = await app(new Request(`http://127.0.0.1/v1/responses${path}`, init))
    const text = await response.text()
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
    const events = isStream ? text.trimEnd().split('\n\n') : []
    return {
      ...{ status: response.status, headers: response.headers, text },
      json: (isStream ? {} : JSON.parse(text)) as JsonObject & { error: { message: string; param: string; code: string } },
      events: events.map((event) => {
        const [, type, data] = /^event: (.*)\ndata: (.*)$/.exec(event)!
        const parsed = JSON.parse(data!) as JsonObject
        assert.equal(parsed['type'], type)
        return parsed
      })
    }
  }
  const respond = (body: object = {}) => ask('', { model: 'qwen', input: 'hello', ...body })
  return { ask, respond, calls }
}

const calling: FakeModel = async function* (input) {
  const call = (index: number, named: object, id?: string) => ({ index, ...(id !== undefined && { id }), function: named })
  const tool_calls = [
    { id: 'a', type: 'function', function: { name: 'lamp', arguments: '{"on":true}' } },
    { id: 'b', type: 'function', function: { name: 'bell', arguments: '' } }
  ]
  if (input['stream'] === true) {
    yield chunkItem({ content: 'I look. ' })
    yield chunkItem({ tool_calls: [call(0, { name: 'lamp', arguments: '{"on"' }, 'a')] })
    yield chunkItem({ tool_calls: [call(0, { arguments: ':true}' })] })
    yield chunkItem({ tool_calls: [call(1, { name: 'bell', arguments: '' }, 'b')] })
    yield chunkItem({}, { finish_reason: 'tool_calls' })
  }
  return completion('I look. ', { tool_calls })
}

describe('http openai responses', () => {
  it('asks a model that chats, and says what it was asked and has answered', async () => {
    const { respond, calls } = world()
    const tools = Array.from({ length: 200 }, (_, n) => ({ type: 'function', name: `f${n}`, parameters: {}, strict: null }))
    const schema = { name: 'x', schema: { type: 'object' }, strict: true }
    const { status, json, headers } = await respond({
      instructions: 'be brief',
      tools,
      tool_choice: { type: 'function', name: 'f1' },
      text: { format: { type: 'json_schema', ...schema } },
      ...{ max_output_tokens: 9, temperature: 0.5, top_p: 0.9, parallel_tool_calls: false, metadata: { a: 'b' } },
      ...{
        reasoning: { effort: 'low' },
        include: ['reasoning.encrypted_content'],
        user: 'me',
        background: false,
        conversation: null
      }
    })
    assert.equal(status, 200, json.error?.message)
    assert.deepEqual(calls[0]?.input, {
      ...{ temperature: 0.5, top_p: 0.9, parallel_tool_calls: false, user: 'me', max_tokens: 9, reasoning_effort: 'low' },
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'hello' }
      ],
      tools: tools.map(({ name }) => ({ type: 'function', function: { name, parameters: {} } })),
      tool_choice: { type: 'function', function: { name: 'f1' } },
      response_format: { type: 'json_schema', json_schema: schema }
    })
    assert.equal(headers.get('x-atmosphere-node'), '12D3KooWkitchen')
    const { created_at, completed_at, output, ...all } = json
    const { id, ...rest } = all
    assert.ok(typeof id === 'string')
    assert.match(id, /^resp_[0-9a-f]{32}$/)
    assert.ok(typeof created_at === 'number' && typeof completed_at === 'number')
    const content = [{ type: 'output_text', annotations: [], logprobs: [], text: 'two words' }]
    const item = {
      id: `${id.replace('resp', 'msg')}_0`,
      type: 'message',
      role: 'assistant',
      status: 'completed',
      content
    }
    assert.deepEqual(output, [item])
    assert.deepEqual(rest, {
      ...{ object: 'response', status: 'completed', background: false, error: null, incomplete_details: null, model: 'qwen' },
      ...{ instructions: 'be brief', max_output_tokens: 9, metadata: { a: 'b' }, parallel_tool_calls: false },
      ...{ previous_response_id: null, reasoning: { effort: 'low', summary: null }, store: true, temperature: 0.5, top_p: 0.9 },
      text: { format: { type: 'json_schema', ...schema } },
      ...{ tool_choice: { type: 'function', name: 'f1' }, tools, truncation: 'disabled' },
      usage: {
        ...{ input_tokens: 3, input_tokens_details: { cached_tokens: 0 } },
        ...{ output_tokens: 2, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 5 }
      }
    })
  })

  it('translates items: messages, parts, calls, their results; what a model thought is left out', async () => {
    const { respond, calls } = world()
    const image = { type: 'input_image', image_url: 'data:image/png;base64,AA', detail: 'low' }
    const { status, json } = await respond({
      input: [
        { role: 'developer', content: [{ type: 'input_text', text: 'a' }] },
        { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'what?' }, image] },
        { type: 'reasoning', id: 'rs_1', summary: [] },
        { role: 'assistant', content: [{ type: 'output_text', text: 'I look. ', annotations: [] }] },
        { type: 'function_call', call_id: 'a', name: 'lamp', arguments: '{}' },
        { type: 'function_call', call_id: 'b', name: 'bell', arguments: '{}' },
        { type: 'function_call_output', call_id: 'a', output: 'on' },
        { type: 'function_call_output', call_id: 'b', output: [{ type: 'input_text', text: 'rang' }] },
        { role: 'user', content: [{ type: 'input_file', filename: 'x.pdf', file_data: 'data:application/pdf;base64,AA' }] }
      ]
    })
    assert.equal(status, 200, json.error?.message)
    const call = (id: string, name: string) => ({ id, type: 'function', function: { name, arguments: '{}' } })
    assert.deepEqual(calls[0]?.input['messages'], [
      { role: 'system', content: 'a' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'what?' },
          { type: 'image_url', image_url: { url: image.image_url, detail: 'low' } }
        ]
      },
      { role: 'assistant', content: 'I look. ', tool_calls: [call('a', 'lamp'), call('b', 'bell')] },
      { role: 'tool', tool_call_id: 'a', content: 'on' },
      { role: 'tool', tool_call_id: 'b', content: 'rang' },
      {
        role: 'user',
        content: [{ type: 'file', file: { file_data: 'data:application/pdf;base64,AA', filename: 'x.pdf' } }]
      }
    ])
  })

  it('streams the events of a text, counted', async () => {
    const { respond, calls } = world()
    const { events, headers, text } = await respond({ stream: true })
    assert.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8')
    assert.deepEqual(
      events.map(({ type }) => type),
      [
        ...['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added'],
        ...['response.output_text.delta', 'response.output_text.delta', 'response.output_text.done'],
        ...['response.content_part.done', 'response.output_item.done', 'response.completed']
      ]
    )
    assert.deepEqual(
      events.map(({ sequence_number: n }) => n),
      events.map((_, n) => n)
    )
    assert.ok(!text.includes('[DONE]'))
    assert.equal(calls[0]?.input['stream'], true)
    const { status, output } = events[0]!['response'] as JsonObject
    assert.deepEqual([status, output], ['in_progress', []])
  })

  it('streams calls, and gives the same without a stream', async () => {
    const { respond } = world(calling)
    const { events } = await respond({ stream: true })
    assert.deepEqual(
      events.slice(6, -1).map(({ type, output_index: at, delta, arguments: whole }) => [type, at, delta ?? whole]),
      [
        ['response.content_part.done', 0, undefined],
        ['response.output_item.done', 0, undefined],
        ['response.output_item.added', 1, undefined],
        ['response.function_call_arguments.delta', 1, '{"on"'],
        ['response.function_call_arguments.delta', 1, ':true}'],
        ['response.output_item.added', 2, undefined],
        ['response.function_call_arguments.done', 1, '{"on":true}'],
        ['response.output_item.done', 1, undefined],
        ['response.function_call_arguments.done', 2, '{}'],
        ['response.output_item.done', 2, undefined]
      ]
    )
    const seen = (response: unknown) => (response as { output: JsonObject[] }).output.map(({ id: _id, ...item }) => item)
    const whole = seen((await respond()).json)
    assert.deepEqual(seen(events.at(-1)!['response']), whole)
    assert.deepEqual(whole[2], { type: 'function_call', call_id: 'b', name: 'bell', arguments: '{}', status: 'completed' })
  })

  it('an answer that was cut off is incomplete and says why, a refusal is one, and one without words is an empty message', async () => {
    const ends = (message: JsonObject, finish_reason: string): FakeModel =>
      async function* () {
        return { choices: [{ message, finish_reason }] }
      }
    for (const [finish, reason] of [
      ['length', 'max_output_tokens'],
      ['content_filter', 'content_filter']
    ] as const) {
      const { json } = await world(ends({ content: 'half' }, finish)).respond()
      assert.deepEqual([json['status'], json['incomplete_details']], ['incomplete', { reason }])
      const { events } = await world(ends({ content: 'half' }, finish)).respond({ stream: true })
      assert.equal(events.at(-1)?.['type'], 'response.incomplete')
    }
    const contentOf = async (message: JsonObject) =>
      ((await world(ends(message, 'stop')).respond()).json['output'] as { content: JsonObject[] }[])[0]?.content
    assert.deepEqual(await contentOf({ content: null, refusal: 'no' }), [{ type: 'refusal', refusal: 'no' }])
    assert.deepEqual(await contentOf({ content: null }), [{ type: 'output_text', annotations: [], logprobs: [], text: '' }])
  })

  it('a failure in the middle is told twice: by an error that SDKs throw, and by the response', async () => {
    const { respond } = world(async function* () {
      yield chunkItem({ content: 'a' })
      throw new MeshError('unavailable', 'it went')
    })
    const { status, events } = await respond({ stream: true })
    assert.equal(status, 200)
    const [error, failed] = events.slice(-2)
    assert.equal(failed?.['type'], 'response.failed')
    const { status: its, error: why } = failed?.['response'] as JsonObject
    assert.deepEqual([its, why], ['failed', { code: 'unavailable', message: 'it went' }])
    const told = { message: 'it went', param: null, code: 'unavailable' }
    assert.deepEqual(error, {
      type: 'error',
      sequence_number: events.length - 2,
      ...told,
      error: { ...told, type: 'server_error' }
    })
    const { status: whole, json } = await respond()
    assert.deepEqual([whole, json.error.code], [503, 'unavailable'])
  })

  describe('what was said before', () => {
    it('goes on by previous_response_id and by references to items, is shown, and forgotten on demand', async () => {
      const { ask, respond, calls } = world(calling)
      const { json: first } = await respond({ instructions: 'be brief' })
      const results = ['a', 'b'].map((call_id) => ({ type: 'function_call_output', call_id, output: 'done' }))
      await respond({ previous_response_id: first['id'], input: results, stream: true })
      const said = (at: number) => calls[at]?.input['messages'] as JsonObject[]
      assert.deepEqual(
        said(1).map(({ role }) => role),
        ['user', 'assistant', 'tool', 'tool']
      )
      assert.equal((said(1)[1]?.['tool_calls'] as unknown[]).length, 2)
      const references = (first['output'] as { id: string }[]).map(({ id }) => ({ type: 'item_reference', id }))
      await respond({ input: [{ role: 'user', content: 'hello' }, ...references, ...results] })
      assert.deepEqual(said(2), said(1))
      assert.deepEqual((await ask(`/${first['id'] as string}`)).json, first)
      assert.equal((await ask(`/${first['id'] as string}`, undefined, 'DELETE')).json['deleted'], true)
      for (const method of ['GET', 'DELETE']) {
        const { status, json } = await ask(`/${first['id'] as string}`, undefined, method)
        assert.deepEqual([status, json.error.code, json.error.param], [404, 'not_found', 'response_id'])
        assert.match(json.error.message, /keeps those of the last hour in memory/)
      }
    })

    it('is not kept with store: false', async () => {
      const { ask, respond } = world()
      const { json } = await respond({ store: false })
      assert.equal((await ask(`/${json['id'] as string}`)).status, 404)
      const { status, json: second } = await respond({ previous_response_id: json['id'] })
      assert.deepEqual(
        [status, second.error.code, second.error.param],
        [400, 'previous_response_not_found', 'previous_response_id']
      )
      assert.match(second.error.message, /send the whole conversation/)
    })

    it('is bounded in number, size and time', () => {
      // Of one of these without its text: 8 values and 4 keys, with 29 characters.
      const empty = 12 * CHARACTERS_OF_EACH + 29
      const characters = 2 * empty + 42
      let now = 0
      const memory = createResponsesMemory(() => now, { count: 2, characters, ms: 10 })
      const kept = (id: string, text: string) =>
        memory.keep(id, { response: { output: [{ id: `${id}-item` }] }, messages: [{ role: 'user', content: text }] })
      const ids = () =>
        ['a', 'b', 'c', 'd'].filter((id) => memory.find(id) !== undefined && memory.item(`${id}-item`) !== undefined)
      for (const id of ['a', 'b', 'c']) kept(id, '')
      assert.deepEqual(ids(), ['b', 'c'])
      kept('d', 'x'.repeat(70))
      assert.deepEqual(ids(), ['d'])
      kept('a', 'x'.repeat(characters - empty + 1))
      assert.deepEqual(ids(), ['d'], 'what is too large alone makes no other go')
      kept('b', '')
      now = 10
      assert.deepEqual(ids(), [])
      assert.equal(memory.item('b-item'), undefined)
    })
  })

  for (const [what, empty] of [
    ['empty lists', []],
    ['empty objects', {}],
    ['empty texts', ''],
    ['nulls', null],
    ['empty keys', { '': {} }]
  ] as [string, JsonValue][])
    it(`counts ${what} of what it keeps`, () => {
      const memory = createResponsesMemory(() => 0, { count: 9, characters: CHARACTERS_OF_EACH * 1_000, ms: 10 })
      const message = (count: number) => ({ role: 'user', content: Array.from({ length: count }, () => empty) })
      memory.keep('few', { response: {}, messages: [message(300)] })
      memory.keep('many', { response: {}, messages: [message(1_000)] })
      memory.keep('many said back', { response: { tools: message(1_000).content }, messages: [] })
      assert.deepEqual(
        ['few', 'many', 'many said back'].map((id) => memory.find(id) !== undefined),
        [true, false, false]
      )
    })

  it('forgets when the time has come, also if nobody asks', async () => {
    let now = 0
    const memory = createResponsesMemory(() => now, { count: 9, characters: 1_000, ms: 2 })
    for (const id of ['a', 'b']) memory.keep(id, { response: {}, messages: [] })
    now = 1
    memory.keep('c', { response: {}, messages: [] })
    now = 2
    await until(() => memory.size === 1, 'the first two are forgotten')
    memory.forget('c')
    memory.keep('d', { response: {}, messages: [] })
    now = 4
    await until(() => memory.size === 0, 'so is a later one')
  })

  it('takes metadata as OpenAI does', async () => {
    const { respond } = world()
    const most = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`${n}`.padStart(64, 'k'), 'v'.repeat(512)]))
    assert.deepEqual((await respond({ metadata: most })).json['metadata'], most)
    assert.deepEqual((await respond({ metadata: null })).json['metadata'], {})
  })

  it('ends an answer that has no end', async () => {
    const piece = 'x'.repeat(1024 * 1024)
    const { ask } = world(async function* () {
      for (;;) yield chunkItem({ content: piece })
    })
    for (const stream of [true, false]) {
      const { json, events } = await ask('', { model: 'qwen', input: 'x', stream })
      const code = stream ? (events.at(-1)!['response'] as JsonObject)['error'] : json.error
      assert.equal((code as JsonObject)['code'], 'too_large')
    }
  })

  describe('refuses', () => {
    const part = (one: unknown) => ({ input: [{ role: 'user', content: [one] }] })
    const WRONG: [body: object, param: string][] = [
      [{ model: undefined }, 'model'],
      [{ input: undefined }, 'input'],
      [{ input: [] }, 'input'],
      [{ input: 7 }, 'input'],
      [{ input: [7] }, 'input[0]'],
      [{ input: [{ type: 'reasoning' }] }, 'input'],
      [{ input: [{ type: 'web_search_call' }] }, 'input[0].type'],
      [{ input: [{ role: 'robot', content: '' }] }, 'input[0].role'],
      [{ input: [{ role: 'constructor', content: '' }] }, 'input[0].role'],
      [{ input: [{ role: 'user' }] }, 'input[0].content'],
      [part(7), 'input[0].content[0]'],
      [part({ type: 'input_video' }), 'input[0].content[0].type'],
      [part({ type: 'input_text' }), 'input[0].content[0].text'],
      [part({ type: 'input_image', file_id: 'f' }), 'input[0].content[0].image_url'],
      [part({ type: 'input_file', file_url: 'f' }), 'input[0].content[0].file_data'],
      [{ input: [{ type: 'function_call', name: 'f', arguments: '' }] }, 'input[0].call_id'],
      [{ input: [{ type: 'function_call', name: 'f', call_id: 'a', arguments: {} }] }, 'input[0].arguments'],
      [{ input: [{ type: 'function_call_output', call_id: 'a' }] }, 'input[0].output'],
      [
        { input: [{ type: 'function_call_output', call_id: 'a', output: [{ type: 'input_image', image_url: 'data:' }] }] },
        'input[0].output'
      ],
      [{ input: [{ type: 'item_reference', id: 'msg_0' }] }, 'input[0].id'],
      [{ previous_response_id: 'resp_0' }, 'previous_response_id'],
      [{ conversation: 'conv_0' }, 'conversation'],
      [{ prompt: { id: 'p' } }, 'prompt'],
      [{ background: true }, 'background'],
      [{ truncation: 'auto' }, 'truncation'],
      [{ top_logprobs: 3 }, 'top_logprobs'],
      [{ include: ['message.output_text.logprobs'] }, 'include[0]'],
      [{ stream: 'yes' }, 'stream'],
      [{ stream_options: {} }, 'stream_options'],
      [{ store: 1 }, 'store'],
      [{ max_output_tokens: 0 }, 'max_output_tokens'],
      [{ temperature: 'hot' }, 'temperature'],
      [{ tools: {} }, 'tools'],
      [{ tools: [7] }, 'tools[0]'],
      [{ tools: [{ type: 'function' }] }, 'tools[0].name'],
      [{ tools: [{ type: 'function', name: 'a' }, { type: 'web_search' }] }, 'tools[1].type'],
      [{ tool_choice: 'maybe' }, 'tool_choice'],
      [{ tool_choice: { type: 'allowed_tools' } }, 'tool_choice'],
      [{ metadata: ['a'] }, 'metadata'],
      [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, ''])) }, 'metadata'],
      [{ metadata: { ['k'.repeat(65)]: '' } }, 'metadata'],
      [{ metadata: { a: 'v'.repeat(513) } }, 'metadata.a'],
      [{ metadata: { a: '', b: [] } }, 'metadata.b'],
      [{ metadata: { a: null } }, 'metadata.a'],
      [{ text: { format: 'json' } }, 'text.format'],
      [{ text: { format: { type: 'grammar' } } }, 'text.format.type'],
      [{ text: { format: { type: 'json_schema' } } }, 'text.format.name'],
      [{ text: { format: { type: 'json_schema', name: 'x' } } }, 'text.format.schema']
    ]
    for (const [body, param] of WRONG)
      it(`${JSON.stringify(body)}, and names ${param}`, async () => {
        const { respond, calls } = world()
        const { status, json } = await respond(body)
        assert.deepEqual([status, json.error.param], [400, param], json.error.message)
        assert.deepEqual(Object.keys(json.error).sort(), ['code', 'message', 'param', 'type'])
        assert.equal(calls.length, 0)
      })
  })

  it('the SDK of OpenAI throws what fails in the middle', async () => {
    const { mesh } = createModelMesh([
      {
        id: 'qwen',
        async *answer() {
          yield chunkItem({ content: 'a' })
          throw new MeshError('unavailable', 'it went')
        }
      }
    ])
    const app = createApp({ mesh, tokens: [token] })
    const fetch: typeof globalThis.fetch = async (url, init) => app(new Request(url, init))
    const client = new OpenAI({ apiKey: token, baseURL: 'http://127.0.0.1/v1', maxRetries: 0, fetch })
    const isTold = (error: unknown) => error instanceof OpenAI.APIError && error.code === 'unavailable'
    await assert.rejects(async () => {
      for await (const _event of await client.responses.create({ model: 'qwen', input: 'hello', stream: true })) continue
    }, isTold)
    await assert.rejects(client.responses.stream({ model: 'qwen', input: 'hello' }).finalResponse(), isTold)
  })
})
