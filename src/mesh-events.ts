import type { ServedCall } from './calls/provider.ts'
import type { MadeCall, SentCall } from './calls/caller.ts'
import type { Audit, AuditEvent } from './core/audit.ts'
import type { Directory, DirectoryEvent } from './core/directory.ts'
import { createEventHub } from './core/event-hub.ts'
import type { ToolRequest } from './core/invoke.ts'
import { capabilityView, type ChangedOf } from './core/views.ts'
import type { MeshEvent, MeshStatus } from './mesh-api.ts'

type WithoutTime<E> = E extends { at: number } ? Omit<E, 'at'> : never

/** An event before it has its time. */
export type NewMeshEvent = WithoutTime<MeshEvent>

/** Turns what happens within a node into its {@link MeshEvent}s. */
export interface MeshEvents {
  /** True if anybody reads: events that cost something to make need not be made otherwise. */
  readonly read: boolean
  emit(event: NewMeshEvent): void
  onDirectory(event: DirectoryEvent, directory: Directory, changedOf: ChangedOf): void
  /** A call begins to run at this node; `onServed` follows, with the same request. */
  onServing(request: ToolRequest): void
  onServed(call: ServedCall): void
  /** A call of this node begins; `onMade` follows, with the same `of`. */
  onMaking(of: object, capability: string, tool: string): void
  onMade(call: MadeCall, of: object): void
  onSent(call: SentCall): void
  /** Told only where it has changed. */
  onNetwork(state: MeshStatus['network']): void
  subscribe(signal: AbortSignal): AsyncIterable<MeshEvent>
  close(): void
}

/** @param self PeerId. @param now monotonic ms. @param onDropped called for each event that a slow reader lost. @param audit told of each call that was served, or sent to another node. @param log told why a call failed, where its caller is not. */
export function createMeshEvents(
  self: string,
  now: () => number,
  onDropped: () => void,
  audit?: Audit,
  log?: (level: 'warn', message: string) => void
): MeshEvents {
  const startedAt = now()
  const hub = createEventHub<MeshEvent>(onDropped)
  const emit = (event: NewMeshEvent): void => hub.emit({ at: now() - startedAt, ...event })
  /** Of calls whose begin was told. */
  const ids = new WeakMap<object, number>()
  let calls = 0

  function begun(call: object): number {
    ids.set(call, ++calls)
    return calls
  }

  /** One that began before anybody read, or was refused before it began, has a number of its own as well. */
  const idOf = (call: object): number => ids.get(call) ?? ++calls

  let shown: MeshStatus['network']['state'] = 'ok'
  /** By capability, what its owner was told last of why it fails others. */
  const told = new Map<string, string>()

  /** The whole reason, once, until it goes well again. */
  function tellOwner({ request: { capability, caller }, error }: ServedCall): void {
    if (error === undefined) return void told.delete(capability)
    if (caller === self || error.forOthers === error.message || told.get(capability) === error.message) return
    told.set(capability, error.message)
    log?.('warn', `"${capability}" fails callers of other nodes: ${error.message}`)
  }

  return {
    get read() {
      return hub.read
    },
    emit,
    onDirectory(event, directory, changedOf) {
      const { origin: node } = event
      switch (event.kind) {
        case 'node-join':
          if (node !== self) emit({ event: 'peer:join', peerId: node, name: event.name })
          return
        case 'node-leave':
          if (node !== self) emit({ event: 'peer:leave', peerId: node, name: event.name, reason: event.reason })
          return
        case 'info': {
          const info = node === self || !hub.read ? undefined : directory.get(node)?.document?.info
          if (info === undefined) return
          const { name, version, addresses } = info
          return emit({ event: 'peer:updated', peerId: node, name, version, addresses })
        }
        case 'removed': {
          const { id, type } = event.capability
          return emit({ event: 'capability:removed', node, id, type, reason: event.reason })
        }
        default: {
          const entry = hub.read ? directory.get(node) : undefined
          const view = entry && capabilityView(entry, event.capability.id, directory.visible(), self, changedOf)
          if (view !== undefined) emit({ event: `capability:${event.kind}`, node, capability: view })
        }
      }
    },
    onNetwork(network) {
      if (network.state !== shown) emit({ event: 'network', ...network })
      shown = network.state
    },
    // Calls are many: their events are made only if somebody reads.
    onServing(request) {
      if (!hub.read) return
      const { capability, tool, caller: peerId } = request
      emit({ event: 'call:begin', id: begun(request), direction: 'in', capability, tool, peerId })
    },
    onServed(call) {
      const { request, durationMs, error } = call
      tellOwner(call)
      const { capability, tool, caller } = request
      if (audit !== undefined) audit(audited('call', caller, request, durationMs, error?.code))
      if (!hub.read) return
      const how = { capability, tool, peerId: caller, durationMs, ...outcome(error) }
      emit({ event: 'call:end', id: idOf(request), direction: 'in', ...how })
    },
    onMaking(of, capability, tool) {
      if (hub.read) emit({ event: 'call:begin', id: begun(of), direction: 'out', capability, tool, peerId: '' })
    },
    onMade({ capability, tool, provider, durationMs, error }, of) {
      if (!hub.read) return
      const how = { capability, tool, peerId: provider ?? '', durationMs, ...outcome(error) }
      emit({ event: 'call:end', id: idOf(of), direction: 'out', ...how })
    },
    onSent({ request, provider, durationMs, error }) {
      if (audit !== undefined) audit(audited('sent', provider, request, durationMs, error?.code))
    },
    subscribe: (signal) => hub.subscribe(signal),
    close: () => hub.close()
  }
}

function audited(
  kind: 'call' | 'sent',
  peer: string,
  { capability, tool, causes, input }: ToolRequest,
  durationMs: number,
  code: string | undefined
): AuditEvent {
  const event = { event: kind, peer, capability, tool, durationMs: Math.round(durationMs), input }
  if (causes === undefined && code === undefined) return event
  return { ...event, ...(causes !== undefined && { causes }), ...(code !== undefined && { code }) }
}

function outcome(error: { code: string } | undefined): { status: 'success' | 'error'; code?: string } {
  return error === undefined ? { status: 'success' } : { status: 'error', code: error.code }
}
