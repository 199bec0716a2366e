import assert from 'node:assert/strict'
import type { AgentContext } from '../../../src/agents/agent-context.ts'
import { createPassingStore, type AgentStore } from '../../../src/agents/agent-store.ts'
import { MAX_ACCEPTED_TASKS, MAX_EVENT_CHARACTERS, MAX_KEPT_TASKS } from '../../../src/agents/agent-tasks.ts'
import { MAX_LIMITS } from '../../../src/agents/budget.ts'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import { defineAgent, type CodeAgent } from '../../../src/agents/definition.ts'
import type { HandleOptions, Intent } from '../../../src/agents/intent.ts'
import type { JsonValue } from '../../../src/core/invoke.ts'
import { MeshError, isMeshError, type ErrorCode } from '../../../src/errors.ts'
import { createAgentWorld, eventNumber, type AgentWorld } from '../../fixtures/agent-world.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

const fails = (code: ErrorCode, message?: RegExp) => (error: unknown) =>
  isMeshError(error, code) && (message?.test(error.message) ?? true)

describe('an agent of code', () => {
  let world: AgentWorld
  before(async () => (world = await createAgentWorld()))
  after(() => world.close())
  beforeEach(async () => {
    await world.restart(createPassingStore())
    world.used.length = world.fired.length = world.logged.length = 0
  })

  const define = (run: CodeAgent['run'], more: Partial<CodeAgent> = {}) => defineAgent({ id: 'worker', run, ...more })
  const ask = async (text = 'work'): Promise<JsonValue> => (await world.mesh.call('worker', 'ask', { text }).result).result
  const options = (more: Partial<HandleOptions> = {}): HandleOptions => ({
    signal: new AbortController().signal,
    causes: [world.mesh.peerId],
    depth: 0,
    ...more
  })
  const handle = (number: number, more: Partial<HandleOptions> = {}) =>
    world.agents.handle('worker', eventNumber(number), options(more))

  it('calls, raises, remembers and says what it does', async () => {
    await world.add(
      define(async (intent, context) => {
        assert.equal(intent.kind, 'ask')
        context.note('begins')
        const before = Number(context.memory.get('times') ?? 0)
        await context.memory.set('times', before + 1)
        const read = await context.call('thermo', 'read', { room: 'hall' })
        await context.fire('seen', read)
        return { read, times: before + 1, used: context.budget.used.steps }
      })
    )
    assert.deepEqual(await ask(), { read: { degrees: 17 }, times: 1, used: 2 })
    const steps = world.agents.task('worker', world.agents.tasks('worker')[0]!.id).steps.map((step) => step.step)
    assert.deepEqual(steps, ['note', 'call', 'result', 'fire'])
    assert.deepEqual(
      world.fired.map(({ event, payload }) => [event, payload]),
      [['seen', { degrees: 17 }]]
    )
    await world.restart()
    await world.add(define((_, { memory }) => [memory.get('times') ?? null, memory.keys()]))
    assert.deepEqual(await ask(), [1, ['times']], 'memory lasts')
  })

  it('has tools of its own, with the same memory and limits', async () => {
    await world.add(
      define(async (_, { memory }) => memory.set('mode', 'armed'), {
        limits: { steps: 1 },
        tools: {
          mode: { description: 'Its mode.', run: (_, { memory }) => memory.get('mode') ?? 'none' },
          busy: {
            async run(_, context) {
              await context.call('thermo', 'read', { room: 'a' })
              await context.call('thermo', 'read', { room: 'b' })
            }
          }
        }
      })
    )
    await ask()
    assert.equal((await world.mesh.call('worker', 'mode').result).result, 'armed')
    await assert.rejects(world.mesh.call('worker', 'busy').result, fails('tool_failed', /1 steps/))
    assert.deepEqual(world.used, ['read a'])
    assert.throws(() => define(() => null, { tools: { ask: { run: () => null } } }), fails('invalid_argument'))
    assert.throws(() => define(() => null, { limits: { steps: MAX_LIMITS.steps + 1 } }), fails('invalid_argument'))
    assert.throws(() => define(() => null, { concurrency: 0 }), fails('invalid_argument'))
  })

  it('that throws, or throws at once, or hangs, fails alone', async () => {
    await world.add(
      define(
        (intent) => {
          const what = intent.kind === 'ask' ? intent.text : ''
          if (what === 'at once') throw new Error('it broke')
          if (what === 'later') return Promise.reject(new MeshError('busy', 'not now'))
          if (what === 'hang') return new Promise<never>(() => undefined)
          return 'fine'
        },
        { limits: { timeMs: 100 }, concurrency: 1 }
      )
    )
    await assert.rejects(ask('at once'), fails('tool_failed', /it broke/))
    await assert.rejects(ask('later'), fails('busy', /not now/))
    await assert.rejects(ask('hang'), fails('deadline_exceeded', /100 ms/))
    assert.equal(await ask('go'), 'fine', 'the one that hangs holds up nobody')
  })

  it('may do nothing any more once its work is over', async () => {
    let late: AgentContext | undefined
    await world.add(define((_, context) => void (late = context)))
    await ask()
    await assert.rejects(late!.call('thermo', 'read', { room: 'x' }), fails('cancelled'))
    assert.deepEqual(world.used, [])
  })

  it('does an event once, however often it comes, also at the same time', async () => {
    let runs = 0
    let go: (() => void) | undefined
    await world.add(define(async () => (runs++, new Promise<void>((resolve) => (go = resolve)))))
    const all = [handle(1), handle(1)]
    await until(() => go !== undefined, 'it works')
    go!()
    await Promise.all(all)
    await handle(1)
    assert.equal(runs, 1)
  })

  it('of an event that failed it says the same again; one that may be tried again is', async () => {
    let runs = 0
    await world.add(
      define((intent) => {
        runs++
        if (intent.kind === 'event' && intent.event.id === '1-1') throw new Error('never')
        if (runs === 2) throw new MeshError('unavailable', 'not yet')
      })
    )
    await assert.rejects(handle(1), fails('tool_failed', /never/))
    await assert.rejects(handle(1), fails('tool_failed', /never/))
    assert.equal(runs, 1)
    await assert.rejects(handle(2), fails('unavailable', /not yet/))
    await handle(2)
    assert.equal(runs, 3)
  })

  it('refuses an event that follows from too many, and one more than it has room for', async () => {
    await world.add(define(() => new Promise<never>(() => undefined), { limits: { depth: 1 } }))
    await assert.rejects(handle(1, { depth: 2 }), fails('tool_failed', /chain/))
    for (let n = 0; n < MAX_ACCEPTED_TASKS; n++) handle(n).catch(() => undefined)
    await until(() => world.agents.list()[0]!.waiting + world.agents.list()[0]!.running === MAX_ACCEPTED_TASKS, 'all are in')
    await assert.rejects(handle(1_000), fails('busy'))
  })

  it('refuses an event that is larger than what it keeps', async () => {
    await world.add(define(() => null))
    const event = { ...eventNumber(1), payload: 'x'.repeat(MAX_EVENT_CHARACTERS) }
    await assert.rejects(world.agents.handle('worker', event, options()), fails('too_large', /262144 characters/))
  })

  it('keeps the last of what is over', async () => {
    await world.add(define(() => null))
    for (let n = 0; n < MAX_KEPT_TASKS + 5; n++) await handle(n)
    assert.equal(world.agents.tasks('worker').length, MAX_KEPT_TASKS)
    assert.equal([...(await world.store.read('worker')).keys()].filter((name) => name.startsWith('task-')).length, MAX_KEPT_TASKS)
  })

  it('does after a restart what it had accepted, from the beginning, and is given up after three', async () => {
    const attempts: number[] = []
    const hang = define((_, { attempt }) => (attempts.push(attempt), new Promise<never>(() => undefined)))
    await world.add(hang)
    const first = handle(1)
    await until(() => attempts.length === 1, 'the first')
    await Promise.all([assert.rejects(first, fails('unavailable', /stopping/)), world.restart()])
    // In order: that was no attempt. A crash is one: what was on disk then is there again.
    await world.add(hang)
    await until(() => attempts.length === 2, 'the second')
    assert.deepEqual(attempts, [1, 1])
    let left = await copyOf(world.store)
    for (let crash = 0; crash < 3; crash++) {
      await world.restart(left)
      await world.add(hang)
      await until(() => world.agents.tasks('worker')[0]!.state === 'failed' || attempts.length === 3 + crash, 'the next')
      left = await copyOf(world.store)
    }
    assert.deepEqual(attempts, [1, 1, 2, 3])
    await assert.rejects(handle(1), fails('tool_failed', /given up/))
  })

  it('what is asked ends with the node: nobody waits for it any more', async () => {
    let runs = 0
    const hang = define(() => (runs++, new Promise<never>(() => undefined)))
    await world.add(hang)
    const asked = ask()
    await until(() => runs === 1, 'it works')
    await Promise.all([assert.rejects(asked, fails('unavailable')), world.restart()])
    await world.add(hang)
    assert.deepEqual([runs, world.agents.tasks('worker')[0]?.state], [1, 'failed'])
  })

  it('is suspended, resumed and ended, over restarts as well', async () => {
    const seen: Intent[] = []
    let go: (() => void) | undefined
    const agent = define(async (intent, { memory }) => {
      seen.push(intent)
      await memory.set('seen', seen.length)
      if (seen.length === 1) await new Promise<void>((resolve) => (go = resolve))
    })
    await world.add(agent)
    const first = handle(1)
    await until(() => go !== undefined, 'it works')
    assert.equal((await world.agents.setState('worker', 'suspended', 'night')).state, 'suspended')
    await until(() => world.mesh.capabilities({ id: 'worker' })[0]?.status === 'suspended', 'the mesh knows')
    await assert.rejects(ask(), fails('unavailable', /suspended, night/))
    const second = handle(2)
    await world.agents.setState('worker', 'running')
    await Promise.all([first, second])
    assert.equal(seen.length, 3, 'the first one was begun again')

    await world.agents.setState('worker', 'suspended', 'night')
    await world.restart()
    await world.add(agent)
    assert.deepEqual([world.agents.list()[0]?.state, world.agents.list()[0]?.reason], ['suspended', 'night'])

    const third = handle(3)
    await Promise.all([assert.rejects(third, fails('unavailable')), world.agents.setState('worker', 'ended')])
    assert.deepEqual(world.agents.tasks('worker'), [])
    await assert.rejects(handle(4), fails('unavailable', /has ended/))
    assert.deepEqual([...(await world.store.read('worker')).keys()], ['state'])
    await world.restart()
    await world.agents.add(agent)
    assert.equal(world.agents.list()[0]?.state, 'ended')
    await world.agents.setState('worker', 'running')
    await handle(5)
    assert.equal(seen.length, 4)
  })

  it('that the mesh does not take stays created, with the reason; the id of another is a conflict', async () => {
    const view = await world.agents.add(define(() => null, { id: 'thermo' }))
    assert.deepEqual([view.state, /taken|registered/.test(view.reason ?? '')], ['created', true])
    await assert.rejects(world.agents.handle('thermo', eventNumber(1), options()), fails('unavailable', /not offered/))
    await assert.rejects(world.agents.add(define(() => null, { id: 'thermo' })), fails('conflict'))
    assert.throws(() => world.agents.tasks('nobody'), fails('unknown_capability', /nobody/))
  })

  it('accepts no event that it cannot keep, and goes on if the disk fills up later', async () => {
    const store = createPassingStore()
    let full = true
    await world.restart({
      read: store.read,
      async write(...args) {
        if (full) throw new MeshError('unavailable', 'the disk is full')
        return store.write(...args)
      }
    })
    await world.add(define(() => null))
    await assert.rejects(handle(1), fails('unavailable', /disk is full/))
    full = false
    await handle(2)
    full = true
    assert.equal(await ask(), null)
    assert.match(world.logged.join(), /cannot keep/)
    full = false
  })

  it('a declared one goes on from its transcript; a call that was out is made again only if that does no harm', async () => {
    const keeper = createDeclaredAgent({ id: 'worker', instructions: 'Work.', tools: [{ types: ['**'] }] })
    // What a node leaves behind that dies while a call is out.
    const crashed = (tool: string, input: object): JsonValue =>
      JSON.parse(
        JSON.stringify({
          ...{ id: '', depth: 0, causes: [world.mesh.peerId], state: 'running', attempts: 1, at: '2026-01-01T00:00:00.000Z' },
          ...{ used: { steps: 1, timeMs: 5, tokens: 10, toolCalls: 1 }, steps: [] },
          conversation: {
            calling: 'c0',
            messages: [
              { role: 'system', content: 'Work.' },
              { role: 'user', content: 'An event' },
              {
                role: 'assistant',
                content: null,
                tool_calls: [{ id: 'c0', type: 'function', function: { name: tool, arguments: JSON.stringify(input) } }]
              }
            ]
          }
        })
      ) as JsonValue
    for (const [tool, input, used, told] of [
      ['thermo__read', { room: 'bath' }, ['read bath'], /17/],
      ['heater__set', { on: true }, [], /not known whether it was done/]
    ] as const) {
      const store = createPassingStore()
      const task = crashed(tool, input) as { id: string; intent?: unknown }
      Object.assign(task, {
        id: 'event-x',
        intent: { kind: 'event', event: JSON.parse(JSON.stringify(eventNumber(9))) as unknown }
      })
      await store.write('worker', 'task-event-x', task as unknown as JsonValue)
      await world.restart(store)
      world.used.length = 0
      world.model.play(() => ({ text: 'went on' }))
      await world.add(keeper)
      await until(() => world.agents.tasks('worker')[0]?.state === 'done', 'it has gone on')
      const [question] = world.model.requests
      assert.deepEqual([world.used, question?.messages.length, world.model.requests.length], [used, 4, 1])
      assert.match(question?.messages[3]?.content ?? '', told)
      const { used: counted, attempts } = world.agents.tasks('worker')[0]!
      assert.deepEqual([counted.steps, counted.toolCalls, attempts], [2, 1, 2])
    }
  })
})

/** What a crash at this moment would leave. */
async function copyOf(store: AgentStore): Promise<AgentStore> {
  const copy = createPassingStore()
  for (const [name, document] of await store.read('worker')) await copy.write('worker', name, document)
  return copy
}
