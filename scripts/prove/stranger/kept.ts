import { peerIdFromString } from '@libp2p/peer-id'
import type { MemberView, MeshStatus, PeerView } from '../../../src/mesh-api.ts'
import type { Probe, ProvedNode } from './hosts.ts'

/** What a node shows and holds, of which nothing may change. */
export interface Holdings {
  peers: PeerView[]
  members: MemberView[]
  capabilities: unknown[]
  status: MeshStatus
  files: number
  probe: Probe
}

/** Asks a node for everything that it shows, and what its process holds. */
export async function holdingsOf(node: ProvedNode): Promise<Holdings> {
  const { nodes: peers } = await node.api<{ nodes: PeerView[] }>('/mesh/nodes')
  const { members } = await node.api<{ members: MemberView[] }>('/mesh/members')
  const { capabilities } = await node.api<{ capabilities: unknown[] }>('/mesh/capabilities')
  const status = await node.api<MeshStatus>('/mesh/status')
  const probe = await node.probe()
  return { peers, members, capabilities, status, files: node.files(), probe }
}

/** Counts that whoever is on the network may move; they name nobody. */
const OF_THE_NETWORK = /^(admission\.refused|mdns\.|dialer\.)/
/** Heap that strangers may leave behind, in bytes: code that was compiled for them. */
const MAX_HEAP_GROWTH_BYTES = 8 * 1024 * 1024
/** Resident memory that may stay, in bytes: Node gives back late what a burst of handshakes took. */
const MAX_RSS_GROWTH_BYTES = 64 * 1024 * 1024

/** What has changed, in words; nothing if all is as it was. */
export function changes(before: Holdings, after: Holdings): string[] {
  const same = (what: string, a: unknown, b: unknown): string[] =>
    JSON.stringify(a) === JSON.stringify(b) ? [] : [`${what}: ${JSON.stringify(a)} -> ${JSON.stringify(b)}`]
  const most = (what: string, growth: number, limit: number): string[] =>
    growth <= limit ? [] : [`${what} grew by ${growth}, more than ${limit}`]
  const [a, b] = [before.status, after.status]
  const ownOf = ({ counters }: MeshStatus): object =>
    Object.fromEntries(Object.entries(counters).filter(([name]) => !OF_THE_NETWORK.test(name)))
  const sockets = ({ resources }: Probe): number => resources['TCPSocketWrap'] ?? 0
  return [
    ...same('peers', before.peers.map(facts), after.peers.map(facts)),
    ...same('members', before.members, after.members),
    ...same('capabilities', before.capabilities, after.capabilities),
    ...same('directory', a.directoryDigest, b.directoryDigest),
    ...same('calls', a.calls, b.calls),
    ...same('network', a.network, b.network),
    ...same('backends', a.backends, b.backends),
    ...same('counters', ownOf(a), ownOf(b)),
    ...most('sockets', sockets(after.probe) - sockets(before.probe), 0),
    ...most('open files', after.files - before.files, 0),
    ...most('native handles', after.probe.native - before.probe.native, 0),
    ...most('heap', after.probe.heapUsed - before.probe.heapUsed, MAX_HEAP_GROWTH_BYTES),
    ...most('resident memory', after.probe.rss - before.probe.rss, MAX_RSS_GROWTH_BYTES)
  ]
}

/** A round trip is another each time. */
function facts({ peerId, name }: PeerView): object {
  return { peerId, name }
}

/** Ways in which a PeerId stands in a heap: its own text, and the key under which libp2p's peer store keeps it. */
export function textsOf(peerId: string): string[] {
  return [peerId, peerIdFromString(peerId).toCID().toString()]
}

/** How many of these peers a heap names by their ids, and which of them in the peer store: what they were for. */
export function namedIn(heap: string, peers: Record<string, string>): { byId: number; inPeerStore: string[] } {
  const named = Object.entries(peers).map(([peer, what]) => ({ what, found: textsOf(peer).map((text) => heap.includes(text)) }))
  return {
    byId: named.filter(({ found: [id] }) => id).length,
    inPeerStore: named.filter(({ found: [, key] }) => key).map(({ what }) => what)
  }
}
