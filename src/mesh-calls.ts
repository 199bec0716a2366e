/** Calls that begin here and calls that run here, put together. */
import { createCaller } from './calls/caller.ts'
import { createChoice } from './calls/choice.ts'
import type { KnownNode } from './calls/excluded.ts'
import { createExplain } from './calls/explain.ts'
import { createKeyedProviders } from './calls/keyed-providers.ts'
import { createLoadProbes } from './calls/load-probes.ts'
import { createProvider, type ProviderComponents } from './calls/provider.ts'
import { createReplays, type Replays } from './calls/replay.ts'
import { createResultCache } from './calls/result-cache.ts'
import type { Offer } from './core/candidates.ts'
import { createDispatcher } from './core/dispatch/dispatcher.ts'
import type { Invoke, Load } from './core/invoke.ts'
import { whyNotFound, type LostNode } from './core/lost-nodes.ts'
import { isMeshError, type MeshError } from './errors.ts'
import type { Mesh } from './mesh-api.ts'
import type { MeshComponents } from './mesh-components.ts'
import type { MeshCounts } from './mesh-counts.ts'
import type { MeshEvents } from './mesh-events.ts'
import type { MeshRouting } from './mesh-routing.ts'
import { createRemoteCalls, type RemoteCallsComponents } from './net/remote-calls.ts'

/** See {@link createMeshCalls}. */
export interface MeshCalls extends Pick<Mesh, 'call' | 'explain'> {
  /** Runs calls at this node. */
  readonly provider: Invoke
  readonly replays: Replays
  /** A neighbour has come. */
  forgive(node: string): void
  /** Brings about a connection with a node. */
  reach(node: string): Promise<void>
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
  nameOf(node: string): string | undefined
  /** PeerIds of all nodes of the own mesh that are known, lost ones too. */
  known(): Iterable<string>
  /** Nodes that are known and cannot be reached now. */
  lost(): LostNode[]
  /** To nodes that this one is not connected with. */
  ways: MeshRouting['ways']
  /** What else runs over circuits. */
  alsoOver: RemoteCallsComponents['alsoOver']
  counts: MeshCounts
  events: MeshEvents
  onFault(peer: string, error: MeshError): void
}

/** Nothing arrives before `start`. */
export function createMeshCalls(components: MeshCallsComponents): MeshCalls {
  const { libp2p, now, random, find, authorize, meter, counts, events, offers, onFault, addressesOf, provide } = components
  const self = libp2p.peerId.toString()
  const replays = createReplays(now)
  const provider = createProvider({
    self,
    find,
    replays,
    authorize,
    meter,
    now,
    onBegin(request) {
      counts.onBegin()
      events.onServing(request)
    },
    onServed(call) {
      counts.onServed(call.error !== undefined)
      events.onServed(call)
    }
  })
  const nameOf = (node: string): string => components.nameOf(node) ?? node
  const remote = createRemoteCalls({
    ...components.ways,
    alsoOver: components.alsoOver,
    libp2p,
    provider: provide,
    now,
    onFault,
    addressesOf,
    nameOf
  })
  const nodes = (): Iterable<KnownNode> => [
    ...offers(),
    ...[...components.known()].map((node) => ({ node, nodeName: nameOf(node) }))
  ]
  const invokeAt = (offer: Offer): Invoke => (offer.local ? provider : remote.at(offer))
  /** What is announced is not there yet, or not any more: then calls say so. */
  function loadHere(capability: string, tool: string): Load | undefined {
    try {
      return find(capability, tool).load.now()
    } catch (error) {
      if (isMeshError(error)) return undefined
      throw error
    }
  }
  const dispatcher = createDispatcher({ random })
  const probes = createLoadProbes({ self, invokeAt: ({ offer }) => invokeAt(offer), dispatcher, now })
  const choice = createChoice({ dispatcher, probes, loadHere, keyed: createKeyedProviders(now), now })
  const notFound = (error: unknown, target: string, node: string | undefined): unknown =>
    whyNotFound(error, target, node, components.lost())
  let isStopping = false
  const call = createCaller({
    self,
    offers,
    nodes,
    invokeAt,
    pathTo: remote.pathTo,
    choice,
    whyNotFound: notFound,
    cache: createResultCache(now),
    isStopping: () => isStopping,
    now,
    onBegin: events.onMaking,
    onMade: events.onMade,
    onSent: events.onSent
  })
  const explain = createExplain({ offers, nodes, dispatcher, loadHere, whyNotFound: notFound, now })
  const { forgive, reach, start } = remote
  return {
    provider,
    replays,
    call,
    explain,
    forgive,
    reach,
    start,
    stop() {
      isStopping = true
      return remote.stop()
    }
  }
}
