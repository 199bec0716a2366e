import { loadavg } from 'node:os'
import { quantile, type FleetNode } from '../fleet.ts'
import { lineLinks, registerAt, startLinked, type Called } from './linked-fleet.ts'

const MB = 1024 * 1024
/** What each hop may add to a call of a kilobyte, in ms. */
const ADDED_PER_HOP_MS = 0.6
/** A provider knows of a cancel within this time, in ms. */
const CANCELLED_WITHIN_MS = 1_000
/** What a forwarder may need for a stream whose reader is slow. */
const MAX_OVER_IDLE_MB = 64
/** Calls in a row to one of the two providers, and to each before any counts: what has not run often is not compiled yet. */
const BATCH = 20
const UNCOUNTED = 1_000

interface Streamed {
  bytes: number
  sha256: string
  result?: { bytes: number; sha256: string }
  leftAt: number
  ms: number
}

/**
 * Five hosts in a line, a call from end to end.
 * @param hosts length of the line. @param calls that are timed to each of two providers. @param megabytes of a stream, either way.
 * @param slowSeconds how long a reader takes a megabyte a second of a gigabyte. @param delayMs of each link, where the kernel can.
 */
export async function proveLine({
  hosts = 5,
  calls = 1_000,
  megabytes = 64,
  slowSeconds = 15,
  delayMs = 0
}: Record<string, number> = {}): Promise<{ pass: boolean } & Record<string, unknown>> {
  const links = lineLinks(hosts)
  const fleet = await startLinked(hosts, links)
  try {
    const { nodes } = fleet
    if (delayMs > 0) for (const [a, b] of links) fleet.lab.delay(a, b, delayMs)
    const [caller, neighbour, provider] = [nodes[0]!, nodes[1]!, nodes[hosts - 1]!]
    const ids = nodes.map(({ peerId }) => peerId)
    await registerAt(provider, caller, { id: 'far' })
    await registerAt(provider, caller, { id: 'basin', tools: ['sink'], tool: { acceptsStream: true } })
    await registerAt(neighbour, caller, { id: 'near' })

    const first = await caller.ask<Called>('call', { target: 'far', tool: 'echo', input: { text: 'first' } })
    const trace = await caller.ask<{ node: string; rttMs: number }[]>('trace', { target: provider.peerId })
    const hops = hosts - 1
    const unary = {
      ok: first.ok,
      error: first.message,
      hops: first.hops,
      pathNamesAll: String(first.path) === String(ids),
      firstCallMs: first.ms,
      traceNamesAll: String(trace.map(({ node }) => node)) === String(ids.slice(1)),
      traceMs: trace.map(({ rttMs }) => rttMs)
    }

    const latency = await compare(nodes, calls)
    const streamed = await caller.ask<Streamed>('consume', { target: 'far', input: { bytes: megabytes * MB } }, 300_000)
    const sent = await caller.ask<{ result: { bytes: number; sha256: string }; sha256: string; ms: number; hops: number }>(
      'send',
      { target: 'basin', input: { bytes: megabytes * MB } },
      300_000
    )
    const rate = (ms: number): number => megabytes / (ms / 1_000)
    const streams = {
      megabytes,
      out: {
        whole: streamed.bytes === megabytes * MB && streamed.result?.sha256 === streamed.sha256,
        megabytesPerSecond: rate(streamed.ms)
      },
      in: { whole: sent.result.bytes === megabytes * MB && sent.result.sha256 === sent.sha256, megabytesPerSecond: rate(sent.ms) }
    }
    const cancelMs = await cancels(caller, provider)
    const slow = await slowReader(nodes, slowSeconds)
    return {
      ...{ hosts, delayMs, reachMs: fleet.reachMs, unary, latency, streams, cancelMs, slow },
      pass:
        unary.ok &&
        unary.hops === hops &&
        unary.pathNamesAll &&
        unary.traceNamesAll &&
        latency.addedPerHopMs < ADDED_PER_HOP_MS &&
        streams.out.whole &&
        streams.in.whole &&
        Object.values(cancelMs).every((ms) => ms < CANCELLED_WITHIN_MS) &&
        slow.sourceStoppedAfterMs < CANCELLED_WITHIN_MS &&
        slow.peakOverIdleMb.every((mb) => mb < MAX_OVER_IDLE_MB)
    }
  } finally {
    await fleet.close()
  }
}

/** The same call to the neighbour and to the end, by turns: what else runs on the machine meets both. */
async function compare(
  nodes: readonly FleetNode[],
  calls: number
): Promise<{ near: object; far: object; addedPerHopMs: number; cpuMsPerCall: number[]; loadBefore: number; loadAfter: number }> {
  const caller = nodes[0]!
  const times: Record<'near' | 'far', number[]> = { near: [], far: [] }
  const input = { text: 'x'.repeat(1_000) }
  const repeat = (target: 'near' | 'far', count: number): Promise<number[]> =>
    caller.ask<number[]>('repeat', { target, tool: 'echo', input, count }, 120_000)
  for (const target of ['near', 'far'] as const) await repeat(target, UNCOUNTED)
  const [loadBefore = NaN] = loadavg()
  while (times.near.length < calls)
    for (const target of ['near', 'far'] as const) times[target].push(...(await repeat(target, BATCH)))
  const show = (ms: number[]): object => ({ p50Ms: quantile(ms, 0.5), p95Ms: quantile(ms, 0.95), p99Ms: quantile(ms, 0.99) })
  const addedPerHopMs = (quantile(times.far, 0.5) - quantile(times.near, 0.5)) / (nodes.length - 2)
  const loadAfter = loadavg()[0]!
  const cpu = (): Promise<number[]> =>
    Promise.all(nodes.map(async (node) => (await node.ask<{ cpuUs: number }>('usage')).cpuUs / 1_000))
  const before = await cpu()
  await repeat('far', calls)
  const cpuMsPerCall = (await cpu()).map((ms, n) => (ms - before[n]!) / calls)
  return { near: show(times.near), far: show(times.far), addedPerHopMs, cpuMsPerCall, loadBefore, loadAfter }
}

/** From a cancel here until the tool there is told, for one that has yielded nothing and for one that streams. */
async function cancels(caller: FleetNode, provider: FleetNode): Promise<{ silent: number; streaming: number }> {
  const noticed = async (event: string, at: number): Promise<number> =>
    (await provider.saw((e) => e.event === event && e.t >= at, 10_000, event)).t - at
  const slept = { target: 'far', tool: 'slow', input: { ms: 60_000 }, afterMs: 200 }
  const { at, code } = await caller.ask<{ at: number; code: string }>('cancel', slept)
  if (code !== 'cancelled') throw new Error(`a call that was cancelled ended with ${code}`)
  const silent = await noticed('aborted', at)
  const streamed = { target: 'far', tool: 'stream', input: { bytes: 1024 * MB }, afterMs: 200 }
  const { at: leftAt } = await caller.ask<{ at: number }>('cancel', streamed)
  return { silent, streaming: await noticed('source-ended', leftAt) }
}

/** A gigabyte is offered, a megabyte a second taken: the memory of all on the way, the ends included. */
async function slowReader(
  nodes: readonly FleetNode[],
  seconds: number
): Promise<{ readMb: number; idleMb: number[]; peakOverIdleMb: number[]; sourceStoppedAfterMs: number }> {
  const [caller, provider] = [nodes[0]!, nodes.at(-1)!]
  const rss = (): Promise<number[]> => Promise.all(nodes.map(async (node) => (await node.ask<{ rss: number }>('usage')).rss / MB))
  const idleMb = await rss()
  const peak = idleMb.map(() => 0)
  let reading = true
  const input = { target: 'far', input: { bytes: 1024 * MB }, bytesPerSecond: MB, seconds }
  const read = caller.ask<Streamed>('consume', input, (seconds + 60) * 1_000).finally(() => (reading = false))
  while (reading) {
    for (const [n, mb] of (await rss()).entries()) peak[n] = Math.max(peak[n]!, mb - idleMb[n]!)
    await Promise.race([read, new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))])
  }
  const { bytes, leftAt } = await read
  const ended = await provider.saw((e) => e.event === 'source-ended' && e.t >= leftAt, 10_000, 'the source told to stop')
  return {
    readMb: bytes / MB,
    idleMb: idleMb.map(Math.round),
    peakOverIdleMb: peak.map((mb) => Math.round(mb * 10) / 10),
    sourceStoppedAfterMs: ended.t - leftAt
  }
}

/** How often memory is looked at, in ms. */
const SAMPLE_MS = 250
