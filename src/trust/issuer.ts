import type { PrivateKey } from '@libp2p/interface'
import { MAX_CHAIN, NONCE_BYTES, type Role, type SignedCertificate } from '../../protocols/member/messages.ts'
import { originBytes } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { CLOCK_TOLERANCE_S, issueCertificate, mayGive } from './certificate.ts'
import type { MeshState } from './mesh-state.ts'

/** How long a certificate holds, in s: 30 days. It is renewed when a third of that is left. */
export const VALIDITY_S = 30 * 86_400

/** Who a certificate is for. */
export interface Issue {
  /** PeerId. */
  node: string
  role: Role
  forward: boolean
  name: string
  /** Default: none. */
  tags?: readonly string[]
  /** Of a renewal: since when it is a member. Default: from now on. */
  since?: number | undefined
  /** It must begin later than this, Unix time in s: a revocation ended those before. */
  after?: number
}

/** True if a member of that role may renew the certificates of others. */
export const canRenew = (role: Role): boolean => mayGive(role, 'member')

/** True if a node with this state may make members of that role: an owner with the key of the mesh, others as their role allows. */
export function canIssue({ meshKey, chain }: Pick<MeshState, 'meshKey' | 'chain'>, role: Role): boolean {
  if (meshKey !== undefined) return true
  const own = chain[0]?.certificate.role
  return own !== undefined && chain.length < MAX_CHAIN && mayGive(own, role)
}

/**
 * Makes a certificate, signed by the mesh key if this node has it, else by its own key with its own chain after it.
 * @param nodeKey of this node. @throws MeshError `permission_denied` if it may not.
 */
export async function issueChain(
  { mesh, meshKey, chain }: Pick<MeshState, 'mesh' | 'meshKey' | 'chain'>,
  nodeKey: PrivateKey,
  { node, role, forward, name, tags = [], since, after = -1 }: Issue,
  nowS: number
): Promise<SignedCertificate[]> {
  if (!canIssue({ meshKey, chain }, role))
    throw new MeshError('permission_denied', `this node may not make a node ${role} of this mesh; ask an owner`, { role })
  // Clocks differ: it is to hold at once on a machine that is behind.
  const notBefore = Math.max(nowS - CLOCK_TOLERANCE_S, since === undefined ? after + 1 : 0)
  const signed = await issueCertificate(
    {
      mesh: originBytes(mesh),
      node: originBytes(node),
      role,
      // Nobody gives what it has not.
      forward: forward && (meshKey !== undefined || chain[0]?.certificate.forward === true),
      notBefore,
      since: since ?? notBefore,
      notAfter: nowS + VALIDITY_S,
      serial: crypto.getRandomValues(new Uint8Array(NONCE_BYTES)),
      name,
      tags: [...tags]
    },
    meshKey ?? nodeKey
  )
  return meshKey === undefined ? [signed, ...chain] : [signed]
}
