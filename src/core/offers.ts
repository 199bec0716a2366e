import type { CapabilityDeclaration } from '../../protocols/capability.ts'
import type { KnownPeer } from '../mesh-api.ts'
import type { Offer } from './candidates.ts'
import type { Directory } from './directory.ts'
import type { NodeCost } from './dispatch/candidate.ts'
import type { StoredCapability } from './stored-capability.ts'

/** What a link tells of a peer. */
export interface LinkState {
  readonly rttMs: number | undefined
}

/** The way to a node without a session. */
export interface RouteState {
  /** PeerId of the next hop. */
  readonly via: string
  readonly hops: number
  readonly metricMs: number
}

/** As views show it: null before it was measured. */
export const roundedRtt = (rttMs: number | undefined): number | null =>
  rttMs === undefined ? null : Math.round(rttMs * 100) / 100

/** The directory joined with the links and routes: who offers what, and how near it is. Rebuilt only when the directory changes, or to whom there is a way. */
export interface Offers {
  all(): Offer[]
  /** The directory changed, or what is blocked. */
  changed(): void
  setLink(peer: string, link: LinkState | undefined): void
  setRoute(peer: string, route: RouteState | undefined): void
  peers(sourceOf: (peer: string) => string): KnownPeer[]
  counts(): { local: number; remote: number }
  nodeName(peer: string): string
}

interface NodeStats {
  link: LinkState | undefined
  route: RouteState | undefined
}

/** What all offers of a node have in common. */
interface Offering {
  readonly node: string
  readonly nodeName: string
  readonly local: boolean
  readonly cost: NodeCost | undefined
  readonly stats: NodeStats
}

/** There may be many: so each holds nothing that it can ask for. */
class DirectoryOffer implements Offer {
  readonly #of: Offering
  readonly #stored: StoredCapability
  readonly blocked: boolean

  constructor(of: Offering, stored: StoredCapability, blocked: boolean) {
    this.#of = of
    this.#stored = stored
    this.blocked = blocked
  }

  get node(): string {
    return this.#of.node
  }

  get nodeName(): string {
    return this.#of.nodeName
  }

  get local(): boolean {
    return this.#of.local
  }

  get cost(): NodeCost | undefined {
    return this.#of.cost
  }

  get id(): string {
    return this.#stored.id
  }

  get type(): string {
    return this.#stored.type
  }

  get capability(): CapabilityDeclaration {
    return this.#stored.declaration
  }

  get direct(): boolean {
    return this.#of.stats.link !== undefined
  }

  get rttMs(): number | undefined {
    return this.#of.stats.link?.rttMs
  }

  get hops(): number | undefined {
    const { link, route } = this.#of.stats
    return link !== undefined ? 1 : route?.hops
  }

  get via(): string | undefined {
    const { link, route } = this.#of.stats
    return link !== undefined ? undefined : route?.via
  }

  get metricMs(): number | undefined {
    const { link, route } = this.#of.stats
    return link !== undefined ? undefined : route?.metricMs
  }
}

/** @param self PeerId of this node. @param isBlocked asked when the directory has changed, not at calls. */
export function createOffers(
  directory: Directory,
  self: string,
  isBlocked: (origin: string, id: string) => boolean = () => false
): Offers {
  const stats = new Map<string, NodeStats>()
  let cached: Offer[] | undefined

  function statsOf(peer: string): NodeStats {
    let entry = stats.get(peer)
    if (entry === undefined) stats.set(peer, (entry = { link: undefined, route: undefined }))
    return entry
  }

  /** Who can be reached at all, is asked about once for each list. */
  function setWay(peer: string, set: (node: NodeStats) => void): void {
    const node = statsOf(peer)
    const had = node.link !== undefined || node.route !== undefined
    set(node)
    if (had !== (node.link !== undefined || node.route !== undefined)) cached = undefined
  }

  function build(): Offer[] {
    const list: Offer[] = []
    for (const { origin, document } of directory.visible()) {
      const { name: nodeName, cost } = document!.info
      const of = { node: origin, nodeName, local: origin === self, cost, stats: statsOf(origin) }
      for (const stored of document!.capabilities.values())
        list.push(new DirectoryOffer(of, stored, isBlocked(origin, stored.id)))
    }
    for (const [peer, node] of stats)
      if (node.link === undefined && node.route === undefined && directory.get(peer) === undefined) stats.delete(peer)
    return list
  }

  return {
    all: () => (cached ??= build()),
    changed: () => (cached = undefined),
    setLink: (peer, link) => setWay(peer, (node) => (node.link = link)),
    setRoute: (peer, route) => setWay(peer, (node) => (node.route = route)),
    peers(sourceOf) {
      return directory
        .visible()
        .filter(({ origin }) => origin !== self)
        .map(({ origin, document }) => {
          const { link, route } = stats.get(origin) ?? {}
          const direct = link !== undefined
          const { name, version, addresses, embeddings } = document!.info
          return {
            peerId: origin,
            name,
            version,
            rttMs: roundedRtt(link?.rttMs),
            direct,
            hops: direct ? 1 : (route?.hops ?? null),
            via: direct ? null : (route?.via ?? null),
            source: sourceOf(origin),
            addresses,
            capabilities: [...document!.capabilities.keys()],
            ...(embeddings !== undefined && { embeddings })
          }
        })
        .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.peerId < b.peerId ? -1 : 1))
    },
    counts() {
      const all = this.all()
      const local = all.filter((offer) => offer.local).length
      return { local, remote: all.length - local }
    },
    nodeName: (peer) => directory.get(peer)?.document?.info.name ?? peer
  }
}
