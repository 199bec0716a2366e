import assert from 'node:assert/strict'
import type { Backend } from '../../src/backends/backend.ts'
import type { OpenAiImageConfig } from '../../src/backends/openai-image-config.ts'
import { imageTypeOf } from '../../src/backends/openai-image-data.ts'
import { MAX_IMAGES, MAX_PROMPT, createOpenAiImageBackend } from '../../src/backends/openai-image.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { imageOf, startImageStandIn, type ImageStandIn } from '../fixtures/image-stand-in.ts'
import { backendContract, collect, errorOf, invoke, run, until } from './contract.ts'
import { watchEvents } from './watched-events.ts'

const KEY = 'sk-correct-horse'

backendContract('openai-image, with a stand-in for the endpoint', async () => {
  const endpoint = await startImageStandIn()
  const asked = (n: number) => ({ model: 'pixel-1', prompt: `llama ${n}`, n: 1, response_format: 'b64_json' })
  return {
    backend: createOpenAiImageBackend({ kind: 'openai-image', baseUrl: endpoint.url, model: 'pixel-1' }, { baseDir: '.' }),
    capability: 'image',
    echo: {
      tool: 'generate',
      input: (n) => ({ prompt: `llama ${n}` }),
      output: (n) => {
        const bytes = imageOf(asked(n), 0).length
        const image = { mediaType: 'image/png', bytes, revisedPrompt: `llama ${n}, in one pixel` }
        return { mediaType: 'image/png', bytes, images: [image] }
      }
    },
    slow: { tool: 'generate', input: { prompt: 'hang' }, isGone: () => endpoint.working === 0 },
    failing: { tool: 'generate', input: { prompt: '418' }, message: /HTTP 418: as asked/ },
    dispose: () => endpoint.stop()
  }
})

describe('backend openai-image, with a stand-in for the endpoint', () => {
  let endpoint: ImageStandIn
  beforeEach(async () => (endpoint = await startImageStandIn({ key: KEY })))
  afterEach(() => endpoint.stop())

  const make = (config: Partial<OpenAiImageConfig> = {}, env: Record<string, string> = { KEY }): Backend =>
    createOpenAiImageBackend(
      { kind: 'openai-image', baseUrl: endpoint.url, model: 'pixel-1', apiKeyEnv: 'KEY', ...config },
      { baseDir: '.', env, recheckMs: 30 }
    )
  const generate = (backend: Backend, input: JsonObject) => invoke(backend, 'image', 'generate', input)
  const read = async (backend: Backend, input: JsonObject) => {
    const items = await collect(generate(backend, input))
    const last = items.at(-1)
    const result = (last?.kind === 'result' ? last.value : null) as { images: { bytes: number }[]; bytes: number }
    return { bytes: Buffer.concat(items.flatMap((item) => (item.kind === 'bytes' ? [item.bytes] : []))), result }
  }

  it('gives the images one after another, and says where each ends', async () => {
    const { bytes, result } = await read(make({ size: '64x64' }), { prompt: 'llama', n: 3 })
    const asked = { model: 'pixel-1', prompt: 'llama', n: 3, size: '64x64', response_format: 'b64_json' }
    assert.deepEqual(endpoint.requests, [asked])
    const images = [0, 1, 2].map((index) => imageOf(asked, index))
    assert.deepEqual(bytes, Buffer.concat(images))
    assert.deepEqual(
      result.images.map((image) => image.bytes),
      images.map(({ length }) => length)
    )
    assert.equal(result.bytes, bytes.length)
  })

  it('fetches images that come as addresses, of the same host or of one that is named, without the key', async () => {
    const asked = { model: 'pixel-1', prompt: 'llama', n: 1, size: '64x64' }
    const url = await read(make({ responseFormat: 'url' }), { prompt: 'llama', size: '64x64' })
    assert.deepEqual(url.bytes, imageOf({ ...asked, response_format: 'url' }, 0))
    const none = await read(make({ responseFormat: 'none' }), { prompt: 'llama', size: '64x64' })
    assert.deepEqual(none.bytes, imageOf(asked, 0))
    const other = await startImageStandIn()
    try {
      const elsewhere = { prompt: `raw ${JSON.stringify({ data: [{ url: `${other.url}/models` }] })}` }
      const { host } = new URL(other.url)
      assert.match(
        (await errorOf(generate(make(), elsewhere), 'protocol_error')).message,
        new RegExp(`at http://${host}; imageHosts`)
      )
      for (const named of [host, `http://${host}`])
        assert.match((await errorOf(generate(make({ imageHosts: [named] }), elsewhere), 'protocol_error')).message, /no image/)
      // Another port, or what is to be encrypted and is not.
      for (const named of [host.replace(/:.*/, ''), `https://${host}`])
        assert.match((await errorOf(generate(make({ imageHosts: [named] }), elsewhere), 'protocol_error')).message, /imageHosts/)
      for (const address of ['file:///etc/passwd', 'data:image/png;base64,AA', 'nonsense'])
        await errorOf(generate(make(), { prompt: `raw ${JSON.stringify({ data: [{ url: address }] })}` }), 'protocol_error')
    } finally {
      await other.stop()
    }
  })

  it('says when an image has been made', async () => {
    const backend = make({ triggers: { image_complete: { routeHint: 'agent/*' } } })
    const running = run(backend)
    const { type, triggers } = await running.snapshot(({ status }) => status === 'online')
    assert.deepEqual(
      [type, triggers?.map(({ event, routeHint }) => [event, routeHint])],
      ['image/generation', [['image_complete', 'agent/*']]]
    )
    const events = watchEvents(backend)
    const { result } = await read(backend, { prompt: 'llama', size: '64x64' })
    const expected = { prompt: 'llama', count: 1, size: '64x64', mediaType: 'image/png', bytes: result.bytes }
    assert.deepEqual(await events.next('image_complete'), expected)
    await events.stop()
    await running.stop()
  })

  it('refuses wrong input before it asks, and says what the answers of the endpoint mean', async () => {
    for (const input of [
      {},
      { prompt: ' ' },
      { prompt: 'x'.repeat(MAX_PROMPT + 1) },
      { prompt: 'x', n: MAX_IMAGES + 1 },
      { prompt: 'x', size: 'large' }
    ])
      await errorOf(generate(make(), input as JsonObject), 'invalid_argument')
    assert.deepEqual(endpoint.requests, [])
    const codes: [prompt: string, code: ErrorCode, message: RegExp][] = [
      ['400', 'invalid_argument', /HTTP 400: as asked/],
      ['429', 'busy', /HTTP 429/],
      ['500', 'unavailable', /HTTP 500/],
      ['raw <html>', 'protocol_error', /no JSON object/],
      ['raw {}', 'protocol_error', /holds no images/],
      ['raw {"data":[]}', 'protocol_error', /holds no images/],
      ['raw {"data":[{"b64_json":"PGh0bWw+"}]}', 'protocol_error', /no image/],
      ['raw {"data":[null]}', 'protocol_error', /no image/]
    ]
    for (const [prompt, code, message] of codes)
      assert.match((await errorOf(generate(make(), { prompt }), code)).message, message)
    await errorOf(generate(make({ model: 'other' }), { prompt: 'x' }), 'unavailable')
    assert.match((await errorOf(generate(make({ timeoutMs: 50 }), { prompt: 'hang' }), 'deadline_exceeded')).message, /50 ms/)
    await until(() => endpoint.working === 0, 'the end of the request')
  })

  it('is offline without its key, and never shows it', async () => {
    for (const [env, reason] of [
      [{}, /variable KEY is not set/],
      [{ KEY: 'sk-wrong-horse' }, /refuses the key/]
    ] as const) {
      const running = run(make({}, env))
      const found = await running.snapshot(({ status }) => status === 'offline')
      await running.stop()
      const error = await errorOf(generate(make({}, env), { prompt: 'x' }), 'unavailable')
      for (const said of [found.statusReason ?? '', error.message]) assert.match(said, reason)
      assert.ok(!/horse|127\.0/.test(JSON.stringify([found, error.message, error.details])))
    }
  })

  it('knows images by their first bytes', () => {
    const types = ['\x89PNG\r\n\x1a\n', '\xff\xd8\xff\xe0', 'RIFF1234WEBP', 'RIFF1234WAVE', '<svg', ''].map((start) =>
      imageTypeOf(Buffer.from(start, 'latin1'))
    )
    assert.deepEqual(types, ['image/png', 'image/jpeg', 'image/webp', undefined, undefined, undefined])
  })
})
