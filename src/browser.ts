/** Atmosphere for a browser tab: the same node without the parts that need an operating system. */
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { NodeCost } from '../protocols/announce/cost.ts'
import type { Backend } from './backends/backend.ts'
import type { LimitRule } from './core/limits.ts'
import type { PolicyRule } from './core/policy.ts'
import { createMesh } from './mesh.ts'
import type { Mesh } from './mesh-api.ts'
import type { ChangedDescriptors } from './core/pins.ts'
import type { Discovery } from './mesh-components.ts'
import { createBrowserLibp2p } from './net/browser-preset.ts'
import { createGossip, meshTopics } from './net/gossip.ts'
import type { Membership } from './trust/membership.ts'
import { openMembership } from './trust/open-membership.ts'

export * from './public.ts'

/** Options of {@link createNode} in a browser. */
export interface BrowserNodeOptions {
  /** For people; default: `browser`. */
  name?: string
  privateKey?: PrivateKey
  /** The mesh that this node is of; default: the one that is open to all. */
  membership?: Membership
  /** Who may call what here; the first rule that fits decides. */
  policy?: PolicyRule[]
  /** How much callers may use. */
  limits?: LimitRule[]
  /** Whether a capability whose description has changed is only flagged, or not called either until that is accepted. Default: `flag`. */
  changedDescriptors?: ChangedDescriptors
  /** What calls on this node cost beside time: announced, and weighed by callers. Default: nothing. */
  cost?: NodeCost
  /** `sink`: where events of this node go that would reach nobody else, a hint as those of triggers. Default: they wait for a handler. */
  events?: { sink?: string }
  /** Multiaddrs of nodes to connect to. */
  peers?: string[]
  backends?: Backend[]
  log?: (level: 'info' | 'warn', message: string) => void
}

/** Starts a node in this tab. @throws MeshError. */
export async function createNode(options: BrowserNodeOptions = {}): Promise<Mesh> {
  const privateKey = options.privateKey ?? (await generateKeyPair('Ed25519'))
  const membership = options.membership ?? openMembership()
  const libp2p = await createBrowserLibp2p(privateKey, meshTopics(membership.mesh))
  return createMesh({
    libp2p,
    privateKey,
    gossip: createGossip(libp2p.services.pubsub),
    discovery: () => staticPeers(libp2p, options.peers ?? []),
    name: options.name ?? 'browser',
    membership,
    policy: options.policy ?? [],
    limits: options.limits ?? [],
    changedDescriptors: options.changedDescriptors ?? 'flag',
    sink: options.events?.sink,
    cost: options.cost,
    incarnation: Math.floor(Date.now() / 1_000),
    backends: options.backends ?? [],
    now: () => performance.now(),
    random: Math.random,
    log: options.log ?? (() => undefined)
  })
}

/** A tab hears no multicast: it dials whom it is told to. */
function staticPeers(libp2p: Libp2p, peers: string[]): Discovery {
  const dial = (address: string): void => void libp2p.dial(multiaddr(address)).catch(() => undefined)
  return {
    start: async () => peers.forEach(dial),
    stop: async () => undefined,
    learned: () => undefined,
    add: dial,
    avoid: () => undefined,
    forgive: () => undefined,
    proved: () => undefined,
    sourceOf: () => 'static',
    state: () => ({ state: 'ok', message: '' }),
    counters: () => ({})
  }
}
