/** What the modes of `npm run simulate` run, and how they show it. */
import type { SimulateArguments } from './arguments.ts'
import { TRICKS, simulateByzantine } from './byzantine.ts'
import { runConvergence } from './convergence.ts'
import { FAULT_KINDS } from './faults.ts'
import { costOf, runOne } from './one-run.ts'
import { POLICIES } from './policies/index.ts'
import { isSound, type RoutingReport } from './routing-report.ts'
import { simulateSites } from './sites.ts'
import { STRESS_ORIGINS, runStress } from './stress.ts'
import { formatTable, runTable } from './table.ts'

/** What a mode has to show; `report` is for `--json`. */
export interface ModeResult {
  report: object
  text: string
  holds: boolean
}

/** Progress is shown this often, ms. */
const PROGRESS_EVERY_MS = 2_000
/** A stressed network has so many faults. */
const STRESS_FAULTS = 200
/** Calls to a byzantine forwarder are counted for this long, ms. */
const BYZANTINE_COUNT_MS = 90_000

function createProgress(): (text: string) => void {
  let shownAt = performance.now()
  return (text) => {
    if (performance.now() < shownAt + PROGRESS_EVERY_MS) return
    shownAt = performance.now()
    console.error(text)
  }
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`
const ms = (time: number): string => (time === Infinity ? 'never' : `${time} ms`)
const table = (rows: readonly (readonly [string, string | number])[]): string =>
  rows.map(([name, value]) => `${name.padEnd(26)} ${value}`).join('\n')

function rowsOf(report: RoutingReport): [string, string | number][] {
  const { separate, convergenceMs, quiet } = report
  return [
    ['topology, nodes, seed', `${report.topology}, ${report.nodes}, ${report.seed}`],
    ['faults', report.faults],
    ['selections of next hops', report.selections],
    ['loops', report.loops],
    ['sessions over there', `${report.deadHops} next hops, ${report.deadCircles} circles`],
    ['violated invariants', report.violations],
    ['ghosts', report.ghosts],
    [
      'pairs, and right',
      `${report.pairs}, ${report.correct} (${percent(report.pairs === 0 ? 1 : report.correct / report.pairs)})`
    ],
    ['short of those', report.short],
    ['others as near in their place', report.nearTies],
    ['farther than routes go', report.tooFar],
    [
      'convergence',
      separate.measured === 0
        ? 'not measured'
        : `p50 ${ms(convergenceMs.p50)}, p99 ${ms(convergenceMs.p99)} (${separate.measured} measured, ${separate.harmless} did no harm)`
    ],
    ['messages, rows, bytes', `${report.messages}, ${report.rows}, ${report.bytes}`],
    [
      'in a quiet minute',
      quiet === undefined ? 'not measured' : `${quiet.messages} messages, ${quiet.rows} rows, ${quiet.bytes} bytes`
    ]
  ]
}

/** One network. */
export function runOneNetwork(args: SimulateArguments): ModeResult {
  const report = runOne(args, createProgress())
  const rows: [string, string | number][] = [
    ['policy', report.policy],
    ...rowsOf(report),
    ['CPU seconds, MB', `${report.cpuSeconds}, ${report.maxRssMb}`]
  ]
  const { replay } = report
  const again = replay === undefined ? '' : `\n\nnpm run simulate -- --replay '${JSON.stringify(replay)}'`
  if (replay !== undefined) console.error(`failed with ${replay.faults.length} faults; run again:${again}`)
  return {
    report,
    text: table(rows) + again,
    holds: report.policy !== 'gradient' || isSound(report)
  }
}

/** `--stress`. */
export function runStressed(args: SimulateArguments): ModeResult {
  const progress = createProgress()
  const { failed, ...report } = runStress({
    selections: args.selections,
    seed: args.seed,
    createPolicy: POLICIES[args.policy]!,
    faultsEach: STRESS_FAULTS,
    maxMs: args.minutes * 60_000,
    onRun: ({ topology, nodes }, selections) => progress(`${selections} of ${args.selections}; ${topology} ${nodes}`),
    goOn: args.policy !== 'gradient'
  })
  const first = failed[0]
  const shrunk =
    first === undefined || args.policy !== 'gradient'
      ? undefined
      : runOne({ ...args, ...first, origins: STRESS_ORIGINS, faults: STRESS_FAULTS, kinds: FAULT_KINDS }, progress).replay
  const holds = args.policy !== 'gradient' || (failed.length === 0 && report.isDone)
  const cost = costOf()
  const text = table([
    ['policy, first seed', `${args.policy}, ${args.seed}`],
    ['networks, nodes, faults', `${report.networks}, ${report.nodes}, ${report.faults}`],
    ['selections of next hops', report.selections],
    ['loops', report.loops],
    ['sessions over there', `${report.deadHops} next hops, ${report.deadCircles} circles`],
    ['violated invariants', report.violations],
    ['ghosts', report.ghosts],
    ['pairs, and right', `${report.pairs}, ${report.correct} (${percent(report.correct / report.pairs)})`],
    ['short of those', report.short],
    ['networks that failed', failed.length],
    ['CPU seconds, MB', `${cost.cpuSeconds}, ${cost.maxRssMb}`],
    ['came to the end', report.isDone ? 'yes' : `no: ${args.minutes} minutes were over`]
  ])
  const again = shrunk === undefined ? '' : `\n\nnpm run simulate -- --replay '${JSON.stringify(shrunk)}'`
  return {
    report: { policy: args.policy, seed: args.seed, ...report, ...cost, failed, replay: shrunk },
    text: text + again,
    holds
  }
}

/** `--table`. */
export function runTables(args: SimulateArguments): ModeResult {
  const seeds = Array.from({ length: args.seeds }, (_, n) => args.seed + n)
  const results = runTable(seeds, createProgress())
  const ours = results.map(({ cells }) => cells.at(-1)!)
  // Where ours is slower than the design says, it still may not fail.
  const holds = ours.every(({ loopMs, never }) => loopMs === 0 && never === 0)
  return {
    report: { seeds, atOrBetter: results.filter((row) => row.holds).length, rows: results },
    text: formatTable(results, seeds),
    holds
  }
}

/** `--convergence`. */
export function runConvergences(args: SimulateArguments): ModeResult {
  const seeds = Array.from({ length: args.seeds }, (_, n) => args.seed + n)
  const results = runConvergence({ ...args, seeds }, createProgress())
  const cost = costOf()
  const lines = results.map(
    ({ event, limitMs, p50, p99, loopMs, messages, holds }) =>
      `${event.padEnd(16)} p50 ${ms(p50)}, p99 ${ms(p99)}, may be ${limitMs} ms: ${holds ? 'holds' : 'DOES NOT HOLD'}; ${messages} messages, loops ${loopMs} ms`
  )
  const text = [
    `${args.topology}, ${args.nodes} nodes, ${seeds.length} networks: until all is right again`,
    ...lines,
    `CPU seconds, MB: ${cost.cpuSeconds}, ${cost.maxRssMb}`
  ].join('\n')
  const { nodes, topology } = args
  return { report: { nodes, topology, seeds, events: results, ...cost }, text, holds: results.every(({ holds }) => holds) }
}

/** `--byzantine`. */
export function runByzantine(args: SimulateArguments): ModeResult {
  const progress = createProgress()
  const runs = Array.from({ length: args.seeds }, (_, n) => {
    progress(`seed ${args.seed + n}`)
    return simulateByzantine({ nodes: args.nodes, seed: args.seed + n, countMs: BYZANTINE_COUNT_MS })
  })
  const holds = runs.every((run) => run.holds)
  const lines = runs.map(({ seed, links, onPath, honest, undefended, defended }) => {
    const tricks = TRICKS.map(
      (trick) => `${trick} ${percent(defended[trick].share)} (at first ${percent(defended[trick].atFirst)})`
    )
    return (
      `seed ${String(seed).padEnd(7)} ${links} links, on ${percent(onPath)} of paths: honest ${percent(honest)}, ` +
      `undefended ${percent(undefended)}; defended: ${tricks.join(', ')}`
    )
  })
  const text = [
    `${args.nodes} nodes, one drops all calls that it is given, and is silent, or answers as much as anybody can;`,
    'calls that succeed at the first try, after 30 s',
    ...lines,
    holds ? 'At least 95 % of the honest success in each.' : 'LESS THAN 95 % of the honest success.'
  ].join('\n')
  return { report: { runs, holds }, text, holds }
}

/** `--sites`. */
export function runManySites(args: SimulateArguments): ModeResult {
  const progress = createProgress()
  const onTime = (now: number, until: number): void => progress(`${Math.round(now / 1_000)} of ${Math.round(until / 1_000)} s`)
  const report = simulateSites({ sites: args.sites, seed: args.seed, faults: args.faults, onTime })
  const cost = costOf()
  const rows = [
    ...rowsOf(report),
    ['sites, gateways', `${report.sites}, ${report.gateways}`] as const,
    ['CPU seconds, MB', `${cost.cpuSeconds}, ${cost.maxRssMb}`] as const
  ]
  return { report: { ...report, ...cost }, text: table(rows), holds: isSound(report) }
}

/** `--dispatch`. */
export async function runDispatch(args: SimulateArguments): Promise<ModeResult> {
  const { runFleet, formatFleet } = await import('./fleet.ts')
  const report = await runFleet({ seeds: Array.from({ length: args.seeds }, (_, n) => args.seed + n) })
  return { report, text: formatFleet(report), holds: true }
}
