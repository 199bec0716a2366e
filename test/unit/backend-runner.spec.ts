import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import { createBackendRunner } from '../../src/backend-runner.ts'
import type { Backend, TriggerEvent } from '../../src/backends/backend.ts'
import { createLocalTools } from '../../src/calls/local-tools.ts'
import { until } from '../fixtures/libp2p-pair.ts'

describe('a backend that runs', () => {
  it('raises what it says first once it is known what it offers', async () => {
    const raised: TriggerEvent[] = []
    const offered: string[] = []
    let offer!: () => void
    const asked = new Promise<void>((resolve) => (offer = resolve))
    const backend: Backend = {
      id: 'lamp',
      kind: 'command',
      async *discover(signal) {
        await asked
        yield [{ id: 'lamp', type: 'light/lamp', triggers: [{ event: 'on' }] }]
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
      async *call() {},
      async *watch() {
        yield { capability: 'lamp', event: 'on', payload: null }
        yield { capability: 'lamp', event: 'on', payload: 2 }
      }
    }
    const runner = createBackendRunner({
      self: 'self',
      tools: createLocalTools(
        ({ id }) => offered.push(id),
        () => undefined,
        () => 0
      ),
      emit: () => undefined,
      async raise(event) {
        assert.deepEqual(offered, ['lamp'])
        raised.push(event)
      },
      log: () => undefined
    })
    setImmediate(() => offer())
    runner.add(backend)
    assert.deepEqual(runner.starting(), ['lamp'])
    await until(() => raised.length === 2, 'both')
    assert.deepEqual(runner.starting(), [])
    await runner.stop()
  })

  it('is degraded, with the reason, while something that it offers is, and says what waits', async () => {
    let say!: (snapshot: CapabilityDeclaration[]) => void
    let next = new Promise<CapabilityDeclaration[]>((resolve) => (say = resolve))
    let waiting = 0
    const events: unknown[] = []
    const runner = createBackendRunner({
      self: 'self',
      tools: createLocalTools(
        () => undefined,
        () => undefined,
        () => 0
      ),
      emit: (event) => events.push(event),
      async raise() {},
      log: () => undefined
    })
    runner.add({
      id: 'house',
      kind: 'webhook',
      async *discover(signal) {
        while (!signal.aborted) yield await next
      },
      async *call() {},
      waiting: () => waiting
    })
    const state = async (...snapshot: CapabilityDeclaration[]): Promise<unknown> => {
      const count = events.length
      const told = say
      next = new Promise((resolve) => (say = resolve))
      told(snapshot)
      await until(() => events.length > count, 'it is told')
      return runner.states()[0]
    }
    const [bell, lamp] = ['bell', 'lamp'].map((id) => ({ id, type: 'demo/bell' })) as [
      CapabilityDeclaration,
      CapabilityDeclaration
    ]
    const named = { id: 'house', kind: 'webhook' }
    assert.deepEqual(await state(bell, lamp), { ...named, state: 'online' })
    waiting = 3
    const degraded = await state(bell, { ...lamp, status: 'degraded', statusReason: 'no answer' })
    assert.deepEqual(degraded, { ...named, state: 'degraded', reason: 'no answer', waiting: 3 })
    assert.deepEqual(events.at(-1), { event: 'backend', id: 'house', state: 'degraded', reason: 'no answer' })
    const busy = await state(bell, { ...lamp, status: 'busy', statusReason: 'has much to do' })
    assert.deepEqual(busy, { ...named, state: 'online', reason: 'has much to do', waiting: 3 })
    const down = { ...bell, status: 'offline' as const, statusReason: 'gone' }
    assert.deepEqual(await state(down, lamp), { ...named, state: 'degraded', reason: 'gone', waiting: 3 })
    assert.deepEqual(await state(down), { ...named, state: 'offline', reason: 'gone', waiting: 3 })
    const stopped = runner.stop()
    say([])
    await stopped
  })
})
