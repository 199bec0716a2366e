import { Ajv2020 } from 'ajv/dist/2020.js'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  decodeAnnouncement,
  decodeHead,
  decodeInfo,
  decodeRecord,
  encodeAnnouncement,
  encodeHead,
  encodeInfo,
  encodeRecord
} from '../../protocols/announce/messages.ts'
import { decodeItem, decodeRequest, encodeItem, encodeRequest } from '../../protocols/call/messages.ts'
import { decodeCapability, encodeCapability } from '../../protocols/capability.ts'
import { decodeCbor, encodeCbor } from '../../protocols/cbor.ts'
import { isMeshError } from '../../protocols/errors.ts'
import { decodeFrame, encodeFrame, readPrefix } from '../../protocols/framing/messages.ts'
import {
  decodeCertificate,
  decodeMemberAnswer,
  decodeMemberEnd,
  decodeMemberHello,
  decodeMemberProof,
  encodeCertificate,
  encodeMemberAnswer,
  encodeMemberEnd,
  encodeMemberHello,
  encodeMemberProof
} from '../../protocols/member/messages.ts'
import {
  decodeSyncEnd,
  decodeSyncItem,
  decodeSyncRequest,
  encodeSyncItem,
  encodeSyncRequest
} from '../../protocols/sync/messages.ts'

type Hex = string | (string | { repeat: string; times: number })[]
interface ValidRow {
  name: string
  message: string
  bytes: Hex
  json: unknown
}
interface InvalidRow {
  name: string
  message: string
  error: string
  why: string
  bytes: Hex
}
interface Codec {
  decode(bytes: Uint8Array): unknown
  encode(message: never): Uint8Array
}

/** A codec of a body: it sees what CBOR made of the bytes. */
const body = (decode: (value: unknown) => unknown, encode: (message: never) => unknown): Codec => ({
  decode: (bytes) => decode(decodeCbor(bytes)),
  encode: (message) => encodeCbor(encode(message))
})

const CODECS: Record<string, Record<string, Codec>> = {
  framing: {
    frame: { decode: decodeFrame, encode: (frame) => encodeFrame(frame) },
    prefix: { decode: (bytes) => readPrefix(bytes, 0), encode: () => new Uint8Array(0) }
  },
  announce: {
    head: { decode: decodeHead, encode: encodeHead },
    info: { decode: decodeInfo, encode: encodeInfo },
    capability: { decode: decodeCapability, encode: encodeCapability },
    announcement: { decode: decodeAnnouncement, encode: encodeAnnouncement },
    record: body(decodeRecord, encodeRecord)
  },
  sync: {
    request: body(decodeSyncRequest, encodeSyncRequest),
    item: body(decodeSyncItem, encodeSyncItem),
    end: body(decodeSyncEnd, (end) => end)
  },
  call: { request: body(decodeRequest, encodeRequest), item: body(decodeItem, encodeItem) },
  member: {
    certificate: { decode: decodeCertificate, encode: encodeCertificate },
    hello: body(decodeMemberHello, encodeMemberHello),
    answer: body(decodeMemberAnswer, encodeMemberAnswer),
    proof: body(decodeMemberProof, encodeMemberProof),
    end: body(decodeMemberEnd, encodeMemberEnd)
  }
}

function read(protocol: string, file: string): unknown {
  return JSON.parse(readFileSync(join(import.meta.dirname, '../../protocols', protocol, file), 'utf8'))
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function bytesOf(hex: Hex): Uint8Array {
  const parts =
    typeof hex === 'string' ? [hex] : hex.map((part) => (typeof part === 'string' ? part : part.repeat.repeat(part.times)))
  return Uint8Array.from(Buffer.from(parts.join(''), 'hex'))
}

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
    const schema = read(protocol, 'schema.json') as { $id: string; $defs: Record<string, unknown> }
    const valid = read(protocol, 'vectors/valid.json') as ValidRow[]
    const invalid = read(protocol, 'vectors/invalid.json') as InvalidRow[]

    it('has a schema that is valid JSON Schema 2020-12, with an entry for each message', () => {
      assert.ok(ajv.validateSchema(schema), ajv.errorsText())
      ajv.addSchema(schema)
      for (const { message } of valid) assert.ok(message in schema.$defs, message)
    })

    it(`reads and writes ${valid.length} valid messages byte for byte`, () => {
      for (const { name, message, bytes: hex, json } of valid) {
        const bytes = bytesOf(hex)
        const payload = message === 'frame' ? bytes.subarray(readPrefix(bytes, 0)!.start) : bytes
        assert.deepEqual(jsonForm(decodeCbor(payload)), expanded(json), `${name}: decodes`)
        const codec = codecs[message]!
        assert.equal(hexOf(codec.encode(codec.decode(payload) as never)), hexOf(bytes), `${name}: encodes`)
        const check = ajv.getSchema(`${schema.$id}#/$defs/${message}`)!
        assert.ok(check(expanded(json)), `${name}: ${ajv.errorsText(check.errors)}`)
      }
    })

    it(`refuses ${invalid.length} invalid messages with the error they name, at once`, () => {
      for (const { name, message, error, bytes: hex } of invalid) {
        const bytes = bytesOf(hex)
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
