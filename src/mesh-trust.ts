import type { Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { formatInvite } from '../protocols/join/code.ts'
import { MAX_INVITE_ADDRESSES } from '../protocols/join/messages.ts'
import { MeshError } from './errors.ts'
import type { InviteOptions, InviteView, MemberView } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import { createAdmission } from './net/admission.ts'
import { createJoinDesk, requestWelcome } from './net/join.ts'
import type { CheckedMember } from './trust/certificate.ts'
import { INVITE_MS } from './trust/invites.ts'
import { canRenew } from './trust/issuer.ts'

/** How often a node looks whether its certificate ends soon, in ms. */
export const RENEWAL_CHECK_MS = 3_600_000

/** Who belongs to the mesh: the gate, the desk where others join, and the node's own certificate. */
export interface MeshTrust {
  start(): Promise<void>
  stop(): Promise<void>
  /** @throws MeshError `permission_denied`, `unsupported`, `busy`. */
  invite(options: InviteOptions): InviteView
  members(): MemberView[]
}

/** What it needs. */
export interface MeshTrustComponents extends Pick<MeshComponents, 'libp2p' | 'membership' | 'now' | 'log'> {
  /** Where others may reach this node. */
  addresses(): string[]
  /** Name of a node, of its announcement. */
  nameOf(peer: string): string | undefined
  /** A peer has shown that it is not of the mesh. */
  onStranger(peer: string, error: MeshError): void
}

/** See {@link MeshTrust}. */
export function createMeshTrust({ libp2p, membership, now, log, addresses, nameOf, onStranger }: MeshTrustComponents): MeshTrust {
  const { gate } = libp2p.services
  const self = libp2p.peerId.toString()
  /** Whose certificates were good when they connected. */
  const checked = new Map<string, CheckedMember>()
  let timer: ReturnType<typeof setInterval> | undefined
  let renewing = false

  const admission = createAdmission({
    libp2p,
    secret: membership.secret,
    chain: () => membership.chain(),
    async check(chain, peer) {
      const member = await membership.check(chain, peer)
      if (connectionTo(peer) === undefined) return
      checked.set(peer, member)
      if (canRenew(member.role)) void renew()
    },
    now,
    onStranger
  })
  const desk = createJoinDesk({
    libp2p,
    now,
    isOpen: () => membership.isInviting,
    async welcome(request, peer) {
      const member = gate.isAdmitted(peer) ? checked.get(peer) : undefined
      const welcome = await membership.welcome(request, peer, member)
      log('info', `${request.op === 'join' ? 'let in' : 'renewed the certificate of'} ${peer}`)
      return welcome
    }
  })

  /** Asks the members that may give a new certificate, one after the other, until one does. */
  async function renew(): Promise<void> {
    if (renewing || !membership.needsRenewal()) return
    renewing = true
    try {
      for (const [peer, { role }] of checked) {
        const connection = gate.isAdmitted(peer) && canRenew(role) ? connectionTo(peer) : undefined
        if (connection === undefined) continue
        try {
          await membership.renewed(await requestWelcome(connection, { op: 'renew' }, now))
          return log('info', 'the certificate of this node was renewed')
        } catch (error) {
          log('warn', `${peer} did not renew the certificate of this node: ${(error as Error).message}`)
        }
      }
    } finally {
      renewing = false
    }
  }

  function connectionTo(peer: string): Connection | undefined {
    return libp2p.getConnections(peerIdFromString(peer))[0]
  }

  function onClose({ detail: { remotePeer } }: CustomEvent<Connection>): void {
    const peer = remotePeer.toString()
    if (connectionTo(peer) === undefined) checked.delete(peer)
  }

  return {
    async start() {
      await admission.start()
      await desk.start()
      libp2p.addEventListener('connection:close', onClose)
      timer = setInterval(() => void renew(), RENEWAL_CHECK_MS)
      timer.unref?.()
    },
    async stop() {
      clearInterval(timer)
      libp2p.removeEventListener('connection:close', onClose)
      await desk.stop()
      await admission.stop()
    },
    invite({ role = 'member', forward = role !== 'guest' }) {
      const token = membership.invite({ role, forward })
      const reachable = addresses()
      if (reachable.length === 0)
        throw new MeshError('unavailable', 'this node listens nowhere: nobody could reach it with an invite')
      const code = formatInvite({
        token,
        node: libp2p.peerId.toMultihash().bytes,
        addresses: reachable.slice(0, MAX_INVITE_ADDRESSES).map((address) => withoutPeer(address))
      })
      return { code, role, expiresAt: new Date(Date.now() + INVITE_MS).toISOString() }
    },
    members() {
      const own = membership.chain()[0]?.certificate
      const present = [...checked].filter(([peer]) => gate.isAdmitted(peer))
      const absent = membership.issued.filter(({ node }) => !present.some(([peer]) => peer === node))
      return [
        view(self, own?.name || nameOf(self), membership.role, own?.notAfter, true),
        ...present.map(([peer, { name, role, notAfter }]) => view(peer, nameOf(peer) ?? name, role, notAfter, true)),
        ...absent.map(({ node, name, role }) => view(node, name, role, undefined, false))
      ]
    }
  }
}

function view(
  peerId: string,
  name: string | undefined,
  role: MemberView['role'],
  notAfter: number | undefined,
  connected: boolean
): MemberView {
  const certifiedUntil = notAfter === undefined || notAfter > MAX_DATE_S ? null : new Date(notAfter * 1_000).toISOString()
  return { peerId, name: name ?? '', role, certifiedUntil, connected }
}
/** The last second that a Date can hold. */
const MAX_DATE_S = 8.64e12

function withoutPeer(address: string): Uint8Array {
  return multiaddr(address.replace(/\/p2p\/[^/]+$/, '')).bytes
}
