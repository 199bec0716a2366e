import type { Approvals } from './calls/approvals.ts'
import { originBytes } from './core/document.ts'
import { MeshError, isMeshError } from './errors.ts'
import type { DoorView, InviteOptions } from './mesh-api.ts'
import type { MeshTrustComponents } from './mesh-trust.ts'
import { createNearbyDesk, type NearbyDesk, type NearbyDeskComponents } from './net/nearby.ts'
import { MAX_ASKS, createDoor } from './trust/door.ts'
import { INVITE_MS } from './trust/invites.ts'
import type { Entry } from './trust/membership.ts'

/** Lets nodes nearby in that a person at this node approves. */
export interface MeshNearby extends NearbyDesk {
  /** @throws MeshError `permission_denied`, `unsupported`. */
  open(options: Required<InviteOptions>): DoorView
}

/** What it needs. */
export interface MeshNearbyComponents
  extends
    Pick<MeshTrustComponents, 'libp2p' | 'membership' | 'audit' | 'now' | 'log' | 'nameOf'>,
    Pick<NearbyDeskComponents, 'excuse'> {
  /** Asks the person at this node. */
  ask: Approvals['ask']
  /** A node was let in. */
  onLetIn(entry: Entry): void
}

/** See {@link MeshNearby}. */
export function createMeshNearby({
  libp2p,
  membership,
  audit,
  now,
  log,
  nameOf,
  excuse,
  ask,
  onLetIn
}: MeshNearbyComponents): MeshNearby {
  const self = libp2p.peerId.toString()
  const door = createDoor(now)
  const desk = createNearbyDesk({
    libp2p,
    now,
    self,
    excuse,
    isOpen: () => door.grant !== undefined,
    sight: () => ({ mesh: originBytes(membership.mesh), meshName: membership.name, nodeName: nameOf(self) ?? '' }),
    begin(peer, op) {
      if (door.grant === undefined) throw shut()
      if (op === 'look' || door.ask()) return
      audit?.({ event: 'join-refused', peer, reason: 'too many asked: the door was shut' })
      log('warn', `the door was shut: nodes nearby asked ${MAX_ASKS} times; somebody may be trying to get in unseen`)
      throw shut()
    },
    async admit({ peer, name, code }, signal) {
      const { grant, closed } = door
      if (grant === undefined) throw shut()
      if (door.isIgnored(peer)) throw new MeshError('permission_denied', 'this node was ignored', { reason: 'not_approved' })
      try {
        await ask({ kind: 'join', caller: peer, name, role: grant.role, code }, AbortSignal.any([signal, closed]))
      } catch (error) {
        if (isMeshError(error, 'permission_denied')) door.ignore(peer)
        throw closed.aborted ? shut() : error
      }
      // Of two that are approved in the same moment, one finds it open.
      if (closed.aborted || door.grant === undefined) throw shut()
      door.close()
      const welcome = await membership.letIn(peer, grant, name)
      onLetIn(welcome)
      audit?.({ event: 'join', peer, name, role: grant.role })
      log('info', `let in ${peer}`)
      return welcome
    }
  })

  return {
    ...desk,
    async stop() {
      door.close()
      await desk.stop()
    },
    open(grant) {
      membership.checkMayInvite(grant.role)
      door.open(grant)
      audit?.({ event: 'door', role: grant.role })
      return { role: grant.role, expiresAt: new Date(Date.now() + INVITE_MS).toISOString() }
    }
  }
}

function shut(): MeshError {
  return new MeshError('permission_denied', 'the door of this mesh was shut meanwhile; let it be opened again', {
    reason: 'closed'
  })
}
