/** The outbox as records: what is written down of it, and how that is read after a restart. */
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { decodeEvent } from '../../protocols/trigger/messages.ts'
import type { DeadLetter } from '../core/triggers/dead-letters.ts'
import { firingKey } from '../core/triggers/event-subject.ts'
import { FIRED_MS, MAX_FIRED_KEYS, type FiredKey } from '../core/triggers/fired-keys.ts'
import type { Kept, OutboxEffect } from '../core/triggers/outbox-contract.ts'
import type { EventLog } from './event-store.ts'
import type { RaisedEvent } from './raise.ts'

/** See {@link createOutboxLog}. */
export interface OutboxLog {
  readonly kept: Kept<RaisedEvent>[]
  readonly letters: DeadLetter<RaisedEvent>[]
  /** Events that are done, and were fired with a key; oldest first. */
  readonly keys: FiredKey[]
  /** Writes down what the outbox wants kept. @returns undefined if that is nothing; else rejects as {@link EventLog.append}. */
  note(effect: OutboxEffect<RaisedEvent>): Promise<void> | undefined
}

/** What it needs to know. */
export interface OutboxLogInit {
  /** Events of another node or mesh are left out. */
  self: string
  mesh: string
  /** Wall clock, ms since 1970: how long an event has waited, over a restart. */
  clock: () => number
  /** Told of a record that nothing can be made of. */
  onDamaged(): void
}

interface Entry {
  event: RaisedEvent
  at: number
  handlers?: string[]
  handled: string[]
}

interface Done {
  key: string
  id: string
  by: string[]
  at: number
}

/** Keeps a mirror of what is in the log, from which that is written anew. */
export function createOutboxLog(log: EventLog, { self, mesh, clock, onDamaged }: OutboxLogInit): OutboxLog {
  const entries = new Map<string, Entry>()
  const letters = new Map<string, DeadLetter<RaisedEvent> & { at: number }>()
  const keys = new Map<string, Done>()

  function remember({ key, id, by, at }: Done): void {
    keys.delete(key)
    keys.set(key, { key, id, by, at })
    if (keys.size > MAX_FIRED_KEYS) keys.delete(keys.keys().next().value!)
  }

  function apply(record: JsonObject): void {
    const id = textOf(record['id'])
    const entry = entries.get(id)
    switch (textOf(record['k'])) {
      case 'append': {
        const event = eventOf(mapOf(record['event']))
        const { source } = decodeEvent(event.encoded)
        if (event.id !== id || source.node !== self || source.mesh !== mesh) return
        entries.set(id, { event, at: Number(record['at']), handled: [] })
        return
      }
      case 'routed':
        if (entry !== undefined) entry.handlers = textsOf(record['to'])
        return
      case 'handled':
        if (entry !== undefined) entry.handled.push(textOf(record['by']))
        return
      case 'settled':
      case 'key':
        entries.delete(id)
        if (record['key'] !== undefined)
          remember({ key: textOf(record['key']), id, by: textsOf(record['by']), at: Number(record['at']) })
        return
      case 'dead': {
        if (entry === undefined) return
        entries.delete(id)
        const { reason, code, message } = record as { reason: DeadLetter<RaisedEvent>['reason']; code?: string; message?: string }
        letters.set(id, { event: entry.event, at: entry.at, reason, code, message, handled: textsOf(record['handled'] ?? []) })
        return
      }
      case 'erased':
        letters.delete(id)
    }
  }

  for (const record of log.initial)
    try {
      apply(record)
    } catch {
      onDamaged()
    }
  // It was sent anew just before the end.
  for (const id of entries.keys()) letters.delete(id)

  log.onCompact(function* () {
    for (const { event, at, reason, code, message, handled } of letters.values()) {
      yield appendOf(event, at)
      yield deadOf({ event, reason, code, message, handled })
    }
    for (const one of keys.values()) if (one.at + FIRED_MS > clock()) yield { k: 'key', ...one }
    for (const { event, at, handlers, handled } of entries.values()) {
      yield appendOf(event, at)
      if (handlers !== undefined) yield { k: 'routed', id: event.id, to: handlers }
      for (const by of handled) yield { k: 'handled', id: event.id, by }
    }
  })

  function recordOf(effect: OutboxEffect<RaisedEvent>): JsonObject | undefined {
    switch (effect.kind) {
      case 'append': {
        const [{ event }, at] = [effect, clock()]
        entries.set(event.id, { event, at, handled: [] })
        return appendOf(event, at)
      }
      case 'routed': {
        const { id, handlers } = effect
        const entry = entries.get(id)
        if (entry !== undefined) entry.handlers = handlers
        return { k: 'routed', id, to: handlers }
      }
      case 'handled':
        entries.get(effect.id)?.handled.push(effect.handler)
        return { k: 'handled', id: effect.id, by: effect.handler }
      case 'withdrawn':
        return entries.delete(effect.event.id) ? { k: 'settled', id: effect.event.id } : undefined
      case 'settled': {
        const { id, key } = effect.event
        const wasKept = entries.delete(id)
        if (key === undefined) return wasKept ? { k: 'settled', id } : undefined
        const done = { key, id, by: [...effect.by], at: clock() }
        remember(done)
        return { k: 'settled', ...done }
      }
      case 'dead': {
        const { id } = effect.letter.event
        const at = entries.get(id)?.at ?? clock()
        entries.delete(id)
        letters.set(id, { ...effect.letter, at })
        return deadOf(effect.letter)
      }
      case 'erased':
        letters.delete(effect.id)
        return { k: 'erased', id: effect.id }
      default:
        return undefined
    }
  }

  return {
    kept: [...entries.values()].map(({ event, at, handlers, handled }) => ({
      event,
      ageMs: Math.max(0, clock() - at),
      ...(handlers !== undefined && { handlers: [...handlers] }),
      handled: [...handled]
    })),
    letters: [...letters.values()].map(({ at: _at, ...letter }) => letter),
    keys: [...keys.values()]
      .map(({ key, id, by, at }) => ({ key, id, by, ageMs: Math.max(0, clock() - at) }))
      .filter(({ ageMs }) => ageMs < FIRED_MS),
    note(effect) {
      const record = recordOf(effect)
      return record === undefined ? undefined : log.append(record)
    }
  }
}

function appendOf(event: RaisedEvent, at: number): JsonObject {
  const { encoded, route, subject, causes, key, dataRef: _inEncoded, of: _of, ...plain } = event
  return {
    k: 'append',
    id: event.id,
    at,
    event: {
      ...plain,
      encoded: toString(encoded, 'base64'),
      route: without(route),
      causes: [...causes],
      ...without({ subject, key })
    }
  }
}

function deadOf({ event, reason, code, message, handled }: DeadLetter<RaisedEvent>): JsonObject {
  return { k: 'dead', id: event.id, reason, handled: [...handled], ...without({ code, message }) }
}

/** JSON has no undefined. */
function without(values: object): JsonObject {
  return Object.fromEntries(Object.entries(values as JsonObject).filter(([, value]) => value !== undefined))
}

/** @throws what is wrong with it: the file is this node's own, but a disk may be damaged. */
function eventOf(kept: JsonObject): RaisedEvent {
  const [encoded, route, subject] = [textOf(kept['encoded']), mapOf(kept['route']), kept['subject']]
  const bytes = fromString(encoded, 'base64')
  const { priority, intent, source, dataRef } = decodeEvent(bytes)
  const about = subject === undefined ? undefined : textOf(subject)
  const { fanOut, expiresMs } = kept as { fanOut: RaisedEvent['fanOut']; expiresMs: number }
  if ((fanOut !== 'all' && !Number.isInteger(fanOut)) || !Number.isFinite(expiresMs)) throw new Error('no event')
  const { capability } = source
  return {
    id: textOf(kept['id']),
    priority,
    bytes: bytes.length + (dataRef?.size ?? 0),
    of: firingKey(capability, '', about),
    fanOut,
    expiresMs,
    encoded: bytes,
    route: {
      hint: route['hint'] as string | undefined,
      sink: route['sink'] as string | undefined,
      node: source.node,
      capability,
      subject: about
    },
    capability,
    event: textOf(kept['event']),
    subject: about,
    intent,
    causes: textsOf(kept['causes']),
    ...(dataRef !== undefined && { dataRef }),
    ...(kept['key'] !== undefined && { key: textOf(kept['key']) })
  }
}

function textOf(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw new Error('no text')
  return value
}

function textsOf(value: JsonValue | undefined): string[] {
  if (!Array.isArray(value)) throw new Error('no list')
  return value.map(textOf)
}

function mapOf(value: JsonValue | undefined): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('no map')
  return value
}
