import { equals } from 'uint8arrays/equals'
import { MAX_VALIDITY_S } from '../../protocols/member/messages.ts'
import { MAX_REVOCATIONS, type SignedRevocation } from '../../protocols/member/revocation.ts'
import type { MeshState } from './mesh-state.ts'
import type { TreatyNotices } from './treaties.ts'

/** What was kept with what is new, the newest first; those that can end nothing any more are left out. @param nowS Unix time in s. */
export function mergeRevocations(
  before: readonly SignedRevocation[],
  fresh: readonly SignedRevocation[],
  nowS: number
): SignedRevocation[] {
  return [...fresh, ...missing(before, fresh)]
    .filter(({ revocation }) => revocation.at + MAX_VALIDITY_S >= nowS)
    .sort((a, b) => b.revocation.at - a.revocation.at)
    .slice(0, MAX_REVOCATIONS)
}

/** What is known now, with what was kept and is not taken in yet. */
export function mergeTreaties(
  { treaties = [], treatyRevocations = [] }: Partial<MeshState>,
  known: TreatyNotices
): TreatyNotices {
  return {
    treaties: [...known.treaties, ...missing(treaties, known.treaties)],
    treatyRevocations: [...known.treatyRevocations, ...missing(treatyRevocations, known.treatyRevocations)]
  }
}

function missing<T extends { bytes: Uint8Array }>(before: readonly T[], list: readonly T[]): T[] {
  return before.filter(({ bytes }) => !list.some((one) => equals(one.bytes, bytes)))
}
