import { peerIdFromString } from '@libp2p/peer-id'
import type { Libp2p } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Outcome } from '../core/routing/neighbour-trust.ts'
import { namePeerIds, nameWithId, shortId } from '../../protocols/short-id.ts'
import { MeshError, toMeshError } from '../errors.ts'
import type { Circuit, Circuits } from './circuits.ts'
import type { Session } from './session.ts'
import { parseIpMultiaddr, withPeerId } from './ip-multiaddr.ts'

/** A dial that a call waits for takes at most this long, in ms. */
export const DIAL_WITHIN_MS = 2_000
/** A circuit is opened beside a dial that has not come to anything after this time, in ms. */
export const CIRCUIT_AFTER_MS = 250
/** Waits of a peer that could not be dialled, in ms: before that calls do not try it; the last one again and again. */
export const DIAL_PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000] as const
/** Peers that are remembered so; past it the one that failed longest ago is tried anew. */
export const MAX_PAUSES = 1_024
/** Where a way has just gone, or does not hold what it says, another may come within this time, in ms. */
export const WAY_WITHIN_MS = 2_000
/** Circuits from which nothing came back, after which no other is tried: after the first one, another neighbour is asked if there is one. */
export const MAX_SILENT = 2
/** Tables that do not fit together do so within moments: a circuit that was refused is tried again after this time, in ms, and later after more. */
export const TRY_AGAIN_MS = [20, 40, 80, 100] as const
/** A circuit on which nothing runs for this long is closed, in ms. */
export const IDLE_CIRCUIT_MS = 60_000
/** While something runs on circuits, each is asked this often whether it is still one, in ms. */
export const CHECK_EVERY_MS = 1_000
/** It has so long to answer, in ms. */
export const ANSWER_WITHIN_MS = 1_500
/** So many in a row without any sign of life, and the circuit is given up. */
export const MAX_MISSED = 3

/** What will not be otherwise in a moment. */
const LASTING: readonly string[] = ['permission_denied', 'unsupported', 'expired']

/** Brings about connections that calls need. */
export interface Reach {
  /** Resolves when there is one: direct, or a circuit. @throws MeshError `unavailable`, with `details.notStarted`. */
  connect(node: string): Promise<void>
  /** Who is on the way of the circuit to a node, that node last; undefined if there is none. */
  pathTo(node: string): readonly string[] | undefined
  /** The node has said hello over its circuit. */
  greeted(node: string): void
  /** It does not: nobody can say whether anything arrives there. The circuit is over. */
  ungreeted(node: string): void
  /** Nodes are reached anew at once: something is known of them that was not. */
  forgive(node: string): void
  stop(): void
}

/** What runs on a circuit. */
export interface CircuitUse {
  /** The session over the circuit to a node, once there is one. */
  overCircuit(node: string): Pick<Session, 'active' | 'lastHeardAt' | 'ping'> | undefined
}

/** What it needs. */
export interface ReachComponents extends CircuitUse {
  libp2p: Pick<Libp2p, 'dial'>
  circuits: Pick<Circuits, 'open'>
  /** Addresses that a node announces. */
  addressesOf(node: string): string[]
  nameOf(node: string): string
  isNeighbour(node: string): boolean
  /** There is a way over others. */
  hasWay(node: string): boolean
  waitForWay(node: string, ms: number): Promise<void>
  /** What came of a circuit that a neighbour was given, once for each: `ok` if the node at its end has answered. */
  came(neighbour: string, node: string, outcome: Outcome): void
  now: () => number
}

interface OpenCircuit extends Circuit {
  usedAt: number
  checking: boolean
  /** When the node at its end said hello, monotonic ms; undefined: it has not. */
  helloAt: number | undefined
  /** It has answered since. */
  isCarried: boolean
}

/** See {@link Reach}. */
export function createReach(components: ReachComponents): Reach {
  const { libp2p, circuits, addressesOf, nameOf, isNeighbour, hasWay, waitForWay, overCircuit, came, now } = components
  const pending = new Map<string, Promise<void>>()
  const pauses = new Map<string, { failures: number; until: number }>()
  const open = new Map<string, OpenCircuit>()
  const stop = new AbortController()
  let timer: ReturnType<typeof setInterval> | undefined

  // ---- dialling ------------------------------------------------------------------------------
  async function dial(node: string): Promise<void> {
    // What an announcement calls an address may be anything: only plain ones of that node are dialled.
    const addresses = addressesOf(node).flatMap((address) =>
      parseIpMultiaddr(address) === undefined ? [] : (withPeerId(address, node) ?? [])
    )
    const target = addresses.length > 0 ? addresses.map((address) => multiaddr(address)) : peerIdFromString(node)
    try {
      await libp2p.dial(target, { signal: AbortSignal.any([stop.signal, AbortSignal.timeout(DIAL_WITHIN_MS)]) })
      pauses.delete(node)
    } catch (error) {
      const failures = (pauses.get(node)?.failures ?? 0) + 1
      pauses.delete(node)
      if (pauses.size >= MAX_PAUSES) pauses.delete(pauses.keys().next().value!)
      pauses.set(node, { failures, until: now() + DIAL_PAUSES_MS[Math.min(failures, DIAL_PAUSES_MS.length) - 1]! })
      // What libp2p says of it speaks of dial requests.
      if ((error as Error).name === 'NoValidAddressesError')
        throw new MeshError('unavailable', 'it announces no address that can be dialled from here', {}, { cause: error })
      throw error
    }
  }

  // ---- circuits ------------------------------------------------------------------------------
  async function openCircuit(node: string): Promise<void> {
    const endsAt = now() + WAY_WITHIN_MS
    let silent = 0
    for (let tries = 0; ; tries++) {
      await waitForWay(node, Math.max(0, endsAt - now()))
      if (isNeighbour(node)) return
      const triedAt = now()
      try {
        return keep(node, await circuits.open(node, stop.signal))
      } catch (error) {
        if (stop.signal.aborted) throw error
        const { details } = toMeshError(error)
        const reason = String(details['reason'])
        // Also of a neighbour that was found to be gone while it was waited for.
        const wasLong = reason === 'silent' || reason === 'swallowed' || now() - triedAt > WAY_WITHIN_MS / 2
        const mayGoOn = wasLong ? ++silent < MAX_SILENT : !LASTING.includes(reason) && now() < endsAt
        judge(node, details, !mayGoOn)
        if (!mayGoOn) throw error
        await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS[Math.min(tries, TRY_AGAIN_MS.length - 1)]))
      }
    }
  }

  /** What is refused now and works in a moment is not held against anybody. What somebody further on has found to be silent, he goes round himself. */
  function judge(node: string, { via, reason, reported }: MeshError['details'], isLast: boolean): void {
    if (typeof via !== 'string') return
    if (reason === 'silent') came(via, node, reported === true ? 'failed' : 'silent')
    else if (isLast || reason === 'swallowed') came(via, node, 'useless')
  }

  /** @throws MeshError `unavailable` if it has ended already. */
  function keep(node: string, circuit: Circuit): void {
    if (circuit.connection.status !== 'open') throw new MeshError('unavailable', 'the circuit ended at once')
    const kept = Object.assign(circuit, { usedAt: now(), checking: false, helloAt: undefined, isCarried: false })
    const before = open.get(node)
    if (before !== undefined) end(before)
    open.set(node, kept)
    circuit.connection.addEventListener('close', () => {
      if (open.get(node) === kept) open.delete(node)
      if (open.size === 0) clearInterval(timer)
    })
    if (open.size > 1) return
    clearInterval(timer)
    timer = setInterval(check, CHECK_EVERY_MS)
    ;(timer as { unref?: () => void }).unref?.()
  }

  function check(): void {
    for (const [node, circuit] of open) {
      const session = overCircuit(node)
      circuit.usedAt = Math.max(circuit.usedAt, session?.lastHeardAt ?? 0)
      noteAnswer(node, circuit, session?.lastHeardAt)
      if (session !== undefined && session.active > 0) {
        circuit.usedAt = now()
        if (!circuit.checking) void watch(node, circuit, session)
      } else if (now() - circuit.usedAt > IDLE_CIRCUIT_MS) end(circuit)
    }
  }

  /** Whoever passes a greeting on may swallow what comes after it. */
  function noteAnswer(node: string, circuit: OpenCircuit, lastHeardAt = 0): void {
    if (circuit.isCarried || circuit.helloAt === undefined || lastHeardAt <= circuit.helloAt) return
    circuit.isCarried = true
    came(circuit.neighbour, node, 'ok')
  }

  /** A node on the way that passes nothing on any more says nothing either. Whatever comes is a sign of life: a pong may be far behind it. */
  async function watch(node: string, circuit: OpenCircuit, session: NonNullable<ReturnType<typeof overCircuit>>): Promise<void> {
    circuit.checking = true
    for (let missed = 0; missed < MAX_MISSED && circuit.connection.status === 'open'; missed++) {
      const heardAt = session.lastHeardAt
      let late: ReturnType<typeof setTimeout> | undefined
      const silence = new Promise<void>((resolve) => (late = setTimeout(resolve, ANSWER_WITHIN_MS)))
      const pong = session.ping().then(
        () => true,
        () => true
      )
      const answered = await Promise.race([pong, silence])
      clearTimeout(late)
      if (answered !== true && session.lastHeardAt === heardAt) continue
      circuit.checking = false
      return
    }
    if (open.get(node) !== circuit) return
    came(circuit.neighbour, node, 'silent')
    circuit.connection.abort(new MeshError('unavailable', `no answer over the circuit to ${MAX_MISSED} pings`))
  }

  // ---- both ----------------------------------------------------------------------------------
  /** Direct first; a circuit beside it if that takes long; whichever is there first. */
  async function connect(node: string): Promise<void> {
    const mayDial = (pauses.get(node)?.until ?? -Infinity) <= now()
    const dialled = mayDial ? dial(node) : Promise.reject(new MeshError('unavailable', 'it could not be dialled a moment ago'))
    dialled.catch(() => undefined)
    let timeout: ReturnType<typeof setTimeout> | undefined
    const slow = new Promise<void>((resolve) => (timeout = setTimeout(resolve, CIRCUIT_AFTER_MS)))
    const first = await Promise.race([
      dialled.then(
        () => 'direct',
        () => 'failed'
      ),
      slow.then(() => 'slow')
    ])
    clearTimeout(timeout)
    if (first === 'direct') return
    // Where nothing is known of a way, the dial is all there is.
    const circuit = first === 'failed' || hasWay(node) ? openCircuit(node) : undefined
    try {
      await Promise.any(circuit === undefined ? [dialled] : [dialled, circuit])
    } catch (error) {
      const [byDial, byCircuit] = (error as AggregateError).errors as unknown[]
      const why = [byDial, byCircuit].flatMap((one) => (one === undefined ? [] : [toMeshError(one).message])).join('; ')
      // Whoever needs the whole PeerId finds it in the details.
      const who = nameWithId(node, nameOf(node))
      const named = namePeerIds(why, (one) => (nameOf(one) === one ? shortId(one) : nameOf(one)))
      throw new MeshError('unavailable', `cannot reach ${who}: ${named}`, { peer: node, notStarted: true }, { cause: error })
    }
  }

  return {
    async connect(node) {
      // Its other end may not have proved who it is yet: whoever opens a stream waits for that.
      const kept = open.get(node)
      if (kept?.connection.status === 'open') {
        kept.usedAt = now()
        return
      }
      const running = pending.get(node) ?? connect(node).finally(() => pending.delete(node))
      pending.set(node, running)
      await running
    },
    pathTo: (node) => open.get(node)?.path,
    greeted(node) {
      const circuit = open.get(node)
      if (circuit !== undefined) circuit.helloAt ??= now()
    },
    ungreeted(node) {
      const circuit = open.get(node)
      if (circuit === undefined || circuit.helloAt !== undefined) return
      open.delete(node)
      came(circuit.neighbour, node, 'useless')
      circuit.connection.abort(new MeshError('unavailable', 'the node at its end does not answer'))
    },
    forgive: (node) => void pauses.delete(node),
    stop() {
      stop.abort(new MeshError('unavailable', 'this node is stopping'))
      clearInterval(timer)
      for (const circuit of open.values()) end(circuit)
    }
  }
}

/** One that cannot be closed, since nobody takes what is still to be sent, is cut. */
function end({ connection }: Circuit): void {
  connection.close().catch((error: unknown) => connection.abort(toMeshError(error)))
}
