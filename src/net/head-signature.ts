import { publicKeyFromMultihash } from '@libp2p/crypto/keys'
import { decode as decodeMultihash } from 'multiformats/hashes/digest'
import { signedBytes, type SignedHead } from '../../protocols/announce/messages.ts'

/** True if the origin itself signed the head: its Ed25519 public key is in its PeerId (libp2p peer-ids specification). */
export async function hasSigned({ head, bytes, signature }: SignedHead): Promise<boolean> {
  try {
    const key = publicKeyFromMultihash(decodeMultihash(head.origin) as never)
    return key.type === 'Ed25519' && (await key.verify(signedBytes(bytes), signature))
  } catch {
    return false
  }
}
