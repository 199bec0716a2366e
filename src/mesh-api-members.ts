/** Membership as users of a node see it: invites, members, treaties with other meshes. Types only; part of the Mesh type. */
import type { Role } from '../protocols/member/messages.ts'

/** Options of an invite. */
export interface InviteOptions {
  /** Default: `member`. */
  role?: Role
  /** The right to pass on what others send to each other. Default: all but guests have it. */
  forward?: boolean
  /** What the node is besides, for policies. At most 8, of small letters, digits, `.`, `_` and `-`. Default: none. */
  tags?: string[]
}

/** An invite to the mesh. */
export interface InviteView {
  /** For `atmo join`: works once. Whoever has it becomes a member. */
  code: string
  role: Role
  /** ISO 8601, by this machine's clock; the invite ends then by the monotonic one. */
  expiresAt: string
}

/** That the door is open to a node nearby. */
export type DoorView = Omit<InviteView, 'code'>

/** A member of the mesh, as far as this node knows: itself, those connected, those that it let in. */
export interface MemberView {
  peerId: string
  name: string
  role: Role
  tags: string[]
  /** ISO 8601: when its certificate ends, unless it is renewed; null if not known, or if there is none (open mesh). */
  certifiedUntil: string | null
  connected: boolean
}

/** That a node is no member any more. */
export interface RevocationView {
  peerId: string
  /** Empty if this node never knew it. */
  name: string
  reason: string
  /** ISO 8601. */
  at: string
  /** The key of the mesh was replaced as well: the node had it, or may have had it. */
  rotated: boolean
}

/** What an owner offers to another mesh. */
export interface TreatyOffer {
  /** Id of the other mesh. */
  mesh: string
  /** What it is called here, for people. Default: the end of its id. */
  name?: string
  /** Globs over types of capabilities: what this mesh lends, and what it borrows. */
  lends?: string[]
  borrows?: string[]
  /** How long the treaty is to hold, in ms; up to 365 days. Default: 90 days. */
  forMs?: number
}

/** A treaty with another mesh, or an offer of one, as this mesh sees it. */
export interface TreatyView {
  /** Hex. */
  serial: string
  /** Id and name of the other mesh. */
  mesh: string
  name: string
  lends: string[]
  borrows: string[]
  /** ISO 8601. */
  notBefore: string
  notAfter: string
  /** `offer`: only one side has signed; `agreed`: both have, and this mesh has yet to accept it. */
  state: 'offer' | 'agreed' | 'in_force' | 'not_yet_valid' | 'revoked'
  /** Why it was revoked, and by which mesh. */
  revoked?: { mesh: string; reason: string; at: string }
  /** Nodes of the other mesh that are connected with this one now. */
  connected: number
}

/** A treaty with the code that passes it on. The code holds the secret of the treaty. */
export interface TreatyCode {
  code: string
  treaty: TreatyView
}

/** Treaties with other meshes. All throw `unsupported` in the open mesh. */
export interface MeshTreaties {
  /** Those whose time is not over. */
  list(): TreatyView[]
  /** Signs an offer. Throws `permission_denied` if this node has not the key of the mesh, `invalid_argument`. */
  offer(offer: TreatyOffer): Promise<TreatyCode>
  /** What a code holds; nothing is signed. `signs`: accepting it signs for this mesh. Throws `invalid_argument`, `permission_denied` with `details.reason`. */
  show(code: string): Promise<{ treaty: TreatyView; signs: boolean }>
  /** Signs an offer of the other mesh, or takes in what both have signed; all members are told. Throws as `show`, and `too_large`, `unavailable` if it cannot be kept. */
  accept(code: string): Promise<TreatyCode>
  /** Ends a treaty at once, named by its serial number or by the name of the other mesh. Throws `permission_denied`, `invalid_argument`, `ambiguous`, `unavailable`. */
  revoke(treaty: string, reason: string): Promise<TreatyView>
}
