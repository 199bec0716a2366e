/**
 * A real engine behind one node, used at another: llama.cpp by itself, and behind the stand-ins for Ollama and LlamaFarm, which keep the wire of these.
 * The reference servers of MCP beside it. What a client gets through two nodes is compared with what the engine says when it is asked directly.
 */
import assert from 'node:assert/strict'
import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import OpenAI from 'openai'
import type { JsonObject } from '../../src/core/invoke.ts'
import type { Scan } from '../../src/node-scan.ts'
import { ask } from '../fixtures/api-request.ts'
import { createAtmo, type Atmo } from '../fixtures/atmo.ts'
import { eventually } from '../fixtures/eventually.ts'
import { FARM_SECRETS, startFarmStandIn, type FarmStandIn } from '../fixtures/llamafarm-stand-in.ts'
import { LONG_TOKENS, startLlamaServer, type LlamaServer } from '../fixtures/llama-server.ts'
import { connectMcp, type McpTestClient } from '../fixtures/mcp-clients.ts'
import { startOllamaStandIn, type OllamaStandIn } from '../fixtures/ollama-stand-in.ts'
import { engineAt } from '../fixtures/stand-in-engine.ts'
import { requireProgram } from '../fixtures/system-program.ts'

const PASSAGES = ['Llamas eat grass and hay.', 'Camels drink water and eat leaves.', 'Hay is dry grass.']
const FARM_MODEL = 'llamafarm:discoverable:llamas'
/** Behind llama.cpp itself, and behind the two that have it behind them. */
const CHATS = ['llama-lore', 'llama3.2:3b', FARM_MODEL]
const messages = [{ role: 'user' as const, content: 'Tell me of llamas.' }]
/** The likeliest word, always: the same answer each time. */
const likeliest = { temperature: 0, max_tokens: 12 }
const signal = new AbortController().signal
const reference = (server: string): string =>
  fileURLToPath(new URL(`../../node_modules/@modelcontextprotocol/server-${server}/dist/index.js`, import.meta.url))

describe('real engines behind another node', function () {
  this.timeout(240_000)
  let world: Atmo
  let lore: LlamaServer
  let both: LlamaServer
  let ollama: OllamaStandIn
  let farm: FarmStandIn
  let ports: number[]
  let api: string
  let token: string
  let client: OpenAI
  let tools: McpTestClient
  before(async function () {
    requireProgram(this, 'llama-server')
    requireProgram(this, 'espeak-ng')
    world = await createAtmo()
    ;[lore, both] = await Promise.all([
      startLlamaServer({ name: 'llama-lore' }),
      startLlamaServer({ name: 'lore-vectors', embeddings: true })
    ])
    ollama = await startOllamaStandIn({ engine: both.url })
    const llamas = { namespace: 'discoverable', name: 'llamas', documents: PASSAGES, voice: true }
    const projects = [
      llamas,
      { namespace: 'private', name: 'diary' },
      { namespace: 'discoverable', name: 'paid', provider: 'openai' }
    ]
    farm = await startFarmStandIn(projects, { engine: both.url, espeak: true })
    ports = [lore, both, ollama, farm].map(({ port }) => port)

    const files = await mkdir(join(world.dir, 'files'), { recursive: true }).then(() => realpath(join(world.dir, 'files')))
    await writeFile(join(files, 'hay.txt'), 'Hay is dry grass.')
    await writeFile(join(world.dir, 'secret.txt'), 'not for you')
    const server = (id: string, ...args: string[]) => ({ kind: 'mcp', id, command: [process.execPath, reference(id), ...args] })
    const memory = { ...server('memory'), env: { MEMORY_FILE_PATH: join(world.dir, 'memory.jsonl') } }
    const backends = [{ kind: 'local-ai', share: ['*'], ports, refreshMs: 1_000 }, memory, server('filesystem', files)]
    await writeFile(join(world.dir, 'cellar.json'), JSON.stringify({ backends }))
    const { address } = await world.start('cellar', ['--open', '--config', join(world.dir, 'cellar.json')])
    await writeFile(join(world.dir, 'desk.json'), JSON.stringify({ backends: [] }))
    const { ready } = await world.start('desk', ['--open', '--peer', address, '--config', join(world.dir, 'desk.json')])
    api = ready['api'] as string
    token = (await readFile(join(world.dir, 'desk', 'api-token'), 'utf8')).trim()
    client = new OpenAI({ apiKey: token, baseURL: `${api}/v1`, maxRetries: 0 })
    await eventually(async () => assert.ok((await ids()).length >= 7, (await ids()).join()), 30_000)
    await eventually(
      async () =>
        assert.match((await ask(api, '/mesh/capabilities', { token })).text, /"memory"[^]*"filesystem"|"filesystem"[^]*"memory"/),
      30_000
    )
    tools = await connectMcp('new', { url: `${api}/mcp`, headers: { authorization: `Bearer ${token}` } })
  })
  after(async () => {
    await tools?.close()
    await world?.close()
    await Promise.all([ollama?.close(), farm?.close(), lore?.stop(), both?.stop()])
  })

  async function ids(): Promise<string[]> {
    return (await client.models.list()).data.map(({ id }) => id).sort()
  }

  const callTool = async (id: string, tool: string, input: JsonObject): Promise<JsonObject> => {
    const { status, text, json } = await ask(api, `/capabilities/${id}/tools/${tool}`, { token, json: { input } })
    assert.equal(status, 200, text)
    return json['result'] as JsonObject
  }

  it('atmo scan knows llama.cpp by what it says, and what each of its models can', async () => {
    const { servers } = JSON.parse(
      await world.ok('nobody', 'scan', '--json', ...ports.flatMap((port) => ['--port', String(port)]))
    ) as Scan
    assert.deepEqual(
      servers.map(({ engine }) => engine),
      ['llama.cpp', 'llama.cpp', 'ollama', 'llamafarm']
    )
    assert.match(servers[0]!.because, /"llama\.cpp"/)
    const [chat, vectors] = servers.map(({ models }) => models[0]!)
    assert.deepEqual([chat!.model, chat!.type, chat!.typeFrom, chat!.loaded], ['llama-lore', 'llm/chat', 'server', true])
    assert.ok(chat!.contextLength! > LONG_TOKENS)
    assert.deepEqual([chat!.vision, chat!.audio], [false, false])
    assert.deepEqual([vectors!.model, vectors!.type, vectors!.dimensions], ['lore-vectors', 'llm/embed', 128])
  })

  it('the models of all of them are at the other node; neither what is of a cloud or private, nor a key', async () => {
    const expected = ['auto', 'llama-lore', 'llama3.2:3b', FARM_MODEL, 'llava:7b', 'lore-vectors', 'nomic-embed-text:latest']
    const all = await ids()
    for (const id of expected) assert.ok(all.includes(id), `${id} in ${all.join()}`)
    const { text } = await ask(api, '/mesh/capabilities', { token })
    for (const secret of [...FARM_SECRETS, 'diary', 'paid', 'cloud', '127.0.0.1:']) assert.ok(!text.includes(secret), secret)
  })

  for (const model of CHATS)
    it(`${model} says through two nodes what the engine says, in one piece and streamed`, async () => {
      const asked = { messages, ...likeliest }
      const direct = (await engineAt(model === 'llama-lore' ? lore.url : both.url).chat(
        asked,
        signal
      )) as unknown as OpenAI.ChatCompletion
      const expected = direct.choices[0]!.message.content!
      assert.match(expected, /llamas/i)
      const { data, response } = await client.chat.completions.create({ model, ...asked }).withResponse()
      assert.deepEqual([data.choices[0]!.message.content, data.choices[0]!.finish_reason], [expected, 'length'])
      assert.equal(data.usage?.completion_tokens, likeliest.max_tokens)
      assert.equal(decodeURIComponent(response.headers.get('x-atmosphere-node-name') ?? ''), 'cellar')
      const texts: string[] = []
      let finish: string | null | undefined
      for await (const { choices } of await client.chat.completions.create({ model, ...asked, stream: true })) {
        if (choices[0]?.delta.content) texts.push(choices[0].delta.content)
        finish = choices[0]?.finish_reason ?? finish
      }
      assert.deepEqual([texts.join(''), finish], [expected, 'length'])
      assert.ok(texts.length > 5, `${texts.length} pieces`)
    })

  for (const model of CHATS)
    it(`who leaves a stream of ${model} ends the work of the engine`, async () => {
      const engine = model === 'llama-lore' ? lore : both
      const long = { ...likeliest, max_tokens: LONG_TOKENS, ignore_eos: true }
      const stream = await client.chat.completions.create({ model, messages, ...long, stream: true })
      for await (const { choices } of stream) if (choices[0]?.delta.content) break
      const slots = await eventually(async () => {
        const all = await engine.slots()
        assert.ok(all.every(({ isBusy }) => !isBusy))
        return all
      }, 20_000)
      assert.ok(slots.length > 0 && slots.every(({ tokens }) => tokens < LONG_TOKENS), 'it has said all')
    })

  it('vectors are those of the engine, by itself and behind Ollama', async () => {
    const expected = await engineAt(both.url).embed(PASSAGES, signal)
    for (const model of ['lore-vectors', 'nomic-embed-text:latest']) {
      const { data } = await client.embeddings.create({ model, input: PASSAGES })
      assert.equal(data.length, PASSAGES.length)
      // The SDK asks for base64, which holds numbers of 32 bits.
      for (const [at, { embedding }] of data.entries())
        assert.deepEqual(embedding.map(Math.fround), expected[at]!.map(Math.fround))
    }
  })

  it('Ollama says the same by its own API, in lines of JSON: it is one engine', async () => {
    const options = { temperature: 0, num_predict: 12 }
    const { text } = await ask(ollama.url, '/api/chat', { json: { model: 'llama3.2:3b', messages, options } })
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { message: { content: string }; done: boolean })
    const { choices } = await client.chat.completions.create({ model: 'llama3.2:3b', messages, ...likeliest })
    assert.equal(lines.map(({ message }) => message.content).join(''), choices[0]!.message.content)
    assert.deepEqual(lines.map(({ done }) => done).filter(Boolean), [true])
    const { json } = await ask(ollama.url, '/api/embed', { json: { model: 'nomic-embed-text:latest', input: PASSAGES } })
    assert.equal((json['embeddings'] as number[][])[0]!.length, 128)
  })

  it('a project of LlamaFarm finds passages by vectors of the engine, speaks, and keeps no conversation', async () => {
    const { results } = await callTool(FARM_MODEL, 'rag_query', { query: 'Camels', top_k: 1 })
    assert.deepEqual(
      (results as JsonObject[]).map(({ content }) => content),
      [PASSAGES[1]]
    )
    const accept = { accept: 'application/x-ndjson' }
    const input = { text: 'Hay is dry grass.' }
    const { text } = await ask(api, `/capabilities/${FARM_MODEL}/tools/speak`, { token, headers: accept, json: { input } })
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind?: string; base64?: string })
    const wav = Buffer.concat(lines.flatMap(({ base64 }) => (base64 === undefined ? [] : [Buffer.from(base64, 'base64')])))
    assert.equal(wav.subarray(0, 4).toString(), 'RIFF')
    assert.ok(wav.length > 20_000, `${wav.length} bytes`)
    assert.equal(farm.sessions, 0)
  })

  it('what the engine refuses is told as the SDK knows it', async () => {
    const wrong = {
      model: 'llama-lore',
      messages,
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 7 } } }
    }
    await assert.rejects(client.chat.completions.create(wrong as never), OpenAI.BadRequestError)
  })

  it('gives the form that a schema asks for: the grammar of the engine', async () => {
    const schema = {
      type: 'object',
      properties: { eats: { enum: ['hay', 'grass'] } },
      required: ['eats'],
      additionalProperties: false
    }
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'meal', strict: true, schema } }
    const { choices } = await client.chat.completions.create({ model: 'llama-lore', messages, max_tokens: 64, response_format })
    assert.ok(['hay', 'grass'].includes((JSON.parse(choices[0]!.message.content!) as { eats: string }).eats))
  })

  it('the reference server of memory remembers what a client of another node says', async () => {
    const entities = [{ name: 'Dolly', entityType: 'llama', observations: ['eats hay'] }]
    assert.notEqual((await tools.call('memory__create_entities', { entities })).isError, true)
    const found = await tools.call('memory__search_nodes', { query: 'llama' })
    assert.match(found.content[0]!.text!, /Dolly[^]*eats hay/)
    assert.deepEqual((found.structuredContent as { entities: object[] }).entities, entities)
    assert.match(await readFile(join(world.dir, 'memory.jsonl'), 'utf8'), /Dolly/)
  })

  it('the reference server of files reads and writes in its folder, and nowhere else', async () => {
    const folder = join(await realpath(world.dir), 'files')
    const read = (path: string) => tools.call('filesystem__read_text_file', { path })
    assert.deepEqual((await read(join(folder, 'hay.txt'))).structuredContent, { content: 'Hay is dry grass.' })
    await tools.call('filesystem__write_file', { path: join(folder, 'new.txt'), content: 'written from the desk' })
    assert.equal(await readFile(join(folder, 'new.txt'), 'utf8'), 'written from the desk')
    const refused = await read(join(folder, '..', 'secret.txt'))
    assert.equal(refused.isError, true)
    assert.match(refused.content[0]!.text!, /Access denied/)
  })

  it('an engine that dies in the middle of a stream is told, and its model is gone; the others go on', async () => {
    const long = { ...likeliest, max_tokens: LONG_TOKENS, ignore_eos: true }
    const read = async () => {
      let pieces = 0
      for await (const _chunk of await client.chat.completions.create({ model: 'llama-lore', messages, ...long, stream: true }))
        if (++pieces === 3) await lore.stop()
    }
    await assert.rejects(read(), (error) => error instanceof OpenAI.APIError && error.code === 'unavailable')
    await eventually(async () => assert.ok(!(await ids()).includes('llama-lore')), 20_000)
    const { choices } = await client.chat.completions.create({ model: 'llama3.2:3b', messages, ...likeliest })
    assert.match(choices[0]!.message.content!, /llamas/i)
  })
})
