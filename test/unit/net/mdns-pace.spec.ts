import assert from 'node:assert/strict'
import {
  LONELY_INTERVAL_MS,
  MAX_CROWDED_MS,
  MAX_REMEMBERED_PEERS,
  QUERY_INTERVAL_MS,
  QUERY_SHARE_MS,
  createQueryPace,
  type QueryPace
} from '../../../src/net/mdns-pace.ts'

describe('pace of mDNS queries', () => {
  let time: number
  let pace: QueryPace
  beforeEach(() => {
    time = 0
    pace = createQueryPace({ now: () => time, random: () => 0.5 })
  })
  /** The interval that it comes to while nothing new is heard. */
  const longest = (): number => {
    for (let n = 0; n < 20; n++) pace.nextMs()
    return pace.nextMs()
  }

  it('asks soon again while nobody is heard, since one query is easily lost', () => {
    const asked = Array.from({ length: 5 }, () => pace.nextMs())
    assert.deepEqual(
      asked,
      [1.2, 2.4, 4.8, 9.6, 10].map((ms, at) => (at < 4 ? ms * LONELY_INTERVAL_MS : QUERY_INTERVAL_MS.min))
    )
    pace.restart()
    assert.equal(pace.nextMs(), 1.2 * LONELY_INTERVAL_MS)
    pace.heard('a', 'x')
    assert.equal(pace.nextMs(), QUERY_INTERVAL_MS.min)
  })

  it('slows down while nothing new is heard, and begins anew for a peer that is new, has a new name or was away', () => {
    pace.heard('a', 'x')
    assert.equal(longest(), QUERY_INTERVAL_MS.max)
    pace.heard('a', 'x')
    assert.equal(pace.nextMs(), QUERY_INTERVAL_MS.max)
    for (const news of [
      () => pace.heard('b', 'y'),
      () => pace.heard('a', 'z'),
      () => {
        pace.gone(['z'])
        pace.heard('a', 'z')
      },
      () => {
        time += 3 * QUERY_INTERVAL_MS.max + 1
        pace.heard('a', 'z')
      },
      () => pace.restart()
    ]) {
      news()
      assert.equal(pace.nextMs(), QUERY_INTERVAL_MS.min)
      assert.equal(longest(), QUERY_INTERVAL_MS.max)
    }
  })

  it('asks the more seldom the more would answer, to a bound, and takes those that it hears then for no news', () => {
    for (let n = 0; n < 49; n++) pace.heard(`${n}`, 'x')
    assert.equal(longest(), 49 * QUERY_SHARE_MS)
    time += 2 * 49 * QUERY_SHARE_MS
    for (let n = 0; n < 49; n++) pace.heard(`${n}`, 'x')
    assert.equal(pace.nextMs(), 49 * QUERY_SHARE_MS)
    for (let n = 0; n < MAX_REMEMBERED_PEERS + 10; n++) pace.heard(`${n}`, 'x')
    assert.equal(longest(), MAX_CROWDED_MS)
  })

  it('does not count who was not heard for long', () => {
    for (let n = 0; n < 100; n++) pace.heard(`${n}`, 'x')
    time += 3 * MAX_CROWDED_MS + 1
    pace.heard('a', 'x')
    assert.equal(longest(), QUERY_INTERVAL_MS.max)
  })
})
