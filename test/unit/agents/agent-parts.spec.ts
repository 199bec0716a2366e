import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_LIMITS, NOTHING_USED, completeLimits, createBudget } from '../../../src/agents/budget.ts'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import { defineAgent } from '../../../src/agents/definition.ts'
import { MAX_MEMORY_CHARACTERS, MAX_MEMORY_KEY, MAX_MEMORY_KEYS, createMemory } from '../../../src/agents/memory.ts'
import { createTask, readTask } from '../../../src/agents/task.ts'
import type { JsonObject } from '../../../src/core/invoke.ts'
import { openAgentStore } from '../../../src/data-dir-agents.ts'
import { isMeshError, type ErrorCode } from '../../../src/errors.ts'

const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error, code)

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
    const goOn = budget.pause()
    const again = budget.pause()
    now = 50
    goOn()
    goOn()
    assert.equal(budget.timeLeft, 30, 'the clock stands still until both are over')
    again()
    now = 60
    assert.deepEqual([budget.timeLeft, budget.used.timeMs], [20, 80])
    for (const limits of [{ steps: 0 }, { depth: 8 }, { tokens: 1.5 }])
      assert.throws(() => completeLimits(limits), fails('invalid_argument'))
  })
})

describe('a record of what an agent does', () => {
  const event = { id: '1-1', node: 'n', intent: 'x' }
  const whole = createTask({ id: 'a', intent: { kind: 'ask', text: 'x' }, causes: [], depth: 0, at: '2026-01-01T00:00:00Z' })
  const messages = [
    { role: 'user', content: 'x' },
    { role: 'assistant', content: null, tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '' } }] },
    { role: 'tool', tool_call_id: 'c', content: '' }
  ]
  const read = (more: object) => readTask(JSON.parse(JSON.stringify({ ...whole, ...more })) as JsonObject)

  it('is read only if it is whole', () => {
    assert.deepEqual(read({ state: 'done' }), { ...whole, state: 'done' })
    assert.ok(read({ intent: { kind: 'event', event }, conversation: { messages }, steps: [{ step: 'note', text: '' }] }))
    const wrong = [
      { causes: undefined },
      { causes: [1] },
      { used: null },
      { used: { ...whole.used, tokens: '1' } },
      { steps: [null] },
      { steps: [{}] },
      { depth: -1 },
      { attempts: 0.5 },
      { crashes: undefined },
      { state: 'new' },
      { at: 'today' },
      { intent: null },
      { intent: { kind: 'event' } },
      { intent: { kind: 'event', event: { ...event, node: 1 } } },
      { intent: { kind: 'other', text: 'x' } },
      { error: { code: 'busy' } },
      { conversation: {} },
      { conversation: { messages: [], tools: { heater__set: null } } },
      { conversation: { messages: [null] } },
      { conversation: { messages: [{ role: 'root', content: 'x' }] } },
      { conversation: { messages: [{ role: 'tool', content: 'x' }] } },
      { conversation: { messages: [{ role: 'assistant', content: null, tool_calls: [{ id: 'c' }] }] } }
    ]
    for (const more of wrong) assert.equal(read(more), undefined, JSON.stringify(more))
    for (const document of [null, 1, 'x', []]) assert.equal(readTask(document), undefined)
  })

  it('of what ran when the node ended is interrupted, and counts as a crash', () => {
    assert.deepEqual([read({ state: 'running' })?.state, read({ state: 'running' })?.crashes], ['interrupted', 1])
    assert.deepEqual([read({ state: 'accepted' })?.state, read({ state: 'accepted' })?.crashes], ['interrupted', 0])
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
    await writeFile(join(folder, 'large.json'), `"${'x'.repeat(8 * 1024 * 1024)}"`)
    await writeFile(join(folder, 'half.json.12.tmp'), '{')
    assert.deepEqual([...(await store.read('a:b'))], [['state', { n: 3 }]])
    assert.match(troubles.join(), /bad\.json .*goes on without it.*large\.json .*too large/)
    for (const name of ['bad', 'large']) assert.ok((await readdir(folder)).includes(`${name}.json.damaged`))
    await writeFile(join(dir, 'agents', 'c'), '')
    await assert.rejects(store.write('c', 'state', 1), (error) => isMeshError(error))
  })

  it('is not taken for damaged where it cannot be read now', async () => {
    const store = openAgentStore(dir, () => assert.fail('it is not damaged'))
    await store.write('a', 'state', 1)
    await mkdir(join(dir, 'agents', 'a', 'odd.json'))
    await assert.rejects(store.read('a'), (error) => isMeshError(error))
    assert.deepEqual((await readdir(join(dir, 'agents', 'a'))).sort(), ['odd.json', 'state.json'])
  })

  it('stays within its directory', async () => {
    const store = openAgentStore(dir, () => undefined)
    await writeFile(join(dir, 'node.json'), 'not JSON')
    for (const id of ['..', '.', '', '../..']) {
      await assert.rejects(store.read(id), fails('invalid_argument'))
      await assert.rejects(store.write(id, 'state', 1), fails('invalid_argument'))
      assert.throws(() => defineAgent({ id, type: 'agent/x', run: () => null }), fails('invalid_argument'))
      assert.throws(() => createDeclaredAgent({ id, type: 'agent/x', instructions: 'x' }), fails('invalid_argument'))
    }
    assert.deepEqual(await readdir(dir), ['node.json'])
  })
})
