import assert from 'node:assert/strict'
import fc from 'fast-check'
import { IdTable } from '../../../src/core/id-table.ts'

const step = fc.record({ op: fc.constantFrom('add', 'delete'), id: fc.nat({ max: 2 ** 31 }).map((n) => n % 40) })

describe('IdTable', () => {
  it('is a Map as far as it goes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new IdTable<number>()
        const map = new Map<number, number>()
        for (const [n, { op, id }] of steps.entries()) {
          if (op === 'delete') assert.equal(table.delete(id), map.delete(id))
          else if (!map.has(id)) {
            table.add(id, n)
            map.set(id, n)
          }
          assert.equal(table.size, map.size)
          assert.equal(table.get(id), map.get(id))
          assert.equal(table.has(id), map.has(id))
        }
        assert.deepEqual(
          table.ids(),
          [...map.keys()].sort((a, b) => a - b)
        )
      })
    )
  })
})
