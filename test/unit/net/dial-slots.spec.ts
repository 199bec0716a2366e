import assert from 'node:assert/strict'
import {
  DIAL_PACE_MS,
  MAX_HANDSHAKES,
  MAX_PARALLEL_DIALS,
  SLOW_HANDSHAKE_MS,
  createDialSlots
} from '../../../src/net/dial-slots.ts'

function setup() {
  let time = 0
  let freed = 0
  let timers: { at: number; action: () => void }[] = []
  const slots = createDialSlots({
    now: () => time,
    schedule: (action, ms) => {
      const timer = { at: time + ms, action }
      timers.push(timer)
      return () => void (timers = timers.filter((other) => other !== timer))
    },
    onFree: () => freed++
  })
  const advance = (ms: number): void => {
    time += ms
    const due = timers.filter(({ at }) => at <= time)
    timers = timers.filter(({ at }) => at > time)
    for (const { action } of due) action()
  }
  return { slots, advance, freed: () => freed, timers: () => timers.length }
}

describe('dial slots', () => {
  it('let dials begin one after the other, up to the limit', () => {
    const { slots, advance } = setup()
    assert.equal(slots.wait(), 0)
    const first = slots.begin()
    assert.equal(slots.wait(), DIAL_PACE_MS)
    advance(DIAL_PACE_MS)
    for (let n = 1; n < MAX_PARALLEL_DIALS; n++) {
      assert.equal(slots.wait(), 0)
      slots.begin()
      advance(DIAL_PACE_MS)
    }
    assert.equal(slots.wait(), Infinity)
    first.end()
    assert.equal(slots.wait(), 0)
  })

  it('let few shake hands at once, and none that is slow keep others waiting', () => {
    const { slots, advance, freed, timers } = setup()
    const shaking = Array.from({ length: MAX_HANDSHAKES }, () => {
      const slot = slots.begin()
      slot.handshake(true)
      advance(DIAL_PACE_MS)
      return slot
    })
    assert.equal(slots.wait(), Infinity)
    shaking[0]!.handshake(false)
    assert.deepEqual([slots.wait(), freed()], [0, 1])
    shaking[0]!.handshake(true)
    advance(SLOW_HANDSHAKE_MS)
    assert.equal(slots.wait(), 0, 'both are slow')
    for (const slot of shaking) slot.end()
    assert.equal(timers(), 0)
    assert.equal(slots.wait(), 0)
  })
})
