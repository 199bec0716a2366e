import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { createLocalAiBackend, isShared } from '../../src/backends/local-ai.ts'
import type { LocalAiConfig } from '../../src/backends/local-ai-config.ts'
import { createPresence, MAX_MISSES } from '../../src/backends/local-ai-presence.ts'
import type { FoundServer } from '../../src/backends/local-ai-servers.ts'
import { parseConfig } from '../../src/config.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import { completion, json, startStandIn } from '../fixtures/ai-stand-in.ts'
import { FARM_SECRETS, startFarmStandIn, startUniversalStandIn } from '../fixtures/llamafarm-stand-in.ts'
import { startOllamaStandIn } from '../fixtures/ollama-stand-in.ts'
import { backendContract, collect, errorOf, invoke, resultOf, until, within } from './contract.ts'

const ask = (text: string): JsonObject => ({ messages: [{ role: 'user', content: text }] })
const make = (config: Partial<LocalAiConfig>, env: Record<string, string> = {}) =>
  createLocalAiBackend({ kind: 'local-ai', share: ['*'], refreshMs: 30, ...config }, { version: '0.0.0', env })

backendContract(
  'local-ai',
  async () => {
    const ollama = await startOllamaStandIn()
    return {
      backend: make({ ports: [ollama.port] }),
      capability: 'llama3.2:3b',
      echo: {
        tool: 'chat',
        input: (n) => ask(String(n)),
        output: (n) => completion({ body: { model: 'llama3.2:3b', ...ask(String(n)) } } as never)
      },
      dispose: () => ollama.close()
    }
  },
  // What runs for long belongs to the backend that the calls go to.
  { instant: true }
)

/** Reads snapshots in the background, as a node does. */
function follow(backend: ReturnType<typeof make>) {
  const controller = new AbortController()
  let last: CapabilityDeclaration[] | undefined
  const ended = (async () => {
    for await (const snapshot of backend.discover(controller.signal)) last = snapshot
  })()
  return {
    ids: () => last?.map(({ id }) => id) ?? [],
    all: () => last ?? [],
    until: (fits: (all: CapabilityDeclaration[]) => boolean, what: string) => until(() => last !== undefined && fits(last), what),
    stop: () => (controller.abort(), within(ended, 'the end of discover'))
  }
}

describe('backend local-ai', () => {
  const open: { close?(): Promise<void>; stop?(): Promise<void> }[] = []
  const keep = <T extends { close?(): Promise<void>; stop?(): Promise<void> }>(one: T): T => (open.push(one), one)
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await (one.stop ?? one.close)?.()
  })

  it('offers one capability for each model, with what is known of it, and none of a cloud', async () => {
    const ollama = keep(await startOllamaStandIn())
    const node = keep(follow(make({ ports: [ollama.port] })))
    await node.until((all) => all.length === 3, 'three models')
    assert.deepEqual(node.ids(), ['llama3.2:3b', 'llava:7b', 'nomic-embed-text:latest'])
    const [llama, , nomic] = node.all()
    assert.deepEqual([llama?.type, llama?.status, llama?.scope], ['llm/chat', 'online', undefined])
    assert.deepEqual(llama?.metadata, {
      ...{ model: 'llama3.2:3b', engine: 'ollama', typeFrom: 'server', contextLength: 131072, servedContextLength: 4096 },
      ...{ tools: true, vision: false, audio: false, loaded: true }
    })
    assert.deepEqual([nomic?.type, nomic?.tools?.map(({ name }) => name)], ['llm/embed', ['embed']])
    assert.ok(!JSON.stringify(node.all()).includes('127.0.0.1'))
  })

  it('shares what the configuration names, and nothing else', async () => {
    const ollama = keep(await startOllamaStandIn())
    const node = keep(follow(make({ ports: [ollama.port], share: ['ollama/ll*'], except: ['*/llava*'] })))
    await node.until((all) => all.length > 0, 'a model')
    assert.deepEqual(node.ids(), ['llama3.2:3b'])
    const nothing = keep(follow(make({ ports: [ollama.port], share: [] })))
    await nothing.until(() => true, 'a snapshot')
    assert.deepEqual(nothing.ids(), [])
    assert.ok(isShared('llamafarm/discoverable/a', { share: ['llamafarm/*'] }))
    assert.ok(!isShared('ollama/x', { share: ['llama*'] }))
  })

  it('models come and go with their server, and say when they are in memory', async () => {
    const ollama = await startOllamaStandIn({ models: [] })
    const node = keep(follow(make({ ports: [ollama.port] })))
    await node.until((all) => all.length === 0, 'nothing')
    ollama.models.push({ name: 'new:1b', capabilities: ['completion'], contextLength: 10 })
    await node.until((all) => all.length === 1, 'the new one')
    assert.equal(node.all()[0]?.metadata?.['loaded'], false)
    ollama.models = [{ ...ollama.models[0]!, loaded: true }]
    await node.until((all) => all[0]?.metadata?.['loaded'] === true, 'that it is loaded')
    await ollama.close()
    await node.until((all) => all.length === 0, 'that it is gone')
    const again = keep(await startOllamaStandIn({ models: [], port: ollama.port }))
    again.models.push({ name: 'new:1b', capabilities: ['completion'], contextLength: 10 })
    await node.until((all) => all.length === 1, 'that it is back')
  })

  it('calls go to the server, by the name that it knows; vectors and errors as well', async () => {
    const ollama = keep(await startOllamaStandIn())
    const backend = make({ ports: [ollama.port] })
    await keep(follow(backend)).until((all) => all.length === 3, 'three models')
    const said = (await resultOf(invoke(backend, 'llama3.2:3b', 'chat', { ...ask('hi'), model: 'other' }))) as JsonObject
    assert.equal(said['model'], 'llama3.2:3b')
    const input = ['a', 'bcd']
    const vectors = (await resultOf(invoke(backend, 'nomic-embed-text:latest', 'embed', { input }))) as JsonObject
    assert.deepEqual(
      (vectors['data'] as { embedding: number[] }[]).map(({ embedding }) => embedding[0]),
      [1, 3]
    )
    const { body } = ollama.requests.filter(({ path }) => path === '/v1/embeddings').at(-1)!
    assert.deepEqual(body, { model: 'nomic-embed-text:latest', input, encoding_format: 'float' })
    ollama.models = ollama.models.filter(({ name }) => name !== 'llava:7b')
    await errorOf(invoke(backend, 'llava:7b', 'chat', ask('gone')), 'unavailable')
    ollama.routes['POST /v1/embeddings'] = json({ error: { message: 'input too long' } }, 400)
    assert.match(
      (await errorOf(invoke(backend, 'nomic-embed-text:latest', 'embed', { input }), 'invalid_argument')).message,
      /too long/
    )
    // No vectors at all, and too few.
    for (const answer of [{ vectors: [] }, { data: [{ index: 0, embedding: [1] }] }]) {
      ollama.routes['POST /v1/embeddings'] = json(answer)
      await errorOf(invoke(backend, 'nomic-embed-text:latest', 'embed', { input }), 'protocol_error')
    }
    await errorOf(invoke(backend, 'nomic-embed-text:latest', 'chat', ask('x')), 'unknown_tool')
  })

  it('a cancel reaches the server', async () => {
    const ollama = keep(await startOllamaStandIn())
    ollama.routes['POST /v1/chat/completions'] = { hang: true }
    const backend = make({ ports: [ollama.port] })
    await keep(follow(backend)).until((all) => all.length === 3, 'three models')
    const abort = new AbortController()
    const ended = errorOf(invoke(backend, 'llama3.2:3b', 'chat', ask('x'), { signal: abort.signal }), 'cancelled')
    const isChat = ({ path }: { path: string }): boolean => path === '/v1/chat/completions'
    await until(() => ollama.requests.some(isChat), 'the request')
    abort.abort(new DOMException('test', 'AbortError'))
    await ended
    await until(() => ollama.left > 0, 'the end of the request')
  })

  it('a model that two servers have is offered twice, and keeps its names', async () => {
    const [first, second] = [keep(await startOllamaStandIn()), await startOllamaStandIn()]
    const node = keep(follow(make({ ports: [first.port, second.port], share: ['ollama/llama*'] })))
    await node.until((all) => all.length === 2, 'both')
    const [one, other] = node.ids()
    assert.deepEqual([one, other?.startsWith('llama3.2:3b:ollama')], ['llama3.2:3b', true])
    assert.equal(node.all()[0]?.tools?.[0]?.idempotent, true)
    await second.close()
    await node.until((all) => all.length === 1, 'one')
    assert.deepEqual(node.ids(), ['llama3.2:3b'])
  })

  describe('LlamaFarm', () => {
    const projects = [
      { namespace: 'discoverable', name: 'llamas', description: 'Knows all about llamas.', documents: true, voice: true },
      { namespace: 'private', name: 'diary' }
    ]

    it('a project is a chat, a search in its documents and a voice; no conversation is kept, no key leaves', async () => {
      const farm = keep(await startFarmStandIn(projects))
      const backend = make({ ports: [farm.port] })
      const node = keep(follow(backend))
      await node.until((all) => all.length === 1, 'the project')
      const [llamas] = node.all()
      const id = 'llamafarm:discoverable:llamas'
      assert.deepEqual([llamas?.id, llamas?.type, llamas?.name, llamas?.scope], [id, 'llm/chat', 'discoverable/llamas', 'node'])
      assert.deepEqual(
        llamas?.tools?.map(({ name }) => name),
        ['chat', 'rag_query', 'speak']
      )
      // It may run tools of MCP servers while it answers.
      assert.equal(llamas?.tools?.[0]?.idempotent, false)
      assert.match(llamas?.description ?? '', /Knows all about llamas/)
      const answer = (await resultOf(invoke(backend, id, 'chat', ask('hello')))) as JsonObject
      assert.equal(answer['model'], 'default-model')
      assert.equal(farm.sessions, 0)
      const passages = (await resultOf(invoke(backend, id, 'rag_query', { query: 'hay', top_k: 3 }))) as JsonObject
      assert.deepEqual(passages['results'], [{ content: 'about hay', score: 0.9, metadata: { source: 'llamas.pdf' } }])
      const items = await collect(invoke(backend, id, 'speak', { text: 'hello' }))
      assert.deepEqual(
        items.map((item) => (item.kind === 'bytes' ? Buffer.from(item.bytes).toString() : item.kind)),
        ['RIFFfarm', 'result']
      )
      const text = JSON.stringify([node.all(), answer])
      for (const secret of [...FARM_SECRETS, 'diary', '192.168']) assert.ok(!text.includes(secret), secret)
    })

    it('creation, deletion and health are seen within a refresh', async () => {
      const farm = keep(await startFarmStandIn([]))
      const node = keep(follow(make({ ports: [farm.port] })))
      await node.until((all) => all.length === 0, 'nothing')
      farm.projects.push({ namespace: 'discoverable', name: 'new', provider: 'ollama' })
      farm.unhealthy = []
      await node.until((all) => all.length === 1 && all[0]?.status === 'online', 'the new one')
      farm.unhealthy = ['ollama']
      await node.until((all) => all[0]?.status === 'degraded', 'that it is not well')
      assert.match(node.all()[0]?.statusReason ?? '', /ollama/)
      farm.projects = []
      await node.until((all) => all.length === 0, 'that it is gone')
    })

    it('other namespaces are shared where the configuration says so', async () => {
      const farm = keep(await startFarmStandIn(projects))
      const node = keep(follow(make({ ports: [farm.port], namespaces: ['private'] })))
      await node.until((all) => all.length === 1, 'the project')
      assert.deepEqual(node.ids(), ['llamafarm:private:diary'])
    })
  })

  it('speaks and writes down by a universal runtime', async () => {
    const runtime = keep(await startUniversalStandIn(['language:tiny:ctxauto']))
    runtime.routes['POST /v1/audio/transcriptions'] = ({ bytes }) =>
      bytes.length < 10 ? json({ detail: [] }, 422) : json({ text: 'what was said' })
    const backend = make({ ports: [runtime.port] })
    await keep(follow(backend)).until((all) => all.length === 3, 'three models')
    const spoken = await collect(invoke(backend, 'kokoro', 'speak', { text: 'hello', voice: 'af_heart', format: 'wav' }))
    assert.deepEqual(spoken.at(-1), { kind: 'result', value: { mediaType: 'audio/wav', bytes: 13 } })
    const { body } = runtime.requests.filter(({ path }) => path === '/v1/audio/speech').at(-1)!
    assert.deepEqual(body, { model: 'kokoro', input: 'hello', voice: 'af_heart', response_format: 'wav' })
    const heard = await resultOf(invoke(backend, 'distil-large-v3', 'transcribe', { audio: 'UklGRg==' }))
    assert.deepEqual(heard, { text: 'what was said', bytes: 4 })
    runtime.routes['POST /v1/audio/speech'] = json({ detail: 'no such voice' }, 400)
    assert.match((await errorOf(invoke(backend, 'kokoro', 'speak', { text: 'x' }), 'invalid_argument')).message, /no such voice/)
    runtime.routes['POST /v1/audio/speech'] = { headers: { 'content-type': 'text/html' }, body: '<html>' }
    await errorOf(invoke(backend, 'kokoro', 'speak', { text: 'x' }), 'protocol_error')
  })

  it('all models take as long, and as many calls at once, as the configuration says, those that write down as well', async () => {
    const runtime = keep(await startUniversalStandIn(['language:tiny:ctxauto']))
    runtime.routes['POST /v1/audio/transcriptions'] = ({ bytes }) =>
      bytes.length < 10 ? json({ detail: [] }, 422) : { hang: true }
    const backend = make({ ports: [runtime.port], timeoutMs: 700, concurrency: 2 })
    const node = keep(follow(backend))
    await node.until((all) => all.length === 3, 'three models')
    assert.deepEqual(
      node.all().flatMap(({ tools = [] }) => tools.map(({ timeoutMs, concurrency }) => [timeoutMs, concurrency])),
      node.all().map(() => [700, 2])
    )
    await errorOf(invoke(backend, 'distil-large-v3', 'transcribe', { audio: 'UklGRg==' }), 'deadline_exceeded')
  })

  it('a key goes to the server that it is for', async () => {
    const other = keep(await startOllamaStandIn())
    const locked = keep(
      await startStandIn({
        'GET /v1/models': ({ headers }) =>
          headers.authorization === 'Bearer k-1' ? json({ object: 'list', data: [{ id: 'm', object: 'model' }] }) : json({}, 401),
        'POST /v1/chat/completions': (request) =>
          request.headers.authorization === 'Bearer k-1' ? json(completion(request)) : json({}, 401)
      })
    )
    const servers = [{ url: locked.url, engine: 'jan' as const, apiKeyEnv: 'KEY' }]
    const backend = make({ ports: [other.port], servers, share: ['jan/*'] }, { KEY: 'k-1' })
    await keep(follow(backend)).until((all) => all.length === 1, 'the model')
    assert.equal(((await resultOf(invoke(backend, 'm', 'chat', ask('x')))) as JsonObject)['object'], 'chat.completion')
    assert.ok(other.requests.every(({ headers }) => headers.authorization === undefined))
  })

  it('a server that is silent for a while is degraded, and gone after that; one that nobody listens for is gone at once', () => {
    const server: FoundServer = { url: 'u', engine: 'ollama', name: 'Ollama', because: '', models: [] }
    const presence = createPresence()
    const seen = { url: 'u', saw: 'server' as const, server }
    const silent = { url: 'u', saw: 'silent' as const, because: 'late' }
    const [idle, busy] = [() => false, () => true]
    assert.deepEqual(presence.after([seen], idle), [{ server }])
    // What keeps it from answering may be the call that loads its model.
    for (let n = 0; n < 2 * MAX_MISSES; n++)
      assert.equal(presence.after([silent], busy)[0]?.problem, 'its server is silent: late')
    for (let n = 1; n < MAX_MISSES; n++) assert.equal(presence.after([silent], idle)[0]?.problem, 'its server is silent: late')
    assert.deepEqual(presence.after([silent], idle), [])
    assert.equal(presence.after([seen], idle).length, 1)
    const odd = { ...seen, server: { ...server, problem: 'HTTP 500' } }
    assert.match(presence.after([odd], idle)[0]?.problem ?? '', /HTTP 500/)
    assert.deepEqual(presence.after([{ url: 'u', saw: 'nobody' }], busy), [])
  })

  it('says what is wrong with its configuration', () => {
    const problem = (more: object): string => {
      try {
        parseConfig(JSON.stringify({ backends: [{ kind: 'local-ai', share: ['*'], ...more }] }), 'atmo.yaml')
        return ''
      } catch (error) {
        return (error as Error).message
      }
    }
    assert.equal(problem({ namespaces: ['a'], servers: [{ url: 'http://10.0.0.7:8000', engine: 'vllm' }] }), '')
    for (const [more, key] of [
      [{ share: undefined }, /share/],
      [{ servers: [{ url: 'http://u:p@h' }] }, /url/],
      [{ servers: [{ url: 'http://h/v1' }] }, /url/],
      [{ servers: [{ url: 'http://h', engine: 'x' }] }, /engine/],
      [{ namespaces: ['../x'] }, /namespaces/],
      [{ ports: [0] }, /ports/]
    ] as const)
      assert.match(problem(more), key)
  })
})
