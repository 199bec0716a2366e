import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Host, HostProcess, Lab } from '../../../test/fixtures/netns.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const ATMO = join(ROOT, 'dist/src/cli/main.js')
/** Clock ticks a second of /proc/PID/stat: USER_HZ, 100 on Linux. */
const TICKS_PER_SECOND = 100
const START_TIMEOUT_MS = 60_000

/** What the probe of a node prints. */
export interface Probe {
  event: string
  n: number
  heapUsed: number
  rss: number
  resources: Record<string, number>
  /** Handles of native code that it holds. */
  native: number
  /** File with the heap, if asked for. */
  heap?: string
}

/** The first line of `atmo start --json`. */
interface Ready extends Record<string, unknown> {
  event: string
  peerId: string
  mesh: { id: string; name: string }
  multiaddrs: string[]
  api: string
  pid: number
}

/** A node that runs as `atmo start`, with somebody on its host who can ask its API. */
export interface ProvedNode {
  ready: Ready
  token: string
  /** `data` is its data directory. */
  data: string
  local: Agent
  /** A request to its API. */
  api<T>(path: string, body?: unknown): Promise<T>
  /** CPU seconds, user and system. */
  cpuS(): number
  /** What the process holds. It stands still meanwhile. @param heap also write the heap to a file. */
  probe(heap?: boolean): Promise<Probe>
  /** Open files and sockets. */
  files(): number
}

/** A process of process.ts. */
export interface Agent {
  ask<T>(verb: string, options?: object, timeoutMs?: number): Promise<T>
}

/** Runs `atmo` to its end on a host. @returns what it printed. */
export function atmo(lab: Lab, host: Host, ...args: string[]): string {
  return lab.exec(host, [process.execPath, ATMO, ...args])
}

/** Starts `atmo start` on a host, and an agent beside it. */
export async function startNode(lab: Lab, host: Host, data: string, args: string[]): Promise<ProvedNode> {
  const probe = join(ROOT, 'scripts/prove/stranger/probe.mjs')
  const argv = [process.execPath, '--expose-gc', '--import', probe, ATMO, 'start', '--json', '--data-dir', data, ...args]
  const node: HostProcess<Ready | Probe> = lab.spawn(host, argv, { ATMO_PROBE_DIR: data })
  const ready = (await node.waitFor(({ event }) => event === 'ready', START_TIMEOUT_MS, 'ready')) as Ready
  const local = await startAgent(lab, host)
  const token = readFileSync(join(data, 'api-token'), 'utf8').trim()
  let probes = 0
  return {
    ready,
    token,
    data,
    local,
    api: (path, body) =>
      local.ask('http', { url: `${ready.api}${path}`, token, ...(body !== undefined && { method: 'POST', body }) }),
    cpuS() {
      // After the name of the program, which may hold blanks: utime and stime are fields 14 and 15 (proc(5)).
      const fields = readFileSync(`/proc/${ready.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
      return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
    },
    async probe(heap = false) {
      const n = ++probes
      if (heap) writeFileSync(join(data, 'probe-heap'), '')
      process.kill(ready.pid, 'SIGUSR2')
      return (await node.waitFor((event) => event.event === 'probe' && event['n'] === n, 120_000, 'the probe')) as Probe
    },
    files: () =>
      lab
        .exec(host, ['ls', `/proc/${ready.pid}/fd`])
        .trim()
        .split('\n').length
  }
}

/** Starts process.ts on a host. */
export async function startAgent(lab: Lab, host: Host): Promise<Agent> {
  interface Line extends Record<string, unknown> {
    event: string
    n?: number
    value?: unknown
    error?: string
  }
  const file = join(ROOT, 'scripts/prove/stranger/process.ts')
  const agent = lab.spawn<Line>(host, [process.execPath, '--import', 'tsx', file])
  await agent.waitFor(({ event }) => event === 'hello', START_TIMEOUT_MS, 'the agent')
  let count = 0
  return {
    async ask<T>(verb: string, options: object = {}, timeoutMs = 30_000): Promise<T> {
      const n = ++count
      agent.child.stdin!.write(`${JSON.stringify({ ...options, n, do: verb })}\n`)
      const answer = await agent.waitFor((line) => line.event === 'answer' && line.n === n, timeoutMs, verb)
      if (answer.error !== undefined) throw new Error(`${verb}: ${answer.error}`)
      return answer.value as T
    }
  }
}
