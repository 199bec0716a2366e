import type { SignedCertificate } from '../protocols/member/messages.ts'
import { isPeerId, isShortIdOf } from '../protocols/short-id.ts'
import { MeshError } from './errors.ts'
import type { MemberView, MeshStatus } from './mesh-api.ts'
import type { AdmissionGate } from './net/admission-gate.ts'
import type { CheckedMember } from './trust/certificate.ts'
import { OPEN_MESH, type Membership } from './trust/membership.ts'

/** The mesh of a node, for its status. */
export function meshOf({ mesh: id, name, role, revocation }: Membership): MeshStatus['mesh'] {
  const view = { id, name, role, open: id === OPEN_MESH }
  if (revocation === undefined) return view
  const { reason, atS } = revocation
  return { ...view, revoked: { reason, at: new Date(atS * 1_000).toISOString() } }
}

/** A peer whose certificates were good when it connected. */
export interface CheckedPeer {
  member: CheckedMember
  chain: readonly SignedCertificate[]
}

/** The members that this node knows: itself, those connected, those that it let in, and of an owner those that others let in with the key of the mesh. */
export interface Roster {
  members(): MemberView[]
  /** The member that is meant: by PeerId, by its end, or by a name that only one has. @throws MeshError `ambiguous`, `invalid_argument`. */
  find(node: string): { peerId: string; name: string; role: MemberView['role'] | undefined }
}

/** What it looks at. */
export interface RosterComponents {
  /** PeerId of this node. */
  self: string
  membership: Membership
  gate: Pick<AdmissionGate, 'isAdmitted'>
  checked: ReadonlyMap<string, CheckedPeer>
  /** Name of a node, of its announcement: also as it was seen last. */
  nameOf(peer: string): string | undefined
}

/** See {@link Roster}. */
export function createRoster({ self, membership, gate, checked, nameOf }: RosterComponents): Roster {
  function members(): MemberView[] {
    const own = membership.chain()[0]?.certificate
    const present = [...checked].filter(([peer]) => gate.isAdmitted(peer))
    const isAbsent = ({ node }: { node: string }): boolean => node !== self && !present.some(([peer]) => peer === node)
    const absent = membership.issued.filter(isAbsent)
    const seen = membership.roots.filter((one) => isAbsent(one) && !absent.some(({ node }) => node === one.node))
    return [
      view({ peerId: self, ...own, name: nameOf(self) ?? own?.name, role: membership.role, connected: true }),
      ...present.map(([peerId, { member }]) => view({ ...member, peerId, name: nameOf(peerId) ?? member.name, connected: true })),
      ...absent.map(({ node, name, role, tags }) =>
        view({ peerId: node, name: nameOf(node) ?? name, role, tags, connected: false })
      ),
      ...seen.map(({ node, name, role, until }) =>
        view({ peerId: node, name: nameOf(node) ?? name, role, notAfter: until, connected: false })
      )
    ]
  }

  function find(node: string): { peerId: string; name: string; role: MemberView['role'] | undefined } {
    // Whoever calls itself so must not keep that one from being revoked, or be taken for it.
    const isName = !isPeerId(node) && !node.startsWith('…')
    const fitting = members().filter(
      ({ peerId, name }) => peerId === node || (isName && name === node) || isShortIdOf(peerId, node)
    )
    const [one] = fitting
    if (fitting.length > 1)
      throw new MeshError(
        'ambiguous',
        `${fitting.length} members are called "${node}"; say which: ${fitting.map(({ peerId }) => peerId).join(', ')}`,
        {
          candidates: fitting.map(({ peerId }) => peerId)
        }
      )
    if (one !== undefined) return one
    if (/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/.test(node)) return { peerId: node, name: '', role: undefined }
    throw new MeshError('invalid_argument', `no member is called "${node}"; atmo members lists them, and a PeerId always works`)
  }

  return { members, find }
}

function view({ peerId, name, role, tags, notAfter, connected }: Partial<CheckedMember> & Shown): MemberView {
  const certifiedUntil = notAfter === undefined || notAfter > MAX_DATE_S ? null : new Date(notAfter * 1_000).toISOString()
  return { peerId, name: name ?? '', role, tags: [...(tags ?? [])], certifiedUntil, connected }
}
type Shown = Pick<MemberView, 'peerId' | 'role' | 'connected'> & { name: string | undefined }
/** The last second that a Date can hold. */
const MAX_DATE_S = 8.64e12
