import { ROLES } from '../protocols/member/messages.ts'
import type { MemberStanding, Standing } from './core/policy.ts'
import type { CheckedPeer } from './mesh-members.ts'
import type { Membership } from './trust/membership.ts'

/** Members that are remembered after they went; the one seen longest ago is forgotten first. */
export const MAX_RECALLED = 1_024

/** What a node is of which no certificate of this mesh was checked. */
export const STRANGER: Standing = { role: 'guest', tags: [] }

/** Its role is a lower one or a tag is gone, so that it may call less; or only that it may not pass on any more, which no call of its own depends on. */
export type Loss = 'rights' | 'forward'

/** The members whose certificates were checked here: those that are connected, and those that were. */
export interface CheckedPeers {
  /** Those that are connected. */
  readonly present: ReadonlyMap<string, CheckedPeer>
  /** One that is connected. @returns what it had when it was seen last and has no more. */
  add(peer: string, checked: CheckedPeer): Loss | undefined
  /** It is not connected any more. */
  left(peer: string): void
  /** Forgets those that are no members any more. @returns them, and whether they are connected. */
  ended(): { peer: string; wasPresent: boolean }[]
  /** What a member is that is connected; {@link STRANGER} for any other node. */
  standingOf(peer: string): Standing
  /** True if a member that is connected has the right to pass on what others send. */
  mayForward(peer: string): boolean
  /**
   * What a member is, or was when it was seen last, if its certificates still hold; undefined for any other node.
   * @param before what it was before this start: counts as long as it was not seen since, unless it was revoked, or the key of the mesh replaced.
   */
  recall(peer: string, before?: MemberStanding): MemberStanding | undefined
}

/** See {@link CheckedPeers}. */
export function createCheckedPeers(
  membership: Pick<Membership, 'isStillMember' | 'isRevoked' | 'endsInS' | 'generation'>
): CheckedPeers {
  const present = new Map<string, CheckedPeer>()
  /** All, the one seen longest ago first. */
  const seen = new Map<string, CheckedPeer>()

  return {
    present,
    add(peer, checked) {
      const before = seen.get(peer)
      present.set(peer, checked)
      seen.delete(peer)
      seen.set(peer, checked)
      const [gone] = seen.size > MAX_RECALLED ? [...seen.keys()].filter((one) => !present.has(one)) : []
      if (gone !== undefined) seen.delete(gone)
      return before && lossOf(checked.member, before.member)
    },
    left: (peer) => void present.delete(peer),
    ended() {
      const over = [...seen].filter(([, { chain }]) => !membership.isStillMember(chain)).map(([peer]) => peer)
      return over.map((peer) => ({ peer, wasPresent: seen.delete(peer) && present.delete(peer) }))
    },
    standingOf: (peer) => present.get(peer)?.member ?? STRANGER,
    mayForward: (peer) => present.get(peer)?.member.forward === true,
    recall(peer, before) {
      const member = seen.get(peer)?.member
      const { generation } = membership
      if (member === undefined) return before !== undefined && holds(peer, before) ? before : undefined
      const { role, tags, since, notAfter } = member
      return membership.endsInS(member) <= 0 ? undefined : { role, tags, since, notAfter, generation }
    }
  }

  /** Its certificates are not here: of those that another key of the mesh has not kept nothing else can be told. */
  function holds(peer: string, before: MemberStanding): boolean {
    return before.generation === membership.generation && !membership.isRevoked(peer, before) && membership.endsInS(before) > 0
  }
}

/** True if it may do less than before: its role is a lower one, or a tag is gone. */
export function hasLess(now: Standing, before: Standing): boolean {
  return ROLES.indexOf(now.role) > ROLES.indexOf(before.role) || before.tags.some((tag) => !now.tags.includes(tag))
}

function lossOf(now: CheckedPeer['member'], before: CheckedPeer['member']): Loss | undefined {
  if (hasLess(now, before)) return 'rights'
  return before.forward && !now.forward ? 'forward' : undefined
}
