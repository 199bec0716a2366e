/** Runs the capabilities of this node that handle events: how many at once, how long, and what is told of how it went. */
import type { MeshEvent } from '../../protocols/trigger/messages.ts'
import { Cancellation } from '../core/cancellation.ts'
import { failureOf } from '../core/triggers/failure.ts'
import type { InboxEvent } from '../core/triggers/inbox.ts'
import type { FailedAnswer } from '../core/triggers/outbox-contract.ts'
import type { Ordered } from '../core/triggers/subject-order.ts'
import { untilAborted } from '../core/until-aborted.ts'
import { MeshError, isMeshError, toMeshError } from '../errors.ts'
import type { EventContext, EventFunction, ReceivedEvent } from '../mesh-api-events.ts'

/** Events that a capability handles at once. */
export const HANDLER_SLOTS = 8
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
  /** Default: {@link HANDLE_WITHIN_MS}. */
  withinMs?: number
}

/** @param components see {@link HandlingComponents}. */
export function createHandling(components: HandlingComponents): Handling {
  const { functionOf, take, finish, authorize, withinMs: handleWithinMs = HANDLE_WITHIN_MS } = components
  const running = new Map<string, number>()
  const cancellations = new Set<Cancellation>()
  let onIdle: (() => void) | undefined
  let stopping = false

  async function run({ item, missing, late }: Ordered<ArrivedEvent>): Promise<void> {
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
      const handle = functionOf(item.handler)
      if (handle === undefined) throw new MeshError('unavailable', `"${item.handler}" handles no events any more`)
      await authorize(item, signal)
      const context: EventContext = { signal, causes: item.causes, depth: item.event.hopDepth, within }
      await untilAborted(Promise.resolve(handle(viewOf(item, missing, late), context)), signal)
    } catch (error) {
      outcome = failure(cancellation.reason ?? error)
    } finally {
      clearTimeout(timer)
      cancellations.delete(cancellation)
    }
    finish(item, outcome)
  }

  /** What is taken from elsewhere meanwhile is counted as well. */
  const slotsOf = (handler: string): number => running.get(handler) ?? 0

  function release(handler: string): void {
    const left = slotsOf(handler) - 1
    if (left === 0) running.delete(handler)
    else running.set(handler, left)
    if (running.size === 0) onIdle?.()
  }

  function leave(handler: string): void {
    release(handler)
    ready(handler)
  }

  function ready(handler: string): void {
    while (slotsOf(handler) < HANDLER_SLOTS && !stopping) {
      // The slot first: what taking brings about may look for the next one.
      running.set(handler, slotsOf(handler) + 1)
      const next = take(handler)
      if (next === undefined) return release(handler)
      const left = (): void => leave(handler)
      void run(next).then(left, left)
    }
  }

  return {
    ready,
    async stop(withinMs) {
      stopping = true
      if (running.size === 0) return
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
function viewOf({ event, node, causes }: ArrivedEvent, missing: number, late: boolean): ReceivedEvent {
  const { source, id, type, subject, time, traceparent, priority, intent, hopDepth, coalesced, data } = event
  return {
    id,
    node,
    capability: source.capability,
    type,
    ...(subject !== undefined && { subject }),
    ...(time !== undefined && { time }),
    ...(traceparent !== undefined && { traceparent }),
    priority,
    intent,
    payload: data,
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
