/**
 * `npm run demo [-- --scenario NAME] [--json]`: real nodes on this machine, each a process of its own.
 * Every step is checked: exit code 0 if all hold, else 1 and the reason. With --json one object comes last, on stdout, and the rest goes to stderr.
 */
import { setMaxListeners } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { USAGE, readArguments, type DemoArguments } from './demo/arguments.ts'
import { DemoError, createPrograms, isRunning } from './demo/programs.ts'
import { createReport, type StepOutcome } from './demo/report.ts'
import type { Stage } from './demo/scenario.ts'
import { createSecurity } from './demo/security/scenario.ts'
import { tour } from './demo/tour.ts'

let settings: DemoArguments
try {
  settings = readArguments(process.argv.slice(2))
} catch (error) {
  console.error(`${(error as Error).message}\n${USAGE}`)
  process.exit(2)
}
const { json } = settings
if (settings.help) {
  console.log(USAGE)
  process.exit(0)
}
const scenario = settings.scenario === 'tour' ? tour : createSecurity(settings)

const abort = new AbortController()
// Every wait listens to it.
setMaxListeners(0, abort.signal)
const { limitMs } = scenario
const limit = setTimeout(() => abort.abort(new DemoError(`the demo takes longer than ${limitMs} ms`)), limitMs)
const programs = createPrograms(abort.signal)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => abort.abort(new DemoError(`interrupted by ${signal}`)))
process.on('exit', () => programs.killAll())

const report = createReport(json ? process.stderr : process.stdout)
const folder = await mkdtemp(join(tmpdir(), 'atmo-demo-'))
const outcomes: StepOutcome[] = []
const startedAt = performance.now()
let stage: Stage | undefined
try {
  report.begin(scenario.title, scenario.cast)
  stage = scenario.open({ programs, folder, report, signal: abort.signal })
  for (const [index, { name, title, run }] of stage.steps.entries()) {
    report.step(index + 1, title)
    const outcome = await run().then(
      (result): StepOutcome => ({ name, ok: true, ran: true, ...result }),
      (error: unknown): StepOutcome => ({ name, ok: false, ran: true, error: messageOf(error) })
    )
    report.end(outcome)
    outcomes.push(outcome)
    if (!outcome.ok) break
  }
} catch (error) {
  outcomes.push({ name: 'setup', ok: false, ran: true, error: messageOf(error) })
} finally {
  clearTimeout(limit)
  await programs.stopAll()
  for (const pid of stage?.pids ?? []) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  await rm(folder, { recursive: true, force: true })
}
for (const { name } of stage?.steps.slice(outcomes.length) ?? []) outcomes.push({ name, ok: false, ran: false })
const totalMs = performance.now() - startedAt
report.summary(outcomes, totalMs)
const more = stage?.conclude?.()
const ok = outcomes.every((outcome) => outcome.ok)
if (json) {
  const error = outcomes.find((outcome) => outcome.error !== undefined)?.error
  // Tenths of a millisecond: more is noise.
  const rounded = (_key: string, value: unknown) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value)
  console.log(JSON.stringify({ ok, totalMs, node: process.version, error, steps: outcomes, ...more }, rounded))
}
process.exitCode = ok ? 0 : 1

/** What a check found; of anything else, which is a fault of the demo, the stack too. */
function messageOf(error: unknown): string {
  if (error instanceof DemoError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
