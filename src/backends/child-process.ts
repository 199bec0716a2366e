/**
 * The one place that starts programs. Each runs without a shell, in a process group of its own, so that what it started
 * goes with it, and ends when this process does, however that ends. POSIX; on Windows only the program itself can be ended.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { MeshError } from '../errors.ts'
import { createOrphanGuard, type OrphanGuard } from './child-process-guard.ts'

/** Time between SIGTERM and SIGKILL, in ms. */
export const KILL_GRACE_MS = 2_000
/** Newest bytes of stderr that are kept. */
export const MAX_STDERR_BYTES = 8 * 1024
/** Time that silent output may stay open after the program ended, in ms: a daemon it left behind can hold the pipe. */
export const OUTPUT_GRACE_MS = 1_000

/** Variables of this process that programs inherit. All others, tokens and keys among them, they do not see. */
export const INHERITED_ENV = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TMPDIR', 'TZ'] as const

/** What to start. */
export interface ProgramSpec {
  program: string
  args: readonly string[]
  /** The whole environment; see {@link programEnv}. */
  env: Record<string, string>
  cwd?: string
  /** False: standard input is empty. */
  stdin: boolean
  /** True: it may write to file descriptor 3 as well. */
  secondOutput?: boolean
}

/** How a program ended: one of the two is set. */
export interface Exit {
  exitCode: number | null
  signal: NodeJS.Signals | null
}

/** A program that runs. */
export interface Program {
  readonly pid: number
  /** Null if {@link ProgramSpec.stdin} is false. */
  readonly stdin: Writable | null
  readonly stdout: Readable
  /** Null unless {@link ProgramSpec.secondOutput} is true. */
  readonly secondOutput: Readable | null
  /** Resolves when the program ended and its stderr is read; never rejects. */
  readonly exited: Promise<Exit>
  /** The last {@link MAX_STDERR_BYTES} of stderr, as text. */
  stderr(): string
  /** Ends the group: SIGTERM, after {@link KILL_GRACE_MS} SIGKILL. Resolves when the program ended. */
  kill(): Promise<void>
}

/** Programs of one backend. */
export interface ProgramGroup {
  /** Resolves once the program runs. Throws `unavailable` if it cannot be started, `too_large` for too many arguments. */
  start(spec: ProgramSpec): Promise<Program>
  /** How many run now. */
  readonly running: number
  /** Ends all; resolves when they ended. */
  killAll(): Promise<void>
}

/** The environment of a program: the safe part of ours, and what the configuration adds. */
export function programEnv(extra: Record<string, string> = {}): Record<string, string> {
  const env: Record<string, string> = {}
  for (const name of INHERITED_ENV) {
    const value = process.env[name]
    if (value !== undefined) env[name] = value
  }
  return { ...env, ...extra }
}

/** Makes an empty group. */
export function createProgramGroup(): ProgramGroup {
  const running = new Set<Program>()
  const guard = createOrphanGuard()
  // Groups of their own survive us; if this process ends without a stop they must not.
  const killOnExit = (): void => {
    for (const program of running) signalGroup(program.pid, 'SIGKILL')
  }

  return {
    get running() {
      return running.size
    },
    async start(spec) {
      const program = await startProgram(spec, guard)
      if (running.size === 0) process.on('exit', killOnExit)
      running.add(program)
      void program.exited.then(() => {
        running.delete(program)
        if (running.size === 0) process.off('exit', killOnExit)
      })
      return program
    },
    async killAll() {
      await Promise.all([...running].map((program) => program.kill()))
    }
  }
}

async function startProgram(spec: ProgramSpec, guard: OrphanGuard): Promise<Program> {
  const child = spawnProgram(spec)
  const { pid, stdout } = child
  if (pid !== undefined) guard.add(pid)
  const secondOutput = (child.stdio[3] ?? null) as Readable | null
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (exitCode, signal) => {
      // What the program started ends with it. The id cannot have been reused: its process was collected just now.
      if (pid !== undefined) {
        signalGroup(pid, 'SIGKILL')
        guard.remove(pid)
      }
      endSilentOutput(stdout)
      endSilentOutput(child.stderr)
      if (secondOutput !== null) endSilentOutput(secondOutput)
      // Its last words may still be in the pipe.
      if (child.stderr.closed) resolve({ exitCode, signal })
      else child.stderr.once('close', () => resolve({ exitCode, signal }))
    })
  })
  const stderr = keepTail(child.stderr)
  // The program may close its input early; that is its right, and its exit code tells the rest.
  child.stdin?.on('error', () => {})

  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error) => reject(startError(spec, error)))
  })
  child.on('error', () => {})
  if (pid === undefined) throw startError(spec, new Error('no process id'))

  let killing: Promise<void> | undefined
  return {
    pid,
    stdin: child.stdin,
    stdout,
    secondOutput,
    exited,
    stderr,
    kill() {
      killing ??= (async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        signalGroup(pid, 'SIGTERM')
        // Nobody reads any more: without this a program that is blocked on a full pipe would sit out its grace.
        stdout.destroy()
        secondOutput?.destroy()
        const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), KILL_GRACE_MS)
        await exited
        clearTimeout(timer)
      })()
      return killing
    }
  }
}

function spawnProgram(spec: ProgramSpec): ChildProcessByStdio<Writable | null, Readable, Readable> {
  try {
    return spawn(spec.program, spec.args, {
      shell: false,
      detached: process.platform !== 'win32',
      windowsHide: true,
      env: spec.env,
      cwd: spec.cwd,
      stdio: [spec.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe', ...(spec.secondOutput === true ? (['pipe'] as const) : [])]
    }) as ChildProcessByStdio<Writable | null, Readable, Readable>
  } catch (error) {
    throw startError(spec, error)
  }
}

function startError(spec: ProgramSpec, error: unknown): MeshError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'E2BIG')
    return new MeshError('too_large', `the arguments for "${spec.program}" are too long; send the data through stdin`)
  const why =
    code === 'ENOENT'
      ? 'not found; install it, or correct the path'
      : code === 'EACCES'
        ? 'not executable; check its permissions'
        : code
  return new MeshError('unavailable', `cannot start "${spec.program}": ${why || String(error)}`, { code }, { cause: error })
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal)
  } catch {
    // Gone already.
  }
}

function keepTail(stream: Readable): () => string {
  let tail: Buffer = Buffer.alloc(0)
  stream.on('data', (chunk: Buffer) => {
    tail = Buffer.concat([tail, chunk])
    if (tail.length > MAX_STDERR_BYTES) tail = Buffer.from(tail.subarray(-MAX_STDERR_BYTES))
  })
  stream.on('error', () => {})
  return () => tail.toString('utf8').trim()
}

function endSilentOutput(stdout: Readable & { bytesRead?: number }): void {
  let seen = stdout.bytesRead
  const timer = setInterval(() => {
    // A slow reader is not a silent pipe: its bytes wait in our buffer.
    if (stdout.readableLength > 0 || stdout.bytesRead !== seen) seen = stdout.bytesRead
    else stdout.destroy()
  }, OUTPUT_GRACE_MS)
  if (stdout.closed) clearInterval(timer)
  else stdout.once('close', () => clearInterval(timer))
}
