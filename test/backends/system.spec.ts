import assert from 'node:assert/strict'
import os from 'node:os'
import { createSystemBackend } from '../../src/backends/system.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import { backendContract, collect, errorOf, invoke, resultOf } from './contract.ts'

backendContract('system', () => ({
  backend: createSystemBackend({ version: '1.2.3' }),
  capability: 'system',
  echo: { tool: 'echo', input: (n) => ({ n }), output: (n) => ({ n }) },
  slow: { tool: 'count', input: { to: 1_000_000, intervalMs: 1 }, isGone: () => true }
}))

describe('system backend', () => {
  const backend = createSystemBackend({ version: '1.2.3' })

  it('describes the machine, but not its name', async () => {
    const info = (await resultOf(invoke(backend, 'system', 'info'))) as JsonObject
    assert.equal(info['atmosphereVersion'], '1.2.3')
    assert.deepEqual((info['os'] as JsonObject)['platform'], process.platform)
    assert.ok(!JSON.stringify(info).includes(`"${os.hostname()}"`))
  })

  it('tells the time', async () => {
    const clock = (await resultOf(invoke(backend, 'system', 'clock'))) as { iso: string; epochMs: number }
    assert.equal(Date.parse(clock.iso), clock.epochMs)
  })

  it('counts with progress', async () => {
    const items = await collect(invoke(backend, 'system', 'count', { to: 3 }))
    assert.deepEqual(
      items.filter((item) => item.kind === 'json').map((item) => item.value),
      [1, 2, 3]
    )
    assert.ok(items.some((item) => item.kind === 'progress' && item.progress.total === 3))
    assert.deepEqual(items.at(-1), { kind: 'result', value: { counted: 3 } })
    await errorOf(invoke(backend, 'system', 'count', { to: 1e9 }), 'invalid_argument')
  })
})
