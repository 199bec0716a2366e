import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readPrefix } from '../../protocols/framing/messages.ts'

/** Bytes as the vectors write them: hex, in parts where a piece is repeated. */
type Hex = string | (string | { repeat: string; times: number })[]

interface Row {
  name: string
  message: string
  bytes: Uint8Array
}

/** A message that must be read and written byte for byte. */
export interface ValidRow extends Row {
  /** What a decoder of the message is given: the bytes, without the length prefix of a frame. */
  payload: Uint8Array
  json: unknown
}

/** Bytes that must be refused with that error. */
export interface InvalidRow extends Row {
  error: string
  why: string
}

/** The committed vectors of a protocol. */
export function readVectors(protocol: string): { valid: ValidRow[]; invalid: InvalidRow[] } {
  const rows = <T extends Row>(file: string): T[] =>
    (JSON.parse(readFileSync(join(ROOT, protocol, 'vectors', file), 'utf8')) as (T & { bytes: Hex })[]).map((row) => ({
      ...row,
      bytes: bytesOf(row.bytes)
    }))
  const valid = rows<ValidRow>('valid.json').map((row) => ({
    ...row,
    payload: row.message === 'frame' ? row.bytes.subarray(readPrefix(row.bytes, 0)!.start) : row.bytes
  }))
  return { valid, invalid: rows<InvalidRow>('invalid.json') }
}

const ROOT = join(import.meta.dirname, '../../protocols')

function bytesOf(hex: Hex): Uint8Array {
  const parts =
    typeof hex === 'string' ? [hex] : hex.map((part) => (typeof part === 'string' ? part : part.repeat.repeat(part.times)))
  return Uint8Array.from(Buffer.from(parts.join(''), 'hex'))
}
