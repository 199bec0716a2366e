/** What a call on a provider costs beside time. Mains power and an unmetered link are the default, and free. */
export interface CallCost {
  /** Runs on its battery. */
  battery?: boolean
  /** Less than a fifth of it is left. */
  lowBattery?: boolean
  /** Its link is paid by volume. */
  metered?: boolean
  /** Cents a call. */
  price?: number
}

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
  metricMs?: number
  /** Calls that it runs at once, as announced. Default 1. */
  slots?: number
  /** Service time in ms that it announces for its class of device. */
  classMs?: number
  /** Bytes a ms on the way there. */
  bandwidth?: number
  cost?: CallCost
}

/** What the caller asks of the choice. */
export interface DispatchRequest {
  /** Size of the input. */
  bytes?: number
  prefer?: 'local' | 'fast' | 'cheap'
  /** Providers that are expected to take longer are not tried. */
  maxLatencyMs?: number
  /** The only node that may run it. */
  node?: string
  notNode?: readonly string[]
}

/** What a provider says of its load, with each reply and to each probe. */
export interface Load {
  /** Calls that run or wait there. */
  running: number
  /** Calls that it runs at once. */
  slots: number
  /** EWMA of its service time for this key, in ms, without waiting. */
  serviceMs: number
  /** How long ago it last ran such a call, in ms, if it says so. */
  ageMs?: number
}

/**
 * How a call ended. `failed`: the provider was not reached, or was lost; one that answers with an error of the tool has done its work,
 * which is `ok`. `busy`: it refused, and did not begin.
 */
export type Outcome = 'ok' | 'failed' | 'timeout' | 'busy' | 'cancelled'

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
  /** Expected service time in ms. */
  serviceMs: number
  /** Expected time to completion in ms. */
  etaMs: number
  /** `etaMs` and what cost adds, in ms: the lowest wins. */
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
