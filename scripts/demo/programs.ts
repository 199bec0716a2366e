/** The processes of the demo: what they print, line by line and with its time; how they ended; none is left behind. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** How long a process may take to end after SIGTERM before it is killed, in ms. */
const STOP_GRACE_MS = 5_000

/** Limit of each wait, in ms: ten times what a slow machine needs. */
export const DEADLINE_MS = 30_000

/** A check of the demo did not hold. */
export class DemoError extends Error {
  override readonly name = 'DemoError'
}

/** Throws {@link DemoError} unless the condition holds. */
export function check(condition: unknown, message: string): asserts condition {
  if (condition === false || condition === undefined || condition === null) throw new DemoError(message)
}

/** A line of JSON and when it was read, in ms of `performance.now()`. */
export interface Timed<L> {
  at: number
  line: L
}

/** How a process ended, and when. */
export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
  at: number
}

/** How long is waited, and from which line. */
export interface WaitOptions {
  from?: number
  /** Default {@link DEADLINE_MS}. */
  deadlineMs?: number
}

/** What is started, if it is no program for Node that prints JSON. */
export interface StartOptions {
  /** Default: Node itself. */
  command?: string
  /** What it prints is no JSON, and not read. */
  silent?: boolean
}

/** A running process that prints JSON, one object a line. */
export interface Program<L> {
  readonly pid: number
  readonly lines: readonly Timed<L>[]
  /** The first line from index `from`, past or to come, that passes the test. Throws when time is over or the process ends first. */
  waitFor<M extends L>(test: (line: L) => line is M, what: string, options?: WaitOptions): Promise<Timed<M>>
  waitFor(test: (line: L) => boolean, what: string, options?: WaitOptions): Promise<Timed<L>>
  /** Resolves when the process has ended and all its lines are read. Throws when time is over. */
  ended(deadlineMs?: number): Promise<Exit>
  /** The end of what it wrote to stderr. */
  stderr(): string
  kill(signal: NodeJS.Signals): void
}

/** Starts processes and ends all that are left. */
export interface Programs {
  start<L>(name: string, args: string[], options?: StartOptions): Program<L>
  stopAll(): Promise<void>
  /** Without waiting: for the last moment of this process. */
  killAll(): void
}

/** @param signal ends all waits. */
export function createPrograms(signal: AbortSignal): Programs {
  const running = new Map<() => Promise<unknown>, (signal: NodeJS.Signals) => void>()

  function start<L>(name: string, args: string[], { command = process.execPath, silent = false }: StartOptions = {}): Program<L> {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '' } })
    const lines: Timed<L>[] = []
    const watchers = new Set<() => void>()
    const wake = () => watchers.forEach((watcher) => watcher())
    let stderr = ''
    let exit: Exit | undefined
    let fault: DemoError | undefined
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-2_000)))
    if (silent) child.stdout.resume()
    else
      createInterface({ input: child.stdout }).on('line', (text) => {
        try {
          lines.push({ at: performance.now(), line: JSON.parse(text) as L })
        } catch {
          fault ??= new DemoError(`${name} printed a line that is not JSON: ${text.slice(0, 200)}`)
        }
        wake()
      })
    child.on('error', (error) => (stderr += error.message))
    const closed = new Promise<void>((resolve) =>
      child.once('close', (code, by) => {
        exit = { code, signal: by, at: performance.now() }
        running.delete(waitClosed)
        wake()
        resolve()
      })
    )
    const waitClosed = () => closed
    const kill = (by: NodeJS.Signals) => void child.kill(by)
    running.set(waitClosed, kill)

    /** Looks again after every line and at the end, until `look` finds something. */
    function until<T>(look: () => T | undefined, what: string, deadlineMs = DEADLINE_MS): Promise<T> {
      return new Promise((resolve, reject) => {
        const settle = (act: () => void) => {
          clearTimeout(timer)
          watchers.delete(attempt)
          signal.removeEventListener('abort', onAbort)
          act()
        }
        const attempt = () => {
          try {
            if (fault !== undefined) throw fault
            const found = look()
            if (found !== undefined) settle(() => resolve(found))
          } catch (error) {
            settle(() => reject(error instanceof Error ? error : new DemoError(String(error))))
          }
        }
        const onAbort = () => settle(() => reject(signal.reason as Error))
        const timer = setTimeout(
          () => settle(() => reject(new DemoError(`${name}: no ${what} within ${deadlineMs} ms`))),
          deadlineMs
        )
        watchers.add(attempt)
        signal.addEventListener('abort', onAbort)
        if (signal.aborted) onAbort()
        else attempt()
      })
    }

    return {
      pid: child.pid ?? -1,
      lines,
      kill,
      waitFor: (test: (line: L) => boolean, what: string, { from = 0, deadlineMs }: WaitOptions = {}) => {
        let next = from
        return until(
          () => {
            for (; next < lines.length; next++) if (test(lines[next]!.line)) return lines[next]
            if (exit !== undefined)
              throw new DemoError(`${name} ended before ${what}: ${stderr.trim() || `exit code ${exit.code}`}`)
            return undefined
          },
          what,
          deadlineMs
        )
      },
      stderr: () => stderr.trim(),
      ended: (deadlineMs?: number) => until(() => exit, 'end', deadlineMs)
    } as Program<L>
  }

  return {
    start,
    killAll: () => running.forEach((kill) => kill('SIGKILL')),
    async stopAll() {
      const left = [...running]
      for (const [, kill] of left) kill('SIGTERM')
      const timer = setTimeout(() => left.forEach(([, kill]) => kill('SIGKILL')), STOP_GRACE_MS)
      await Promise.all(left.map(([closed]) => closed()))
      clearTimeout(timer)
    }
  }
}

/** True while a process with this id exists. */
export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Waits until a process that is not a child of this one is gone, which nothing tells but a look. Returns when that was seen. */
export async function gone(pid: number, what: string): Promise<number> {
  const until = performance.now() + DEADLINE_MS
  while (isRunning(pid)) {
    check(performance.now() < until, `${what} (process ${pid}) still runs after ${DEADLINE_MS} ms`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return performance.now()
}
