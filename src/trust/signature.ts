import { publicKeyFromMultihash } from '@libp2p/crypto/keys'
import { decode as decodeMultihash } from 'multiformats/hashes/digest'

/** True if the key of a PeerId (multihash bytes; its Ed25519 public key is in it) has signed these bytes. Never throws. */
export async function isSignedBy(peer: Uint8Array, bytes: Uint8Array, signature: Uint8Array): Promise<boolean> {
  try {
    const key = publicKeyFromMultihash(decodeMultihash(peer) as never)
    return key.type === 'Ed25519' && (await key.verify(bytes, signature))
  } catch {
    return false
  }
}
