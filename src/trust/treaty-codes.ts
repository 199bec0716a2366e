import type { SignedSuccession } from '../../protocols/member/succession.ts'
import { formatTreaty, parseTreaty } from '../../protocols/treaty/code.ts'
import type { SignedTreaty } from '../../protocols/treaty/messages.ts'
import { equals } from 'uint8arrays/equals'
import { MeshError } from '../errors.ts'
import type { MeshClock } from './mesh-clock.ts'
import { createSuccessions, type Successions } from './successions.ts'
import { pactOf, type Pact, type Treaties } from './treaties.ts'
import { sideOf, treatySigner } from './treaty-signatures.ts'

/** What a code holds, seen from this mesh. */
export interface ReadTreaty {
  pact: Pact
  /** Both have signed: it holds as soon as it is known. */
  agreed: boolean
  /** Only the key of this mesh has signed. */
  ownOffer: boolean
}

/** Codes of treaties, as one of the two meshes writes and reads them. */
export interface TreatyCodes {
  /** With the keys of those who have signed, as far as they are known here. */
  write(signed: SignedTreaty): string
  /**
   * Checks the signatures of a code; nothing of it is kept. @returns also the keys of the other mesh that were not known here, and are needed for its signature.
   * @throws MeshError `invalid_argument` if it is none, `permission_denied` with `details.reason`.
   */
  read(code: string): Promise<ReadTreaty & { keys: readonly SignedSuccession[] }>
}

/** What they stand on. */
export interface TreatyCodesComponents {
  /** Id of the own mesh, as multihash bytes. */
  own: Uint8Array
  clock: Pick<MeshClock, 'nowS' | 'toleranceS'>
  known: Pick<Treaties, 'isRevoked'>
  successions: Pick<Successions, 'of'>
}

/** See {@link TreatyCodes}. */
export function createTreatyCodes({ own, clock, known, successions }: TreatyCodesComponents): TreatyCodes {
  /**
   * With what the code says of the other mesh; of the own one it says nothing that counts. Apart from what this node goes by: whoever looks at a code has not
   * agreed to anything. What is known here comes first, so that a code cannot say otherwise.
   */
  async function keysWith(given: readonly SignedSuccession[], other: Uint8Array) {
    const keys = createSuccessions(own, () => true)
    await keys.take([...successions.of(own), ...successions.of(other)])
    const { fresh } = await keys.take(given.filter(({ succession }) => equals(succession.mesh, other)))
    return { keys, fresh }
  }

  return {
    write(signed) {
      const { treaty, signatures } = signed
      const signers = treaty.meshes.filter((_mesh, side) => signatures[side] !== undefined)
      return formatTreaty(signed, signers.flatMap(successions.of))
    },
    async read(code) {
      const { signed, successions: given } = parseTreaty(code)
      const { treaty, signatures } = signed
      const side = sideOf(treaty, own)
      if (side === undefined)
        throw refused('not_addressed', 'it is between other meshes; atmo status --json shows the id of this one')
      const other = side === 0 ? 1 : 0
      const { keys, fresh } = await keysWith(given, treaty.meshes[other])
      if (signatures[other] !== undefined && (await treatySigner(signed, other, keys)) !== 'newest')
        throw refused('bad_signature', 'the other mesh has not signed it, or with a key that it has replaced; ask it for another')
      const mine = await treatySigner(signed, side, keys)
      if (signatures[side] !== undefined && mine === undefined) throw refused('bad_signature', 'this mesh has not signed it')
      const now = clock.nowS()
      if (treaty.notAfter < now) throw refused('expired', 'its time is over; ask for another')
      if (treaty.notBefore > now + clock.toleranceS())
        throw refused('not_yet_valid', 'its time has not begun; are the clocks of both machines right?')
      if (known.isRevoked(treaty.serial)) throw refused('revoked', 'it was revoked')
      const isOffered = signatures[other] !== undefined
      // Whoever has an old key of this mesh signs nothing for it: an owner is asked, and signs anew.
      const isToSign = isOffered && mine !== 'newest'
      const pact = pactOf(isToSign ? { ...signed, signatures: onlyOf(other, signatures[other]) } : signed, own)
      return { pact, agreed: isOffered && !isToSign, ownOffer: !isOffered, keys: fresh }
    }
  }
}

function onlyOf(side: 0 | 1, signature: Uint8Array | undefined): SignedTreaty['signatures'] {
  return side === 0 ? [signature, undefined] : [undefined, signature]
}

/** Why a treaty is of no use here. */
export function refused(reason: string, why: string): MeshError {
  return new MeshError('permission_denied', `this treaty cannot be used here: ${why}`, { reason })
}
