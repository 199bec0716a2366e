import assert from 'node:assert/strict'
import { createApp } from '../../../src/http/app.ts'
import { MAX_BODY_BYTES } from '../../../src/http/json-body.ts'
import { MeshError, type ErrorCode } from '../../../src/errors.ts'
import type { CallItem } from '../../../src/mesh-api.ts'
import type { JsonObject, JsonValue } from '../../../src/core/invoke.ts'
import { chunkItem, completion, createModelMesh, says, type FakeModel, type ModelInMesh } from '../../fixtures/model-mesh.ts'

const token = 'T'.repeat(43)
const MESSAGES = [{ role: 'user', content: 'hello' }]

interface Answer {
  status: number
  headers: Headers
  text: string
  json: JsonObject & { error: { message: string; type: string; param: string | null; code: string | null } }
  /** Of a stream. */
  events: (JsonObject & { choices: JsonObject[] })[]
}

function world(...models: ModelInMesh[]) {
  const standIn = createModelMesh(models)
  const app = createApp({ mesh: standIn.mesh, tokens: [token] })
  const ask = async (path: string, body?: unknown, init: RequestInit = {}): Promise<Answer> => {
    const response = await app(
      new Request(`http://127.0.0.1${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        ...init,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          ...(init.headers as Record<string, string>)
        }
      })
    )
    const text = await response.text()
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
    const data = isStream ? text.split('\n\n').map((event) => event.replace(/^data: /, '')) : []
    if (isStream) assert.equal(data.pop(), '')
    return {
      ...{ status: response.status, headers: response.headers, text },
      json: (isStream ? {} : JSON.parse(text)) as Answer['json'],
      events: data.filter((one) => one !== '[DONE]').map((one) => JSON.parse(one) as Answer['events'][0])
    }
  }
  const chat = (body: object = {}, init?: RequestInit) =>
    ask('/v1/chat/completions', { model: 'qwen', messages: MESSAGES, ...body }, init)
  return Object.assign(standIn, { ask, chat })
}

const failing = (code: ErrorCode, items: CallItem[] = [], details = {}): FakeModel =>
  async function* () {
    yield* items
    throw new MeshError(code, `it said ${code}`, details)
  }

describe('http openai chat', () => {
  it('a model of a node that has gone is away, and not unknown', async () => {
    const { chat } = world({ id: 'qwen', answer: says('x') })
    const { status, json } = await chat({ model: 'lost-model' })
    assert.deepEqual([status, json.error.code], [503, 'unavailable'])
    assert.equal((await chat({ model: 'nobody-has-it' })).status, 404)
  })

  it('passes on what it is asked, and answers with what the model says, and who it was', async () => {
    const { chat, calls } = world({ id: 'qwen', answer: says('two ', 'words') })
    const tools = Array.from({ length: 200 }, (_, n) => ({ type: 'function', function: { name: `f${n}`, parameters: {} } }))
    const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object' } } }
    const content = [
      { type: 'text', text: 'what is it?' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }
    ]
    const messages = [{ role: 'user', content }]
    const { status, json, headers } = await chat({ messages, tools, response_format, seed: null, top_p: 0.5, x_own: 1 })
    assert.equal(status, 200)
    assert.deepEqual(json, completion('two words'))
    assert.deepEqual(calls[0]?.input, { messages, tools, response_format, top_p: 0.5, x_own: 1 })
    assert.equal(headers.get('x-atmosphere-node'), '12D3KooWkitchen')
    assert.equal(headers.get('x-atmosphere-node-name'), 'kitchen')
    assert.equal(headers.get('x-atmosphere-capability'), 'qwen')
    assert.equal(headers.get('x-atmosphere-route'), 'self,between,12D3KooWkitchen')
    const id = headers.get('x-request-id') ?? ''
    assert.match(id, /^[0-9a-f]{32}$/)
    assert.match(calls[0]?.options.traceparent ?? '', new RegExp(`^00-${id}-[0-9a-f]{16}-01$`))
    const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`
    assert.equal((await chat({}, { headers: { traceparent } })).headers.get('x-request-id'), 'ab'.repeat(16))
    assert.equal(calls[1]?.options.traceparent, traceparent)
  })

  describe('streams', () => {
    it('chunks as OpenAI sends them, with usage only where it is asked for', async () => {
      const { chat, calls } = world({ id: 'qwen', answer: says('two ', 'words') })
      const { headers, text, events } = await chat({ stream: true })
      assert.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8')
      assert.equal(headers.get('x-accel-buffering'), 'no')
      assert.equal(headers.get('x-atmosphere-node'), '12D3KooWkitchen')
      assert.ok(text.endsWith('data: [DONE]\n\n'))
      assert.deepEqual(
        events.map(({ choices: [first] }) => [first?.['delta'], first?.['finish_reason']]),
        [
          [{ role: 'assistant', content: '' }, null],
          [{ content: 'two ' }, null],
          [{ content: 'words' }, null],
          [{}, 'stop']
        ]
      )
      assert.deepEqual(calls[0]?.input['stream'], true)
      const { usage, choices } = (await chat({ stream: true, stream_options: { include_usage: true } })).events.at(-1)!
      assert.deepEqual([usage, choices], [{ prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }, []])
    })

    it('cuts an answer into chunks where the model does not stream, calls as well', async () => {
      const tool_calls = [{ type: 'function', function: { name: 'lamp', arguments: { on: true } } }]
      const tools = [{ name: 'chat' }]
      const calling: FakeModel = async function* () {
        return completion(null, { tool_calls })
      }
      const { chat, calls } = world({
        id: 'qwen',
        tools,
        answer: calling
      })
      const { events } = await chat({ stream: true })
      assert.equal(calls[0]?.input['stream'], undefined)
      const [first, last] = events.map(({ choices }) => choices[0]!)
      assert.deepEqual(first?.['delta'], {
        role: 'assistant',
        tool_calls: [{ index: 0, id: 'call_0', type: 'function', function: { name: 'lamp', arguments: '{"on":true}' } }]
      })
      assert.equal(last?.['finish_reason'], 'tool_calls')
    })

    it('mends what servers leave out: roles, indexes, ids, the reason of the end', async () => {
      const { chat } = world({
        id: 'qwen',
        metadata: { model: 'Qwen/3' },
        async *answer() {
          const bare = (delta: JsonObject, more: object = {}): CallItem => ({
            kind: 'json',
            value: { choices: [{ delta, ...more }], usage: null }
          })
          yield bare({ tool_calls: [{ function: { name: 'a', arguments: '' } }] })
          yield bare({ tool_calls: [{ function: { arguments: '{}' } }], content: null })
          yield bare({ tool_calls: [{ id: 'x', function: { name: 'b', arguments: { y: 1 } } }] })
          yield { kind: 'json', value: { choices: [], usage: { total_tokens: 1 } } }
          yield bare({}, { finish_reason: 'stop' })
          return completion('')
        }
      })
      const { events, headers } = await chat({ stream: true })
      assert.deepEqual(
        events.map(({ choices: [first] }) => first?.['delta']),
        [
          {
            role: 'assistant',
            tool_calls: [{ index: 0, id: 'call_0', type: 'function', function: { name: 'a', arguments: '' } }]
          },
          { tool_calls: [{ index: 0, function: { arguments: '{}' } }] },
          { tool_calls: [{ index: 1, id: 'x', type: 'function', function: { name: 'b', arguments: '{"y":1}' } }] },
          {}
        ]
      )
      assert.equal(events.at(-1)?.choices[0]?.['finish_reason'], 'tool_calls')
      for (const event of events) {
        assert.equal(event['id'], `chatcmpl-${headers.get('x-request-id')}`)
        assert.deepEqual([event['model'], event['object'], 'usage' in event], ['Qwen/3', 'chat.completion.chunk', false])
      }
    })

    it('a call keeps its id and its name, in whatever order the calls come', async () => {
      const part = (index: number, name: string): CallItem =>
        chunkItem({ tool_calls: [{ index, id: name, function: { name, arguments: '' } }] })
      const { chat } = world({
        id: 'qwen',
        async *answer() {
          yield part(1, 'b')
          yield part(0, 'a')
          return completion('')
        }
      })
      const calls = (await chat({ stream: true })).events.map(({ choices }) => choices[0]?.['delta'] as JsonObject)
      assert.deepEqual(
        calls.map(({ tool_calls: called }) => called),
        [
          [{ index: 1, id: 'b', type: 'function', function: { name: 'b', arguments: '' } }],
          [{ index: 0, id: 'a', type: 'function', function: { name: 'a', arguments: '' } }]
        ]
      )
    })

    it('an index that is none ends the answer with an error, whatever work it was meant to make', async () => {
      for (const index of [4_294_967_290, -1, 0.5, {}] as JsonValue[])
        for (const item of [
          chunkItem({ tool_calls: [{ index, id: 'a' }] }),
          chunkItem({ content: 'a' }, { index }),
          chunkItem({ tool_calls: Array.from({ length: 300 }, (_, n) => ({ id: `c${n}` })) })
        ]) {
          const { chat } = world({
            id: 'qwen',
            async *answer() {
              yield item
              return completion('')
            }
          })
          const { events, text } = await chat({ stream: true })
          assert.deepEqual(
            [(events.at(-1) as unknown as Answer['json']).error.code, text.includes('[DONE]')],
            ['protocol_error', false]
          )
        }
    })

    it('an error in the middle is an event of its own, without [DONE]', async () => {
      for (const [answer, code] of [
        [failing('unavailable', [chunkItem({ content: 'a' })]), 'unavailable'],
        [failing('tool_failed', [chunkItem({ content: 'a' })]), 'tool_failed']
      ] as const) {
        const { chat } = world({ id: 'qwen', answer })
        const { status, events, text } = await chat({ stream: true })
        assert.equal(status, 200)
        assert.deepEqual(events.at(-1), { error: { message: `it said ${code}`, type: 'server_error', param: null, code } })
        assert.ok(!text.includes('[DONE]'))
      }
    })

    it('a call that begins anew elsewhere in the middle has failed, and nobody else is asked', async () => {
      let isOver = false
      const { chat } = world({
        id: 'qwen',
        async *answer() {
          yield chunkItem({ content: 'a' })
          yield { kind: 'restart', provider: 'other', reason: 'unavailable' }
          isOver = true
          return completion('b')
        }
      })
      const { events } = await chat({ stream: true })
      assert.match(JSON.stringify(events.at(-1)), /lost in the middle/)
      assert.equal(isOver, false)
    })

    it('an error before the first chunk is an answer with its status', async () => {
      const { chat } = world({ id: 'qwen', answer: failing('busy', [], { retryAfterMs: 2_500 }) })
      const { status, json, headers } = await chat({ stream: true })
      assert.deepEqual([status, json.error.type, json.error.code], [429, 'rate_limit_error', 'busy'])
      assert.deepEqual(
        [headers.get('retry-after'), headers.get('retry-after-ms'), headers.get('x-should-retry')],
        ['3', '2500', null]
      )
    })

    it('a client that goes ends the call', async () => {
      const standIn = world({
        id: 'qwen',
        async *answer(_input, { signal }) {
          yield chunkItem({ content: 'a' })
          await new Promise((resolve) => signal?.addEventListener('abort', resolve))
          return null
        }
      })
      const app = createApp({ mesh: standIn.mesh, tokens: [token] })
      const body = JSON.stringify({ model: 'qwen', messages: MESSAGES, stream: true })
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const response = await app(new Request('http://127.0.0.1/v1/chat/completions', { method: 'POST', body, headers }))
      const reader = response.body!.getReader()
      await reader.read()
      await reader.cancel()
      while (standIn.left === 0) await new Promise(setImmediate)
    })
  })

  describe('which model', () => {
    const answer = (name: string) => ({ answer: says(name) })
    const qwen = {
      id: 'qwen',
      metadata: { model: 'Qwen/Qwen3-8B', aliases: ['gpt-4o'], tools: true, vision: false },
      ...answer('qwen')
    }
    const eyes = {
      id: 'eyes',
      metadata: { model: 'llava', vision: true, tools: false },
      nodeName: 'attic',
      score: 9,
      ...answer('eyes')
    }
    const vectors = { id: 'vectors', type: 'llm/embed', tools: [{ name: 'embed' }] }
    const tools = [{ type: 'function', function: { name: 'f' } }]
    const messages = [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }]
    const GOOD: [model: string, said: string, more?: object][] = [
      ['qwen', 'qwen'],
      ['Qwen/Qwen3-8B', 'qwen'],
      ['gpt-4o', 'qwen'],
      ['qwen@kitchen', 'qwen'],
      ['llava@attic', 'eyes'],
      ['auto', 'qwen'],
      ['auto', 'qwen', { tools }],
      ['auto', 'eyes', { messages }],
      ['auto:llm/chat', 'qwen'],
      ['auto:llm/*', 'qwen'],
      ['eyes', 'eyes', { tools }]
    ]
    for (const [model, said, more] of GOOD)
      it(`${model}${more === undefined ? '' : ` with ${Object.keys(more).join()}`} is ${said}`, async () => {
        const { json } = await world(eyes, qwen, vectors).chat({ model, ...more })
        assert.equal((json['choices'] as { message: JsonObject }[])[0]?.message['content'], said, JSON.stringify(json))
      })

    const BAD: [model: string, status: number, code: string, message: RegExp, more?: object][] = [
      ['qwem', 404, 'model_not_found', /did you mean "qwen"\?/],
      ['Qwen3-8B', 404, 'model_not_found', /did you mean "Qwen\/Qwen3-8B"\?/],
      ['claude', 404, 'model_not_found', /there are: eyes, llava, qwen, Qwen\/Qwen3-8B, gpt-4o/],
      ['qwen@attic', 404, 'model_not_found', /did you mean "qwen"/],
      ['vectors', 404, 'model_not_supported', /turns texts into vectors/],
      ['auto:sensor/*', 404, 'model_not_found', /does not exist/],
      ['auto', 404, 'model_not_found', /calls tools and looks at images/, { tools, messages }]
    ]
    for (const [model, status, code, message, more] of BAD)
      it(`${model} is ${status} ${code}`, async () => {
        const standIn = world(eyes, qwen, vectors)
        const { json, ...got } = await standIn.chat({ model, ...more })
        assert.deepEqual([got.status, json.error.code, json.error.param], [status, code, 'model'], json.error.message)
        assert.match(json.error.message, message)
        assert.equal(standIn.calls.length, 0)
      })

    it('the same id on two nodes is one model, whose node the mesh chooses', async () => {
      const { chat, calls } = world(
        qwen,
        { ...qwen, nodeName: 'attic' },
        { ...qwen, nodeName: 'cellar', metadata: { model: 'other' } }
      )
      await chat({ model: 'qwen' })
      await chat({ model: 'gpt-4o' })
      assert.deepEqual(
        calls.map(({ target, options }) => [target, options.node, options.notNode]),
        [
          ['qwen', undefined, undefined],
          ['qwen', undefined, ['12D3KooWcellar']]
        ]
      )
    })

    it('of two ids with the same model the one that is expected to be done first is asked, the other if that fails before it has begun', async () => {
      const model = { metadata: { model: 'm' } }
      const { chat, calls } = world(
        { id: 'slow', ...model, score: 500, ...answer('slow') },
        { id: 'fast', ...model, score: 5, answer: failing('unavailable') },
        { id: 'wrong', ...model, score: 900, answer: failing('invalid_argument') }
      )
      const { json, headers } = await chat({ model: 'm' })
      assert.equal((json['choices'] as { message: JsonObject }[])[0]?.message['content'], 'slow')
      assert.equal(headers.get('x-atmosphere-capability'), 'slow')
      assert.deepEqual(
        calls.map(({ target }) => target),
        ['fast', 'slow']
      )
    })

    describe('whose names they are', () => {
      const own = { local: true, nodeName: 'here' }
      const lent = { mesh: 'neighbours', meshId: 'n', nodeName: 'yonder', ...answer('lent') }
      const MINE = { ...qwen, ...own }
      const THEFTS: [what: string, model: string, others: ModelInMesh[], said: string, more?: object][] = [
        ['an id of another node is no alias of this one', 'gpt-4o', [{ id: 'gpt-4o' }, MINE], 'qwen'],
        ['an id of another node is no model of this one', 'Qwen/Qwen3-8B', [{ id: 'Qwen/Qwen3-8B' }, MINE], 'qwen'],
        ['an id of this one comes before its aliases', 'gpt-4o', [MINE, { id: 'gpt-4o', ...own, ...answer('id') }], 'id'],
        ['another type under an id of this one', 'qwen', [{ ...qwen, type: 'llm/x', score: -1, ...answer('x') }, MINE], 'qwen'],
        ['an alias of another mesh is none of a member', 'llava', [{ ...lent, id: 'llava' }, eyes], 'eyes'],
        ['the same id and type of another mesh', 'eyes', [{ ...lent, id: 'eyes', score: -1 }, eyes], 'eyes'],
        ['what only another mesh has', 'far', [{ ...lent, id: 'far' }, MINE], 'lent'],
        [
          'an alias that looks like a name at this node',
          'qwen@here',
          [{ id: 'x', metadata: { aliases: ['qwen@here'] } }, MINE],
          'qwen'
        ],
        [
          'an alias that looks like a name at another',
          'llava@attic',
          [{ id: 'x', metadata: { aliases: ['llava@attic'] } }, eyes],
          'eyes'
        ],
        [
          'a model with @ of this node',
          'm@x',
          [
            { id: 'm', nodeName: 'x' },
            { ...MINE, metadata: { model: 'm@x' } }
          ],
          'qwen'
        ],
        [
          'a node that is called by the PeerId of another',
          'eyes@12D3KooWattic',
          [{ id: 'eyes', node: 'thief', nodeName: '12D3KooWattic', score: -1 }, eyes],
          'eyes'
        ],
        [
          'a node of another mesh that has the name of a member',
          'eyes@attic',
          [{ ...lent, id: 'eyes', node: 'lender', nodeName: 'attic' }, eyes],
          'eyes'
        ],
        ['auto, of a mesh that lends better ones', 'auto', [{ ...lent, id: 'far', score: -1 }, MINE], 'qwen'],
        [
          'auto for what only another mesh can',
          'auto',
          [{ ...lent, id: 'far', metadata: { vision: true } }, MINE],
          'lent',
          { messages }
        ],
        [
          'auto where only another mesh has one that is there',
          'auto',
          [
            { ...lent, id: 'far' },
            { ...MINE, status: 'suspended' }
          ],
          'lent'
        ]
      ]
      for (const [what, model, models, said, more] of THEFTS)
        it(`${what}: ${model}`, async () => {
          const { chat, calls } = world(...models)
          const { json } = await chat({ model, ...more })
          assert.equal((json['choices'] as { message: JsonObject }[])[0]?.message['content'], said, JSON.stringify(json))
          assert.equal(calls.length, 1)
        })

      const PEER = `12D3KooW${'A'.repeat(44)}`
      const named = (model: string) => ({ metadata: { model } })
      const REFUSED: [what: string, model: string, others: ModelInMesh[], status: number, code: string, message: RegExp][] = [
        [
          'a model that looks like a name at a node that is away',
          'llava@attic',
          [{ id: 'x', ...named('llava@attic') }, MINE],
          404,
          'model_not_found',
          /what other nodes call so is asked for by its id: x@kitchen/
        ],
        [
          'an alias that looks like a name at a node that has no such model',
          'qwen@attic',
          [{ id: 'x', metadata: { aliases: ['qwen@attic'] } }, eyes, MINE],
          404,
          'model_not_found',
          /by its id: x@kitchen/
        ],
        [
          'an alias with the PeerId of a node that is away',
          `eyes@${PEER}`,
          [{ id: 'x', metadata: { aliases: [`eyes@${PEER}`] } }, MINE],
          404,
          'model_not_found',
          /by its id/
        ],
        [
          'a node that is called by the PeerId of one that is away',
          `eyes@${PEER}`,
          [{ id: 'eyes', node: 'thief', nodeName: PEER, ...answer('thief') }, MINE],
          404,
          'model_not_found',
          /does not exist/
        ],
        [
          'a node that is called by the end of the PeerId of one that is away, as tables show it',
          'eyes@…AAAAAAAA',
          [{ id: 'eyes', node: 'thief', nodeName: '…AAAAAAAA' }, MINE],
          404,
          'model_not_found',
          /does not exist/
        ],
        [
          'a node that is away, as the mesh knows it',
          'lost@attic',
          [{ id: 'x', metadata: { aliases: ['lost@attic'] } }],
          503,
          'unavailable',
          /on attic/
        ],
        [
          'two nodes of one name',
          'eyes@attic',
          [{ id: 'eyes', node: 'thief', nodeName: 'attic', score: -1 }, eyes],
          409,
          'ambiguous',
          /2 nodes are meant by "attic"; use a PeerId: (thief, 12D3KooWattic|12D3KooWattic, thief)/
        ],
        [
          'two nodes of one name, one of which has no models',
          'eyes@attic',
          [
            { id: 'eyes', node: 'thief', nodeName: 'attic' },
            { id: 'lamp', type: 'home/lamp', tools: [], nodeName: 'attic' }
          ],
          409,
          'ambiguous',
          /use a PeerId/
        ]
      ]
      for (const [what, model, models, status, code, message] of REFUSED)
        it(`is nobody's: ${what}`, async () => {
          const { chat, calls } = world(...models)
          const { json, ...got } = await chat({ model })
          assert.deepEqual([got.status, json.error.code, calls.length], [status, code, 0], json.error.message)
          assert.match(json.error.message, message)
        })

      it('a name with @ at this node means this node, whoever else has its name', async () => {
        const { chat, calls } = world({ id: 'qwen', node: 'thief', nodeName: 'here', score: -1, ...answer('thief') }, MINE)
        await chat({ model: 'qwen@here' })
        assert.deepEqual([calls[0]!.options.node, calls[0]!.options.notNode], [undefined, ['thief']])
      })

      describe('of a name that one node has for an id, another for its model', () => {
        const ollama = { id: 'ollama-llama3', nodeName: 'attic', ...named('llama3:8b'), ...answer('attic') }
        const other = { id: 'llama3:8b', nodeName: 'cellar', ...answer('cellar') }
        const said = async (...models: ModelInMesh[]): Promise<unknown> => {
          const { json } = await world(...models).chat({ model: 'llama3:8b' })
          return (json['choices'] as { message: JsonObject }[])[0]?.message['content']
        }

        it('both serve: who is expected to be done first, the other where that fails', async () => {
          for (const models of [
            [ollama, other],
            [other, ollama]
          ]) {
            const [first, second] = models as [ModelInMesh, ModelInMesh]
            assert.equal(await said({ ...first, score: 9 }, { ...second, score: 1 }), second.nodeName)
            const refusing = { ...first, score: 1, answer: failing('unavailable') }
            assert.equal(await said(refusing, { ...second, score: 9 }), second.nodeName)
          }
        })

        it('an id hides no model that does what is asked, whatever is behind it', async () => {
          assert.equal(await said({ ...vectors, id: 'llama3:8b', nodeName: 'cellar' }, ollama), 'attic')
          assert.equal(await said({ ...other, status: 'suspended' }, ollama), 'attic')
        })

        it('what one node says by itself goes by its own order: its id before its model', async () => {
          const exact = { ...other, nodeName: 'attic', score: 9 }
          assert.equal(await said({ ...ollama, score: 1 }, exact), 'cellar')
          const [mine, theirs] = [
            { ...ollama, ...own, score: 9 },
            { ...other, score: 1 }
          ]
          assert.equal(await said(mine, theirs), 'attic', 'and that of this node before all others')
        })

        it('an alias stands in only for what nobody of the mesh is', async () => {
          const alias = { ...ollama, id: 'x', metadata: { aliases: ['llama3:8b'] }, nodeName: 'desk', ...answer('desk') }
          assert.equal(await said({ ...alias, score: 1 }, { ...ollama, score: 9 }), 'attic')
          assert.equal(await said(alias), 'desk')
        })

        it('it is listed once, with both nodes', async () => {
          const { data } = (await world(ollama, other).ask('/v1/models')).json as unknown as { data: JsonObject[] }
          assert.deepEqual(
            data.map(({ id, nodes }) => [id, nodes]),
            [
              ['auto', undefined],
              ['ollama-llama3', ['attic']],
              ['llama3:8b', ['cellar', 'attic']]
            ]
          )
        })
      })

      it('the same model on this node and others is shared, not with what another mesh lends, nor with another type', async () => {
        const { chat, calls } = world(
          MINE,
          { ...qwen, nodeName: 'attic' },
          { ...qwen, ...lent, id: 'qwen' },
          { ...qwen, nodeName: 'cellar', type: 'llm/x' }
        )
        await chat({ model: 'gpt-4o' })
        assert.ok(['12D3KooWhere', '12D3KooWattic'].includes(calls[0]!.options.node!), JSON.stringify(calls[0]!.options))
        const two = world(MINE, { ...qwen, nodeName: 'attic' }, { ...qwen, ...lent, id: 'qwen' })
        await two.chat({ model: 'gpt-4o' })
        assert.deepEqual([two.calls[0]!.options.node, two.calls[0]!.options.notNode], [undefined, ['12D3KooWyonder']])
      })

      it('what is each node its own is of this node where it is here', async () => {
        const project = { ...qwen, scope: 'node' as const, score: 5 }
        const { chat, calls } = world({ ...project, nodeName: 'attic', score: 1 }, { ...project, ...own })
        await chat({ model: 'gpt-4o' })
        assert.equal(calls[0]!.options.node, '12D3KooWhere')
      })

      it('one of the own mesh that is away is not made good by what another lends', async () => {
        const { chat, calls } = world({ ...lent, id: 'qwen' }, { ...MINE, status: 'suspended' })
        assert.deepEqual([(await chat()).json.error.code, calls.length], ['model_unavailable', 0])
      })

      it('each is listed by a name that means it', async () => {
        const { ask } = world(
          { id: 'gpt-4o' },
          MINE,
          { ...lent, id: 'qwen' },
          { id: 'llava', type: 'llm/x', node: '12D3KooWthief', nodeName: 'here' },
          { ...eyes, id: 'llava', ...own, status: 'offline' }
        )
        const { data } = (await ask('/v1/models')).json as unknown as { data: JsonObject[] }
        assert.deepEqual(
          data.map(({ id, nodes }) => [id, nodes]),
          [
            ['auto', undefined],
            ['gpt-4o@kitchen', ['kitchen']],
            ['qwen', ['here']],
            ['qwen@yonder', ['yonder']],
            ['llava@12D3KooWthief', ['here']]
          ]
        )
        assert.deepEqual((await ask('/v1/models/gpt-4o')).json['nodes'], ['here'])
      })
    })

    it('another one is asked only within the retries of the mesh: a call that may not be tried ends the request', async () => {
      const model = { metadata: { model: 'm' } }
      const first = failing('busy', [], { retryAfterMs: 1_000 })
      const { chat, calls } = world(
        { id: 'a', ...model, score: 1, answer: first },
        {
          ...{ id: 'b', ...model, score: 2 },
          async *answer(_input, { attempt }) {
            throw attempt!.after!
          }
        },
        { id: 'c', ...model, score: 3 }
      )
      const { status, json, headers } = await chat({ model: 'm' })
      assert.deepEqual([status, json.error.code, headers.get('retry-after')], [429, 'busy', '1'])
      assert.match(json.error.message, /it said busy/)
      assert.deepEqual(
        calls.map(({ target, options: { attempt } }) => [target, attempt?.after?.code]),
        [
          ['a', undefined],
          ['b', 'busy']
        ]
      )
      assert.deepEqual(calls[0]!.options.attempt, {})
      await chat({ model: 'c' })
      assert.equal(calls[2]!.options.attempt, undefined)
    })

    const TAKEN_OVER: [what: string, code: ErrorCode, details: object, isTaken: boolean][] = [
      ['cannot be reached', 'unavailable', { notStarted: true }, true],
      ['is full', 'busy', { notStarted: true }, true],
      ['is lost, and may have begun', 'unavailable', { lost: true }, false],
      ['is busy after it may have begun', 'busy', {}, false]
    ]
    for (const [what, code, details, isTaken] of TAKEN_OVER)
      it(`one that runs tools itself and ${what} is ${isTaken ? 'made good by another' : 'left at that'}`, async () => {
        const { chat, calls } = world(
          { id: 'project', score: 1, tools: [{ name: 'chat', idempotent: false }], answer: failing(code, [], details) },
          { id: 'other', score: 2, ...answer('other') }
        )
        const { status, json } = await chat({ model: 'auto' })
        assert.deepEqual([status === 200, calls.length, calls[0]!.target], [isTaken, isTaken ? 2 : 1, 'project'])
        assert.equal(isTaken ? (json['choices'] as { message: JsonObject }[])[0]?.message['content'] : 'other', 'other')
      })

    it('a mistake of the client is told by the first', async () => {
      const model = { metadata: { model: 'm' } }
      const { chat, calls } = world(
        {
          id: 'a',
          ...model,
          answer: failing('invalid_argument', [], { errors: [{ pointer: '/messages/0/role', message: '' }] })
        },
        { id: 'b', ...model }
      )
      const { status, json } = await chat({ model: 'm' })
      assert.deepEqual([status, json.error.param, calls.length], [400, 'messages[0].role', 1])
    })

    it('one that is away says why', async () => {
      const { chat } = world({ ...qwen, status: 'offline', statusReason: 'ECONNREFUSED' })
      const { status, json } = await chat()
      assert.deepEqual([status, json.error.code], [503, 'model_unavailable'])
      assert.match(json.error.message, /kitchen: offline, ECONNREFUSED/)
    })
  })

  describe('refuses', () => {
    const WRONG: [body: object, param: string][] = [
      [{ model: undefined }, 'model'],
      [{ model: 7 }, 'model'],
      [{ messages: undefined }, 'messages'],
      [{ messages: [] }, 'messages'],
      [{ messages: 'hi' }, 'messages'],
      [{ messages: [7] }, 'messages[0]'],
      [{ messages: [...MESSAGES, { role: 'robot', content: '' }] }, 'messages[1].role'],
      [{ messages: [{ role: 'user' }] }, 'messages[0].content'],
      [{ messages: [{ role: 'user', content: [{}] }] }, 'messages[0].content[0]'],
      [{ messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
      [{ stream: 'yes' }, 'stream'],
      [{ stream_options: { include_usage: true } }, 'stream_options'],
      [{ temperature: 'hot' }, 'temperature'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ n: 1.5 }, 'n'],
      [{ tools: {} }, 'tools'],
      [{ tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name'],
      [{ tools: [7] }, 'tools[0]']
    ]
    for (const [body, param] of WRONG)
      it(`${JSON.stringify(body)}, and names ${param}`, async () => {
        const { status, json, headers } = await world({ id: 'qwen' }).chat(body)
        assert.deepEqual([status, json.error.type, json.error.param], [400, 'invalid_request_error', param], json.error.message)
        assert.deepEqual(Object.keys(json.error).sort(), ['code', 'message', 'param', 'type'])
        assert.match(headers.get('x-request-id') ?? '', /^[0-9a-f]{32}$/)
      })

    it('what is no request of it, in the shape of its errors', async () => {
      const { ask, chat } = world({ id: 'qwen' })
      const path = '/v1/chat/completions'
      const shapes: [Promise<Answer>, number, string | null][] = [
        [ask(path, '{', {}), 400, 'invalid_argument'],
        [ask(path, '[]'), 400, 'invalid_argument'],
        [ask(path, '{}', { headers: { 'content-type': 'text/plain' } }), 415, 'invalid_argument'],
        [chat({}, { headers: { authorization: 'Bearer wrong' } }), 401, 'invalid_api_key'],
        [chat({}, { headers: { origin: 'https://evil.example' } }), 403, 'permission_denied'],
        [chat({}, { headers: { host: 'evil.example' } }), 403, 'permission_denied'],
        [ask('/v1/nothing'), 404, 'unknown_url'],
        [ask(path), 405, 'unsupported'],
        [ask('/v1/models?limit=1'), 400, 'invalid_argument']
      ]
      for (const [answer, status, code] of shapes) {
        const { json, ...got } = await answer
        assert.deepEqual([got.status, json.error.code], [status, code], json.error.message)
        assert.deepEqual(Object.keys(json.error).sort(), ['code', 'message', 'param', 'type'])
      }
    })

    it('a key that is given twice in one object, and names where', async () => {
      const { ask, calls } = world({ id: 'qwen' })
      const body = '{"model":"qwen","messages":[{"role":"user","content":"one","content":"two"}]}'
      const { status, json } = await ask('/v1/chat/completions', body)
      assert.deepEqual([status, json.error.code, json.error.param], [400, 'invalid_argument', 'messages[0].content'])
      assert.equal(calls.length, 0)
    })

    it('only what is over its limit: 10 MB go through', async () => {
      const { chat, calls } = world({ id: 'qwen' })
      const content = 'x'.repeat(10_000_000)
      assert.equal((await chat({ messages: [{ role: 'user', content }] })).status, 200)
      assert.equal((calls[0]?.input['messages'] as { content: string }[])[0]?.content.length, content.length)
      const { status, json } = await chat({ messages: [{ role: 'user', content: 'x'.repeat(MAX_BODY_BYTES) }] })
      assert.deepEqual([status, json.error.type, json.error.code], [413, 'invalid_request_error', 'too_large'])
      assert.match(json.error.message, new RegExp(String(MAX_BODY_BYTES)))
    })
  })

  it('characters of any kind come through', async () => {
    const content = 'a\u2028b\ud83e\udd99\u0000\u200b"\\\n\r\n\n data: x'
    const { chat, calls } = world({ id: 'qwen', answer: says(content) })
    const messages = [{ role: 'user', content }]
    const { events } = await chat({ messages, stream: true })
    assert.deepEqual(events[1]?.choices[0]?.['delta'], { content })
    assert.deepEqual(calls[0]?.input['messages'], messages)
  })

  it('halves of characters, zeros and other directions come through, and what is cut in a stream is put together', async () => {
    const odd = 'a\ud83e b\udd99 \u0000 \u202eabc\u202c \u05e9\u05dc\u05d5\u05dd'
    const { chat, calls } = world({ id: 'qwen', answer: says('\ud83e', '\udd99 ', odd) })
    const { status, events } = await chat({ messages: [{ role: 'user', content: odd }], stream: true })
    assert.equal(status, 200)
    assert.equal((calls[0]?.input['messages'] as { content: string }[])[0]?.content, odd)
    const text = events.map(({ choices: [first] }) => (first?.['delta'] as { content?: string }).content ?? '').join('')
    assert.equal(text, `\ud83e\udd99 ${odd}`)
  })

  it('errors of models keep their status, and say whether it makes sense to ask again', async () => {
    for (const [code, status, retry] of [
      ['invalid_argument', 400, 'false'],
      ['permission_denied', 403, 'false'],
      ['too_large', 413, 'false'],
      ['tool_failed', 500, 'false'],
      ['protocol_error', 502, null],
      ['unavailable', 503, null],
      ['deadline_exceeded', 504, 'false']
    ] as const) {
      const { json, ...got } = await world({ id: 'qwen', answer: failing(code) }).chat()
      assert.deepEqual([got.status, json.error.code, got.headers.get('x-should-retry')], [status, code, retry])
    }
    const begun = await world({ id: 'qwen', answer: failing('unavailable', [], { begun: true }) }).chat()
    assert.deepEqual(
      [begun.status, begun.headers.get('x-should-retry')],
      [503, 'false'],
      'its node was lost: it may be at it still'
    )
    const { status } = await world({
      id: 'qwen',
      async *answer() {
        return 'hi'
      }
    }).chat()
    assert.equal(status, 502)
  })

  it('lists models, one for each id, and finds those with slashes and colons', async () => {
    const { ask } = world(
      { id: 'qwen:8b', metadata: { model: 'Qwen/Qwen3-8B', tools: true, apiKey: 'x' } },
      { id: 'qwen:8b', metadata: { model: 'Qwen/Qwen3-8B' }, nodeName: 'attic' },
      { id: 'vectors', type: 'llm/embed', tools: [{ name: 'embed' }], metadata: { dimensions: 3 } },
      { id: 'gone', status: 'offline' },
      { id: 'lamp', type: 'home/light', tools: [{ name: 'on' }] }
    )
    const { data, object } = (await ask('/v1/models')).json as unknown as { object: string; data: JsonObject[] }
    assert.equal(object, 'list')
    assert.deepEqual(
      data.map(({ id }) => id),
      ['auto', 'qwen:8b', 'vectors']
    )
    assert.deepEqual(data[1], {
      ...{ id: 'qwen:8b', object: 'model', created: 0, owned_by: 'kitchen, attic', type: 'llm/chat' },
      ...{ model: 'Qwen/Qwen3-8B', nodes: ['kitchen', 'attic'], tools: true }
    })
    for (const [path, id] of [
      ['qwen:8b', 'qwen:8b'],
      ['Qwen/Qwen3-8B', 'Qwen/Qwen3-8B'],
      ['Qwen%2FQwen3-8B', 'Qwen/Qwen3-8B'],
      ['qwen%3A8b%40attic', 'qwen:8b@attic'],
      ['auto', 'auto']
    ])
      assert.equal((await ask(`/v1/models/${path}`)).json['id'], id)
    const { status, json } = await ask('/v1/models/qwen:9b')
    assert.deepEqual([status, json.error.code], [404, 'model_not_found'])
    assert.match(json.error.message, /did you mean "qwen:8b"/)
  })
})
