import type { NodeCost } from '../../../protocols/announce/cost.ts'

export type { NodeCost } from '../../../protocols/announce/cost.ts'
export type { Load } from '../../../protocols/call/items.ts'

/** A provider that is able to run the call. Who is able, was decided before; here only load and distance count. */
export interface Candidate {
  /** PeerId. */
  node: string
  /** Capability type and tool: calls of the same key take about the same time on the same node. */
  key: string
  local: boolean
  /** Smoothed round trip in ms; undefined before the first measurement. */
  rttMs: number | undefined
  /** Metric of the path in ms where there is no direct connection. */
  metricMs?: number | undefined
  /** Calls that it runs at once, as announced. Default 1. */
  slots?: number
  cost?: NodeCost | undefined
}

/** What the caller asks of the choice. */
export interface DispatchRequest {
  /** `fast` looks at time alone. */
  prefer?: 'local' | 'fast' | 'cheap'
  /** Providers that are expected to take longer are not tried. */
  maxLatencyMs?: number
  /** PeerIds of nodes that must not run it. */
  notNode?: readonly string[]
}

/**
 * How a call ended. `ok`: with its result. `answered`: the provider is there, but how long it took says nothing: it told a mistake of the
 * caller or a failure of the tool, or had to wait for what the caller streamed in. `failed`: it was not reached, was lost, or says itself that
 * it cannot do such calls now. `busy`: it refused, and did not begin.
 */
export type Outcome = 'ok' | 'answered' | 'failed' | 'timeout' | 'busy' | 'cancelled'

/** Why a candidate stands where it stands. */
export type Why =
  | 'local'
  | 'sampled'
  /** Has had no call for long: tried so that it is not judged by old news for ever. */
  | 'explored'
  /** Drawn for the case that the sampled ones fail. */
  | 'reserve'
  | 'not sampled'
  | 'breaker open'
  /** So much runs and waits there that it would probably refuse. */
  | 'full'
  | 'over max latency'
  | 'excluded'

/** A candidate with the numbers that explain its place. */
export interface Ranked {
  candidate: Candidate
  why: Why
  /** The way there and back, in ms, as it was used: measured, else the metric, else assumed. */
  rttMs: number
  /** Expected service time in ms; assumed where `isGuess`. */
  serviceMs: number
  /** Nothing is known of how long it takes there. */
  isGuess: boolean
  /** Expected time to completion in ms. Where that is a guess, and a call is to find out, only the way there. */
  etaMs: number
  /** What cost adds, in ms. */
  costMs: number
  /** `etaMs` and `costMs`: the lowest wins. */
  score: number
  /** Capacity in calls a ms: it is sampled in proportion to this. */
  weight: number
  /** Calls of this node that run there. */
  outstanding: number
  slots: number
  /** Estimate of all calls that run or wait there. */
  running: number
  /** How old its last feedback is, in ms; Infinity if there was none. */
  heardMs: number
}
