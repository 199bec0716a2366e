/** Motion by the difference of one small gray picture from the one before. Deterministic: the same pictures give the same motions. */
import type { MotionConfig } from './camera-config.ts'

/** Width of the pictures that are compared, in pixels. */
export const GRAY_WIDTH = 160
/** Height of the pictures that are compared, in pixels. */
export const GRAY_HEIGHT = 120
/** Size of one, in bytes. */
export const GRAY_BYTES = GRAY_WIDTH * GRAY_HEIGHT

/** Part of a picture, in parts of its width and height from the upper left corner. */
export interface Box {
  x: number
  y: number
  width: number
  height: number
}

/** What changed from one picture to the next. */
export interface Difference {
  /** Part of the pixels, 0 to 1. */
  score: number
  /** Around all of them; undefined if there are none. */
  box: Box | undefined
}

/** What a picture says of motion. */
export interface MotionStep extends Difference {
  moving: boolean
  change: 'began' | 'ended' | undefined
}

/** Follows the pictures of one source. */
export interface MotionDetector {
  /** Takes the next picture. `timeMs` never falls. The picture belongs to the detector from then on. */
  next(gray: Uint8Array, timeMs: number): MotionStep
}

/** Makes a detector that has seen nothing yet. */
export function createMotionDetector(config: MotionConfig = {}): MotionDetector {
  const { pixel = 25, area = 0.01, frames = 2, quietMs = 2_000 } = config
  let before: Uint8Array | undefined
  let inRow = 0
  let moving = false
  let lastMs = 0
  return {
    next(gray, timeMs) {
      const difference = before === undefined ? { score: 0, box: undefined } : differenceOf(before, gray, pixel)
      before = gray
      const isMotion = difference.score >= area
      inRow = isMotion ? inRow + 1 : 0
      if (isMotion) lastMs = timeMs
      let change: MotionStep['change']
      if (!moving && inRow >= frames) change = 'began'
      else if (moving && timeMs - lastMs >= quietMs) change = 'ended'
      if (change !== undefined) moving = change === 'began'
      return { ...difference, moving, change }
    }
  }
}

function differenceOf(one: Uint8Array, other: Uint8Array, threshold: number): Difference {
  let count = 0
  let [left, right, top, bottom] = [GRAY_WIDTH, -1, GRAY_HEIGHT, -1]
  for (let n = 0; n < GRAY_BYTES; n++) {
    if (Math.abs(one[n]! - other[n]!) < threshold) continue
    count++
    const x = n % GRAY_WIDTH
    const y = (n - x) / GRAY_WIDTH
    if (x < left) left = x
    if (x > right) right = x
    if (y < top) top = y
    if (y > bottom) bottom = y
  }
  if (count === 0) return { score: 0, box: undefined }
  const round = (value: number): number => Math.round(value * 1_000) / 1_000
  const box = {
    x: round(left / GRAY_WIDTH),
    y: round(top / GRAY_HEIGHT),
    width: round((right - left + 1) / GRAY_WIDTH),
    height: round((bottom - top + 1) / GRAY_HEIGHT)
  }
  return { score: Math.round((count / GRAY_BYTES) * 10_000) / 10_000, box }
}
