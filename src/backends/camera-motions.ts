/** Motions of a camera from their beginning to their end, as events and as history. */
import type { JsonObject } from '../core/invoke.ts'
import type { CameraEvent } from './camera-config.ts'
import type { Frame } from './camera-frames.ts'
import type { Box, MotionStep } from './camera-motion.ts'

/** Motions that are remembered. */
export const MAX_MOTIONS = 1_000

interface Motion {
  began: Frame
  peak: { frame: Frame; box: Box | undefined }
  last: Frame
  ended: boolean
}

/** See {@link createMotions}. */
export interface Motions {
  next(frame: Frame, step: MotionStep): void
  /** The source has ended. */
  end(): void
  /** Those that had not ended before `sinceMs`, the oldest first. */
  list(sinceMs: number): JsonObject[]
}

/** Makes an empty history. */
export function createMotions(raise: (event: CameraEvent, payload: JsonObject) => void): Motions {
  const motions: Motion[] = []
  let current: Motion | undefined

  function end(): void {
    if (current === undefined) return
    current.ended = true
    raise('motion_ended', { ...describe(current), positionMs: current.last.positionMs })
    current = undefined
  }

  return {
    next(frame, { change, box, score }) {
      if (change === 'began') {
        current = { began: frame, peak: { frame, box }, last: frame, ended: false }
        motions.push(current)
        if (motions.length > MAX_MOTIONS) motions.shift()
        const { id, atMs, positionMs } = frame
        raise('motion_detected', { frame: id, at: iso(atMs), positionMs, score, ...withBox(box) })
      }
      if (current === undefined) return
      current.last = frame
      if (score > current.peak.frame.score) current.peak = { frame, box }
      if (change === 'ended') end()
    },
    end,
    list: (sinceMs) => motions.filter(({ last, ended }) => !ended || last.atMs >= sinceMs).map(describe)
  }
}

function describe({ began, peak, last, ended }: Motion): JsonObject {
  return {
    frame: peak.frame.id,
    startedAt: iso(began.atMs),
    ...(ended ? { endedAt: iso(last.atMs) } : {}),
    durationMs: last.positionMs - began.positionMs,
    score: peak.frame.score,
    ...withBox(peak.box)
  }
}

function withBox(box: Box | undefined): JsonObject {
  return box === undefined ? {} : { box: { ...box } }
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString()
}
