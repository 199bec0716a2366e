import type { Libp2p, PrivateKey } from '@libp2p/interface'
import type { NodeCost } from '../protocols/announce/cost.ts'
import type { Backend } from './backends/backend.ts'
import type { Audit } from './core/audit.ts'
import type { LimitRule } from './core/limits.ts'
import type { PolicyRule } from './core/policy.ts'
import type { Embedder } from './core/meaning/embedder.ts'
import type { VectorForm } from './core/meaning/vector-table.ts'
import type { ChangedDescriptors } from './core/pins.ts'
import type { PinStore } from './mesh-descriptors.ts'
import type { MeshStatus } from './mesh-api.ts'
import type { ExampleStore } from './mesh-meaning-examples.ts'
import type { AdmissionComponents } from './net/admission.ts'
import type { Gossip } from './net/announce.ts'
import type { Upgrades } from './net/upgrades.ts'
import type { EventStore } from './triggers/event-store.ts'
import type { Membership } from './trust/membership.ts'

/** What finds peers and keeps connected to them: mDNS and dialer in Node, less in a browser. */
export interface Discovery {
  start(): Promise<void>
  stop(): Promise<void>
  /** Addresses of a peer that its own announcement names. */
  learned(peer: string, addresses: string[]): void
  /** A static peer. */
  add(address: string): void
  /** A peer that is not of this mesh: ignored for `ms`. */
  avoid(peer: string, ms: number): void
  /** Ignores nobody any more, and tries at once who refused this node: whoever was a stranger may be one no more. */
  forgive(): void
  /** How proving ended with a peer: whether each side took the other. Who was refused tries again less and less often. */
  proved(peer: string, accepted: boolean): void
  /** How a peer was found. */
  sourceOf(peer: string): string
  state(): MeshStatus['network']
  counters(): Record<string, number>
}

/** Where vectors of texts come from: a capability of the mesh, or what this node has brought along. */
export interface MeaningComponents {
  embedder: Embedder | { capability: string }
  form: VectorForm
}

/** What a mesh is built from. */
export interface MeshComponents {
  /** Created and not yet started. */
  libp2p: Libp2p & { services: AdmissionComponents['libp2p']['services'] & { upgrades: Upgrades } }
  privateKey: PrivateKey
  gossip: Gossip
  discovery: (onState: (state: MeshStatus['network']) => void, onInterfaces: () => void) => Discovery
  name: string
  membership: Membership
  /** Who may call what here. */
  policy: readonly PolicyRule[]
  /** How much callers may use. */
  limits: readonly LimitRule[]
  /** Default: nothing is kept. */
  audit?: Audit
  changedDescriptors: ChangedDescriptors
  /** What models of other nodes say of themselves decides where any model will do. Default: false. */
  believeOthers?: boolean | undefined
  /** Default: what others first said of themselves is known until the node stops. */
  pins?: PinStore
  /** Default: events are known until the node stops. */
  events?: EventStore | undefined
  /** A hint as those of triggers: where events of this node go that would reach nobody else. Default: nowhere. */
  sink?: string | undefined
  /** Vectors beside words: where they come from, and how they are kept. Default: words alone. */
  meaning?: MeaningComponents | undefined
  /** Where examples are kept that this node learns. Default: it learns none. */
  examples?: ExampleStore | undefined
  /** A model of this node, or that of this name, writes examples for what has none. Default: false. */
  writeExamples?: boolean | string | undefined
  /** What calls on this node cost beside time. Default: nothing. */
  cost?: NodeCost | undefined
  /** Higher than at any start before with the same key. */
  incarnation: number
  backends: Backend[]
  /** Monotonic ms. */
  now: () => number
  random: () => number
  log: (level: 'info' | 'warn', message: string) => void
  /** Runs last, when everything is closed. */
  onStopped?: () => Promise<void>
}
