/**
 * The Mesh type: all that the local API, the CLI and library users see of a node. Types only; `mesh.ts` builds it.
 */
import type { CapabilityDeclaration, CapabilityStatus, ToolDeclaration, TriggerDeclaration } from '../protocols/capability.ts'
import type { Role } from '../protocols/member/messages.ts'
import type { Backend } from './backends/backend.ts'
import type { ApprovalView, CallApproval, JoinApproval } from './core/approval.ts'
import type { Item, JsonObject, JsonValue } from './core/invoke.ts'
import type { EventFunction, MeshTriggers } from './mesh-api-events.ts'
import type { BackendView } from './mesh-api-backends.ts'
import type { AcceptedDescriptor, ChangedDescriptor, DescriptorEvent } from './mesh-api-descriptors.ts'
import type { MeshMeaning } from './mesh-api-meaning.ts'
import type { CallProvider, DispatchPreference, MeshRoutes } from './mesh-api-routes.ts'

export type { ApprovalView, CallApproval, JoinApproval } from './core/approval.ts'
export type * from './mesh-api-descriptors.ts'
export type * from './mesh-api-events.ts'
export type * from './mesh-api-meaning.ts'
export type * from './mesh-api-routes.ts'

/** Of which other mesh something is: what that is called here, and its id. Both are missing if it is of the own mesh. */
export interface OfMesh {
  mesh?: string
  meshId?: string
}

/** A capability as this node knows it, its own or another's; `mesh` is the one that lends it. */
export interface CapabilityView extends CapabilityDeclaration, OfMesh {
  /** PeerId of the provider. */
  node: string
  nodeName: string
  name: string
  status: CapabilityStatus
  tools: ToolDeclaration[]
  triggers: TriggerDeclaration[]
  /** The shortest name that `call` takes for exactly this one: the id, or `id@node` when several nodes have it. */
  ref: string
  /** True if this node itself offers it. */
  local: boolean
  /** Only where it is not what this node first saw, or last accepted, of it: see `acceptDescriptor`. */
  changed?: ChangedDescriptor
}

/** All fields given must fit. */
export interface CapabilityQuery {
  id?: string
  /** Glob over types, `sensor/*`; `*` stays within a segment, `**` crosses them. */
  type?: string
  /** First or any segment of the type: `security` finds `agent/security`. */
  domain?: string
  tool?: string
  trigger?: string
  /** Words that occur in id, name, description, tools, examples or keywords. */
  text?: string
  /** PeerId or name of the provider. */
  node?: string
  status?: CapabilityStatus
}

/** A node that this one has a live session with, or knows through others. Of other meshes only those that are connected are known, without version and addresses. */
export interface PeerView extends OfMesh {
  peerId: string
  name: string
  version: string
  /** Smoothed round-trip time in ms, null before the first measurement. */
  rttMs: number | null
  /** A live connection exists. */
  direct: boolean
  /** Null where no way is known now. */
  hops: number | null
  /** PeerId of the next hop where not direct, else null. */
  via: string | null
  /** How it was found: `mdns`, `static`, `remembered`, `peer`, `inbound`. */
  source: string
  addresses: string[]
  /** Ids of its capabilities; of a node of another mesh, those that it lends. */
  capabilities: string[]
}

/** Options of an invite. */
export interface InviteOptions {
  /** Default: `member`. */
  role?: Role
  /** The right to pass on what others send to each other. Default: all but guests have it. */
  forward?: boolean
  /** What the node is besides, for policies. At most 8, of small letters, digits, `.`, `_` and `-`. Default: none. */
  tags?: string[]
}

/** An invite to the mesh. */
export interface InviteView {
  /** For `atmo join`: works once. Whoever has it becomes a member. */
  code: string
  role: Role
  /** ISO 8601, by this machine's clock; the invite ends then by the monotonic one. */
  expiresAt: string
}

/** That the door is open to a node nearby. */
export type DoorView = Omit<InviteView, 'code'>

/** A member of the mesh, as far as this node knows: itself, those connected, those that it let in. */
export interface MemberView {
  peerId: string
  name: string
  role: Role
  tags: string[]
  /** ISO 8601: when its certificate ends, unless it is renewed; null if not known, or if there is none (open mesh). */
  certifiedUntil: string | null
  connected: boolean
}

/** That a node is no member any more. */
export interface RevocationView {
  peerId: string
  /** Empty if this node never knew it. */
  name: string
  reason: string
  /** ISO 8601. */
  at: string
  /** The key of the mesh was replaced as well: the node had it, or may have had it. */
  rotated: boolean
}

/** What an owner offers to another mesh. */
export interface TreatyOffer {
  /** Id of the other mesh. */
  mesh: string
  /** What it is called here, for people. Default: the end of its id. */
  name?: string
  /** Globs over types of capabilities: what this mesh lends, and what it borrows. */
  lends?: string[]
  borrows?: string[]
  /** How long the treaty is to hold, in ms; up to 365 days. Default: 90 days. */
  forMs?: number
}

/** A treaty with another mesh, or an offer of one, as this mesh sees it. */
export interface TreatyView {
  /** Hex. */
  serial: string
  /** Id and name of the other mesh. */
  mesh: string
  name: string
  lends: string[]
  borrows: string[]
  /** ISO 8601. */
  notBefore: string
  notAfter: string
  /** `offer`: only one side has signed; `agreed`: both have, and this mesh has yet to accept it. */
  state: 'offer' | 'agreed' | 'in_force' | 'not_yet_valid' | 'revoked'
  /** Why it was revoked, and by which mesh. */
  revoked?: { mesh: string; reason: string; at: string }
  /** Nodes of the other mesh that are connected with this one now. */
  connected: number
}

/** A treaty with the code that passes it on. The code holds the secret of the treaty. */
export interface TreatyCode {
  code: string
  treaty: TreatyView
}

/** Treaties with other meshes. All throw `unsupported` in the open mesh. */
export interface MeshTreaties {
  /** Those whose time is not over. */
  list(): TreatyView[]
  /** Signs an offer. Throws `permission_denied` if this node has not the key of the mesh, `invalid_argument`. */
  offer(offer: TreatyOffer): Promise<TreatyCode>
  /** What a code holds; nothing is signed. `signs`: accepting it signs for this mesh. Throws `invalid_argument`, `permission_denied` with `details.reason`. */
  show(code: string): Promise<{ treaty: TreatyView; signs: boolean }>
  /** Signs an offer of the other mesh, or takes in what both have signed; all members are told. Throws as `show`, and `too_large`, `unavailable` if it cannot be kept. */
  accept(code: string): Promise<TreatyCode>
  /** Ends a treaty at once, named by its serial number or by the name of the other mesh. Throws `permission_denied`, `invalid_argument`, `ambiguous`, `unavailable`. */
  revoke(treaty: string, reason: string): Promise<TreatyView>
}

/** Who ran a call, and over what. */
export interface Route {
  /** PeerIds from the caller to the provider; those in between as the forwarders name themselves. */
  path: string[]
  local: boolean
  hops: number
  rttMs: number | null
  /** Providers tried before this one, with the code of their failure. */
  tried: { provider: string; code: string }[]
}

/** How a call ended well. */
export interface CallResult {
  result: JsonValue
  /** PeerId of the node that ran the tool. */
  provider: string
  providerName: string
  durationMs: number
  route: Route
  /** True if it came out of this node's result cache. */
  cached: boolean
}

/** Options of a call. */
export interface CallOptions extends DispatchPreference {
  signal?: AbortSignal
  /** Time given in all, retries included. Default: the tool's `timeoutMs`, else 30,000. */
  timeoutMs?: number
  /** Items to stream in. */
  stream?: AsyncIterable<Item>
  idempotencyKey?: string
  traceparent?: string
  /** PeerIds on whose behalf this call is made, who began it first: those of {@link ToolContext.causes} when it is made for the call that is being served. At most 8. */
  causes?: readonly string[]
  /**
   * Id of the agent of this node that chose to make this call, by what it has read. The policy of this node, and `requiresApproval`, then hold for its own tools as well.
   */
  agent?: string
  /** PeerId or name: only this node. */
  node?: string
  /** Other providers may be tried. Default true. */
  failover?: boolean
}

/** What a call yields here: its items, and `restart` when it begins anew at another provider: the items before it are void. */
export type CallItem = Item | { kind: 'restart'; provider: string; reason: string }

/** A running call: iterate it for its items (`result` included, last), or await `result`. One of the two drives it. */
export interface Call extends AsyncIterable<CallItem> {
  /** Reads the call to its end. Rejects with MeshError. */
  readonly result: Promise<CallResult>
  /** Who is tried now, or was last; undefined before. Once an item has come, it is who yields them, until `restart`. */
  readonly provider: CallProvider | undefined
  cancel(reason?: string): void
}

/** What happens on a node, as it happens. `at` is ms since the node's start on its monotonic clock. */
export type MeshEvent = { at: number } & (
  | { event: 'peer:join'; peerId: string; name: string }
  | { event: 'peer:leave'; peerId: string; name: string; reason: string }
  | { event: 'capability:available' | 'capability:updated' | 'capability:suspended'; node: string; capability: CapabilityView }
  | { event: 'capability:removed'; node: string; id: string; type: string; reason: string }
  | DescriptorEvent
  | { event: 'trigger'; node: string; capability: string; trigger: string; payload: JsonValue }
  | {
      event: 'call'
      direction: 'in' | 'out'
      capability: string
      tool: string
      peerId: string
      status: string
      durationMs: number
      code?: string
    }
  | ({ event: 'approval'; id: string; caller: string } & (Omit<CallApproval, 'input'> | JoinApproval))
  | { event: 'network'; state: 'ok' | 'no-network' | 'no-multicast'; message: string }
  /** The way to a node is another one now, or gone (`via` null). Direct ones are told as `peer:join` and `peer:leave`. */
  | {
      event: 'route'
      node: string
      nodeName: string
      via: string | null
      hops: number | null
      metricMs: number | null
      before: string | null
    }
  | { event: 'backend'; id: string; state: 'online' | 'degraded' | 'offline'; reason?: string }
)

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
  /** Counters of what was refused or dropped, by name. */
  counters: Record<string, number>
  /** Digest of the directory, hex. Equal on nodes that know the same. */
  directoryDigest: string
}

/** A capability of this process; changes are announced at once. */
export interface Registration {
  readonly id: string
  update(change: Partial<CapabilityDeclaration>): void
  suspend(reason: string): void
  resume(): void
  /** Raises one of its triggers. */
  emit(event: string, payload: JsonValue): void
  remove(reason?: string): void
}

/** What a handler gets beside its input. */
export interface ToolContext {
  signal: AbortSignal
  /** PeerId of who calls, as its connection proved it. */
  caller: string
  /** Who caused this call: on whose behalf the caller says it calls, and the caller, last. Give it on to the calls that are made for this one. */
  causes: readonly string[]
  stream: AsyncIterable<Item> | undefined
  /** Reports progress; never blocks. */
  progress(done: number, total?: number, message?: string): void
  traceparent: string | undefined
}

/**
 * A tool as a function. Return the result, or yield items and return it:
 * a yielded Uint8Array is sent as bytes, any other yielded value as JSON.
 */
export type ToolHandler = (
  input: JsonObject,
  context: ToolContext
) => JsonValue | void | Promise<JsonValue | void> | AsyncGenerator<JsonValue | Uint8Array, JsonValue | void, void>

/** A running node. */
export interface Mesh extends AsyncDisposable, MeshMeaning, MeshRoutes, MeshTriggers {
  readonly peerId: string
  readonly name: string
  multiaddrs(): string[]
  status(): MeshStatus
  peers(): PeerView[]
  /** Dials a multiaddr and keeps the peer as a static one. */
  addPeer(multiaddr: string, options?: { signal?: AbortSignal }): Promise<void>
  /** Lets one node into the mesh, within ten minutes. Throws `permission_denied` if this node may not, `unsupported` in the open mesh, `busy`. */
  invite(options?: InviteOptions): InviteView
  /**
   * Opens the door to one node nearby, within ten minutes: nodes on the network see the name of the mesh and may ask; each is an approval of the kind `join`.
   * Throws `permission_denied` if this node may not, `unsupported` in the open mesh.
   */
  openDoor(options?: InviteOptions): DoorView
  /**
   * Ends the membership of a node, named by PeerId or by a name that only one member has: everywhere, at once, for good; an invite lets it in again.
   * Throws `permission_denied` if this node may not, `invalid_argument`, `ambiguous`, `unavailable` if it cannot be kept: then nothing has changed.
   */
  revoke(node: string, reason: string): Promise<RevocationView>
  /** Replaces the key of the mesh, for the `generation`th time; `kept` members stay. @throws MeshError `permission_denied`, `too_large`, `busy`, `unavailable`, `unsupported`. */
  rotate(): Promise<{ generation: number; kept: number; at: string }>
  /** What this mesh lends to others and borrows from them. */
  readonly treaties: MeshTreaties
  /** Calls, and nodes nearby, that wait for a yes of this node. */
  approvals(): ApprovalView[]
  /** One of these, with the whole input of a call. Throws `invalid_argument` if it does not wait (any more). */
  approval(id: string): ApprovalView
  /** Says yes or no to one. `forMs`: the same caller may run the same tool for that time without a question (calls only). Throws `invalid_argument`. */
  approve(id: string, allow: boolean, options?: { forMs?: number }): ApprovalView
  /** Members as far as this node knows them; itself first. */
  members(): MemberView[]
  capabilities(query?: CapabilityQuery): CapabilityView[]
  /**
   * Accepts what a capability of another node, named by PeerId or a name that only one has, says of itself now, where views show it as `changed`.
   * `hash`: at least 8 characters of the one that was looked at. Throws `invalid_argument` if nothing is flagged, `conflict` if it has changed
   * again since, `ambiguous`, `unknown_capability`, `unavailable`.
   */
  acceptDescriptor(node: string, capability: string, options?: { hash?: string }): AcceptedDescriptor
  /** Offers a capability of this process; `handlers` by tool name, `onEvent` if it `handles` events. Throws `invalid_argument`, `conflict`. */
  register(declaration: CapabilityDeclaration, handlers?: Record<string, ToolHandler>, onEvent?: EventFunction): Registration
  addBackend(backend: Backend): void
  /**
   * Calls a tool. `target` is a capability id, a type, or either with `@node`.
   * Never throws by itself; errors come through the call.
   */
  call(target: string, tool: string, input?: JsonValue, options?: CallOptions): Call
  /** Events from now on, until the signal aborts. A reader that falls 1,000 behind loses the oldest and is told by a `dropped` count in status. */
  events(options: { signal: AbortSignal }): AsyncIterable<MeshEvent>
  /** Withdraws, drains, closes. Idempotent. */
  stop(): Promise<void>
}
