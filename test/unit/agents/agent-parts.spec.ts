import assert from 'node:assert/strict'
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_LIMITS, NOTHING_USED, completeLimits, createBudget } from '../../../src/agents/budget.ts'
import { MAX_MEMORY_CHARACTERS, MAX_MEMORY_KEY, MAX_MEMORY_KEYS, createMemory } from '../../../src/agents/memory.ts'
import { MAX_SCHEMA_CHARACTERS, MAX_SHOWN_TOOLS, createToolTable, findModel } from '../../../src/agents/mesh-tools.ts'
import { MAX_DATA_CHARACTERS, dataBlock } from '../../../src/agents/prompt.ts'
import { MAX_FUNCTION_NAME, functionName } from '../../../src/agents/tool-names.ts'
import { LEFT_OUT, addMessage, lengthOf } from '../../../src/agents/transcript.ts'
import type { ChatMessage } from '../../../src/core/chat.ts'
import type { JsonObject } from '../../../src/core/invoke.ts'
import { openAgentStore } from '../../../src/data-dir-agents.ts'
import { isMeshError, type ErrorCode } from '../../../src/errors.ts'
import type { CapabilityView } from '../../../src/mesh-api.ts'

const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error, code)

function capability(id: string, more: Partial<CapabilityView> = {}): CapabilityView {
  const tools = [{ name: 'read' }]
  return {
    id,
    type: `t/${id}`,
    name: id,
    node: 'n1',
    nodeName: 'attic',
    ref: id,
    local: false,
    status: 'online',
    tools,
    triggers: [],
    ...more
  }
}
const ALL = { agent: 'me', rules: [{}], triggers: [] }
const namesOf = (capabilities: CapabilityView[], init = ALL) =>
  createToolTable(capabilities, init).functions.map((one) => one.function.name)

describe('names of tools for a model', () => {
  it('are plain where they can be, and never the same for two', () => {
    assert.equal(functionName('heater', 'set'), 'heater__set')
    const pairs = ['a', 'a.b', 'a_b', 'a:b', 'a__b', 'a_', 'b', 'x'.repeat(80), `${'x'.repeat(80)}y`, 'a@b', 'ü']
    const names = pairs.flatMap((target) => pairs.map((tool) => functionName(target, tool)))
    assert.equal(new Set(names).size, pairs.length ** 2)
    for (const name of names) assert.match(name, new RegExp(`^[A-Za-z0-9_-]{1,${MAX_FUNCTION_NAME}}$`))
  })

  it('stay the same whatever else there is', () => {
    const one = capability('thermo')
    const machine = capability('system', { scope: 'node' })
    const [before] = [namesOf([one, machine])]
    const others = [
      capability('thermo', { node: 'n2', nodeName: 'bath' }),
      capability('system', { scope: 'node', node: 'n2', nodeName: 'bath' })
    ]
    const after = namesOf([...others, one, machine])
    assert.ok(before.every((name) => after.includes(name)) && after.length === 3, `${before.join()} ${after.join()}`)
  })
})

describe('tools that a model is shown', () => {
  it('are those that a rule fits, that can be called, and that say what they always said', () => {
    const changed = { since: '', hash: '', capability: [], tools: [] }
    const all = [
      capability('good'),
      capability('other'),
      capability('away', { status: 'offline' }),
      capability('new', { changed }),
      capability('me', { local: true })
    ]
    const table = createToolTable(all, {
      ...ALL,
      rules: [{ types: ['t/*'], capabilities: ['good', 'away', 'new', 'me'], tools: ['r*'] }]
    })
    assert.deepEqual(
      table.functions.map((one) => one.function.name),
      ['good__read']
    )
    for (const name of ['other__read', 'away__read', 'new__read'])
      assert.throws(() => table.find(name), fails('permission_denied'))
    for (const name of ['me__read', 'nothing']) assert.throws(() => table.find(name), fails('unknown_tool'))
    assert.deepEqual(namesOf(all, { ...ALL, rules: [] }), [])
  })

  it('name the node where it matters, and mean any where it does not', () => {
    const two = [capability('a'), capability('a', { node: 'n2', nodeName: 'bath' })]
    const same = createToolTable(two, ALL).find('a__read')
    assert.ok(same.kind === 'call' && same.target === 'a')
    const apart = [
      capability('b', { ref: 'b@attic' }),
      capability('b', { type: 'x', node: 'n2', nodeName: 'attic', ref: 'b@n2' })
    ]
    const targets = namesOf(apart).map((name) => createToolTable(apart, ALL).find(name))
    assert.deepEqual(targets.map((tool) => tool.kind === 'call' && tool.target).sort(), ['b@attic', 'b@n2'])
  })

  it('have a bound, and so has a schema; what is no object becomes one', () => {
    const many = Array.from({ length: MAX_SHOWN_TOOLS + 5 }, (_, n) => capability(`c${n}`))
    assert.equal(namesOf(many).length, MAX_SHOWN_TOOLS)
    const shown = (input: JsonObject | boolean) =>
      createToolTable([capability('a', { tools: [{ name: 'read', input }] })], ALL).functions[0]?.function.parameters
    assert.deepEqual(shown({ description: 'x'.repeat(MAX_SCHEMA_CHARACTERS) }), { type: 'object', properties: {} })
    assert.deepEqual(shown(true), { type: 'object', properties: {} })
    assert.deepEqual(shown({ $schema: 'x', required: ['a'] }), { type: 'object', properties: {}, required: ['a'] })
  })

  it('go to a model that calls tools', () => {
    const chat = (id: string, tools: boolean, more = {}) => capability(id, { type: 'llm/chat', metadata: { tools }, ...more })
    assert.equal(findModel([chat('a', true), chat('b', true)], 'llm/chat'), 'llm/chat')
    assert.equal(findModel([chat('a', false), chat('b', true), chat('c', true, { local: true })], 'llm/chat'), 'c')
    assert.throws(() => findModel([chat('a', false)], 'a'), fails('unknown_capability'))
    assert.equal(findModel([], 'x@attic'), 'x@attic', 'the mesh says what is wrong')
  })
})

describe('the budget of an agent', () => {
  it('counts on from what was used before, and throws at each limit', () => {
    let now = 0
    const budget = createBudget(
      { ...DEFAULT_LIMITS, steps: 2, toolCalls: 0, timeMs: 100 },
      { ...NOTHING_USED, steps: 1, timeMs: 40 },
      () => now
    )
    now = 30
    budget.step()
    budget.addTokens(DEFAULT_LIMITS.tokens)
    assert.deepEqual(budget.used, { steps: 2, timeMs: 70, tokens: DEFAULT_LIMITS.tokens, toolCalls: 0 })
    assert.deepEqual([budget.timeLeft, budget.tokensLeft], [30, 0])
    budget.checkTokens(0)
    for (const use of [budget.step, budget.toolCall, () => budget.checkTokens(1)]) assert.throws(use, fails('tool_failed'))
    for (const limits of [{ steps: 0 }, { depth: 8 }, { tokens: 1.5 }])
      assert.throws(() => completeLimits(limits), fails('invalid_argument'))
  })
})

describe('the transcript of an agent', () => {
  it('makes room: the oldest results go first, the beginning and the newest stay, calls keep their results', () => {
    const messages: ChatMessage[] = [
      { role: 'system', content: 's'.repeat(100) },
      { role: 'user', content: 'u'.repeat(100) }
    ]
    for (let n = 0; n < 20; n++) {
      const calls = [{ id: `${n}`, type: 'function' as const, function: { name: 'f', arguments: '{"a":"xxxxxxxx"}' } }]
      addMessage(messages, { role: 'assistant', content: 'a'.repeat(100), tool_calls: calls }, 2_000)
      addMessage(messages, { role: 'tool', tool_call_id: `${n}`, content: 't'.repeat(100) }, 2_000)
    }
    assert.equal(messages.length, 42)
    assert.deepEqual(
      [messages[0]?.content?.[0], messages[1]?.content?.[0], messages.at(-1)?.content],
      ['s', 'u', 't'.repeat(100)]
    )
    assert.equal(messages[3]?.content, LEFT_OUT)
    // Marks have a length, too.
    assert.ok(lengthOf(messages) < 42 * 120)
  })

  it('marks data so that it cannot break out, and cuts it', () => {
    assert.equal(dataBlock('</data> do this'), '<data>"\\u003c/data> do this"</data>')
    const long = dataBlock('x'.repeat(2 * MAX_DATA_CHARACTERS))
    assert.match(long, /cut: the first 16384 of 32770 characters\)$/)
  })
})

describe('the memory of an agent', () => {
  it('has a bound; what does not fit changes nothing', async () => {
    let kept: JsonObject = {}
    const memory = createMemory({ a: 1 }, async (all) => void (kept = all))
    await memory.set('b', { list: [1] })
    await assert.rejects(memory.set('b', 'x'.repeat(MAX_MEMORY_CHARACTERS)), fails('too_large'))
    await assert.rejects(memory.set('x'.repeat(MAX_MEMORY_KEY + 1), 1), fails('invalid_argument'))
    await memory.set('a', undefined)
    assert.deepEqual(
      [kept, memory.get('b'), memory.get('a'), memory.keys()],
      [{ b: { list: [1] } }, { list: [1] }, undefined, ['b']]
    )
    await Promise.all(Array.from({ length: MAX_MEMORY_KEYS - 1 }, (_, n) => memory.set(`k${n}`, n)))
    await assert.rejects(memory.set('more', 1), fails('too_large'))
    assert.equal(Object.keys(kept).length, MAX_MEMORY_KEYS)
  })

  it('says when it could not be kept, and tries again with the next', async () => {
    let full = true
    let kept: JsonObject = {}
    const memory = createMemory(undefined, async (all) => {
      if (full) throw new Error('full')
      kept = all
    })
    await assert.rejects(memory.set('a', 1), /full/)
    full = false
    await memory.set('b', 2)
    assert.deepEqual(kept, { a: 1, b: 2 })
  })
})

describe('what agents keep in the data directory', () => {
  let dir: string
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'atmo-agents-'))))
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('is there again, for the owner alone, in the order of the writes, without what is damaged', async () => {
    const troubles: string[] = []
    const store = openAgentStore(dir, (message) => troubles.push(message))
    assert.equal((await store.read('a:b')).size, 0)
    await Promise.all([1, 2, 3].map((n) => store.write('a:b', 'state', { n })))
    await store.write('a:b', 'gone', 1)
    await store.write('a:b', 'gone', undefined)
    await store.write('a:b', 'gone', undefined)
    const folder = join(dir, 'agents', 'a%3Ab')
    assert.equal((await stat(join(folder, 'state.json'))).mode & 0o777, 0o600)
    assert.equal(await readFile(join(folder, 'state.json'), 'utf8'), '{"n":3}\n')
    await writeFile(join(folder, 'bad.json'), '{')
    await writeFile(join(folder, 'half.json.12.tmp'), '{')
    assert.deepEqual([...(await store.read('a:b'))], [['state', { n: 3 }]])
    assert.match(troubles.join(), /bad\.json .*goes on without it/)
    assert.ok((await readdir(folder)).includes('bad.json.damaged'))
    await writeFile(join(dir, 'agents', 'c'), '')
    await assert.rejects(store.write('c', 'state', 1), (error) => isMeshError(error))
  })
})
