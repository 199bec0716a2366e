/** Three nodes that do the same, one fast, one slow, and the fastest until it becomes slow: who gets the calls, second by second. */
import { quantile, type FleetNode } from './fleet.ts'
import { startFleet } from './started-fleet.ts'

/** Time that the load of a node has to move, in ms. */
export const MOVED_WITHIN_MS = 5_000
/** Share of it that has to move. */
const MOVED_SHARE = 0.8
/** Of the calls before the turn, in percent: less is no load that could move. */
const MIN_SHARE = 20
/** How long `work` takes at each, in ms, and at the last one, the best of them, after it has become slow. */
const PACE_MS = { fast: 40, slow: 250, turns: 20, turned: 400 } as const
/** Calls that each runs at once. */
const SLOTS = 4

interface FlowCall {
  /** CLOCK_MONOTONIC in ms. */
  at: number
  ms: number
  provider?: string
  tries?: number
  code?: string
}

/**
 * @param seconds how long before and after the turn.
 * @param rate calls a second of all callers: a quarter of what the three can do together, and half of what they can do after the turn.
 */
export async function proveDispatch({
  seconds = 15,
  callers = 2,
  rate = 60
}: { seconds?: number; callers?: number; rate?: number } = {}): Promise<object> {
  const fleet = await startFleet(3 + callers)
  try {
    const [fast, slow, turns, ...others] = fleet.nodes as [FleetNode, FleetNode, FleetNode, ...FleetNode[]]
    for (const [node, ms] of [
      [fast, PACE_MS.fast],
      [slow, PACE_MS.slow],
      [turns, PACE_MS.turns]
    ] as const) {
      await node.ask('pace', { ms })
      const { at } = await node.ask<{ at: number }>('register', { id: 'work', tools: ['work'], tool: { concurrency: SLOTS } })
      const isHere = (caller: FleetNode): Promise<unknown> =>
        caller.saw(
          (e) => e.seen === 'capability:available' && e.id === 'work' && e.owner === node.peerId && e.t >= at,
          20_000,
          'work'
        )
      await Promise.all(others.map(isHere))
    }
    const flow = { target: 'work', tool: 'work', perSecond: rate / callers, seconds: 2 * seconds }
    const flows = others.map((caller) => caller.ask<FlowCall[]>('flow', flow, (2 * seconds + 60) * 1_000))
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
    const { at: turnedAt } = await turns.ask<{ at: number }>('pace', { ms: PACE_MS.turned })
    const calls = (await Promise.all(flows)).flat()
    return report(calls, { fast, slow, turns }, turnedAt, seconds)
  } finally {
    await fleet.close()
  }
}

function report(
  calls: readonly FlowCall[],
  nodes: { fast: FleetNode; slow: FleetNode; turns: FleetNode },
  turnedAt: number,
  seconds: number
): object {
  const during = (fromMs: number, toMs: number): FlowCall[] =>
    calls.filter(({ at }) => at >= turnedAt + fromMs && at < turnedAt + toMs)
  const share = (of: readonly FlowCall[], { peerId }: FleetNode): number =>
    Math.round((100 * of.filter(({ provider }) => provider === peerId).length) / Math.max(1, of.length))
  const shares = (of: readonly FlowCall[]): Record<string, number> =>
    Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, share(of, node)]))
  const times = (of: readonly FlowCall[]): { p50Ms: number; p99Ms: number } => {
    const ms = of.filter(({ code }) => code === undefined).map((call) => call.ms)
    return { p50Ms: Math.round(quantile(ms, 0.5)), p99Ms: Math.round(quantile(ms, 0.99)) }
  }
  // The first second is for finding out who is there.
  const before = during(-seconds * 1_000 + 1_000, 0)
  const after = during(MOVED_WITHIN_MS, seconds * 1_000)
  const moved = 1 - share(after, nodes.turns) / Math.max(1, share(before, nodes.turns))
  const failed = calls.filter(({ code }) => code !== undefined).length
  const tries = calls.reduce((sum, call) => sum + (call.tries ?? 1), 0) / calls.length
  return {
    calls: calls.length,
    failed,
    triesPerCall: Math.round(tries * 1_000) / 1_000,
    paceMs: PACE_MS,
    slots: SLOTS,
    before: { sharePercent: shares(before), ...times(before) },
    turning: { sharePercent: shares(during(0, MOVED_WITHIN_MS)), ...times(during(0, MOVED_WITHIN_MS)) },
    after: { sharePercent: shares(after), ...times(after) },
    turnsPercentBySecond: Array.from({ length: 2 * seconds }, (_, n) =>
      share(during((n - seconds) * 1_000, (n - seconds + 1) * 1_000), nodes.turns)
    ),
    movedPercent: Math.round(100 * moved),
    withinMs: MOVED_WITHIN_MS,
    pass: failed === 0 && share(before, nodes.turns) >= MIN_SHARE && moved >= MOVED_SHARE
  }
}
