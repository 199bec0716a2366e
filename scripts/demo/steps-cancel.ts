/** Steps about calls that do not go well, on purpose. */
import { showDuration } from '../../src/cli/output.ts'
import type { CallLine } from '../../src/http/call-routes.ts'
import type { CallProcess } from './fleet.ts'
import { check, gone } from './programs.ts'
import { call, failed, valuesOf } from './steps-call.ts'
import { nodeOf, type Step } from './steps.ts'

/** A line of `count`. */
export interface Counted {
  n: number
  /** Node that it runs on. */
  at: string
  pid: number
}

/** Waits until a running `count` has said `n`, not before the line with the index `from`. */
export async function counted(running: CallProcess, n: number, from = 0): Promise<Counted & { readAt: number }> {
  const fits = (line: CallLine) => 'kind' in line && line.kind === 'json' && (line.value as unknown as Counted).n >= n
  const { line, at: readAt } = await running.waitFor((line) => fits(line) || 'status' in line, `count of ${n}`, { from })
  check('kind' in line && line.kind === 'json', `the call ended before it had counted to ${n}: ${JSON.stringify(line)}`)
  return { ...(line.value as unknown as Counted), readAt }
}

/** A stream that its caller ends. */
export const cancel: Step = {
  name: 'cancel',
  title: 'A call is cancelled, and its work stops where it runs',
  async run(stage) {
    const provider = nodeOf(stage, 'cellar')
    const running = call(stage, 'tools', 'count', '--param', 'to=100000', '--node', 'cellar')
    const { pid, at } = await counted(running, 5)
    stage.pids.add(pid)
    const calls = () => provider.process.lines.filter(({ line }) => line.event === 'call:end').length
    const before = calls()
    const cancelledAt = performance.now()
    running.kill('SIGINT')
    stage.report.say(`after ${valuesOf(running).length} lines of process ${pid} on ${at}: Ctrl-C`)
    const stopped = await gone(pid, 'the counter')
    await failed(running, 'cancelled')
    const told = await provider.process.waitFor(
      (line) => line.event === 'call:end' && line.tool === 'count' && line.code !== undefined,
      'event of the cancelled call'
    )
    check(
      told.line.event === 'call:end' && told.line.code === 'cancelled',
      `cellar says that the call ended with ${JSON.stringify(told.line)}`
    )
    check(calls() === before + 1, 'cellar ran more than one call')
    const ms = stopped - cancelledAt
    stage.report.say(`process ${pid} is gone ${showDuration(ms)} after it`)
    return { ms, what: 'from Ctrl-C at desk until the program at cellar had ended' }
  }
}

/** A caller's mistakes and a provider that has no room. */
export const mistakes: Step = {
  name: 'typed errors',
  title: 'What goes wrong has a code and says what to do',
  async run(stage) {
    const long = call(stage, 'tools', 'count', '--param', 'to=100000', '--node', 'cellar')
    stage.pids.add((await counted(long, 1)).pid)
    const startedAt = performance.now()
    const [busy, invalid, unknown] = await Promise.all([
      failed(call(stage, 'tools', 'count', '--param', 'to=1', '--node', 'cellar'), 'busy'),
      failed(call(stage, 'tools', 'count', '--param', 'to=many'), 'invalid_argument'),
      failed(call(stage, 'tools', 'sortt', '--param', 'file=trees.txt'), 'unknown_tool')
    ])
    const ms = performance.now() - startedAt
    for (const { code, message } of [busy, invalid, unknown]) stage.report.say(`${code.padEnd(17)} ${message}`)
    check(invalid.message.includes('/to'), `the message does not name the key: ${invalid.message}`)
    check(unknown.message.includes('"sort"'), `the message does not name the nearest tool: ${unknown.message}`)
    long.kill('SIGINT')
    await failed(long, 'cancelled')
    return { ms, what: 'busy, invalid_argument and unknown_tool, three commands at once' }
  }
}
