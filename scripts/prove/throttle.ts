/** Ten thousand events a second at a throttled trigger about two subjects: what memory that takes, and whether the counts of what arrives add up to what was fired. */
import { fileURLToPath } from 'node:url'
import { startProcess } from './events/process.ts'

const PROCESS = fileURLToPath(new URL('./events/throttled.mjs', import.meta.url))
/** The heap may not grow by more, in MB: what is held back is one payload for each subject. */
const MAX_GROWTH_MB = 16

interface Counted {
  fired: Record<string, number>
  handled: Record<string, number>
  arrivals: Record<string, number>
  seconds: number
  heapMb: number[]
  peakRssMb: number
  startRssMb: number
}

/** @param options `perSecond`, `seconds`; `throttleMs` of the trigger. */
export async function proveThrottle({
  perSecond = 10_000,
  seconds = 10,
  throttleMs = 500
}: Record<string, number> = {}): Promise<object> {
  const one = startProcess('throttled', PROCESS, { perSecond, seconds, throttleMs }, ['--expose-gc'])
  try {
    const { fired, handled, arrivals, heapMb, ...rest } = (await one.saw(
      'counted',
      (seconds + 120) * 1_000
    )) as unknown as Counted
    const subjects = Object.keys(fired)
    // The first goes at once, then one an interval; both subjects at the same time.
    const atLeast = Math.floor((rest.seconds * 1_000) / throttleMs / 2)
    const growthMb = heapMb.at(-1)! - heapMb[0]!
    return {
      perSecond: Math.round(Object.values(fired).reduce((sum, count) => sum + count, 0) / rest.seconds),
      seconds: rest.seconds,
      fired,
      handled,
      arrivals,
      heapMb,
      startRssMb: rest.startRssMb,
      peakRssMb: rest.peakRssMb,
      pass:
        subjects.length === 2 &&
        subjects.every((subject) => handled[subject] === fired[subject] && arrivals[subject]! >= atLeast) &&
        growthMb < MAX_GROWTH_MB
    }
  } finally {
    await one.end('SIGKILL')
  }
}
