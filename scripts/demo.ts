/**
 * `npm run demo [-- --json]`: four real nodes on this machine find each other, announce, call, stream, cancel, fail over and leave.
 * Every step is checked: exit code 0 if all hold, else 1 and the reason. With --json one object comes last, on stdout, and the rest goes to stderr.
 */
import { setMaxListeners } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFleet } from './demo/nodes.ts'
import { DemoError, createPrograms, isRunning } from './demo/programs.ts'
import { createReport, type StepOutcome } from './demo/report.ts'
import { STEPS, type Stage } from './demo/steps.ts'

/** Time for all of it, in ms. */
const LIMIT_MS = 60_000

const args = process.argv.slice(2)
const unknown = args.find((arg) => arg !== '--json')
if (unknown !== undefined) {
  console.error(`unknown argument ${unknown}\nusage: npm run demo [-- --json]`)
  process.exit(2)
}
const json = args.includes('--json')

const abort = new AbortController()
// Every wait listens to it.
setMaxListeners(0, abort.signal)
const limit = setTimeout(() => abort.abort(new DemoError(`the demo takes longer than ${LIMIT_MS} ms`)), LIMIT_MS)
const programs = createPrograms(abort.signal)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => abort.abort(new DemoError(`interrupted by ${signal}`)))
process.on('exit', () => programs.killAll())

const report = createReport(json ? process.stderr : process.stdout)
const folder = await mkdtemp(join(tmpdir(), 'atmo-demo-'))
const outcomes: StepOutcome[] = []
const startedAt = performance.now()
const pids = new Set<number>()
try {
  report.begin()
  const stage: Stage = { fleet: createFleet(programs, folder), report, nodes: new Map(), pids }
  for (const [index, { name, title, run }] of STEPS.entries()) {
    report.step(index + 1, title)
    const outcome = await run(stage).then(
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
  for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  await rm(folder, { recursive: true, force: true })
}
for (const { name } of STEPS.slice(outcomes.length)) outcomes.push({ name, ok: false, ran: false })
const totalMs = performance.now() - startedAt
report.summary(outcomes, totalMs)
const ok = outcomes.every((outcome) => outcome.ok)
if (json) {
  const error = outcomes.find((outcome) => outcome.error !== undefined)?.error
  // Tenths of a millisecond: more is noise.
  const rounded = (_key: string, value: unknown) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value)
  console.log(JSON.stringify({ ok, totalMs, node: process.version, error, steps: outcomes }, rounded))
}
process.exitCode = ok ? 0 : 1

/** What a check found; of anything else, which is a fault of the demo, the stack too. */
function messageOf(error: unknown): string {
  if (error instanceof DemoError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
