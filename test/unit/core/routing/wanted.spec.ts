import assert from 'node:assert/strict'
import { MAX_NUMBERED, createNumbering } from '../../../../src/core/routing/numbering.ts'
import { MAX_WANTED_BY_NAME, createWanted } from '../../../../src/core/routing/wanted.ts'

const set = (from: number, to: number): Set<string> => new Set(Array.from({ length: to - from }, (_, n) => `n${from + n}`))

describe('wanted origins', () => {
  it('are told as what has changed, and as a whole to who has heard nothing yet', () => {
    const wanted = createWanted()
    assert.equal(wanted.set(new Set()), undefined)
    assert.deepEqual(wanted.set(set(0, 2)), { change: { add: ['n0', 'n1'], drop: [] }, gone: [] })
    assert.deepEqual(wanted.set(set(1, 3)), { change: { add: ['n2'], drop: ['n0'] }, gone: ['n0'] })
    assert.equal(wanted.set(set(1, 3)), undefined)
    assert.deepEqual(wanted.whole(), { add: ['n1', 'n2'], drop: [] })
    assert.deepEqual([wanted.has('n1'), wanted.has('n0'), wanted.size], [true, false, 2])
  })

  it('are all, where they are too many to be named, and by name again after that', () => {
    const wanted = createWanted()
    const many = MAX_WANTED_BY_NAME + 1
    assert.deepEqual(wanted.set(set(0, many))?.change, { all: true, add: [], drop: [] })
    assert.deepEqual(wanted.whole(), { all: true, add: [], drop: [] })
    assert.deepEqual(wanted.set(set(0, many + 1))?.change, { add: [], drop: [] })
    assert.deepEqual(wanted.set(set(0, 1))?.change, { all: false, add: ['n0'], drop: [] })
  })
})

describe('numbering', () => {
  it('gives each id one number, and the same hash everywhere', () => {
    const [a, b] = [createNumbering(() => true), createNumbering(() => true)]
    assert.deepEqual([a.of('x'), a.of('y'), a.of('x'), b.of('y')], [0, 1, 0, 0])
    assert.equal(a.idOf(1), 'y')
    assert.equal(a.hashOf(1), b.hashOf(0))
    assert.notEqual(a.hashOf(0), a.hashOf(1))
  })

  it('gives numbers that nobody uses to others, when there are too many', () => {
    const numbers = createNumbering((id) => id === 'n7')
    for (const id of set(0, MAX_NUMBERED * 2)) numbers.of(id)
    assert.ok(numbers.size <= MAX_NUMBERED, `${numbers.size}`)
    assert.equal(numbers.of('n7'), 7)
  })
})
