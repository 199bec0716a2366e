import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeCbor, encodeCbor, encodeCborInto } from '../../protocols/cbor.ts'
import { isMeshError } from '../../src/errors.ts'

describe('CBOR', () => {
  it('decodes whatever it encodes: a value that the other side would refuse never leaves', () => {
    const anything = fc.anything({
      withBigInt: true,
      withMap: false,
      withSet: false,
      withSparseArray: false,
      withTypedArray: false
    })
    fc.assert(
      fc.property(anything, (value) => {
        let bytes: Uint8Array
        try {
          bytes = encodeCbor(value)
        } catch (error) {
          assert.ok(isMeshError(error, 'invalid_argument'))
          return
        }
        decodeCbor(bytes)
      }),
      { numRuns: 2_000 }
    )
  })

  for (const [name, value] of Object.entries({
    NaN,
    Infinity: -Infinity,
    bigint: 1n,
    'undefined in a list': [1, undefined]
  })) {
    it(`refuses ${name}, deep inside too`, () => {
      assert.throws(
        () => encodeCbor({ a: [{ b: value }] }),
        (error) => isMeshError(error, 'invalid_argument')
      )
      assert.equal(encodeCborInto({ a: value }, new Uint8Array(64)), undefined)
    })
  }

  it('leaves out keys that are undefined, and keeps numbers beyond 2^53 as floats', () => {
    assert.deepEqual(decodeCbor(encodeCbor({ a: undefined, b: 2 ** 64 })), { b: 2 ** 64 })
  })

  it('refuses more values than it is told to take, before it makes them', () => {
    const many = encodeCbor(Array.from({ length: 100 }, () => ({})))
    assert.throws(
      () => decodeCbor(many, 50),
      (error) => isMeshError(error, 'protocol_error')
    )
    assert.equal((decodeCbor(many, 101) as unknown[]).length, 100)
  })
})
