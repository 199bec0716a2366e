import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { equals } from 'uint8arrays/equals'
import { MAX_MEMBER_NAME, type Certificate, type SignedCertificate } from '../../protocols/member/messages.ts'
import { NO_NOTICES } from '../../protocols/member/notices.ts'
import { originBytes, originId } from '../core/document.ts'
import { MeshError } from '../errors.ts'
import { verifyChain, type CheckedMember } from './certificate.ts'
import { VALIDITY_S, issueChain } from './issuer.ts'
import type { Membership } from './membership-contract.ts'
import { mergeRevocations, mergeSuccessions, mergeTreaties } from './merge.ts'
import { createMeshClock } from './mesh-clock.ts'
import { createMeshRecord } from './mesh-record.ts'
import type { MeshState } from './mesh-state.ts'
import { createNoticeBoard } from './notice-board.ts'
import { createReception } from './reception.ts'
import { issueRevocation } from './revocations.ts'
import { createRotation } from './rotation.ts'
import { createTreatyDesk } from './treaty-desk.ts'

export * from './membership-contract.ts'

/** What a membership in a private mesh stands on. */
export interface MembershipInit {
  state: MeshState
  /** Key of this node. */
  nodeKey: PrivateKey
  /** What an owner calls itself in the first certificate that it makes for itself. Default: nothing. */
  name?: string
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
export async function privateMembership(init: MembershipInit): Promise<Membership> {
  const { nodeKey, name = '', wallS, now, save } = init
  const self = peerIdFromPrivateKey(nodeKey).toString()
  const clock = createMeshClock(wallS, now, init.state.clock)
  const own = originBytes(init.state.mesh)
  const board = await createNoticeBoard(init.state, clock)
  const { successions: keys, revocations: known, treaties: agreed } = board
  const record = createMeshRecord(init.state, clock, save)
  const { change } = record

  const isNewest = (key: Uint8Array): boolean => equals(key, keys.newestKey(own))
  /** An owner that has not heard of the newest key yet signs as any other, with its own. */
  const meshKey = (): PrivateKey | undefined =>
    record.state.meshKey !== undefined && isNewest(idOf(record.state.meshKey)) ? record.state.meshKey : undefined
  const issuer = (): MeshState => ({ ...record.state, meshKey: meshKey() })
  /** The root of a chain is by the newest key. */
  const isOfNewest = (chain: readonly SignedCertificate[]): boolean =>
    chain.length > 0 && isNewest(chain.at(-1)!.certificate.issuer)

  async function check(chain: readonly SignedCertificate[], peer: string): Promise<CheckedMember> {
    const member = await verifyChain(chain, {
      mesh: originBytes(record.state.mesh),
      node: originBytes(peer),
      nowS: clock.nowS(),
      toleranceS: clock.toleranceS(),
      rootStanding: keys.rootStanding,
      isRevoked: known.isRevoked
    })
    clock.atLeast(member.notBefore)
    record.noteSince(peer, member.since)
    const root = chain.at(-1)!.certificate
    if (record.state.meshKey !== undefined && remember(root) !== undefined) change().catch(() => undefined)
    return member
  }

  /** Of whom another key must keep the certificate. */
  const remember = ({ node, name, role, since, notAfter }: Certificate): (() => void) | undefined =>
    record.remember({ node: originId(node), name, role, since, until: notAfter })

  const nameOfSelf = (): string => record.state.chain[0]?.certificate.name || name.slice(0, MAX_MEMBER_NAME)
  /** An owner needs nobody for its own certificate. */
  async function issueOwn(): Promise<void> {
    const { role = 'owner', tags = [], since } = record.state.chain[0]?.certificate ?? {}
    const grant = { node: self, role, forward: true, name: nameOfSelf(), tags, since }
    const chain = await issueChain(issuer(), nodeKey, grant, clock.nowS())
    await change(() => ({ chain }))
  }

  function ownEnd(): ReturnType<typeof known.endOf> {
    const end = known.endOf(record.state.chain)
    const root = record.state.chain.at(-1)?.certificate
    if (end !== undefined || root === undefined || keys.rootStanding(root) !== 'superseded') return end
    return { reason: 'the key of the mesh was replaced', atS: keys.of(own).at(-1)!.succession.at }
  }

  function refuseRevoked(what: string): void {
    if (ownEnd() === undefined) return
    throw new MeshError('permission_denied', `the membership of this node was revoked: it can ${what}`, { reason: 'revoked' })
  }

  const endsSoon = (): boolean =>
    record.state.chain.length === 0 ||
    Math.min(...record.state.chain.map(({ certificate }) => certificate.notAfter)) - clock.nowS() < VALIDITY_S / 3
  const needsRenewal = (): boolean =>
    endsSoon() || !isOfNewest(record.state.chain) || (record.state.meshKey !== undefined && meshKey() === undefined)

  const rotation = createRotation({
    nodeKey,
    clock,
    successions: keys,
    revocations: known,
    agreed,
    state: issuer,
    roots: () => record.roots,
    settled: record.settled,
    change
  })
  const reception = createReception({
    nodeKey,
    clock,
    now,
    revocations: known,
    successions: keys,
    roots: () => record.roots,
    state: issuer,
    change,
    remember,
    refuseRevoked,
    isRotating: () => rotation.isRunning
  })

  const holder = record.state.chain[0]?.certificate.node
  if (holder !== undefined && originId(holder) !== self)
    throw new MeshError(
      'invalid_config',
      'the mesh of this data directory was given to another node: its key and its mesh are not of one',
      {
        node: originId(holder)
      }
    )
  if (meshKey() !== undefined && (needsRenewal() || record.state.chain[0]?.certificate.name !== nameOfSelf())) await issueOwn()
  for (const { certificate } of record.state.chain) clock.atLeast(certificate.notBefore)

  return {
    mesh: record.state.mesh,
    get name() {
      return record.state.name
    },
    secret: record.state.secret,
    get role() {
      return record.state.chain[0]?.certificate.role ?? 'guest'
    },
    get mayForward() {
      return record.state.chain[0]?.certificate.forward === true
    },
    chain: () => record.state.chain,
    check,
    get clockInDoubt() {
      return clock.inDoubt()
    },
    successions: () => keys.of(own),
    notices: board.all,
    noticeDigest: board.digest,
    treaties: createTreatyDesk({
      known: agreed,
      clock,
      state: () => record.state,
      meshKey,
      successions: keys,
      keep: (update) => change(({ treaties = [], treatyRevocations = [] }) => update({ treaties, treatyRevocations })),
      isRevoked: known.isRevoked
    }),
    async learn(notices, taken) {
      const { fresh, refused } = await board.take(notices)
      const { successions, revocations, treaties, treatyRevocations } = fresh
      const isNews = successions.length + revocations.length + treaties.length + treatyRevocations.length > 0
      if (isNews) taken?.(fresh)
      // Also those beside one that is not good: what holds in memory must hold after a start.
      if (isNews || record.isBehind)
        await record.follow((before) => ({
          successions: mergeSuccessions(before, keys.all()),
          revocations: mergeRevocations(before.revocations, known.kept(), clock.nowS()),
          ...mergeTreaties(before, agreed.kept())
        }))
      // Whoever checks has none to pass on.
      if (refused) throw new MeshError('protocol_error', 'a peer sent a revocation, or a succession, that is not good')
      return fresh
    },
    get revocation() {
      return ownEnd()
    },
    isStillMember: (chain) =>
      known.endOf(chain) === undefined && chain.slice(-1).every(({ certificate }) => keys.rootStanding(certificate) === 'good'),
    isRevoked: (node, { role, since }) => known.isRevoked({ node: originBytes(node), role, since }),
    get isKeyDisputed() {
      return board.isKeyDisputed
    },
    get generation() {
      return keys.of(own).length
    },
    rotate: () => rotation.rotate(),
    async revoke(node, role, reason) {
      refuseRevoked('revoke nobody')
      const revoked = { mesh: own, node: originBytes(node), at: record.endingAt(node), role, reason }
      const held = record.roots.find((one) => one.node === node)?.role
      const mayHaveKey = role === 'owner' || held === 'owner' || (role ?? held) === undefined
      if (mayHaveKey && record.state.meshKey !== undefined) {
        const made = await rotation.rotate(node, (key) => issueRevocation({ meshKey: key, nodeKey, chain: [] }, revoked))
        return { signed: made.revocations[0]!, made }
      }
      const signed = await issueRevocation({ meshKey: meshKey(), nodeKey, chain: record.state.chain }, revoked)
      // First on disk: what is told to others must not be forgotten here.
      await change(
        ({ revocations, issued }) => ({
          revocations: mergeRevocations(revocations, [signed], clock.nowS()),
          issued: issued.filter((one) => one.node !== node)
        }),
        node
      )
      await known.take(signed)
      return { signed, made: { ...NO_NOTICES, revocations: [signed] } }
    },
    get issued() {
      // Also those that others have revoked, or an earlier version of this file has kept.
      return record.state.issued.filter(({ node, at }) => at >= known.lastAt(originBytes(node)))
    },
    get roots() {
      return record.roots.filter(({ node, since }) => since > known.lastAt(originBytes(node)))
    },
    get isInviting() {
      return reception.isInviting
    },
    invite: reception.invite,
    checkMayInvite: reception.checkMayInvite,
    letIn: reception.letIn,
    welcome: reception.welcome,
    // They hold to the end of their last second.
    endsInS: ({ notAfter }) => notAfter + 1 - clock.nowS(),
    needsRenewal,
    async renewOwn() {
      if (meshKey() === undefined || !needsRenewal() || ownEnd() !== undefined) return false
      await issueOwn()
      return true
    },
    async renewed({ mesh, chain, successions = [], meshKey: given, now: theirs }) {
      if (originId(mesh) !== record.state.mesh)
        throw new MeshError('permission_denied', 'this certificate is of another mesh', { reason: 'wrong_mesh' })
      await board.takeSuccessions(successions)
      const { role } = await verifyChain(chain, {
        mesh,
        node: originBytes(self),
        nowS: theirs,
        rootStanding: keys.rootStanding,
        isRevoked: known.isRevoked
      })
      if (role !== record.state.chain[0]?.certificate.role)
        throw new MeshError('permission_denied', `the new certificate makes this node ${role}: it was not taken`, { role })
      const key = given === undefined ? undefined : privateKeyFromProtobuf(given)
      const newest = key !== undefined && isNewest(idOf(key)) ? key : undefined
      // Who answers may have an older key than this node knows of.
      if (!endsSoon() && !isOfNewest(chain) && newest === undefined) return
      if (clock.inDoubt()) clock.correct(theirs)
      await change((before) => ({ chain, successions: mergeSuccessions(before, keys.all()), meshKey: newest ?? before.meshKey }))
    }
  }
}

const idOf = (key: PrivateKey): Uint8Array => peerIdFromPrivateKey(key).toMultihash().bytes
