import { clock, quantile, type Fleet, type FleetNode, type PeerEvent } from '../fleet.ts'
import { allReachAll, startLinked } from './linked-fleet.ts'

/** Time for the ways to come back, in ms: waited for, and promised. */
const WAIT_MS = 60_000
const RESTORED_WITHIN_MS = 2_000
/** Bytes a second of one node that has nothing to do, in and out. */
const MAX_IDLE_BYTES = 1_000
/** How often it is asked whether all ways are there, in ms. When that was is read from what the nodes print. */
const POLL_MS = 250

/** Next hop of each node to each other one, by PeerIds; null: none. */
type Tables = Map<string, Map<string, string | null>>

/**
 * LANs in a row, each joined with the next by two hosts that are on both; one of such two is killed.
 * @param lans LANs. @param perLan hosts of each. @param idleSeconds how long they are watched with nothing to do, after `settle` seconds: each renews its lease within 100 s.
 */
export async function proveLans({ lans = 5, perLan = 4, idleSeconds = 30, settle = 15 }: Record<string, number> = {}): Promise<
  { pass: boolean } & Record<string, unknown>
> {
  if (perLan < 2) throw new RangeError('--perLan: two hosts at least, which join a LAN with the next')
  const hosts = lans * perLan
  const links = Array.from({ length: lans }, (_, lan) => [
    ...Array.from({ length: perLan }, (_, n) => lan * perLan + n),
    ...(lan === 0 ? [] : [(lan - 1) * perLan, (lan - 1) * perLan + 1])
  ])
  const beganAt = clock()
  const fleet = await startLinked(hosts, links, 3 * WAIT_MS)
  try {
    const startMs = clock() - beganAt
    process.stderr.write(`${hosts} hosts, each with a way to each: ${Math.round(startMs / 1_000)} s after the first start\n`)
    await new Promise((resolve) => setTimeout(resolve, settle * 1_000))
    const idle = await idleBytes(fleet, idleSeconds)
    const before = await tables(fleet.nodes)
    const victim = fleet.nodes[Math.floor((lans - 1) / 2) * perLan]!
    const restored = await killed(fleet.nodes, victim, before)
    return {
      ...{ lans, perLan, hosts, startMs, reachMs: fleet.reachMs, hops: hopsOf(before), idleBytesPerSecond: idle, restored },
      pass: restored.afterMs < RESTORED_WITHIN_MS && idle.max < MAX_IDLE_BYTES
    }
  } finally {
    await fleet.close()
  }
}

async function idleBytes({ lab, nodes }: Fleet, seconds: number): Promise<{ mean: number; max: number }> {
  const count = (): number[] =>
    lab.hosts.map((host) =>
      lab
        .exec(host, ['sh', '-c', 'cat /sys/class/net/eth*/statistics/[rt]x_bytes'])
        .trim()
        .split('\n')
        .reduce((sum, line) => sum + Number(line), 0)
    )
  const before = count()
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
  const perSecond = count().map((bytes, n) => (bytes - before[n]!) / seconds)
  return { mean: perSecond.reduce((sum, value) => sum + value, 0) / nodes.length, max: Math.max(...perSecond) }
}

async function tables(nodes: readonly FleetNode[]): Promise<Tables> {
  const ways = await Promise.all(nodes.map((node) => node.ask<{ to: string; via: string | null }[]>('ways')))
  return new Map(nodes.map(({ peerId }, n) => [peerId, new Map(ways[n]!.map(({ to, via }) => [to, via]))]))
}

/** Nodes that are passed between two; undefined if the way ends before, or goes round. */
function wayLength(ways: Tables, from: string, to: string): number | undefined {
  let at = from
  for (let hops = 1; hops <= ways.size; hops++) {
    const next = ways.get(at)?.get(to)
    if (next === to) return hops
    if (next === undefined || next === null || !ways.has(next)) return undefined
    at = next
  }
  return undefined
}

function hopsOf(ways: Tables): { mean: number; max: number } {
  const ids = [...ways.keys()]
  const all = ids.flatMap((from) => ids.flatMap((to) => (from === to ? [] : [wayLength(ways, from, to) ?? NaN])))
  return { mean: all.reduce((sum, hops) => sum + hops, 0) / all.length, max: Math.max(...all) }
}

/** Kills a node. Ways count as there when those of all nodes, followed from hop to hop, lead to where they are to: read from the events of all, in the order of the clock that they share. */
async function killed(
  nodes: readonly FleetNode[],
  victim: FleetNode,
  before: Tables
): Promise<{ pairs: number; broken: number; afterMs: number; p50Ms: number }> {
  const rest = nodes.filter((node) => node !== victim)
  const ids = rest.map(({ peerId }) => peerId)
  const killedAt = clock()
  await victim.process.end('SIGKILL')
  const deadline = killedAt + WAIT_MS
  await allReachAll(rest, WAIT_MS)
  for (let ways = await tables(rest); ids.some((to) => brokenTo(ways, to).length > 0); ways = await tables(rest)) {
    if (clock() > deadline) throw new Error(`ways are missing ${WAIT_MS} ms after ${victim.name} was killed`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }

  before.delete(victim.peerId)
  const mendedAt = new Map<string, number>()
  const broken = new Set<string>()
  const look = (to: string, at: number): void => {
    const now = new Set(brokenTo(before, to).map((from) => `${from} ${to}`))
    for (const pair of now) {
      broken.add(pair)
      mendedAt.delete(pair)
    }
    for (const pair of broken) if (pair.endsWith(` ${to}`) && !now.has(pair) && !mendedAt.has(pair)) mendedAt.set(pair, at)
  }
  for (const to of ids) look(to, killedAt)
  for (const { node, event } of changes(rest, killedAt)) {
    before.get(node)!.set(event.owner!, event.via ?? null)
    if (ids.includes(event.owner!)) look(event.owner!, event.t)
  }
  const times = [...broken].map((pair) => (mendedAt.get(pair) ?? Infinity) - killedAt)
  return {
    pairs: ids.length * (ids.length - 1),
    broken: broken.size,
    afterMs: Math.max(0, ...times),
    p50Ms: quantile(times, 0.5)
  }
}

/** From whom no way leads there. */
function brokenTo(ways: Tables, to: string): string[] {
  return [...ways.keys()].filter((from) => from !== to && wayLength(ways, from, to) === undefined)
}

function changes(nodes: readonly FleetNode[], since: number): { node: string; event: PeerEvent }[] {
  return nodes
    .flatMap(({ peerId: node, process }) =>
      process.events.flatMap((event) => (event.seen === 'route' && event.t >= since ? [{ node, event }] : []))
    )
    .sort((a, b) => a.event.t - b.event.t)
}
