import { isMeshError } from '../../protocols/errors.ts'
import { seededRandom, type Random } from './random.ts'

/** What a check made of something forged. `same`: what was changed means the same as something good, so that it proves nothing. */
export type Verdict = 'accepted' | 'refused' | 'same'

/** Something that nodes believe when it is signed, or known to few: with a way to forge it and the real check. */
export interface ForgedKind {
  name: string
  /** Makes good ones, and sees that they are accepted. @returns one trial: a forgery, put to the check. */
  prepare(): Promise<(random: Random) => Promise<Verdict>>
}

/** What came of one kind. */
export interface ForgedFindings {
  name: string
  trials: number
  accepted: number
  same: number
  /** Refused, by `details.reason` or code of the error; `refused` where the check says no more. */
  refused: Record<string, number>
  /** What was thrown and is no MeshError: the first few. */
  failures: string[]
  failed: number
  ms: number
}

const FAILURES_KEPT = 5

/** Puts so many forgeries to a check. None may be accepted, and nothing but a MeshError may be thrown. */
export async function forge(kind: ForgedKind, { trials, seed }: { trials: number; seed: number }): Promise<ForgedFindings> {
  const random = seededRandom(seed)
  const attempt = await kind.prepare()
  const began = performance.now()
  const findings: ForgedFindings = { name: kind.name, trials, accepted: 0, same: 0, refused: {}, failures: [], failed: 0, ms: 0 }
  const refused = (why: string): void => void (findings.refused[why] = (findings.refused[why] ?? 0) + 1)
  for (let n = 0; n < trials; n++) {
    try {
      const verdict = await attempt(random)
      if (verdict === 'refused') refused(verdict)
      else findings[verdict]++
    } catch (error) {
      if (isMeshError(error)) refused(typeof error.details['reason'] === 'string' ? error.details['reason'] : error.code)
      else if (++findings.failed <= FAILURES_KEPT)
        findings.failures.push(`trial ${n}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    }
  }
  return { ...findings, ms: performance.now() - began }
}
