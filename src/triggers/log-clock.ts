/** What time it is for a log that outlives the process. */

/** The wall clock was set, if it is off by so much, in ms. Less is drift. */
export const CLOCK_JUMP_MS = 60_000
/** Longest time that a node is taken to have been away, in ms. */
export const MAX_AWAY_MS = 366 * 86_400_000

/**
 * Wall clocks are set, while a node runs and while it does not: one without a battery begins in 1970 and jumps to today when it has asked the network. What
 * a log says of times must make nothing older or younger by that: all would expire, or live for ever. So time goes by the monotonic clock while the node
 * runs, as for what is in memory, and by the wall clock only over the time that it was away, if that is plausible: not below zero, and not over
 * {@link MAX_AWAY_MS}. Of any other it is not known how long it was, and it counts as none.
 */
export interface LogClock {
  /** What to write down as now, whole ms since 1970 unless the wall clock was set a moment ago. Never goes back. */
  at(): number
  /** What to add to all times before, in ms, since the wall clock was set. 0: nothing. From then on `at` goes by the new one. */
  moved(): number
  /** The same for those of before the start. @param last the newest of them, -Infinity if there is none. */
  movedBefore(last: number): number
}

/** What it reads. */
export interface LogClockInit {
  /** Wall clock, ms since 1970. */
  clock: () => number
  /** Monotonic ms. */
  now: () => number
}

/** See {@link LogClock}. */
export function createLogClock({ clock, now }: LogClockInit): LogClock {
  let offset = clock() - now()
  const at = (): number => Math.round(now() + offset)

  return {
    at,
    moved() {
      const by = Math.round(clock() - now() - offset)
      if (Math.abs(by) < CLOCK_JUMP_MS) return 0
      offset += by
      return by
    },
    movedBefore(last) {
      const awayMs = at() - last
      return last === -Infinity || (awayMs >= 0 && awayMs <= MAX_AWAY_MS) ? 0 : awayMs
    }
  }
}
