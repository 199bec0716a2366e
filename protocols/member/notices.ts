import { asMap, optional } from '../shape.ts'
import {
  decodeTreaties,
  decodeTreatyRevocations,
  encodeTreaties,
  encodeTreatyRevocations,
  type SignedTreaty,
  type SignedTreatyRevocation
} from '../treaty/messages.ts'
import { decodeRevocations, encodeRevocations, type SignedRevocation } from './revocation.ts'

/** What every member of a mesh is to know: signed, so that anybody may pass it on. */
export interface Notices {
  revocations: readonly SignedRevocation[]
  /** With other meshes, each signed by both. */
  treaties: readonly SignedTreaty[]
  treatyRevocations: readonly SignedTreatyRevocation[]
}

/** Nothing to tell. */
export const NO_NOTICES: Notices = { revocations: [], treaties: [], treatyRevocations: [] }

/** Keys of a body; a list that is empty is left out. */
export const encodeNotices = ({ revocations, treaties, treatyRevocations }: Notices): Record<string, unknown> => ({
  ...(revocations.length > 0 && { r: encodeRevocations(revocations) }),
  ...(treaties.length > 0 && { t: encodeTreaties(treaties) }),
  ...(treatyRevocations.length > 0 && { x: encodeTreatyRevocations(treatyRevocations) })
})

/** @throws MeshError `protocol_error`. */
export function decodeNotices(body: unknown): Notices {
  const map = asMap(body, 'notices')
  return {
    revocations: optional(map['r'], decodeRevocations) ?? [],
    treaties: optional(map['t'], decodeTreaties) ?? [],
    treatyRevocations: optional(map['x'], decodeTreatyRevocations) ?? []
  }
}
