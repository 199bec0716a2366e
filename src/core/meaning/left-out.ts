import { parseTarget } from '../../../protocols/named-node.ts'
import type { Offer } from '../candidates.ts'

/**
 * PeerIds of the nodes of other meshes that lend to this one, which must not see what it says and asks, as `notNode` of a call. Not of one that the target names by its
 * PeerId, `ID@PEERID`: names they give themselves, also that of a node of this mesh which is away.
 */
export function leftOut(target: string, offers: readonly Offer[]): { notNode?: string[] } {
  const named = parseTarget(target).node
  const lenders = new Set(offers.flatMap(({ mesh, node }) => (mesh === undefined || node === named ? [] : [node])))
  return lenders.size === 0 ? {} : { notNode: [...lenders] }
}
