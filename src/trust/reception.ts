import { privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import type { Welcome } from '../../protocols/join/messages.ts'
import { ROLES, type Certificate, type Role, type SignedCertificate } from '../../protocols/member/messages.ts'
import { NO_NOTICES } from '../../protocols/member/notices.ts'
import type { SignedRevocation } from '../../protocols/member/revocation.ts'
import { originBytes } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { createInvites, type InviteGrant } from './invites.ts'
import { canIssue, issueChain } from './issuer.ts'
import { NOT_KEPT, type Entry, type Membership } from './membership-contract.ts'
import { mergeRevocations } from './merge.ts'
import type { MeshClock } from './mesh-clock.ts'
import { MAX_ISSUED, type KnownRoot, type MeshState } from './mesh-state.ts'
import { issueRevocation, type Revocations } from './revocations.ts'
import type { Successions } from './successions.ts'

/** How a member lets others in, and renews their certificates. */
export type Reception = Pick<Membership, 'isInviting' | 'invite' | 'checkMayInvite' | 'letIn' | 'welcome'>

/** What it stands on. */
export interface ReceptionComponents {
  nodeKey: PrivateKey
  clock: Pick<MeshClock, 'nowS'>
  /** Monotonic, in ms. */
  now: () => number
  revocations: Pick<Revocations, 'lastAt' | 'take'>
  /** Members by certificates of a key of the mesh. */
  roots(): readonly KnownRoot[]
  successions: Pick<Successions, 'of'>
  /** With a key of the mesh only if that is the newest. */
  state(): MeshState
  change(update: (before: MeshState) => Partial<MeshState>): Promise<void>
  /** A key of the mesh has signed this. @returns what takes that back, if it was news: nobody got it. */
  remember(certificate: Certificate): (() => void) | undefined
  /** @throws MeshError `permission_denied` if this node is no member any more. */
  refuseRevoked(what: string): void
  /** Another key is being made: what the old one signs now would not stay good. */
  isRotating(): boolean
}

/** See {@link Reception}. */
export function createReception(components: ReceptionComponents): Reception {
  const { nodeKey, clock, now, revocations, successions, roots, state, change, remember, refuseRevoked, isRotating } = components
  const invites = createInvites(now, (bytes) => crypto.getRandomValues(new Uint8Array(bytes)))

  function refuseRotating(): void {
    if (isRotating()) throw new MeshError('busy', 'the key of the mesh is being replaced at this moment; try again')
  }

  /**
   * Ends what a node was before it is let in with a lower role: else it would go on showing its old certificate.
   * Not of an owner: it has the key of the mesh, and only another key helps.
   */
  async function endHigher(peer: string, { role, since }: InviteGrant): Promise<SignedRevocation | undefined> {
    const { issued, meshKey, chain, mesh } = state()
    const held = [...issued, ...roots()].filter(({ node }) => node === peer).map((one) => ROLES.indexOf(one.role))
    const highest = ROLES[Math.min(...held)]
    // A renewal is no other role.
    if (since !== undefined || highest === undefined || highest === 'owner') return undefined
    if (ROLES.indexOf(highest) >= ROLES.indexOf(role)) return undefined
    const node = originBytes(peer)
    // Who was let in again within the second of a revocation is a member since the next one.
    const at = Math.max(clock.nowS(), revocations.lastAt(node) + 1)
    const ended = { mesh: originBytes(mesh), node, at, role: highest }
    return issueRevocation({ meshKey, nodeKey, chain }, { ...ended, reason: `it was let in anew as ${role}` })
  }

  async function letIn(peer: string, grant: InviteGrant, name: string): Promise<Entry> {
    refuseRotating()
    const ended = await endHigher(peer, grant)
    const after = Math.max(revocations.lastAt(originBytes(peer)), ended?.revocation.at ?? -1)
    const chain = await issueChain(state(), nodeKey, { node: peer, name, ...grant, after }, clock.nowS())
    refuseRotating()
    const forget = chain.length === 1 ? remember(chain[0]!.certificate) : undefined
    const one = { node: peer, name, role: grant.role, tags: [...(grant.tags ?? [])], at: clock.nowS() }
    try {
      await change((before) => ({
        issued: [...before.issued.filter(({ node }) => node !== peer), one].slice(-MAX_ISSUED),
        ...(ended !== undefined && { revocations: mergeRevocations(before.revocations, [ended], clock.nowS()) })
      }))
    } catch (error) {
      forget?.()
      // Who asks is a stranger: paths of this machine are not for it.
      throw new MeshError(
        'unavailable',
        'the node that was asked cannot keep whom it lets in; is its disk full?',
        { reason: NOT_KEPT },
        { cause: error }
      )
    }
    const welcome = welcomeWith(chain, grant.role)
    if (ended === undefined) return welcome
    await revocations.take(ended)
    return { ...welcome, made: { ...NO_NOTICES, revocations: [ended] } }
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
        const { grant, undo } = invites.use(request.token)
        return letIn(peer, grant, request.name).catch((error: unknown) => {
          undo()
          throw error
        })
      }
      if (member === undefined) throw new MeshError('permission_denied', 'only a member can renew its certificate')
      const { role, forward, name, tags, since } = member
      return letIn(peer, { role, forward, tags, since }, name)
    }
  }
}
