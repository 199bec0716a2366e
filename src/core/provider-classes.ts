import { DEFAULT_CONCURRENCY } from './admission.ts'
import type { Offer } from './candidates.ts'
import type { Candidate, NodeCost } from './dispatch/candidate.ts'
import { statusOf, toolOf } from './query.ts'

/** An offer as the dispatcher sees it. What changes with each call and each link is read when it is asked for. */
export class Provider implements Candidate {
  readonly offer: Offer
  readonly tool: string
  readonly node: string
  /** One model of a node is faster than another: so by id, not by type. */
  readonly key: string
  readonly local: boolean
  readonly slots: number
  readonly cost: NodeCost | undefined

  constructor(offer: Offer, tool: string) {
    this.offer = offer
    this.tool = tool
    this.node = offer.node
    this.key = `${offer.id}\n${tool}`
    this.local = offer.local
    this.slots = toolOf(offer.capability, tool)?.concurrency ?? DEFAULT_CONCURRENCY
    this.cost = offer.cost
  }

  get rttMs(): number | undefined {
    return this.offer.rttMs
  }

  get metricMs(): number | undefined {
    return this.offer.metricMs
  }
}

/** Those that are able, made once for each state of the directory. */
export interface ProviderClasses {
  readonly all: readonly Provider[]
  /** The best class first: see {@link classOf}. None is empty. */
  readonly classes: readonly (readonly Provider[])[]
  /** This node itself, alone in its list. */
  readonly local: readonly Provider[]
}

const BY_STATUS: Record<string, number> = { online: 0, degraded: 1, busy: 2 }

/**
 * What goes before load and distance: of a class only those are called that no better one has a usable provider for. The own mesh before
 * others; in a mesh those to whom a way is known, or who are this node, before those who would have to be found; then by what they say of themselves.
 */
export function classOf(offer: Offer): number {
  return (offer.mesh === undefined ? 0 : 6) + (hasWay(offer) ? 0 : 3) + BY_STATUS[statusOf(offer.capability)]!
}

/** True if a call can set out at once. */
export function hasWay({ local, direct, hops }: Offer): boolean {
  return local || direct || hops !== undefined
}

/** @param all that are able. */
export function createProviderClasses(all: readonly Provider[]): ProviderClasses {
  const byClass = new Map<number, Provider[]>()
  for (const provider of all) {
    const of = classOf(provider.offer)
    const others = byClass.get(of)
    if (others === undefined) byClass.set(of, [provider])
    else others.push(provider)
  }
  return {
    all,
    classes: [...byClass].sort(([a], [b]) => a - b).map(([, providers]) => providers),
    local: all.filter(({ local }) => local)
  }
}

/** This node first, then by class; of equals always the same one. It decides whose declaration of the tool counts, not who is called. */
export function compareOffers(a: Offer, b: Offer): number {
  return Number(b.local) - Number(a.local) || classOf(a) - classOf(b) || (a.node < b.node ? -1 : 1)
}
