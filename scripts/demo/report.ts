/** What the demo prints: each step as it goes, and a table at the end. */
import picocolors from 'picocolors'
import { plain, showDuration, wantsColor } from '../../src/cli/output.ts'

/** What a step found. */
export interface StepResult {
  /** The time that this step is about. */
  ms: number
  /** What happened, in one line. */
  what: string
  /** Further times in ms, by name. */
  times?: Record<string, number>
}

/** One line of the summary. */
export interface StepOutcome extends Partial<StepResult> {
  name: string
  ok: boolean
  /** False if an earlier step failed. */
  ran: boolean
  error?: string
}

/** Something that happened on the way from a cause to its effect. */
export interface FlowRow {
  /** When, in ms after the cause. */
  atMs: number
  /** How long it took, in ms, if it took time. */
  tookMs?: number
  step: string
  /** Which node did it. */
  node: string
  what: string
}

/** Prints to one stream. */
export interface Report {
  begin(title: string, lines: readonly [name: string, what: string][]): void
  step(number: number, title: string): void
  /** A line below the step. */
  say(text: string): void
  /** A command that is run, as one would type it. */
  command(text: string): void
  /** A bar that moves; on anything but a terminal nothing. */
  progress(done: number, total: number, ms: number): void
  end(outcome: StepOutcome): void
  summary(outcomes: readonly StepOutcome[], totalMs: number): void
  /** A table of what happened one after the other, and what was found to say about it. */
  flow(rows: readonly FlowRow[], notes: readonly string[]): void
}

const BAR = 24

/** @param sink where to; colours and the moving bar only if a person looks. */
export function createReport(sink: NodeJS.WriteStream): Report {
  const color = picocolors.createColors(wantsColor(sink))
  const live = sink.isTTY === true && process.env['TERM'] !== 'dumb'
  const print = (text: string) => void sink.write(`${text}\n`)
  let bar = false
  const clear = () => {
    if (bar) sink.write('\r\u001b[2K')
    bar = false
  }
  const mark = (ok: boolean, ran: boolean) => (ok ? color.green('✓') : ran ? color.red('✗') : color.dim('-'))

  return {
    begin(title, lines) {
      const width = Math.max(...lines.map(([name]) => name.length))
      print(`\n${color.bold('Atmosphere demo')}  ${title}\n`)
      for (const [name, what] of lines) print(`  ${color.bold(name.padEnd(width))}  ${what}`)
    },
    step: (number, title) => print(`\n${color.cyan(String(number).padStart(2))}  ${color.bold(title)}`),
    say(text) {
      clear()
      print(`      ${text}`)
    },
    command: (text) => print(`    ${color.dim('$')} ${color.dim(text)}`),
    progress(done, total, ms) {
      if (!live) return
      const filled = Math.round((BAR * done) / total)
      sink.write(
        `\r\u001b[2K      ${color.cyan('█'.repeat(filled))}${color.dim('░'.repeat(BAR - filled))} ${done} of ${total}  ${color.dim(showDuration(ms))}`
      )
      bar = true
    },
    end({ ok, what, ms, error }) {
      clear()
      print(
        ok
          ? `    ${mark(true, true)} ${what}  ${color.dim(showDuration(ms ?? 0))}`
          : `    ${mark(false, true)} ${color.red(plain(error ?? 'failed'))}`
      )
    },
    flow(rows, notes) {
      const [step, node] = (['step', 'node'] as const).map((key) => Math.max(...rows.map((row) => row[key].length)))
      const head = `${'AT'.padStart(9)}  ${'TOOK'.padStart(8)}  ${'STEP'.padEnd(step!)}  ${'NODE'.padEnd(node!)}  WHAT`
      print(`\n    ${color.dim(head)}`)
      for (const { atMs, tookMs, step: name, node: where, what } of rows) {
        const at = `+${showDuration(atMs)}`.padStart(9)
        const took = (tookMs === undefined ? '' : showDuration(tookMs)).padStart(8)
        print(`    ${color.cyan(at)}  ${took}  ${color.bold(name.padEnd(step!))}  ${where.padEnd(node!)}  ${plain(what)}`)
      }
      print('')
      for (const note of notes) print(note === '' ? '' : `    ${note}`)
    },
    summary(outcomes, totalMs) {
      const name = Math.max(...outcomes.map((outcome) => outcome.name.length))
      print(`\n    ${color.dim(`${'STEP'.padEnd(name)}  ${'TIME'.padStart(8)}  WHAT WAS MEASURED`)}`)
      for (const { name: title, ok, ran, ms, what, error } of outcomes) {
        const time = ms === undefined ? '' : showDuration(ms)
        print(
          `  ${mark(ok, ran)} ${title.padEnd(name)}  ${time.padStart(8)}  ${ok ? what : ran ? color.red(plain(error ?? '')) : color.dim('not run')}`
        )
      }
      const failed = outcomes.filter(({ ok }) => !ok).length
      const verdict =
        failed === 0
          ? color.green(`all ${outcomes.length} steps verified`)
          : color.red(`${outcomes.length - failed} of ${outcomes.length} steps verified`)
      print(`\n  ${verdict} in ${showDuration(totalMs)}; every time above was measured in this run\n`)
    }
  }
}
