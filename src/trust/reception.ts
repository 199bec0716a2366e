import { privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import type { Welcome } from '../../protocols/join/messages.ts'
import type { Certificate, Role, SignedCertificate } from '../../protocols/member/messages.ts'
import { originBytes } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { createInvites, type InviteGrant } from './invites.ts'
import { canIssue, issueChain } from './issuer.ts'
import { NOT_KEPT, type Membership } from './membership-contract.ts'
import type { MeshClock } from './mesh-clock.ts'
import { MAX_ISSUED, type MeshState } from './mesh-state.ts'
import type { Revocations } from './revocations.ts'
import type { Successions } from './successions.ts'

/** How a member lets others in, and renews their certificates. */
export type Reception = Pick<Membership, 'isInviting' | 'invite' | 'checkMayInvite' | 'letIn' | 'welcome'>

/** What it stands on. */
export interface ReceptionComponents {
  nodeKey: PrivateKey
  clock: Pick<MeshClock, 'nowS'>
  /** Monotonic, in ms. */
  now: () => number
  revocations: Pick<Revocations, 'lastAt'>
  successions: Pick<Successions, 'of'>
  /** With a key of the mesh only if that is the newest. */
  state(): MeshState
  change(update: (before: MeshState) => Partial<MeshState>): Promise<void>
  /** A key of the mesh has signed this. */
  remember(node: string, certificate: Certificate): void
  /** @throws MeshError `permission_denied` if this node is no member any more. */
  refuseRevoked(what: string): void
  /** Another key is being made: what the old one signs now would not stay good. */
  isRotating(): boolean
}

/** See {@link Reception}. */
export function createReception(components: ReceptionComponents): Reception {
  const { nodeKey, clock, now, revocations, successions, state, change, remember, refuseRevoked, isRotating } = components
  const invites = createInvites(now, (bytes) => crypto.getRandomValues(new Uint8Array(bytes)))

  function refuseRotating(): void {
    if (isRotating()) throw new MeshError('busy', 'the key of the mesh is being replaced at this moment; try again')
  }

  async function letIn(peer: string, grant: InviteGrant, name: string): Promise<Welcome> {
    refuseRotating()
    const after = revocations.lastAt(originBytes(peer))
    const chain = await issueChain(state(), nodeKey, { node: peer, name, ...grant, after }, clock.nowS())
    refuseRotating()
    if (chain.length === 1) remember(peer, chain[0]!.certificate)
    const one = { node: peer, name, role: grant.role, tags: [...(grant.tags ?? [])], at: clock.nowS() }
    try {
      await change(({ issued }) => ({ issued: [...issued.filter(({ node }) => node !== peer), one].slice(-MAX_ISSUED) }))
    } catch (error) {
      // Who asks is a stranger: paths of this machine are not for it.
      throw new MeshError(
        'unavailable',
        'the node that was asked cannot keep whom it lets in; is its disk full?',
        { reason: NOT_KEPT },
        { cause: error }
      )
    }
    return welcomeWith(chain, grant.role)
  }

  function welcomeWith(chain: SignedCertificate[], role: Role): Welcome {
    const { mesh, name, secret, meshKey } = state()
    return {
      mesh: originBytes(mesh),
      name,
      secret,
      chain,
      successions: successions.of(originBytes(mesh)),
      // A second owner is the way back when the first one's machine is lost.
      meshKey: role === 'owner' && meshKey !== undefined ? privateKeyToProtobuf(meshKey) : undefined,
      now: clock.nowS()
    }
  }

  function checkMayInvite(role: Role): void {
    refuseRevoked('let nobody in')
    if (!canIssue(state(), role) || (role === 'owner' && state().meshKey === undefined))
      throw new MeshError('permission_denied', `this node may not invite as ${role}; ask an owner of the mesh`, { role })
  }

  return {
    get isInviting() {
      return invites.any
    },
    invite(grant) {
      checkMayInvite(grant.role)
      return invites.give(grant)
    },
    checkMayInvite,
    letIn,
    async welcome(request, peer, member) {
      if (request.op === 'join') {
        // Before the token is used up.
        refuseRotating()
        return letIn(peer, invites.use(request.token), request.name)
      }
      if (member === undefined) throw new MeshError('permission_denied', 'only a member can renew its certificate')
      const { role, forward, name, tags, since } = member
      return letIn(peer, { role, forward, tags, since }, name)
    }
  }
}
