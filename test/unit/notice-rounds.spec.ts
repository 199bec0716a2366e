import assert from 'node:assert/strict'
import { MAX_NOTICE_ROUNDS, NOTICE_ROUND_RATE, SAME_DIFFERENCE_MS, createNoticeRounds } from '../../src/mesh-notice-rounds.ts'

describe('rounds of comparing notices', () => {
  let time: number
  let own: Uint8Array
  let begun: string[]
  let ends: (() => void)[]
  let rounds: ReturnType<typeof createNoticeRounds>
  beforeEach(() => {
    ;[time, own, begun, ends] = [0, digest(0), [], []]
    rounds = createNoticeRounds({
      digest: () => own,
      now: () => time,
      log: () => undefined,
      compare: (peer) => (begun.push(peer), new Promise((resolve) => ends.push(resolve)))
    })
  })
  const digest = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 255)
  const end = async (): Promise<void> => {
    for (const resolve of ends.splice(0)) resolve()
    for (let turn = 0; turn < 5; turn++) await Promise.resolve()
  }

  it('begin where the digests differ, one at a time with a peer', async () => {
    rounds.heard('p', digest(0))
    assert.deepEqual(begun, [])
    rounds.heard('p', digest(1))
    rounds.heard('p', digest(2))
    assert.deepEqual(begun, ['p'])
    await end()
    rounds.heard('p', digest(2))
    assert.deepEqual(begun, ['p', 'p'])
  })

  it('leave two alone that cannot agree, until one of them knows something else', async () => {
    rounds.heard('p', digest(1))
    await end()
    time += 60_000
    rounds.heard('p', digest(1))
    assert.equal(begun.length, 1)
    own = digest(7)
    rounds.heard('p', digest(1))
    assert.equal(begun.length, 2)
    await end()
    time += SAME_DIFFERENCE_MS
    rounds.heard('p', digest(1))
    assert.equal(begun.length, 3)
  })

  it('are bounded for a peer that names another digest each time, and for all', async () => {
    for (let n = 1; n < 100; n++) {
      rounds.heard('p', digest(n))
      await end()
    }
    assert.equal(begun.length, NOTICE_ROUND_RATE.burst)
    for (let n = 0; n < 100; n++) rounds.heard(`p${n}`, digest(1))
    assert.equal(begun.length, NOTICE_ROUND_RATE.burst + MAX_NOTICE_ROUNDS)
  })
})
