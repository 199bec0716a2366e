import assert from 'node:assert/strict'
import fc from 'fast-check'
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

  it('with a key twice in one object is refused, with the key and where it is', async () => {
    for (const [body, key, pointer] of [
      ['{"a":1,"a":1}', 'a', '/a'],
      ['{"a":{"b":[0,{"c":1,"d":{},"c":2}]}}', 'c', '/a/b/1/c'],
      // The same key, written otherwise.
      ['{"a":1,"\\u0061":2}', 'a', '/a'],
      ['{"x":"{\\"a\\":1,","__proto__":1,"__proto__":2}', '__proto__', '/__proto__'],
      ['{"a/b":{"m~n":1,"":2,"m~n":3}}', 'm~n', '/a~1b/m~0n'],
      [' { "1" : [ ] , "b" : "," , "1" : { } } ', '1', '/1'],
      [`{"${'k'.repeat(9_999)}":1,"${'k'.repeat(9_999)}":1}`, 'k'.repeat(256), `/${'k'.repeat(255)}`]
    ] as const)
      await assert.rejects(
        readText(body),
        (error) =>
          isMeshError(error, 'invalid_argument') &&
          error.details['key'] === key &&
          error.details['pointer'] === pointer &&
          error.message.includes(`'${key}' twice, at ${pointer}`),
        body.slice(0, 50)
      )
  })

  it('with the same key in several objects is read, whatever is in its texts', async () => {
    for (const body of ['{"a":{"a":[{"a":1},{"a":1}]},"b":"a\\":\\",{["}', '{"":0,"a":"\\\\","b":":::"}'])
      assert.deepEqual(await readText(body), JSON.parse(body))
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (value) => {
        assert.deepEqual(await readText(JSON.stringify(value)), JSON.parse(JSON.stringify(value)))
      })
    )
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
