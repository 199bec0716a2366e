import { MAX_VALIDITY_S } from '../../protocols/member/messages.ts'
import { CLOCK_TOLERANCE_S } from './certificate.ts'

/** The clock of the machine may go ahead of the monotonic one by this much, in s: the latter stands still while a laptop sleeps. */
export const MAX_SLEEP_S = 14 * 86_400

/** A clock that shows a time before 2024 was never set, Unix time in s. */
const UNSET_BEFORE_S = 1_704_067_200

/** What is known of the time beyond the clock of this machine; kept between starts. */
export interface ClockState {
  /** It is at least so late, Unix time in s: a certificate that was seen began then. */
  floorS: number
  /** What to add to the machine's clock, in s; 0 if it was right when it was last compared. */
  offsetS: number
}

/** Unix time for certificates on machines whose clock may be wrong: a Pi without one, a laptop a year off. */
export interface MeshClock {
  nowS(): number
  /** The machine has no clock, or one that is wrong: who compares times of others with it may be mistaken. */
  inDoubt(): boolean
  /** How much later than now a certificate may begin, in s: little if the machine's clock may be right, long if that is in doubt. */
  toleranceS(): number
  /** A certificate with a good signature begins then: it cannot be earlier. */
  atLeast(unixS: number): void
  /** What a node that may make members takes for the time. */
  correct(unixS: number): void
  state(): ClockState
}

/** What to add to the machine's clock when somebody who should know takes it for `theirsS`, in s: 0 where it is about right. */
export function clockOffsetS(wallS: number, theirsS: number): number {
  return Math.abs(theirsS - wallS) <= CLOCK_TOLERANCE_S ? 0 : Math.round(theirsS - wallS)
}

/** @param wallS the machine's clock, Unix time in s. @param now monotonic, in ms. */
export function createMeshClock(wallS: () => number, now: () => number, { floorS, offsetS }: ClockState): MeshClock {
  let floor = floorS
  let offset = isSetRight(wallS(), floorS, offsetS) ? 0 : offsetS
  let base = { at: now(), unixS: Math.max(wallS() + offset, floor) }

  function nowS(): number {
    const steady = base.unixS + (now() - base.at) / 1_000
    return Math.floor(Math.max(floor, steady, Math.min(wallS() + offset, steady + MAX_SLEEP_S)))
  }

  /** Also one that was wrong before, or that is behind what was seen. */
  function inDoubt(): boolean {
    return wallS() < UNSET_BEFORE_S || offset !== 0 || wallS() + offset < floor - CLOCK_TOLERANCE_S
  }

  return {
    nowS,
    inDoubt,
    toleranceS: () => (inDoubt() ? MAX_VALIDITY_S : CLOCK_TOLERANCE_S),
    atLeast(unixS) {
      // A clock that is right is not pushed on by certificates that begin a little later, again and again.
      floor = Math.max(floor, inDoubt() ? unixS : Math.min(unixS, nowS()))
    },
    correct(unixS) {
      offset = clockOffsetS(wallS(), unixS)
      floor = unixS
      base = { at: now(), unixS }
    },
    state: () => ({ floorS: floor, offsetS: offset })
  }
}

/**
 * True if a clock that was wrong shows a better time by itself than with what was to be added: somebody has set it since. Of both times the one
 * counts that is not before what was seen, and nearer to it.
 */
function isSetRight(wallS: number, floorS: number, offsetS: number): boolean {
  if (offsetS === 0 || wallS < UNSET_BEFORE_S) return false
  const after = (unixS: number): number => (unixS < floorS - CLOCK_TOLERANCE_S ? Infinity : unixS - floorS)
  return after(wallS) < after(wallS + offsetS)
}
