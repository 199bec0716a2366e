import type { FleetCall, FleetWorld } from './fleet-world.ts'
import { ours } from './fleet-ours.ts'

/** How a policy gets a call done in a world. State of each caller is its own: callers share nothing. */
export type FleetPolicy = (world: FleetWorld) => (call: FleetCall) => void

/** Decay of peak-EWMA, in ms, and what it takes a provider to need of which it knows nothing (Finagle). */
const PEAK = { tauMs: 10_000, unknownMs: 1_000 }
/** The reference stays with its last node unless another is cheaper by more than this. */
const STICKY = 0.2

/** All policies, by name: `ours` is the dispatcher of src/core. */
export const POLICIES: Record<string, FleetPolicy> = {
  random: choosing(
    ({ providers, random }) =>
      () =>
        Math.floor(random() * providers.length)
  ),
  'round robin': choosing(({ providers, init }) => {
    const next = Array.from({ length: init.callers }, (_, caller) => caller)
    return ({ caller }) => next[caller]!++ % providers.length
  }),
  'reference cost model': choosing((world) => {
    const last: (number | undefined)[] = []
    const costOf = (index: number): number => referenceCost(world, index)
    return ({ caller }) => {
      const best = lowest(world, costOf)
      const stay = last[caller]
      if (stay === undefined || costOf(best) < (1 - STICKY) * costOf(stay)) last[caller] = best
      return last[caller]!
    }
  }),
  'lowest announced load': choosing((world) => () => lowest(world, (index) => world.announced(index).busyShare)),
  'weighted random': choosing((world) => () => weighted(world)),
  'weighted P2C + peak-EWMA': peakEwma,
  ours,
  oracle: choosing(
    (world) =>
      ({ caller }) =>
        lowest(world, (index) => trueEta(world, caller, index))
  )
}

function choosing(create: (world: FleetWorld) => (call: FleetCall) => number): FleetPolicy {
  return (world) => {
    const choose = create(world)
    return (call) => world.send(call, choose(call), false, () => (call.tookMs = world.now() - call.startedAt))
  }
}

/** The first of the lowest. */
function lowest({ providers }: FleetWorld, costOf: (index: number) => number): number {
  let best = 0
  for (let index = 1; index < providers.length; index++) if (costOf(index) < costOf(best)) best = index
  return best
}

/** In proportion to true capacity, which these policies are given and ours has to learn; without one of them. */
function weighted({ providers, random }: FleetWorld, without = -1): number {
  const weightOf = (index: number): number => {
    const { slots, serviceMs } = providers[index]!.kind
    return index === without ? 0 : slots / serviceMs
  }
  let left = random() * providers.reduce((sum, _, index) => sum + weightOf(index), 0)
  for (let index = 0; index < providers.length; index++) if ((left -= weightOf(index)) < 0) return index
  return without === 0 ? 1 : 0
}

/** The cost model of the reference (cost/model.py): steps of the load that a node announced last. All are on mains and unmetered here. */
function referenceCost(world: FleetWorld, index: number): number {
  const { busyShare } = world.announced(index)
  if (world.providers[index]!.kind.gpu === true) return busyShare > 0.5 ? 2 : busyShare > 0.25 ? 1.5 : 1
  return busyShare > 0.75 ? 2 : busyShare > 0.5 ? 1.6 : busyShare > 0.25 ? 1.3 : 1
}

/** Perfect knowledge, at this instant, of all that runs, waits and is on its way, and of how slow each provider is now. */
function trueEta(world: FleetWorld, caller: number, index: number): number {
  const { kind, running, coming, slowdown } = world.providers[index]!
  const ahead = Math.max(0, running + coming + 1 - kind.slots)
  return world.rttMs(caller, index) + kind.serviceMs * slowdown * (1 + ahead / kind.slots)
}

function peakEwma(world: FleetWorld): (call: FleetCall) => void {
  const known = Array.from({ length: world.init.callers }, () =>
    world.providers.map(() => ({ ms: PEAK.unknownMs, at: 0, outstanding: 0 }))
  )
  return (call) => {
    const of = known[call.caller]!
    const costOf = (index: number): number => of[index]!.ms * (of[index]!.outstanding + 1)
    const first = weighted(world)
    const second = weighted(world, first)
    const chosen = costOf(second) < costOf(first) ? second : first
    const entry = of[chosen]!
    const sentAt = world.now()
    entry.outstanding++
    world.send(call, chosen, false, () => {
      const now = world.now()
      const tookMs = now - sentAt
      const keep = Math.exp((entry.at - now) / PEAK.tauMs)
      entry.ms = tookMs > entry.ms ? tookMs : entry.ms * keep + tookMs * (1 - keep)
      entry.at = now
      entry.outstanding--
      call.tookMs = now - call.startedAt
    })
  }
}
