import type { Candidate, DispatchRequest, NodeCost } from './candidate.ts'
import type { Estimate } from './estimate.ts'

/** Service time of a provider of which nothing is known, as peak-EWMA balancers assume it (Finagle, Linkerd). */
export const UNKNOWN_SERVICE_MS = 1_000
/** Round trip to a provider to which it was not measured. */
export const UNKNOWN_RTT_MS = 50
/** What is added for a node on its battery, on a nearly empty one, and behind a link paid by volume, in ms. On mains: nothing. */
export const PENALTY_MS = { battery: 50, 'low-battery': 500, metered: 200 } as const
/** How many ms a cent is worth, by preference. By default money decides between equals; `cheap` waits 2 s to save a cent, and `fast` looks at time alone. */
export const MS_PER_CENT = { local: 20, default: 20, cheap: 2_000 } as const
/**
 * Calls for each slot, running and waiting, from which a provider is held for full. It refuses at 3, but until a call is there, others
 * have come as well: at 85 % load of the simulated fleet, 2.3 % of calls are refused for good with 3 here, and 0.02 % with this.
 */
export const FULL_SLOTS = 2.5
/** Feedback on load loses its worth with this time constant, in ms: `2s` of the formula. */
export const LOAD_MEMORY_MS = 2_000
/** Own samples after which they are believed rather than what the provider says. */
export const OWN_SAMPLES = 5
/** A claim that differs from own measurements by more than this factor is not believed. */
export const MAX_DOUBT = 2
/** Silence of a provider, in expected times to completion, that says that it has become slow: chance alone makes it so in one of fifty. */
export const SILENT_TIMES = 4

/** Bounds of what a provider may claim, and of estimates, in ms. */
export const SERVICE_RANGE_MS = [0.05, 600_000] as const
/** More slots than any node has. */
export const MAX_SLOTS = 1_024

/** The nearest service time in ms that is possible; what is announced, may be anything. */
export function clampService(ms: number): number {
  return Math.min(SERVICE_RANGE_MS[1], Math.max(SERVICE_RANGE_MS[0], ms))
}

/** The way there and back in ms. */
export function rttOf({ local, rttMs, metricMs }: Candidate): number {
  return local ? 0 : (rttMs ?? metricMs ?? UNKNOWN_RTT_MS)
}

/** Calls that the provider runs at once, at least 1. */
export function slotsOf(estimate: Estimate | undefined, { slots }: Candidate): number {
  return estimate !== undefined && estimate.slots > 0 ? estimate.slots : slots! >= 1 ? Math.min(MAX_SLOTS, slots!) : 1
}

/** Calls that run or wait at the provider, of this node and of others: old feedback fades, own calls are known. */
export function runningAt({ outstanding, running, heardAt }: Estimate, now: number): number {
  if (running <= outstanding) return outstanding
  const trust = Math.exp((heardAt - now) / LOAD_MEMORY_MS)
  return running * trust + outstanding * (1 - trust)
}

/** How many service times a call takes that comes to so many others, wait included. */
export function queueFactor(running: number, slots: number): number {
  return 1 + Math.max(0, running + 1 - slots) / slots
}

/**
 * Service time in ms, without waiting. Own measurements say whether a claim can be believed, and count where it cannot: the claim is
 * finer, because it comes of all callers. While calls stay out for much longer than expected, the silence counts.
 */
export function serviceMsOf(estimate: Estimate | undefined, candidate: Candidate, now: number): number {
  if (estimate === undefined) return UNKNOWN_SERVICE_MS
  const { samples, tookMs, claimedMs } = estimate
  let serviceMs = claimedMs > 0 ? claimedMs : UNKNOWN_SERVICE_MS
  // Where it says nothing, the first own call says more than what is assumed.
  if (samples >= OWN_SAMPLES || (samples > 0 && claimedMs === 0)) {
    const ownMs = tookMs / estimate.queueFactor
    if (claimedMs === 0 || serviceMs > ownMs * MAX_DOUBT || serviceMs < ownMs / MAX_DOUBT) serviceMs = ownMs
  }
  if (estimate.outstanding === 0) return serviceMs
  const silentMs = now - estimate.silentSince - rttOf(candidate)
  return silentMs > SILENT_TIMES * serviceMs * estimate.queueFactor ? Math.max(serviceMs, silentMs) : serviceMs
}

/** False while the service time is nothing but assumed. */
export function isServiceKnown(estimate: Estimate | undefined): boolean {
  return estimate !== undefined && (estimate.claimedMs > 0 || estimate.samples > 0)
}

/** What cost adds to the expected time, in ms. */
export function costMs(cost: NodeCost | undefined, prefer: DispatchRequest['prefer']): number {
  if (cost === undefined || prefer === 'fast') return 0
  const { power, metered, price = 0 } = cost
  return (
    (power === undefined || power === 'mains' ? 0 : PENALTY_MS[power]) +
    (metered === true ? PENALTY_MS.metered : 0) +
    price * MS_PER_CENT[prefer ?? 'default']
  )
}
