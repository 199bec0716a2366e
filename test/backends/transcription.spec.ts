import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend } from '../../src/backends/backend.ts'
import type { TranscriptionConfig } from '../../src/backends/transcription-config.ts'
import { createTranscriptionBackend } from '../../src/backends/transcription.ts'
import type { TranscriptionInit } from '../../src/backends/transcription.ts'
import type { Item, JsonObject } from '../../src/core/invoke.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { freePort } from '../fixtures/mosquitto.ts'
import { startTranscriptionStandIn } from '../fixtures/transcription-stand-in.ts'
import type { TranscriptionStandIn } from '../fixtures/transcription-stand-in.ts'
import { backendContract, errorOf, invoke, resultOf, run, until } from './contract.ts'

const KEY = 'sk-correct-horse'

backendContract('transcription, with a stand-in for the endpoint', async () => {
  const endpoint = await startTranscriptionStandIn()
  return {
    backend: createTranscriptionBackend({ kind: 'transcription', url: endpoint.url, model: 'whisper-1' }, { baseDir: '.' }),
    capability: 'transcription',
    echo: {
      tool: 'transcribe',
      input: (n) => ({ audio: Buffer.alloc(n + 1).toString('base64'), language: 'en' }),
      output: (n) => ({
        text: JSON.stringify({ name: 'audio.wav', type: 'audio/wav', bytes: n + 1, language: 'en', prompt: null }),
        bytes: n + 1
      })
    },
    slow: { tool: 'transcribe', input: { audio: 'AAAA', name: 'hang.wav' }, isGone: () => endpoint.working === 0 },
    failing: { tool: 'transcribe', input: { audio: 'AAAA', name: '418.wav' }, message: /HTTP 418: as asked/ },
    dispose: () => endpoint.stop()
  }
})

describe('transcription backend, with a stand-in for the endpoint', () => {
  let endpoint: TranscriptionStandIn
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atmo-transcription-'))
    endpoint = await startTranscriptionStandIn({ key: KEY })
  })
  afterEach(async () => {
    await endpoint.stop()
    await rm(folder, { recursive: true })
  })

  const make = (config: Partial<TranscriptionConfig> = {}, init: Partial<TranscriptionInit> = {}): Backend =>
    createTranscriptionBackend(
      { kind: 'transcription', url: endpoint.url, model: 'whisper-1', apiKeyEnv: 'KEY', ...config },
      { baseDir: folder, env: { KEY }, recheckMs: 30, ...init }
    )
  const transcribe = (backend: Backend, input: JsonObject = {}, stream?: AsyncIterable<Item>) =>
    invoke(backend, 'transcription', 'transcribe', input, { stream })
  const audio = Buffer.from('RIFF').toString('base64')
  async function* pieces(...sizes: number[]): AsyncGenerator<Item> {
    for (const size of sizes) yield { kind: 'bytes', bytes: new Uint8Array(size) }
  }

  it('takes bytes that are streamed in, and passes on what it is told', async () => {
    const input = { name: 'talk.m4a', language: 'de', prompt: 'Llama' }
    const result = (await resultOf(transcribe(make(), input, pieces(1_000, 70_000, 1)))) as { text: string; bytes: number }
    assert.equal(result.bytes, 71_001)
    assert.deepEqual(JSON.parse(result.text), {
      name: 'talk.m4a',
      type: 'audio/mp4',
      bytes: 71_001,
      language: 'de',
      prompt: 'Llama'
    })
  })

  it('refuses what is no audio, and what is too large', async () => {
    const backend = make({ maxBytes: 100 })
    await errorOf(transcribe(backend), 'invalid_argument')
    await errorOf(transcribe(backend, { audio: 'not base64!' }), 'invalid_argument')
    await errorOf(transcribe(backend, {}, pieces(60, 60)), 'too_large')
    await errorOf(transcribe(backend, { audio: Buffer.alloc(101).toString('base64') }), 'too_large')
    await errorOf(transcribe(backend, { audio: Buffer.alloc(10_000).toString('base64') }), 'too_large')
  })

  it('gives up a request when its call is cancelled', async () => {
    const controller = new AbortController()
    const request = invoke(make(), 'transcription', 'transcribe', { audio, name: 'hang.wav' }, { signal: controller.signal })
    const ended = errorOf(request, 'cancelled')
    await until(() => endpoint.working === 1, 'a request')
    controller.abort()
    await ended
    await until(() => endpoint.working === 0, 'the end of the request')
  })

  it('says what the answers of the endpoint mean', async () => {
    const codes: [status: number, code: ErrorCode, message: RegExp][] = [
      [400, 'invalid_argument', /HTTP 400: as asked/],
      [404, 'unavailable', /HTTP 404: as asked/],
      [413, 'too_large', /HTTP 413: as asked/],
      [429, 'busy', /HTTP 429: as asked/],
      [500, 'unavailable', /HTTP 500: as asked/],
      [200, 'protocol_error', /no JSON object/]
    ]
    for (const [status, code, message] of codes) {
      const error = await errorOf(transcribe(make(), { audio, name: `${status}.wav` }), code)
      assert.match(error.message, message)
    }
    await errorOf(transcribe(make({ model: 'other' }), { audio }), 'unavailable')
  })

  it('never shows its key, and says where it is missing', async () => {
    await writeFile(join(folder, 'key'), `${KEY}\n`)
    const fromFile: Partial<TranscriptionConfig> = { apiKeyEnv: undefined, apiKeyFile: 'key' }
    await resultOf(transcribe(make(fromFile), { audio }))
    const wrong: [Partial<TranscriptionConfig>, Partial<TranscriptionInit>, RegExp][] = [
      [{}, { env: { KEY: 'sk-wrong-horse' } }, /refuses the key/],
      [{}, { env: {} }, /variable KEY is not set/],
      [{ ...fromFile, apiKeyFile: 'missing' }, {}, /cannot read the file "missing" \(ENOENT\)/]
    ]
    for (const [config, init, message] of wrong) {
      const backend = make(config, init)
      const error = await errorOf(transcribe(backend, { audio }), 'unavailable')
      const running = run(backend)
      const { statusReason = '' } = await running.snapshot(({ status }) => status === 'offline')
      await running.stop()
      for (const said of [error.message, statusReason]) {
        assert.match(said, message)
        assert.ok(!/horse/.test(JSON.stringify([said, error.details])))
      }
    }
  })

  it('is offline while nobody answers, and comes back', async () => {
    const port = await freePort()
    const backend = make({ url: `http://127.0.0.1:${port}/v1/` })
    const running = run(backend)
    const { statusReason } = await running.snapshot(({ status }) => status === 'offline')
    assert.equal(statusReason, 'the server does not answer: ECONNREFUSED')
    await errorOf(transcribe(backend, { audio }), 'unavailable')
    const late = await startTranscriptionStandIn({ key: KEY, port })
    await running.snapshot(({ status }) => status === 'online')
    await running.stop()
    await late.stop()
  })
})
