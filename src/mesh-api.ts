/**
 * The Mesh type: all that the local API, the CLI and library users see of a node. Types only; `mesh.ts` builds it.
 */
import type { CapabilityDeclaration } from '../protocols/capability.ts'
import type { JsonValue } from '../protocols/json.ts'
import type { Backend } from './backends/backend.ts'
import type { ApprovalView } from './core/approval.ts'
import type { Call, CallOptions, ToolHandler } from './mesh-api-calls.ts'
import type { CapabilityQuery, CapabilityView, Registration } from './mesh-api-capabilities.ts'
import type { AcceptedDescriptor } from './mesh-api-descriptors.ts'
import type { EventFunction, MeshTriggers } from './mesh-api-events.ts'
import type { MeshEvent } from './mesh-api-live.ts'
import type { MeshMeaning } from './mesh-api-meaning.ts'
import type { DoorView, InviteOptions, InviteView, MemberView, MeshTreaties, RevocationView } from './mesh-api-members.ts'
import type { MeshStatus, PeerView } from './mesh-api-nodes.ts'
import type { MeshRoutes } from './mesh-api-routes.ts'

export type { ApprovalView, CallApproval, JoinApproval } from './core/approval.ts'
export type * from './mesh-api-backends.ts'
export type * from './mesh-api-calls.ts'
export type * from './mesh-api-capabilities.ts'
export type * from './mesh-api-descriptors.ts'
export type * from './mesh-api-events.ts'
export type * from './mesh-api-live.ts'
export type * from './mesh-api-meaning.ts'
export type * from './mesh-api-members.ts'
export type * from './mesh-api-nodes.ts'
export type * from './mesh-api-routes.ts'

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
  /** One of these, with the whole input of a call. Throws `not_found` if it does not wait (any more). */
  approval(id: string): ApprovalView
  /** Says yes or no to one. `forMs`: the same caller may run the same tool for that time without a question (calls only). Throws `not_found`, `invalid_argument`. */
  approve(id: string, allow: boolean, options?: { forMs?: number }): ApprovalView
  /** Members as far as this node knows them; itself first. */
  members(): MemberView[]
  capabilities(query?: CapabilityQuery): CapabilityView[]
  /** What models of other nodes say of themselves decides, too, which one the OpenAI API asks where any will do. False: that of models of this node alone (`meaning.believeOthers`). */
  readonly believesOthers: boolean
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
