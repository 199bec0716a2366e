import type { Candidate } from './candidate.ts'
import type { Estimate } from './estimate.ts'
import { serviceMsOf, slotsOf } from './expected-time.ts'
import type { ProviderEstimates } from './provider-estimates.ts'
import { createWeightedDraw } from './weighted-draw.ts'

/** A provider without a call for so long may be explored, in ms: well before the minute in which each healthy one is to have one. */
export const STARVING_MS = 30_000
/** Candidates that one exploration looks at, in turn with the next. */
export const EXPLORE_LOOKS = 16

/** A weight is renewed when it differs by more than this: draws need no better. */
const MAX_DRIFT = 0.02

/** Candidates of one array, ready to be drawn: made once for each array, because it takes as long as the array is. */
export interface CandidateSet {
  /** The first that is this node itself. */
  readonly local: number
  estimate(index: number): Estimate | undefined
  /** Draws one in proportion to its capacity, others than those of `out`, and renews no weight. @returns -1 if none is left. */
  draw(random: () => number, out: readonly number[]): number
  /** The weight that it has now: after it was drawn. */
  renew(index: number, weight: number): void
  /** One that has had no call for long, or -1. */
  starving(now: number): number
}

/** True if no call is known to have run there for long. Providers that cost money or a nearly empty battery are left in peace. */
export function isStarving(estimate: Estimate | undefined, { cost, local }: Candidate, now: number): boolean {
  if (local || cost?.power === 'low-battery' || (cost?.price ?? 0) > 0) return false
  return estimate === undefined || (estimate.outstanding === 0 && now - estimate.usedAt > STARVING_MS)
}

/** In calls a ms. */
export function weightOf(estimate: Estimate | undefined, candidate: Candidate, now: number): number {
  return slotsOf(estimate, candidate) / serviceMsOf(estimate, candidate, now)
}

/** Weights are those of `now` for all, and later renewed for those that are drawn: an estimate changes with the calls that go there. */
export function createCandidateSet(candidates: readonly Candidate[], estimates: ProviderEstimates, now: number): CandidateSet {
  const known = candidates.map((candidate) => estimates.get(candidate))
  const local = candidates.findIndex((candidate) => candidate.local)
  // This node itself is always looked at, so it need not be drawn.
  const weights = createWeightedDraw(candidates.length, (index) =>
    index === local ? 0 : weightOf(known[index], candidates[index]!, now)
  )
  const madeAt = new Float64Array(candidates.length).fill(estimates.made)
  let looked = 0

  function estimate(index: number): Estimate | undefined {
    const cached = known[index]
    if (cached === undefined ? madeAt[index] === estimates.made : cached.kept) return cached
    madeAt[index] = estimates.made
    return (known[index] = estimates.get(candidates[index]!))
  }

  return {
    local,
    estimate,
    draw(random, out) {
      let index = weights.draw(random())
      if (index < 0 || !out.includes(index)) return index
      // One that is drawn again is so heavy that it may be drawn many times: all that were are taken out of the draw, and put back.
      const kept = out.map(weights.weight)
      for (const taken of out) weights.set(taken, 0)
      index = weights.draw(random())
      for (const [n, taken] of out.entries()) weights.set(taken, kept[n]!)
      return index
    },
    renew(index, weight) {
      const drift = weight / weights.weight(index)
      if (drift > 1 + MAX_DRIFT || drift < 1 - MAX_DRIFT) weights.set(index, weight)
    },
    starving(now) {
      for (let looks = Math.min(EXPLORE_LOOKS, candidates.length); looks > 0; looks--) {
        looked = (looked + 1) % candidates.length
        if (isStarving(estimate(looked), candidates[looked]!, now)) return looked
      }
      return -1
    }
  }
}
