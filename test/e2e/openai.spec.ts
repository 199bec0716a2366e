/** The official SDK of OpenAI against one node, while the models are behind another: what programs do, over real sockets and a real mesh. */
import assert from 'node:assert/strict'
import OpenAI, { toFile } from 'openai'
import { createOpenAiChatBackend } from '../../src/backends/openai-chat.ts'
import type { ApiServer } from '../../src/http/serve.ts'
import { createNode, type Mesh } from '../../src/index.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { FRONT_KEY, LOOPBACK, startOpenAiFront, type OpenAiFront } from '../fixtures/openai-front.ts'
import type { ScriptedModel } from '../fixtures/scripted-model.ts'
import { requireProgram } from '../fixtures/system-program.ts'

const messages = [{ role: 'user', content: 'How warm is it?' } as const]

describe('the SDK of OpenAI at a node, its models at another', function () {
  this.timeout(60_000)
  let front: OpenAiFront
  let server: ScriptedModel
  let here: Mesh
  let there: Mesh
  let api: ApiServer
  let client: OpenAI
  before(async () => {
    front = await startOpenAiFront()
    ;({ server, here, there, api } = front)
    client = new OpenAI({ apiKey: FRONT_KEY, baseURL: `${api.url}/v1`, maxRetries: 1 })
  })
  after(() => front?.close())

  it('lists models, and finds them by names with slashes and colons', async () => {
    const ids: string[] = []
    for await (const { id } of client.models.list()) ids.push(id)
    assert.deepEqual(ids.filter((id) => id !== 'speech').sort(), ['auto', 'images', 'scripted', 'transcription', 'vectors'])
    assert.equal((await client.models.retrieve('Org/Scripted:8b')).owned_by, 'cellar')
    await assert.rejects(client.models.retrieve('scriptet'), OpenAI.NotFoundError)
  })

  it('chats, and says who has answered', async () => {
    server.play(() => ({ text: 'It is warm.', tokens: 42 }))
    const { data, response, request_id } = await client.chat.completions.create({ model: 'gpt-4o', messages }).withResponse()
    assert.equal(data.choices[0]?.message.content, 'It is warm.')
    assert.deepEqual([data.usage?.total_tokens, data.object], [42, 'chat.completion'])
    assert.equal(response.headers.get('x-atmosphere-node'), there.peerId)
    assert.equal(response.headers.get('x-atmosphere-route'), `${here.peerId},${there.peerId}`)
    assert.match(request_id ?? '', /^[0-9a-f]{32}$/)
    assert.equal(server.requests[0]?.model, 'Org/Scripted:8b')
  })

  it('streams, with usage, and with its own helper', async () => {
    server.play(() => ({ text: 'It is warm.', tokens: 42 }))
    const options = { stream: true, stream_options: { include_usage: true } } as const
    const stream = await client.chat.completions.create({ model: 'auto', messages, ...options })
    let text = ''
    let total: number | undefined
    for await (const { choices, usage } of stream) {
      text += choices[0]?.delta.content ?? ''
      total = usage?.total_tokens ?? total
    }
    assert.deepEqual([text, total], ['It is warm.', 42])
    assert.equal(await client.chat.completions.stream({ model: 'scripted', messages }).finalContent(), 'It is warm.')
  })

  it('runs its loop of tools, streamed and not', async () => {
    const called: unknown[] = []
    const tools = [
      {
        type: 'function' as const,
        function: {
          name: 'thermometer',
          description: 'How warm a room is.',
          parameters: { type: 'object', properties: { room: { type: 'string' } } },
          parse: JSON.parse,
          function: ({ room }: { room: string }) => {
            called.push(room)
            return '21 degrees'
          }
        }
      }
    ]
    for (const stream of [false, true]) {
      server.play(({ messages: said }, turn) =>
        turn === 0 ? { calls: [['thermometer', { room: 'the "hall" 🦙' }]] } : { text: `It has ${said.at(-1)?.content}.` }
      )
      const request = { model: 'scripted', messages: [...messages], tools }
      const runner = stream
        ? client.chat.completions.runTools({ ...request, stream: true })
        : client.chat.completions.runTools(request)
      assert.equal(await runner.finalContent(), 'It has 21 degrees.')
    }
    assert.deepEqual(called, ['the "hall" 🦙', 'the "hall" 🦙'])
  })

  it('makes responses, streamed as well, in the shape of a schema, and goes on with one that is stored', async () => {
    server.play(() => ({ text: '{"warm":true}', tokens: 42 }))
    const schema = { type: 'object', properties: { warm: { type: 'boolean' } }, required: ['warm'], additionalProperties: false }
    const format = { type: 'json_schema' as const, name: 'answer', schema, strict: true }
    const input = 'How warm is it?'
    const { data, response } = await client.responses
      .create({ model: 'gpt-4o', instructions: 'be brief', input, text: { format } })
      .withResponse()
    assert.deepEqual([data.output_text, data.usage?.total_tokens, data.status], ['{"warm":true}', 42, 'completed'])
    assert.equal(response.headers.get('x-atmosphere-node'), there.peerId)
    const { name: _name, type: _type, ...asked } = format
    assert.deepEqual(server.requests[0]?.body['response_format'], {
      type: 'json_schema',
      json_schema: { name: 'answer', ...asked }
    })
    assert.deepEqual((await client.responses.parse({ model: 'scripted', input, text: { format } })).output_text, '{"warm":true}')
    server.play(() => ({ text: 'It is warm.' }))
    let text = ''
    for await (const event of await client.responses.create({ model: 'auto', input, stream: true }))
      if (event.type === 'response.output_text.delta') text += event.delta
    assert.equal(text, 'It is warm.')
    const final = await client.responses.stream({ model: 'scripted', input, previous_response_id: data.id }).finalResponse()
    assert.deepEqual([final.output_text, final.status], ['It is warm.', 'completed'])
    assert.deepEqual(
      server.requests.at(-1)?.messages.map(({ role }) => role),
      ['user', 'assistant', 'user']
    )
    assert.equal((await client.responses.retrieve(final.id)).output_text, 'It is warm.')
    await client.responses.delete(final.id)
    await assert.rejects(client.responses.retrieve(final.id), OpenAI.NotFoundError)
  })

  it('runs a loop of tools with responses, streamed and not', async () => {
    const parameters = { type: 'object', properties: { room: { type: 'string' } } }
    const tools = [{ type: 'function' as const, name: 'thermometer', parameters, strict: false }]
    for (const isStream of [false, true]) {
      server.play(({ messages: said }, turn) =>
        turn === 0
          ? { text: 'I look. ', calls: [['thermometer', { room: 'the "hall" 🦙' }]] }
          : { text: `It has ${said.at(-1)?.content}.` }
      )
      const ask = (input: OpenAI.Responses.ResponseInput) => {
        const request = { model: 'scripted', input, tools, store: false }
        return isStream ? client.responses.stream(request).finalResponse() : client.responses.create(request)
      }
      const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: 'How warm is it?' }]
      const { output } = await ask(input)
      const call = output.find((item) => item.type === 'function_call')
      assert.ok(call?.type === 'function_call')
      assert.deepEqual(JSON.parse(call.arguments), { room: 'the "hall" 🦙' })
      const result = { type: 'function_call_output' as const, call_id: call.call_id, output: '21 degrees' }
      const { output_text: text } = await ask([...input, ...(output as OpenAI.Responses.ResponseInput), result])
      assert.equal(text, 'It has 21 degrees.')
    }
  })

  it('embeds, in base64 as it asks by itself, and as numbers', async () => {
    const { data, model, usage } = await client.embeddings.create({ model: 'vectors', input: ['a', 'bcd'] })
    assert.deepEqual(
      data.map(({ embedding }) => embedding),
      [
        [3, 0, 0.5],
        [5, 1, 0.5]
      ]
    )
    assert.deepEqual([model, usage.total_tokens], ['vectors', 2])
    const floats = await client.embeddings.create({ model: 'auto', input: 'a', encoding_format: 'float' })
    assert.deepEqual(floats.data[0]?.embedding, [3, 0, 0.5])
  })

  it('completes prompts', async () => {
    server.play(() => ({ text: 'warm' }))
    assert.equal((await client.completions.create({ model: 'scripted', prompt: 'It is ' })).choices[0]?.text, 'warm')
    let text = ''
    for await (const { choices } of await client.completions.create({ model: 'scripted', prompt: 'It is ', stream: true }))
      text += choices[0]?.text ?? ''
    assert.equal(text, 'warm')
  })

  it('speaks', async function () {
    requireProgram(this, 'espeak-ng')
    await until(() => here.capabilities({ type: 'audio/speech', status: 'online' }).length === 1, 'speech')
    const spoken = await client.audio.speech.create({ model: 'speech', voice: 'alloy', input: 'Hello', response_format: 'wav' })
    const bytes = Buffer.from(await spoken.arrayBuffer())
    assert.deepEqual([bytes.toString('latin1', 0, 4), bytes.toString('latin1', 8, 12)], ['RIFF', 'WAVE'])
    assert.ok(bytes.length > 10_000)
  })

  it('has 5 MB of speech written down, and images made', async () => {
    const file = await toFile(new Uint8Array(5_000_000), 'talk.wav', { type: 'audio/wav' })
    const { text } = await client.audio.transcriptions.create({ model: 'transcription', file, language: 'en' })
    assert.deepEqual(JSON.parse(text), {
      ...{ name: 'talk.wav', type: 'audio/wav', bytes: 5_000_000 },
      language: 'en',
      prompt: null
    })
    const { data } = await client.images.generate({ model: 'images', prompt: 'a llama', n: 2 })
    assert.deepEqual(
      data?.map(({ b64_json: image }) => Buffer.from(image!, 'base64').toString('latin1', 1, 4)),
      ['PNG', 'PNG']
    )
  })

  it('10 MB of images and words reach a model of another node', async () => {
    server.play(({ messages: [said] }) => ({ text: String(JSON.stringify(said).length) }))
    const image = { type: 'image_url' as const, image_url: { url: `data:image/png;base64,${'A'.repeat(5_000_000)}` } }
    const content = [{ type: 'text' as const, text: 'x'.repeat(5_000_000) }, image]
    const { choices } = await client.chat.completions.create({ model: 'scripted', messages: [{ role: 'user', content }] })
    assert.ok(Number(choices[0]?.message.content) > 10_000_000)
  })

  it('throws the errors that it has for them, and asks again only where that makes sense', async () => {
    const chat = (body: object) => client.chat.completions.create({ model: 'scripted', messages, ...body } as never)
    const isOf = (type: new (...args: never) => Error, code: string, param: string | null) => (error: unknown) => {
      assert.ok(error instanceof type, String(error))
      const { code: its, param: field } = error as unknown as { code: string; param: string }
      assert.deepEqual([its, field], [code, param])
      return true
    }
    server.play(() => ({ text: 'x' }))
    await assert.rejects(chat({ model: 'scriptet' }), isOf(OpenAI.NotFoundError, 'model_not_found', 'model'))
    await assert.rejects(
      chat({ messages: [{ role: 'robot', content: '' }] }),
      isOf(OpenAI.BadRequestError, 'invalid_value', 'messages[0].role')
    )
    const stranger = new OpenAI({ apiKey: 'wrong', baseURL: `${api.url}/v1`, maxRetries: 0 })
    await assert.rejects(stranger.models.list(), isOf(OpenAI.AuthenticationError, 'invalid_api_key', null))
    assert.equal(server.requests.length, 0)
    server.play(() => ({ status: 418 }))
    await assert.rejects(chat({}), isOf(OpenAI.InternalServerError, 'tool_failed', null))
    assert.equal(server.requests.length, 1)
    server.play((_request, turn) => (turn === 0 ? { status: 429, headers: { 'retry-after': '1' } } : { text: 'now' }))
    assert.equal((await chat({})).choices[0]?.message.content, 'now')
  })

  it('is told of a failure in the middle of a stream, and ends the work when it leaves', async () => {
    const hi = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'hi' } }] })}\n\n`
    server.play(() => ({ pieces: [hi, 'data: [DONE]\n\n'] }))
    const read = async () => {
      for await (const { choices } of await client.chat.completions.create({ model: 'scripted', messages, stream: true }))
        assert.equal(choices[0]?.delta.content, 'hi')
    }
    await assert.rejects(read(), (error) => error instanceof OpenAI.APIError && error.code === 'unavailable')
    const { left } = server
    server.play(() => ({ pieces: [hi], then: 'hang' }))
    const stream = await client.chat.completions.create({ model: 'scripted', messages, stream: true })
    for await (const _chunk of stream) break
    await until(() => server.left === left + 1, 'the end of the request')
  })

  it('of two nodes with the same model another answers only before the first byte; one that goes in the middle ends the stream with an error', async () => {
    const hi = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'hi' } }] })}\n\n`
    const twin = await createNode({ ...LOOPBACK, name: 'attic', peers: there.multiaddrs() })
    try {
      twin.addBackend(
        createOpenAiChatBackend({ kind: 'openai-chat', baseUrl: server.url, model: 'Org/Scripted:8b', id: 'scripted' })
      )
      await until(() => here.capabilities({ type: 'llm/chat', status: 'online' }).length === 2, 'both', 20_000)
      const ask = (body: object) => ({ model: 'scripted', messages, ...body })
      server.play((_request, turn) => (turn === 0 ? { status: 503 } : { text: 'now' }))
      const { data, response } = await client.chat.completions.create(ask({})).withResponse()
      assert.deepEqual([data.choices[0]?.message.content, server.requests.length], ['now', 2])
      const both = [twin.peerId, there.peerId]
      assert.ok(both.includes(response.headers.get('x-atmosphere-node') ?? ''))
      server.play(() => ({ pieces: [hi], then: 'hang' }))
      const model = 'scripted@attic'
      const chat = await client.chat.completions.create({ ...ask({ model }), stream: true })
      const made = await client.responses.create({ model, input: 'hello', stream: true })
      const toEnd = async (stream: AsyncIterable<unknown>): Promise<void> => {
        for await (const _piece of stream) continue
      }
      const ends = [chat, made].map((stream) =>
        assert.rejects(toEnd(stream), (error) => error instanceof OpenAI.APIError && error.code === 'unavailable')
      )
      await until(() => server.requests.length === 2, 'both requests')
      await twin.stop()
      await Promise.all(ends)
      assert.equal(server.requests.length, 2)
    } finally {
      await twin.stop()
    }
  })
})
