import assert from 'node:assert/strict'
import fc from 'fast-check'
import { meantText } from '../../../src/cli/meant-text.ts'

describe('what of a text says what is meant', () => {
  it('is its beginning: as much as a node reads, and as fits into an address', () => {
    assert.equal(meantText('ring it please'), 'ring it please')
    assert.equal(meantText('a'.repeat(20_000)), 'a'.repeat(2_000))
    assert.equal(meantText('不'.repeat(20_000)).length, Math.floor((12 * 1024) / 9))
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 3_000 }), (text) => {
        const cut = meantText(text)
        assert.ok(text.startsWith(cut) && cut.length <= 2_000)
        assert.ok(new URLSearchParams({ '': cut }).toString().length <= 12 * 1024 + 1)
        // No character is split.
        assert.equal([...cut].join(''), [...text].slice(0, [...cut].length).join(''))
      }),
      { numRuns: 30 }
    )
  })
})
