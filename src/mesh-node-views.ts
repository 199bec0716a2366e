/** Nodes as a person sees them: what is known of each, what its connections go over, and who it is in the mesh. */
import type { Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Directory } from './core/directory.ts'
import type { KnownPeer, Mesh, Transport } from './mesh-api.ts'
import type { Discovery } from './mesh-components.ts'

/** What the views are made of. */
export interface NodeViewsComponents {
  libp2p: Pick<Libp2p, 'getConnections'>
  directory: Pick<Directory, 'get'>
  /** Nodes of the own mesh, and of others. */
  lists: { peers(sourceOf: (peer: string) => string): KnownPeer[] }[]
  discovery: Pick<Discovery, 'sourceOf'>
  roster: Pick<Mesh, 'members'>
  /** Monotonic ms, as of the directory. */
  now: () => number
}

/** See {@link Mesh.peers}. */
export function createNodeViews(components: NodeViewsComponents): Pick<Mesh, 'peers'> {
  const { libp2p, directory, lists, discovery, roster, now } = components

  function transportsOf(peer: string): Transport[] {
    // A limited connection is one over somebody else.
    const direct = libp2p.getConnections(peerIdFromString(peer)).filter(({ limits }) => limits === undefined)
    return [...new Set(direct.map(({ remoteAddr }) => transportOf(remoteAddr.toString())))].sort()
  }

  return {
    peers() {
      const roles = new Map(roster.members().map(({ peerId, role }) => [peerId, role]))
      const at = now()
      const known = lists.flatMap((list) => list.peers((peer) => discovery.sourceOf(peer)))
      return known.map((peer) => {
        const entry = peer.direct ? undefined : directory.get(peer.peerId)
        return {
          ...peer,
          role: roles.get(peer.peerId) ?? null,
          transports: peer.direct ? transportsOf(peer.peerId) : [],
          ageMs: entry === undefined ? 0 : Math.round(at - entry.heardAt)
        }
      })
    }
  }
}

const KINDS: readonly Transport[] = ['webrtc-direct', 'webrtc', 'wss', 'ws', 'tcp']

/** What a multiaddr goes over: the outermost transport that it names. */
export function transportOf(multiaddr: string): Transport {
  const parts = multiaddr.split('/')
  if (parts.includes('tls') && parts.includes('ws')) return 'wss'
  return KINDS.find((kind) => parts.includes(kind)) ?? 'other'
}
