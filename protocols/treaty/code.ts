import { decodeCbor, encodeCbor } from '../cbor.ts'
import { MeshError } from '../errors.ts'
import { formatTextCode, parseTextCode } from '../text-code.ts'
import { decodeSignedTreaty, encodeSignedTreaty, type SignedTreaty } from './messages.ts'

/** Every code of a treaty or an offer begins with it. */
export const TREATY_CODE_PREFIX = 'ATMOT1'
/** Longest code that is looked at, in characters. */
export const MAX_TREATY_CODE_LENGTH = 16_384

/** A treaty or an offer as text. It holds the secret of the treaty. */
export const formatTreaty = (signed: SignedTreaty): string =>
  formatTextCode(TREATY_CODE_PREFIX, encodeCbor(encodeSignedTreaty(signed)))

/**
 * Reads a code as people pass it on: any case, with blanks, line ends and dashes anywhere. Its signatures are not checked here.
 * @throws MeshError `invalid_argument` with what is wrong and what to do.
 */
export const parseTreaty = (text: string): SignedTreaty =>
  parseTextCode(text, { prefix: TREATY_CODE_PREFIX, maxLength: MAX_TREATY_CODE_LENGTH, wrong }, (bytes) =>
    decodeSignedTreaty(decodeCbor(bytes))
  )

function wrong(why: string): MeshError {
  return new MeshError('invalid_argument', `this is no code of a treaty: ${why}; copy the whole line that atmo treaty printed`)
}
