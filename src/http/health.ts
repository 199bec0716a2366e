import type { Mesh, MeshStatus } from '../mesh-api.ts'

/** What the process and its disk are like, as of this moment. */
export interface NodeReadings {
  /** How late timers run, in ms, measured while this is answered; and how much of the time since the last reading it was at work, from 0 to 1. */
  eventLoop: { lagMs: number; utilization: number }
  memory: { rssBytes: number; heapUsedBytes: number; heapLimitBytes: number }
  /** Of the data directory; left out if the node has none. */
  disk?: { writable: boolean; freeBytes: number }
}

/** `degraded`: it works, and something is to be seen to. `failing`: it does not do what it is for. */
export type HealthState = 'ok' | 'degraded' | 'failing'

/** A part of a node. */
export interface HealthPart {
  status: HealthState
  /** Why it is not `ok`. */
  reason?: string
}

/** Whether a node is well, part by part. */
export interface HealthView {
  /** That of the worst part. */
  status: HealthState
  parts: {
    membership: HealthPart
    /** `listens`: its addresses. `connections`: with how many nodes, by what they go over. */
    transports: HealthPart & { listens: number; connections: Record<string, number> }
    network: HealthPart & Pick<MeshStatus['network'], 'state'>
    backends: HealthPart & { backends: MeshStatus['backends'] }
    /** `outbox`: events of this node that are not done; `inbox`: events that it has accepted and not done; `deadLetters`: those that nobody did. */
    events: HealthPart & { outbox: number; inbox: number; deadLetters: number }
    calls: HealthPart & MeshStatus['calls']
    eventLoop?: HealthPart & NodeReadings['eventLoop']
    memory?: HealthPart & NodeReadings['memory']
    disk?: HealthPart & NonNullable<NodeReadings['disk']>
  }
}

/** Timers that run so late, in ms, are felt by those who call. */
export const LAG_MS = { degraded: 250, failing: 2_000 } as const
/** Above this part of the limit of the heap, Node spends its time on looking for more. */
export const HEAP = { degraded: 0.9, failing: 0.98 } as const
/** Below this, events and the audit log will soon not be kept, in bytes. */
export const FREE_BYTES = 64 * 1024 * 1024
/** So many events that nobody has accepted are nine tenths of the room that there is. */
export const MANY_EVENTS = 900

const OK: HealthPart = { status: 'ok' }
const degraded = (reason: string): HealthPart => ({ status: 'degraded', reason })
const failing = (reason: string): HealthPart => ({ status: 'failing', reason })

/** See {@link HealthView}. @param readings left out: nothing is said of the process. */
export function healthOf(
  mesh: Pick<Mesh, 'status' | 'peers' | 'waitingEvents' | 'deadLetters'>,
  readings?: NodeReadings
): HealthView {
  const status = mesh.status()
  const parts: HealthView['parts'] = {
    membership: status.mesh.revoked === undefined ? OK : failing(`this node was revoked: ${status.mesh.revoked.reason}`),
    transports: transports(status, mesh),
    network: { ...(status.network.state === 'ok' ? OK : degraded(status.network.message)), state: status.network.state },
    backends: backends(status),
    events: events(status, mesh),
    calls: { ...OK, ...status.calls },
    ...(readings !== undefined && processParts(readings))
  }
  const states = Object.values(parts).map((part) => part.status)
  return { status: (['failing', 'degraded'] as const).find((state) => states.includes(state)) ?? 'ok', parts }
}

function transports({ multiaddrs }: MeshStatus, { peers }: Pick<Mesh, 'peers'>): HealthView['parts']['transports'] {
  const connections: Record<string, number> = {}
  for (const transport of peers().flatMap((peer) => peer.transports)) connections[transport] = (connections[transport] ?? 0) + 1
  const part = multiaddrs.length > 0 ? OK : degraded('it listens on no address: other nodes cannot connect to it')
  return { ...part, listens: multiaddrs.length, connections }
}

function backends({ backends: all }: MeshStatus): HealthView['parts']['backends'] {
  const worse = all.filter(({ state, reason }) => state !== 'online' || reason !== undefined)
  const why = worse.map(({ id, state, reason }) => `${id} is ${state}${reason === undefined ? '' : `: ${reason}`}`)
  return { ...(why.length === 0 ? OK : degraded(why.join('; '))), backends: all }
}

function events(
  { events: { accepted: inbox } }: MeshStatus,
  mesh: Pick<Mesh, 'waitingEvents' | 'deadLetters'>
): HealthView['parts']['events'] {
  const { total: outbox, unaccepted } = mesh.waitingEvents()
  const isMany = unaccepted >= MANY_EVENTS
  const part = isMany ? degraded(`${unaccepted} events wait for a handler: there is room for few more; atmo events says why`) : OK
  return { ...part, outbox, inbox, deadLetters: mesh.deadLetters().length }
}

function processParts({ eventLoop, memory, disk }: NodeReadings): Partial<HealthView['parts']> {
  const used = memory.heapUsedBytes / memory.heapLimitBytes
  return {
    eventLoop: { ...above(eventLoop.lagMs, LAG_MS, `timers run ${Math.round(eventLoop.lagMs)} ms late`), ...eventLoop },
    memory: { ...above(used, HEAP, `${Math.round(used * 100)} % of the heap that Node may have is used`), ...memory },
    ...(disk !== undefined && { disk: { ...diskPart(disk), ...disk } })
  }
}

function above(value: number, limits: { degraded: number; failing: number }, reason: string): HealthPart {
  if (value >= limits.failing) return failing(reason)
  return value >= limits.degraded ? degraded(reason) : OK
}

function diskPart({ writable, freeBytes }: NonNullable<NodeReadings['disk']>): HealthPart {
  if (!writable) return failing('the data directory cannot be written to')
  if (freeBytes === 0) return failing('the disk of the data directory is full')
  return freeBytes < FREE_BYTES ? degraded(`the disk of the data directory has ${freeBytes} bytes left`) : OK
}
