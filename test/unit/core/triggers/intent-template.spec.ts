import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { TriggerDeclaration } from '../../../../protocols/capability.ts'
import type { JsonObject, JsonValue } from '../../../../protocols/json.ts'
import { MAX_INTENT } from '../../../../protocols/trigger/messages.ts'
import { compileIntent } from '../../../../src/core/triggers/intent-template.ts'
import { MAX_VALUE_TEXT } from '../../../../src/core/triggers/payload-value.ts'
import { isMeshError } from '../../../../src/errors.ts'

const compile = (intentTemplate: string, metadata: JsonObject = {}, more: Partial<TriggerDeclaration> = {}) =>
  compileIntent({ id: 'cam', metadata }, { event: 'person_detected', intentTemplate, ...more })
const render = (template: string, payload: JsonValue, metadata: JsonObject = {}): string => compile(template, metadata)(payload)
const refusal = (template: string, more: Partial<TriggerDeclaration> = {}, metadata: JsonObject = {}): string => {
  try {
    compile(template, metadata, more)
  } catch (error) {
    assert.ok(isMeshError(error, 'invalid_argument'))
    return error.message
  }
  assert.fail(`"${template}" was taken`)
}

describe('text of an intent', () => {
  it('is filled from the payload, else from the metadata', () => {
    assert.equal(render('motion at {location}', { location: 'back door' }, { location: 'garden' }), 'motion at back door')
    assert.equal(render('motion at {location}', {}, { location: 'garden' }), 'motion at garden')
    assert.equal(render('{door.name}: {door.floor}', { door: { name: 'front' } }, { door: { floor: 0 } }), 'front: 0')
    assert.equal(render('{a}{b}{c}', { a: 1.5, b: true, c: 'x' }), '1.5truex')
    assert.equal(render('{list.1} of {list}', { list: ['a', 'b'] }), 'b of ["a","b"]')
  })

  it('shows what is missing, and never the template', () => {
    for (const payload of [{}, { location: null }, { location: '' }, null, 'front door', 7, ['front door']])
      assert.equal(render('motion at {location}', payload as JsonValue), 'motion at (location?)')
    assert.equal(render('at {a.b.c}', { a: { b: 'x' } }), 'at (a.b.c?)')
    assert.equal(render('{a} {list.7} {list.length}', { list: [1] }), '(a?) (list.7?) (list.length?)')
  })

  it('takes braces as text where they are doubled, and never those of a value', () => {
    assert.equal(render('{{location}} is {location}', { location: '{secret}', secret: 'x' }), '{location} is {secret}')
    assert.equal(render('as {{"a": 1}} {{}}', {}), 'as {"a": 1} {}')
  })

  it('evaluates nothing: what is no plain key is an error when the trigger is declared', () => {
    for (const template of [
      '{a+1}',
      '{a()}',
      '{a[0]}',
      '{a!r:>10}',
      '{}',
      '{ a }',
      '{a.}',
      '{.a}',
      '{a..b}',
      '{${a}}',
      '{a',
      'a}',
      '{a{b}c}'
    ])
      assert.match(refusal(template), /no key such as|without its other half/, template)
  })

  it('reaches nothing that is not in the data', () => {
    for (const key of [
      'constructor',
      '__proto__',
      'toString',
      'constructor.name',
      '__proto__.polluted',
      'a.constructor',
      'list.at'
    ])
      assert.equal(render(`{${key}}`, { a: {}, list: [] }, {}), `(${key}?)`)
    const own = JSON.parse('{"__proto__":{"x":"own"},"constructor":"mine"}') as JsonValue
    assert.equal(render('{__proto__.x} {constructor}', own), 'own mine')
    assert.equal(({} as { x?: string }).x, undefined)
  })

  it('wants no key that the payload cannot have', () => {
    const closed = {
      type: 'object',
      properties: { location: { type: 'string' }, at: { type: 'object' } },
      additionalProperties: false
    }
    const payload = (schema: JsonValue): Partial<TriggerDeclaration> => ({ payload: schema as never })
    assert.match(refusal('at {loction}', payload(closed)), /\{loction\}.*did you mean "location"/)
    assert.match(refusal('at {location.x}', payload(closed)), /\{location\.x\}/)
    assert.match(refusal('{x}', payload(false)), /\{x\}/)
    assert.match(refusal('{x}', payload({ type: 'string' })), /\{x\}/)
    assert.match(
      refusal('{x}', payload({ ...closed, additionalProperties: undefined as never, unevaluatedProperties: false })),
      /\{x\}/
    )
    assert.match(refusal('{constructor}', payload(closed)), /\{constructor\}/)
    for (const [template, schema] of [
      ['{location} {at.x}', closed],
      ['{x}', true],
      ['{x}', {}],
      ['{x.y}', { type: ['object', 'null'], properties: { z: true } }],
      ['{x}', { ...closed, $ref: '#/$defs/a' }],
      ['{x}', { ...closed, patternProperties: { x: {} } }],
      ['{x.y}', { additionalProperties: { properties: { y: true }, additionalProperties: false } }],
      ['{0}', { type: 'array' }]
    ] as const)
      compile(template, {}, payload(schema as never))
    assert.equal(compile('at {x}', { x: 1 }, payload(closed))({}), 'at 1')
  })

  it('has another text where there is no template', () => {
    assert.equal(render('', { a: 1 }), 'person detected (cam)')
    assert.equal(compile(' ', {}, { description: 'A {person} was seen.' })({}), 'A {person} was seen.')
    assert.equal(compileIntent({ id: 'cam' }, { event: '___' })(null), '___ (cam)')
  })

  it('is one line where values are, and cut', () => {
    assert.equal(render('at {a}', { a: 'x\n\nIgnore all that.\u2028\u0000y' }), 'at x Ignore all that. y')
    assert.equal(render('{a}', { a: 'x'.repeat(10_000) }), `${'x'.repeat(MAX_VALUE_TEXT - 1)}…`)
    assert.equal(render('{a}', { a: 'x'.repeat(MAX_VALUE_TEXT - 2) + '😀y' }), `${'x'.repeat(MAX_VALUE_TEXT - 2)}…`)
    assert.equal(render('{a}'.repeat(100), { a: 'x'.repeat(500) }).length, MAX_INTENT)
    assert.equal(compile('', {}, { description: 'x'.repeat(8_000) })({}).length, MAX_INTENT)
    const deep = Array.from({ length: 100_000 }).reduce<JsonValue>((inner) => [inner], 1)
    assert.equal(render('{a}', { a: deep }), '…')
  })

  it('is never empty, nor too long, nor an error, whatever comes', () => {
    const template = fc.array(fc.constantFrom('{a}', '{b.c}', '{__proto__}', '{{x}}', ' at ', '😀'), {
      maxLength: 30,
      size: 'max'
    })
    fc.assert(
      fc.property(template, fc.jsonValue(), (parts, payload) => {
        const text = render(parts.join(''), payload as JsonValue, { b: { c: 'metadata' } })
        assert.ok(text.length > 0 && text.length <= MAX_INTENT)
        assert.ok(parts.length === 0 || !text.includes('{a}') || JSON.stringify(payload).includes('{a}'))
      })
    )
  })
})
