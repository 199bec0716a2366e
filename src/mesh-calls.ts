/** Calls that begin here and calls that run here, put together. */
import { createCaller } from './calls/caller.ts'
import { createProvider, type ProviderComponents } from './calls/provider.ts'
import { createReplays, type Replays } from './calls/replay.ts'
import { createResultCache } from './calls/result-cache.ts'
import type { Offer } from './core/candidates.ts'
import type { Invoke } from './core/invoke.ts'
import type { MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import type { MeshCounts } from './mesh-counts.ts'
import type { MeshEvents } from './mesh-events.ts'
import { createRemoteCalls } from './net/remote-calls.ts'

/** See {@link createMeshCalls}. */
export interface MeshCalls extends Pick<Mesh, 'call'> {
  /** Runs calls at this node. */
  readonly provider: Invoke
  readonly replays: Replays
  start(): Promise<void>
  stop(): Promise<void>
}

/** What they need. */
export interface MeshCallsComponents
  extends Pick<MeshComponents, 'libp2p' | 'now' | 'random'>, Pick<ProviderComponents, 'find' | 'authorize' | 'meter'> {
  /** Everything that is offered now, by this node and others. */
  offers(): Offer[]
  /** Runs calls that arrive from others. */
  provide: Invoke
  addressesOf(node: string): string[]
  counts: MeshCounts
  events: MeshEvents
  onFault(peer: string, error: MeshError): void
}

/** Nothing arrives before `start`. */
export function createMeshCalls(components: MeshCallsComponents): MeshCalls {
  const { libp2p, now, find, authorize, meter, counts, events, offers, onFault, addressesOf, provide } = components
  const self = libp2p.peerId.toString()
  const replays = createReplays(now)
  const provider = createProvider({
    self,
    find,
    replays,
    authorize,
    meter,
    now,
    onBegin: counts.onBegin,
    onServed(call) {
      counts.onServed(call.error !== undefined)
      events.onServed(call)
    }
  })
  const remote = createRemoteCalls({ libp2p, provider: provide, now, onFault, addressesOf })
  const call = createCaller({
    self,
    offers,
    invokeAt: (offer) => (offer.local ? provider : remote.at(offer)),
    cache: createResultCache(now),
    now,
    onMade: events.onMade,
    onSent: events.onSent
  })
  return { provider, replays, call, start: () => remote.start(), stop: () => remote.stop() }
}
