import type { Candidate, DispatchRequest, Load, Outcome, Ranked } from './candidate.ts'
import { createCandidateSet, isStarving, type CandidateSet } from './candidate-set.ts'
import { arrange, byScore, isUsable, MAX_TRIES, probesOf, rank, type Decision } from './decision.ts'
import { createProviderEstimates } from './provider-estimates.ts'
import { createRetryBudget } from './retry-budget.ts'

/** Share of calls that may go to a provider that has had none for long. */
export const EXPLORE_SHARE = 0.01
/** Candidates that are drawn for one call; those that it must not try are among them. */
export const MAX_DRAWS = 8

/** Up to so many candidates, all are looked at where those that were drawn are full; of more, those must do. */
export const MAX_SEARCHED = 64

/** What the dispatcher needs. */
export interface DispatcherComponents {
  /** 0 <= x < 1. */
  random: () => number
}

/**
 * Chooses among providers that are all able, by expected completion time: capacity-weighted power of two choices, with feedback of each
 * reply and probes where that is stale. `now` is monotonic, in ms. For each call: `called`, `order`; if it names any to `probe`, `feedback` of each
 * that has answered, then `reorder`; for each try `began` and `ended` once; before each further try `retry`.
 */
export interface Dispatcher {
  /** A call begins: it pays for a part of a retry. */
  called(now: number): void
  /** @param candidates the same array as long as they are the same: it is prepared once, in O(n); then a decision takes O(log n). */
  order(candidates: readonly Candidate[], request: DispatchRequest, now: number): Decision
  /** Decides once more among those that a decision has drawn, by what is known now; names none to probe. */
  reorder(decision: Decision, now: number): Decision
  /** The numbers of one, as they are now. */
  rank(candidate: Candidate, request: DispatchRequest, now: number): Ranked
  /** Takes a retry of the budget; false: the call must fail. @param retry 1 for the first further try of a call. */
  retry(retry: number): boolean
  /** True if the budget has one: only then a provider may be told that it is free to refuse. */
  readonly canRetry: boolean
  /** It was, and has refused: the call goes on elsewhere in any case, and later ones pay for it. */
  oweRetry(): void
  /** A call goes to it. */
  began(candidate: Candidate, now: number): void
  /** It has told its load. */
  feedback(candidate: Candidate, load: Load, now: number): void
  /** It has refused this node's calls for so long. */
  refused(candidate: Candidate, forMs: number, now: number): void
  /** The call there has ended. @param tookMs since it began, without the time in which this side held it up. */
  ended(candidate: Candidate, outcome: Outcome, tookMs: number, now: number): void
}

/** A dispatcher that knows nothing yet. */
export function createDispatcher({ random }: DispatcherComponents): Dispatcher {
  const estimates = createProviderEstimates()
  const budget = createRetryBudget()
  const sets = new WeakMap<readonly Candidate[], CandidateSet>()
  // Places of those that the decision at hand has drawn; one array for all decisions.
  const out: number[] = []

  function setOf(candidates: readonly Candidate[], now: number): CandidateSet {
    let set = sets.get(candidates)
    if (set === undefined) sets.set(candidates, (set = createCandidateSet(candidates, estimates, now)))
    return set
  }

  function decide(candidates: readonly Candidate[], request: DispatchRequest, now: number): Decision {
    const set = setOf(candidates, now)
    const luck = random()
    // Few are soon known all, of many not all need be; where this node itself can do it, others are tried when that pays.
    const isHopeful = set.local < 0 && luck < MAX_TRIES / candidates.length
    const rankAt = (index: number): Ranked => rank(candidates[index]!, set.estimate(index), request, now, isHopeful)
    const local = set.local < 0 ? undefined : rankAt(set.local)
    const drawn: Ranked[] = []
    let explored: Ranked | undefined
    let usable = 0
    out.length = 0
    const explores = luck < EXPLORE_SHARE && request.prefer !== 'local' && request.prefer !== 'fast'
    const starving = explores ? set.starving(now) : -1
    if (starving >= 0) {
      explored = rankAt(starving)
      out.push(starving)
    }
    for (let draws = 0; draws < MAX_DRAWS && usable < MAX_TRIES; draws++) {
      const index = set.draw(random, out)
      if (index < 0) break
      const ranked = rankAt(index)
      out.push(index)
      drawn.push(ranked)
      set.renew(index, ranked.weight)
      if (isUsable(ranked)) usable++
    }
    const isFull = usable === 0 && candidates.length > MAX_SEARCHED && drawn.some(({ why }) => why === 'full')
    const isAny =
      usable > 0 || (local !== undefined && isUsable(local)) || (explored !== undefined && isUsable(explored)) || isFull
    return settle(request, isAny ? drawn : searched(candidates, set, request, now), local, explored, isHopeful)
  }

  /** Nothing of what was drawn may be tried, so all others are looked at. */
  function searched(candidates: readonly Candidate[], set: CandidateSet, request: DispatchRequest, now: number): Ranked[] {
    const all = candidates.map((candidate, index) => rank(candidate, set.estimate(index), request, now))
    if (set.local >= 0) all.splice(set.local, 1)
    return all.sort((a, b) => Number(isUsable(b)) - Number(isUsable(a)) || byScore(a, b))
  }

  function settle(
    request: DispatchRequest,
    drawn: Ranked[],
    local: Ranked | undefined,
    explored: Ranked | undefined,
    isHopeful: boolean
  ): Decision {
    const decision: Decision = { request, tries: [], probe: [], drawn, local, explored, isHopeful }
    arrange(decision)
    decision.probe = probesOf(decision.tries, isHopeful)
    return decision
  }

  return {
    called: budget.call,
    order: decide,
    reorder({ request, drawn, local, explored, isHopeful }, now) {
      const again = ({ candidate }: Ranked): Ranked => rank(candidate, estimates.get(candidate), request, now, isHopeful)
      const still = explored !== undefined && isStarving(estimates.get(explored.candidate), explored.candidate, now)
      const decision = settle(request, drawn.map(again), local && again(local), still ? again(explored) : undefined, isHopeful)
      decision.probe = []
      return decision
    },
    rank: (candidate, request, now) => rank(candidate, estimates.get(candidate), request, now),
    retry: budget.take,
    get canRetry() {
      return budget.left
    },
    oweRetry: budget.owe,
    began: estimates.began,
    feedback: estimates.feedback,
    refused: estimates.refused,
    ended: estimates.ended
  }
}
