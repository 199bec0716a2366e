import assert from 'node:assert/strict'
import type { AgentContext } from '../../../src/agents/agent-context.ts'
import { createPassingStore } from '../../../src/agents/agent-store.ts'
import { MAX_ACCEPTED_TASKS, MAX_EVENT_CHARACTERS, taskIdOf } from '../../../src/agents/agent-tasks.ts'
import { MAX_LIMITS } from '../../../src/agents/budget.ts'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import type { Intent } from '../../../src/agents/intent.ts'
import type { JsonObject, JsonValue } from '../../../src/core/invoke.ts'
import { MeshError } from '../../../src/errors.ts'
import { eventNumber, type AgentWorld } from '../../fixtures/agent-world.ts'
import { fails, useAgentWorker } from '../../fixtures/agent-worker.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

describe('an agent of code', () => {
  const worker = useAgentWorker()
  const { define, ask, options, handle } = worker
  let world: AgentWorld
  before(() => void (world = worker.world))

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
    await assert.rejects(late!.memory.set('a', 1), fails('cancelled'))
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

  it('what it throws says whether an event may come again; then it begins from the beginning', async () => {
    const attempts: number[] = []
    await world.add(
      define((intent, { attempt }) => {
        attempts.push(attempt)
        if (intent.kind === 'event' && intent.event.id === '1-1') throw new MeshError('invalid_argument', 'never')
        if (attempts.length < 4) throw attempts.length === 2 ? new Error('not yet') : new MeshError('unavailable', 'not yet')
      })
    )
    await assert.rejects(handle(1), fails('invalid_argument', /never/))
    await assert.rejects(handle(2), fails('tool_failed', /not yet/))
    await assert.rejects(handle(2), fails('unavailable', /not yet/))
    await handle(2)
    assert.deepEqual(attempts, [1, 1, 2, 3])
    assert.deepEqual(
      world.agents.tasks('worker').map(({ state }) => state),
      ['done', 'failed']
    )
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

  it('is suspended, resumed and ended, over restarts as well; what it worked on goes back to who delivers it', async () => {
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
    const [, view] = await Promise.all([
      assert.rejects(first, fails('unavailable', /was suspended/)),
      world.agents.setState('worker', 'suspended', 'night')
    ])
    assert.equal(view.state, 'suspended')
    await until(() => world.mesh.capabilities({ id: 'worker' })[0]?.status === 'suspended', 'the mesh knows')
    await assert.rejects(ask(), fails('unavailable', /suspended, night/))
    await assert.rejects(handle(2), fails('unavailable', /suspended: night/))
    await world.agents.setState('worker', 'running')
    await Promise.all([handle(1), handle(2)])
    assert.equal(seen.length, 3, 'the first one was begun again')

    await world.agents.setState('worker', 'suspended', 'night')
    assert.equal((await world.agents.setState('worker', 'suspended', 'holiday')).reason, 'holiday')
    await world.restart()
    await world.add(agent)
    assert.deepEqual([world.agents.list()[0]?.state, world.agents.list()[0]?.reason], ['suspended', 'holiday'])

    await world.agents.setState('worker', 'ended')
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

  it('changes its state one after the other: what is asked last holds, also after a restart', async () => {
    await world.add(define(() => null))
    const asked = ['ended', 'running', 'suspended', 'ended', 'running'] as const
    await Promise.all(asked.map((state, n) => world.agents.setState('worker', state, `${n}`)))
    assert.deepEqual([world.agents.list()[0]?.state, world.agents.list()[0]?.reason], ['running', '4'])
    await handle(1)
    await world.restart()
    await world.agents.add(define(() => null))
    assert.deepEqual([world.agents.list()[0]?.state, world.agents.tasks('worker').length], ['running', 1])
  })

  it('that has ended remembers nothing that is set afterwards, by whom ever', async () => {
    let context: AgentContext | undefined
    let ownTool: AgentContext | undefined
    const hang = () => new Promise<never>(() => undefined)
    const tools = { hold: { run: (_: object, given: AgentContext) => ((ownTool = given), hang()) } }
    await world.add(define((_, given) => ((context = given), hang()), { tools }))
    const work = [ask(), world.mesh.call('worker', 'hold').result]
    await until(() => context !== undefined && ownTool !== undefined, 'both run')
    const set = context!.memory.set('a', 1)
    const results = await Promise.all([
      Promise.allSettled(work).then((all) => all.map(({ status }) => status)),
      world.agents.setState('worker', 'ended').then(() => 'ended')
    ])
    assert.deepEqual(results, [['rejected', 'rejected'], 'ended'])
    await set
    for (const late of [context!, ownTool!]) await assert.rejects(late.memory.set('b', 2), fails('unavailable'))
    await world.agents.setState('worker', 'running')
    for (const late of [context!, ownTool!]) await assert.rejects(late.memory.set('c', 3), fails('unavailable'))
    assert.deepEqual([...(await world.store.read('worker')).keys()], [])
  })

  it('what it is asked is seen while it runs, and a stop waits until that is kept', async () => {
    await world.add(define(() => new Promise<never>(() => undefined), { concurrency: 1 }))
    const asked = assert.rejects(ask('one'), fails('unavailable'))
    const event = assert.rejects(handle(1), fails('unavailable'))
    await until(() => world.agents.tasks('worker').length === 2, 'both are seen')
    const [view] = world.agents.list()
    assert.deepEqual([view?.running, view?.waiting], [1, 1])
    await world.agents.stop()
    const kept = [...(await world.store.read('worker')).values()] as { intent: Intent; state: string }[]
    assert.deepEqual(kept.map(({ intent, state }) => `${intent.kind} ${state}`).sort(), ['ask failed', 'event interrupted'])
    await Promise.all([asked, event])
  })

  it('that the mesh does not take stays created, with the reason; the id of another is a conflict', async () => {
    const view = await world.agents.add(define(() => null, { id: 'thermo' }))
    assert.deepEqual([view.state, /taken|registered/.test(view.reason ?? '')], ['created', true])
    await assert.rejects(world.agents.handle('thermo', eventNumber(1), options()), fails('unavailable', /not offered/))
    await assert.rejects(world.agents.add(define(() => null, { id: 'thermo' })), fails('conflict'))
    assert.throws(() => world.agents.tasks('nobody'), fails('unknown_capability', /nobody/))
  })

  it('answers what it is asked also while the disk is full', async () => {
    await world.restart({
      ...createPassingStore(),
      write: () => Promise.reject(new MeshError('unavailable', 'the disk is full'))
    })
    await world.add(define(() => null))
    assert.equal(await ask(), null)
    assert.match(world.logged.join(), /cannot keep.*disk is full/)
    assert.equal(world.agents.tasks('worker')[0]?.state, 'done')
  })

  it('a declared one goes on from its transcript; a call that was out is made again only if that does no harm', async () => {
    const keeper = createDeclaredAgent({ id: 'worker', instructions: 'Work.', tools: [{ types: ['**'] }] })
    // What a node leaves behind that dies while a call is out.
    const crashed = (tool: string, input: object): JsonObject =>
      JSON.parse(
        JSON.stringify({
          ...{ depth: 0, causes: [world.mesh.peerId], state: 'running', attempts: 1, crashes: 0 },
          ...{ at: new Date().toISOString(), used: { steps: 1, timeMs: 5, tokens: 10, toolCalls: 1 }, steps: [] },
          conversation: {
            calling: 'c0',
            tools: { thermo__read: { id: 'thermo', type: 'sensor/temperature', tool: 'read', idempotent: true } },
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
      ) as JsonObject
    for (const [tool, input, used, told] of [
      ['thermo__read', { room: 'bath' }, ['read bath'], /17/],
      ['heater__set', { on: true }, [], /not known whether it was done/]
    ] as const) {
      const store = createPassingStore()
      const id = taskIdOf(eventNumber(9))
      const intent = { kind: 'event', event: eventNumber(9) }
      await store.write('worker', `task-${id}`, { ...crashed(tool, input), id, intent } as unknown as JsonValue)
      await world.restart(store)
      world.used.length = 0
      world.model.play(() => ({ text: 'went on' }))
      await world.add(keeper)
      await handle(9)
      const [question] = world.model.requests
      assert.deepEqual([world.used, question?.messages.length, world.model.requests.length], [used, 4, 1])
      assert.match(question?.messages[3]?.content ?? '', told)
      const { used: counted, attempts } = world.agents.tasks('worker')[0]!
      assert.deepEqual([counted.steps, counted.toolCalls, attempts], [2, 1, 2])
    }
  })
})
