/** The table of the design: what each algorithm does when something happens, beside what the design measured. */
import { runEvent, type EventFindings, type TableEvent } from './event-run.ts'
import { POLICIES } from './policies/index.ts'

/** A row; `design` is what the design says of its own algorithm. */
interface TableRow {
  topology: string
  nodes: number
  event: TableEvent
  /** Providers; default as in event-run.ts. */
  origins?: number
  design: { rightMs: number; messages?: number }
}

const ROWS: readonly TableRow[] = [
  { topology: 'line', nodes: 10, event: 'provider dies', origins: 1, design: { rightMs: 130, messages: 16 } },
  { topology: 'ring', nodes: 12, event: 'provider dies', origins: 1, design: { rightMs: 70, messages: 22 } },
  { topology: 'ring', nodes: 12, event: 'link fails', design: { rightMs: 670 } },
  { topology: 'grid', nodes: 100, event: 'provider dies', design: { rightMs: 550 } },
  { topology: 'grid', nodes: 100, event: 'cost rises', design: { rightMs: 0 } },
  { topology: 'lans', nodes: 50, event: 'link fails', design: { rightMs: 250 } },
  { topology: 'geometric', nodes: 50, event: 'partition heals', design: { rightMs: 50 } },
  { topology: 'random', nodes: 200, event: 'provider dies', design: { rightMs: 250 } },
  { topology: 'random', nodes: 200, event: 'link fails', design: { rightMs: 250 } }
]

/** Columns: how long each algorithm needs to have a full table, and how long it is watched, ms. */
const COLUMNS = [
  { policy: 'reference', title: 'reference, shipped', bootMs: 300_000, watchMs: 2_000_000 },
  { policy: 'reference-intended', title: 'reference, intended', bootMs: 300_000, watchMs: 2_000_000 },
  { policy: 'dv', title: 'dv + SH/PR', bootMs: 120_000, watchMs: 300_000 },
  { policy: 'gradient', title: 'ours', bootMs: 30_000, watchMs: 60_000 }
] as const

/** One cell, over all seeds; means, but for the worst. Infinity: never in the time that it was watched. */
export interface TableCell extends EventFindings {
  policy: string
  worstRightMs: number
  /** In how many of the seeds it was not right again. */
  never: number
}

/** A row with its cells. */
export interface TableResult {
  name: string
  design: TableRow['design']
  cells: TableCell[]
  /** Ours is at or better than the design. */
  holds: boolean
}

/** Runs it; `onCell` is called for progress. */
export function runTable(seeds: readonly number[], onCell: (text: string) => void = () => {}): TableResult[] {
  return ROWS.map((row) => {
    const name = `${row.topology} ${row.nodes}, ${row.event}`
    const cells = COLUMNS.map(({ policy, bootMs, watchMs }) => {
      onCell(`${name}: ${policy}`)
      const createPolicy = POLICIES[policy]!
      return cellOf(
        policy,
        seeds.map((seed) => runEvent({ ...row, seed, createPolicy, bootMs, watchMs }))
      )
    })
    const ours = cells.at(-1)!
    const holds =
      ours.rightMs <= row.design.rightMs &&
      ours.loopMs === 0 &&
      ours.messages <= (row.design.messages ?? Infinity) &&
      ours.never === 0
    return { name, design: row.design, cells, holds }
  })
}

function cellOf(policy: string, runs: EventFindings[]): TableCell {
  const mean = (of: (run: EventFindings) => number, among = runs): number =>
    among.length === 0 ? Infinity : among.reduce((sum, run) => sum + of(run), 0) / among.length
  const healed = runs.filter(({ rightMs }) => rightMs !== Infinity)
  return {
    policy,
    rightMs: mean(({ rightMs }) => rightMs, healed),
    worstRightMs: Math.max(...runs.map(({ rightMs }) => rightMs)),
    outageMs: mean(({ outageMs }) => outageMs),
    loopMs: mean(({ loopMs }) => loopMs),
    messages: Math.round(mean(({ messages }) => messages)),
    rows: Math.round(mean(({ rows }) => rows)),
    stretch: Math.max(...runs.map(({ stretch }) => stretch)),
    never: runs.length - healed.length
  }
}

/** The table as text, and what became of the design's figures. */
export function formatTable(results: readonly TableResult[], seeds: readonly number[]): string {
  const lines = [
    `Time until all is right again; mean (and worst) of ${seeds.length} networks. loops: time in them. out: time in outage.`,
    ''
  ]
  for (const { name, design, cells, holds } of results) {
    lines.push(name)
    for (const [index, cell] of cells.entries())
      lines.push(`  ${COLUMNS[index]!.title.padEnd(20)} ${formatCell(cell, seeds.length)}`)
    const messages = design.messages === undefined ? '' : `, ${design.messages} messages`
    lines.push(
      `  ${'design (grad)'.padEnd(20)} ${time(design.rightMs)}${messages}: ${holds ? 'ours is at or better' : 'OURS IS NOT'}`,
      ''
    )
  }
  const missed = results.filter(({ holds }) => !holds).map(({ name }) => name)
  lines.push(
    missed.length === 0
      ? 'Ours is at or better than the design in every row.'
      : `Ours is at or better than the design in ${results.length - missed.length} of ${results.length} rows; not in: ${missed.join('; ')}.`
  )
  return lines.join('\n')
}

function formatCell(cell: TableCell, seeds: number): string {
  const right =
    cell.never === seeds
      ? 'never'
      : cell.never > 0
        ? `${time(cell.rightMs)} (never in ${cell.never} of ${seeds})`
        : `${time(cell.rightMs)} (${time(cell.worstRightMs)})`
  return [
    right.padEnd(26),
    `out ${time(cell.outageMs)}`.padEnd(13),
    `loops ${time(cell.loopMs)}`.padEnd(15),
    `${cell.messages} messages`.padEnd(17),
    `${cell.rows} rows`.padEnd(15),
    `stretch ${cell.stretch.toFixed(1)}`
  ].join(' ')
}

function time(ms: number): string {
  if (ms === Infinity) return 'never'
  return ms < 10_000 ? `${(ms / 1_000).toFixed(2)} s` : `${Math.round(ms / 1_000)} s`
}
