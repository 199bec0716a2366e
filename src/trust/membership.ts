import { sha256 } from '@noble/hashes/sha2.js'
import { peerIdFromString } from '@libp2p/peer-id'
import type { SignedCertificate } from '../../protocols/member/messages.ts'
import { verifyChain } from './certificate.ts'

/** Id of the mesh that everybody is a member of. */
export const OPEN_MESH = 'open'

/** Which mesh a node belongs to, how it shows that, and how it checks others. */
export interface Membership {
  /** PeerId of the key of the mesh, or {@link OPEN_MESH}. */
  mesh: string
  /** 32 bytes that members know. */
  secret: Uint8Array
  /** This node's own certificates. */
  chain(): SignedCertificate[]
  /** Checks those of a peer. @throws MeshError `permission_denied`. */
  check(chain: readonly SignedCertificate[], peer: string): Promise<void>
}

/** The mesh without members or secrets, for demonstrations: whoever speaks the protocol is in. */
export function openMembership(): Membership {
  return {
    mesh: OPEN_MESH,
    secret: sha256(new TextEncoder().encode('atmosphere: the open mesh')),
    chain: () => [],
    check: async () => undefined
  }
}

/** What a node of a private mesh has. */
export interface MembershipInit {
  /** PeerId of the key of the mesh. */
  mesh: string
  secret: Uint8Array
  chain: SignedCertificate[]
  /** Unix time in s. */
  nowS: () => number
}

/** Membership in a private mesh. */
export function privateMembership({ mesh, secret, chain, nowS }: MembershipInit): Membership {
  const meshBytes = peerIdFromString(mesh).toMultihash().bytes
  return {
    mesh,
    secret,
    chain: () => chain,
    async check(shown, peer) {
      await verifyChain(shown, { mesh: meshBytes, node: peerIdFromString(peer).toMultihash().bytes, nowS: nowS() })
    }
  }
}
