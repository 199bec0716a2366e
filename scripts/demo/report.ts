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

/** Prints to one stream. */
export interface Report {
  begin(): void
  step(number: number, title: string): void
  /** A line below the step. */
  say(text: string): void
  /** A command that is run, as one would type it. */
  command(text: string): void
  /** A bar that moves; on anything but a terminal nothing. */
  progress(done: number, total: number, ms: number): void
  end(outcome: StepOutcome): void
  summary(outcomes: readonly StepOutcome[], totalMs: number): void
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
    begin: () =>
      print(
        `\n${color.bold('Atmosphere demo')}  four nodes on this machine, each a process of its own, on loopback only\n\n` +
          `  ${color.bold('desk')}    only calls\n` +
          `  ${color.bold('attic')}   has an MCP server, the reference one\n` +
          `  ${color.bold('cellar')}  has command tools: wc, sort, a counter\n` +
          `  ${color.bold('garage')}  has the same ones`
      ),
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
