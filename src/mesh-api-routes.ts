/** What users of a node see of routes and of the choice among providers. Types only; part of the Mesh type. */
import type { Why } from './core/dispatch/candidate.ts'

/** The way to a node. */
export interface RouteView {
  /** PeerId. */
  node: string
  nodeName: string
  /** A session with it is open: nobody is between. */
  direct: boolean
  /** PeerId of the next hop. Null: it is direct, or no way is known now. */
  via: string | null
  viaName: string | null
  /** Null: no way is known. */
  hops: number | null
  /** What the way costs, in ms: round trips and penalties of its links. Null: no way is known, or it was not measured yet. */
  metricMs: number | null
  /** The next hop got worse; the route is kept while a newer one is asked for. */
  held: boolean
  /** Calls that went this way did not come back, here or at a node on the way: it is used only if there is no other, and its cost says so. */
  avoided: boolean
  /** Number that the origin signed; null where there is no need of one, as it is direct. */
  sequence: { incarnation: number; sequence: number } | null
}

/** A row of the gradient table: a provider of a type, and the way to it. */
export interface GradientRow extends Pick<RouteView, 'node' | 'nodeName' | 'direct' | 'via' | 'hops' | 'metricMs' | 'avoided'> {
  /** Id of the capability. */
  capability: string
  status: string
  local: boolean
  /** Since something was last heard of it, in ms; 0 for this node, and for those with a session. */
  ageMs: number
}

/** All that a node knows of ways. */
export interface RoutesView {
  /** By name. */
  nodes: RouteView[]
  /** The nearest providers of each type, at most 8 a type. */
  types: { type: string; providers: GradientRow[] }[]
}

/** Who runs a call. */
export interface CallProvider {
  /** PeerId. */
  node: string
  nodeName: string
  /** PeerIds from the caller to it, as of a `Route`. */
  path: string[]
}

/** What the caller asks of the choice among providers. */
export interface DispatchPreference {
  /** `local`: this node if it can; `fast`: the first to be done, whatever it costs; `cheap`: what costs least, if it takes seconds longer. Default: the first to be done, costs counted. */
  prefer?: 'local' | 'fast' | 'cheap'
  /** Nodes that must not run it: by name, PeerId, or the end of one. A name that no node has had is refused (`invalid_argument`); a PeerId need not be known. */
  notNode?: readonly string[]
  /** Providers that are expected to take longer than this, in ms, are not tried. */
  maxLatencyMs?: number
}

/** A provider in the choice for a call, with the numbers that it is made by. Of those that are able and reachable the first is the one that would be called now. */
export interface ExplainedCandidate {
  node: string
  nodeName: string
  capability: string
  tool: string
  local: boolean
  direct: boolean
  via: string | null
  hops: number | null
  /** As in {@link RouteView}. */
  avoided: boolean
  status: string
  /** 1 for the one that would be called first; null for those that would not be tried. */
  place: number | null
  why: Why | 'unreachable'
  /** In words. */
  reason: string
  /** All in ms, rounded to 0.01. Null: no way there is known, or nothing of how long it takes there. */
  rttMs: number | null
  /** Behind others. */
  waitMs: number | null
  serviceMs: number | null
  /** The three before it together. */
  etaMs: number | null
  /** What power, metered links and price add. */
  costMs: number
  /** `etaMs` and `costMs`: the lowest goes first. Where `etaMs` is null, a guess takes its place. */
  score: number
  /** Calls that run and wait there, as estimated; those of this node; how many it runs at once. */
  running: number
  outstanding: number
  slots: number
  /** Age of what it last said of its load; null: it has said nothing yet. */
  heardMs: number | null
}

/** Why a call would go where it would go. Nothing is called for it. */
export interface Explanation {
  target: string
  /** The tool that the numbers are for; of several capabilities with other tools, all. */
  tool: string
  candidates: ExplainedCandidate[]
}

/** A hop on the way to a node, as it answered. */
export interface TraceHop {
  /** 1 for the neighbour. */
  hop: number
  node: string
  nodeName: string
  /** From the question to its answer, in ms. */
  rttMs: number
}

/** The part of the Mesh type that is about ways. */
export interface MeshRoutes {
  routes(): RoutesView
  /**
   * Why a call of `tool` would go where. `target` as of `call`; `ids`: of what it means only these capabilities. Without `tool`: the first tool of the target.
   * Throws as a call would: `unknown_capability`, `unknown_tool`, `ambiguous`, `unavailable`.
   */
  explain(target: string, tool?: string, options?: DispatchPreference & { node?: string; ids?: readonly string[] }): Explanation
  /**
   * Asks each node on the way to another for its name. `target`: PeerId, name, or a capability as of `call`, of which the nearest provider is meant.
   * Throws `unavailable` if there is no way, or it ends before the node, `invalid_argument`, `ambiguous`, `unknown_capability`.
   */
  trace(target: string, options?: { signal?: AbortSignal }): AsyncIterable<TraceHop>
}
