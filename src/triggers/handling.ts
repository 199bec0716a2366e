/** Runs the capabilities of this node that handle events: how many at once, how long, and what is told of how it went. */
import type { MeshEvent } from '../../protocols/trigger/messages.ts'
import { failureOf } from '../core/triggers/failure.ts'
import type { InboxEvent } from '../core/triggers/inbox.ts'
import type { FailedAnswer } from '../core/triggers/outbox-contract.ts'
import type { Ordered } from '../core/triggers/subject-order.ts'
import { MeshError, isMeshError, toMeshError } from '../errors.ts'
import type { EventContext, EventFunction, ReceivedEvent } from '../mesh-api-events.ts'

/** Events that a capability handles at once. */
export const HANDLER_SLOTS = 8
/** A handler has so long for one event, in ms; what hangs then has failed, and may be tried again. */
export const HANDLE_WITHIN_MS = 600_000

/** An event in the inbox. */
export interface ArrivedEvent extends InboxEvent {
  event: MeshEvent
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
}

/** @param components see {@link HandlingComponents}. */
export function createHandling({ functionOf, take, finish, authorize }: HandlingComponents): Handling {
  const running = new Map<string, number>()
  const over = new AbortController()
  let all = 0
  let onIdle: (() => void) | undefined
  let stopping = false

  async function run({ item, missing, late }: Ordered<ArrivedEvent>): Promise<void> {
    const timeout = AbortSignal.timeout(HANDLE_WITHIN_MS)
    const signal = AbortSignal.any([over.signal, timeout])
    let outcome: 'done' | FailedAnswer = 'done'
    try {
      const handle = functionOf(item.handler)
      if (handle === undefined) throw new MeshError('unavailable', `"${item.handler}" handles no events any more`)
      await authorize(item, signal)
      const context: EventContext = { signal, causes: item.causes, depth: item.event.hopDepth }
      await unlessAborted(Promise.resolve(handle(viewOf(item, missing, late), context)), signal)
    } catch (error) {
      outcome = failure(timeout.aborted ? new MeshError('deadline_exceeded', 'the handler has taken too long') : error)
    }
    finish(item, outcome)
  }

  function ready(handler: string): void {
    for (let count = running.get(handler) ?? 0; count < HANDLER_SLOTS && !stopping; count++) {
      const next = take(handler)
      if (next === undefined) return
      running.set(handler, count + 1)
      all++
      void run(next).then(() => {
        const left = running.get(handler)! - 1
        if (left === 0) running.delete(handler)
        else running.set(handler, left)
        if (--all === 0) onIdle?.()
        ready(handler)
      })
    }
  }

  return {
    ready,
    async stop(withinMs) {
      stopping = true
      if (all === 0) return
      let timer: ReturnType<typeof setTimeout> | undefined
      const idle = new Promise<void>((resolve) => (onIdle = resolve))
      await Promise.race([idle, new Promise<void>((resolve) => (timer = setTimeout(resolve, withinMs)))])
      clearTimeout(timer)
      over.abort(new MeshError('unavailable', 'the node is stopping'))
    }
  }
}

/** What a handler sees of an event. */
function viewOf({ event, node, causes }: ArrivedEvent, missing: number, late: boolean): ReceivedEvent {
  const { source, id, type, subject, time, priority, intent, hopDepth, coalesced, data } = event
  return {
    id,
    node,
    capability: source.capability,
    type,
    ...(subject !== undefined && { subject }),
    ...(time !== undefined && { time }),
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

/** A handler that throws something of its own may do better later. */
function failure(error: unknown): FailedAnswer {
  const mesh = toMeshError(error)
  return failureOf(isMeshError(error) ? mesh : new MeshError('tool_failed', mesh.message))
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort!: () => void
  const aborted = new Promise<never>((_, reject) => (onAbort = () => reject(toMeshError(signal.reason))))
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
    work.catch(() => undefined)
  }
}
