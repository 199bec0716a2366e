/** Nodes as processes on hosts of their own (network namespaces), for the proofs. */
import { fileURLToPath } from 'node:url'
import { createLab, type HostOptions, type HostProcess, type Lab, type LabOptions } from '../../test/fixtures/netns.ts'

/** What a peer process prints. `t` is CLOCK_MONOTONIC in ms, the same for all processes of the machine. */
export interface PeerEvent {
  event: string
  t: number
  seen?: string
  owner?: string
  id?: string
  peerId?: string
  reason?: string
  /** Of a route: the next hop; null: there is none. */
  via?: string | null
  n?: number
  value?: unknown
  error?: string
}

/** One node of a fleet. */
export interface FleetNode {
  readonly name: string
  readonly process: HostProcess<PeerEvent>
  peerId: string
  /** Runs a verb of peer.mjs and returns its answer. */
  ask<T>(verb: string, fields?: object, timeoutMs?: number): Promise<T>
  /** The first event that fits, past or future. */
  saw(fits: (event: PeerEvent) => boolean, timeoutMs: number, what: string): Promise<PeerEvent>
}

/** Hosts and their nodes. */
export interface Fleet {
  lab: Lab
  nodes: FleetNode[]
  /** Starts the process of a host again, as a new node object in the same place. */
  spawn(index: number): FleetNode
  close(): Promise<void>
}

const PEER = fileURLToPath(new URL('./peer.mjs', import.meta.url))

/** Builds the hosts and starts a process on each; no node is started yet. */
export async function createFleet(hosts: HostOptions[], nodeArgs: string[] = [], options?: LabOptions): Promise<Fleet> {
  const lab = createLab(hosts, options)
  const spawn = (index: number): FleetNode =>
    fleetNode(`n${index + 1}`, lab.spawn<PeerEvent>(lab.hosts[index]!, [process.execPath, ...nodeArgs, PEER]))
  const nodes = hosts.map((_, index) => spawn(index))
  try {
    await Promise.all(nodes.map((node) => node.saw(({ event }) => event === 'hello', 60_000, 'hello')))
  } catch (error) {
    await lab.close()
    throw error
  }
  return {
    lab,
    nodes,
    spawn(index) {
      const node = spawn(index)
      nodes[index] = node
      return node
    },
    close: () => lab.close()
  }
}

function fleetNode(name: string, process: HostProcess<PeerEvent>): FleetNode {
  let count = 0
  return {
    name,
    process,
    peerId: '',
    async ask<T>(verb: string, fields: object = {}, timeoutMs = 60_000): Promise<T> {
      const n = ++count
      process.child.stdin!.write(`${JSON.stringify({ ...fields, n, do: verb })}\n`)
      const answer = await process.waitFor((event) => event.event === 'answer' && event.n === n, timeoutMs, `${name} ${verb}`)
      if (answer.error !== undefined) throw new Error(`${name} ${verb}: ${answer.error}`)
      if (verb === 'start') this.peerId = (answer.value as { peerId: string }).peerId
      return answer.value as T
    },
    saw: (fits, timeoutMs, what) => process.waitFor(fits, timeoutMs, `${name}: ${what}`)
  }
}

/** Resolves when every node sees all others. Returns when the last did, in CLOCK_MONOTONIC ms. */
export async function allSeeAll(nodes: FleetNode[], timeoutMs: number): Promise<number> {
  const times = await Promise.all(
    nodes.flatMap((a) =>
      nodes
        .filter((b) => b !== a)
        .map(async (b) => (await a.saw((e) => e.seen === 'peer:join' && e.peerId === b.peerId, timeoutMs, `${b.name} joined`)).t)
    )
  )
  return Math.max(...times)
}

/** CLOCK_MONOTONIC in ms, as the peers print it. */
export const clock = (): number => Number(process.hrtime.bigint()) / 1e6

/** Quantile of samples, nearest rank. */
export function quantile(samples: number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? NaN
}
