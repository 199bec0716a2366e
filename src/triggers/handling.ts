/** Runs the capabilities of this node that handle events: how many at once, how long, and what is told of how it went. */
import type { JsonValue } from '../../protocols/json.ts'
import { eventFields } from '../../protocols/trigger/event-fields.ts'
import type { MeshEvent } from '../../protocols/trigger/messages.ts'
import { Cancellation } from '../core/cancellation.ts'
import { failureOf } from '../core/triggers/failure.ts'
import type { InboxEvent } from '../core/triggers/inbox.ts'
import type { FailedAnswer } from '../core/triggers/outbox-contract.ts'
import type { Ordered } from '../core/triggers/subject-order.ts'
import { untilAborted } from '../core/until-aborted.ts'
import { MeshError, isMeshError, toMeshError } from '../errors.ts'
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
  /** It was accepted before this node started. */
  isRestored?: boolean
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
  /** Its payload. @throws MeshError. */
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

  async function run(lane: Lane, ordered: Ordered<ArrivedEvent>): Promise<void> {
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
      const waits = [authorize(item, signal), arrived(item)].filter((one) => one !== undefined)
      if (waits.length > 0) await aside(lane, item.handler, Promise.all(waits), signal)
      within(handleWithinMs)
      await untilAborted(handle(ordered, signal, within), signal)
    } catch (error) {
      outcome = failure(cancellation.reason ?? error)
    } finally {
      clearTimeout(timer)
      cancellations.delete(cancellation)
    }
    finish(item, outcome)
  }

  async function handle(
    { item, missing, late }: Ordered<ArrivedEvent>,
    signal: AbortSignal,
    within: EventContext['within']
  ): Promise<void> {
    const run = functionOf(item.handler)
    if (run === undefined) throw new MeshError('unavailable', `"${item.handler}" handles no events any more`)
    const { value, release } = await load(item, signal)
    try {
      const context: EventContext = { signal, causes: item.causes, depth: item.event.hopDepth, within }
      await run(viewOf(item, value, missing, late), context)
    } finally {
      release()
    }
  }

  /** Waits without a slot: others are handled meanwhile. Then it has one again, also if the wait fails. */
  async function aside(lane: Lane, handler: string, wait: Promise<unknown>, signal: AbortSignal): Promise<void> {
    lane.aside++
    release(lane)
    ready(handler)
    try {
      await untilAborted(wait, signal)
    } finally {
      lane.aside--
      if (lane.running < HANDLER_SLOTS) lane.running++
      // `release` has counted it.
      else await new Promise<void>((resolve) => lane.back.push(resolve))
    }
  }

  function release(lane: Lane): void {
    const next = lane.back.shift()
    if (next === undefined) lane.running--
    else next()
  }

  function leave(handler: string, lane: Lane): void {
    release(lane)
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
      const left = (): void => leave(handler, lane)
      void run(lane, next).then(left, left)
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
