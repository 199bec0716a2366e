import { peerIdFromString } from '@libp2p/peer-id'
import { originId } from '../core/document.ts'
import { MeshError } from '../errors.ts'

/**
 * The PeerId that a peer names by its multihash, in its usual text form. Any bytes have a text form; only those of a PeerId have one that
 * is read back as it is.
 * @throws MeshError `protocol_error` if it is none.
 */
export function peerIdOf(bytes: Uint8Array): string {
  const text = originId(bytes)
  let back: string | undefined
  try {
    back = peerIdFromString(text).toString()
  } catch {
    // None.
  }
  if (back !== text) throw new MeshError('protocol_error', 'a node that is no PeerId')
  return text
}
