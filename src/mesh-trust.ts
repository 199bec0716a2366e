import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { formatInvite } from '../protocols/join/code.ts'
import { MAX_INVITE_ADDRESSES } from '../protocols/join/messages.ts'
import { MAX_TAGS, TAG_PATTERN } from '../protocols/member/messages.ts'
import type { Notices } from '../protocols/member/notices.ts'
import { createTokenBuckets } from './core/token-buckets.ts'
import { MeshError, isMeshError } from './errors.ts'
import type { DoorView, InviteOptions, InviteView, Mesh } from './mesh-api.ts'
import { createCheckedPeers, type CheckedPeers } from './mesh-checked.ts'
import type { Discovery, MeshComponents } from './mesh-components.ts'
import { createEndings } from './mesh-endings.ts'
import { createRoster } from './mesh-members.ts'
import type { Federation } from './mesh-federation.ts'
import { createMeshNearby, type MeshNearbyComponents } from './mesh-nearby.ts'
import { createMeshNotices } from './mesh-notices.ts'
import { createNoticeRounds } from './mesh-notice-rounds.ts'
import { createRenewal } from './mesh-renewal.ts'
import { createAdmission } from './net/admission.ts'
import { createJoinDesk } from './net/join.ts'
import { INVITE_MS } from './trust/invites.ts'
import { canRenew } from './trust/issuer.ts'
import type { Entry } from './trust/membership.ts'

export { STRANGER } from './mesh-checked.ts'

/** A node of another mesh is not dialled again for this time, in ms, though it is found. */
export const STRANGER_MS = 600_000

/** A node that is let in has its answer within this time, in ms. */
const TELL_AFTER_MS = 1_000

/** Strangers in the audit log: of one, and of all together. */
const KNOCK_RATE = { one: { perSecond: 1 / 600, burst: 2 }, all: { perSecond: 1 / 10, burst: 50 } } as const

/** Who belongs to the mesh: the gate, the desk where others join, and the node's own certificate. */
export interface MeshTrust extends Pick<CheckedPeers, 'standingOf' | 'recall' | 'mayForward'> {
  /** Before libp2p starts: nobody is to come in before the gate is shut. */
  start(): Promise<void>
  /** Once libp2p has started. */
  listen(): void
  stop(): Promise<void>
  /** @throws MeshError `permission_denied`, `unsupported`, `busy`. */
  invite(options: InviteOptions): InviteView
  /** @throws MeshError `permission_denied`, `unsupported`. */
  openDoor(options: InviteOptions): DoorView
  /** Ends the admission of a node of another mesh, and with it all that it has open, once it was told why. */
  part(peer: string, error: MeshError): void
  /** Acts on what was made here, and tells the members. */
  announce(notices: Notices): Promise<void>
  /** A member says the digest of the notices that it knows. */
  noticesOf(peer: string, digest: Uint8Array): void
  /** As a person at this node may ask for. */
  readonly commands: Pick<Mesh, 'members' | 'revoke' | 'rotate'>
}

/** What it needs. */
export interface MeshTrustComponents extends Pick<MeshComponents, 'libp2p' | 'membership' | 'gossip' | 'audit' | 'now' | 'log'> {
  federation: Pick<Federation, 'proofs' | 'check' | 'admitted' | 'forget' | 'enforce' | 'meshOf'>
  /** Where others may reach this node. */
  addresses(): string[]
  /** Name of a node, of its announcement. */
  nameOf(peer: string): string | undefined
  /** Asks the person at this node. */
  ask: MeshNearbyComponents['ask']
  /** Whom to look for. */
  discovery: Pick<Discovery, 'avoid' | 'forgive' | 'proved'>
  /** Counts what is shown in the status. */
  count(counter: string): void
  /** A node is no member any more, or comes with fewer rights: ends what it began with those that it had. */
  onLess(peer: string): void
  /** A node comes with all its rights but the one to pass on what others send. */
  onNoForward(peer: string): void
}

/** See {@link MeshTrust}. */
export function createMeshTrust(components: MeshTrustComponents): MeshTrust {
  const { libp2p, membership, gossip, audit, now, log, federation, addresses, nameOf, ask, discovery, count, onLess } = components
  const { gate } = libp2p.services
  const self = libp2p.peerId.toString()
  /** Whose certificates were good when they connected. */
  const checked = createCheckedPeers(membership)
  const knocks = createTokenBuckets(KNOCK_RATE.one, now)
  // Of its own: strangers that knock must not hide who tries codes.
  const refusals = createTokenBuckets(KNOCK_RATE.all, now)
  const allKnocks = createTokenBuckets(KNOCK_RATE.all, now)
  const notices = createMeshNotices({ membership, gossip, now, log, enforce })
  /** What is to be told as soon as the node that it is about has its answer. */
  const untold = new Map<Notices, ReturnType<typeof setTimeout>>()

  const admission = createAdmission({
    libp2p,
    secret: membership.secret,
    chain: () => membership.chain(),
    notices: () => membership.notices(),
    successions: () => membership.successions(),
    noticeDigest: () => membership.noticeDigest(),
    learn: (learnt) => notices.learn(learnt),
    treaties: () => federation.proofs(),
    async check(chain, peer, mesh) {
      if (mesh !== undefined) return federation.check(chain, peer, mesh)
      const member = await membership.check(chain, peer)
      if (connectionTo(peer) === undefined) return
      const loss = checked.add(peer, { member, chain })
      if (loss === 'rights') onLess(peer)
      else if (loss === 'forward') components.onNoForward(peer)
      federation.forget(peer)
      // Shown again on a connection that is open already; at first it is not admitted yet.
      if (gate.isAdmitted(peer) && canRenew(member.role)) void renewal.renew()
    },
    onMember(peer) {
      renewal.watch()
      const member = checked.present.get(peer)?.member
      if (member !== undefined && canRenew(member.role)) void renewal.renew()
    },
    onForeign: (peer, mesh) => federation.admitted(peer, mesh),
    now,
    onStranger(peer, error) {
      // Whoever knocks without end must not push what matters out of the log.
      if (knocks.take(peer) && allKnocks.take('')) audit?.({ event: 'stranger', peer, reason: error.message })
      count('admission.refused')
      discovery.avoid(peer, STRANGER_MS)
      log('info', `refused ${peer}: ${error.message}`)
    },
    onProof: discovery.proved
  })
  const desk = createJoinDesk({
    libp2p,
    now,
    isOpen: () => membership.isInviting,
    async welcome(request, peer) {
      const member = gate.isAdmitted(peer) ? checked.present.get(peer)?.member : undefined
      const welcome = await membership.welcome(request, peer, member).catch((error: unknown) => {
        refusedEntry(peer, error)
        throw error
      })
      tellOf(welcome)
      const { name = '', role = '' } = welcome.chain[0]?.certificate ?? {}
      audit?.({ event: request.op, peer, name, role })
      log('info', `${request.op === 'join' ? 'let in' : 'renewed the certificate of'} ${peer}`)
      return welcome
    }
  })

  const nearby = createMeshNearby({ libp2p, membership, audit, now, log, nameOf, ask, excuse: admission.excuse, onLetIn: tellOf })

  const renewal = createRenewal({
    membership,
    checked: checked.present,
    connectionTo: (peer) => (gate.isAdmitted(peer) ? connectionTo(peer) : undefined),
    drop(peer, error) {
      for (const connection of libp2p.getConnections(peerIdFromString(peer))) connection.abort(error)
    },
    onRenewed: discovery.forgive,
    now,
    log
  })
  const rounds = createNoticeRounds({ digest: () => membership.noticeDigest(), compare: admission.again, now, log })
  const roster = createRoster({ self, membership, gate, checked: checked.present, nameOf })
  const endings = createEndings({ membership, audit, log, self, checked, expel: admission.expel, onLess })

  /** A code that is tried twice is what an owner wants to see; a disk that is full, what it has to. */
  function refusedEntry(peer: string, error: unknown): void {
    const { message, cause } = error as MeshError
    if (refusals.take('')) audit?.({ event: 'join-refused', peer, reason: message })
    if (isMeshError(error, 'unavailable'))
      log('warn', `${peer} was not let in: ${(cause as Error | undefined)?.message ?? message}`)
  }

  function enforce(fresh: Notices, learnt = true): void {
    endings.enforce(fresh, learnt)
    federation.enforce(fresh)
    if (fresh.successions.length > 0) void renewal.renew()
  }

  function tellRotation({ successions }: Notices): void {
    for (const { succession } of successions) {
      const { generation, keeps } = succession
      log('info', `the key of the mesh was replaced; the certificates of ${keeps.length} members stay good`)
      audit?.({ event: 'rotate', generation, kept: keeps.length })
    }
  }

  async function announce(made: Notices): Promise<void> {
    enforce(made, false)
    await notices.publish(made)
  }

  /** What a node was before ends once it has its answer: that may come over a connection which ends with it. */
  function tellOf({ made }: Entry): void {
    if (made === undefined) return
    const timer = setTimeout(() => void tellNow(made), TELL_AFTER_MS)
    timer.unref?.()
    untold.set(made, timer)
  }

  async function tellNow(made: Notices): Promise<void> {
    clearTimeout(untold.get(made))
    if (untold.delete(made)) await announce(made)
  }

  function connectionTo(peer: string): Connection | undefined {
    const all = libp2p.getConnections(peerIdFromString(peer))
    return all.find(({ limits }) => limits === undefined) ?? all[0]
  }

  function onClose({ detail: { remotePeer } }: CustomEvent<Connection>): void {
    const peer = remotePeer.toString()
    if (connectionTo(peer) === undefined) checked.left(peer)
  }

  return {
    async start() {
      endings.warnIfRevoked()
      await admission.start()
      await desk.start()
      await nearby.start()
      libp2p.addEventListener('connection:close', onClose)
      renewal.start()
    },
    listen: () => notices.listen(),
    async stop() {
      renewal.stop()
      libp2p.removeEventListener('connection:close', onClose)
      await nearby.stop()
      await desk.stop()
      // Nobody is let in any more, and who hears this may be all that will ever tell it.
      for (const made of untold.keys()) await tellNow(made)
      await admission.stop()
    },
    openDoor: (options) => nearby.open(grantOf(options)),
    invite(options) {
      const grant = grantOf(options)
      const { role } = grant
      const reachable = addresses()
      if (reachable.length === 0)
        throw new MeshError('unavailable', 'this node listens nowhere: nobody could reach it with an invite')
      const token = membership.invite(grant)
      audit?.({ event: 'invite', role })
      const code = formatInvite({
        token,
        node: libp2p.peerId.toMultihash().bytes,
        addresses: reachable.slice(0, MAX_INVITE_ADDRESSES).map((address) => withoutPeer(address))
      })
      return { code, role, expiresAt: new Date(Date.now() + INVITE_MS).toISOString() }
    },
    standingOf: checked.standingOf,
    mayForward: (peer) => (peer === self ? membership.mayForward : checked.mayForward(peer)),
    recall: checked.recall,
    part(peer, error) {
      onLess(peer)
      admission.part(peer, error)
    },
    announce,
    noticesOf: rounds.heard,
    commands: {
      members: roster.members,
      async revoke(node, reason) {
        const { peerId, name, role } = roster.find(node)
        if (peerId === self) throw new MeshError('invalid_argument', 'a node cannot revoke itself; to leave the mesh: atmo leave')
        if (peerId === membership.mesh) throw new MeshError('invalid_argument', 'that is the id of the mesh, not of a member')
        // Who is of another mesh has no key of this one.
        const known = role ?? (federation.meshOf(peerId) === undefined ? undefined : 'guest')
        const { signed, made } = await membership.revoke(peerId, known, reason)
        log('info', `revoked ${peerId}: ${reason}`)
        audit?.({ event: 'revoke', peer: peerId, reason })
        tellRotation(made)
        await announce(made)
        const rotated = made.successions.length > 0
        return { peerId, name, reason, at: new Date(signed.revocation.at * 1_000).toISOString(), rotated }
      },
      async rotate() {
        const made = await membership.rotate()
        const [signed] = made.successions
        tellRotation(made)
        await announce(made)
        const { generation, keeps, at } = signed!.succession
        return { generation, kept: keeps.length, at: new Date(at * 1_000).toISOString() }
      }
    }
  }
}

/** @throws MeshError `invalid_argument`. */
function grantOf({ role = 'member', forward = role !== 'guest', tags = [] }: InviteOptions): Required<InviteOptions> {
  const wrong = tags.find((tag) => !TAG.test(tag))
  if (wrong !== undefined || tags.length > MAX_TAGS)
    throw new MeshError(
      'invalid_argument',
      wrong === undefined
        ? `a node has at most ${MAX_TAGS} tags`
        : `"${wrong}" is no tag: small letters, digits, . _ and -, up to 32`,
      { key: 'tags' }
    )
  return { role, forward, tags: [...new Set(tags)] }
}
const TAG = new RegExp(TAG_PATTERN)

function withoutPeer(address: string): Uint8Array {
  return multiaddr(address.replace(/\/p2p\/[^/]+$/, '')).bytes
}
