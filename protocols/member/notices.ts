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
import { decodeSuccessions, encodeSuccessions, type SignedSuccession } from './succession.ts'

/** What every member of a mesh is to know: signed, so that anybody may pass it on. */
export interface Notices {
  /** Of the key of the mesh, and of those of meshes that it has treaties with. */
  successions: readonly SignedSuccession[]
  revocations: readonly SignedRevocation[]
  /** With other meshes, each signed by both. */
  treaties: readonly SignedTreaty[]
  treatyRevocations: readonly SignedTreatyRevocation[]
}

/** Nothing to tell. */
export const NO_NOTICES: Notices = { successions: [], revocations: [], treaties: [], treatyRevocations: [] }

/** Keys of a body; a list that is empty is left out. */
export const encodeNotices = ({ successions, revocations, treaties, treatyRevocations }: Notices): Record<string, unknown> => ({
  ...(successions.length > 0 && { s: encodeSuccessions(successions) }),
  ...(revocations.length > 0 && { r: encodeRevocations(revocations) }),
  ...(treaties.length > 0 && { t: encodeTreaties(treaties) }),
  ...(treatyRevocations.length > 0 && { x: encodeTreatyRevocations(treatyRevocations) })
})

/** @throws MeshError `protocol_error`. */
export function decodeNotices(body: unknown): Notices {
  const map = asMap(body, 'notices')
  return {
    successions: optional(map['s'], decodeSuccessions) ?? [],
    revocations: optional(map['r'], decodeRevocations) ?? [],
    treaties: optional(map['t'], decodeTreaties) ?? [],
    treatyRevocations: optional(map['x'], decodeTreatyRevocations) ?? []
  }
}
