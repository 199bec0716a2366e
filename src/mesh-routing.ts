/** Ways to nodes that this one is not connected with: routes from neighbours, circuits over them, and what it passes on for others. */
import { UNITS_PER_MS } from './core/routing/metric.ts'
import type { Outcome } from './core/routing/neighbour-trust.ts'
import { createLinkCost, type LinkCost } from './core/routing/link-cost.ts'
import type { Directory, DirectoryEvent } from './core/directory.ts'
import type { Offers } from './core/offers.ts'
import type { MeshError } from './errors.ts'
import type { MeshComponents } from './mesh-components.ts'
import type { MeshEvents } from './mesh-events.ts'
import { createMeshLosses } from './mesh-losses.ts'
import { createMeshNeighbours } from './mesh-neighbours.ts'
import { createMeshRouter } from './mesh-router.ts'
import { createMeshWaiters } from './mesh-waiters.ts'
import { createCircuits, type Circuits } from './net/circuits.ts'
import { createForwarder, type Hop } from './net/forwarder.ts'
import { createGradient } from './net/gradient.ts'
import type { NamedItem } from './net/gradient-names.ts'
import type { Link } from './net/links.ts'
import type { ReachComponents } from './net/reach.ts'
import { createSequenceProofs } from './net/sequence-proofs.ts'
import { createSessions } from './net/sessions.ts'
import { linkPenaltyMs } from './net/link-penalty.ts'

/** Round trips that are measured when a neighbour begins to tell routes: as many as the cost of a link looks at. */
const SAMPLES_AT_FIRST = 5

/** See {@link createMeshRouting}. */
export interface MeshRouting {
  start(): Promise<void>
  stop(): Promise<void>
  /** A session with a neighbour began, ended, or was measured; the directory has changed. */
  linkUp(link: Link): void
  /** @returns true while a way over others is looked for. */
  linkDown(peer: string): boolean
  onRtt(peer: string, rttMs: number): void
  /** A peer may do less than before: what it told of others does not hold, if it may not pass on any more. */
  onLess(peer: string): void
  directoryChanged(event: DirectoryEvent): void
  /** The way to a node; undefined: none is known. */
  hopTo(node: string): Hop | undefined
  /** True if the route to it is kept though its next hop got worse, and the number of the route. */
  standingOf(node: string): { held: boolean; sequence: { incarnation: number; sequence: number } } | undefined
  /** What calls need of ways. */
  readonly ways: Pick<ReachComponents, 'isNeighbour' | 'hasWay' | 'waitForWay' | 'came'> & {
    readonly circuits: Circuits
  }
}

/** What it needs. */
export interface MeshRoutingComponents extends Pick<
  MeshComponents,
  'libp2p' | 'privateKey' | 'membership' | 'incarnation' | 'now' | 'random'
> {
  directory: Directory
  offers: Pick<Offers, 'setRoute'>
  events: Pick<MeshEvents, 'emit'>
  /** The session with a neighbour. */
  linkOf(peer: string): Link | undefined
  neighbours(): string[]
  /** Measures round trips to a neighbour, so many. */
  measure(peer: string, samples: number): void
  /** A neighbour may not be there any more: it is asked at once. */
  doubt(peer: string): void
  /** A member that is connected has the right to pass on what others send; this node has. */
  mayForward(peer: string): boolean
  nameOf(node: string): string | undefined
  /** There is a way to a node, and was none. */
  onWay(node: string): void
  count(counter: string): void
  onFault(peer: string, error: MeshError): void
}

/** See {@link MeshRouting}. */
export function createMeshRouting(components: MeshRoutingComponents): MeshRouting {
  const { libp2p, privateKey, membership, incarnation, now, random, directory, offers, events, count, onFault } = components
  const { linkOf, neighbours, mayForward, nameOf, onWay } = components
  const self = libp2p.peerId.toString()
  const costs = new Map<string, LinkCost>()
  const waiting = createMeshWaiters()
  const losses = createMeshLosses({
    now,
    onLost(node) {
      if (hopTo(node) === undefined) directory.setRouted(node, false, now())
    }
  })

  // ---- routes --------------------------------------------------------------------------------
  const isKnown = (node: string): boolean => node === self || directory.get(node) !== undefined
  const router = createMeshRouter({
    self,
    incarnation,
    now,
    random,
    isKnown,
    tell: (peer, item) => gradient.tell(peer, item),
    onRoute
  })
  const gradient = createGradient({
    sessions: { get: (peer) => gradientSessions.get(peer) },
    proofs: createSequenceProofs(membership.mesh, self, privateKey),
    onUp(peer) {
      router.up(peer, costOf(peer).cost)
      components.measure(peer, SAMPLES_AT_FIRST)
      gradient.tell(peer, { kind: 'wants', ...peering.wants() })
    },
    onDown(peer) {
      router.down(peer)
      peering.changed()
    },
    onItem: hear,
    onFault,
    now
  })
  const gradientSessions = createSessions({ libp2p, now, onFault }, gradient.protocol)
  const peering = createMeshNeighbours({
    self,
    directory,
    connected: neighbours,
    isUp: gradient.isUp,
    open: (peer) => gradient.open(peer),
    close: gradient.close,
    asked: router.asked,
    now,
    hasRoute: (node) => router.route(node) !== undefined,
    random,
    onWants(change, gone) {
      for (const peer of neighbours()) gradient.tell(peer, { kind: 'wants', ...change })
      if (gone.length > 0) router.forget(gone)
    }
  })

  /** Who may not pass on, has a way to itself alone. */
  function hear(peer: string, item: NamedItem): void {
    if (item.kind === 'rows' && !mayForward(peer)) item = { ...item, rows: item.rows.filter(({ origin }) => origin === peer) }
    router.hear(peer, item)
    if (item.kind === 'wants') for (const node of item.add) if (node !== peer) peering.askedFor(node)
  }

  function costOf(peer: string): LinkCost {
    let cost = costs.get(peer)
    if (cost === undefined) costs.set(peer, (cost = createLinkCost(linkPenaltyMs(libp2p, peer))))
    return cost
  }

  function onRoute(node: string, via: string | undefined, before: string | undefined): void {
    if (via !== undefined) waiting.wake(node)
    if (via !== undefined && before === undefined) onWay(node)
    if (linkOf(node) !== undefined) return
    if (via === undefined) {
      offers.setRoute(node, undefined)
      losses.routeless(node)
    } else losses.keep(node)
    if (!peering.isWanted(node)) return
    if (via !== undefined) {
      offers.setRoute(node, routeState(node))
      directory.setRouted(node, true, now())
    }
    const hop = hopTo(node)
    const nodeName = nameOf(node) ?? node
    const [hops, metricMs] = hop === undefined ? [null, null] : [hop.hops, hop.metric / UNITS_PER_MS]
    events.emit({ event: 'route', node, nodeName, via: via ?? null, hops, metricMs, before: before ?? null })
  }

  /** Read when it is looked at: a metric changes more often than a next hop. */
  function routeState(node: string): { via: string; hops: number; metricMs: number } {
    return {
      get via() {
        return hopTo(node)?.peer ?? ''
      },
      get hops() {
        return hopTo(node)?.hops ?? 0
      },
      get metricMs() {
        return (hopTo(node)?.metric ?? 0) / UNITS_PER_MS
      }
    }
  }

  function hopTo(node: string): Hop | undefined {
    const potential = router.feasible(node)
    if (linkOf(node) !== undefined) {
      const { cost } = costOf(node)
      return { peer: node, hops: 1, metric: cost, linkMetric: cost, potential }
    }
    const route = router.route(node)
    return route && { peer: route.via, hops: route.hops, metric: route.metric, linkMetric: costOf(route.via).cost, potential }
  }

  /** A neighbour from which nothing came may not be there any more. */
  function came(peer: string, node: string, outcome: Outcome, own = true): void {
    router.came(peer, node, outcome, own)
    if (outcome === 'silent') components.doubt(peer)
  }

  // ---- circuits ------------------------------------------------------------------------------
  const own = {
    self,
    sessions: { get: (peer: string) => forwardSessions.get(peer) },
    hopTo
  }
  const circuits = createCircuits({ ...own, upgrades: libp2p.services.upgrades })
  const forwarder = createForwarder({
    ...own,
    mayForward,
    came: (peer, node, outcome) => came(peer, node, outcome, false),
    accept: circuits.accept,
    now,
    count
  })
  const forwardSessions = createSessions({ libp2p, now, onFault }, forwarder.protocol)

  return {
    async start() {
      await gradientSessions.start()
      await forwardSessions.start()
    },
    async stop() {
      router.stop()
      gradient.stop()
      peering.stop()
      losses.stop()
      await forwarder.stop()
      await gradientSessions.stop()
      await forwardSessions.stop()
    },
    linkUp({ peer }) {
      costs.delete(peer)
      losses.joined(peer)
      offers.setRoute(peer, undefined)
      directory.setRouted(peer, false, now())
      waiting.wake(peer)
      peering.changed()
    },
    linkDown(peer) {
      costs.delete(peer)
      peering.seek(peer)
      const isSeeking = neighbours().some(gradient.isUp)
      if (isSeeking) losses.parted(peer)
      return isSeeking
    },
    onRtt(peer, rttMs) {
      const cost = costOf(peer)
      if (cost.sample(rttMs)) router.cost(peer, cost.cost)
    },
    onLess(peer) {
      if (!mayForward(peer)) gradient.close(peer)
    },
    directoryChanged({ kind, origin }) {
      peering.changed()
      if (kind === 'node-join' && router.known(origin)) peering.askedFor(origin)
      if (kind === 'info' || kind === 'updated' || kind === 'suspended') return
      const offered = directory.get(origin)?.document?.capabilities.values() ?? []
      router.types(origin, [...new Set([...offered].map(({ type }) => type))])
    },
    hopTo,
    standingOf(node) {
      const route = router.route(node)
      return route && { held: route.held, sequence: { incarnation: route.incarnation, sequence: route.sequence } }
    },
    ways: {
      circuits,
      came,
      isNeighbour: (node) => linkOf(node) !== undefined,
      hasWay: (node) => hopTo(node) !== undefined,
      waitForWay
    }
  }

  /** At once for a node of which nothing is known: nobody will tell of a way to it. */
  async function waitForWay(node: string, ms: number): Promise<void> {
    if (hopTo(node) !== undefined || directory.get(node)?.document === undefined) return
    peering.seek(node)
    await waiting.wait(node, ms)
  }
}
