import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import {
  MAX_VALIDITY_S,
  encodeCertificate,
  signedCertificateBytes,
  type Certificate,
  type SignedCertificate
} from '../../protocols/member/messages.ts'
import { encodeRevocation, signedRevocationBytes, type SignedRevocation } from '../../protocols/member/revocation.ts'
import { encodeSuccession, keepOf, signedSuccessionBytes, type SignedSuccession } from '../../protocols/member/succession.ts'
import { ORIGIN } from './announce.ts'

const MESH_KEY = await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(7))
/** PeerId of the key with the seed 0707…07: the mesh of all these. */
export const MESH = peerIdFromPrivateKey(MESH_KEY).toMultihash().bytes
/** Sixteen bytes. */
export const NONCE = Uint8Array.from({ length: 16 }, (_, n) => n)
/** Of an admin. */
export const CERTIFICATE: Certificate = {
  mesh: MESH,
  node: ORIGIN,
  role: 'admin',
  forward: true,
  notBefore: 1_800_000_000,
  notAfter: 1_800_000_000 + MAX_VALIDITY_S,
  issuer: MESH,
  serial: NONCE,
  name: 'kitchen',
  tags: [],
  since: 1_799_000_000
}
/** The same, as it is encoded. */
export const FIELDS = [
  1,
  MESH,
  ORIGIN,
  1,
  true,
  1_800_000_000,
  1_800_000_000 + MAX_VALIDITY_S,
  MESH,
  NONCE,
  'kitchen',
  [],
  1_799_000_000
]

async function signed(certificate: Certificate): Promise<SignedCertificate> {
  const bytes = encodeCertificate(certificate)
  return { bytes, certificate, signature: await MESH_KEY.sign(signedCertificateBytes(bytes)) }
}
/** The certificate of an admin, signed by the mesh key. */
export const SIGNED: SignedCertificate = await signed(CERTIFICATE)

/** The end of its membership, signed by the mesh key. */
export const REVOKED: SignedRevocation = await (async () => {
  const revocation = { mesh: MESH, node: ORIGIN, at: 1_800_000_000, issuer: MESH, reason: 'lost on a train' }
  const bytes = encodeRevocation(revocation)
  return { bytes, revocation, signature: await MESH_KEY.sign(signedRevocationBytes(bytes)), chain: [] }
})()
/** The first key of the mesh hands over to that of the seed 0808…08. */
export const SUCCESSION: SignedSuccession = await (async () => {
  const next = peerIdFromPrivateKey(await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(8)))
  const keeps = [keepOf(MESH, 1, ORIGIN, 'admin')]
  const succession = { mesh: MESH, generation: 1, key: next.toMultihash().bytes, at: 1_800_000_000, keeps }
  const bytes = encodeSuccession(succession)
  return { bytes, succession, signature: await MESH_KEY.sign(signedSuccessionBytes(bytes)) }
})()
/** Its fields, as they are encoded. */
export const SUCCESSION_FIELDS = [1, MESH, 1, SUCCESSION.succession.key, 1_800_000_000, SUCCESSION.succession.keeps]
