/** Processes of the proofs of events: started, killed and started again. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { clock } from '../fleet.ts'

/** What a process says. */
export interface Said {
  event: string
  t: number
  [key: string]: unknown
}

/** A process that says JSON lines. */
export interface LoadProcess {
  /** All of a kind. */
  all(event: string): Said[]
  /** Most memory that it has said it takes, in bytes. */
  readonly peakRss: number
  /** Time of the processor that it has said it took since it was ready, in ms. */
  readonly cpuMs: number
  /** The first that fits, past or future. @throws Error when the time is over, or it ends before. */
  saw(event: string, timeoutMs: number): Promise<Said>
  /** The last of its kind. */
  last(event: string): Said | undefined
  end(signal: NodeJS.Signals): Promise<void>
}

/** @param file plain JavaScript. @param options given to it as JSON. */
export function startProcess(name: string, file: string, options: object, nodeArgs: string[] = []): LoadProcess {
  const child: ChildProcess = spawn(process.execPath, [...nodeArgs, file, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const said: Said[] = []
  const last = new Map<string, Said>()
  let [peakRss, cpuMs, cpuMsAtStart] = [0, 0, 0]
  let stderr = ''
  let check = (): void => undefined
  let hasEnded = false
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-4_000)))
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const one = JSON.parse(line) as Said
    peakRss = Math.max(peakRss, Number(one['rss'] ?? 0))
    cpuMs = Math.max(cpuMs, Number(one['cpuMs'] ?? 0))
    if (one.event === 'ready') cpuMsAtStart = cpuMs
    if (one.event === 'refused') said.push(one)
    last.set(one.event, one)
    if (one.event === 'log' && process.env['ATMO_PROVE_LOG'] !== undefined) process.stderr.write(`${name}: ${line}\n`)
    check()
  })
  const ended = new Promise<void>((resolve) =>
    child.once('close', () => {
      hasEnded = true
      check()
      resolve()
    })
  )
  return {
    all: (event) => said.filter((one) => one.event === event),
    get peakRss() {
      return peakRss
    },
    get cpuMs() {
      return cpuMs - cpuMsAtStart
    },
    last: (event) => last.get(event),
    saw: (event, timeoutMs) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`${name} did not say "${event}" within ${timeoutMs} ms: ${stderr}`)),
          timeoutMs
        )
        const before = check
        check = () => {
          before()
          const found = last.get(event)
          if (found === undefined && !hasEnded) return
          clearTimeout(timer)
          if (found === undefined) reject(new Error(`${name} ended before it said "${event}": ${stderr}`))
          else resolve(found)
        }
        check()
      }),
    async end(signal) {
      child.kill(signal)
      await ended
    }
  }
}

/** How often it is said how far it has come, in ms. */
const PROGRESS_MS = 5_000

/** Processes by their names; those that handle events say `effects` with how many. */
export interface LoadProcesses {
  readonly all: ReadonlyMap<string, LoadProcess>
  /** In the place of one of the same name that has ended. Resolves when it is ready. */
  start(file: string, options: { name: string; [key: string]: unknown }): Promise<LoadProcess>
  /** Events that are handled. */
  handled(): number
  /** Waits until so many are, or until none was for `stuckMs`; says how far it is, and calls `look` with it several times a second. */
  until(events: number, stuckMs: number, look?: (handled: number) => Promise<void>): Promise<number>
  /** Most memory that each took, in bytes. */
  rss(): Record<string, number>
  kill(): Promise<void>
}

/** @param what said with how far it is. @param readyMs a process is ready within this time. */
export function createProcesses(what: string, readyMs: number): LoadProcesses {
  const all = new Map<string, LoadProcess>()
  const counts = new Map<string, number>()
  const rss: Record<string, number> = {}
  function look(): void {
    for (const [name, one] of all) {
      rss[name] = Math.max(rss[name] ?? 0, one.peakRss)
      const count = one.last('effects')?.['count']
      if (count !== undefined) counts.set(name, Number(count))
    }
  }
  function handled(): number {
    look()
    return [...counts.values()].reduce((sum, count) => sum + count, 0)
  }
  return {
    all,
    async start(file, options) {
      look()
      const one = startProcess(options.name, file, options)
      all.set(options.name, one)
      await one.saw('ready', readyMs)
      return one
    },
    handled,
    async until(events, stuckMs, step) {
      let [last, lastAt, saidAt] = [0, clock(), clock()]
      while (last < events && clock() - lastAt < stuckMs) {
        await new Promise((resolve) => setTimeout(resolve, 100))
        const count = handled()
        if (count > last) [last, lastAt] = [count, clock()]
        if (clock() - saidAt >= PROGRESS_MS) {
          process.stderr.write(`${what}: ${count} of ${events} handled\n`)
          saidAt = clock()
        }
        await step?.(count)
      }
      return last
    },
    rss() {
      look()
      return rss
    },
    kill: async () => void (await Promise.all([...all.values()].map((one) => one.end('SIGKILL'))))
  }
}

/** Time of the processor that each has taken for an event of the run, in µs. */
export function cpuUsOf(processes: Iterable<[string, LoadProcess]>, events: number): Record<string, number> {
  return Object.fromEntries([...processes].map(([name, { cpuMs }]) => [name, Math.round((cpuMs * 1_000) / events)]))
}
