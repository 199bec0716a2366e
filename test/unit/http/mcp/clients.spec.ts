import assert from 'node:assert/strict'
import type { JsonObject } from '../../../../protocols/json.ts'
import type { CapabilityView, ObservedEvent } from '../../../../src/mesh-api.ts'
import { MeshError } from '../../../../src/errors.ts'
import { createApp, type FetchHandler } from '../../../../src/http/app.ts'
import { eventually } from '../../../fixtures/eventually.ts'
import { createFakeMesh, type FakeMesh } from '../../../fixtures/fake-mesh.ts'
import { MCP_KINDS, connectMcp, type McpKind, type McpTestClient } from '../../../fixtures/mcp-clients.ts'

const TOKEN = 'T'.repeat(43)
const PNG = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10])

const OUTPUT = { type: 'object', required: ['sum'], properties: { sum: { type: 'number' } } }
const DECLARED = [
  {
    name: 'add',
    description: 'Adds two numbers.',
    idempotent: true,
    annotations: { readOnlyHint: true, title: 7, madeUpHint: true },
    input: { type: 'object', required: ['a'], properties: { a: { type: 'number' }, b: { type: 'number' } } },
    output: OUTPUT
  },
  { name: 'list', output: { type: 'array', items: { type: 'integer' } } }
]

function world(): { mesh: FakeMesh; app: FetchHandler; closing: AbortController } {
  const mesh = createFakeMesh(
    {
      add: async ({ a, b }) => ({ sum: Number(a) + Number(b) }),
      list: async () => [1, 2],
      say: async () => 'hello',
      fail: async () => {
        throw new MeshError('tool_failed', 'the llama ran away', { where: 'hills' })
      },
      refuse: async () => {
        throw new MeshError('permission_denied', 'the owner said no')
      },
      async *count() {
        yield { kind: 'progress', progress: { done: 1, total: 2, message: 'half' } }
        yield { kind: 'json', value: { n: 1 } }
        yield { kind: 'json', value: 'two' }
        return null
      },
      async *photo() {
        yield { kind: 'bytes', bytes: PNG }
        return { mediaType: 'image/png', bytes: PNG.length }
      },
      slow: (_input, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(null)))
    },
    DECLARED
  )
  const closing = new AbortController()
  return { mesh, app: createApp({ mesh, tokens: [TOKEN], closing: closing.signal }), closing }
}

/** One of the trigger of the stand-in. */
function bell(payload: JsonObject): ObservedEvent {
  return {
    id: '1-1',
    mesh: 'mesh',
    node: '12D3KooWFakeKitchen',
    capability: 'demo',
    capabilityType: 'test/demo',
    event: 'bell',
    type: 'test.demo.bell',
    sequence: '0'.repeat(26),
    priority: 'normal',
    intent: 'Somebody rings.',
    payload,
    depth: 0,
    coalesced: 1,
    lost: 0,
    causes: []
  }
}

function nothingObserved(mesh: FakeMesh): Promise<void> {
  return eventually(async () => {
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(mesh.subscribed(), [])
  })
}

/** As over a socket: what is sent has a signal of its own. */
function connect(kind: McpKind, app: FetchHandler, query = ''): Promise<McpTestClient> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const fetch = async (url: string | URL | Request, init?: RequestInit) => app(new Request(url, init))
  return connectMcp(kind, { url: `http://localhost/mcp${query}`, headers, fetch })
}

for (const kind of MCP_KINDS)
  describe(`http mcp: ${kind} client`, () => {
    let mesh: FakeMesh
    let app: FetchHandler
    let closing: AbortController
    let client: McpTestClient
    beforeEach(async () => {
      ;({ mesh, app, closing } = world())
      client = await connect(kind, app)
    })
    afterEach(async () => {
      await client.close()
      closing.abort()
    })

    it('agrees on the protocol, and is told what this is', () => {
      assert.equal(client.protocol, kind === 'new' ? '2026-07-28' : '2025-11-25')
      assert.match(client.instructions ?? '', /mesh of machines/)
    })

    it('lists the tools in the order of their names, with schemas and honest hints', async () => {
      const tools = await client.tools()
      const names = ['add', 'count', 'fail', 'list', 'photo', 'refuse', 'say', 'slow']
      assert.deepEqual(
        tools.map(({ name }) => name),
        names.map((name) => `demo__${name}`)
      )
      const [add, count] = tools as [JsonObject, JsonObject]
      assert.equal(add['description'], 'Adds two numbers.')
      assert.equal(add['title'], 'demo add')
      assert.deepEqual(add['inputSchema'], DECLARED[0]!.input)
      assert.deepEqual(add['outputSchema'], OUTPUT)
      assert.deepEqual(add['annotations'], { readOnlyHint: true, idempotentHint: true })
      assert.deepEqual(count['inputSchema'], { type: 'object', properties: {} })
      assert.equal(count['annotations'], undefined)
    })

    it('calls with structured content, text beside it, and who did it', async () => {
      const result = await client.call('demo__add', { a: 2, b: 3 })
      assert.deepEqual(result.structuredContent, { sum: 5 })
      assert.deepEqual(result.content, [{ type: 'text', text: '{"sum":5}' }])
      assert.equal(typeof result._meta?.['atmosphere/provider'], 'string')
      const { target, tool, input, options } = mesh.calls[0]!
      assert.deepEqual([target, tool, input, options.agent], ['demo', 'add', { a: 2, b: 3 }, 'mcp:test-client'])
      assert.equal((await client.call('demo__say')).content[0]?.text, 'hello')
      // A client that validates what it gets has taken it.
      await client.tools()
      const listed = await client.call('demo__list')
      assert.deepEqual(listed.structuredContent, kind === 'new' ? [1, 2] : { result: [1, 2] })
    })

    it('tells a tool that fails from a request that is wrong', async () => {
      const failed = await client.call('demo__fail')
      assert.deepEqual([failed.isError, failed.content], [true, [{ type: 'text', text: 'tool_failed: the llama ran away' }]])
      const error = { code: 'tool_failed', message: 'the llama ran away', details: { where: 'hills' } }
      assert.deepEqual(failed._meta?.['atmosphere/error'], error)
      const refused = await client.call('demo__refuse')
      assert.deepEqual([refused.isError, refused.content[0]?.text], [true, 'permission_denied: the owner said no'])
      await assert.rejects(client.call('demo__nothing'), { code: -32_602, message: /there is no tool "demo__nothing"$/ })
      await assert.rejects(client.call('demo_fail'), {
        code: -32_602,
        message: /there is no tool "demo_fail"; did you mean "demo__fail"\?/
      })
    })

    it('is told of progress, and given what came before the result', async () => {
      const told: object[] = []
      const { content, structuredContent } = await client.call('demo__count', {}, { onprogress: (one) => void told.push(one) })
      assert.deepEqual(told, [{ progress: 1, total: 2, message: 'half' }])
      assert.deepEqual([content, structuredContent], [[{ type: 'text', text: '{"n":1}\ntwo' }], undefined])
    })

    it('gets an image as an image', async () => {
      const { content, structuredContent } = await client.call('demo__photo')
      assert.deepEqual(content[0], { type: 'image', data: Buffer.from(PNG).toString('base64'), mimeType: 'image/png' })
      assert.deepEqual(structuredContent, { mediaType: 'image/png', bytes: 8 })
    })

    it('subscribes to a trigger, is told when it fires, and reads what came', async () => {
      const uri = 'atmosphere://trigger/demo@12D3KooWFakeKitchen/bell'
      assert.deepEqual(
        (await client.resources()).map((one) => [one.uri, one['name'], one['mimeType']]),
        [[uri, 'demo/bell', 'application/json']]
      )
      assert.deepEqual(await client.read(uri), { state: 'unsubscribed', total: 0, events: [] })
      let onTold = (_uri: string): void => {}
      const told = new Promise<string>((resolve) => (onTold = resolve))
      const end = await client.subscribe([uri], (one) => onTold(one))
      assert.deepEqual(await client.read(uri), { state: 'asking', total: 0, events: [] })
      await mesh.copy(bell({ door: 'front' }))
      assert.equal(await told, uri)
      const { total, events } = await client.read(uri)
      assert.deepEqual([total, events.map(({ data }) => data)], [1, [{ door: 'front' }]])
      await end()
      await nothingObserved(mesh)
      assert.equal((await client.read(uri)).state, 'unsubscribed')
      await assert.rejects(client.read('atmosphere://trigger/demo/bell'), { code: -32_602 })
    })

    it('ends its subscriptions when it goes, and hears that triggers have come', async () => {
      const uri = 'atmosphere://trigger/demo@12D3KooWFakeKitchen/bell'
      await client.subscribe([uri], () => {})
      assert.deepEqual(mesh.subscribed(), ['test/demo:bell'])
      const changed = client.resourcesChanged()
      mesh.capabilities()[0]!.triggers.push({ event: 'alarm' })
      mesh.raise({ at: 1, event: 'capability:updated', node: '12D3KooWFakeKitchen', capability: mesh.capabilities()[0]! })
      await changed
      assert.deepEqual(
        (await client.resources()).map((one) => one['name']),
        ['demo/alarm', 'demo/bell']
      )
      await client.close()
      await nothingObserved(mesh)
    })

    it('cancels, and the tool is told', async () => {
      const abort = new AbortController()
      const call = client.call('demo__slow', {}, { signal: abort.signal })
      const begun = client.call('demo__say')
      await begun
      abort.abort()
      await assert.rejects(call)
      await mesh.cancelled
    })

    it('hears that the list has changed, once it has', async () => {
      const before = mesh.capabilities()
      const changed = client.changed()
      const more: CapabilityView = { ...before[0]!, id: 'lamp', ref: 'lamp', type: 'light', tools: [{ name: 'on' }] }
      mesh.capabilities = () => [...before, more]
      mesh.raise({ at: 1, event: 'capability:available', node: more.node, capability: more })
      await changed
      assert.ok((await client.tools()).some(({ name }) => name === 'lamp__on'))
      const accepted = client.changed()
      const fan: CapabilityView = { ...more, id: 'fan', ref: 'fan' }
      mesh.capabilities = () => [...before, more, fan]
      const descriptor = { since: '', hash: '', capability: [], tools: [] }
      mesh.raise({ at: 2, event: 'descriptor-accepted', node: fan.node, nodeName: 'it', capability: 'fan', changed: descriptor })
      await accepted
      assert.ok((await client.tools()).some(({ name }) => name === 'fan__on'))
    })

    it('is not flooded: more than 40 tools are searched, or all listed if it wants that', async () => {
      const [one] = mesh.capabilities() as [CapabilityView]
      const many = Array.from({ length: 45 }, (_, n) => ({
        name: `tool-${n}`,
        description: n === 7 ? 'Waters the plants.' : 'Does.'
      }))
      const pump: CapabilityView = { ...one, id: 'pump', ref: 'pump', type: 'garden/pump', tools: many }
      mesh.capabilities = () => [one, pump]
      mesh.raise({ at: 1, event: 'capability:available', node: pump.node, capability: pump })
      await client.changed()
      const tools = await client.tools()
      assert.deepEqual(
        tools.map(({ name }) => name),
        ['search_tools', 'call_tool']
      )
      assert.match(String(tools[0]!['description']), /there are 53, of these kinds: garden\/pump, test\/demo\./)
      const found = (await client.call('search_tools', { query: 'water my plant', limit: 1 })).structuredContent as JsonObject
      assert.deepEqual(found, {
        tools: [{ name: 'pump__tool-7', description: 'Waters the plants.', inputSchema: { type: 'object', properties: {} } }],
        total: 53
      })
      const called = await client.call('call_tool', { name: 'demo__add', arguments: { a: 1, b: 1 } })
      assert.deepEqual(called.structuredContent, { sum: 2 })
      assert.equal((await client.call('demo__say')).content[0]?.text, 'hello')
      const whole = await connect(kind, app, '?tools=all')
      assert.equal((await whole.tools()).length, 53)
      await whole.close()
    })

    it('is given the time that it asks for', async () => {
      const patient = await connect(kind, app, '?timeoutMs=600000')
      await patient.call('demo__say')
      assert.equal(mesh.calls.at(-1)!.options.timeoutMs, 600_000)
      await client.call('demo__say')
      assert.equal(mesh.calls.at(-1)!.options.timeoutMs, undefined)
      await patient.close()
    })
  })
