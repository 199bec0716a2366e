import assert from 'node:assert/strict'
import { createApp } from '../../../src/http/app.ts'
import { TEXTS_PER_CALL } from '../../../src/http/openai/embeddings-routes.ts'
import type { JsonObject, JsonValue } from '../../../src/core/invoke.ts'
import { completion, createModelMesh, says, type FakeModel, type ModelInMesh } from '../../fixtures/model-mesh.ts'

const token = 'T'.repeat(43)

function world(...models: ModelInMesh[]) {
  const standIn = createModelMesh(models)
  const app = createApp({ mesh: standIn.mesh, tokens: [token] })
  const post = async (path: string, body: unknown) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const response = await app(
      new Request(`http://127.0.0.1/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    )
    const text = await response.text()
    const json = (text.startsWith('{') ? JSON.parse(text) : {}) as JsonObject & { error: { param: string; code: string } }
    return { status: response.status, headers: response.headers, text, json }
  }
  return Object.assign(standIn, { post })
}

const vectors = (wrong?: JsonValue): FakeModel =>
  async function* ({ input }) {
    const texts = (typeof input === 'string' || typeof (input as JsonValue[])[0] === 'number' ? [input] : input) as JsonValue[]
    const data = texts.map((text, index) => ({
      object: 'embedding',
      index,
      embedding: [typeof text === 'string' ? text.length : 0, 0.5, -1]
    }))
    return {
      object: 'list',
      model: 'up',
      data: wrong ?? data,
      usage: { prompt_tokens: texts.length, total_tokens: texts.length }
    }
  }
const embedder = (id: string, answer = vectors()): ModelInMesh => ({
  ...{ id, type: 'llm/embed', tools: [{ name: 'embed', idempotent: true }], metadata: { model: 'nomic' } },
  answer
})

describe('http openai embeddings', () => {
  it('vectors as numbers, or in base64 of little-endian floats', async () => {
    const { post, calls } = world(embedder('vectors'))
    const { json, headers } = await post('embeddings', { model: 'vectors', input: ['a', 'bcd'], dimensions: 3, user: null })
    assert.deepEqual(json, {
      object: 'list',
      data: [
        { object: 'embedding', index: 0, embedding: [1, 0.5, -1] },
        { object: 'embedding', index: 1, embedding: [3, 0.5, -1] }
      ],
      model: 'nomic',
      usage: { prompt_tokens: 2, total_tokens: 2 }
    })
    assert.equal(headers.get('x-atmosphere-capability'), 'vectors')
    assert.deepEqual(calls[0]?.input, { input: ['a', 'bcd'], dimensions: 3 })
    const { data } = (await post('embeddings', { model: 'nomic', input: 'abc', encoding_format: 'base64' })).json as unknown as {
      data: { embedding: string }[]
    }
    const bytes = Buffer.from(data[0]!.embedding, 'base64')
    assert.deepEqual(
      [0, 4, 8].map((at) => bytes.readFloatLE(at)),
      [3, 0.5, -1]
    )
  })

  it('many texts are several calls to one model at one node', async () => {
    const { post, calls } = world(embedder('one'), embedder('two'))
    const input = Array.from({ length: 2 * TEXTS_PER_CALL + 1 }, (_, n) => 'x'.repeat(n + 1))
    const { json } = await post('embeddings', { model: 'auto', input })
    const data = json['data'] as { index: number; embedding: number[] }[]
    assert.deepEqual(
      data.map(({ index, embedding }) => embedding[0]! - index),
      input.map(() => 1)
    )
    assert.deepEqual(
      calls.map(({ target }) => target),
      ['one', 'one', 'one']
    )
    assert.deepEqual(json['usage'], { prompt_tokens: input.length, total_tokens: input.length })
  })

  it('all vectors of an answer are of the node that gave the first, whoever else comes to be called by its PeerId', async () => {
    const peer = `12D3KooW${'A'.repeat(44)}`
    const input = Array.from({ length: TEXTS_PER_CALL + 1 }, () => 'a')
    const thief: ModelInMesh = { ...embedder('one', vectors([{ index: 0, embedding: [7] }])), node: 'thief', nodeName: 'cellar' }
    const honest: ModelInMesh = { ...embedder('one'), node: peer }
    const { post, calls, mesh } = world(honest, thief)
    const views = mesh.capabilities()
    const first = mesh.call
    mesh.call = (...call) => {
      // After the first call the node has gone, and another one takes its name.
      mesh.capabilities = () => views.filter(({ node }) => node === 'thief').map((one) => ({ ...one, nodeName: peer }))
      return first(...call)
    }
    const { status } = await post('embeddings', { model: 'one@kitchen', input })
    assert.equal(status, 200)
    assert.deepEqual(
      calls.map(({ target, options }) => [target, options.node ?? options.notNode]),
      [
        ['one', ['thief']],
        ['one', peer]
      ]
    )
  })

  it('tokens are one text', async () => {
    const { post, calls } = world(embedder('vectors'))
    assert.equal(((await post('embeddings', { model: 'vectors', input: [1, 2] })).json['data'] as object[]).length, 1)
    assert.equal(((await post('embeddings', { model: 'vectors', input: [[1, 2], [3]] })).json['data'] as object[]).length, 2)
    assert.deepEqual(
      calls.map(({ input }) => input['input']),
      [
        [1, 2],
        [[1, 2], [3]]
      ]
    )
  })

  for (const [body, param] of [
    [{}, 'input'],
    [{ input: [] }, 'input'],
    [{ input: {} }, 'input'],
    [{ input: ['a', 7] }, 'input[1]'],
    [{ input: Array(2_049).fill('a') as string[] }, 'input'],
    [{ input: 'a', encoding_format: 'int8' }, 'encoding_format'],
    [{ input: 'a', dimensions: -1 }, 'dimensions'],
    [{ input: 'a', model: '' }, 'model'],
    [{ input: 'a', model: 'chat' }, 'model']
  ] as const)
    it(`refuses ${JSON.stringify(body).slice(0, 60)}, and names ${param}`, async () => {
      const { status, json } = await world(embedder('vectors'), { id: 'chat' }).post('embeddings', { model: 'vectors', ...body })
      assert.deepEqual([Math.floor(status / 100), json.error.param], [4, param])
    })

  it('a vector is that of its text, in whatever order a server gives them', async () => {
    const turned: JsonValue = [
      { index: 1, embedding: [2] },
      { index: 0, embedding: [1] }
    ]
    const { json } = await world(embedder('vectors', vectors(turned))).post('embeddings', { model: 'vectors', input: ['a', 'b'] })
    assert.deepEqual(json['data'], [
      { object: 'embedding', index: 0, embedding: [1] },
      { object: 'embedding', index: 1, embedding: [2] }
    ])
  })

  it('what is no vectors is an error', async () => {
    const [fine, second] = [{ embedding: [1] }, { index: 1, embedding: [1] }]
    for (const wrong of [['x'], [{ embedding: 'x' }], [{ embedding: ['1'] }], [], [fine, fine], [second]] as JsonValue[]) {
      const { status, json } = await world(embedder('vectors', vectors(wrong))).post('embeddings', {
        model: 'vectors',
        input: 'a'
      })
      assert.deepEqual([status, json.error.code], [502, 'protocol_error'])
    }
  })
})

describe('http openai completions', () => {
  it('a prompt is a conversation of one message', async () => {
    const { post, calls } = world({ id: 'qwen', answer: says('two ', 'words') })
    const { json } = await post('completions', {
      model: 'qwen',
      prompt: 'Say: ',
      max_tokens: 9,
      stop: ['.'],
      logprobs: null,
      echo: true
    })
    assert.match(json['id'] as string, /^cmpl-/)
    assert.deepEqual(json['choices'], [{ text: 'Say: two words', index: 0, logprobs: null, finish_reason: 'stop' }])
    assert.deepEqual(json['usage'], { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 })
    assert.deepEqual(calls[0]?.input, { messages: [{ role: 'user', content: 'Say: ' }], max_tokens: 9, stop: ['.'] })
  })

  it('several prompts are several calls, whose choices are counted on', async () => {
    const { post } = world({
      id: 'qwen',

      async *answer({ messages }) {
        return completion((messages as { content: string }[])[0]!.content.toUpperCase())
      }
    })
    const { json } = await post('completions', { model: 'qwen', prompt: ['a', 'b'] })
    assert.deepEqual(
      (json['choices'] as JsonObject[]).map(({ text, index }) => [text, index]),
      [
        ['A', 0],
        ['B', 1]
      ]
    )
    assert.equal((json['usage'] as JsonObject)['total_tokens'], 10)
  })

  it('streams', async () => {
    const { post } = world({ id: 'qwen', answer: says('two ', 'words') })
    const { text } = await post('completions', {
      model: 'qwen',
      prompt: 'Say: ',
      stream: true,
      echo: true,
      stream_options: { include_usage: true }
    })
    const events = text
      .trim()
      .split('\n\n')
      .map((event) => event.slice(6))
    assert.equal(events.pop(), '[DONE]')
    const chunks = events.map((event) => JSON.parse(event) as JsonObject & { choices: { text: string }[] })
    assert.equal(chunks.map(({ choices }) => choices[0]?.text ?? '').join(''), 'Say: two words')
    assert.ok(chunks.every(({ object }) => object === 'text_completion'))
    assert.deepEqual(chunks.at(-1)?.['usage'], { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 })
  })

  for (const [body, param] of [
    [{}, 'prompt'],
    [{ prompt: [] }, 'prompt'],
    [{ prompt: [1, 2] }, 'prompt'],
    [{ prompt: 'a', suffix: 'b' }, 'suffix'],
    [{ prompt: 'a', best_of: 2 }, 'best_of'],
    [{ prompt: ['a', 'b'], stream: true }, 'prompt'],
    [{ prompt: 'a', echo: 1 }, 'echo']
  ] as const)
    it(`refuses ${JSON.stringify(body)}, and names ${param}`, async () => {
      const { status, json } = await world({ id: 'qwen' }).post('completions', { model: 'qwen', ...body })
      assert.deepEqual([status, json.error.param], [400, param])
    })
})
