import { equals } from 'uint8arrays/equals'
import {
  signedTreatyBytes,
  signedTreatyRevocationBytes,
  type SignedTreaty,
  type SignedTreatyRevocation,
  type Treaty
} from '../../protocols/treaty/messages.ts'
import { isSignedBy } from './signature.ts'
import type { Successions } from './successions.ts'

/** Which key of a mesh made a signature; undefined if none that is known has. */
export type Signer = 'newest' | 'older' | undefined

/** What is known of the keys of meshes. */
export type MeshKeys = Pick<Successions, 'keysOf'>

/** Which of the two meshes of a treaty this is; undefined if it is neither. */
export function sideOf({ meshes }: Pick<Treaty, 'meshes'>, mesh: Uint8Array): 0 | 1 | undefined {
  return equals(meshes[0], mesh) ? 0 : equals(meshes[1], mesh) ? 1 : undefined
}

/** Who signed a treaty for one of its meshes. */
export async function treatySigner(
  { treaty, bytes, signatures }: SignedTreaty,
  side: 0 | 1,
  { keysOf }: MeshKeys
): Promise<Signer> {
  const signature = signatures[side]
  return signature === undefined ? undefined : signer(keysOf(treaty.meshes[side]), signedTreatyBytes(bytes), signature)
}

/** Who signed the end of a treaty. */
export async function treatyRevocationSigner(
  { revocation, bytes, signature }: SignedTreatyRevocation,
  { keysOf }: MeshKeys
): Promise<Signer> {
  return signer(keysOf(revocation.mesh), signedTreatyRevocationBytes(bytes), signature)
}

async function signer(keys: readonly Uint8Array[], bytes: Uint8Array, signature: Uint8Array): Promise<Signer> {
  for (const [n, key] of keys.entries()) if (await isSignedBy(key, bytes, signature)) return n === 0 ? 'newest' : 'older'
  return undefined
}
