import { privateKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { JoinRequest, Welcome } from '../../protocols/join/messages.ts'
import type { Role, SignedCertificate } from '../../protocols/member/messages.ts'
import { NO_NOTICES, type Notices } from '../../protocols/member/notices.ts'
import type { SignedRevocation } from '../../protocols/member/revocation.ts'
import { originBytes, originId } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { verifyChain, type CheckedMember } from './certificate.ts'
import { createInvites, type InviteGrant } from './invites.ts'
import { VALIDITY_S, canIssue, issueChain } from './issuer.ts'
import { createMeshClock } from './mesh-clock.ts'
import { createRevocations, type EndOfMembership, issueRevocation, noticeDigest } from './revocations.ts'
import { mergeRevocations, mergeTreaties } from './merge.ts'
import { MAX_ISSUED, type IssuedMember, type MeshState } from './mesh-state.ts'
import { createTreaties } from './treaties.ts'
import { createTreatyDesk, type TreatyDesk } from './treaty-desk.ts'

/** Id of the mesh that everybody is a member of. */
export const OPEN_MESH = 'open'

/** `details.reason` of `unavailable` when a node cannot keep whom it lets in. */
export const NOT_KEPT = 'not_kept'

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
  /** Takes notices from elsewhere and keeps them. @returns those that were new. @throws MeshError `protocol_error` if one is not good. */
  learn(notices: Notices): Promise<Notices>
  /** What this mesh agrees on with others. */
  readonly treaties: TreatyDesk
  /** True if none of the certificates of this checked member is revoked. */
  isStillMember(chain: readonly SignedCertificate[]): boolean
  /** That the membership of this node itself has ended; undefined while it holds. */
  readonly revocation: EndOfMembership | undefined
  /** Ends the membership of a node. @param role what it is, if that is known. @throws MeshError `permission_denied` if this node may not, `unavailable` if it cannot be kept. */
  revoke(node: string, role: Role | undefined, reason: string): Promise<SignedRevocation>
  /** Members that this node let in. */
  readonly issued: readonly IssuedMember[]
  /** True while this node has given an invite that is not used. */
  readonly isInviting: boolean
  /** Gives an invite. @returns its token. @throws MeshError `permission_denied` if this node may not, `busy`, `unsupported` in the open mesh. */
  invite(grant: InviteGrant): Uint8Array
  /** @throws MeshError `permission_denied` if this node may not make members of that role, `unsupported` in the open mesh. */
  checkMayInvite(role: Role): void
  /** Makes a node a member that a person let in. @throws MeshError `permission_denied`, `unavailable` if it cannot be kept. */
  letIn(peer: string, grant: InviteGrant, name: string): Promise<Welcome>
  /** Answers a node that asks to join, or a member to renew. @param member who it is, if it is admitted. @throws MeshError `permission_denied`. */
  welcome(request: JoinRequest, peer: string, member: CheckedMember | undefined): Promise<Welcome>
  /** True if the certificates of a checked member have ended since. */
  isOver(member: CheckedMember): boolean
  /** True when this node's certificates end soon, so that a new chain is to be asked for. */
  needsRenewal(): boolean
  /** Gives itself a new chain, if this node has the key of the mesh and needs one. @returns whether it did. @throws MeshError `unavailable` if it cannot be kept. */
  renewOwn(): Promise<boolean>
  /** Takes a new chain. @throws MeshError `permission_denied` if it is not good. */
  renewed(welcome: Welcome): Promise<void>
}

/** What a membership in a private mesh stands on. */
export interface MembershipInit {
  state: MeshState
  /** Key of this node. */
  nodeKey: PrivateKey
  /** The machine's clock, Unix time in s. */
  wallS: () => number
  /** Monotonic, in ms. */
  now: () => number
  /** Keeps the state; what it says has not happened before it resolves. */
  save(state: MeshState): Promise<void>
}

/**
 * Membership in a private mesh. Of an owner without a certificate, the first is made here.
 * @throws MeshError `invalid_config` if the state's own certificates are not those of this node.
 */
export async function privateMembership({ state: initial, nodeKey, wallS, now, save }: MembershipInit): Promise<Membership> {
  let state = initial
  const self = peerIdFromPrivateKey(nodeKey).toString()
  const clock = createMeshClock(wallS, now, state.clock)
  const invites = createInvites(now, (bytes) => crypto.getRandomValues(new Uint8Array(bytes)))

  const known = createRevocations(originBytes(state.mesh), clock.nowS, clock.toleranceS)
  for (const signed of state.revocations) await known.take(signed)
  const agreed = createTreaties(originBytes(state.mesh), clock.nowS, clock.toleranceS)
  const { treaties: signedTreaties = [], treatyRevocations = [] } = state
  await agreed.take({ treaties: signedTreaties, treatyRevocations }, { kept: true }).catch(() => {
    throw new MeshError('invalid_config', 'the mesh of this node holds a treaty that nobody signed')
  })

  let saving: Promise<void> = Promise.resolve()
  /** One after the other, each from what the one before left: two at once would each write what the other has not changed yet. */
  function change(update: (before: MeshState) => Partial<MeshState>): Promise<void> {
    const saved = saving.then(async () => {
      const next = { ...state, ...update(state), clock: clock.state() }
      await save(next)
      state = next
    })
    saving = saved.catch(() => undefined)
    return saved
  }

  async function check(chain: readonly SignedCertificate[], peer: string): Promise<CheckedMember> {
    const member = await verifyChain(chain, {
      mesh: originBytes(state.mesh),
      node: originBytes(peer),
      nowS: clock.nowS(),
      toleranceS: clock.toleranceS(),
      isRevoked: known.isRevoked
    })
    clock.atLeast(member.notBefore)
    return member
  }

  /** An owner needs nobody for its own certificate. */
  async function issueOwn(): Promise<void> {
    const { role = 'owner', name = '', tags = [] } = state.chain[0]?.certificate ?? {}
    const { since } = state.chain[0]?.certificate ?? {}
    const chain = await issueChain(state, nodeKey, { node: self, role, forward: true, name, tags, since }, clock.nowS())
    await change(() => ({ chain }))
  }

  async function letIn(peer: string, grant: InviteGrant, name: string): Promise<Welcome> {
    const chain = await issueChain(
      state,
      nodeKey,
      { node: peer, name, ...grant, after: known.lastAt(originBytes(peer)) },
      clock.nowS()
    )
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
    const { mesh, name, secret, meshKey } = state
    return {
      mesh: originBytes(mesh),
      name,
      secret,
      chain,
      // A second owner is the way back when the first one's machine is lost.
      meshKey: role === 'owner' && meshKey !== undefined ? privateKeyToProtobuf(meshKey) : undefined,
      now: clock.nowS()
    }
  }

  function refuseRevoked(what: string): void {
    if (known.endOf(state.chain) === undefined) return
    throw new MeshError('permission_denied', `the membership of this node was revoked: it can ${what}`, { reason: 'revoked' })
  }

  function checkMayInvite(role: Role): void {
    refuseRevoked('let nobody in')
    if (!canIssue(state, role) || (role === 'owner' && state.meshKey === undefined))
      throw new MeshError('permission_denied', `this node may not invite as ${role}; ask an owner of the mesh`, { role })
  }

  const needsRenewal = (): boolean =>
    state.chain.length === 0 ||
    Math.min(...state.chain.map(({ certificate }) => certificate.notAfter)) - clock.nowS() < VALIDITY_S / 3

  const holder = state.chain[0]?.certificate.node
  if (holder !== undefined && originId(holder) !== self)
    throw new MeshError(
      'invalid_config',
      'the mesh of this data directory was given to another node: its key and its mesh are not of one',
      {
        node: originId(holder)
      }
    )
  if (state.meshKey !== undefined && needsRenewal()) await issueOwn()
  for (const { certificate } of state.chain) clock.atLeast(certificate.notBefore)

  return {
    mesh: state.mesh,
    get name() {
      return state.name
    },
    secret: state.secret,
    get role() {
      return state.chain[0]?.certificate.role ?? 'guest'
    },
    chain: () => state.chain,
    check,
    get clockInDoubt() {
      return clock.inDoubt()
    },
    notices: () => ({ revocations: known.all(), ...agreed.all() }),
    noticeDigest: () => noticeDigest([...known.keys(), ...agreed.keys()]),
    treaties: createTreatyDesk({
      known: agreed,
      clock,
      state: () => state,
      keep: (update) => change(({ treaties = [], treatyRevocations = [] }) => update({ treaties, treatyRevocations })),
      isRevoked: known.isRevoked
    }),
    async learn({ revocations, ...others }) {
      const fresh: SignedRevocation[] = []
      let refused = false
      for (const signed of revocations) {
        const intake = await known.take(signed)
        refused ||= intake === 'refused'
        if (intake === 'new') fresh.push(signed)
      }
      const { treaties, treatyRevocations } = refused ? NO_NOTICES : await agreed.take(others)
      // Also those beside one that is not good: what holds in memory must hold after a start.
      if (fresh.length + treaties.length + treatyRevocations.length > 0)
        await change((before) => ({
          revocations: mergeRevocations(before.revocations, fresh, clock.nowS()),
          ...mergeTreaties(before, agreed.kept())
        }))
      // Whoever checks has none to pass on.
      if (refused) throw new MeshError('protocol_error', 'a peer sent a revocation that is not good')
      return { revocations: fresh, treaties, treatyRevocations }
    },
    get revocation() {
      return known.endOf(state.chain)
    },
    isStillMember: (chain) => known.endOf(chain) === undefined,
    async revoke(node, role, reason) {
      refuseRevoked('revoke nobody')
      const { meshKey, chain } = state
      const revoked = { mesh: originBytes(state.mesh), node: originBytes(node), at: clock.nowS(), role, reason }
      const signed = await issueRevocation({ meshKey, nodeKey, chain }, revoked)
      // First on disk: what is told to others must not be forgotten here.
      await change(({ revocations, issued }) => ({
        revocations: mergeRevocations(revocations, [signed], clock.nowS()),
        issued: issued.filter((one) => one.node !== node)
      }))
      await known.take(signed)
      return signed
    },
    get issued() {
      return state.issued
    },
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
      if (request.op === 'join') return letIn(peer, invites.use(request.token), request.name)
      if (member === undefined) throw new MeshError('permission_denied', 'only a member can renew its certificate')
      const { role, forward, name, tags, since } = member
      return letIn(peer, { role, forward, tags, since }, name)
    },
    isOver: ({ notAfter }) => notAfter < clock.nowS(),
    needsRenewal,
    async renewOwn() {
      if (state.meshKey === undefined || !needsRenewal() || known.endOf(state.chain) !== undefined) return false
      await issueOwn()
      return true
    },
    async renewed({ mesh, chain, now: theirs }) {
      if (originId(mesh) !== state.mesh)
        throw new MeshError('permission_denied', 'this certificate is of another mesh', { reason: 'wrong_mesh' })
      const { role } = await verifyChain(chain, { mesh, node: originBytes(self), nowS: theirs, isRevoked: known.isRevoked })
      if (role !== state.chain[0]?.certificate.role)
        throw new MeshError('permission_denied', `the new certificate makes this node ${role}: it was not taken`, { role })
      if (clock.inDoubt()) clock.correct(theirs)
      await change(() => ({ chain }))
    }
  }
}
