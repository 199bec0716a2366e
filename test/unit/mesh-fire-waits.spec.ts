import assert from 'node:assert/strict'
import { createFireWaits, type FireWaits } from '../../src/mesh-fire-waits.ts'

describe('waiting for what was fired', () => {
  let waits: FireWaits
  beforeEach(() => (waits = createFireWaits()))

  it('ends when all who got it have taken it, in whatever order', async () => {
    waits.begin('1', ['a', 'b'])
    waits.taken('1', 'a')
    const told = waits.end('1', 60_000)
    waits.taken('1', 'a')
    waits.taken('2', 'b')
    waits.taken('1', 'b')
    assert.deepEqual(await told, { by: ['a', 'b'] })
  })

  it('ends at once where nobody is there, or all is known before', async () => {
    waits.begin('1', [])
    assert.deepEqual(await waits.end('1', 60_000), { by: [] })
    waits.begin('2', ['a'])
    waits.taken('2', 'a')
    assert.deepEqual(await waits.end('2', 60_000), { by: ['a'] })
  })

  it('ends when it is dropped, with the reason and who has taken it', async () => {
    waits.begin('1', ['a', 'b'])
    waits.taken('1', 'a')
    const told = waits.end('1', 60_000)
    waits.dropped('1', 'too_late')
    assert.deepEqual(await told, { by: ['a'], reason: 'too_late' })
  })

  it('ends when the time is over; what comes after that is nothing', async () => {
    waits.begin('1', ['a'])
    assert.deepEqual(await waits.end('1', 5), { by: [] })
    waits.taken('1', 'a')
    waits.dropped('1', 'full')
  })
})
