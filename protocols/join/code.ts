import { MeshError } from '../errors.ts'
import { formatTextCode, parseTextCode } from '../text-code.ts'
import { decodeInvite, encodeInvite, type Invite } from './messages.ts'

/** Every code begins with it, so that people and programs see what it is. */
export const CODE_PREFIX = 'ATMO1'
/** Longest code that is looked at, in characters. */
export const MAX_CODE_LENGTH = 2_048

/** An invite as text. */
export const formatInvite = (invite: Invite): string => formatTextCode(CODE_PREFIX, encodeInvite(invite))

/**
 * Reads a code as people pass it on: any case, with blanks, line ends and dashes anywhere.
 * @throws MeshError `invalid_argument` with what is wrong and what to do.
 */
export const parseInvite = (text: string): Invite =>
  parseTextCode(text, { prefix: CODE_PREFIX, maxLength: MAX_CODE_LENGTH, wrong }, decodeInvite)

function wrong(why: string): MeshError {
  return new MeshError('invalid_argument', `this is no invite code: ${why}; copy the whole line that atmo invite printed`)
}
