import assert from 'node:assert/strict'
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
})
