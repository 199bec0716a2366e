import { createToolLoad } from '../../src/calls/tool-load.ts'
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
  /** What it tells of itself: as on a real node, nothing of how long a call takes before one has run. */
  load(): Load
  /** @param z standard normal: how long this one takes. @param done at its end; false at once if it was refused. */
  serve(call: { z: number; mayRefuse: boolean }, done: (served: boolean) => void): void
}

/** What a provider needs of a world. */
export interface FleetClock {
  /** Virtual time in ms. */
  now(): number
  /** Calls back after so many ms of it. */
  after(ms: number, then: () => void): void
}

/** One that has run no call yet. */
export function createFleetProvider(kind: NodeClass, { now, after }: FleetClock): FleetProvider {
  const waiting: { z: number; done: (served: boolean) => void }[] = []
  let first = 0
  let inSlots = 0
  const admission = {
    slots: kind.slots,
    get running() {
      return inSlots
    },
    get waiting() {
      return waiting.length - first
    }
  }
  const toolLoad = createToolLoad(admission, now)

  function start(z: number, done: (served: boolean) => void): void {
    inSlots++
    const takesMs = provider.slowdown * kind.serviceMs * Math.exp(SIGMA * z - Math.LN2 / 2)
    after(takesMs, () => {
      inSlots--
      provider.running--
      toolLoad.took(takesMs)
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
    load: toolLoad.now,
    serve({ z, mayRefuse }, done) {
      if (mayRefuse && provider.running >= BUSY_AT * kind.slots) return done(false)
      provider.running++
      if (inSlots < kind.slots) start(z, done)
      else waiting.push({ z, done })
    }
  }
  return provider
}
