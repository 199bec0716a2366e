import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createOpenAiEmbeddingsBackend } from '../../src/backends/openai-embeddings.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import { startScriptedModel, type ScriptedModel } from '../fixtures/scripted-model.ts'
import { backendContract, errorOf, invoke, resultOf, run } from './contract.ts'

const KEY = 'sk-scripted-0123456789abcdef'

backendContract(
  'openai-embeddings',
  async () => {
    const model = await startScriptedModel()
    return {
      backend: createOpenAiEmbeddingsBackend(
        { kind: 'openai-embeddings', id: 'vectors', baseUrl: model.url, model: 'scripted' },
        { baseDir: '.' }
      ),
      capability: 'vectors',
      echo: {
        tool: 'embed',
        input: (n) => ({ input: 'x'.repeat(n) }),
        output: (n) => ({
          object: 'list',
          model: 'scripted',
          data: [{ object: 'embedding', index: 0, embedding: [n + 2, 0, 0.5] }],
          usage: { prompt_tokens: 1, total_tokens: 1 }
        })
      },
      dispose: () => model.close()
    }
  },
  { instant: true }
)

describe('backend openai-embeddings', () => {
  let model: ScriptedModel
  before(async () => (model = await startScriptedModel(undefined, KEY)))
  after(() => model.close())
  const make = (more: object = {}) =>
    createOpenAiEmbeddingsBackend(
      { kind: 'openai-embeddings', baseUrl: model.url, model: 'Org/Vectors', apiKeyEnv: 'KEY', ...more },
      { baseDir: '.', env: { KEY } }
    )
  const embed = (input: JsonObject, more: object = {}) => invoke(make(more), 'org-vectors', 'embed', input)

  it('offers llm/embed, with its model, and no secret', async () => {
    const running = run(make({ dimensions: 3, aliases: ['text-embedding-3-small'] }))
    const found = await running.snapshot()
    await running.stop()
    const metadata = { model: 'Org/Vectors', dimensions: 3, aliases: ['text-embedding-3-small'] }
    assert.deepEqual([found.id, found.type, found.metadata], ['org-vectors', 'llm/embed', metadata])
    assert.ok(!JSON.stringify(found).includes(KEY) && !JSON.stringify(found).includes('127.0.0.1'))
  })

  it('gives one vector for each text, in their order, as numbers; tokens are one text', async () => {
    const input = { input: ['a', 'bcd', 'ef'], model: 'other', encoding_format: 'base64', dimensions: 3 }
    const { data } = (await resultOf(embed(input))) as unknown as { data: { index: number; embedding: number[] }[] }
    assert.deepEqual(
      data.map(({ index, embedding }) => [index, embedding[0]]),
      [
        [0, 3],
        [1, 5],
        [2, 4]
      ]
    )
    const { body } = model.requests.at(-1)!
    assert.deepEqual([body['model'], body['encoding_format'], body['dimensions']], ['Org/Vectors', 'float', 3])
    assert.equal(((await resultOf(embed({ input: [[1, 2], [3]] }))) as { data: unknown[] }).data.length, 2)
  })

  describe('of a server that answers wrongly', () => {
    let server: Server
    let answer = ''
    before(async () => {
      server = createServer((_, outgoing) => outgoing.end(answer))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    })
    after(() => {
      server.closeAllConnections()
      server.close()
    })
    const vector = (index: unknown, embedding: unknown = [1]) => ({ index, embedding })
    for (const data of [
      undefined,
      [],
      [vector(0)],
      [vector(0), vector(0)],
      [vector(0), vector(2)],
      [vector(0), vector(-1)],
      [vector(0), vector('1')],
      [vector(0), vector(1, [])],
      [vector(0), vector(1, ['1'])],
      [vector(0), vector(1), vector(1)],
      [vector(0), 7]
    ])
      it(`${JSON.stringify(data)} is protocol_error`, async () => {
        answer = JSON.stringify({ data })
        const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
        await errorOf(embed({ input: ['a', 'b'] }, { baseUrl }), 'protocol_error')
      })
  })
})
