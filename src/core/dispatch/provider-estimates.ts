import type { Candidate, Load, Outcome } from './candidate.ts'
import { createEstimate, estimateBegan, estimateEnded, estimateHeard, estimateRefused, type Estimate } from './estimate.ts'

/** Pairs of provider and key that are remembered; the one used longest ago goes first, never one with calls outstanding. */
export const MAX_ESTIMATES = 4_096

/** The table of {@link Estimate}s. */
export interface ProviderEstimates {
  readonly size: number
  /** Entries made so far: whoever found none needs to look again only if this has grown. */
  readonly made: number
  /** Undefined: nothing is known of it. */
  get(candidate: Candidate): Estimate | undefined
  began(candidate: Candidate, now: number): void
  feedback(candidate: Candidate, load: Load, now: number): void
  /** @param forMs how long it takes no call, as it says. */
  refused(candidate: Candidate, forMs: number, now: number): void
  /** @param tookMs from beginning to end, as the caller saw it. */
  ended(candidate: Candidate, outcome: Outcome, tookMs: number, now: number): void
}

/** An empty table. */
export function createProviderEstimates(limit = MAX_ESTIMATES): ProviderEstimates {
  // By node, then by key: strings whose hash the engine has already, so that no new one is made for each look-up.
  const table = new Map<string, Map<string, Estimate>>()
  let size = 0
  let made = 0
  // Head and tail of the idle ones in one: its `newer` is the one used longest ago, its `older` the one used last.
  const idle = createEstimate('', '')
  idle.newer = idle.older = idle

  function unlink(estimate: Estimate): void {
    if (estimate.newer === undefined) return
    estimate.newer.older = estimate.older
    estimate.older!.newer = estimate.newer
    estimate.newer = estimate.older = undefined
  }

  function linkNewest(estimate: Estimate): void {
    unlink(estimate)
    estimate.older = idle.older
    estimate.newer = idle
    idle.older!.newer = estimate
    idle.older = estimate
  }

  /** Undefined if the table is full of providers with calls outstanding. */
  function enter({ node, key }: Candidate): Estimate | undefined {
    const known = table.get(node)?.get(key)
    if (known !== undefined) return known
    if (size >= limit && !forgetOldest()) return undefined
    const estimate = createEstimate(node, key)
    const ofNode = table.get(node)
    if (ofNode === undefined) table.set(node, new Map([[key, estimate]]))
    else ofNode.set(key, estimate)
    size++
    made++
    linkNewest(estimate)
    return estimate
  }

  function forgetOldest(): boolean {
    const oldest = idle.newer!
    if (oldest === idle) return false
    unlink(oldest)
    oldest.kept = false
    const ofNode = table.get(oldest.node)!
    ofNode.delete(oldest.key)
    if (ofNode.size === 0) table.delete(oldest.node)
    size--
    return true
  }

  return {
    get size() {
      return size
    },
    get made() {
      return made
    },
    get: ({ node, key }) => table.get(node)?.get(key),
    began(candidate, now) {
      const estimate = enter(candidate)
      if (estimate === undefined) return
      estimateBegan(estimate, candidate, now)
      unlink(estimate)
    },
    feedback(candidate, load, now) {
      const estimate = enter(candidate)
      if (estimate === undefined) return
      estimateHeard(estimate, load, now)
      if (estimate.outstanding === 0) linkNewest(estimate)
    },
    refused(candidate, forMs, now) {
      const estimate = table.get(candidate.node)?.get(candidate.key)
      if (estimate !== undefined) estimateRefused(estimate, forMs, now)
    },
    ended(candidate, outcome, tookMs, now) {
      const estimate = table.get(candidate.node)?.get(candidate.key)
      if (estimate === undefined || estimate.outstanding === 0) return
      estimateEnded(estimate, candidate, outcome, tookMs, now)
      if (estimate.outstanding === 0) linkNewest(estimate)
    }
  }
}
