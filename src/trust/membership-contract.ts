import type { JoinRequest, Welcome } from '../../protocols/join/messages.ts'
import type { Role, SignedCertificate } from '../../protocols/member/messages.ts'
import type { Notices } from '../../protocols/member/notices.ts'
import type { SignedRevocation } from '../../protocols/member/revocation.ts'
import type { SignedSuccession } from '../../protocols/member/succession.ts'
import type { CheckedMember } from './certificate.ts'
import type { InviteGrant } from './invites.ts'
import type { IssuedMember, KnownRoot } from './mesh-state.ts'
import type { EndOfMembership } from './revocations.ts'
import type { TreatyDesk } from './treaty-desk.ts'

/** Id of the mesh that everybody is a member of. */
export const OPEN_MESH = 'open'

/** `details.reason` of `unavailable` when a node cannot keep whom it lets in. */
export const NOT_KEPT = 'not_kept'

/** What a node that is let in is told. */
export interface Entry extends Welcome {
  /** Not for it: what all are to know, since it had a higher role before, which has ended. */
  made?: Notices
}

/** Which mesh a node belongs to, how it shows that, how it checks others, and how it lets others in. */
export interface Membership {
  /** PeerId of the key of the mesh, or {@link OPEN_MESH}. */
  readonly mesh: string
  /** For people. */
  readonly name: string
  /** 32 bytes that members know. */
  readonly secret: Uint8Array
  /** Of this node. */
  readonly role: Role
  /** This node has the right to pass on what others send to each other. */
  readonly mayForward: boolean
  /** This node's own certificates. */
  chain(): SignedCertificate[]
  /** Checks those of a peer. @returns who it is. @throws MeshError `permission_denied`. */
  check(chain: readonly SignedCertificate[], peer: string): Promise<CheckedMember>
  /** The clock of this machine is wrong, or may be. */
  readonly clockInDoubt: boolean
  /** What this node knows that all members are to know. */
  notices(): Notices
  /** Of these. */
  noticeDigest(): Uint8Array
  /** Of the key of this mesh: what nodes of other meshes are told. */
  successions(): readonly SignedSuccession[]
  /**
   * Takes notices from elsewhere and keeps them. @param taken is told of those that are new, which hold from then on, before they are kept. @returns them.
   * @throws MeshError `protocol_error` if one is not good, `unavailable` if they could not be kept: they are with the next.
   */
  learn(notices: Notices, taken?: (fresh: Notices) => void): Promise<Notices>
  /** What this mesh agrees on with others. */
  readonly treaties: TreatyDesk
  /** True if none of the certificates of this checked member is revoked, or by a key that was replaced without keeping it. */
  isStillMember(chain: readonly SignedCertificate[]): boolean
  /** True if somebody who may has revoked a node since it was this: one that is not here, and of which no certificate is. */
  isRevoked(node: string, was: Pick<CheckedMember, 'role' | 'since'>): boolean
  /** That the membership of this node itself has ended; undefined while it holds. */
  readonly revocation: EndOfMembership | undefined
  /** True if a second key claims to follow one of the mesh: the first that was seen counts here, others may go by the other. */
  readonly isKeyDisputed: boolean
  /** Keys of the mesh that came after the first one. */
  readonly generation: number
  /**
   * Makes another key for the mesh; certificates of members that are known here stay good. It is kept when this resolves. @returns what all are to know.
   * @throws MeshError `permission_denied` without the newest key, `too_large` if too many came before, `busy`, `unavailable` if it cannot be kept.
   */
  rotate(): Promise<Notices>
  /**
   * Ends the membership of a node. Of one that has the key of the mesh, or may have, another key is made first.
   * @param role what it is, if that is known. @returns the revocation, and all that was made. @throws as `rotate`.
   */
  revoke(node: string, role: Role | undefined, reason: string): Promise<{ signed: SignedRevocation; made: Notices }>
  /** Members that this node let in. */
  readonly issued: readonly IssuedMember[]
  /** Of an owner: members by certificates of a key of the mesh, as far as it has seen them. */
  readonly roots: readonly KnownRoot[]
  /** True while this node has given an invite that is not used. */
  readonly isInviting: boolean
  /** Gives an invite. @returns its token. @throws MeshError `permission_denied` if this node may not, `busy`, `unsupported` in the open mesh. */
  invite(grant: InviteGrant): Uint8Array
  /** @throws MeshError `permission_denied` if this node may not make members of that role, `unsupported` in the open mesh. */
  checkMayInvite(role: Role): void
  /** Makes a node a member that a person let in. @throws MeshError `permission_denied`, `unavailable` if it cannot be kept. */
  letIn(peer: string, grant: InviteGrant, name: string): Promise<Entry>
  /** Answers a node that asks to join, or a member to renew. @param member who it is, if it is admitted. @throws MeshError `permission_denied`. */
  welcome(request: JoinRequest, peer: string, member: CheckedMember | undefined): Promise<Entry>
  /** How long the certificates of a checked member still hold, in s; 0 or less if they have ended since. */
  endsInS(member: Pick<CheckedMember, 'notAfter'>): number
  /** True when a new chain is to be asked for: this node's certificates end soon, or are by a key of the mesh that was replaced. */
  needsRenewal(): boolean
  /** Gives itself a new chain, if this node has the key of the mesh and needs one. @returns whether it did. @throws MeshError `unavailable` if it cannot be kept. */
  renewOwn(): Promise<boolean>
  /** Takes a new chain, unless that is no better than the own one, and of an owner the key of the mesh. @throws MeshError `permission_denied` if it is not good. */
  renewed(welcome: Welcome): Promise<void>
}
