import type { MeshStatus, OfMesh, PeerView, Transport } from '../mesh-api.ts'

/** Nodes and links as one node knows them. It knows its own links; of those behind its neighbours it knows what came of them: how far each node is, and over whom. */
export interface TopologyView {
  /** PeerId of the node that says this. */
  self: string
  nodes: TopologyNode[]
  links: TopologyLink[]
  /** Nodes that it knows of and sees no way to: nothing is linked with them here. */
  unplaced: number
}

/** A node, and where it is seen from here. */
export interface TopologyNode extends Pick<PeerView, 'peerId' | 'name' | 'version' | 'role' | 'ageMs' | 'capabilities'>, OfMesh {
  /** `neighbour`: a connection with it exists; `behind`: others pass on what it says; `unplaced`: no way is known now. */
  place: 'self' | 'neighbour' | 'behind' | 'unplaced'
  /** Null where no way is known. */
  hops: number | null
}

/** How two nodes are joined. */
export type TopologyLink =
  /** A connection of this node, which it measures itself. */
  | { kind: 'connection'; from: string; to: string; hops: 1; transports: Transport[]; rttMs: number | null }
  /** A way behind a neighbour: `hops` links, of which those between are not known here. One: they are neighbours of each other, as the neighbour says. */
  | { kind: 'told'; from: string; to: string; hops: number }

/** Only what the node knows: nothing is guessed about links that it does not see. */
export function topologyOf(
  { peerId, name, version, mesh }: Pick<MeshStatus, 'peerId' | 'name' | 'version' | 'mesh'>,
  peers: readonly PeerView[],
  own: readonly string[]
): TopologyView {
  const self: TopologyNode = { peerId, name, version, role: mesh.role, ageMs: 0, capabilities: [...own], place: 'self', hops: 0 }
  const nodes = [self, ...peers.map(nodeOf)]
  return {
    self: peerId,
    nodes,
    links: peers.flatMap((peer) => linkOf(peerId, peer)),
    unplaced: nodes.filter(({ place }) => place === 'unplaced').length
  }
}

function nodeOf(peer: PeerView): TopologyNode {
  const { peerId, name, version, role, ageMs, capabilities, hops, direct, mesh, meshId } = peer
  const place = direct ? 'neighbour' : hops === null ? 'unplaced' : 'behind'
  const of = { ...(mesh !== undefined && { mesh }), ...(meshId !== undefined && { meshId }) }
  return { peerId, name, version, role, ageMs, capabilities, place, hops, ...of }
}

function linkOf(self: string, { peerId: to, direct, transports, rttMs, hops, via }: PeerView): TopologyLink[] {
  if (direct) return [{ kind: 'connection', from: self, to, hops: 1, transports, rttMs }]
  if (hops === null || via === null) return []
  return [{ kind: 'told', from: via, to, hops: Math.max(1, hops - 1) }]
}
