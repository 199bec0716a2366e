import { loadavg } from 'node:os'
import { clock, quantile, type FleetNode } from '../fleet.ts'
import { lineLinks, registerAt, startLinked, type Called } from './linked-fleet.ts'

const HOSTS = 6
/** Calls go on over another way within this time after a host has died, in ms. */
const KILLED_WITHIN_MS = 1_000
/** The same for a link that falls silent: nothing tells of it but what does not come. Pings are 6 s apart, three are waited for. */
const SILENT_WITHIN_MS = 12_000
/** What waits for a link to be given up comes to the provider at once, which lets no more than 192 of one caller in: so many calls a second are enough. */
const SILENT_PER_SECOND = 10
/** A call that is not through by then is lost, in ms. */
const TIMEOUT_MS = 30_000

interface FlowCall {
  /** CLOCK_MONOTONIC in ms. */
  at: number
  ms: number
  path?: string[]
  tries?: number
  code?: string
  message?: string
}

/** What happened to the calls when a host or a link on their way failed. */
interface Broken {
  calls: number
  /** Those that ended badly: how many for which reason. */
  lost: Record<string, number>
  triedAgain: number
  before: { p50Ms: number; p99Ms: number }
  /** Of all calls, the longest. */
  longestMs: number
  /** The longest time in which no call ended, once the way had failed. */
  longestGapMs: number
  /** Until the first call ended that had gone the other way. */
  newWayAfterMs: number
  /** Of the machine: more than its cores, and all times say more of it than of the mesh. */
  load: number
  pass: boolean
}

/**
 * Six hosts in a ring, calls of an idempotent tool from one to the one opposite, and something on their way fails.
 * @param perSecond calls. @param seconds before and after. @param rounds how often each host is killed, each time in a new ring.
 */
export async function proveRing({ perSecond = 50, seconds = 5, rounds = 3 }: Record<string, number> = {}): Promise<
  { pass: boolean } & Record<string, unknown>
> {
  const kill = async (place: number): Promise<Broken[]> => {
    const all: Broken[] = []
    for (let round = 0; round < rounds; round++)
      all.push(await broken({ perSecond, seconds, withinMs: KILLED_WITHIN_MS, fail: (way) => way.kill(place) }))
    return all
  }
  const neighbourKilled = await kill(1)
  const nextHopKilled = await kill(2)
  const linkSilent = await broken({
    perSecond: SILENT_PER_SECOND,
    seconds: 20,
    withinMs: SILENT_WITHIN_MS,
    fail: (way) => way.silence(1, 2)
  })
  const pass = [...neighbourKilled, ...nextHopKilled, linkSilent].every((one) => one.pass)
  return { neighbourKilled, nextHopKilled, linkSilent, pass }
}

/** What can fail on a way, by places on it, the caller being 0. */
interface Way {
  kill(place: number): Promise<unknown>
  silence(a: number, b: number): void
}

async function broken({
  perSecond,
  seconds,
  withinMs,
  fail
}: {
  perSecond: number
  seconds: number
  withinMs: number
  fail: (way: Way) => unknown
}): Promise<Broken> {
  const fleet = await startLinked(HOSTS, lineLinks(HOSTS, true))
  try {
    const { nodes, lab } = fleet
    const [caller, provider] = [nodes[0]!, nodes[HOSTS / 2]!]
    await registerAt(provider, caller, { id: 'far', tools: ['echo'], tool: { idempotent: true } })
    const { path, message } = await caller.ask<Called>('call', { target: 'far', tool: 'echo', input: {} })
    if (path?.length !== HOSTS / 2 + 1) throw new Error(`a call over ${String(path)}: ${message}`)
    const at = (place: number): number => nodes.findIndex(({ peerId }) => peerId === path[place])
    const flow = { target: 'far', tool: 'echo', perSecond, seconds: 2 * seconds, options: { timeoutMs: TIMEOUT_MS } }
    const flowing = caller.ask<FlowCall[]>('flow', flow, 2 * seconds * 1_000 + TIMEOUT_MS + 10_000)
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
    const failedAt = clock()
    await fail({
      kill: (place) => (nodes[at(place)] as FleetNode).process.end('SIGKILL'),
      silence: (a, b) => lab.setLink(at(a), at(b), 'silent')
    })
    return report(await flowing, { failedAt, path, withinMs })
  } finally {
    await fleet.close()
  }
}

function report(
  calls: readonly FlowCall[],
  { failedAt, path, withinMs }: { failedAt: number; path: readonly string[]; withinMs: number }
): Broken {
  const ended = calls.map(({ at, ms }) => at + ms).sort((a, b) => a - b)
  const lateEnough = [failedAt, ...ended.filter((t) => t >= failedAt)]
  const longestGapMs = Math.max(...lateEnough.slice(1).map((t, n) => t - lateEnough[n]!))
  const lost: Record<string, number> = {}
  for (const { code, message } of calls)
    if (code !== undefined) lost[`${code}: ${message}`] = (lost[`${code}: ${message}`] ?? 0) + 1
  const before = calls.filter(({ at, ms }) => at + ms < failedAt).map(({ ms }) => ms)
  const onNewWay = calls.filter((call) => call.path !== undefined && call.path[1] !== path[1] && call.at + call.ms > failedAt)
  const newWayAfterMs = Math.min(...onNewWay.map(({ at, ms }) => at + ms)) - failedAt
  const longestMs = Math.max(...calls.map(({ ms }) => ms))
  return {
    calls: calls.length,
    lost,
    triedAgain: calls.filter(({ tries = 1 }) => tries > 1).length,
    before: { p50Ms: quantile(before, 0.5), p99Ms: quantile(before, 0.99) },
    longestMs,
    longestGapMs,
    newWayAfterMs,
    load: loadavg()[0]!,
    pass: Object.keys(lost).length === 0 && [longestMs, longestGapMs, newWayAfterMs].every((ms) => ms < withinMs)
  }
}
