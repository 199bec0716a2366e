import type { Notices } from '../protocols/member/notices.ts'
import { originId } from './core/document.ts'
import { MeshError } from './errors.ts'
import type { CheckedPeers } from './mesh-checked.ts'
import type { MeshComponents } from './mesh-components.ts'

/** Ends what notices end, at this node, and says so. */
export interface Endings {
  /** @param fresh what was new. @param learnt from others: what was made here is said where it is made. */
  enforce(fresh: Notices, learnt: boolean): void
  /** Once: it hears that from everybody. */
  warnIfRevoked(): void
}

/** What it needs. */
export interface EndingsComponents extends Pick<MeshComponents, 'membership' | 'audit' | 'log'> {
  /** PeerId of this node. */
  self: string
  checked: Pick<CheckedPeers, 'ended' | 'recall'>
  /** Ends all that a member has open that is connected. */
  expel(peer: string, error: MeshError): void
  /** Ends what outlives a connection. */
  onLess(peer: string): void
}

/** See {@link Endings}. */
export function createEndings({ membership, audit, log, self, checked, expel, onLess }: EndingsComponents): Endings {
  let warned = false

  function warnIfRevoked(): void {
    const { revocation } = membership
    if (revocation === undefined || warned) return
    warned = true
    audit?.({ event: 'revoked', peer: self })
    const why = revocation.reason === '' ? '' : ` ("${revocation.reason}")`
    log('warn', `the membership of this node was revoked${why}: nobody of the mesh speaks to it; a new invite lets it in again`)
  }

  return {
    warnIfRevoked,
    enforce({ revocations, successions }, learnt) {
      if (learnt)
        for (const { succession } of successions)
          audit?.({
            event: 'rotated',
            mesh: originId(succession.mesh),
            generation: succession.generation,
            kept: succession.keeps.length
          })
      const named = new Map(revocations.map(({ revocation }) => [originId(revocation.node), revocation]))
      const over = new Map(checked.ended().map(({ peer, wasPresent }) => [peer, wasPresent]))
      // Also of those that are away, or were never here.
      for (const [peer, { issuer, reason }] of named) {
        if (learnt && peer !== self) audit?.({ event: 'revoked', peer, by: originId(issuer), reason })
        // Unless it was let in anew since.
        if (!over.has(peer) && checked.recall(peer) === undefined) onLess(peer)
      }
      for (const [peer, wasPresent] of over) {
        if (!learnt || !named.has(peer)) audit?.({ event: 'revoked', peer })
        onLess(peer)
        if (!wasPresent) continue
        log('info', `${peer} is no member any more`)
        expel(peer, new MeshError('permission_denied', 'its membership was revoked', { reason: 'revoked' }))
      }
      warnIfRevoked()
    }
  }
}
