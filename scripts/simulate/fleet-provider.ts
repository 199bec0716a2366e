import type { Load } from '../../src/core/dispatch/candidate.ts'

/** A kind of node in a fleet. */
export interface NodeClass {
  name: string
  count: number
  /** Mean service time, and calls at once. */
  serviceMs: number
  slots: number
  /** Its load is that of a GPU: what the reference weighs by other steps. */
  gpu?: boolean
}

/** Fleet `hetero` of the design: 169 calls a second in all. */
export const HETERO: readonly NodeClass[] = [
  { name: 'gpu', count: 2, serviceMs: 60, slots: 4, gpu: true },
  { name: 'laptop', count: 4, serviceMs: 250, slots: 2 },
  { name: 'pi', count: 6, serviceMs: 1_500, slots: 1 }
]

/** Coefficient of variation 1: the variance of the logarithm is ln 2. */
const SIGMA = Math.sqrt(Math.LN2)
/** Weight of the newest service time in what a provider tells of itself. */
const ALPHA = 0.1
/** A provider refuses when so many calls for each slot run or wait. */
const BUSY_AT = 3

/** A provider: so many slots, and a queue without limit before them, unless the call says that it may be refused. */
export interface FleetProvider {
  readonly kind: NodeClass
  /** Calls that run or wait here, and on their way here: what only an oracle sees. */
  running: number
  coming: number
  /** Service takes so many times as long. */
  slowdown: number
  /** Share of the slots that are in use. */
  busyShare(): number
  load(now: number): Load
  /** @param z standard normal: how long this one takes. @param done at its end; false at once if it was refused. */
  serve(call: { z: number; mayRefuse: boolean }, now: number, done: (served: boolean) => void): void
}

/** @param after calls back after so many ms of virtual time, and says what time it is then. */
export function createFleetProvider(kind: NodeClass, after: (ms: number, then: (now: number) => void) => void): FleetProvider {
  const waiting: { z: number; done: (served: boolean) => void }[] = []
  let first = 0
  let inSlots = 0
  let measuredMs = kind.serviceMs
  let measuredAt = -Infinity

  function start(z: number, done: (served: boolean) => void): void {
    inSlots++
    const takesMs = provider.slowdown * kind.serviceMs * Math.exp(SIGMA * z - Math.LN2 / 2)
    after(takesMs, (now) => {
      inSlots--
      provider.running--
      measuredMs += (takesMs - measuredMs) * ALPHA
      measuredAt = now
      const next = waiting[first]
      if (next !== undefined) {
        first++
        start(next.z, next.done)
      }
      done(true)
    })
  }

  const provider: FleetProvider = {
    kind,
    running: 0,
    coming: 0,
    slowdown: 1,
    busyShare: () => inSlots / kind.slots,
    load: (now) => ({
      running: provider.running,
      slots: kind.slots,
      serviceMs: measuredMs,
      ageMs: inSlots > 0 ? 0 : now - measuredAt
    }),
    serve({ z, mayRefuse }, _now, done) {
      if (mayRefuse && provider.running >= BUSY_AT * kind.slots) return done(false)
      provider.running++
      if (inSlots < kind.slots) start(z, done)
      else waiting.push({ z, done })
    }
  }
  return provider
}
