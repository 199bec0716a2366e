import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { Certificate, Role, SignedCertificate } from '../../protocols/member/messages.ts'
import { issueCertificate, type Grant } from '../../src/trust/certificate.ts'

/** The time in the world of forgeries, Unix time in s. */
export const NOW_S = 1_800_000_000

/** A node with a chain that is good. */
export interface Holder {
  key: PrivateKey
  id: Uint8Array
  chain: SignedCertificate[]
}

/** Two meshes: one that is to be protected, with members of every role and chains of every length, and one of the forger. */
export interface ForgedMesh {
  meshKey: PrivateKey
  mesh: Uint8Array
  holders: Holder[]
  /** Of the other mesh, with a good chain there and none here. */
  forger: Holder
}

/** Who issues to whom: index of the issuer in this list, -1 for the key of the mesh. */
const TREE: [issuer: number, role: Role][] = [
  [-1, 'owner'],
  [-1, 'admin'],
  [-1, 'member'],
  [-1, 'guest'],
  [0, 'owner'],
  [4, 'admin'],
  [5, 'member'],
  [1, 'guest']
]

/** Multihash bytes of the PeerId of a key. */
export const idOf = (key: PrivateKey): Uint8Array => peerIdFromPrivateKey(key).toMultihash().bytes

/** Makes both meshes, with new keys. */
export async function forgedMesh(): Promise<ForgedMesh> {
  const [meshKey, otherKey] = [await generateKeyPair('Ed25519'), await generateKeyPair('Ed25519')]
  const holders: Holder[] = []
  for (const [issuer, role] of TREE) {
    const above = holders[issuer]
    holders.push(await holderOf(idOf(meshKey), role, above?.key ?? meshKey, above?.chain ?? []))
  }
  return { meshKey, mesh: idOf(meshKey), holders, forger: await holderOf(idOf(otherKey), 'owner', otherKey, []) }
}

async function holderOf(mesh: Uint8Array, role: Role, issuer: PrivateKey, above: SignedCertificate[]): Promise<Holder> {
  const key = await generateKeyPair('Ed25519')
  const id = idOf(key)
  return { key, id, chain: [await issueCertificate(grantOf(mesh, id, role), issuer), ...above] }
}

/** A certificate that holds now. */
export function grantOf(mesh: Uint8Array, node: Uint8Array, role: Role): Grant {
  const serial = crypto.getRandomValues(new Uint8Array(16))
  return {
    mesh,
    node,
    role,
    forward: true,
    notBefore: NOW_S - 86_400,
    notAfter: NOW_S + 86_400,
    serial,
    name: 'node',
    tags: ['kitchen'],
    since: NOW_S - 86_400
  }
}

/** Everything that two certificates may differ in. */
export const CERTIFICATE_FIELDS: readonly (keyof Certificate)[] = [
  'mesh',
  'node',
  'role',
  'forward',
  'notBefore',
  'notAfter',
  'issuer',
  'serial',
  'tags',
  'since',
  'name'
]
