import assert from 'node:assert/strict'
import { MAX_VALUES } from '../../../protocols/cbor.ts'
import { isMeshError } from '../../../src/errors.ts'
import { MAX_BODY_DEPTH, MAX_BODY_VALUES, readJsonObject } from '../../../src/http/json-body.ts'

const read = (levels: number) =>
  readJsonObject(
    new Request('http://localhost/', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"a":'.repeat(levels - 1) + '{}' + '}'.repeat(levels - 1)
    })
  )

describe('http json body', () => {
  const readText = (body: string) =>
    readJsonObject(new Request('http://localhost/', { method: 'POST', headers: { 'content-type': 'application/json' }, body }))

  it('of too many values is refused before it is parsed', async () => {
    for (const many of [
      '0,'.repeat(MAX_BODY_VALUES),
      '[],'.repeat(MAX_BODY_VALUES / 2),
      '{"a":0},'.repeat(MAX_BODY_VALUES / 3 + 1)
    ])
      await assert.rejects(readText(`{"a":[${many}`), (error) => isMeshError(error, 'too_large'), many.slice(0, 9))
  })

  it('of as many as an input may have, and of any text, is read', async () => {
    const values = Array<number>(MAX_VALUES).fill(1)
    assert.deepEqual(await readText(JSON.stringify({ values })), { values })
    const text = `"\\${'[{,:'.repeat(MAX_BODY_VALUES)}"`
    assert.deepEqual(await readText(JSON.stringify({ text })), { text })
  })

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
