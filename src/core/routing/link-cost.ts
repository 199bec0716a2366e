import { UNITS_PER_MS, costFromMs } from './metric.ts'

/** Round trips whose smallest counts: a busy moment is no longer way. */
const MIN_FILTER = 5
/** Weight of a new sample: one of so many. */
const SMOOTHING = 4
/** Samples in a row that must say the same before a cost is another one. */
const CONFIRMED_BY = 3

/** What a link costs, from round trips that this node has measured itself. */
export interface LinkCost {
  /** Units of 0.1 ms. */
  readonly cost: number
  /** Takes a round trip in ms. @returns true if the cost is another one now. */
  sample(rttMs: number): boolean
}

/**
 * The smallest of the last round trips, smoothed, and what the transport costs beside it. It changes only when it has moved by
 * 2 ms and 20 % for three samples: each change goes through the whole mesh. @param penaltyMs of the transport.
 */
export function createLinkCost(penaltyMs = 0): LinkCost {
  let smoothed: number | undefined
  const recent: number[] = []
  let cost = costFromMs(penaltyMs)
  let isMeasured = false
  let moved = 0

  return {
    get cost() {
      return cost
    },
    sample(rttMs) {
      recent.push(rttMs)
      if (recent.length > MIN_FILTER) recent.shift()
      const least = Math.min(...recent)
      smoothed = smoothed === undefined ? least : smoothed + (least - smoothed) / SMOOTHING
      const next = costFromMs(smoothed + penaltyMs)
      const hasMoved = Math.abs(next - cost) > Math.max(2 * UNITS_PER_MS, cost * 0.2)
      moved = hasMoved ? moved + 1 : 0
      if (isMeasured && moved < CONFIRMED_BY) return false
      const isOther = next !== cost
      isMeasured = true
      moved = 0
      cost = next
      return isOther
    }
  }
}
