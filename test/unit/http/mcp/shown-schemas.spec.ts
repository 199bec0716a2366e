import assert from 'node:assert/strict'
import { AjvJsonSchemaValidator } from '@modelcontextprotocol/client/validators/ajv'
import { ListToolsResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { AjvJsonSchemaValidator as OldValidator } from '@modelcontextprotocol/sdk/validation/ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import type { ToolDeclaration } from '../../../../protocols/capability.ts'
import type { JsonObject, JsonSchema, JsonValue } from '../../../../protocols/json.ts'
import { createApp } from '../../../../src/http/app.ts'
import { createToolCatalog } from '../../../../src/http/mcp/tool-catalog.ts'
import { hasOutput, listedTool } from '../../../../src/http/mcp/tool-listing.ts'
import type { CapabilityView } from '../../../../src/mesh-api.ts'
import { shownOutput, shownSchema } from '../../../../src/model-tools/shown-schema.ts'
import { isSeen } from '../../../../src/model-tools/shown-text.ts'
import { createFakeMesh } from '../../../fixtures/fake-mesh.ts'
import { MCP_KINDS, connectMcp } from '../../../fixtures/mcp-clients.ts'

function shown(tool: Omit<ToolDeclaration, 'name'>): ReturnType<typeof listedTool> {
  const capability: CapabilityView = {
    ...{ id: 'lamp', type: 'light', name: 'lamp', node: 'PEER', nodeName: 'kitchen', ref: 'lamp', local: false, triggers: [] },
    ...{ status: 'online', tools: [{ name: 'on', ...tool }] }
  }
  return listedTool(createToolCatalog({ capabilities: () => [capability] }, () => 0).tools()[0]!)
}

/** A client has one for all that it is shown. */
const VALIDATORS = [new OldValidator(), new AjvJsonSchemaValidator()]

/** As clients of both SDK lines read a list. @throws as they do. */
function readAsClients(tool: ReturnType<typeof listedTool>): void {
  // The old protocol has objects alone as results; the SDK wraps others for it.
  const { outputSchema, ...rest } = tool
  ListToolsResultSchema.parse({ tools: [outputSchema?.['type'] === 'object' ? tool : rest] })
  for (const validator of VALIDATORS)
    for (const schema of [tool.inputSchema, outputSchema]) if (schema !== undefined) validator.getValidator(schema as never)
}

/** What some peer may write: each of them takes the whole list from one client or the other. */
const NASTY: JsonObject[] = [
  { type: 'object', properties: { value: true } },
  { type: 'object', properties: { value: false, deep: { properties: { more: true } } } },
  { type: 'object', required: 'all' },
  { type: 'object', required: [1] },
  { type: 'object', properties: [] },
  { type: 'object', $ref: '#/nope' },
  { type: 'object', $ref: 'https://example.org/schema' },
  { type: 'object', $id: 7 },
  { type: 'object', $id: 'http://json-schema.org/draft-07/schema#', properties: { a: { $id: 'x:y', $ref: 'z' } } },
  { type: 'object', properties: { a: { pattern: '(' } } },
  { type: 'object', patternProperties: { '(': {} } },
  { type: 'object', properties: { a: { type: 'text' } } },
  { type: 'object', properties: { a: { enum: [] } } },
  { type: 'object', properties: { a: { minimum: 'low' } } },
  { type: 'object', properties: { a: { nullable: true } } },
  { type: 'object', properties: { type: {}, a: { $ref: '#/properties' } } },
  { type: 'object', properties: { a: { items: [{}, true] } } },
  { type: 'object', properties: JSON.parse('{"__proto__": {"type": 7}, "constructor": true}') as JsonObject },
  { type: 'object', $defs: { $id: { type: 'string' } }, properties: { a: { $ref: '#/$defs/$id' } } },
  { type: 'object', $async: true },
  { type: 'object', $schema: 'http://example.org/mine' },
  { type: 'object', dependentSchemas: true, allOf: [] },
  { type: 'object', discriminator: { propertyName: 7 }, oneOf: [true, { $anchor: '#' }] }
]

const ajv = new Ajv2020({ strict: false, validateFormats: false })

function compiled(schema: JsonObject): ((value: JsonValue) => unknown) | undefined {
  try {
    return ajv.compile(schema)
  } catch {
    return undefined
  }
}

describe('http mcp: schemas of peers', () => {
  it('take the list from no client', () => {
    for (const schema of NASTY)
      assert.doesNotThrow(() => readAsClients(shown({ input: schema, output: schema })), JSON.stringify(schema))
  })

  for (const kind of MCP_KINDS)
    it(`take no tools from a ${kind} client`, async () => {
      const tools = NASTY.map((schema, n) => ({ name: `nasty-${n}`, input: schema, output: schema }))
      const tree = { type: 'array', items: { $ref: '#/$defs/leaf' }, $defs: { leaf: { type: 'integer' } } }
      const say = { name: 'say', output: tree }
      const mesh = createFakeMesh(
        { say: async () => [1], ...Object.fromEntries(tools.map(({ name }) => [name, async () => ({})])) },
        [say, ...tools]
      )
      const closing = new AbortController()
      const app = createApp({ mesh, tokens: ['T'.repeat(43)], closing: closing.signal })
      const headers = { authorization: `Bearer ${'T'.repeat(43)}` }
      const fetch = async (url: string | URL | Request, init?: RequestInit) => app(new Request(url, init))
      const client = await connectMcp(kind, { url: 'http://localhost/mcp?tools=all', headers, fetch })
      assert.equal((await client.tools()).length, tools.length + 1)
      assert.deepEqual((await client.call('demo__say')).structuredContent, kind === 'new' ? [1] : { result: [1] })
      await client.close()
      closing.abort()
    })

  it('are shown as they are where all clients read them', () => {
    const plain: JsonObject = {
      type: 'object',
      required: ['room'],
      additionalProperties: false,
      properties: {
        room: { type: 'string', description: 'Which.', enum: ['bath', 'attic'], default: 'bath' },
        at: { type: ['string', 'null'], format: 'date-time', minLength: 1 },
        more: { type: 'array', items: { $ref: '#/$defs/one' }, maxItems: 3, uniqueItems: true }
      },
      $defs: { one: { anyOf: [{ type: 'integer', minimum: 0 }, { const: 'all' }] } }
    }
    assert.deepEqual(shown({ input: plain }).inputSchema, plain)
    assert.deepEqual(shown({ output: plain }).outputSchema, plain)
    assert.deepEqual(shownSchema({ type: 'object', properties: { a: true, b: false } })['properties'], { a: {}, b: { not: {} } })
    assert.deepEqual(shownSchema({ properties: { a: { pattern: '^a$' }, b: { pattern: '(' } } })['properties'], {
      a: { pattern: '^a$' },
      b: {}
    })
  })

  it('of results are left out where they cannot say what they said; patterns in them run nowhere', () => {
    const wrong: JsonSchema[] = [true, { $ref: '#/nope' }, { type: 'text' }, { patternProperties: { a: {} } }, { $ref: '#' }]
    for (const output of [
      ...wrong,
      { enum: ['a\u200b'] },
      { properties: { 'a\u200b': {} } },
      { nullable: true, type: 'string' }
    ]) {
      assert.equal(shown({ output }).outputSchema, undefined, JSON.stringify(output))
      assert.equal(hasOutput({ name: 'on', output }), false)
    }
    assert.deepEqual(shownOutput({ type: 'string', pattern: '^(a+)+$', $id: 'x:y' }), { type: 'string' })
  })

  it('hide no words from a person', () => {
    const hidden = 'Which\u200b\u{e0041}.'
    const part = {
      title: hidden,
      description: hidden,
      enum: ['a', 'b\u202e'],
      enumDescriptions: [hidden],
      default: hidden,
      'x-y': hidden
    }
    const { properties } = shownSchema({ type: 'object', properties: { a: part, 'b\u200b': {} }, required: ['b\u200b'] })
    const words = 'Which.'
    assert.deepEqual(properties, { a: { title: words, description: words, enum: ['a'], enumDescriptions: [words] } })
  })

  const keywords = [
    ...[
      'type',
      'properties',
      'required',
      'items',
      'prefixItems',
      'additionalProperties',
      'patternProperties',
      'enum',
      'const',
      '$ref'
    ],
    ...[
      '$defs',
      'definitions',
      '$id',
      '$anchor',
      '$schema',
      'allOf',
      'anyOf',
      'oneOf',
      'not',
      'if',
      'then',
      'else',
      'pattern',
      'minimum'
    ],
    ...[
      'minLength',
      'multipleOf',
      'uniqueItems',
      'format',
      'nullable',
      'title',
      'description',
      'default',
      'dependencies',
      'contains'
    ],
    ...[
      'dependentSchemas',
      'dependentRequired',
      'propertyNames',
      'unevaluatedProperties',
      '$async',
      'examples',
      'discriminator',
      '$dynamicRef'
    ]
  ]
  const { any: anything } = fc.letrec<{ any: JsonValue; schema: JsonValue }>((tie) => ({
    any: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom<JsonValue>(
        ...['object', 'string', 'array', '(', '^a+$', '#', '#/$defs/a', '#/properties', 'a\u200b', '', 'x:y']
      ),
      fc.constantFrom<JsonValue>(true, false, null, 0, -1, 1.5, 3),
      fc.array(tie('any'), { maxLength: 3 }),
      tie('schema'),
      tie('schema'),
      tie('schema')
    ),
    schema: fc.oneof(
      { depthSize: 'small' },
      fc.dictionary(fc.constantFrom(...keywords), tie('any'), { maxKeys: 4 }),
      fc.dictionary(fc.constantFrom('a', 'b', '$id', '__proto__', 'constructor', 'type', 'a\u200b', '('), tie('any'), {
        maxKeys: 3
      })
    )
  }))
  const schemas = fc.dictionary(fc.constantFrom(...keywords), anything, { maxKeys: 5 }) as fc.Arbitrary<JsonObject>

  it('whatever they say, are read by clients, and hide nothing', () => {
    fc.assert(
      fc.property(schemas, schemas, (input, output) => {
        const tool = shown({ input: { ...input, type: 'object' }, output })
        readAsClients(tool)
        assert.ok(isSeen(tool as unknown as JsonValue))
      }),
      { numRuns: 200 }
    )
  })

  it('of results refuse nothing that they allowed', () => {
    let compared = 0
    fc.assert(
      fc.property(schemas, fc.array(fc.jsonValue() as fc.Arbitrary<JsonValue>, { maxLength: 5 }), (output, values) => {
        const one = shownOutput(output)
        if (one === undefined) return
        const { $schema: _dialect, $id: _id, ...own } = output
        const before = compiled(own)
        // What its author has not written as a schema allows nothing.
        if (before === undefined) return
        const after = compiled(one)!
        compared++
        for (const value of [...values, 'a', [], {}, { a: 1 }, null, 3])
          if (before(value) === true) assert.equal(after(value), true)
      }),
      { numRuns: 300 }
    )
    assert.ok(compared > 20, `${compared}`)
  })
})
