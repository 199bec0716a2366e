import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { JsonObject, JsonSchema, JsonValue } from '../../../../protocols/json.ts'
import type { ToolDeclaration } from '../../../../protocols/capability.ts'
import { MeshError } from '../../../../src/errors.ts'
import { MAX_ITEMS_CHARACTERS, MAX_RESULT_BYTES, readCall, type CallOutcome } from '../../../../src/http/mcp/call-outcome.ts'
import { createCallProgress, type ProgressReport } from '../../../../src/http/mcp/call-progress.ts'
import { createToolCatalog, MAX_NAMED_TOOLS, type CatalogTool, type ToolCatalog } from '../../../../src/http/mcp/tool-catalog.ts'
import { MAX_DESCRIPTION, listedTool } from '../../../../src/http/mcp/tool-listing.ts'
import { toolError, toolResult } from '../../../../src/http/mcp/tool-result.ts'
import { searchAnswer, searchTools } from '../../../../src/http/mcp/tool-search.ts'
import type { Call, CallItem, CallResult, CapabilityView } from '../../../../src/mesh-api.ts'

function capability(more: Partial<CapabilityView> = {}): CapabilityView {
  const { id = 'lamp', nodeName = 'kitchen' } = more
  const base = { id, type: 'light', name: id, node: `PEER-${nodeName}`, nodeName, ref: id, local: false, triggers: [] }
  return { ...base, status: 'online', tools: [{ name: 'on' }], ...more }
}

function catalogOf(...all: CapabilityView[]): ToolCatalog {
  return createToolCatalog({ capabilities: () => all }, () => 0)
}

function only(tool: ToolDeclaration, more: Partial<CapabilityView> = {}): CatalogTool {
  return catalogOf(capability({ tools: [tool], ...more })).tools()[0]!
}

describe('http mcp: names', () => {
  let offered: CapabilityView[]
  let catalog: ToolCatalog
  beforeEach(() => {
    offered = []
    catalog = createToolCatalog({ capabilities: () => offered }, () => 0)
  })
  const names = (...now: CapabilityView[]): string[] => {
    offered = now
    catalog.stale()
    return catalog.tools().map(({ name }) => name)
  }

  it('are short where they are one thing, and have a suffix where they are not', () => {
    assert.deepEqual(names(capability(), capability({ nodeName: 'hall' })), ['lamp__on'])
    const disks = ['kitchen', 'hall'].map((nodeName) => capability({ id: 'disk', nodeName, scope: 'node' }))
    const [one, other, ...rest] = names(...disks)
    assert.match(`${one} ${other}`, /^disk_hall__on_[0-9a-f]{8} disk_kitchen__on_[0-9a-f]{8}$/)
    assert.deepEqual(rest, [])
    const found = catalog.find(one!) as CatalogTool
    assert.deepEqual([found.callable.id, found.callable.node], ['disk', 'PEER-hall'])
  })

  it('stay what they are, whoever comes with the same', () => {
    assert.deepEqual(names(capability()), ['lamp__on'])
    const [first, second] = names(capability(), capability({ nodeName: 'attic', type: 'trap' }))
    assert.equal(first, 'lamp__on')
    assert.match(second!, /^lamp_attic__on_/)
    assert.deepEqual(
      [first, second].map((name) => (catalog.find(name!) as CatalogTool).capability.type),
      ['light', 'trap']
    )
    // It goes and comes back, and the other has not taken its name.
    names(capability({ nodeName: 'attic', type: 'trap' }))
    assert.equal(catalog.find('lamp__on'), 'away')
    assert.deepEqual(names(capability(), capability({ nodeName: 'attic', type: 'trap' })), [first, second])
  })

  it('are not shown for what is away, or has changed until that is accepted', () => {
    const changed = { since: '', hash: 'x', capability: [], tools: [] }
    assert.deepEqual(names(capability({ status: 'offline' })), [])
    assert.equal(catalog.find('lamp__on'), 'away')
    assert.deepEqual(names(capability({ changed })), [])
    assert.equal(catalog.find('lamp__on'), 'refused')
    assert.deepEqual(names(capability({ changed }), capability({ nodeName: 'hall' })), ['lamp__on'])
    assert.deepEqual((catalog.find('lamp__on') as CatalogTool).callable.notNode, ['PEER-kitchen'])
    assert.equal(catalog.find('lamp__off'), 'unknown')
  })

  it('are bounded', () => {
    const tools = (prefix: string) => Array.from({ length: 200 }, (_, n) => ({ name: `${prefix}${n}` }))
    const flood = (of: string) => Array.from({ length: 30 }, (_, n) => capability({ id: `${of}${n}`, tools: tools('t') }))
    assert.equal(names(...flood('a')).length, MAX_NAMED_TOOLS)
    assert.equal(names(...flood('b')).length, MAX_NAMED_TOOLS)
    names()
    assert.equal(catalog.find('a0__t0'), 'unknown')
    assert.equal(catalog.find('b0__t0'), 'away')
  })

  it('have places for all nodes, however many one of them announces', () => {
    const flood = (nodeName: string, of: string) =>
      Array.from({ length: 16 }, (_, n) =>
        capability({ id: `${of}${n}`, nodeName, tools: Array.from({ length: 256 }, (_, m) => ({ name: `t${m}` })) })
      )
    const own = capability({ id: 'own', nodeName: 'here', local: true })
    const others = ['attic', 'bath'].map((nodeName) => capability({ id: nodeName, nodeName }))
    const all = names(...flood('hall', 'a'))
    assert.equal(all.length, MAX_NAMED_TOOLS)
    assert.equal(names(...flood('hall', 'a'), ...others, own).length, MAX_NAMED_TOOLS)
    for (const name of ['own__on', 'attic__on', 'bath__on']) assert.equal(typeof catalog.find(name), 'object', name)
    // Two that have many have as many.
    const shared = names(...flood('hall', 'a'), ...flood('cellar', 'b'), ...others, own)
    const of = (letter: string) => shared.filter((name) => new RegExp(`^${letter}\\d+__`).test(name)).length
    assert.deepEqual([of('a'), of('b')], [2_047, 2_046])
    assert.equal(typeof catalog.find('bath__on'), 'object')
  })

  it('make room when their node goes, and keep those of no other out', () => {
    const many = (of: string, count: number) =>
      Array.from({ length: count }, (_, n) =>
        capability({ id: `${of}${n}`, nodeName: 'hall', tools: Array.from({ length: 256 }, (_, m) => ({ name: `t${m}` })) })
      )
    const lamp = capability({ nodeName: 'attic' })
    names(...many('a', 16), lamp)
    // All of them away, then as many new ones of the same node.
    names()
    assert.equal(catalog.find('lamp__on'), 'away')
    assert.equal(names(...many('b', 15)).length, 15 * 256)
    assert.equal(catalog.find('lamp__on'), 'away')
    names(...many('c', 15))
    assert.equal(catalog.find('lamp__on'), 'away')
  })

  it('are what all clients take', () => {
    const text = fc.stringMatching(/^[a-z0-9][a-z0-9._:-]{0,100}$/)
    const tool = fc.stringMatching(/^[A-Za-z0-9_.-]{1,128}$/)
    fc.assert(
      fc.property(text, tool, fc.string(), (id, name, nodeName) => {
        const scopes = ['mesh', 'node'] as const
        for (const scope of scopes) {
          const [one] = catalogOf(capability({ id, nodeName, scope, tools: [{ name }] })).tools()
          assert.match(one!.name, /^[A-Za-z0-9_-]{1,64}$/)
        }
      }),
      { numRuns: 200 }
    )
  })
})

describe('http mcp: what a client is shown of a tool', () => {
  it('is cut, and shows nothing that a person would not see', () => {
    const hidden = 'Turns \u202eit\u200b on.\u0007\nAt once.'
    const { description } = listedTool(only({ name: 'on', description: hidden }))
    assert.equal(description, 'Turns it on.\nAt once.')
    assert.equal(listedTool(only({ name: 'on', description: 'x'.repeat(8_000) })).description?.length, MAX_DESCRIPTION)
    assert.equal(listedTool(only({ name: 'on' }, { description: 'A lamp.' })).description, 'A lamp.')
  })

  it('has an object as input, whatever its author wrote', () => {
    const any = { type: 'object', properties: {} }
    const odd: (JsonSchema | undefined)[] = [undefined, true, { type: 'array' }, { description: 'x'.repeat(20_000) }]
    for (const input of odd) assert.deepEqual(listedTool(only({ name: 'on', input })).inputSchema, any)
    const asked = { type: 'object', properties: { text: {}, waiting: {} } }
    assert.deepEqual(listedTool(only({ name: 'ask', input: asked })).inputSchema, { type: 'object', properties: { text: {} } })
  })

  it('says whose it is', () => {
    assert.deepEqual(listedTool(only({ name: 'on' }))._meta, {
      'atmosphere/capability': 'lamp',
      'atmosphere/node': 'PEER-kitchen'
    })
  })

  it('guesses no hints', () => {
    assert.equal(listedTool(only({ name: 'read_all' })).annotations, undefined)
    const annotations = { readOnlyHint: 'yes', destructiveHint: false, title: 'x' }
    assert.deepEqual(listedTool(only({ name: 'on', annotations })).annotations, { destructiveHint: false })
    assert.deepEqual(listedTool(only({ name: 'on', idempotent: true })).annotations, { idempotentHint: true })
  })
})

describe('http mcp: what a client is given', () => {
  const outcome = (more: Partial<CallOutcome>): CallOutcome => ({
    ...{ result: null, items: [], itemsLeftOut: 0, bytes: undefined, byteCount: 0 },
    ...{ provider: 'P', providerName: 'p', durationMs: 1.6 },
    ...more
  })
  const given = (more: Partial<CallOutcome>, tool: ToolDeclaration = { name: 'on' }) => {
    const bytes = more.bytes === undefined ? {} : { byteCount: more.bytes.length }
    const { content, structuredContent } = toolResult(only(tool), outcome({ ...bytes, ...more }))
    return { content, structuredContent }
  }
  const text = (value: string) => ({ type: 'text', text: value })

  it('is structured where it is an object, or its schema is known', () => {
    assert.deepEqual(given({ result: { on: true } }), { content: [text('{"on":true}')], structuredContent: { on: true } })
    assert.deepEqual(given({ result: 7 }), { content: [text('7')], structuredContent: undefined })
    assert.deepEqual(given({ result: 7 }, { name: 'on', output: { type: 'integer' } }).structuredContent, 7)
    assert.deepEqual(given({}), { content: [text('null')], structuredContent: undefined })
  })

  it('is content as it is where a server of MCP has made it', () => {
    const blocks = [text('look'), { type: 'image', data: 'aGk=', mimeType: 'image/png' }]
    assert.deepEqual(given({ result: blocks }).content, blocks)
    assert.deepEqual(given({ result: [{ type: 'nonsense' }] }).content, [text('[{"type":"nonsense"}]')])
  })

  it('has bytes as what they are', () => {
    const bytes = new Uint8Array([0, 255, 1])
    const of = (mediaType: string) => given({ bytes, result: { mediaType } }).content[0]
    assert.deepEqual(of('image/png'), { type: 'image', data: 'AP8B', mimeType: 'image/png' })
    assert.deepEqual(of('audio/wav'), { type: 'audio', data: 'AP8B', mimeType: 'audio/wav' })
    const blob = { uri: 'atmosphere:result', mimeType: 'video/mp4', blob: 'AP8B' }
    assert.deepEqual(of('video/mp4'), { type: 'resource', resource: blob })
    const unknown = { ...blob, mimeType: 'application/octet-stream' }
    assert.deepEqual(of('not a type'), { type: 'resource', resource: unknown })
    assert.deepEqual(given({ bytes: new TextEncoder().encode('grüß') }).content, [text('grüß')])
  })

  it('is told that there was more', () => {
    const large = given({ byteCount: MAX_RESULT_BYTES + 1, result: { mediaType: 'image/png' } })
    assert.match((large.content[0] as { text: string }).text, /^\(2097153 bytes of image\/png: more than/)
    assert.deepEqual(given({ items: ['a', { b: 1 }], itemsLeftOut: 2 }).content, [text('a\n{"b":1}\n(2 more are left out)')])
    assert.deepEqual(given({ items: [{ step: 'model' }], result: 'done' }, { name: 'ask' }).content, [text('done')])
  })

  it('has the code of an error before its message', () => {
    const { isError, content, structuredContent } = toolError(new MeshError('busy', 'come later', { retryAfterMs: 7 }))
    assert.deepEqual([isError, content, structuredContent], [true, [text('busy: come later')], undefined])
  })

  it('is nothing of before a restart, and bounded', async () => {
    const items: CallItem[] = [
      { kind: 'json', value: 'void' },
      { kind: 'bytes', bytes: new Uint8Array(MAX_RESULT_BYTES + 1) },
      { kind: 'restart', provider: 'Q', reason: 'gone' },
      { kind: 'json', value: 'x'.repeat(MAX_ITEMS_CHARACTERS) },
      { kind: 'json', value: 1 },
      { kind: 'bytes', bytes: new Uint8Array([1]) },
      { kind: 'bytes', bytes: new Uint8Array([2]) },
      { kind: 'result', value: null }
    ]
    const seen: string[] = []
    const read = await readCall(callOf(items), ({ kind }) => void seen.push(kind))
    assert.deepEqual([read.items, read.itemsLeftOut, read.bytes, read.byteCount], [[], 2, new Uint8Array([1, 2]), 2])
    assert.equal(seen.length, items.length)
  })
})

function callOf(items: CallItem[], result: JsonValue = null): Call {
  const route = { path: [], local: true, hops: 0, rttMs: null, tried: [] }
  const done: CallResult = { result, provider: 'P', providerName: 'p', durationMs: 1, route, cached: false }
  return {
    result: Promise.resolve(done),
    provider: undefined,
    cancel: () => {},
    async *[Symbol.asyncIterator]() {
      yield* items
    }
  }
}

describe('http mcp: progress', () => {
  let time: number
  let told: ProgressReport[]
  let onTold: (() => void) | undefined
  const create = (heartbeatMs = 60_000) => {
    time = 0
    told = []
    return createCallProgress({
      tell(report) {
        told.push(report)
        onTold?.()
      },
      now: () => time,
      heartbeatMs
    })
  }
  const progress = (done: number, more: object = {}): CallItem => ({ kind: 'progress', progress: { done, ...more } })

  it('only goes up', () => {
    const one = create()
    for (const done of [0, 1, 1, 0.5, 3]) {
      one.item(progress(done, { total: 4, message: 'at\u0007work' }))
      time += 1_000
    }
    one.end()
    assert.deepEqual(told, [
      { progress: 1, total: 4, message: 'atwork' },
      { progress: 3, total: 4, message: 'atwork' }
    ])
  })

  it('counts items where the tool reports nothing itself', () => {
    const one = create()
    for (const value of ['a', { b: 1 }]) {
      one.item({ kind: 'json', value })
      time += 1_000
    }
    one.item({ kind: 'bytes', bytes: new Uint8Array(3) })
    time += 1_000
    one.item(progress(10))
    time += 1_000
    one.item({ kind: 'json', value: 'c' })
    one.end()
    assert.deepEqual(told, [
      { progress: 1, message: 'a' },
      { progress: 2, message: '{"b":1}' },
      { progress: 3, message: '3 bytes' },
      { progress: 10 }
    ])
  })

  it('tells many as few, and the last of them', async () => {
    const one = create()
    const second = new Promise<void>((resolve) => (onTold = () => void (told.length === 2 && resolve())))
    for (let n = 1; n <= 1_000; n++) one.item({ kind: 'json', value: n })
    await second
    one.end()
    assert.deepEqual(told, [
      { progress: 1, message: '1' },
      { progress: 1_000, message: '1000' }
    ])
  })

  it('tells that a silent call still runs, and no more once it is over', async () => {
    const second = new Promise<void>((resolve) => (onTold = () => void (told.length === 2 && resolve())))
    const one = create(1)
    await second
    one.end()
    const [a, b] = told as [ProgressReport, ProgressReport]
    assert.ok(0 < a.progress && a.progress < b.progress && b.progress < 0.001)
    assert.match(a.message!, /^running for \d+ s$/)
    one.item(progress(5))
    assert.equal(told.length, 2)
  })
})

describe('http mcp: search', () => {
  const tools = catalogOf(
    capability({
      id: 'heating',
      type: 'climate/thermostat',
      tools: [{ name: 'setTemperature', description: 'Sets how warm it is.' }]
    }),
    capability({
      tools: [
        { name: 'on', description: 'Turns the lamp on.' },
        { name: 'off', description: 'Turns the lamp off.' }
      ]
    }),
    capability({ id: 'cellar', examples: ['how many bottles of wine are left'], tools: [{ name: 'count' }] })
  ).tools()
  const found = (query: string, limit?: number) => {
    const answer = searchAnswer(tools, { query, ...(limit !== undefined && { limit }) })
    return (answer['tools'] as { name: string }[]).map(({ name }) => name)
  }

  it('finds by names, descriptions and examples, the best first', () => {
    assert.deepEqual(found('temperature'), ['heating__setTemperature'])
    assert.deepEqual(found('switch the lamps off'), ['lamp__off', 'lamp__on'])
    assert.deepEqual(found('wine'), ['cellar__count'])
    assert.deepEqual(found('lamp', 1).length, 1)
    assert.deepEqual(found('quantum physics'), [])
  })

  it('says what is wrong with a question', () => {
    const wrong: JsonObject[] = [
      {},
      { query: ' ' },
      { query: 'x'.repeat(1_001) },
      { query: 'x', limit: 0 },
      { query: 'x', limit: 1.5 }
    ]
    for (const input of wrong) assert.throws(() => searchAnswer(tools, input), { code: 'invalid_argument' })
  })

  it('says in its description what there is', () => {
    assert.match(searchTools(tools)[0]!.description!, /there are 4, of these kinds: climate\/thermostat, light\./)
  })
})
