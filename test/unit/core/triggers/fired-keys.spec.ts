import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FIRED_MS, MAX_FIRED_KEYS, createFiredKeys, type FiredKey } from '../../../../src/core/triggers/fired-keys.ts'

describe('keys that events were fired with', () => {
  it('name the event as long as it is not done, and for ten minutes after', () => {
    const keys = createFiredKeys()
    assert.equal(keys.find('a', 0), undefined)
    keys.begin('a', '1-1')
    assert.deepEqual(keys.find('a', 10 * FIRED_MS), { id: '1-1' })
    keys.done('a', '1-1', ['guard@1'], 10 * FIRED_MS)
    assert.deepEqual(keys.find('a', 11 * FIRED_MS - 1), { id: '1-1', by: ['guard@1'] })
    assert.equal(keys.find('a', 11 * FIRED_MS), undefined)
  })

  it('that were forgotten are free, and an event of before does not stand in the way of a new one', () => {
    const keys = createFiredKeys()
    keys.begin('a', '1-1')
    keys.forget('a')
    assert.equal(keys.find('a', 0), undefined)
    keys.done('a', '1-1', [], 0)
    keys.begin('a', '1-2')
    assert.deepEqual(keys.find('a', 0), { id: '1-2' })
  })

  it('are the newest so many', () => {
    const keys = createFiredKeys()
    for (let n = 0; n <= MAX_FIRED_KEYS; n++) keys.done(`k${n}`, `1-${n}`, [], 0)
    assert.deepEqual([keys.size, keys.find('k0', 0), keys.find('k1', 0)?.id], [MAX_FIRED_KEYS, undefined, '1-1'])
  })

  it('give the answer of the first event within its time, whatever is fired, done, forgotten and restarted, and nothing after', () => {
    const step = fc.record({
      what: fc.constantFrom('fire', 'fire', 'fire', 'done', 'forget', 'wait', 'restart'),
      key: fc.nat(3).map((n) => `k${n}`),
      ms: fc.constantFrom(1, 1_000, FIRED_MS / 2, FIRED_MS)
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100, size: 'max' }), (steps) => {
        let [now, count] = [0, 0]
        let keys = createFiredKeys()
        const model = new Map<string, { id: string; doneAt?: number }>()
        for (const { what, key, ms } of steps) {
          const one = model.get(key)
          const isOver = one?.doneAt !== undefined && one.doneAt + FIRED_MS <= now
          if (what === 'fire') {
            const found = keys.find(key, now)
            const expected = isOver ? undefined : one
            assert.deepEqual(found, expected && { id: expected.id, ...(expected.doneAt !== undefined && { by: ['h'] }) })
            if (found === undefined) {
              const id = `1-${++count}`
              keys.begin(key, id)
              model.set(key, { id })
            }
          } else if (what === 'done' && one !== undefined && one.doneAt === undefined) {
            keys.done(key, one.id, ['h'], now)
            one.doneAt = now
          } else if (what === 'forget' && one !== undefined && one.doneAt === undefined) {
            keys.forget(key)
            model.delete(key)
          } else if (what === 'wait') now += ms
          else if (what === 'restart') {
            const done: FiredKey[] = []
            const open: { key: string; id: string }[] = []
            const before = now
            // Clocks of another process.
            now = ms
            for (const [name, value] of model) {
              if (value.doneAt === undefined) open.push({ key: name, id: value.id })
              else done.push({ key: name, id: value.id, by: ['h'], ageMs: before - value.doneAt })
              if (value.doneAt !== undefined) value.doneAt += now - before
            }
            keys = createFiredKeys(
              done.sort((a, b) => b.ageMs - a.ageMs),
              open,
              now
            )
          }
          assert.ok(keys.size <= 8, 'of each key one that is done, and one that is not')
        }
      })
    )
  })
})
