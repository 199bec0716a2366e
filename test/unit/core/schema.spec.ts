import assert from 'node:assert/strict'
import type { JsonSchema, JsonValue } from '../../../protocols/json.ts'
import { MAX_ALL_FAULTS_CHARACTERS, MAX_NAMED_FAULTS, checkSchema, validate, type SchemaFault } from '../../../src/core/schema.ts'
import { nearest } from '../../../protocols/nearest.ts'
import { isMeshError } from '../../../src/errors.ts'

function faults(schema: JsonSchema, value: JsonValue): string[] {
  let found: string[] = []
  assert.throws(
    () => validate(schema, value, 'own'),
    (error: unknown) => {
      assert.ok(isMeshError(error, 'invalid_argument'))
      found = (error.details['errors'] as SchemaFault[]).map(({ pointer, message }) => `${pointer} ${message}`)
      return true
    }
  )
  return found
}

describe('schema', () => {
  const schema: JsonSchema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties: {
      width: { type: 'integer', minimum: 1 },
      mode: { enum: ['fast', 'slow'] },
      'a/b~c': { type: 'string' },
      list: { type: 'array', items: { type: 'object', required: ['x'] } }
    },
    required: ['width'],
    additionalProperties: false
  }

  it('names each fault by its JSON pointer', () => {
    assert.deepEqual(faults(schema, { width: 'x' }), ['/width must be integer'])
    assert.throws(() => validate(schema, null, 'own', 'payload of "tick"'), {
      message: 'payload of "tick" does not match the schema: it must be object'
    })
    assert.deepEqual(faults(schema, {}), ['/width is required'])
    assert.deepEqual(faults(schema, { width: 1, widht: 2 }), ['/widht is not a known key, did you mean "width"?'])
    assert.deepEqual(faults(schema, { width: 1, 'z/z~': 2 }), ['/z~1z~0 is not a known key'])
    assert.deepEqual(faults(schema, { width: 1, 'a/b~c': 2 }), ['/a~1b~0c must be string'])
    assert.deepEqual(faults(schema, { width: 1, list: [{ x: 1 }, {}] }), ['/list/1/x is required'])
    assert.deepEqual(faults(schema, { width: 1, mode: 'warp' }), [
      '/mode must be equal to one of the allowed values: ["fast","slow"]'
    ])
    assert.deepEqual(faults(schema, 'text'), [' must be object'])
    assert.deepEqual(faults(schema, { width: 0, mode: 1, q: 1 }).length, 3)
    assert.equal(faults(schema, { width: 1, list: Array.from({ length: 100 }, () => ({})) }).length, MAX_NAMED_FAULTS)
  })

  it('takes anything without a schema, and nothing with false', () => {
    for (const open of [undefined, true, {}] as const) assert.deepEqual(validate(open, { a: 1 }, 'own'), { a: 1 })
    assert.throws(
      () => validate(false, {}, 'own'),
      (error) => isMeshError(error, 'invalid_argument')
    )
  })

  it('applies defaults on a copy, never in what the caller gave', () => {
    const nested: JsonSchema = {
      type: 'object',
      properties: { a: { default: 1 }, b: { type: 'object', properties: { c: { default: [] } } } }
    }
    const input = Object.freeze({ b: Object.freeze({}) }) as never
    assert.deepEqual(validate(nested, input, 'own'), { a: 1, b: { c: [] } })
    assert.deepEqual(input, { b: {} })
    // Nor is what one call got shared with the next.
    const first = validate(nested, { b: {} }, 'own') as { b: { c: number[] } }
    first.b.c.push(7)
    assert.deepEqual(validate(nested, { b: {} }, 'own'), { a: 1, b: { c: [] } })
  })

  it('does not take names of Object.prototype for keys', () => {
    assert.deepEqual(faults({ type: 'object', required: ['constructor'] }, {}), ['/constructor is required'])
    assert.deepEqual(
      faults({ type: 'object', properties: {}, additionalProperties: false }, JSON.parse('{"__proto__":1}') as JsonValue),
      ['/__proto__ is not a known key']
    )
  })

  it('never runs the patterns of a peer, and does run its own', () => {
    const evil: JsonSchema = {
      type: 'object',
      properties: { a: { type: 'string', pattern: '^(a+)+$' } },

      required: ['a']
    }
    const value = { a: `${'a'.repeat(40)}!` }
    const before = performance.now()
    assert.equal(validate(evil, value, 'foreign'), value)
    assert.ok(performance.now() - before < 500)
    assert.throws(
      () => validate(evil, {}, 'foreign'),
      (error) => isMeshError(error, 'invalid_argument'),
      'the rest of it holds'
    )
    // Where a pattern that always matches would refuse what is right, the peer alone decides.
    for (const right of [
      { patternProperties: { '^n': { type: 'number' } } },
      { properties: { a: { not: { pattern: '^b' } } } },
      { properties: { a: { oneOf: [{ pattern: '^a' }, { pattern: '^b' }] } } }
    ] as JsonSchema[]) {
      assert.equal(validate(right, value, 'foreign'), value)
    }
    assert.equal(faults({ type: 'string', pattern: '^a+$' }, 'b').length, 1)
  })

  it('is not stopped by a peer whose definitions double at each step, or go in circles', () => {
    const $defs: Record<string, JsonSchema> = { d40: { type: 'object' } }
    for (let n = 39; n >= 0; n--) $defs[`d${n}`] = { allOf: [{ $ref: `#/$defs/d${n + 1}` }, { $ref: `#/$defs/d${n + 1}` }] }
    const before = performance.now()
    assert.deepEqual(validate({ $ref: '#/$defs/d0', $defs }, {}, 'foreign'), {})
    assert.ok(performance.now() - before < 1_000)
    assert.deepEqual(validate({ $ref: '#/$defs/a', $defs: { a: { allOf: [{ $ref: '#/$defs/a' }] } } }, {}, 'foreign'), {})
  })

  it('leaves to the peer what it cannot read, and cannot be told to forget its own dialect', () => {
    for (const broken of [
      { type: 'nonsense' },
      { $ref: '#/nowhere' },
      { $id: 'https://json-schema.org/draft/2020-12/schema', type: 'string' },
      { properties: { a: { $id: 'x' } } }
    ] as JsonSchema[]) {
      assert.deepEqual(validate(broken, { a: 1 }, 'foreign'), { a: 1 })
    }
    assert.throws(() => validate({ type: 'string' }, 1, 'foreign'))
    checkSchema({ $id: 'https://json-schema.org/draft/2020-12/schema', type: 'string' }, 'x')
    checkSchema({ type: 'string' }, 'x')
    assert.throws(
      () => checkSchema({ type: 'nonsense' }, 'input of tool "a"'),
      (error) => isMeshError(error, 'invalid_argument') && error.message.includes('input of tool "a"')
    )
  })

  it('compiles a schema once, and many of one id', () => {
    for (let n = 0; n < 50; n++) {
      assert.throws(() => validate({ $id: 'same', const: n }, -1, 'own'))
      assert.equal(validate({ $id: 'same', const: n }, n, 'own'), n)
    }
  })

  it('refuses a schema whose check would answer later, and leaves that of a peer to the peer', async () => {
    const unhandled: unknown[] = []
    const onUnhandled = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', onUnhandled)
    try {
      for (const schema of [
        { $async: true, type: 'string' },
        { type: 'object', properties: { a: { $async: true, type: 'string' } } },
        { $defs: { s: { $async: true, type: 'string' } }, properties: { a: { $ref: '#/$defs/s' } } }
      ] as JsonSchema[]) {
        assert.throws(
          () => checkSchema(schema, 'x'),
          (error) => isMeshError(error, 'invalid_argument')
        )
        assert.throws(() => validate(schema, { a: 1 }, 'own'))
        assert.deepEqual(validate(schema, { a: 1 }, 'foreign'), { a: 1 })
      }
      // A rejection that nobody handles is told of once the microtasks are done.
      await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(unhandled, [])
    } finally {
      process.off('unhandledRejection', onUnhandled)
    }
  })

  it('runs a schema that refers to itself if it is its own, and not if it is of a peer', () => {
    for (const schema of [
      { type: 'object', properties: { a: { $ref: '#' } } },
      { $id: 'https://example.org/tree', type: 'object', properties: { a: { $ref: 'https://example.org/tree' } } },
      { $defs: { t: { type: 'object', properties: { a: { $ref: '#/$defs/t' } } } }, $ref: '#/$defs/t' }
    ] as JsonSchema[]) {
      checkSchema(schema, 'x')
      assert.deepEqual(validate(schema, { a: { a: {} } }, 'own'), { a: { a: {} } })
      assert.deepEqual(faults(schema, { a: { a: 1 } }), ['/a/a must be object'])
      assert.deepEqual(validate(schema, { a: { a: 1 } }, 'foreign'), { a: { a: 1 } })
    }
    checkSchema({ $ref: '#' }, 'x')
    // The same names in two schemas are two things.
    checkSchema({ $defs: { s: { $id: 'part', type: 'string' } }, $ref: 'part' }, 'x')
    checkSchema({ $defs: { s: { $id: 'part', type: 'number' } }, $ref: 'part' }, 'x')
    const plain: JsonSchema = { $defs: { 'a/b': { type: 'string' } }, properties: { a: { $ref: '#/$defs/a~1b' } } }
    assert.throws(() => validate(plain, { a: 1 }, 'foreign'), 'what does not go in circles is run')
  })

  it('looks for all faults of a short input, and for the first of a long one', () => {
    const list: JsonSchema = { type: 'array', items: { type: 'string' } }
    assert.equal(faults(list, [1, 2, 3]).length, 3)
    assert.equal(faults(list, [1, 2, 3, 'x'.repeat(MAX_ALL_FAULTS_CHARACTERS)]).length, 1)
  })

  it('finds what is at most two edits away', () => {
    assert.equal(nearest('camra', ['camera', 'kitchen']), 'camera')
    assert.equal(nearest('xyz', ['camera']), undefined)
    assert.equal(nearest('a', []), undefined)
    assert.equal(nearest('NMAE', ['game', 'name']), 'name', 'two letters that are swapped are one mistake')
    assert.equal(nearest('mpt', ['cat']), undefined, 'of three letters one may be wrong')
    assert.equal(nearest('instructon', ['instructions', 'description']), 'instructions')
    assert.equal(nearest('x'.repeat(65), ['x'.repeat(65)]), undefined)
  })
})
