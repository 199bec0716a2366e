/** The router of the core, with PeerIds for numbers and a timer: what it says goes to neighbours, what they say goes to it. */
import type { Potential } from '../protocols/forward/messages.ts'
import { MAX_ROUTE_WANTS, NO_ROUTE } from '../protocols/gradient/messages.ts'
import { createNeighbourTrust, type Blame, type Outcome } from './core/routing/neighbour-trust.ts'
import { createNumbering } from './core/routing/numbering.ts'
import { INFINITE } from './core/routing/metric.ts'
import { createRouter } from './core/routing/router.ts'
import type { Route, RouterEffect, RouterEvent } from './core/routing/router-messages.ts'
import type { NamedItem } from './net/gradient-names.ts'

/** A route to a node, by PeerIds. */
export interface NodeRoute extends Omit<Route, 'origin' | 'link' | 'nextHop'> {
  node: string
  /** The neighbour that it goes through. */
  via: string
}

/** See {@link createMeshRouter}. */
export interface MeshRouter {
  /** A neighbour tells and hears routes from now on. @param cost of the link, units of 0.1 ms. */
  up(peer: string, cost: number): void
  down(peer: string): void
  cost(peer: string, cost: number): void
  /** What a neighbour says. */
  hear(peer: string, item: NamedItem): void
  /** A node is known that was not. @returns true if a neighbour wants a way to it. */
  known(node: string): boolean
  /** What neighbours want ways to: these, or all nodes. */
  asked(): { all: boolean; nodes: ReadonlySet<string> }
  /** This node has no use for routes to these any more, but for direct ones. */
  forget(nodes: readonly string[]): void
  /** What a node offers: whoever cannot hear of all hears of the nearest of each type. */
  types(node: string, types: readonly string[]): void
  route(node: string): NodeRoute | undefined
  /** The best that this node has ever told of a way there; undefined if nothing. */
  feasible(node: string): Potential | undefined
  /** What came of what a neighbour was given for a node: see {@link NeighbourTrust}. @param own it was of this node itself. */
  came(peer: string, node: string, outcome: Outcome, own: boolean): void
  stop(): void
}

/** What it needs. */
export interface MeshRouterComponents {
  self: string
  incarnation: number
  now: () => number
  random: () => number
  tell(peer: string, item: NamedItem): void
  /** The next hop to a node is another one; `via` undefined: there is none. */
  onRoute(node: string, via: string | undefined, before: string | undefined): void
  /** A node that is spoken of is known: what is not, is not numbered. */
  isKnown(node: string): boolean
}

/** Types that are told apart; providers of others are told only while there is room for all. */
const MAX_TYPES = 4_096
/** Longest wait of one timer, in ms. */
const MAX_WAIT_MS = 60_000

/** See {@link MeshRouter}. */
export function createMeshRouter(components: MeshRouterComponents): MeshRouter {
  const { self, now, random, tell, onRoute, isKnown } = components
  const linkOf = new Map<string, number>()
  const peers: (string | undefined)[] = []
  const numbers = createNumbering(
    // A demotion outlives what is known of its origin: it is about that one, should it come again, and about no other.
    (id, number) => id === self || linkOf.has(id) || isKnown(id) || router.has(number) || trust.isDemotedFor(id)
  )
  const router = createRouter({
    self: numbers.of(self),
    sequence: { incarnation: components.incarnation, sequence: 1 },
    random,
    hashOf: (number) => numbers.hashOf(number)
  })
  /** What neighbours want of which this node knows nothing yet, by neighbour. */
  const unknown = new Map<string, Set<string>>()
  /** What neighbours want, by neighbour. */
  const asking = new Map<string, { all: boolean; nodes: Set<string> }>()
  const typeNumbers = new Map<string, number>()
  const trust = createNeighbourTrust<string>()
  let timer: ReturnType<typeof setTimeout> | undefined
  let stopped = false

  function step(event: RouterEvent): void {
    if (stopped) return
    const gone = event.kind === 'link-down' ? peers[event.link] : undefined
    const effects = router.step(event, now())
    if (event.kind === 'link-down') forgetLink(event.link)
    for (const effect of effects) act(effect, gone)
    schedule()
  }

  function forgetLink(link: number): void {
    const peer = peers[link]
    if (peer !== undefined) linkOf.delete(peer)
    peers[link] = undefined
  }

  function schedule(): void {
    clearTimeout(timer)
    const at = Math.min(router.wakeAt, trust.nextAt)
    if (at === Infinity) return
    timer = setTimeout(tick, Math.min(MAX_WAIT_MS, Math.max(0, at - now())))
    timer.unref?.()
  }

  function tick(): void {
    blameAll(trust.tick(now()))
    step({ kind: 'tick' })
  }

  const idOf = (number: number): string => numbers.idOf(number)

  function act(effect: RouterEffect, gone: string | undefined): void {
    if (effect.kind === 'route')
      return onRoute(idOf(effect.origin), peers[effect.link], peers[effect.before] ?? (effect.before >= 0 ? gone : undefined))
    const peer = peers[effect.link]
    if (peer === undefined) return
    switch (effect.kind) {
      case 'update': {
        const rows = effect.rows.map(({ origin, metric, ...row }) => ({
          ...row,
          origin: idOf(origin),
          metric: metric === INFINITE ? NO_ROUTE : metric
        }))
        return tell(peer, { kind: 'rows', rows, full: effect.full })
      }
      case 'request': {
        const { origin, incarnation, sequence, ttl } = effect
        return tell(peer, { kind: 'request', origin: idOf(origin), incarnation, sequence, ttl, proven: false })
      }
      case 'digest':
        return tell(peer, { kind: 'digest', digest: effect.digest, count: effect.count })
      case 'dump':
        return tell(peer, { kind: 'dump' })
    }
  }

  /** As the router takes it; undefined if nothing is left that is about nodes that are known. */
  function eventOf(link: number, peer: string, item: NamedItem): RouterEvent | undefined {
    switch (item.kind) {
      case 'rows': {
        const rows = item.rows
          .filter(({ origin }) => origin === peer || isKnown(origin))
          .map(({ origin, metric, ...row }) => ({
            ...row,
            origin: numbers.of(origin),
            metric: metric === NO_ROUTE ? INFINITE : metric
          }))
        return { kind: 'update', link, rows, full: item.full }
      }
      case 'wants':
        return wantsOf(link, peer, item)
      case 'request': {
        const { origin, incarnation, sequence, ttl, proven } = item
        return isKnown(origin)
          ? { kind: 'request', link, origin: numbers.of(origin), incarnation, sequence, ttl, proven }
          : undefined
      }
      case 'digest':
        return { kind: 'digest', link, digest: item.digest, count: item.count }
      case 'dump':
        return { kind: 'dump', link }
    }
  }

  function wantsOf(link: number, peer: string, { all, add, drop }: NamedItem & { kind: 'wants' }): RouterEvent {
    const later = (all === undefined ? unknown.get(peer) : undefined) ?? new Set()
    for (const node of drop) later.delete(node)
    for (const node of add) if (!isKnown(node) && later.size < MAX_ROUTE_WANTS) later.add(node)
    unknown.set(peer, later)
    const isAll = all ?? asking.get(peer)?.all ?? false
    const nodes = (all === undefined ? asking.get(peer)?.nodes : undefined) ?? new Set()
    for (const node of drop) nodes.delete(node)
    for (const node of add) if (nodes.size < MAX_ROUTE_WANTS) nodes.add(node)
    asking.set(peer, { all: isAll, nodes })
    const known = (nodes: readonly string[]): number[] => nodes.filter(isKnown).map(numbers.of)
    return { kind: 'wants', link, ...(all !== undefined && { all }), add: known(add), drop: known(drop) }
  }

  /** Others get no number: anybody may ask for a way to anything. */
  const isNamed = (node: string): boolean => linkOf.has(node) || isKnown(node)

  /** Of a neighbour that is gone it is told when it comes again, if it is still in force. */
  function blameAll(blames: readonly Blame<string>[]): void {
    for (const { neighbour, origin, cost } of blames) {
      const link = linkOf.get(neighbour)
      if (link === undefined) continue
      step({ kind: 'blame', link, ...(origin !== undefined && { origin: numbers.of(origin) }), cost })
    }
  }

  return {
    up(peer, cost) {
      const free = peers.indexOf(undefined)
      const link = free < 0 ? peers.length : free
      peers[link] = peer
      linkOf.set(peer, link)
      step({ kind: 'link-up', link, node: numbers.of(peer), cost })
      blameAll(trust.inForce(peer))
    },
    down(peer) {
      unknown.delete(peer)
      asking.delete(peer)
      const link = linkOf.get(peer)
      if (link !== undefined) step({ kind: 'link-down', link })
    },
    cost(peer, cost) {
      const link = linkOf.get(peer)
      if (link !== undefined) step({ kind: 'cost', link, cost })
    },
    hear(peer, item) {
      const link = linkOf.get(peer)
      const event = link === undefined ? undefined : eventOf(link, peer, item)
      if (event !== undefined) step(event)
    },
    types(node, types) {
      const numbered = types.flatMap((type) => {
        if (!typeNumbers.has(type) && typeNumbers.size < MAX_TYPES) typeNumbers.set(type, typeNumbers.size)
        return typeNumbers.get(type) ?? []
      })
      step({ kind: 'types', origin: numbers.of(node), types: numbered })
    },
    asked() {
      const by = [...asking.values()]
      return { all: by.some(({ all }) => all), nodes: new Set(by.flatMap(({ nodes }) => [...nodes])) }
    },
    known(node) {
      const who = [...unknown].filter(([, later]) => later.delete(node))
      for (const [peer] of who) step({ kind: 'wants', link: linkOf.get(peer)!, add: [numbers.of(node)], drop: [] })
      return who.length > 0
    },
    forget: (nodes) => step({ kind: 'forget', origins: nodes.map(numbers.of) }),
    route(node) {
      const found = isNamed(node) ? router.route(numbers.of(node)) : undefined
      if (found === undefined) return undefined
      const { origin: _origin, link: _link, nextHop, ...route } = found
      return { ...route, node, via: idOf(nextHop) }
    },
    feasible: (node) => (isNamed(node) ? router.feasibleDistance(numbers.of(node)) : undefined),
    came(peer, node, outcome, own) {
      if (!linkOf.has(peer) || peer === node || !isKnown(node)) return
      blameAll(trust.came(peer, node, outcome, now(), own))
      schedule()
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    }
  }
}
