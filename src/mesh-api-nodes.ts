/** Nodes as users of a node see them: itself, and those that it knows. Types only; part of the Mesh type. */
import type { Role } from '../protocols/member/messages.ts'
import type { BackendView } from './mesh-api-backends.ts'
import type { OfMesh } from './mesh-api-capabilities.ts'

/** A node that this one has a live session with, or knows through others. Of other meshes only those that are connected are known, without version and addresses. */
export interface PeerView extends OfMesh {
  peerId: string
  name: string
  version: string
  /** In its own mesh. Null where it is not known: only connected nodes prove it, and those that this one let in. */
  role: Role | null
  /** Smoothed round-trip time in ms, null before the first measurement. */
  rttMs: number | null
  /** A live connection exists. */
  direct: boolean
  /** What its connections with this node go over; none where it is not direct. */
  transports: Transport[]
  /** Null where no way is known now. */
  hops: number | null
  /** PeerId of the next hop where not direct, else null. */
  via: string | null
  /** How it was found: `mdns`, `static`, `remembered`, `peer`, `inbound`. */
  source: string
  /** Since something new was last heard of it, in ms; 0 while it is direct. */
  ageMs: number
  addresses: string[]
  /** Ids of its capabilities; of a node of another mesh, those that it lends. */
  capabilities: string[]
  /** The model of which it gives vectors of what its capabilities say; left out if it gives none. */
  embeddings?: string
}

/** What a connection goes over. */
export type Transport = 'tcp' | 'ws' | 'wss' | 'webrtc' | 'webrtc-direct' | 'other'

/** What the directory and the links tell of a node; its connections and its membership tell the rest of {@link PeerView}. */
export type KnownPeer = Omit<PeerView, 'role' | 'transports' | 'ageMs'>

/** What a node says of itself. */
export interface MeshStatus {
  peerId: string
  name: string
  /** The mesh that this node is of. `open`: everybody is. */
  mesh: { id: string; name: string; role: Role; open: boolean; revoked?: { reason: string; at: string } }
  version: string
  uptimeMs: number
  multiaddrs: string[]
  peers: number
  capabilities: { local: number; remote: number }
  backends: BackendView[]
  network: { state: 'ok' | 'no-network' | 'no-multicast'; message: string }
  calls: { inFlight: number; served: number; failed: number }
  /** Events of capabilities of this node or others that it has accepted and not done. */
  events: { accepted: number }
  /** Counters of what was refused or dropped, by name. */
  counters: Record<string, number>
  /** Digest of the directory, hex. Equal on nodes that know the same. */
  directoryDigest: string
}
