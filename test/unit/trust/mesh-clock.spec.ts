import assert from 'node:assert/strict'
import { MAX_VALIDITY_S } from '../../../protocols/member/messages.ts'
import { CLOCK_TOLERANCE_S } from '../../../src/trust/certificate.ts'
import { MAX_SLEEP_S, createMeshClock, type ClockState, type MeshClock } from '../../../src/trust/mesh-clock.ts'

const NOW = 1_800_000_000
const YEAR = 365 * 86_400

function setup(
  wallS: number,
  state: ClockState = { floorS: 0, offsetS: 0 }
): { clock: MeshClock; wall: { s: number }; mono: { ms: number } } {
  const wall = { s: wallS }
  const mono = { ms: 5_000 }
  const clock = createMeshClock(
    () => wall.s,
    () => mono.ms,
    state
  )
  return { clock, wall, mono }
}

describe('mesh clock', () => {
  it('is that of the machine where it is right', () => {
    const { clock, wall, mono } = setup(NOW)
    assert.equal(clock.nowS(), NOW)
    wall.s += 60
    mono.ms += 60_000
    assert.equal(clock.nowS(), NOW + 60)
    assert.equal(clock.toleranceS(), CLOCK_TOLERANCE_S)
  })

  it('goes on steadily when the clock of the machine is set back or far ahead', () => {
    const { clock, wall, mono } = setup(NOW)
    wall.s -= YEAR
    mono.ms += 10_000
    assert.equal(clock.nowS(), NOW + 10)
    wall.s = NOW + YEAR
    assert.equal(clock.nowS(), NOW + 10 + MAX_SLEEP_S)
  })

  it('follows the machine that slept', () => {
    const { clock, wall } = setup(NOW)
    wall.s += 3 * 86_400
    assert.equal(clock.nowS(), NOW + 3 * 86_400)
  })

  it('is never earlier than a certificate that was seen, also after a start without a clock', () => {
    const { clock } = setup(100, { floorS: NOW, offsetS: 0 })
    assert.equal(clock.nowS(), NOW)
    assert.equal(clock.toleranceS(), MAX_VALIDITY_S, 'a later one may be good')
    clock.atLeast(NOW + 86_400)
    assert.equal(clock.nowS(), NOW + 86_400)
    clock.atLeast(NOW)
    assert.equal(clock.nowS(), NOW + 86_400)
    assert.deepEqual(clock.state(), { floorS: NOW + 86_400, offsetS: 0 })
  })

  it('is not pushed on by certificates that begin a little later, again and again', () => {
    const { clock } = setup(NOW)
    for (let n = 1; n < 10_000; n++) clock.atLeast(clock.nowS() + CLOCK_TOLERANCE_S)
    assert.deepEqual([clock.nowS(), clock.inDoubt()], [NOW, false])
  })

  it('trusts a machine again whose clock was put right', () => {
    const { clock, wall } = setup(100)
    clock.correct(NOW)
    wall.s = NOW + 5
    clock.correct(NOW + 5)
    assert.deepEqual([clock.state().offsetS, clock.toleranceS(), clock.nowS()], [0, CLOCK_TOLERANCE_S, NOW + 5])
  })

  for (const [what, wrong] of [
    ['a year ahead', YEAR],
    ['a year behind', -YEAR]
  ] as const) {
    it(`takes the time from who should know when the machine is ${what}, and keeps that`, () => {
      const { clock, wall } = setup(NOW + wrong)
      clock.correct(NOW)
      assert.equal(clock.nowS(), NOW)
      assert.equal(clock.toleranceS(), MAX_VALIDITY_S, 'it was wrong once')
      wall.s += 3_600
      const restarted = setup(wall.s, clock.state())
      assert.equal(restarted.clock.nowS(), NOW + 3_600)
      assert.ok(restarted.clock.inDoubt())
    })

    it(`believes a machine that was ${what} when its clock was set right before a start`, () => {
      const { clock } = setup(NOW + wrong, { floorS: NOW - 86_400, offsetS: 0 })
      clock.correct(NOW)
      const { clock: restarted } = setup(NOW + 7_200, clock.state())
      assert.deepEqual([restarted.nowS(), restarted.inDoubt(), restarted.state().offsetS], [NOW + 7_200, false, 0])
    })
  }
})
