import { sha256 } from '@noble/hashes/sha2.js'
import { toString } from 'uint8arrays/to-string'
import { TOKEN_BYTES } from '../../protocols/join/messages.ts'
import type { Role } from '../../protocols/member/messages.ts'
import { MeshError } from '../errors.ts'

/** How long an invite holds, in ms. */
export const INVITE_MS = 600_000
/** Invites that are out at once. */
export const MAX_INVITES = 32

/** What an invite makes of whoever uses it. */
export interface InviteGrant {
  role: Role
  forward: boolean
  tags?: readonly string[]
  /** Of a renewal: since when. */
  since?: number | undefined
}

/** An invite that is used up. `undo`: whoever it was for could not be let in, which is not its doing; it holds again, for the rest of its time. */
export interface UsedInvite {
  grant: InviteGrant
  undo(): void
}

/** The invites that a node has given. Each opens once, for its time. Tokens are kept as hashes. */
export interface Invites {
  /** @returns the token. @throws MeshError `busy` if too many are out. */
  give(grant: InviteGrant): Uint8Array
  /** What the token grants; from now on it is worth nothing. @throws MeshError `permission_denied`. */
  use(token: Uint8Array): UsedInvite
  /** True while an invite is out. */
  readonly any: boolean
}

/** @param now monotonic, in ms. @param random secure random bytes. */
export function createInvites(now: () => number, random: (bytes: number) => Uint8Array): Invites {
  const out = new Map<string, { grant: InviteGrant; until: number }>()
  const keyOf = (token: Uint8Array): string => toString(sha256(token), 'base64')

  function forgetOld(): void {
    for (const [key, { until }] of out) if (until <= now()) out.delete(key)
  }

  return {
    give(grant) {
      forgetOld()
      if (out.size >= MAX_INVITES)
        throw new MeshError('busy', `${MAX_INVITES} invites are out already; wait until some are used or ten minutes old`)
      const token = random(TOKEN_BYTES)
      out.set(keyOf(token), { grant, until: now() + INVITE_MS })
      return token
    },
    use(token) {
      forgetOld()
      const key = keyOf(token)
      const found = out.get(key)
      // Before anything else is done: of two at once, one finds it.
      out.delete(key)
      if (found !== undefined) return { grant: found.grant, undo: () => void out.set(key, found) }
      throw new MeshError(
        'permission_denied',
        'this invite is not known here: it was used, is older than ten minutes, or is of another node',
        {
          reason: 'unknown_invite'
        }
      )
    },
    get any() {
      forgetOld()
      return out.size > 0
    }
  }
}
