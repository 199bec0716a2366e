import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import {
  MAX_GENERATIONS,
  MAX_SUCCESSION_BYTES,
  decodeSuccessions,
  encodeSuccessions,
  type SignedSuccession
} from '../member/succession.ts'
import { asArray, optional } from '../shape.ts'
import { formatTextCode, parseTextCode } from '../text-code.ts'
import { decodeSignedTreaty, encodeSignedTreaty, type SignedTreaty } from './messages.ts'

/** Every code of a treaty or an offer begins with it. */
export const TREATY_CODE_PREFIX = 'ATMOT1'
/** Longest part of a code that is a treaty and its signatures, in characters, with blanks. */
const MAX_TREATY_PART = 16_384
/** Most characters that a succession takes in a code, with its signature: five bits each. */
const MAX_SUCCESSION_PART = Math.ceil(((MAX_SUCCESSION_BYTES + 128) * 8) / 5)
/** Longest code that is looked at, in characters: with every key that the two meshes can have had, each as large as it may be. */
export const MAX_TREATY_CODE_LENGTH = MAX_TREATY_PART + 2 * MAX_GENERATIONS * MAX_SUCCESSION_PART

/** What a code holds. */
export interface CodedTreaty {
  signed: SignedTreaty
  /** Of the keys of the two meshes, in any order: whoever reads the code may not know them, and could not check the signatures. */
  successions: readonly SignedSuccession[]
}

/** What a code holds, as CBOR; without successions it is as version 1 of the code had it. */
export const encodeTreatyCode = ({ signed, successions }: CodedTreaty): unknown => [
  ...(encodeSignedTreaty(signed) as unknown[]),
  ...(successions.length > 0 ? [encodeSuccessions(successions)] : [])
]

/** @throws MeshError `protocol_error`. Elements that a later version appends are ignored. */
export function decodeTreatyCode(value: unknown): CodedTreaty {
  const [treaty, first, second, given] = asArray(value, 'code', 16)
  const signed = decodeSignedTreaty([treaty, first, second])
  const successions = optional(given, decodeSuccessions) ?? []
  const of = signed.treaty.meshes.map((mesh) => successions.filter(({ succession }) => sameBytes(succession.mesh, mesh)).length)
  if (of.some((count) => count > MAX_GENERATIONS))
    throw new MeshError('protocol_error', `a mesh has at most ${MAX_GENERATIONS} keys after its first one`)
  if (of[0]! + of[1]! !== successions.length)
    throw new MeshError('protocol_error', 'the key of a mesh that has no part in the treaty')
  return { signed, successions }
}

/** A treaty or an offer as text. It holds the secret of the treaty. @param successions default: none is known. */
export const formatTreaty = (signed: SignedTreaty, successions: readonly SignedSuccession[] = []): string =>
  formatTextCode(TREATY_CODE_PREFIX, encodeCbor(encodeTreatyCode({ signed, successions })))

/**
 * Reads a code as people pass it on: any case, with blanks, line ends and dashes anywhere. Its signatures are not checked here.
 * @throws MeshError `invalid_argument` with what is wrong and what to do.
 */
export const parseTreaty = (text: string): CodedTreaty =>
  parseTextCode(text, { prefix: TREATY_CODE_PREFIX, maxLength: MAX_TREATY_CODE_LENGTH, wrong }, (bytes) =>
    decodeTreatyCode(decodeCbor(bytes))
  )

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, n) => byte === b[n])

function wrong(why: string): MeshError {
  return new MeshError('invalid_argument', `this is no code of a treaty: ${why}; copy the whole line that atmo treaty printed`)
}
