import type { Load } from '../../src/core/dispatch/candidate.ts'
import { createEventQueue } from './event-queue.ts'
import { createFleetProvider, type FleetProvider, type NodeClass } from './fleet-provider.ts'
import { createRandom } from './random.ts'

/** Round trips between callers and providers, in ms: even between these. */
const RTT_MS = [2, 12] as const
/** With slow-downs, each provider takes so many times as long, for so long, about once in so long. */
const SLOW = { times: 4, forMs: 20_000, everyMs: 180_000 } as const

/** What is to be simulated. */
export interface WorldInit {
  fleet: readonly NodeClass[]
  callers: number
  /** Calls a second of all callers. */
  rate: number
  seconds: number
  heartbeatMs: number
  slowdowns: boolean
  seed: number
}

/** A call that a caller has to have done. */
export interface FleetCall {
  caller: number
  startedAt: number
  /** Standard normal: a call takes equally long under each policy. */
  z: number
  /** NaN until it has ended; Infinity if it was refused for good. */
  tookMs: number
}

/** What a provider announced with its last heartbeat. */
export interface Announced {
  busyShare: number
}

/** Callers and providers in virtual time, as policies see them. */
export interface FleetWorld {
  readonly providers: readonly FleetProvider[]
  readonly init: WorldInit
  now(): number
  random: () => number
  rttMs(caller: number, provider: number): number
  announced(provider: number): Announced
  /** @param replied at the caller; false if it was refused, which only happens to those that may be. */
  send(call: FleetCall, provider: number, mayRefuse: boolean, replied: (served: boolean, load: Load) => void): void
  probe(caller: number, provider: number, answered: (load: Load) => void): void
  /** Messages so far. */
  readonly sent: { attempts: number; probes: number }
}

/** Runs a policy over all calls of a world, and returns them. What is planned is the same for each policy of a seed. */
export function runWorld(
  init: WorldInit,
  policyOf: (world: FleetWorld) => (call: FleetCall) => void
): { calls: FleetCall[]; world: FleetWorld; endMs: number } {
  const queue = createEventQueue<(now: number) => void>()
  const stream = (purpose: number): (() => number) => createRandom(Math.imul(init.seed, 0x9e3779b1) ^ purpose)
  const [arrivals, places, slows] = [stream(1), stream(2), stream(3)]
  const endMs = init.seconds * 1_000
  const plan = (at: number, event: (now: number) => void): void => {
    if (at < endMs) queue.add(at, event)
  }
  let now = 0
  const kinds = init.fleet.flatMap((kind) => Array.from({ length: kind.count }, () => kind))
  const providers = kinds.map((kind) => createFleetProvider(kind, { now: () => now, after: (ms, then) => plan(now + ms, then) }))
  const rtts = Array.from({ length: init.callers }, () => providers.map(() => RTT_MS[0] + places() * (RTT_MS[1] - RTT_MS[0])))
  const announced: Announced[] = providers.map(() => ({ busyShare: 0 }))
  const sent = { attempts: 0, probes: 0 }

  const world: FleetWorld = {
    providers,
    init,
    sent,
    now: () => now,
    random: stream(4),
    rttMs: (caller, provider) => rtts[caller]![provider]!,
    announced: (provider) => announced[provider]!,
    send(call, index, mayRefuse, replied) {
      const [provider, wayMs] = [providers[index]!, rtts[call.caller]![index]! / 2]
      sent.attempts++
      provider.coming++
      plan(now + wayMs, () => {
        provider.coming--
        provider.serve({ z: call.z, mayRefuse }, (served) => {
          const load = provider.load()
          plan(now + wayMs, () => replied(served, load))
        })
      })
    },
    probe(caller, index, answered) {
      const wayMs = rtts[caller]![index]! / 2
      sent.probes++
      plan(now + wayMs, () => {
        const load = providers[index]!.load()
        plan(now + wayMs, () => answered(load))
      })
    }
  }

  const dispatch = policyOf(world)
  const calls: FleetCall[] = []
  for (let at = exponential(arrivals, 1_000 / init.rate); at < endMs; at += exponential(arrivals, 1_000 / init.rate)) {
    const call = { caller: Math.floor(arrivals() * init.callers), startedAt: at, z: normal(arrivals), tookMs: NaN }
    calls.push(call)
    plan(at, () => dispatch(call))
  }
  for (const [index, provider] of providers.entries()) {
    const announce = (): void => {
      announced[index] = { busyShare: provider.busyShare() }
      plan(now + init.heartbeatMs, announce)
    }
    plan(places() * init.heartbeatMs, announce)
    if (init.slowdowns) planSlowdowns(provider, slows, endMs, plan)
  }
  for (let next = queue.take(); next !== undefined; next = queue.take()) {
    now = next.at
    next.event(now)
  }
  return { calls, world, endMs }
}

function planSlowdowns(
  provider: FleetProvider,
  random: () => number,
  endMs: number,
  plan: (at: number, event: () => void) => void
): void {
  const gapMs = SLOW.everyMs - SLOW.forMs
  for (let at = exponential(random, gapMs); at < endMs; at += SLOW.forMs + exponential(random, gapMs)) {
    plan(at, () => (provider.slowdown = SLOW.times))
    plan(at + SLOW.forMs, () => (provider.slowdown = 1))
  }
}

function exponential(random: () => number, mean: number): number {
  return -Math.log(1 - random()) * mean
}

/** Box and Muller 1958. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}
