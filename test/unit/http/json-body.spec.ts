import assert from 'node:assert/strict'
import { isMeshError } from '../../../src/errors.ts'
import { MAX_BODY_DEPTH, readJsonObject } from '../../../src/http/json-body.ts'

const read = (levels: number) =>
  readJsonObject(
    new Request('http://localhost/', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"a":'.repeat(levels - 1) + '{}' + '}'.repeat(levels - 1)
    })
  )

describe('http json body', () => {
  it('is refused when it is nested too deep', async () => {
    await read(MAX_BODY_DEPTH)
    for (const levels of [MAX_BODY_DEPTH + 2, 100_000]) {
      await assert.rejects(
        read(levels),
        (error) => isMeshError(error, 'invalid_argument') && /nested too deep/.test(error.message)
      )
    }
  })
})
