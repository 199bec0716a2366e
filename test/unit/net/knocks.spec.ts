import assert from 'node:assert/strict'
import { FAILED_RATE, MAX_TURNED_AWAY, TURNED_AWAY_MS, createKnocks } from '../../../src/net/knocks.ts'

describe('knocks', () => {
  const from = (host: string, port = 1): string => `/ip4/${host}/tcp/${port}`
  let time: number
  beforeEach(() => (time = 0))

  it('turn a host away that fails again and again, from whatever port, for a time, and no other', () => {
    const knocks = createKnocks(() => time)
    for (let n = 0; n < FAILED_RATE.burst; n++) knocks.failed(from('10.0.0.1', n + 1))
    assert.equal(knocks.turnsAway(from('10.0.0.1')), false)
    knocks.failed(from('10.0.0.1'))
    assert.equal(knocks.turnsAway(`${from('10.0.0.1', 77)}/ws`), true)
    assert.equal(knocks.turnsAway(from('10.0.0.2')), false)
    time += TURNED_AWAY_MS
    assert.equal(knocks.turnsAway(from('10.0.0.1')), false)
  })

  it('let in again who has failed less often than is allowed', () => {
    const knocks = createKnocks(() => time)
    for (let n = 0; n < FAILED_RATE.burst * 4; n++) {
      knocks.failed(from('10.0.0.1'))
      time += 1_000 / FAILED_RATE.perSecond
      assert.equal(knocks.turnsAway(from('10.0.0.1')), false)
    }
  })

  it('remember so many hosts and no more', () => {
    const knocks = createKnocks(() => time)
    const host = (n: number): string => from(`10.1.${n >> 8}.${n & 255}`)
    for (let n = 0; n <= MAX_TURNED_AWAY; n++) for (let k = 0; k <= FAILED_RATE.burst; k++) knocks.failed(host(n))
    assert.equal(knocks.turnsAway(host(0)), false)
    assert.equal(knocks.turnsAway(host(1)), true)
    assert.equal(knocks.turnsAway(host(MAX_TURNED_AWAY)), true)
  })
})
