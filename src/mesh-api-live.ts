/** What happens on a node, as it happens; part of the Mesh type. */
import type { JsonValue } from '../protocols/json.ts'
import type { CallApproval, JoinApproval } from './core/approval.ts'
import type { CapabilityView, ChangedDescriptor } from './mesh-api-capabilities.ts'

/** What happens on a node, as it happens. `at` is ms since the node's start on its monotonic clock. */
export type MeshEvent = { at: number } & (
  | { event: 'peer:join'; peerId: string; name: string }
  /** Its name, version or addresses are others now. */
  | { event: 'peer:updated'; peerId: string; name: string; version: string; addresses: string[] }
  | { event: 'peer:leave'; peerId: string; name: string; reason: string }
  | { event: 'capability:available' | 'capability:updated' | 'capability:suspended'; node: string; capability: CapabilityView }
  | { event: 'capability:removed'; node: string; id: string; type: string; reason: string }
  | { event: 'descriptor-changed'; node: string; nodeName: string; capability: string; changed: ChangedDescriptor }
  | { event: 'trigger'; node: string; capability: string; trigger: string; payload: JsonValue }
  /** A call begins: of this node (`out`), whoever will run it, or at this node (`in`). Never what it is called with. `id` is that of its end; `peerId` who calls, or empty where that is not decided. */
  | ({ event: 'call:begin' } & LiveCall)
  | ({ event: 'call:end'; status: 'success' | 'error'; durationMs: number; code?: string } & LiveCall)
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
  | { event: 'backend'; id: string; state: 'online' | 'offline'; reason?: string }
)

/** A call as events tell of it. */
export interface LiveCall {
  /** The same at its begin and end. What this node calls of itself is two calls: one that it makes, one that it serves. */
  id: number
  direction: 'in' | 'out'
  capability: string
  tool: string
  /** PeerId of who calls, or of who was called; empty where nobody was. */
  peerId: string
}

/** Names of all that may happen. */
export const EVENT_NAMES = Object.keys({
  'peer:join': true,
  'peer:updated': true,
  'peer:leave': true,
  'capability:available': true,
  'capability:updated': true,
  'capability:suspended': true,
  'capability:removed': true,
  'descriptor-changed': true,
  trigger: true,
  'call:begin': true,
  'call:end': true,
  approval: true,
  network: true,
  route: true,
  backend: true
} satisfies Record<MeshEvent['event'], true>) as MeshEvent['event'][]
