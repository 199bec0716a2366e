import type { Candidate, Load, Outcome } from './candidate.ts'
import { breakerBegan, breakerEnded, createCircuitBreaker, type CircuitBreaker } from './circuit-breaker.ts'
import {
  FULL_SLOTS,
  MAX_SLOTS,
  OWN_SAMPLES,
  clampService,
  queueFactor,
  rttOf,
  runningAt,
  serviceMsOf,
  slotsOf
} from './expected-time.ts'

/** Weight of the newest sample of a service time. */
export const ALPHA = 0.1
/** After so long without a sample the next one weighs much more: what was slow then may be fast now. */
export const FORGET_MS = 30_000
/** More calls than any node queues. */
export const MAX_RUNNING = 65_536

/** Longest time for which a provider is believed that it takes no call, in ms. */
export const MAX_REFUSAL_MS = 60_000
/** A provider that refuses without being full, as it says, is held for full for so long, in ms, and twice as long each time in a row. */
export const PAUSE_MS = 50
/** In ms. */
export const MAX_PAUSE_MS = 5_000

/** What this node knows of one provider and key. Times are in ms, of the clock that the caller passes in. */
export interface Estimate {
  readonly node: string
  readonly key: string
  /** False once the table has forgotten it. */
  kept: boolean
  /** Own calls that run there. */
  outstanding: number
  /** Own calls that were measured. */
  samples: number
  /** EWMA of how long those took, without the way. */
  tookMs: number
  /** EWMA of how many service times each call was expected to take, its wait included: `tookMs` by this is one service time. */
  queueFactor: number
  measuredAt: number
  /** Own calls run there, and none has ended since. */
  silentSince: number
  /** Last feedback, and when it came: -Infinity for never. A claim of 0 is none. */
  running: number
  slots: number
  claimedMs: number
  heardAt: number
  /** It takes no call of this node before then: it has said so, or has refused without a reason. */
  refusesUntil: number
  /** Refusals without a reason, one after the other. */
  refusals: number
  /** When a call, of anybody, last ran there, as far as is known. */
  usedAt: number
  readonly breaker: CircuitBreaker
  /** Neighbours in the list of those without outstanding calls, by when they were last used. */
  older: Estimate | undefined
  newer: Estimate | undefined
}

/** Of a provider of which nothing is known yet. */
export function createEstimate(node: string, key: string): Estimate {
  return {
    node,
    key,
    kept: true,
    outstanding: 0,
    samples: 0,
    tookMs: 0,
    queueFactor: 1,
    measuredAt: -Infinity,
    silentSince: -Infinity,
    running: 0,
    slots: 0,
    claimedMs: 0,
    heardAt: -Infinity,
    refusesUntil: -Infinity,
    refusals: 0,
    usedAt: -Infinity,
    breaker: createCircuitBreaker(),
    older: undefined,
    newer: undefined
  }
}

/** A call goes there. */
export function estimateBegan(estimate: Estimate, candidate: Candidate, now: number): void {
  const factor = queueFactor(runningAt(estimate, now), slotsOf(estimate, candidate))
  estimate.queueFactor += (factor - estimate.queueFactor) * Math.max(ALPHA, 1 / (estimate.samples + 1))
  if (estimate.outstanding === 0) estimate.silentSince = now
  estimate.outstanding++
  estimate.usedAt = now
  breakerBegan(estimate.breaker, now)
}

/** The provider has told its load. What is no number, says nothing. */
export function estimateHeard(estimate: Estimate, { running, slots, serviceMs = 0, ageMs }: Load, now: number): void {
  if (!(running >= 0 && slots >= 0 && serviceMs >= 0)) return
  estimate.running = Math.min(MAX_RUNNING, running)
  estimate.slots = Math.min(MAX_SLOTS, Math.max(1, slots))
  estimate.claimedMs = serviceMs > 0 ? clampService(serviceMs) : 0
  estimate.heardAt = now
  if (ageMs !== undefined && ageMs >= 0) estimate.usedAt = Math.max(estimate.usedAt, now - ageMs)
}

/** The provider has said that it takes no call of this node for so long. */
export function estimateRefused(estimate: Estimate, forMs: number, now: number): void {
  if (forMs > 0) estimate.refusesUntil = now + Math.min(MAX_REFUSAL_MS, forMs)
}

/** One of the outstanding calls has ended. */
export function estimateEnded(estimate: Estimate, candidate: Candidate, outcome: Outcome, tookMs: number, now: number): void {
  breakerEnded(estimate.breaker, outcome, now)
  estimate.outstanding--
  learn(estimate, candidate, outcome, Math.max(0, tookMs), now)
}

function learn(estimate: Estimate, candidate: Candidate, outcome: Outcome, tookMs: number, now: number): void {
  const thereMs = tookMs - rttOf(candidate)
  if (outcome === 'ok' || outcome === 'answered') estimate.refusals = 0
  if (outcome === 'ok') sample(estimate, thereMs, now)
  else if (outcome === 'answered') estimate.silentSince = now
  // Cancelled after longer than calls take: it would have taken longer still.
  else if (outcome === 'cancelled' && thereMs > estimate.tookMs && estimate.samples > 0) sample(estimate, thereMs, now)
  else if (outcome === 'timeout') learnTimeout(estimate, candidate, thereMs, now)
  else if (outcome === 'busy') learnRefusal(estimate, candidate, tookMs, now)
}

function learnRefusal(estimate: Estimate, candidate: Candidate, tookMs: number, now: number): void {
  const slots = slotsOf(estimate, candidate)
  if (now - estimate.heardAt > tookMs) {
    // It did not say how full it is: at least as full as it must be to refuse.
    estimate.running = Math.max(estimate.running, 3 * slots)
    estimate.slots = slots
    estimate.heardAt = now
  } else if (runningAt(estimate, now) >= FULL_SLOTS * slots) return
  // Of calls that were out together the first one says it for all.
  if (now < estimate.refusesUntil) return
  // Whoever says that it is idle, and refuses, would else be the best for each call.
  estimate.refusals = now - estimate.refusesUntil > FORGET_MS ? 1 : estimate.refusals + 1
  estimate.refusesUntil = now + Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** (estimate.refusals - 1))
}

/** A call that was given less time than such calls take, says nothing. */
function learnTimeout(estimate: Estimate, candidate: Candidate, thereMs: number, now: number): void {
  const { queueFactor: factor } = estimate
  const expectedMs = Math.max(estimate.tookMs / factor, serviceMsOf(estimate, candidate, now))
  if (thereMs < expectedMs) return
  estimate.claimedMs = clampService(Math.max(2 * expectedMs, thereMs / factor))
  estimate.tookMs = estimate.claimedMs * factor
  estimate.samples = Math.max(OWN_SAMPLES, estimate.samples + 1)
  estimate.measuredAt = estimate.silentSince = now
}

function sample(estimate: Estimate, tookMs: number, now: number): void {
  const alpha = Math.max(ALPHA, 1 - Math.exp((estimate.measuredAt - now) / FORGET_MS), 1 / (estimate.samples + 1))
  estimate.tookMs += (clampService(tookMs) - estimate.tookMs) * alpha
  estimate.samples++
  estimate.measuredAt = estimate.silentSince = now
}
