/** The inbox as records: what this node has accepted and not yet handled, and which events it has handled. */
import { fromString } from 'uint8arrays/from-string'
import { toString } from 'uint8arrays/to-string'
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { ROLES, type Role } from '../../protocols/member/messages.ts'
import { decodeEvent } from '../../protocols/trigger/messages.ts'
import type { MemberStanding } from '../core/policy.ts'
import { SEEN_MS, type Settled, type StoredEvent } from '../core/triggers/seen-events.ts'
import { arrivedOf } from './arrived-event.ts'
import type { EventLog } from './event-store.ts'
import type { ArrivedEvent } from './handling.ts'
import { createLogClock, type LogClockInit } from './log-clock.ts'
import { textsOf, timeOf } from './outbox-records.ts'

/** See {@link createInboxLog}. */
export interface InboxLog {
  /** As it was at the start. */
  readonly kept: ArrivedEvent[]
  /** The same, oldest first. */
  readonly seen: StoredEvent[]
  /** Resolves once it is kept. Rejects as {@link EventLog.append}. */
  keep(event: ArrivedEvent): Promise<void>
  /** A person has agreed to it. Undefined: it is not kept. Rejects as {@link EventLog.append}. */
  allow(event: ArrivedEvent): Promise<void> | undefined
  /** It is out. @param settled how, if it does not come again: that is remembered over a restart. */
  release(event: ArrivedEvent, settled: Settled | undefined): Promise<void> | undefined
  /** Called now and then: that the wall clock was set is to be known before the process ends. */
  tick(): void
}

/** What it needs to know. */
export interface InboxLogInit extends LogClockInit {
  /** Events of another mesh are left out. */
  mesh: string
  /** What is remembered of events that were handled, for when the log is written anew. Not called before this is made. */
  handled: () => Iterable<StoredEvent>
  onDamaged(): void
}

interface Held {
  record: JsonObject
  /** When it was written, ms since 1970. */
  at: number
  /** When its time is over. */
  until: number
  event?: ArrivedEvent
}

interface Remembered {
  node: string
  key: string
  settled: Settled
  round?: number
  at: number
}

/** Keeps a mirror of what is in the log, from which that is written anew. */
export function createInboxLog(log: EventLog, { mesh, now, clock, handled, onDamaged }: InboxLogInit): InboxLog {
  const time = createLogClock({ clock, now })
  const held = new Map<string, Held>()
  /** Until the start is over: from then on it is remembered elsewhere. */
  const seen = new Map<string, Remembered>()
  /** The newest that a record names. */
  let last = -Infinity

  function remember(one: Remembered): void {
    const key = `${one.node} ${one.key}`
    seen.delete(key)
    seen.set(key, one)
    last = Math.max(last, one.at)
  }

  /** The wall clock was set: as long ago as before is another time now. */
  function clockMoved(by: number): void {
    if (by === 0) return
    shift(by)
    // What cannot be written is told with the next event. A power cut may lose it.
    void log.append({ k: 'clock', by }, false).catch(() => undefined)
  }

  function shift(by: number): void {
    for (const one of held.values()) {
      one.at += by
      one.until += by
    }
    for (const one of seen.values()) one.at += by
    last += by
  }

  function apply(record: JsonObject): void {
    const { node, handler, id } = record as Record<string, string>
    const key = `${node} ${handler} ${id}`
    if (record['k'] === 'clock') return shift(timeOf(record['by']))
    if (record['k'] === 'keep') {
      const { e, causes } = record as { e: string; causes: string[] }
      const round = roundOf(record)
      const until = timeOf(record['until'])
      // Logs of before do not say it.
      const at = record['at'] === undefined ? -Infinity : timeOf(record['at'])
      const encoded = fromString(e, 'base64')
      const event = decodeEvent(encoded)
      if (event.source.mesh !== mesh || event.source.node !== node || event.id !== id) return
      const arrived = arrivedOf({ event, encoded, handler: handler!, peer: node, causes, expiresAt: Infinity, round })
      const standings = record['as'] === undefined ? {} : { standings: standingsOf(record['as']) }
      const isAllowed = record['yes'] === true ? { isAllowed: true } : {}
      held.set(key, { record, at, until, event: { ...arrived, ...standings, ...isAllowed } })
      last = Math.max(last, at)
    } else if (record['k'] === 'yes') {
      const one = held.get(key)
      if (one !== undefined)
        held.set(key, { ...one, record: { ...one.record, yes: true }, event: { ...one.event!, isAllowed: true } })
    } else if (record['k'] === 'release') {
      held.delete(key)
      const { settled, at } = record as { settled?: Settled; at?: number }
      if (settled !== undefined && at !== undefined)
        remember({ node: node!, key: `${handler} ${id}`, settled, ...onlyLater(roundOf(record)), at })
    } else if (record['k'] === 'seen') {
      const { key: what, settled, at } = record as unknown as Remembered
      remember({ node: node!, key: what, settled, ...onlyLater(roundOf(record)), at })
    }
  }

  for (const record of log.initial)
    try {
      apply(record)
    } catch {
      onDamaged()
    }
  clockMoved(time.movedBefore(last))
  const kept = [...held.values()].map(({ event, until }) => ({ ...event!, expiresAt: now() + until - time.at() }))
  for (const one of held.values()) delete one.event
  const before = [...seen.values()]
    .map(({ at, ...one }) => ({ ...one, ageMs: Math.max(0, time.at() - at) }))
    .filter(({ ageMs }) => ageMs < SEEN_MS)
  seen.clear()

  log.onCompact(function* () {
    for (const { record, at, until } of held.values()) yield { ...record, ...(at > -Infinity && { at }), until }
    for (const { ageMs, ...one } of handled()) yield { k: 'seen', ...one, at: time.at() - Math.round(ageMs) }
  })

  return {
    kept,
    seen: before,
    tick: () => clockMoved(time.moved()),
    keep(event) {
      clockMoved(time.moved())
      const { node, handler, id, encoded, causes, expiresAt, standings, isAllowed, round } = event
      const at = time.at()
      const until = at + Math.round(Math.min(expiresAt - now(), MAX_UNTIL_MS))
      const record = {
        k: 'keep',
        node,
        handler,
        id,
        at,
        until,
        causes: causes.slice(0, -1),
        ...(standings !== undefined && { as: standings.map(textOfStanding) }),
        ...(isAllowed === true && { yes: true }),
        ...onlyLater(round),
        e: toString(encoded, 'base64')
      }
      held.set(`${node} ${handler} ${id}`, { record, at, until })
      return log.append(record)
    },
    allow({ node, handler, id }) {
      const one = held.get(`${node} ${handler} ${id}`)
      if (one === undefined) return undefined
      one.record = { ...one.record, yes: true }
      // If a power cut loses it, it is asked for again.
      return log.append({ k: 'yes', node, handler, id }, false)
    },
    release({ node, handler, id, priority, round }, settled) {
      clockMoved(time.moved())
      const known = held.delete(`${node} ${handler} ${id}`)
      if (settled === undefined || priority === 'low') return known ? log.append({ k: 'release', node, handler, id }) : undefined
      return log.append({ k: 'release', node, handler, id, settled, ...onlyLater(round), at: time.at() })
    }
  }
}

/** Most are of the first round, 0, and say nothing of it. */
function onlyLater(round = 0): { round?: number } {
  return round > 0 ? { round } : {}
}

/** @throws what is wrong with it. */
function roundOf({ round = 0 }: JsonObject): number {
  if (!Number.isInteger(round)) throw new Error('no round')
  return round as number
}

/** As little as it can be made of again, since most are members without tags. */
function textOfStanding(standing: MemberStanding | undefined): JsonValue {
  if (standing === undefined) return null
  const { role, tags, since, notAfter, generation } = standing
  return [role, since, notAfter, generation, ...tags]
}

/** @throws what is wrong with it. */
function standingsOf(value: JsonValue): (MemberStanding | undefined)[] {
  if (!Array.isArray(value)) throw new Error('no list')
  return value.map((one) => {
    if (one === null) return undefined
    const [role, since, notAfter, generation, ...tags] = one as JsonValue[]
    if (!ROLES.includes(role as Role)) throw new Error('no role')
    const times = { since: timeOf(since), notAfter: timeOf(notAfter), generation: timeOf(generation) }
    return { role: role as Role, tags: textsOf(tags), ...times }
  })
}

/** No event waits for longer. */
const MAX_UNTIL_MS = 86_400_000
