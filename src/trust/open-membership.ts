import { sha256 } from '@noble/hashes/sha2.js'
import { NOTICE_DIGEST_BYTES } from '../../protocols/member/messages.ts'
import { NO_NOTICES } from '../../protocols/member/notices.ts'
import { originBytes } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { OPEN_MESH, type Membership } from './membership.ts'
import { closedTreatyDesk } from './treaty-desk.ts'

/** The mesh without members or secrets, for demonstrations: whoever speaks the protocol is in. */
export function openMembership(): Membership {
  const none = (): never => {
    throw new MeshError(
      'unsupported',
      'this node is in the open mesh, which everybody is in; start it without --open for a mesh of your own'
    )
  }
  return {
    mesh: OPEN_MESH,
    name: 'open to everybody',
    secret: sha256(new TextEncoder().encode('atmosphere: the open mesh')),
    role: 'member',
    mayForward: true,
    chain: () => [],
    check: async (_chain, peer) => ({
      node: originBytes(peer),
      role: 'member',
      forward: true,
      name: '',
      tags: [],
      since: 0,
      notBefore: 0,
      notAfter: Number.MAX_SAFE_INTEGER
    }),
    clockInDoubt: false,
    notices: () => NO_NOTICES,
    noticeDigest: () => new Uint8Array(NOTICE_DIGEST_BYTES),
    learn: async () => NO_NOTICES,
    treaties: closedTreatyDesk(none),
    isStillMember: () => true,
    isRevoked: () => false,
    revocation: undefined,
    successions: () => [],
    isKeyDisputed: false,
    generation: 0,
    rotate: async () => none(),
    revoke: async () => none(),
    issued: [],
    roots: [],
    isInviting: false,
    invite: none,
    checkMayInvite: none,
    letIn: async () => none(),
    welcome: async () => none(),
    endsInS: () => Infinity,
    needsRenewal: () => false,
    renewOwn: async () => false,
    renewed: async () => none()
  }
}
