import type { Candidate, DispatchRequest, Ranked, Why } from './candidate.ts'
import { isOpen } from './circuit-breaker.ts'
import type { Estimate } from './estimate.ts'
import { FULL_SLOTS, costMs, isServiceKnown, queueFactor, rttOf, runningAt, serviceMsOf, slotsOf } from './expected-time.ts'
import { MAX_RETRIES } from './retry-budget.ts'

/** Candidates that a decision names at most: the one to try, and those to retry with. */
export const MAX_TRIES = 1 + MAX_RETRIES
/** Candidates that are compared: power of two choices (Mitzenmacher 2001). */
export const SAMPLED = 2
/** Local is taken if its score is at most so many times that of the best other. */
export const LOCAL_MARGIN = 1.2
/** A candidate that was drawn only as a reserve goes first if its score is so many times better: both of the first two were of a slow class. */
export const OUTCLASSED = 2
/** Bounds of the age past which feedback is stale, in ms; between them it is the service time. */
export const STALE_MS = [100, 1_000] as const
/** A probe must be so many times shorter than the call that it is for. */
export const PROBE_GAIN = 3

/** Which candidates to try, and why. */
export interface Decision {
  request: DispatchRequest
  /** In this order, at most {@link MAX_TRIES}. Empty: none is allowed. */
  tries: Ranked[]
  /** Those to ask for their load before anything is decided, at the same time; then `reorder` decides among what was drawn here. */
  probe: Candidate[]
  /** All others that were looked at, in the order in which they were drawn, those that must not be tried included. */
  drawn: Ranked[]
  /** This node itself, if it is among the candidates. */
  local: Ranked | undefined
  /** One that has had no call for long. */
  explored: Ranked | undefined
  /** Of whom nothing is known, the best is expected. */
  isHopeful: boolean
}

/** Numbers of a candidate as they are now. @param isHopeful if nothing is known of how long it takes, and no call is out to learn it, it takes no time. */
export function rank(
  candidate: Candidate,
  estimate: Estimate | undefined,
  request: DispatchRequest,
  now: number,
  isHopeful = false
): Ranked {
  const rttMs = rttOf(candidate)
  const serviceMs = serviceMsOf(estimate, candidate, now)
  const slots = slotsOf(estimate, candidate)
  const running = estimate === undefined ? 0 : runningAt(estimate, now)
  const fullMs = rttMs + serviceMs * queueFactor(running, slots)
  // Of whom nothing is known, nothing is expected but the way there.
  const isGuess = !isServiceKnown(estimate)
  const leastMs = isGuess ? rttMs : fullMs
  const outstanding = estimate === undefined ? 0 : estimate.outstanding
  const etaMs = isHopeful && outstanding === 0 ? leastMs : fullMs
  const addedMs = costMs(candidate.cost, request.prefer)
  const isFull = running >= FULL_SLOTS * slots || (estimate !== undefined && now < estimate.refusesUntil)
  return {
    candidate,
    why: obstacleOf(candidate, estimate, request, leastMs, now) ?? (isFull ? 'full' : 'not sampled'),
    rttMs,
    serviceMs,
    isGuess,
    etaMs,
    costMs: addedMs,
    score: etaMs + addedMs,
    weight: slots / serviceMs,
    outstanding,
    slots,
    running,
    heardMs: estimate === undefined ? Infinity : now - estimate.heardAt
  }
}

function obstacleOf(
  { node }: Candidate,
  estimate: Estimate | undefined,
  { notNode, maxLatencyMs }: DispatchRequest,
  etaMs: number,
  now: number
): Why | undefined {
  if (notNode?.includes(node) === true) return 'excluded'
  if (maxLatencyMs !== undefined && etaMs > maxLatencyMs) return 'over max latency'
  return estimate !== undefined && isOpen(estimate.breaker, now) ? 'breaker open' : undefined
}

/** True if nothing speaks against it. */
export function isUsable({ why }: Ranked): boolean {
  return why !== 'excluded' && why !== 'over max latency' && why !== 'breaker open' && why !== 'full'
}

/** Puts what was drawn into the order in which it is to be tried: the better of the first two, of equals the first drawn. */
export function arrange({ drawn, local, explored, request, tries }: Decision): void {
  for (const ranked of drawn) {
    if (!isUsable(ranked)) continue
    ranked.why = tries.length < SAMPLED ? 'sampled' : 'reserve'
    insert(tries, ranked, tries.length < SAMPLED ? 0 : SAMPLED)
  }
  const reserve = tries[SAMPLED]
  if (reserve !== undefined && reserve.score * OUTCLASSED < tries[0]!.score) {
    reserve.why = 'sampled'
    tries.splice(SAMPLED, 1)
    tries.unshift(reserve)
  }
  if (local !== undefined && isUsable(local)) placeLocal(tries, local, request)
  if (explored !== undefined && isUsable(explored)) {
    explored.why = 'explored'
    tries.unshift(explored)
  }
  // What is full may have room again; and where all breakers are open, trying is how it is found out that one can close.
  if (tries.length < MAX_TRIES) append(tries, drawn, local, 'full')
  if (tries.length === 0) append(tries, drawn, local, 'breaker open')
  if (tries.length > MAX_TRIES) tries.length = MAX_TRIES
}

/** Those of `tries` from `from` on are in the order of their scores, and stay so. */
function insert(tries: Ranked[], ranked: Ranked, from: number): void {
  let at = tries.push(ranked) - 1
  for (; at > from && tries[at - 1]!.score > ranked.score; at--) tries[at] = tries[at - 1]!
  tries[at] = ranked
}

function append(tries: Ranked[], drawn: readonly Ranked[], local: Ranked | undefined, why: Why): void {
  const from = tries.length
  for (const ranked of drawn) if (ranked.why === why) insert(tries, ranked, from)
  if (local?.why === why) insert(tries, local, from)
}

function placeLocal(tries: Ranked[], local: Ranked, { prefer }: DispatchRequest): void {
  const best = tries[0]
  if (best === undefined || prefer === 'local' || local.score <= best.score * LOCAL_MARGIN) {
    local.why = 'local'
    tries.unshift(local)
    return
  }
  local.why = 'reserve'
  insert(tries, local, 1)
}

/**
 * Whom to ask first: feedback on one of the two that are compared is stale, the answer may change the choice, and a probe costs little
 * beside the call. Load of this node itself needs no probe: it is fed before; and where it goes first, what is assumed of others at best
 * was not good enough.
 * @param isHopeful those of which nothing is known are expected to be the best: a reserve as well would go first, unasked, once the two
 * have told that they are slow.
 */
export function probesOf(tries: readonly Ranked[], isHopeful: boolean): Candidate[] {
  const first = tries[0]
  if (first === undefined || tries.length < 2) return []
  if (first.why === 'explored') return isStale(first) ? [first.candidate] : []
  if (first.why !== 'sampled') return []
  let second: Ranked | undefined
  let certain = true
  for (let n = 1; n < tries.length; n++) {
    const other = tries[n]!
    if (other.why === 'sampled') second ??= other
    else if (!other.candidate.local) continue
    certain &&= isCertain(first, other)
  }
  if (certain || !(isStale(first) || (second !== undefined && isStale(second)))) return []
  const asked = second === undefined ? [first.candidate] : [first.candidate, second.candidate]
  if (isHopeful)
    for (const other of tries) if (other.why === 'reserve' && other.isGuess && isStale(other)) asked.push(other.candidate)
  return asked
}

function isStale({ serviceMs, rttMs, heardMs }: Ranked): boolean {
  return serviceMs > PROBE_GAIN * rttMs && heardMs > Math.min(STALE_MS[1], Math.max(STALE_MS[0], serviceMs))
}

/** The better would be the better still if it were as busy as it may be, and the other idle; and it is far from full. */
function isCertain(better: Ranked, other: Ranked): boolean {
  const { slots } = better
  if (better.running * 2 > FULL_SLOTS * slots) return false
  return better.rttMs + better.serviceMs * queueFactor(FULL_SLOTS * slots, slots) < other.rttMs + other.serviceMs
}

/** The lowest first. */
export function byScore(a: Ranked, b: Ranked): number {
  return a.score - b.score
}
