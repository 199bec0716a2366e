/** Events of the outbox as records of its log: as little of each as it can be made of again. */
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { MAX_EVENT_AGE_MS, decodeEvent } from '../../protocols/trigger/messages.ts'
import type { DeadLetter } from '../core/triggers/dead-letters.ts'
import { firingKey } from '../core/triggers/event-subject.ts'
import { bytesOfText, textOfBytes } from './event-text.ts'
import type { RaisedEvent } from './raise.ts'

/** Record of an event that is in. What its bytes say is not said again, nor what most events have. @param at ms since 1970. */
export function appendOf({ encoded, event, fanOut, expiresMs, route, causes, key }: RaisedEvent, at: number): JsonObject {
  return {
    k: 'append',
    at,
    event: {
      encoded: textOfBytes(encoded),
      event,
      ...(fanOut !== 1 && { fanOut }),
      ...(expiresMs !== MAX_EVENT_AGE_MS && { expiresMs }),
      ...(route.sink !== undefined && { sink: route.sink }),
      ...(causes.length > 0 && { causes: [...causes] }),
      ...(key !== undefined && { key })
    }
  }
}

/** Record of a dead letter. */
export function deadOf({ event, reason, code, message, handled }: DeadLetter<RaisedEvent>): JsonObject {
  return {
    k: 'dead',
    id: event.id,
    reason,
    handled: [...handled],
    ...(code !== undefined && { code }),
    ...(message !== undefined && { message })
  }
}

/**
 * The event of {@link appendOf}, also of logs of before, which say all of it. Undefined: another node or mesh has raised it.
 * @throws what is wrong with it: the file is this node's own, but a disk may be damaged.
 */
export function eventOf(kept: JsonObject, self: string, mesh: string): RaisedEvent | undefined {
  const encoded = bytesOfText(textOf(kept['encoded']))
  const { id, priority, intent, source, subject, sequence, routeHint: hint, dataRef } = decodeEvent(encoded)
  if (source.node !== self || source.mesh !== mesh) return undefined
  const { fanOut = 1, expiresMs = MAX_EVENT_AGE_MS, sink = mapOf(kept['route'] ?? {})['sink'], causes = [], key } = kept
  if ((fanOut !== 'all' && !Number.isInteger(fanOut)) || !Number.isFinite(expiresMs)) throw new Error('no event')
  const { node, capability } = source
  return {
    id,
    priority,
    bytes: encoded.length + (dataRef?.size ?? 0),
    of: firingKey(capability, '', subject),
    sequence,
    fanOut: fanOut as RaisedEvent['fanOut'],
    expiresMs: expiresMs as number,
    encoded,
    route: { hint, sink: sink === undefined ? undefined : textOf(sink), node, capability, subject, text: intent },
    capability,
    event: textOf(kept['event']),
    subject,
    intent,
    causes: textsOf(causes),
    ...(dataRef !== undefined && { dataRef }),
    ...(key !== undefined && { key: textOf(key) })
  }
}

/** @throws if it is none. */
export function textOf(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw new Error('no text')
  return value
}

/** @throws if it is none. */
export function textsOf(value: JsonValue | undefined): string[] {
  if (!Array.isArray(value)) throw new Error('no list')
  return value.map(textOf)
}

/** @throws if it is none. */
export function mapOf(value: JsonValue | undefined): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('no map')
  return value
}

/** ms since 1970. @throws if it is none. */
export function timeOf(value: JsonValue | undefined): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Error('no time')
  return value
}
