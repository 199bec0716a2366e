/** Runs the capabilities of this node that handle events: how many at once, how long, and what is told of how it went. */
import type { JsonValue } from '../../protocols/json.ts'
import { eventFields } from '../../protocols/trigger/event-fields.ts'
import type { MeshEvent } from '../../protocols/trigger/messages.ts'
import { Cancellation } from '../core/cancellation.ts'
import type { MemberStanding } from '../core/policy.ts'
import { failureOf } from '../core/triggers/failure.ts'
import type { InboxEvent } from '../core/triggers/inbox-contract.ts'
import type { FailedAnswer } from '../core/triggers/outbox-contract.ts'
import type { Ordered } from '../core/triggers/subject-order.ts'
import { untilAborted } from '../core/until-aborted.ts'
import { MeshError, abortError, isMeshError, toMeshError } from '../errors.ts'
import type { EventContext, EventFunction, ReceivedEvent } from '../mesh-api-events.ts'
import type { Loaded } from './payload-arrivals.ts'

/** Events that a capability handles at once. */
export const HANDLER_SLOTS = 8
/** Events of a capability that wait at once for a person to agree, or for their payload; they keep no others from being handled. */
export const MAX_ASIDE = 512
/** A handler has so long for one event, in ms, unless it says otherwise; what hangs then has failed, and may be tried again. */
export const HANDLE_WITHIN_MS = 600_000

/** The longest time of a timer, in ms; who asks for more has no end. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** An event in the inbox. */
export interface ArrivedEvent extends InboxEvent {
  event: MeshEvent
  /** As it came. */
  encoded: Uint8Array
  /** What those in `causes` were when it was written down; undefined of those that are no members here, or this node itself. */
  standings?: readonly (MemberStanding | undefined)[]
  /** A person has agreed to it. */
  isAllowed?: boolean
  /** PeerIds: on whose behalf it was raised, its source last. */
  causes: readonly string[]
}

/** See {@link createHandling}. */
export interface Handling {
  /** There may be something for this capability. */
  ready(handler: string): void
  /** Lets what runs finish, for so long; then it is aborted. */
  stop(withinMs: number): Promise<void>
}

/** What it needs. */
export interface HandlingComponents {
  /** What runs for a capability; undefined: it is gone, or handles no events. */
  functionOf(handler: string): EventFunction | undefined
  take(handler: string): Ordered<ArrivedEvent> | undefined
  finish(event: ArrivedEvent, outcome: 'done' | FailedAnswer): void
  /** May throw, or wait for a person to agree. @throws MeshError `permission_denied`. */
  authorize(event: ArrivedEvent, signal: AbortSignal): Promise<void> | undefined
  /** Resolves once the payload that it refers to is here. @throws MeshError. */
  arrived(event: ArrivedEvent): Promise<void> | undefined
  /** Its payload, which may be long in coming. @throws MeshError. */
  load(event: ArrivedEvent, signal: AbortSignal): Promise<Loaded>
  /** Of what is waited for, and of the handler. Default: {@link HANDLE_WITHIN_MS}. */
  withinMs?: number
}

interface Lane {
  running: number
  aside: number
  /** Those that have waited, and now wait for a slot. */
  back: (() => void)[]
}

/** One that is being handled. */
interface Run {
  lane: Lane
  hasSlot: boolean
}

/** @param components see {@link HandlingComponents}. */
export function createHandling(components: HandlingComponents): Handling {
  const { functionOf, take, finish, authorize, arrived, load, withinMs: handleWithinMs = HANDLE_WITHIN_MS } = components
  const lanes = new Map<string, Lane>()
  const cancellations = new Set<Cancellation>()
  let onIdle: (() => void) | undefined
  let stopping = false

  function laneOf(handler: string): Lane {
    let lane = lanes.get(handler)
    if (lane === undefined) lanes.set(handler, (lane = { running: 0, aside: 0, back: [] }))
    return lane
  }

  async function run(turn: Run, ordered: Ordered<ArrivedEvent>): Promise<void> {
    const { item } = ordered
    const cancellation = new Cancellation()
    cancellations.add(cancellation)
    let timer: ReturnType<typeof setTimeout> | undefined
    const within = (ms: number): void => {
      checkTime(ms)
      clearTimeout(timer)
      if (ms > MAX_TIMER_MS || !cancellations.has(cancellation)) return
      timer = setTimeout(() => cancellation.abort(tooLong(ms)), ms)
      timer.unref?.()
    }
    within(handleWithinMs)
    let outcome: 'done' | FailedAnswer = 'done'
    try {
      const { signal } = cancellation
      const loaded = await prepare(turn, item, signal)
      within(handleWithinMs)
      await untilAborted(handle(ordered, loaded, signal, within), signal)
    } catch (error) {
      outcome = failure(cancellation.reason ?? error)
    } finally {
      clearTimeout(timer)
      cancellations.delete(cancellation)
    }
    finish(item, outcome)
  }

  /** All that it waits for, the memory for its payload last: who has that waits for a slot alone, and what has a slot for nothing of this. */
  async function prepare(turn: Run, item: ArrivedEvent, signal: AbortSignal): Promise<Loaded> {
    const waits = [authorize(item, signal), arrived(item)].filter((one) => one !== undefined)
    if (waits.length === 0 && item.event.dataRef === undefined) return load(item, signal)
    const loading = Promise.all(waits).then(() => load(item, signal))
    try {
      return await aside(turn, item.handler, loading, signal)
    } catch (error) {
      loading.then(
        ({ release }) => release(),
        () => undefined
      )
      throw error
    }
  }

  async function handle(
    { item, missing, late }: Ordered<ArrivedEvent>,
    { value, release }: Loaded,
    signal: AbortSignal,
    within: EventContext['within']
  ): Promise<void> {
    try {
      // While it waited for a slot.
      signal.throwIfAborted()
      const run = functionOf(item.handler)
      if (run === undefined) throw new MeshError('unavailable', `"${item.handler}" handles no events any more`)
      const context: EventContext = { signal, causes: item.causes, depth: item.event.hopDepth, within }
      await run(viewOf(item, value, missing, late), context)
    } finally {
      release()
    }
  }

  /** Waits without a slot: others are handled meanwhile. Then it has one again, unless it has failed. */
  async function aside<T>(turn: Run, handler: string, wait: Promise<T>, signal: AbortSignal): Promise<T> {
    const { lane } = turn
    lane.aside++
    turn.hasSlot = false
    release(lane)
    ready(handler)
    try {
      const result = await untilAborted(wait, signal)
      await slot(lane, signal)
      turn.hasSlot = true
      return result
    } finally {
      lane.aside--
    }
  }

  function slot(lane: Lane, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (lane.running < HANDLER_SLOTS) {
        lane.running++
        return resolve()
      }
      // `release` has counted it.
      const given = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = (): void => {
        lane.back.splice(lane.back.indexOf(given), 1)
        reject(abortError(signal))
      }
      signal.addEventListener('abort', onAbort, { once: true })
      lane.back.push(given)
    })
  }

  function release(lane: Lane): void {
    const next = lane.back.shift()
    if (next === undefined) lane.running--
    else next()
  }

  function leave(handler: string, { lane, hasSlot }: Run): void {
    if (hasSlot) release(lane)
    ready(handler)
    if (lane.running + lane.aside > 0) return
    lanes.delete(handler)
    if (lanes.size === 0) onIdle?.()
  }

  function ready(handler: string): void {
    const lane = laneOf(handler)
    while (lane.running < HANDLER_SLOTS && lane.aside < MAX_ASIDE && !stopping) {
      // The slot first: what taking brings about may look for the next one.
      lane.running++
      const next = take(handler)
      if (next === undefined) {
        lane.running--
        break
      }
      const turn: Run = { lane, hasSlot: true }
      const left = (): void => leave(handler, turn)
      void run(turn, next).then(left, left)
    }
    if (lane.running + lane.aside === 0) lanes.delete(handler)
  }

  return {
    ready,
    async stop(withinMs) {
      stopping = true
      if (lanes.size === 0) return
      let timer: ReturnType<typeof setTimeout> | undefined
      const idle = new Promise<void>((resolve) => (onIdle = resolve))
      await Promise.race([idle, new Promise<void>((resolve) => (timer = setTimeout(resolve, withinMs)))])
      clearTimeout(timer)
      for (const cancellation of cancellations) cancellation.abort(new MeshError('unavailable', 'the node is stopping'))
      // What was aborted says so before the ways to its source are closed.
      await Promise.race([idle, new Promise<void>((resolve) => setTimeout(resolve, 0))])
    }
  }
}

/** What a handler sees of an event. */
function viewOf({ event, node, causes }: ArrivedEvent, payload: JsonValue, missing: number, late: boolean): ReceivedEvent {
  const { source, hopDepth, coalesced } = event
  return {
    ...eventFields(event),
    mesh: source.mesh,
    node,
    capability: source.capability,
    payload,
    depth: hopDepth,
    coalesced: coalesced?.count ?? 1,
    missing,
    late,
    causes
  }
}

function checkTime(ms: number): void {
  if (Number.isNaN(ms) || ms < 0)
    throw new MeshError('invalid_argument', `${ms} is no time that a handler may take; give ms from now, or Infinity`)
}

const tooLong = (ms: number): MeshError =>
  new MeshError('deadline_exceeded', `the handler took longer than ${ms / 1_000} s`, { retryable: true })

/** A handler that throws something of its own may do better later. */
function failure(error: unknown): FailedAnswer {
  const mesh = toMeshError(error)
  return failureOf(isMeshError(error) ? mesh : new MeshError('tool_failed', mesh.message))
}
