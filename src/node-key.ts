/** The key of a node in its data directory. Node only. */
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { createIdentityKey, readIdentityKey } from './data-dir.ts'
import { MeshError } from './errors.ts'

/** The key in the data directory, made at first use; without a directory a new one. @throws MeshError `invalid_config` if it is damaged. */
export async function loadKey(dataDir: string | undefined): Promise<PrivateKey> {
  if (dataDir === undefined) return generateKeyPair('Ed25519')
  const stored = await readIdentityKey(dataDir)
  if (stored === undefined) {
    const fresh = await generateKeyPair('Ed25519')
    await createIdentityKey(dataDir, privateKeyToProtobuf(fresh))
    return fresh
  }
  try {
    return privateKeyFromProtobuf(stored)
  } catch (error) {
    throw new MeshError(
      'invalid_config',
      `the key in ${dataDir} is damaged; restore it from a backup or move it away for a new identity`,
      {},
      { cause: error }
    )
  }
}
