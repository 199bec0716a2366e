import assert from 'node:assert/strict'
import OpenAI, { toFile } from 'openai'
import { createApp } from '../../../src/http/app.ts'
import type { JsonObject } from '../../../src/core/invoke.ts'
import { MeshError } from '../../../src/errors.ts'
import { createModelMesh, type ModelInMesh } from '../../fixtures/model-mesh.ts'

const token = 'T'.repeat(43)

describe('http openai media', () => {
  let heard: Uint8Array[] = []
  const models: ModelInMesh[] = [
    {
      ...{
        id: 'speech',
        type: 'audio/speech',
        tools: [{ name: 'speak', input: { properties: { rate: {}, bytes: {}, voice: {} } } }]
      },
      async *answer() {
        yield { kind: 'bytes', bytes: Uint8Array.of(1, 2) }
        yield { kind: 'bytes', bytes: Uint8Array.of(3) }
        return { mediaType: 'audio/wav', bytes: 3 }
      }
    },
    {
      ...{ id: 'transcription', type: 'audio/transcription', tools: [{ name: 'transcribe' }] },
      async *answer(_input, { stream }) {
        heard = []
        for await (const item of stream!) if (item.kind === 'bytes') heard.push(item.bytes)
        return { text: 'hello', bytes: 4 }
      }
    },
    {
      ...{ id: 'image', type: 'image/generation', tools: [{ name: 'generate' }] },
      async *answer({ n }) {
        yield { kind: 'bytes', bytes: Uint8Array.of(1, 2, 3) }
        const images: JsonObject[] = [{ bytes: 1 }, { bytes: 2, revisedPrompt: 'two' }]
        return { images: n === 4 ? [] : images }
      }
    }
  ]
  models.push(
    {
      ...{
        id: 'mp3',
        type: 'audio/speech',
        tools: [{ name: 'speak', input: { properties: { speed: {}, format: { enum: ['wav', 'mp3'] } } } }]
      },
      async *answer() {
        yield { kind: 'bytes', bytes: Uint8Array.of(9) }
        return { mediaType: 'audio/mpeg', bytes: 1 }
      }
    },
    {
      ...{ id: 'mute', type: 'audio/speech', tools: [{ name: 'speak', input: true }] },
      async *answer() {
        return { mediaType: 'text/html\r\nx: y', bytes: 0 }
      }
    },
    {
      ...{ id: 'deaf', type: 'audio/transcription', score: -1, tools: [{ name: 'transcribe', idempotent: true }] },
      async *answer(_input, { stream }) {
        for await (const item of stream!) assert.equal(item.kind, 'bytes')
        throw new MeshError('unavailable', 'it has heard nothing', { reason: 'lost' })
      }
    }
  )
  const { mesh, calls } = createModelMesh(models)
  const app = createApp({ mesh, tokens: [token] })
  const client = new OpenAI({
    apiKey: token,
    baseURL: 'http://127.0.0.1/v1',
    maxRetries: 0,
    fetch: async (url, init) => app(new Request(url, init))
  })
  beforeEach(() => void calls.splice(0))
  const fault =
    (param: string | null, status = 400) =>
    (error: unknown) => {
      assert.ok(error instanceof OpenAI.APIError, String(error))
      assert.deepEqual([error.status, error.param], [status, param])
      return true
    }

  it('speaks, as WAV', async () => {
    const speak = (more: object = {}) => client.audio.speech.create({ model: 'speech', voice: 'alloy', input: 'Hi', ...more })
    const response = await speak({ response_format: 'wav', speed: 2 })
    assert.equal(response.headers.get('content-type'), 'audio/wav')
    assert.deepEqual([...new Uint8Array(await response.arrayBuffer())], [1, 2, 3])
    await speak({ voice: 'en-gb' })
    assert.deepEqual(
      calls.map(({ input }) => input),
      [
        { text: 'Hi', bytes: true, rate: 350 },
        { text: 'Hi', bytes: true, voice: 'en-gb' }
      ]
    )
    await assert.rejects(speak({ response_format: 'mp3' }), fault('response_format'))
    await assert.rejects(speak({ input: '' }), fault('input'))
    await assert.rejects(speak({ model: 'image' }), fault('model', 404))
  })

  it('speaks as the model can, and says as what', async () => {
    const speak = (more: object = {}) => client.audio.speech.create({ model: 'mp3', voice: 'alloy', input: 'Hi', ...more })
    const response = await speak({ response_format: 'mp3', speed: 2 })
    assert.equal(response.headers.get('content-type'), 'audio/mpeg')
    assert.deepEqual(calls[0]?.input, { text: 'Hi', format: 'mp3', speed: 2 })
    await assert.rejects(speak({ response_format: 'flac' }), fault('response_format'))
    await assert.rejects(speak({ stream_format: 'sse' }), fault('stream_format'))
    await assert.rejects(speak({ model: 'mute' }), fault(null, 502))
  })

  it('what was sent goes whole to the next model, if one has failed with it', async () => {
    const file = await toFile(new Uint8Array(70_000).fill(7), 'talk.wav')
    const { text } = await client.audio.transcriptions.create({ model: 'auto', file })
    assert.deepEqual(
      [text, calls.map(({ target }) => target), heard.reduce((sum, { length }) => sum + length, 0)],
      ['hello', ['deaf', 'transcription'], 70_000]
    )
  })

  it('says what it cannot do, and drops nothing without a word', async () => {
    const file = await toFile(new Uint8Array(7), 'talk.wav')
    const write = (more: object) => client.audio.transcriptions.create({ model: 'transcription', file, ...more })
    await assert.rejects(write({ stream: true }), fault('stream'))
    await assert.rejects(write({ timestamp_granularities: ['word'] }), fault('timestamp_granularities'))
    await assert.rejects(client.images.generate({ model: 'image', prompt: 'x', stream: true }), fault('stream'))
  })

  it('writes down what it is sent', async () => {
    const file = await toFile(new Uint8Array(70_000).fill(7), 'talk.wav', { type: 'audio/wav' })
    const { text } = await client.audio.transcriptions.create({ model: 'transcription', file, language: 'en' })
    assert.equal(text, 'hello')
    assert.deepEqual(calls[0]?.input, { name: 'talk.wav', mediaType: 'audio/wav', language: 'en' })
    assert.deepEqual([heard.length, heard.reduce((sum, { length }) => sum + length, 0)], [2, 70_000])
    const plain = await client.audio.transcriptions.create({ model: 'auto', file, response_format: 'text' })
    assert.equal(plain, 'hello')
    await assert.rejects(
      client.audio.transcriptions.create({ model: 'auto', file, response_format: 'srt' }),
      fault('response_format')
    )
    await assert.rejects(client.post('/audio/transcriptions', { body: { model: 'auto' } }), fault(null, 415))
  })

  it('makes images, each by itself', async () => {
    const make = (more: object = {}) => client.images.generate({ model: 'image', prompt: 'two', ...more })
    const { data } = await make({ n: 2, size: '64x64' })
    assert.deepEqual(data, [{ b64_json: 'AQ==' }, { b64_json: 'AgM=', revised_prompt: 'two' }])
    assert.deepEqual(calls[0]?.input, { prompt: 'two', n: 2, size: '64x64' })
    await assert.rejects(make({ response_format: 'url' }), fault('response_format'))
    await assert.rejects(make({ n: 4 }), fault(null, 502))
  })
})
