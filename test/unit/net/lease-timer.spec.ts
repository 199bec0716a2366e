import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { createLeaseTimer } from '../../../src/net/lease-timer.ts'

describe('lease timer', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())

  it('is due at every third of the lease, whatever is hastened in between', () => {
    let renewed = 0
    const timer = createLeaseTimer(
      300,
      () => 0.5,
      () => renewed++
    )
    timer.start()
    mock.timers.tick(85)
    timer.hasten()
    timer.hasten()
    mock.timers.tick(10)
    assert.equal(renewed, 1)
    mock.timers.tick(5)
    assert.equal(renewed, 2)
    mock.timers.tick(100)
    assert.equal(renewed, 3)
    timer.hasten()
    timer.stop()
    mock.timers.tick(1_000)
    assert.equal(renewed, 3)
  })

  it('does nothing before it is started', () => {
    const timer = createLeaseTimer(
      300,
      () => 0.5,
      () => assert.fail('not started')
    )
    timer.hasten()
    mock.timers.tick(1_000)
    timer.stop()
  })
})
