import { equals } from 'uint8arrays/equals'
import { MAX_VALIDITY_S } from '../../protocols/member/messages.ts'
import { MAX_REVOCATIONS, type SignedRevocation } from '../../protocols/member/revocation.ts'
import type { SignedSuccession } from '../../protocols/member/succession.ts'
import { originBytes } from '../core/document.ts'
import type { MeshState } from './mesh-state.ts'
import type { TreatyNotices } from './treaties.ts'

/**
 * What was kept with what is known, those of a key of the mesh first, then the newest: in this order they stay when there are too many, as in
 * memory. Those that can end nothing any more are left out. @param nowS Unix time in s.
 */
export function mergeRevocations(
  before: readonly SignedRevocation[],
  fresh: readonly SignedRevocation[],
  nowS: number
): SignedRevocation[] {
  return [...fresh, ...missing(before, fresh)]
    .filter(({ revocation }) => revocation.at + MAX_VALIDITY_S >= nowS)
    .sort((a, b) => Math.sign(a.chain.length) - Math.sign(b.chain.length) || b.revocation.at - a.revocation.at)
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

/** What is known now, with those of the own mesh and its partners that are kept and not taken in yet: as while a key or a treaty is made. */
export function mergeSuccessions(
  { mesh, successions = [], treaties = [] }: Pick<MeshState, 'mesh' | 'successions' | 'treaties'>,
  known: readonly SignedSuccession[]
): SignedSuccession[] {
  const meshes = [originBytes(mesh), ...treaties.flatMap(({ treaty }) => treaty.meshes)]
  return [...known, ...missing(successions, known).filter(({ succession }) => meshes.some((one) => equals(one, succession.mesh)))]
}

function missing<T extends { bytes: Uint8Array }>(before: readonly T[], list: readonly T[]): T[] {
  return before.filter(({ bytes }) => !list.some((one) => equals(one.bytes, bytes)))
}
