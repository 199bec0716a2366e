/** Events of a backend between where they arise and the node that reads them. Bounded; what is lost is counted and told. */
import type { JsonObject } from '../core/invoke.ts'
import type { TriggerEvent } from './backend.ts'
import { createDropOldestQueue } from './drop-oldest-queue.ts'

/** Events that wait to be read; beyond it the oldest are lost. */
export const EVENT_QUEUE_LIMIT = 1_000

/** A queue of events of one capability. */
export interface EventQueue {
  /** Adds an event. Never waits. `depth`: see {@link TriggerEvent}. */
  raise(event: string, payload: JsonObject, depth?: number): void
  /** Events as they come, until the signal aborts. The payload of one before which others were lost has their number as `lost`. */
  events(signal: AbortSignal): AsyncGenerator<TriggerEvent, void, void>
}

/** Makes an empty queue for events of `capability`. */
export function createEventQueue(capability: string, init: { limit?: number } = {}): EventQueue {
  const queue = createDropOldestQueue<{ event: string; payload: JsonObject; depth: number | undefined }>({
    limit: init.limit ?? EVENT_QUEUE_LIMIT
  })
  let lost = 0
  return {
    raise(event, payload, depth) {
      if (!queue.push({ event, payload, depth })) lost++
    },
    async *events(signal) {
      for await (const { event, payload, depth } of queue.values(signal)) {
        const told = lost > 0 ? { ...payload, lost } : payload
        lost = 0
        yield { capability, event, payload: told, ...(depth !== undefined && { depth }) }
      }
    }
  }
}
