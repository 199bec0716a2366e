import { isMeshError } from '../../protocols/errors.ts'
import type { Decoder } from './decoders.ts'
import { mutate } from './mutate.ts'
import { seededRandom } from './random.ts'

/** What came of fuzzing one decoder. */
export interface Findings {
  name: string
  frames: number
  accepted: number
  /** Refused with a typed error, by code. */
  refused: Record<string, number>
  /** Anything else that was thrown: the first few, with the frame in hex to repeat it. */
  failures: { error: string; frame: string }[]
  failed: number
  slowestMs: number
}

const FAILURES_KEPT = 5
const FRAME_CHARACTERS_KEPT = 400

/**
 * Puts `frames` hostile frames into a decoder. A decoder may return or throw a MeshError; all else is a failure,
 * and so is a frame after which `Object.prototype` has changed.
 */
export function fuzz({ name, decode, valid }: Decoder, { frames, seed }: { frames: number; seed: number }): Findings {
  const random = seededRandom(seed)
  const findings: Findings = { name, frames, accepted: 0, refused: {}, failures: [], failed: 0, slowestMs: 0 }
  const fail = (error: string, bytes: Uint8Array): void => {
    findings.failed++
    if (findings.failures.length >= FAILURES_KEPT) return
    findings.failures.push({ error, frame: Buffer.from(bytes).toString('hex').slice(0, FRAME_CHARACTERS_KEPT) })
  }
  const ownKeys = Reflect.ownKeys(Object.prototype).length

  for (const bytes of valid) decode(bytes)
  for (let n = 0; n < frames; n++) {
    const bytes = mutate(valid, random)
    const before = performance.now()
    try {
      decode(bytes)
      findings.accepted++
    } catch (error) {
      if (isMeshError(error)) findings.refused[error.code] = (findings.refused[error.code] ?? 0) + 1
      else fail(error instanceof Error ? (error.stack ?? error.message) : `threw ${String(error)}`, bytes)
    }
    findings.slowestMs = Math.max(findings.slowestMs, performance.now() - before)
    if (Reflect.ownKeys(Object.prototype).length !== ownKeys) fail('Object.prototype has changed', bytes)
  }
  return findings
}
