/** Steps that call tools on other nodes and read what comes. */
import { showDuration } from '../../src/cli/output.ts'
import type { CallLine } from '../../src/http/call-routes.ts'
import type { CallProcess } from './fleet.ts'
import { TREES } from './nodes.ts'
import { check } from './programs.ts'
import type { Stage, Step } from './steps.ts'

/** Shortest part of a long operation over which its progress must be spread: it came live, and not at the end. */
const MIN_SPREAD = 0.5

/** Steps of the long operation. */
const STEPS = 6

/** The last line of a call that went well. */
export type Success = Extract<CallLine, { status: 'success' }>
/** The last line of one that did not. */
export type Failure = Extract<CallLine, { status: 'error' }>

/** Shows the call as one would type it and starts it. */
export function call({ fleet, report }: Stage, ...args: string[]): CallProcess {
  report.command(`atmo call ${args.join(' ')}`)
  return fleet.call('desk', ...args)
}

/** Waits for the end of a call that must go well. */
export async function succeeded(call: CallProcess): Promise<Success> {
  const { line } = await call.waitFor((line) => 'status' in line, 'result')
  check('status' in line && line.status === 'success', `the call failed: ${JSON.stringify(line)}`)
  const { code } = await call.ended()
  check(code === 0, `the call went well, but its exit code is ${code}`)
  return line
}

/** Waits for the end of a call that must fail with this code. */
export async function failed(call: CallProcess, code: string): Promise<Failure['error']> {
  const { line } = await call.waitFor((line) => 'status' in line, 'error')
  check('error' in line, `the call went well; it had to fail with ${code}`)
  check(line.error.code === code, `the call failed with ${line.error.code} (${line.error.message}), not with ${code}`)
  const exit = await call.ended()
  check(exit.code === 1, `the exit code of a failed call is ${exit.code}, not 1`)
  return line.error
}

/** The result of a tool that answers with text. */
function textOf({ result }: Success): string {
  check(typeof result === 'string', `the result is no text: ${JSON.stringify(result)}`)
  return result.trim()
}

/** Values that the call has streamed. */
export function valuesOf(call: CallProcess): unknown[] {
  return call.lines.flatMap(({ line }) => ('kind' in line && line.kind === 'json' ? [line.value] : []))
}

/** A tool of the MCP server on attic, called at desk. */
export const callMcp: Step = {
  name: 'mcp call',
  title: 'A tool of an MCP server on another node',
  async run(stage) {
    const sum = await succeeded(call(stage, 'everything', 'get-sum', '--param', 'a=19', '--param', 'b=23'))
    stage.report.say(textOf(sum))
    check(/\b42\b/.test(textOf(sum)), `19 + 23 is not "${textOf(sum)}"`)
    check(sum.providerName === 'attic' && !sum.route.local, `${sum.providerName} answered, not attic`)
    const echo = await succeeded(call(stage, 'everything', 'echo', '--param', 'message=hello'))
    stage.report.say(textOf(echo))
    check(textOf(echo).includes('hello'), `the echo of "hello" is "${textOf(echo)}"`)
    return {
      ms: echo.durationMs,
      what: `attic answered, from the call at desk to its result`,
      times: { firstMs: sum.durationMs }
    }
  }
}

/** Real programs on cellar or garage. */
export const callCommand: Step = {
  name: 'command call',
  title: 'Programs on another node: wc and sort',
  async run(stage) {
    const words = await succeeded(call(stage, 'tools', 'words', '--param', 'file=trees.txt'))
    stage.report.say(`${textOf(words)}  (${words.providerName})`)
    check(Number.parseInt(textOf(words), 10) === TREES.length, `wc counts ${textOf(words)}, not ${TREES.length}`)
    const sort = call(stage, 'tools', 'sort', '--param', 'file=trees.txt')
    const sorted = await succeeded(sort)
    const lines = valuesOf(sort)
    stage.report.say(`${lines.join(', ')}  (${sorted.providerName})`)
    check(lines.join() === [...TREES].sort().join(), `sort gives ${lines.join(', ')}`)
    return {
      ms: sorted.durationMs,
      what: 'sort ran there, and its lines were streamed here',
      times: { wordsMs: words.durationMs }
    }
  }
}

const isProgress = (line: CallLine) => 'kind' in line && line.kind === 'progress'

/** A long operation of the MCP server that tells how far it is. */
export const progress: Step = {
  name: 'progress',
  title: 'A long operation tells how far it is',
  async run(stage) {
    const running = call(
      stage,
      'everything',
      'trigger-long-running-operation',
      '--param',
      'duration=1.5',
      '--param',
      `steps=${STEPS}`
    )
    const startedAt = performance.now()
    const seen: number[] = []
    for (let done = 0; done < STEPS;) {
      const { at, line } = await running.waitFor(
        (line) => (isProgress(line) && line.progress.done > done) || 'status' in line,
        'progress'
      )
      if (!isProgress(line)) break
      done = line.progress.done
      seen.push(at)
      stage.report.progress(done, STEPS, at - startedAt)
    }
    const ended = await succeeded(running)
    const { durationMs } = ended
    stage.report.say(textOf(ended))
    // The last report and the result leave the server together, and then the result may overtake it.
    check(seen.length >= STEPS - 1, `${STEPS} steps were made, ${seen.length} were told`)
    const spreadMs = (seen.at(-1) ?? 0) - (seen[0] ?? 0)
    check(spreadMs > durationMs * MIN_SPREAD, `the progress did not come live: all of it within ${showDuration(spreadMs)}`)
    return {
      ms: durationMs,
      what: `${seen.length} reports of progress came live, spread over ${showDuration(spreadMs)}`,
      times: { spreadMs }
    }
  }
}
