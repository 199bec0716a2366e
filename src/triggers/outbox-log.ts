/** The outbox as records: what is written down of it, and how that is read after a restart. */
import type { JsonObject } from '../../protocols/json.ts'
import type { DeadLetter } from '../core/triggers/dead-letters.ts'
import { FIRED_MS, MAX_FIRED_KEYS, type FiredKey } from '../core/triggers/fired-keys.ts'
import type { Kept, OutboxEffect } from '../core/triggers/outbox-contract.ts'
import type { EventLog } from './event-store.ts'
import { createLogClock, type LogClockInit } from './log-clock.ts'
import { appendOf, deadOf, eventOf, mapOf, textOf, textsOf, timeOf } from './outbox-records.ts'
import type { RaisedEvent } from './raise.ts'

/** Who has accepted an event is written down so long after it has, in ms, unless it is done by then: most are, and cost no record. */
export const ACCEPTED_MS = 50
/** At once when so many wait for that: after a kill as many more would take places of those that nobody has. */
export const MAX_ACCEPTED_LATE = 64

/** See {@link createOutboxLog}. */
export interface OutboxLog {
  /** What is kept now, made anew each time: nobody is to hold on to it. */
  readonly kept: Kept<RaisedEvent>[]
  readonly letters: DeadLetter<RaisedEvent>[]
  /** Events that are done, and were fired with a key; oldest first. */
  readonly keys: FiredKey[]
  /** Writes down what the outbox wants kept. @returns undefined if that is nothing; else rejects as {@link EventLog.append}. */
  note(effect: OutboxEffect<RaisedEvent>): Promise<void> | undefined
  /** What is written down later is written now: the node stops. */
  flush(): void
}

/** What it needs to know. */
export interface OutboxLogInit extends LogClockInit {
  /** Events of another node or mesh are left out. */
  self: string
  mesh: string
  /** Told of a record that nothing can be made of. */
  onDamaged(): void
}

interface Entry {
  event: RaisedEvent
  at: number
  handlers?: string[]
  handled: string[]
  /** Who has it, the last one last. */
  accepted: string[]
}

interface Done {
  key: string
  id: string
  by: string[]
  digest?: string
  at: number
}

/** Keeps a mirror of what is in the log, from which that is written anew. */
export function createOutboxLog(log: EventLog, { self, mesh, clock, now, onDamaged }: OutboxLogInit): OutboxLog {
  const time = createLogClock({ clock, now })
  const entries = new Map<string, Entry>()
  const letters = new Map<string, DeadLetter<RaisedEvent> & { at: number }>()
  const keys = new Map<string, Done>()
  /** Events of which it is to be written down who has accepted them. */
  const late = new Set<string>()
  let timer: ReturnType<typeof setTimeout> | undefined
  /** The newest that a record names. */
  let last = -Infinity

  function remember(done: Done): void {
    const { key } = done
    keys.delete(key)
    keys.set(key, { ...done })
    if (keys.size > MAX_FIRED_KEYS) keys.delete(keys.keys().next().value!)
  }

  /** The wall clock was set: as long ago as before is another time now. */
  function shift(by: number): void {
    for (const all of [entries, letters, keys]) for (const one of all.values()) one.at += by
    last += by
  }

  // ---- what was written -----------------------------------------------------------------------
  function atOf(record: JsonObject): number {
    const at = timeOf(record['at'])
    last = Math.max(last, at)
    return at
  }

  function doneOf(record: JsonObject): Done {
    const { digest } = record
    const [key, id, by] = [textOf(record['key']), textOf(record['id']), textsOf(record['by'])]
    return { key, id, by, ...(digest !== undefined && { digest: textOf(digest) }), at: atOf(record) }
  }

  function apply(record: JsonObject): void {
    if (record['k'] === 'append') return applyAppend(record)
    if (record['k'] === 'clock') return shift(timeOf(record['by']))
    const id = textOf(record['id'])
    const entry = entries.get(id)
    switch (textOf(record['k'])) {
      case 'routed':
        if (entry !== undefined) entry.handlers = textsOf(record['to'])
        return
      case 'accepted':
        if (entry !== undefined) entry.accepted = textsOf(record['by'])
        return
      case 'handled':
        if (entry !== undefined) handledBy(entry, textOf(record['by']))
        return
      case 'settled':
      case 'key':
        entries.delete(id)
        if (record['key'] !== undefined) remember(doneOf(record))
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

  function applyAppend(record: JsonObject): void {
    const at = atOf(record)
    const event = eventOf(mapOf(record['event']), self, mesh)
    if (event !== undefined) entries.set(event.id, { event, at, handled: [], accepted: [] })
  }

  for (const record of log.initial)
    try {
      apply(record)
    } catch {
      onDamaged()
    }
  // It was sent anew just before the end.
  for (const id of entries.keys()) letters.delete(id)
  clockMoved(time.movedBefore(last))

  log.onCompact(function* () {
    for (const { event, at, reason, code, message, handled } of letters.values()) {
      yield appendOf(event, at)
      yield deadOf({ event, reason, code, message, handled })
    }
    for (const one of keys.values()) if (one.at + FIRED_MS > time.at()) yield { k: 'key', ...one }
    for (const { event, at, handlers, handled, accepted } of entries.values()) {
      yield appendOf(event, at)
      if (handlers !== undefined) yield { k: 'routed', id: event.id, to: handlers }
      for (const by of handled) yield { k: 'handled', id: event.id, by }
      if (accepted.length > 0) yield { k: 'accepted', id: event.id, by: accepted }
    }
  })

  // ---- what is to be written ------------------------------------------------------------------
  function clockMoved(by: number): void {
    if (by === 0) return
    shift(by)
    writeQuietly({ k: 'clock', by })
  }

  /** What cannot be written is told with the next event. A power cut may lose it. */
  function writeQuietly(record: JsonObject): void {
    void log.append(record, false).catch(() => undefined)
  }

  function handledBy(entry: Entry, handler: string): void {
    if (!entry.handled.includes(handler)) entry.handled.push(handler)
    entry.accepted = entry.accepted.filter((one) => one !== handler)
  }

  function acceptedBy(entry: Entry, accepted: string[]): void {
    entry.accepted = accepted
    late.add(entry.event.id)
    if (late.size >= MAX_ACCEPTED_LATE) return writeLate()
    if (timer !== undefined) return
    timer = setTimeout(writeLate, ACCEPTED_MS)
    ;(timer as { unref?: () => void }).unref?.()
  }

  /** It is done: nobody is to be asked for it. */
  function leave(id: string): boolean {
    late.delete(id)
    return entries.delete(id)
  }

  function writeLate(): void {
    clearTimeout(timer)
    timer = undefined
    for (const id of late) {
      const entry = entries.get(id)
      if (entry !== undefined) writeQuietly({ k: 'accepted', id, by: entry.accepted })
    }
    late.clear()
  }

  /** It goes to a handler, so as many others as there are handlings beside that one may have it still: those that took it last. */
  function sentTo(entry: Entry, handler: string): void {
    const { event, handled, accepted } = entry
    if (event.fanOut === 'all' || accepted.includes(handler)) return
    const others = event.fanOut - handled.length - 1
    if (accepted.length > others) acceptedBy(entry, accepted.slice(accepted.length - Math.max(0, others)))
  }

  /** @returns what is to be written, and whether a power cut must not lose it: what it would only bring about a second time is known where it was done. */
  function recordOf(effect: OutboxEffect<RaisedEvent>): [record: JsonObject, flush: boolean] | undefined {
    switch (effect.kind) {
      case 'append': {
        const { event } = effect
        const at = time.at()
        entries.set(event.id, { event, at, handled: [], accepted: [] })
        return [appendOf(event, at), true]
      }
      case 'routed': {
        const { id, handlers } = effect
        const entry = entries.get(id)
        if (entry !== undefined) entry.handlers = handlers
        return [{ k: 'routed', id, to: handlers }, false]
      }
      case 'send': {
        const entry = entries.get(effect.event.id)
        if (entry !== undefined) sentTo(entry, effect.handler)
        return undefined
      }
      case 'accepted': {
        const [entry, handler] = [entries.get(effect.id), effect.handler]
        if (entry !== undefined) acceptedBy(entry, [...entry.accepted.filter((one) => one !== handler), handler])
        return undefined
      }
      case 'handled': {
        const entry = entries.get(effect.id)
        if (entry !== undefined) handledBy(entry, effect.handler)
        return [{ k: 'handled', id: effect.id, by: effect.handler }, false]
      }
      case 'withdrawn':
        return leave(effect.event.id) ? [{ k: 'settled', id: effect.event.id }, true] : undefined
      case 'settled': {
        const { id, key, digest } = effect.event
        const wasKept = leave(id)
        if (key === undefined) return wasKept ? [{ k: 'settled', id }, false] : undefined
        const done = { key, id, by: [...effect.by], ...(digest !== undefined && { digest }), at: time.at() }
        remember(done)
        return [{ k: 'settled', ...done }, false]
      }
      case 'dead': {
        const { id } = effect.letter.event
        const at = entries.get(id)?.at ?? time.at()
        leave(id)
        letters.set(id, { ...effect.letter, at })
        return [deadOf(effect.letter), false]
      }
      case 'erased':
        letters.delete(effect.id)
        return [{ k: 'erased', id: effect.id }, true]
      default:
        return undefined
    }
  }

  return {
    get kept() {
      return [...entries.values()].map(({ event, at, handlers, handled, accepted }) => ({
        event,
        ageMs: Math.max(0, time.at() - at),
        ...(handlers !== undefined && { handlers: [...handlers] }),
        handled: [...handled],
        ...(accepted.length > 0 && { acceptedBy: [...accepted] })
      }))
    },
    get letters() {
      return [...letters.values()].map(({ at: _at, ...letter }) => letter)
    },
    get keys() {
      return [...keys.values()]
        .map(({ at, ...one }) => ({ ...one, ageMs: Math.max(0, time.at() - at) }))
        .filter(({ ageMs }) => ageMs < FIRED_MS)
    },
    note(effect) {
      clockMoved(time.moved())
      const written = recordOf(effect)
      return written && log.append(...written)
    },
    flush: writeLate
  }
}
