/** How many dials are under way at once, and how far they are. */
import type { Schedule } from './address-book.ts'

/** Peers dialled at once. */
export const MAX_PARALLEL_DIALS = 8
/**
 * Handshakes of this node's own dials at once. They are work, connecting is waiting: who finds fifty peers and begins with all
 * of them has its first session, and with it the directory, only when it has nearly all.
 */
export const MAX_HANDSHAKES = 2
/** A handshake that is not over after this time, in ms, keeps no other from beginning: some peers never finish theirs. */
export const SLOW_HANDSHAKE_MS = 500
/** Between the beginnings of two dials, in ms: time to learn that the first has come to its handshake. */
export const DIAL_PACE_MS = 5

/** A dial that is under way. */
export interface DialSlot {
  handshake(begun: boolean): void
  end(): void
}

/** The places for dials. */
export interface DialSlots {
  /** How long until one more may begin, in ms: 0 for now, Infinity for not before one of those under way is further. */
  wait(): number
  begin(): DialSlot
}

/** @param max dials at once. @param onFree called when a handshake is over or slow; who ends a slot knows that by itself. */
export function createDialSlots(components: {
  now(): number
  schedule: Schedule
  onFree(): void
  max?: number | undefined
}): DialSlots {
  const { now, schedule, onFree, max = MAX_PARALLEL_DIALS } = components
  let dialing = 0
  let handshakes = 0
  let lastAt = -Infinity

  return {
    wait: () => (dialing >= max || handshakes >= MAX_HANDSHAKES ? Infinity : Math.max(0, lastAt + DIAL_PACE_MS - now())),
    begin() {
      dialing++
      lastAt = now()
      let cancelSlow: (() => void) | undefined
      const over = (): void => {
        if (cancelSlow === undefined) return
        cancelSlow()
        cancelSlow = undefined
        handshakes--
        onFree()
      }
      return {
        handshake(begun) {
          over()
          if (!begun) return
          handshakes++
          cancelSlow = schedule(over, SLOW_HANDSHAKE_MS)
        },
        end() {
          dialing--
          over()
        }
      }
    }
  }
}
