import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createNodeShares } from '../../../../src/core/triggers/node-shares.ts'

describe('shares of nodes', () => {
  const MAX = 8

  it('forget the oldest of the node with the most, whatever comes and goes', () => {
    const step = fc.tuple(fc.constantFrom('set', 'set', 'set', 'delete'), fc.constantFrom('a', 'b', 'c'), fc.nat(9))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const shares = createNodeShares<number>(MAX)
        /** The oldest first. */
        let known: { node: string; key: string; value: number }[] = []
        const countOf = (node: string): number => known.filter((one) => one.node === node).length
        steps.forEach(([what, node, n], value) => {
          const key = `${n}`
          known = known.filter((one) => one.node !== node || one.key !== key)
          if (what === 'delete') shares.delete(node, key)
          else {
            known.push({ node, key, value })
            shares.set(node, key, value)
          }
          if (known.length > MAX) {
            const [gone] = known.filter((one) => shares.get(one.node, one.key) === undefined)
            const most = Math.max(...['a', 'b', 'c'].map(countOf))
            assert.equal(countOf(gone!.node), most, 'of the node with the most')
            assert.equal(
              known.find((one) => one.node === gone!.node),
              gone,
              'the oldest'
            )
            known = known.filter((one) => one !== gone)
          }
          for (const one of known) assert.equal(shares.get(one.node, one.key), one.value)
          assert.equal(shares.size, known.length)
        })
      })
    )
  })

  it('cost as much for each that comes, however many nodes there are and however much is remembered of them', () => {
    const stepsFor = (nodes: number, max: number): number => {
      const shares = createNodeShares<number>(max)
      for (let n = 0; n < nodes; n++) shares.set(`quiet ${n}`, 'one', n)
      for (let n = 0; n < max; n++) shares.set('loud', `${n}`, n)
      return stepsOf(() => {
        for (let n = 0; n < 100; n++) shares.set('loud', `more ${n}`, n)
      })
    }
    assert.equal(stepsFor(2_000, 4_096), stepsFor(2, 16))
  })
})

/** How many elements of maps and sets are looked at one after the other. */
function stepsOf(work: () => void): number {
  let steps = 0
  const iterators = [new Map().keys(), new Set().keys()].map((one) => Object.getPrototypeOf(one) as { next: () => unknown })
  const before = iterators.map(({ next }) => next)
  iterators.forEach((one, n) => {
    one.next = function (this: unknown) {
      steps++
      return before[n]!.call(this)
    }
  })
  try {
    work()
  } finally {
    iterators.forEach((one, n) => (one.next = before[n]!))
  }
  assert.ok(steps > 0, 'they are counted')
  return steps
}
