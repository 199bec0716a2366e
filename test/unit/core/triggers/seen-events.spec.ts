import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  MAX_HANDLING_OF_NODE,
  MAX_SEEN,
  MAX_SEEN_STORED,
  SEEN_MS,
  createSeenEvents
} from '../../../../src/core/triggers/seen-events.ts'

describe('events that were seen', () => {
  it('are new once', () => {
    const seen = createSeenEvents()
    assert.equal(seen.begin('n', '1-1', 0), 'new')
    assert.equal(seen.begin('n', '1-1', 1), 'handling')
    assert.equal(seen.begin('m', '1-1', 1), 'new', 'of another node')
    seen.settle('n', '1-1', 'done', 2)
    seen.settle('m', '1-1', 'failed', 2)
    assert.equal(seen.begin('n', '1-1', 3), 'done')
    assert.equal(seen.begin('m', '1-1', 3), 'failed')
  })

  it('are forgotten ten minutes after they were handled, and not while they are', () => {
    const seen = createSeenEvents()
    for (const key of ['a', 'b']) seen.begin('n', key, 0)
    seen.settle('n', 'a', 'done', 5)
    assert.equal(seen.begin('n', 'a', 4 + SEEN_MS), 'done')
    assert.equal(seen.begin('n', 'a', 5 + SEEN_MS), 'new')
    assert.equal(seen.begin('n', 'b', 10 * SEEN_MS), 'handling')
    seen.settle('n', 'b', 'done', 10 * SEEN_MS)
    seen.expire(11 * SEEN_MS)
    assert.equal(seen.size, 0)
  })

  it('may come again if they were not handled', () => {
    const seen = createSeenEvents()
    seen.begin('n', 'a', 0)
    seen.forget('n', 'a')
    seen.forget('n', 'a')
    assert.equal(seen.begin('n', 'a', 0), 'new')
  })

  it('that have failed are new once in each later round, over a restart as well', () => {
    const seen = createSeenEvents()
    const fail = (round: number): void => {
      assert.equal(seen.begin('n', 'a', 0, round), 'new')
      seen.settle('n', 'a', 'failed', 0, true, round)
    }
    fail(0)
    fail(1)
    assert.equal(seen.begin('n', 'a', 0, 1), 'failed')
    assert.equal(seen.begin('n', 'a', 0, 2), 'new')
    seen.forget('n', 'a')
    assert.equal(seen.begin('n', 'a', 0, 1), 'failed', 'what was not handled after all changes nothing')
    const after = createSeenEvents(seen.stored(0))
    assert.equal(after.begin('n', 'a', 0, 1), 'failed')
    assert.equal(after.begin('n', 'a', 0, 3), 'new')
    after.settle('n', 'a', 'done', 0, true, 3)
    assert.equal(after.begin('n', 'a', 0, 4), 'done')
    assert.equal(after.size, 1)
  })

  it('are so many at most that are handled for a node at once', () => {
    const seen = createSeenEvents()
    for (let n = 0; n < MAX_HANDLING_OF_NODE; n++) assert.equal(seen.begin('n', `${n}`, 0), 'new')
    assert.equal(seen.begin('n', 'more', 0), 'full')
    assert.equal(seen.begin('n', '0', 0), 'handling')
    assert.equal(seen.begin('m', 'more', 0), 'new')
    seen.settle('n', '0', 'done', 0)
    assert.equal(seen.begin('n', 'more', 0), 'new')
  })

  it('are so many at most, and who sends many makes this node forget none of others', () => {
    const seen = createSeenEvents()
    const handle = (node: string, key: string): void => {
      seen.begin(node, key, 0)
      seen.settle(node, key, 'done', 0)
    }
    for (let n = 0; n < 1_000; n++) handle('quiet', `${n}`)
    for (let n = 0; n < 2 * MAX_SEEN; n++) handle('loud', `${n}`)
    assert.equal(seen.size, MAX_SEEN)
    for (let n = 0; n < 1_000; n++) assert.equal(seen.begin('quiet', `${n}`, 0), 'done')
    assert.equal(seen.begin('loud', `${2 * MAX_SEEN - 1}`, 0), 'done')
    assert.equal(seen.begin('loud', '0', 0), 'new')
    handle('late', 'x')
    assert.ok(seen.size <= MAX_SEEN)
    assert.equal(seen.begin('late', 'x', 0), 'done')
  })

  it('are known after a restart if they were critical', () => {
    const before = createSeenEvents()
    for (const [key, critical] of [
      ['a', true],
      ['b', false],
      ['c', true]
    ] as const) {
      before.begin('n', key, 0)
      before.settle('n', key, 'done', key === 'a' ? 0 : 1_000, critical)
    }
    const stored = before.stored(2_000)
    assert.deepEqual(stored, [
      { node: 'n', key: 'a', settled: 'done', ageMs: 2_000 },
      { node: 'n', key: 'c', settled: 'done', ageMs: 1_000 }
    ])
    const after = createSeenEvents(stored, 50)
    assert.equal(after.begin('n', 'a', 50), 'done')
    assert.equal(after.begin('n', 'b', 50), 'new')
    assert.equal(after.begin('n', 'a', 50 + SEEN_MS - 2_000), 'new')
    assert.equal(after.begin('n', 'c', 50 + SEEN_MS - 2_000), 'done')
    for (let n = 0; n < MAX_SEEN_STORED + 10; n++) after.settle('m', `${n}`, 'failed', 60, true)
    const more = after.stored(60)
    assert.equal(more.length, MAX_SEEN_STORED)
    assert.deepEqual(more.at(-1), { node: 'm', key: `${MAX_SEEN_STORED + 9}`, settled: 'failed', ageMs: 0 })
  })

  it('are known after a restart also of who sends few, whatever others send, and the newest of who sends many', () => {
    const before = createSeenEvents()
    const handle = (node: string, n: number): void => before.settle(node, `${n}`, 'done', 0, true)
    for (let n = 0; n < 100; n++) handle('quiet', n)
    for (let n = 0; n < 2 * MAX_SEEN_STORED; n++) for (const node of ['loud', 'louder']) handle(node, n)
    const stored = before.stored(1)
    assert.equal(stored.length, MAX_SEEN_STORED)
    // As it is read back: with what was written since, which may be more.
    const since = Array.from({ length: MAX_SEEN_STORED }, (_, n) => ({
      node: 'new',
      key: `${n}`,
      settled: 'done' as const,
      ageMs: 0
    }))
    const after = createSeenEvents([...stored, ...since], 1)
    for (let n = 0; n < 100; n++) assert.equal(after.begin('quiet', `${n}`, 2), 'done')
    for (const node of ['loud', 'louder']) {
      assert.equal(after.begin(node, `${2 * MAX_SEEN_STORED - 1}`, 2), 'done')
      assert.equal(after.begin(node, `${2 * MAX_SEEN_STORED - (MAX_SEEN_STORED - 100) / 2}`, 2), 'done')
      assert.equal(after.begin(node, '0', 2), 'new')
    }
  })

  it('are handled once within the window, whatever comes again and whenever', () => {
    const step = fc.tuple(
      fc.constantFrom('n', 'm'),
      fc.nat(5),
      fc.nat(SEEN_MS / 4),
      fc.constantFrom('done', 'failed', 'forget', 'wait')
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100, size: 'max' }), (steps) => {
        const seen = createSeenEvents()
        const handled = new Map<string, number>()
        let now = 0
        for (const [node, n, waitMs, then] of steps) {
          now += waitMs
          const key = `1-${n}`
          const answer = seen.begin(node, key, now)
          const at = handled.get(`${node} ${key}`)
          assert.equal(answer === 'done' || answer === 'failed', at !== undefined && now - at < SEEN_MS, answer)
          if (answer !== 'new' && answer !== 'handling') continue
          if (then === 'forget') seen.forget(node, key)
          else if (then !== 'wait') {
            seen.settle(node, key, then, now)
            handled.set(`${node} ${key}`, now)
          }
        }
      })
    )
  })
})
