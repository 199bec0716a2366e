import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { FINGERPRINTS } from '../../src/backends/local-ai-fingerprints.ts'
import { NAMED_ENGINES } from '../../src/backends/local-ai-config.ts'
import { MAX_MODELS, MAX_MODEL_NAME, MODEL_TYPES, typeByName } from '../../src/backends/local-ai-model.ts'
import { MAX_MEMORY, MAX_REPLY_BYTES, createProbe, type Probe } from '../../src/backends/local-ai-probe.ts'
import { createSurvey, type FoundServer, type Sighting, type SurveyConfig } from '../../src/backends/local-ai-servers.ts'
import { isMeshError } from '../../src/errors.ts'
import { serveApi } from '../../src/http/serve.ts'
import type { JsonValue } from '../../src/core/invoke.ts'
import { json, startStandIn, type StandIn, type StandInRoutes } from '../fixtures/ai-stand-in.ts'
import { createModelMesh } from '../fixtures/model-mesh.ts'
import { FARM_SECRETS, startFarmStandIn, startUniversalStandIn } from '../fixtures/llamafarm-stand-in.ts'
import { startOllamaStandIn } from '../fixtures/ollama-stand-in.ts'

const signal = new AbortController().signal
const open: { close(): Promise<void> }[] = []

const survey = (config: Partial<SurveyConfig>, env: Record<string, string> = {}) =>
  createSurvey({ namespaces: ['discoverable'], ...config }, { version: '0.0.0', env })

async function lookAt(standIn: StandIn, more: Partial<SurveyConfig> = {}): Promise<Sighting> {
  open.push(standIn)
  const [sighting] = await survey({ ports: [standIn.port], ...more }).look(signal)
  return sighting!
}

async function serverAt(standIn: StandIn, more: Partial<SurveyConfig> = {}): Promise<FoundServer> {
  const sighting = await lookAt(standIn, more)
  assert.equal(sighting.saw, 'server', JSON.stringify(sighting))
  return sighting.server
}

const list = (...data: object[]) => json({ object: 'list', data })
const model = (id: string, more: object = {}) => ({ id, object: 'model', created: 0, ...more })

describe('local AI servers', () => {
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close()
  })

  it('has one row for each engine that a configuration can name', () => {
    assert.deepEqual(FINGERPRINTS.map(({ engine }) => engine).sort(), [...NAMED_ENGINES].sort())
  })

  it('Ollama: types, context, tools and vision of each model, what is loaded, and nothing of a cloud', async () => {
    const found = await serverAt(await startOllamaStandIn())
    assert.deepEqual([found.engine, found.version], ['ollama', '0.33.0'])
    assert.match(found.because, /Ollama is running.*\/api\/version/)
    const [llama, llava, nomic, cloud] = found.models
    const common = { type: 'llm/chat', typeFrom: 'server', audio: false }
    assert.deepEqual(llama, {
      ...{ ...common, model: 'llama3.2:3b', contextLength: 131072, tools: true, vision: false },
      ...{ loaded: true, servedContextLength: 4096 }
    })
    assert.deepEqual(llava, {
      ...common,
      ...{ model: 'llava:7b', contextLength: 32768, tools: false, vision: true, loaded: false }
    })
    assert.deepEqual([nomic?.type, nomic?.dimensions, nomic?.loaded], ['llm/embed', 768, false])
    assert.match(cloud?.withheld ?? '', /cloud/)
  })

  it('Ollama before May 2026: asks for each model, once', async () => {
    const ollama = await startOllamaStandIn({ listsCapabilities: false })
    open.push(ollama)
    const looks = survey({ ports: [ollama.port] })
    for (let n = 0; n < 3; n++) await looks.look(signal)
    const [sighting] = await looks.look(signal)
    const { models } = (sighting as { server: FoundServer }).server
    assert.deepEqual(
      models.map(({ type, contextLength, tools }) => [type, contextLength, tools]),
      [
        ['llm/chat', 131072, true],
        ['llm/chat', 32768, false],
        ['llm/embed', 2048, undefined],
        ['llm/chat', undefined, undefined]
      ]
    )
    assert.equal(ollama.asked().filter((one) => one === 'POST /api/show').length, 3)
  })

  it('LlamaFarm: only projects of allowed namespaces, with nothing of their configurations', async () => {
    const farm = await startFarmStandIn([
      { namespace: 'discoverable', name: 'llamas', description: 'Knows all about llamas.', documents: true, voice: true },
      { namespace: 'discoverable', name: 'broken', broken: true },
      { namespace: 'discoverable', name: 'far', provider: 'openai' },
      { namespace: 'discoverable', name: 'far-too', provider: 'openai', baseUrl: 'https://api.example.com/v1' },
      { namespace: 'discoverable', name: 'near', provider: 'openai', baseUrl: 'http://192.168.1.7:8000/v1' },
      { namespace: 'private', name: 'diary' }
    ])
    const found = await serverAt(farm)
    assert.deepEqual([found.engine, found.version], ['llamafarm', '0.0.27'])
    assert.deepEqual(
      found.models.map(({ name, withheld }) => [name, withheld === undefined]),
      [
        ['discoverable/llamas', true],
        ['discoverable/broken', false],
        ['discoverable/far', false],
        ['discoverable/far-too', false],
        ['discoverable/near', true]
      ]
    )
    const [llamas] = found.models
    assert.deepEqual([llamas?.documents, llamas?.voicePath, llamas?.tools], [true, '/v1/discoverable/llamas', true])
    assert.equal(llamas?.degraded, undefined)
    assert.ok(!farm.asked().some((one) => one.includes('private')))
    const text = JSON.stringify(found)
    for (const secret of [...FARM_SECRETS, '192.168.', 'example.com']) assert.ok(!text.includes(secret), secret)
  })

  it('LlamaFarm: what its health says counts for the projects that need it', async () => {
    const farm = await startFarmStandIn([
      { namespace: 'discoverable', name: 'a', provider: 'ollama' },
      { namespace: 'discoverable', name: 'b', documents: true },
      { namespace: 'discoverable', name: 'c' }
    ])
    farm.unhealthy = ['ollama', 'rag-service']
    const { models } = await serverAt(farm)
    assert.deepEqual(
      models.map(({ degraded }) => degraded?.replace(/^LlamaFarm says that /, '')),
      ['ollama, which its model needs, is not healthy', 'the search of its documents is not healthy', undefined]
    )
  })

  it('LlamaFarm that does not know the namespace has no projects', async () => {
    const farm = await startFarmStandIn([])
    assert.deepEqual((await serverAt(farm)).models, [])
    farm.routes = { 'GET /info': farm.routes['GET /info']!, '*': json({ detail: 'Not Found' }, 404) }
    const [older] = await survey({ ports: [farm.port] }).look(signal)
    assert.deepEqual((older as { server: FoundServer }).server.models, [])
  })

  it('universal runtime: what is in memory by the name that a request uses, and the speech that it always has', async () => {
    const runtime = await startUniversalStandIn([
      'language:unsloth/Qwen3-1.7B-GGUF:Q4_K_M:ctxauto:gpuauto:quantdefault',
      'encoder:embedding:sentence_transformers:nomic-ai/nomic-embed-text-v1.5:quantdefault:lenauto',
      'encoder:ner:hf:dslim/bert-base-NER:quantdefault',
      'vision:yolov8n'
    ])
    const { engine, models } = await serverAt(runtime)
    assert.equal(engine, 'universal-runtime')
    assert.deepEqual(
      models.map((one) => [one.type, one.model, one.loaded]),
      [
        ['llm/chat', 'unsloth/Qwen3-1.7B-GGUF:Q4_K_M', true],
        ['llm/embed', 'nomic-ai/nomic-embed-text-v1.5', true],
        ['audio/transcription', 'distil-large-v3', false],
        ['audio/speech', 'kokoro', false]
      ]
    )
  })

  it('llama.cpp: modalities and tools; a server of vectors is one, a server without them answers 501', async () => {
    const entry = model('tiny', {
      ...{ owned_by: 'llamacpp', meta: { n_ctx: 8192, n_embd: 128, n_params: 7 } },
      architecture: { input_modalities: ['text', 'image'] }
    })
    const routes: StandInRoutes = {
      'GET /v1/models': json({ object: 'list', data: [entry], models: [{ name: 'tiny' }] }, 200, { server: 'llama.cpp' }),
      'GET /props': json({
        modalities: { vision: true, audio: false },
        chat_template_caps: { supports_tools: true },
        total_slots: 1
      }),
      'POST /v1/embeddings': json({ error: { code: 501, message: 'This server does not support embeddings' } }, 501)
    }
    const chat = await serverAt(await startStandIn(routes))
    assert.equal(chat.engine, 'llama.cpp')
    assert.deepEqual(chat.models, [
      {
        ...{ model: 'tiny', type: 'llm/chat', typeFrom: 'server', contextLength: 8192, loaded: true },
        ...{ vision: true, audio: false, tools: true }
      }
    ])
    routes['POST /v1/embeddings'] = json({ error: { code: 400, message: '"input" or "content" must be provided' } }, 400)
    const [embed] = (await serverAt(await startStandIn(routes))).models
    assert.deepEqual([embed?.type, embed?.dimensions], ['llm/embed', 128])
  })

  it('LM Studio: its own list, or the older one', async () => {
    const v1 = json({
      models: [
        {
          ...{ type: 'llm', key: 'qwen/qwen3-8b', display_name: 'Qwen3 8B', max_context_length: 40960 },
          ...{
            capabilities: { vision: false, trained_for_tool_use: true },
            loaded_instances: [{ id: 'a', config: { context_length: 8192 } }]
          }
        },
        { type: 'embedding', key: 'text-embedding-nomic', loaded_instances: [], max_context_length: 2048 }
      ]
    })
    const found = await serverAt(await startStandIn({ 'GET /api/v1/models': v1 }))
    assert.equal(found.engine, 'lm-studio')
    assert.deepEqual(
      found.models.map((one) => [one.model, one.type, one.contextLength, one.servedContextLength, one.tools, one.loaded]),
      [
        ['qwen/qwen3-8b', 'llm/chat', 40960, 8192, true, true],
        ['text-embedding-nomic', 'llm/embed', 2048, undefined, undefined, false]
      ]
    )
    const v0 = list(
      model('llava', { type: 'vlm', state: 'not-loaded', max_context_length: 4096 }),
      model('nomic', { type: 'embeddings', state: 'loaded' })
    )
    const older = await serverAt(
      await startStandIn({ 'GET /api/v0/models': v0, 'GET *': json({ error: 'Unexpected endpoint' }) })
    )
    assert.deepEqual(
      older.models.map((one) => [one.type, one.vision, one.loaded]),
      [
        ['llm/chat', true, false],
        ['llm/embed', undefined, true]
      ]
    )
  })

  it('vLLM and SGLang: the routes that there are say what the model does', async () => {
    const routes: StandInRoutes = {
      'GET /v1/models': list(model('BAAI/thing', { owned_by: 'vllm', max_model_len: 8192 })),
      'POST /v1/embeddings': json({ error: { message: 'Field required' } }, 422),
      '*': json({ detail: 'Not Found' }, 404)
    }
    const { engine, models } = await serverAt(await startStandIn(routes))
    assert.deepEqual([engine, models[0]?.type, models[0]?.contextLength], ['vllm', 'llm/embed', 8192])
    const sglang = await startStandIn({
      'GET /v1/models': list(model('meta/llama', { owned_by: 'sglang', max_model_len: 4096 })),
      'POST /v1/chat/completions': json({ error: 'bad' }, 400)
    })
    const found = await serverAt(sglang)
    assert.deepEqual([found.engine, found.models[0]?.type, found.models[0]?.typeFrom], ['sglang', 'llm/chat', 'server'])
  })

  it('LocalAI, though it answers as Ollama does, too', async () => {
    const found = await serverAt(
      await startStandIn({
        'GET /': { body: 'Ollama is running' },
        'GET /api/version': json({ version: '0.9.0' }),
        'GET /.well-known/localai.json': json({ version: 'v4.9.0', endpoints: { models: '/v1/models' } }),
        'GET /v1/models/capabilities': list(
          { id: 'qwen', capabilities: ['chat', 'tools'], input_modalities: ['text', 'image'], output_modalities: ['text'] },
          { id: 'bert', capabilities: ['embeddings'] },
          { id: 'whisper-1', capabilities: ['transcript'] },
          { id: 'piper', capabilities: ['tts'] },
          { id: 'flux', capabilities: ['image'] },
          { id: 'shapes', capabilities: ['3d'] }
        )
      })
    )
    assert.deepEqual([found.engine, found.version], ['localai', 'v4.9.0'])
    assert.deepEqual(
      found.models.map(({ type, tools, vision, withheld }) => [type, tools, vision, withheld !== undefined]),
      [
        ['llm/chat', true, true, false],
        ['llm/embed', undefined, undefined, false],
        ['audio/transcription', undefined, undefined, false],
        ['audio/speech', undefined, undefined, false],
        ['image/generation', undefined, undefined, false],
        ['llm/chat', undefined, undefined, true]
      ]
    )
  })

  it('servers of speech: Speaches by its tasks, Kokoro once, whisper.cpp where it can be asked', async () => {
    const speaches = await serverAt(
      await startStandIn({
        'GET /v1/models': list(
          model('Systran/faster-whisper-small', { owned_by: 'Systran', task: 'automatic-speech-recognition' }),
          model('speaches-ai/Kokoro', { owned_by: 'speaches-ai', task: 'text-to-speech' })
        )
      })
    )
    assert.equal(speaches.engine, 'speaches')
    assert.deepEqual(
      speaches.models.map(({ type }) => type),
      ['audio/transcription', 'audio/speech']
    )
    const kokoro = await serverAt(
      await startStandIn({
        'GET /v1/models': list(...['tts-1', 'tts-1-hd', 'kokoro'].map((id) => model(id, { owned_by: 'kokoro' })))
      })
    )
    assert.deepEqual([kokoro.engine, kokoro.models.map((one) => one.model)], ['kokoro', ['kokoro']])
    const page = { headers: { 'content-type': 'text/html' }, body: '<html>\n<head>\n<title>Whisper.cpp Server</title>' }
    const missing = await serverAt(await startStandIn({ 'GET /': page, '*': { status: 404, body: 'File Not Found' } }))
    assert.match(missing.models[0]?.withheld ?? '', /--inference-path/)
    const there = await serverAt(
      await startStandIn({ 'GET /': page, 'POST /v1/audio/transcriptions': json({ error: 'no file' }, 400) })
    )
    assert.deepEqual(
      [there.engine, there.models[0]?.type, there.models[0]?.withheld],
      ['whisper.cpp', 'audio/transcription', undefined]
    )
  })

  it('Jan, which says nothing without its key, where the configuration says what it is', async () => {
    const jan = await startStandIn({
      'GET /v1/models': ({ headers }) =>
        headers.authorization === 'Bearer jan-key'
          ? list(model('qwen3'))
          : json({ error: 'Invalid or missing authorization token' }, 401),
      '*': json({ error: 'Invalid or missing authorization token' }, 401)
    })
    const locked = await lookAt(jan)
    assert.deepEqual([locked.saw, 'because' in locked && locked.because], ['unknown', 'it wants a key, and says nothing without'])
    assert.ok(jan.requests.every(({ headers }) => headers.authorization === undefined))
    const servers = [{ url: `${jan.url}/`, engine: 'jan' as const, apiKeyEnv: 'JAN_KEY' }]
    const [sighting] = await survey({ ports: [jan.port], servers }, { JAN_KEY: 'jan-key' }).look(signal)
    const { server } = sighting as { server: FoundServer }
    assert.deepEqual([server.engine, server.models[0]?.model], ['jan', 'qwen3'])
    const [unset] = await survey({ ports: [], servers }).look(signal)
    assert.match((unset as { because: string }).because, /JAN_KEY is not set/)
  })

  it('any other server of the API of OpenAI, its models typed by their names', async () => {
    const { engine, because, models } = await serverAt(
      await startStandIn({
        'GET /v1/models': list(
          ...['mistral-small', 'bge-m3', 'whisper-large', 'flux.1-dev', 'bge-reranker', 'piper-tts'].map((id) => model(id))
        )
      })
    )
    assert.equal(engine, 'openai')
    assert.match(because, /does not say/)
    assert.deepEqual(
      models.map(({ type, typeFrom }) => [type, typeFrom]),
      [
        ['llm/chat', 'assumed'],
        ['llm/embed', 'name'],
        ['audio/transcription', 'name'],
        ['image/generation', 'name'],
        ['llm/rerank', 'name'],
        ['audio/speech', 'name']
      ]
    )
    assert.equal(typeByName('qwen3-age5').type, 'llm/chat')
  })

  it('whatever JSON it says, a listing gives models that can be, or says that it is none', async () => {
    const names = [
      'id',
      'name',
      'model',
      'models',
      'data',
      'projects',
      'config',
      'capabilities',
      'details',
      'key',
      'type',
      'loaded_models'
    ]
    const key = fc.constantFrom(
      ...names,
      'namespace',
      'runtime',
      'task',
      'remote_host',
      'loaded_instances',
      'model_info',
      'object'
    )
    const leaf = fc.oneof(
      fc.string(),
      fc.double(),
      fc.constantFrom(null, true, 'discoverable', 'language:a:ctx', 'completion', 'llm')
    )
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 6 })
      )
    }))
    await fc.assert(
      fc.asyncProperty(
        fc.array(tree, { minLength: 1 }),
        fc.constantFrom(...FINGERPRINTS),
        async (replies, { list: listModels }) => {
          let n = 0
          const next = () =>
            Promise.resolve({ status: 200, headers: new Headers(), text: '', json: replies[n++ % replies.length] as JsonValue })
          const probe: Probe = { url: 'http://127.0.0.1:1', memory: new Map(), get: next, post: next }
          try {
            for (const found of await listModels(probe, { namespaces: ['discoverable'] })) {
              assert.ok(MODEL_TYPES.includes(found.type) && found.model.trim() !== '' && found.model.length <= MAX_MODEL_NAME)
              for (const one of [found.contextLength, found.dimensions, found.servedContextLength])
                assert.ok(one === undefined || (Number.isSafeInteger(one) && one > 0))
            }
          } catch (error) {
            assert.ok(isMeshError(error, 'protocol_error'), String(error))
          }
        }
      ),
      { numRuns: 500 }
    )
  })

  it('what it remembers of an address is bounded', () => {
    const memory = new Map(Array.from({ length: MAX_MEMORY + 1 }, (_, n) => [`show ${n}`, true]))
    createProbe({ url: 'http://127.0.0.1:1', memory, userAgent: '', signal })
    assert.equal(memory.size, 0)
  })

  describe('what is none', () => {
    const HTML = { headers: { 'content-type': 'text/html' }, body: '<!doctype html><h1>Hello' }

    const LIARS: [what: string, routes: StandInRoutes][] = [
      ['a page of HTML with 200 for everything', { '*': HTML }],
      ['JSON that says it is HTML', { '*': { ...HTML, body: '{"version":"1","data_directory":"/"}' } }],
      ['HTML that says it is JSON', { '*': { ...HTML, headers: { 'content-type': 'application/json' } } }],
      ['JSON without the keys', { '*': json({ ok: true }) }],
      ['a list', { '*': json([]) }],
      ['null for each key', { '*': json({ version: null, data_directory: null, status: null, models: null, data: null }) }],
      ['an empty list of models, which anybody may have', { '*': json({ object: 'list', data: [] }) }],
      ['models without names', { '*': json({ object: 'list', data: [{ object: 'model' }, { id: 7, object: 'model' }] }) }],
      [
        'JSON that is too deep',
        { '*': { headers: { 'content-type': 'application/json' }, body: `${'['.repeat(9_000)}${']'.repeat(9_000)}` } }
      ],
      ['a redirect to one', { '*': { status: 302, headers: { location: '/elsewhere' } } }],
      ['500', { '*': json({ version: '1', data_directory: '/' }, 500) }],
      ['the half of Ollama', { 'GET /': { body: 'Ollama is running' }, '*': HTML }]
    ]
    for (const [what, routes] of LIARS)
      it(what, async () => {
        const standIn = await startStandIn(routes)
        assert.equal((await lookAt(standIn)).saw, 'unknown')
        assert.ok(standIn.requests.every(({ path }) => path !== '/elsewhere'))
      })

    it('the API of a node, with its token or without, also where it is said to be a server', async () => {
      const { mesh } = createModelMesh([{ id: 'x' }])
      const node = await serveApi({ mesh, token: 'T'.repeat(43) })
      open.push(node)
      const { url } = node
      const asked: Partial<SurveyConfig>[] = [
        { ports: [Number(new URL(url).port)] },
        { ports: [], servers: [{ url, apiKeyEnv: 'TOKEN' }] },
        ...NAMED_ENGINES.map((engine) => ({ ports: [], servers: [{ url, apiKeyEnv: 'TOKEN', engine }] }))
      ]
      for (const config of asked) {
        const [sighting] = await survey(config, { TOKEN: 'T'.repeat(43) }).look(signal)
        assert.deepEqual(sighting, { url, saw: 'unknown', because: 'it is a node of Atmosphere' }, JSON.stringify(config))
      }
    })

    it('a list that turns out to be none is told as a problem, and offers nothing', async () => {
      for (const tags of [
        HTML,
        json({ models: 'many' }),
        json({ models: [{ model: 7 }, { name: '' }, { name: 'a\u202eb' }, 'x'] })
      ]) {
        const ollama = await startOllamaStandIn()
        ollama.routes['GET /api/tags'] = tags
        const { engine, models } = await serverAt(ollama)
        assert.deepEqual([engine, models], ['ollama', []])
      }
    })

    it('lies about its models are cut: names, numbers, and how many there are', async () => {
      const ollama = await startOllamaStandIn()
      const tags = Array.from({ length: MAX_MODELS + 50 }, (_, n) => ({
        name: `m${n}`,
        capabilities: ['completion'],
        details: { context_length: 1 }
      }))
      tags[0]!.details.context_length = 1e300
      tags[1] = tags[2]!
      ollama.routes['GET /api/tags'] = json({ models: tags })
      const { models } = await serverAt(ollama)
      assert.equal(models.length, MAX_MODELS - 1)
      assert.equal(models[0]?.contextLength, undefined)
    })

    it('one that answers too much is left', async () => {
      const standIn = await startStandIn({
        'GET /info': {
          headers: { 'content-type': 'application/json' },
          body: `{"version":"${'x'.repeat(MAX_REPLY_BYTES)}","data_directory":"/"}`
        },
        '*': HTML
      })
      assert.equal((await lookAt(standIn)).saw, 'unknown')
    })

    it('one that is slow for once is not taken for what it imitates', async () => {
      const mark = json({ version: 'v4.9.0', endpoints: { models: '/v1/models' } })
      const standIn = await startStandIn({
        'GET /.well-known/localai.json': mark,
        'GET /v1/models/capabilities': list({ id: 'qwen', capabilities: ['chat'] }),
        // What LocalAI answers like Ollama.
        'GET /': { body: 'Ollama is running' },
        'GET /api/version': json({ version: '0.9.0' }),
        'GET /api/tags': json({ models: [] })
      })
      open.push(standIn)
      const engines = async (looks: ReturnType<typeof survey>, times: number): Promise<string[]> => {
        const seen: string[] = []
        for (let n = 0; n < times; n++) {
          const [sighting] = await looks.look(signal)
          seen.push(sighting!.saw === 'server' ? sighting!.server.engine : sighting!.saw)
        }
        return seen
      }
      const slow = (isSlow: boolean) => (standIn.routes['GET /.well-known/localai.json'] = isSlow ? { hang: true } : mark)
      slow(true)
      const known = survey({ ports: [standIn.port] })
      assert.deepEqual(await engines(known, 1), ['silent'], 'in doubt at first')
      slow(false)
      assert.deepEqual(await engines(known, 1), ['localai'])
      slow(true)
      assert.deepEqual(await engines(known, 1), ['silent'], 'known')
      slow(false)
      assert.deepEqual(await engines(known, 1), ['localai'])
      slow(true)
      assert.deepEqual(await engines(survey({ ports: [standIn.port] }), 2), ['silent', 'ollama'], 'a path that never answers')
    })

    it('one that never answers is left after two questions', async () => {
      const standIn = await startStandIn({ '*': { hang: true } })
      const sighting = await lookAt(standIn)
      assert.deepEqual([sighting.saw, 'because' in sighting && sighting.because], ['silent', 'it does not answer in time'])
      assert.equal(standIn.requests.length, 2)
    })

    it('one that speaks no HTTP', async () => {
      const sockets = new Set<Socket>()
      const server: Server = createTcpServer((socket) => {
        sockets.add(socket.on('error', () => {}))
        socket.end('SSH-2.0-OpenSSH_9.2\r\n')
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      const [sighting] = await survey({ ports: [port] }).look(signal)
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      assert.equal(sighting!.saw, 'unknown')
      const [gone] = await survey({ ports: [port] }).look(signal)
      assert.equal(gone!.saw, 'nobody')
    })

    it('is asked less and less', async () => {
      const standIn = await startStandIn({ '*': HTML })
      open.push(standIn)
      const looks = survey({ ports: [standIn.port] })
      const asked: number[] = []
      for (let n = 0; n < 16; n++) {
        await looks.look(signal)
        asked.push(standIn.requests.length)
      }
      const once = asked[0]!
      assert.deepEqual(
        asked.map((sum) => sum / once),
        [1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3]
      )
    })
  })
})
