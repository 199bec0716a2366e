/** Events that an agent does: what is kept of them, what goes on, and what a disk that is full changes. */
import assert from 'node:assert/strict'
import { createPassingStore, type AgentStore } from '../../../src/agents/agent-store.ts'
import { MAX_KEPT_TASKS, MAX_UNFINISHED_TASKS, taskIdOf } from '../../../src/agents/agent-tasks.ts'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import { MAX_CRASHES } from '../../../src/agents/task.ts'
import type { JsonValue } from '../../../src/core/invoke.ts'
import { MeshError } from '../../../src/errors.ts'
import { eventNumber, type AgentWorld } from '../../fixtures/agent-world.ts'
import { fails, useAgentWorker } from '../../fixtures/agent-worker.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

/** A store of which each write can be refused. */
function fullStore(isFull: (name: string, document: JsonValue | undefined) => boolean): AgentStore {
  const store = createPassingStore()
  return {
    read: store.read,
    async write(agent, name, document) {
      if (isFull(name, document)) throw new MeshError('unavailable', 'the disk is full')
      await store.write(agent, name, document)
    }
  }
}
const stateOf = (document: JsonValue | undefined): unknown => (document as { state?: unknown } | undefined)?.state

describe('events of an agent', () => {
  const worker = useAgentWorker()
  const { define, handle } = worker
  let world: AgentWorld
  before(() => void (world = worker.world))

  const taskOf = (number: number) => world.agents.tasks('worker').find(({ id }) => id === taskIdOf(eventNumber(number)))
  const never = () => new Promise<never>(() => undefined)

  it('that a stop cuts short are left to who delivers them: nothing runs at the next start by itself', async () => {
    const attempts: number[] = []
    let go = false
    const agent = define((_, { attempt }) => (attempts.push(attempt), go ? null : never()))
    await world.add(agent)
    const first = handle(1)
    await until(() => attempts.length === 1, 'it works')
    await Promise.all([assert.rejects(first, fails('unavailable', /stopping/, true)), world.restart()])
    go = true
    await world.add(agent)
    assert.deepEqual([taskOf(1)?.state, world.agents.list()[0]?.waiting], ['interrupted', 0])
    await handle(2)
    assert.deepEqual(attempts, [1, 1], 'only the second event has run')
    await handle(1)
    assert.deepEqual([attempts, taskOf(1)?.state], [[1, 1, 2], 'done'])
  })

  it('that take the node down with them are given up after three times; those that fail are not', async () => {
    let runs = 0
    const away = define(() => (runs++, Promise.reject(new MeshError('unavailable', 'the model is away'))))
    await world.add(away)
    for (let n = 0; n < 2 * MAX_CRASHES; n++) await assert.rejects(handle(1), fails('unavailable', /model is away/, true))
    assert.equal(runs, 2 * MAX_CRASHES)

    const attempts: number[] = []
    const hang = define((_, { attempt }) => (attempts.push(attempt), never()))
    await world.restart(createPassingStore())
    await world.add(hang)
    for (let crash = 1; crash <= MAX_CRASHES; crash++) {
      handle(1).catch(() => undefined)
      await until(() => attempts.length === crash, 'it works')
      // What a crash at this moment would leave.
      const left = await copyOf(world.store)
      await world.restart(left)
      await world.add(hang)
    }
    assert.deepEqual(attempts, [1, 2, 3])
    await assert.rejects(handle(1), fails('tool_failed', /given up.*3 times/, false))
    assert.equal(attempts.length, 3)
  })

  it('of which the model is away use none of its steps and its time, however often', async () => {
    await world.add(createDeclaredAgent({ id: 'worker', instructions: 'Work.', model: 'away', limits: { steps: 2 } }))
    world.mesh.register({ id: 'away', type: 'llm/chat', tools: [{ name: 'chat' }] }, { chat: () => ({}) }).remove()
    const short = { id: 'away', type: 'llm/chat', tools: [{ name: 'chat' }] }
    let asked = 0
    const model = world.mesh.register(short, {
      chat() {
        asked++
        throw new MeshError('invalid_argument', 'not like this', { retryable: true })
      }
    })
    for (let n = 0; n < 4; n++) await assert.rejects(handle(1), fails('invalid_argument'))
    model.remove()
    assert.equal(asked, 4)
    assert.equal(taskOf(1)?.used.steps, 0)
  })

  it('that cannot be written down are not accepted, the second time neither, and take no place', async () => {
    let full = true
    await world.restart(fullStore(() => full))
    let runs = 0
    await world.add(define(() => void runs++))
    for (let n = 0; n < 3; n++) await assert.rejects(handle(1), fails('unavailable', /disk is full/, true))
    assert.deepEqual([runs, world.agents.tasks('worker')], [0, []])
    full = false
    await handle(1)
    assert.equal(runs, 1)
  })

  it('make no call that is not on disk first', async () => {
    let full = false
    await world.restart(fullStore(() => full))
    world.model.play((_, turn) => {
      full = turn === 0
      return turn === 0 ? { calls: [['heater__set', { on: true }]] } : { text: 'done' }
    })
    await world.add(createDeclaredAgent({ id: 'worker', instructions: 'Work.', tools: [{ types: ['**'] }] }))
    await assert.rejects(handle(1), fails('unavailable', /cannot keep/, true))
    assert.deepEqual(world.used, [])
    full = false
    await handle(1)
    assert.deepEqual([world.used, taskOf(1)?.attempts], [['set true'], 2])
  })

  it('that are done are acknowledged once that is on disk, and are not run again for it', async () => {
    let full = true
    await world.restart(fullStore((_, document) => full && stateOf(document) === 'done'))
    let runs = 0
    await world.add(define(() => void runs++))
    let acknowledged = false
    const first = handle(1).then(() => void (acknowledged = true))
    await until(() => /cannot keep/.test(world.logged.join()), 'it is told')
    const second = handle(1)
    assert.deepEqual([acknowledged, runs], [false, 1])
    full = false
    await Promise.all([first, second])
    assert.equal(runs, 1)
  })

  it('whose delivery ends go back: that is no failure of the agent', async () => {
    let runs = 0
    await world.add(define(() => (++runs === 1 ? never() : null)))
    const over = new AbortController()
    const first = handle(1, { signal: over.signal })
    await until(() => runs === 1, 'it works')
    over.abort(new MeshError('deadline_exceeded', 'the handler took longer than 600 s', { retryable: true }))
    await assert.rejects(first, fails('deadline_exceeded'))
    await until(() => taskOf(1)?.state === 'interrupted', 'it is put back')
    await handle(1)
    assert.deepEqual([runs, taskOf(1)?.state], [2, 'done'])
  })

  it('that end at a limit, or follow from too many, do not come again; if somebody sends one anew it begins anew', async () => {
    let runs = 0
    const agent = define(
      async (_, context) => {
        runs++
        for (let n = 0; n < (runs === 1 ? 2 : 1); n++) await context.call('thermo', 'read', { room: 'a' })
      },
      { limits: { steps: 1, depth: 1 } }
    )
    await world.add(agent)
    await assert.rejects(handle(1), fails('tool_failed', /1 steps/, false))
    assert.equal(taskOf(1)?.state, 'failed')
    await handle(1)
    assert.deepEqual([runs, taskOf(1)?.state, taskOf(1)?.attempts], [2, 'done', 1])
    await assert.rejects(handle(2, { depth: 2 }), fails('tool_failed', /chain/, false))
  })

  it('that are done stay done when their records have gone, whatever else is asked', async () => {
    let runs = 0
    await world.add(define(() => void runs++))
    for (let n = 0; n < MAX_KEPT_TASKS + 5; n++) await handle(n)
    for (let n = 0; n < MAX_KEPT_TASKS + 5; n++) await world.mesh.call('worker', 'ask', { text: 'x' }).result
    const kinds = world.agents.tasks('worker').map(({ kind }) => kind)
    assert.deepEqual([kinds.filter((kind) => kind === 'event').length, kinds.length], [MAX_KEPT_TASKS, 2 * MAX_KEPT_TASKS])
    runs = 0
    await handle(0)
    await world.restart()
    await world.add(define(() => void runs++))
    await handle(0)
    await handle(MAX_KEPT_TASKS)
    assert.equal(runs, 0)
  })

  it('that may come again are kept beside those that are over; of too many those of who sends most go', async () => {
    let away = true
    await world.add(
      define(({ kind }) => {
        if (away && kind === 'event') throw new MeshError('unavailable', 'not yet')
      })
    )
    const other = eventNumber(0, { node: '12D3KooWOther' })
    await assert.rejects(handle(0, {}, other), fails('unavailable'))
    for (let n = 0; n < MAX_UNFINISHED_TASKS; n++) await assert.rejects(handle(n), fails('unavailable'))
    assert.equal(taskOf(0), undefined)
    assert.equal(taskOf(1)?.state, 'interrupted')
    away = false
    for (let n = 100; n < 100 + MAX_KEPT_TASKS + 1; n++) await handle(n)
    assert.equal(world.agents.tasks('worker').filter(({ state }) => state === 'interrupted').length, MAX_UNFINISHED_TASKS)
    assert.ok(world.agents.tasks('worker').some(({ id, state }) => id === taskIdOf(other) && state === 'interrupted'))
  })
})

/** What a crash at this moment would leave. */
async function copyOf(store: AgentStore): Promise<AgentStore> {
  const copy = createPassingStore()
  for (const [name, document] of await store.read('worker')) await copy.write('worker', name, document)
  return copy
}
