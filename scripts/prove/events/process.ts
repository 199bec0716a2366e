/** Processes of the proofs of events: started, killed and started again. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

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

/** Time of the processor that each has taken for an event of the run, in µs. */
export function cpuUsOf(processes: Iterable<[string, LoadProcess]>, events: number): Record<string, number> {
  return Object.fromEntries([...processes].map(([name, { cpuMs }]) => [name, Math.round((cpuMs * 1_000) / events)]))
}
