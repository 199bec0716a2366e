/** Routes as a person sees them, and who is on the way to a node. */
import { findNamed } from './core/candidates.ts'
import type { Directory, DirectoryEntry } from './core/directory.ts'
import type { Offer } from './core/candidates.ts'
import { statusOf } from './core/query.ts'
import { UNITS_PER_MS } from './core/routing/metric.ts'
import { DEMOTED_COST } from './core/routing/neighbour-trust.ts'
import { nearest } from '../protocols/nearest.ts'
import { nodeCalled, parseTarget } from '../protocols/named-node.ts'
import { MeshError, abortError } from './errors.ts'
import type { GradientRow, MeshRoutes, RouteView, RoutesView, TraceHop } from './mesh-api.ts'
import type { MeshRouting } from './mesh-routing.ts'

/** Providers of a type that the gradient table shows. */
export const MAX_GRADIENT_ROWS = 8
/** A trace takes at most this long, in ms. */
export const TRACE_WITHIN_MS = 10_000

/** What the views are made of. */
export interface RouteViewsComponents {
  self: string
  directory: Directory
  routing: MeshRouting
  offers(): Offer[]
  nameOf(node: string): string | undefined
  now: () => number
}

/** See {@link MeshRoutes}. */
export function createRouteViews(components: RouteViewsComponents): Pick<MeshRoutes, 'routes' | 'trace'> {
  const { self, directory, routing, offers, now } = components
  const nameOf = (node: string): string => components.nameOf(node) ?? node

  function routeTo({ origin: node, document, connected: direct }: DirectoryEntry): RouteView {
    const hop = routing.hopTo(node)
    const standing = direct ? undefined : routing.standingOf(node)
    return {
      node,
      nodeName: document!.info.name,
      direct,
      via: direct ? null : (hop?.peer ?? null),
      viaName: direct || hop === undefined ? null : nameOf(hop.peer),
      hops: hop?.hops ?? null,
      metricMs: hop === undefined ? null : hop.metric / UNITS_PER_MS,
      held: standing?.held ?? false,
      avoided: isAvoided(direct, hop),
      sequence: standing?.sequence ?? null
    }
  }

  function gradientRow(offer: Offer, at: number): GradientRow {
    const { node, nodeName, local, direct, capability } = offer
    const entry = directory.get(node)
    const hop = local ? undefined : routing.hopTo(node)
    return {
      node,
      nodeName,
      capability: capability.id,
      status: statusOf(capability),
      local,
      direct,
      via: direct ? null : (hop?.peer ?? null),
      hops: local ? 0 : (hop?.hops ?? null),
      metricMs: local ? 0 : hop === undefined ? null : hop.metric / UNITS_PER_MS,
      avoided: isAvoided(direct, hop),
      ageMs: local || direct || entry === undefined ? 0 : Math.round(at - entry.heardAt)
    }
  }

  function nodes(): RouteView[] {
    return [...directory.entries()]
      .filter(({ origin, document }) => origin !== self && document !== undefined)
      .map(routeTo)
      .sort((a, b) => compare(a.nodeName, b.nodeName) || compare(a.node, b.node))
  }

  function types(): RoutesView['types'] {
    const at = now()
    const rows = new Map<string, GradientRow[]>()
    for (const offer of offers()) {
      const ofType = rows.get(offer.type)
      if (ofType === undefined) rows.set(offer.type, [gradientRow(offer, at)])
      else ofType.push(gradientRow(offer, at))
    }
    return [...rows]
      .sort(([a], [b]) => compare(a, b))
      .map(([type, all]) => ({ type, providers: all.sort(byMetric).slice(0, MAX_GRADIENT_ROWS) }))
  }

  /** PeerId of the node that is meant: by PeerId or the end of it, by name, or by what it offers. */
  function nodeOf(target: string): string {
    const all = [...directory.entries()].filter(({ document }) => document !== undefined)
    const named = nodeCalled(
      all.map(({ origin, document }) => ({ node: origin, nodeName: document!.info.name, local: origin === self })),
      target
    )
    if (named !== undefined) return named
    const isNamed = offers().some(({ id, type }) => id === target || type === target)
    if (!isNamed && parseTarget(target).node === undefined) throw unknown(target, all)
    const [first] = findNamed(offers(), target).named.sort((a, b) => byMetric(gradientRow(a, 0), gradientRow(b, 0)))
    return first!.node
  }

  function unknown(target: string, known: readonly DirectoryEntry[]): MeshError {
    const near = nearest(target, [
      ...known.map(({ document }) => document!.info.name),
      ...offers().flatMap(({ id, type }) => [id, type])
    ])
    const hint = near === undefined ? 'see `atmo peers` and `atmo capabilities`' : `did you mean "${near}"?`
    return new MeshError('unknown_capability', `no node and no capability is called "${target}"; ${hint}`, {
      target,
      ...(near !== undefined && { near })
    })
  }

  /** The hops to a node, as they answer. */
  async function* trace(node: string, signal: AbortSignal | undefined): AsyncGenerator<TraceHop, void, void> {
    if (node === self) return
    const late = AbortSignal.timeout(TRACE_WITHIN_MS)
    const startedAt = now()
    let hop = 0
    try {
      for await (const on of routing.ways.circuits.trace(node, signal === undefined ? late : AbortSignal.any([signal, late])))
        yield { hop: ++hop, node: on, nodeName: nameOf(on), rttMs: Math.round((now() - startedAt) * 100) / 100 }
    } catch (error) {
      if (signal?.aborted === true) throw abortError(signal)
      if (late.aborted)
        throw new MeshError('unavailable', `nothing came back after hop ${hop} of the way to ${nameOf(node)}`, { hop })
      throw error
    }
  }

  return {
    routes: () => ({ nodes: nodes(), types: types() }),
    // Who it is, is known at once; so is that it is nobody.
    trace: (target, { signal } = {}) => trace(nodeOf(target), signal)
  }
}

/** A neighbour itself is not demoted, only what it passes on. */
const isAvoided = (direct: boolean, hop: { metric: number } | undefined): boolean =>
  !direct && hop !== undefined && hop.metric >= DEMOTED_COST

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Those that cannot be reached come last. */
function byMetric(a: GradientRow, b: GradientRow): number {
  return (a.metricMs ?? Infinity) - (b.metricMs ?? Infinity) || compare(a.node, b.node)
}
