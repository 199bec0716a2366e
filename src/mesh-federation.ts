import { peerIdFromString } from '@libp2p/peer-id'
import type { SignedCertificate } from '../protocols/member/messages.ts'
import { NO_NOTICES, type Notices } from '../protocols/member/notices.ts'
import type { Directory } from './core/directory.ts'
import type { Invoke } from './core/invoke.ts'
import type { ChangedOf } from './core/views.ts'
import { MeshError } from './errors.ts'
import { createBorrowing, type Borrowing } from './mesh-borrowing.ts'
import type { MeshComponents } from './mesh-components.ts'
import type { MeshEvents } from './mesh-events.ts'
import { tellTreaties } from './mesh-treaties.ts'
import { createLender, type Lent } from './net/lend.ts'
import { createLinks } from './net/links.ts'
import type { TreatyProof } from './net/member.ts'
import { createSessions } from './net/sessions.ts'
import { MAX_LENT_CAPABILITIES } from '../protocols/lend/messages.ts'
import type { CheckedMember } from './trust/certificate.ts'

/** Nodes of other meshes that are remembered beyond those that are connected. */
export const MAX_FOREIGN_PEERS = 1_024
/** How long a node goes without a look at which treaties hold, at most, in ms. */
export const TREATY_CHECK_MS = 3_600_000

/** What this node lends to nodes of other meshes and borrows from them, by the treaties of its mesh. */
export interface Federation extends Pick<Borrowing, 'offers' | 'capabilities' | 'peers'> {
  /** Before libp2p starts. */
  start(): Promise<void>
  stop(): Promise<void>
  /** What this node can prove to other meshes, and what it can recognise. */
  proofs(): TreatyProof[]
  /** Checks the certificates of a node of another mesh, and remembers it. @throws MeshError `permission_denied`. */
  check(chain: readonly SignedCertificate[], peer: string, mesh: string): Promise<void>
  /** It is admitted. */
  admitted(peer: string, mesh: string): void
  /** It is of the own mesh after all. */
  forget(peer: string): void
  /** Treaties, or memberships, came or ended: acts on what holds now. */
  enforce(fresh: Notices): void
  /** Id of the other mesh that a peer is of; undefined if it is of the own one. */
  meshOf(peer: string): string | undefined
  /** True if capabilities of this type are lent to that mesh now. */
  lends(mesh: string, type: string): boolean
  /** @throws MeshError `permission_denied`, the same words whether there is such a capability or not. */
  checkLent(peer: string, capability: string, tool: string, type: string | undefined): void
  /** Runs calls of others: those of other meshes only where something is lent to them. */
  provide: Invoke
  /** A node of another mesh, and what that is called; undefined if it is of the own one. */
  nodeOf(peer: string): { mesh: string; meshName: string; name: string } | undefined
  /** What this node itself offers has changed. */
  changed(): void
  /** Connected nodes of that mesh. */
  connected(mesh: string): number
}

/** What it needs. */
export interface FederationComponents extends Pick<
  MeshComponents,
  'libp2p' | 'membership' | 'name' | 'audit' | 'now' | 'random' | 'log'
> {
  directory: Directory
  /** How what others say of their capabilities differs from what is pinned of it. */
  changedOf: ChangedOf
  /** Runs the calls that may run. */
  provider: Invoke
  onFault(peer: string, error: MeshError): void
  events: Pick<MeshEvents, 'emit' | 'read' | 'onServed'>
  /** Ends the admission of a peer. */
  part(peer: string, error: MeshError): void
  /** There is a new treaty: who was a stranger may be one no more. */
  onTreaty(): void
}

interface Foreign {
  mesh: string
  member: CheckedMember
  chain: readonly SignedCertificate[]
}

/** See {@link Federation}. */
export function createFederation(components: FederationComponents): Federation {
  const { libp2p, membership, name, audit, now, random, log } = components
  const { directory, changedOf, provider, events, onFault, part, onTreaty } = components
  const { treaties } = membership
  const { gate } = libp2p.services
  const self = libp2p.peerId.toString()
  /** Who has proved to be of another mesh, the oldest first. Kept when it is gone: a call of it may still be on its way. */
  const foreign = new Map<string, Foreign>()
  const lent = new Map<string, Lent>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let stopped = false

  const nameOf = (mesh: string): string => treaties.inForce().find((pact) => pact.mesh === mesh)?.name ?? mesh
  const borrowing = createBorrowing({ self, treaties, directory, changedOf, events, meshNameOf: nameOf, now, log })

  // ---- lend ----------------------------------------------------------------------------------
  const own = (): Map<string, { bytes: Uint8Array; declaration: { type: string } }> =>
    new Map(directory.get(self)?.document?.capabilities ?? [])

  function lentTo(peer: string): Lent {
    const entry = foreign.get(peer)
    // A guest calls nothing in its own mesh either, unless it is allowed by name.
    if (entry === undefined || entry.member.role === 'guest') return NOTHING
    let found = lent.get(entry.mesh)
    if (found === undefined) {
      const fitting = [...own()].filter(([, { declaration }]) => treaties.isLent(entry.mesh, declaration.type))
      fitting.sort(([a], [b]) => (a < b ? -1 : 1))
      found = new Map(fitting.slice(0, MAX_LENT_CAPABILITIES).map(([id, { bytes }]) => [id, bytes]))
      lent.set(entry.mesh, found)
    }
    return found
  }

  const lender = createLender({ name, lentTo })

  /** By the gate, not by what is remembered: whoever has not proved to be of the own mesh gets no more than is lent, whatever was forgotten. */
  const isForeign = (peer: string): boolean => peer !== self && gate.openingOf(peer) !== 'all'

  function checkLent(peer: string, capability: string, tool: string, type: string | undefined): void {
    if (!isForeign(peer)) return
    const entry = foreign.get(peer)
    const isGuest = entry === undefined || entry.member.role === 'guest'
    if (!isGuest && type !== undefined && treaties.isLent(entry.mesh, type)) return
    throw new MeshError('permission_denied', 'this mesh does not lend that to yours', {
      capability,
      tool,
      node: self,
      reason: 'not_lent'
    })
  }

  // ---- sessions ------------------------------------------------------------------------------
  const sessions = createSessions(
    { libp2p, now, onFault, onInbound: (peer, session) => links.accept(peer, session) },
    lender.protocol
  )
  /** Of nodes of other meshes alone: there is no sync with them whose session would show that they are there. */
  const links = createLinks({
    libp2p,
    sessions,
    now,
    random,
    onlyWanted: true,
    onUp(link) {
      const entry = foreign.get(link.peer)
      if (entry === undefined) borrowing.end(link.peer)
      else borrowing.begin(link, entry.mesh)
    },
    onDown(peer, reason) {
      log('info', `lost ${peer}: ${reason}`)
      borrowing.end(peer)
    }
  })

  // ---- what holds ----------------------------------------------------------------------------
  /** Treaties end by themselves, and so do the certificates of who is here. */
  function schedule(): void {
    clearTimeout(timer)
    if (stopped) return
    const ends = [...foreign].filter(([peer]) => gate.isAdmitted(peer)).map(([, { member }]) => membership.endsInS(member))
    const inS = Math.min(treaties.nextEndS() ?? Infinity, ...ends)
    timer = setTimeout(() => enforce(NO_NOTICES), Math.min(TREATY_CHECK_MS, Math.max(MIN_CHECK_MS, inS * 1_000)))
    timer.unref?.()
  }

  function enforce(fresh: Notices): void {
    tellTreaties(fresh, { treaties, log, audit })
    const holding = new Set(treaties.inForce().map(({ mesh }) => mesh))
    for (const [peer, { mesh, member, chain }] of foreign) {
      const holds = holding.has(mesh) && membership.isStillMember(chain)
      if (holds && membership.endsInS(member) > 0) continue
      borrowing.end(peer)
      foreign.delete(peer)
      // Its calls are refused from now on, also those that were on their way.
      if (gate.isAdmitted(peer) && !holds)
        part(peer, new MeshError('permission_denied', 'no treaty with its mesh holds any more'))
      // With new certificates it comes again.
      else for (const connection of libp2p.getConnections(peerIdFromString(peer))) connection.abort(ENDED)
    }
    borrowing.enforce()
    federation.changed()
    if (fresh.treaties.length > 0) {
      onTreaty()
      borrowing.again()
    }
    schedule()
  }

  const federation: Federation = {
    async start() {
      links.start()
      await sessions.start()
      schedule()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      links.stop()
      borrowing.stop()
      lender.stop()
      await sessions.stop()
    },
    proofs: () => treaties.pacts().map(({ mesh, secret, revoked }) => ({ mesh, secret, ended: revoked })),
    async check(chain, peer, mesh) {
      const member = await treaties.check(chain, peer, mesh)
      // Who has proved to be of the own mesh is not made less by another proof.
      if (gate.openingOf(peer) === 'all' || libp2p.getConnections(peerIdFromString(peer)).length === 0) return
      foreign.delete(peer)
      foreign.set(peer, { mesh, member, chain })
      const [gone] = foreign.size > MAX_FOREIGN_PEERS ? [...foreign.keys()].filter((one) => !gate.isAdmitted(one)) : []
      if (gone !== undefined) foreign.delete(gone)
    },
    admitted(peer, mesh) {
      log('info', `${peer} is here, of the mesh ${nameOf(mesh)}`)
      links.want(peer)
      schedule()
    },
    forget: (peer) => void foreign.delete(peer),
    enforce,
    lends: treaties.isLent,
    meshOf: (peer) => foreign.get(peer)?.mesh,
    checkLent,
    provide(request, options) {
      if (isForeign(request.caller))
        try {
          checkLent(request.caller, request.capability, request.tool, own().get(request.capability)?.declaration.type)
        } catch (error) {
          events.onServed({ request, durationMs: 0, error: error as MeshError })
          throw error
        }
      return provider(request, options)
    },
    offers: borrowing.offers,
    capabilities: borrowing.capabilities,
    peers: borrowing.peers,
    nodeOf(peer) {
      const entry = foreign.get(peer)
      if (entry === undefined) return undefined
      const { mesh, member } = entry
      return { mesh, meshName: nameOf(mesh), name: borrowing.nameOf(peer) ?? member.name }
    },
    changed() {
      lent.clear()
      lender.changed()
    },
    connected: (mesh) => [...foreign].filter(([peer, entry]) => entry.mesh === mesh && gate.isAdmitted(peer)).length
  }
  return federation
}

const NOTHING: Lent = new Map()
const ENDED = new MeshError('unavailable', 'its certificates have ended')
/** A clock that stands still must not make this node spin. */
const MIN_CHECK_MS = 1_000
