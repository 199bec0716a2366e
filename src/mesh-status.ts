/** What a node says of itself. */
import { toString } from 'uint8arrays/to-string'
import type { BackendRunner } from './backend-runner.ts'
import type { Directory } from './core/directory.ts'
import type { Offers } from './core/offers.ts'
import type { MeshStatus } from './mesh-api.ts'
import type { Discovery, MeshComponents } from './mesh-components.ts'
import type { MeshCounts } from './mesh-counts.ts'
import { meshOf } from './mesh-members.ts'
import type { MeshTriggers } from './mesh-triggers.ts'
import type { Links } from './net/links.ts'
import { VERSION } from './version.ts'

/** What it is read from. */
export interface MeshStatusParts extends Pick<MeshComponents, 'name' | 'membership' | 'libp2p'> {
  /** PeerId of this node. */
  self: string
  counts: MeshCounts
  directory: Directory
  discovery: Discovery
  offers: Offers
  runner: BackendRunner
  links: Pick<Links, 'all'>
  triggers: Pick<MeshTriggers, 'accepted'>
}

/** See {@link MeshStatus}. */
export function meshStatus(parts: MeshStatusParts): MeshStatus {
  const { self, name, membership, libp2p, counts, directory, discovery, offers, runner, links, triggers } = parts
  return {
    peerId: self,
    name,
    mesh: meshOf(membership),
    version: VERSION,
    multiaddrs: libp2p.getMultiaddrs().map((address) => address.toString()),
    peers: links.all().length,
    capabilities: offers.counts(),
    backends: runner.states(),
    network: discovery.state(),
    events: { accepted: triggers.accepted() },
    ...counts.view(discovery.counters()),
    directoryDigest: toString(directory.digest(), 'base16')
  }
}
