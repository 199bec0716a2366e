import { Ajv2020 } from 'ajv/dist/2020.js'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeCbor } from '../../protocols/cbor.ts'
import { isMeshError } from '../../protocols/errors.ts'
import { encodeFrame, readPrefix } from '../../protocols/framing/messages.ts'
import { CODECS } from '../../scripts/vectors/codecs.ts'
import { readVectors } from '../../scripts/vectors/read.ts'

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The JSON form of decoded CBOR, as protocols/README.md has it. */
function jsonForm(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: hexOf(value) }
  if (Array.isArray(value)) return value.map(jsonForm)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, jsonForm(member)]))
}

/** `$times` written out. */
function expanded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expanded)
  if (typeof value !== 'object' || value === null) return value
  const { $bytes, $times } = value as { $bytes?: string; $times?: number }
  if ($bytes !== undefined && $times !== undefined) return { $bytes: $bytes.repeat($times) }
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, expanded(member)]))
}

for (const [protocol, codecs] of Object.entries(CODECS)) {
  describe(`vectors of ${protocol}`, () => {
    const ajv = new Ajv2020({ strict: false, allErrors: true })
    const file = join(import.meta.dirname, '../../protocols', protocol, 'schema.json')
    const schema = JSON.parse(readFileSync(file, 'utf8')) as { $id: string; $defs: Record<string, unknown> }
    const { valid, invalid } = readVectors(protocol)

    it('has a schema that is valid JSON Schema 2020-12, with an entry for each message', () => {
      assert.ok(ajv.validateSchema(schema), ajv.errorsText())
      ajv.addSchema(schema)
      for (const { message } of valid) assert.ok(message in schema.$defs, message)
    })

    it(`reads and writes ${valid.length} valid messages byte for byte`, () => {
      for (const { name, message, bytes, payload, json } of valid) {
        assert.deepEqual(jsonForm(decodeCbor(payload)), expanded(json), `${name}: decodes`)
        const codec = codecs[message]!
        assert.equal(hexOf(codec.encode(codec.decode(payload) as never)), hexOf(bytes), `${name}: encodes`)
        const check = ajv.getSchema(`${schema.$id}#/$defs/${message}`)!
        assert.ok(check(expanded(json)), `${name}: ${ajv.errorsText(check.errors)}`)
      }
    })

    it(`refuses ${invalid.length} invalid messages with the error they name, at once`, () => {
      for (const { name, message, error, bytes } of invalid) {
        const before = performance.now()
        assert.throws(
          () => codecs[message]!.decode(bytes),
          (thrown: unknown) => isMeshError(thrown) && thrown.code === error,
          `${message}: ${name}`
        )
        assert.ok(performance.now() - before < 1_000, `${name} took too long`)
      }
      assert.equal(({} as { polluted?: boolean }).polluted, undefined)
    })

    it('has vectors with names of their own, for each message both ways', () => {
      const names = [...valid, ...invalid].map(({ message, name }) => `${message}: ${name}`)
      assert.equal(new Set(names).size, names.length)
      for (const message of Object.keys(codecs))
        assert.ok(
          invalid.some((row) => row.message === message),
          message
        )
    })
  })
}

describe('frame prefixes', () => {
  it('wait for more bytes, one by one', () => {
    const frame = encodeFrame({ type: 'item', id: 3, body: new Uint8Array(70_000) })
    const { start, length } = readPrefix(frame, 0)!
    for (let n = 0; n < start; n++) assert.equal(readPrefix(frame.subarray(0, n), 0), undefined)
    assert.equal(start + length, frame.length)
  })
})
