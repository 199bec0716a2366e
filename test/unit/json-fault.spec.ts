import assert from 'node:assert/strict'
import fc from 'fast-check'
import { jsonFault } from '../../src/json-fault.ts'

describe('a fault of JSON', () => {
  const cases: [string, string | undefined][] = [
    ['{"a": [1, "x", null]}', undefined],
    ['', 'line 1, column 1'],
    ['no JSON', 'line 1, column 2'],
    ['{\n  "a": 1\n  "b": 2\n}', 'line 3, column 3'],
    ['{\n  "a": [1,\n  ]\n}', 'line 3, column 3'],
    ['{\n  "a": 1,\n}', 'line 3, column 1'],
    ['{"servers": {"x": {"command": npx}}}', 'line 1, column 32'],
    ['{"a": tru}', 'line 1, column 10'],
    ['{"a": "b', 'line 1, column 9'],
    ['{"a": 1', 'line 1, column 8'],
    ['{"a": 1}}', 'line 1, column 9'],
    ['{"a": -}', 'line 1, column 8']
  ]
  for (const [text, place] of cases) it(`${JSON.stringify(text)}: ${place}`, () => assert.equal(jsonFault(text), place))

  it('is where something was put that cannot stand there, whatever the JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), (value, where) => {
        const text = JSON.stringify(value, null, 1)
        const lines = text.split('\n')
        const line = where % lines.length
        // At the beginning of a line no string is open.
        const broken = lines.map((one, at) => (at === line ? `#${one}` : one)).join('\n')
        assert.equal(jsonFault(text), undefined)
        assert.equal(jsonFault(broken), `line ${line + 1}, column 1`)
      })
    )
  })
})
