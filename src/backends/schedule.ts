/** Backend `schedule`: events at given times. Runs in Node and in the browser. */
import type { CapabilityDeclaration, TriggerDeclaration } from '../../protocols/capability.ts'
import { MeshError } from '../errors.ts'
import type { JsonObject } from '../core/invoke.ts'
import type { Backend, TriggerEvent } from './backend.ts'
import { describedBy } from './capability-options.ts'
import { createHandlerCalls, lookupIn } from './handler-calls.ts'
import { createRecheck, discoverBy } from './recheck.ts'
import { delay } from './restart-delay.ts'
import type { ScheduleConfig } from './schedule-config.ts'
import { compileTimes } from './schedule-times.ts'
import type { ScheduleTimes } from './schedule-times.ts'

/** Longest wait of one timer, in ms: a timer stands still while the machine sleeps, and the clock may be set. */
export const MAX_WAIT_MS = 5_000
/** Missed times are counted up to here. */
export const MAX_MISSED = 1_000
/** Most times that one call of `next` gives. */
export const MAX_NEXT = 100
/** A clock that goes back further than this is a clock that was set: times are reckoned anew. In ms. */
export const CLOCK_SET_BACK_MS = 60_000

const PAYLOAD = {
  type: 'object',
  required: ['scheduledAt', 'missed'],
  properties: {
    scheduledAt: { type: 'string', format: 'date-time', description: 'When it was due.' },
    missed: {
      type: 'integer',
      minimum: 0,
      maximum: MAX_MISSED,
      description: 'Times before it that have passed without an event.'
    }
  }
}

/** One trigger and its next time. */
interface Due {
  readonly event: string
  readonly times: ScheduleTimes
  /** Infinity: never again. */
  at: number
}

/** Makes a schedule. `now` in ms since 1970. Throws `invalid_config` for times that cannot be. */
export function createScheduleBackend(config: ScheduleConfig, init: { now?: () => number; maxWaitMs?: number } = {}): Backend {
  const { now = Date.now, maxWaitMs = MAX_WAIT_MS } = init
  const id = config.id ?? 'schedule'
  const schedules = new Map<string, ScheduleTimes>()
  for (const trigger of config.triggers) {
    if (schedules.has(trigger.event))
      throw new MeshError('invalid_config', `backend "${id}": two triggers are called "${trigger.event}"; rename one`)
    schedules.set(trigger.event, compileTimes(trigger, config.timeZone))
  }
  const declaration = declare(config, id)
  const once = createRecheck(async () => [declaration])
  const calls = createHandlerCalls(lookupIn(id, new Map([['next', (input: JsonObject) => nextTimes(schedules, input, now())]])))

  return {
    id,
    kind: 'schedule',
    call: calls.call,
    discover: (signal) => discoverBy(once, calls, signal),
    watch: (signal) => raise(id, schedules, { now, maxWaitMs }, signal)
  }
}

/** One loop and one timer for all triggers. Who reads slowly gets the latest time of each, and how many it missed. */
async function* raise(
  capability: string,
  schedules: ReadonlyMap<string, ScheduleTimes>,
  { now, maxWaitMs }: { now: () => number; maxWaitMs: number },
  signal: AbortSignal
): AsyncGenerator<TriggerEvent, void, void> {
  let seen = now()
  const due: Due[] = [...schedules].map(([event, times]) => ({ event, times, at: times.after(seen) ?? Infinity }))
  while (!signal.aborted) {
    const time = now()
    if (time < seen - CLOCK_SET_BACK_MS) for (const one of due) one.at = one.times.after(time) ?? Infinity
    seen = time
    for (const one of due.filter(({ at }) => at <= time).sort((a, b) => a.at - b.at)) {
      const scheduledAt = one.times.upTo(time) ?? one.at
      const missed = countMissed(one, scheduledAt)
      one.at = one.times.after(time) ?? Infinity
      yield { capability, event: one.event, payload: { scheduledAt: new Date(scheduledAt).toISOString(), missed } }
      if (signal.aborted) return
    }
    const next = Math.min(...due.map(({ at }) => at))
    // Timers may ring a millisecond early.
    await delay(Math.min(Math.max(next - now(), 1), maxWaitMs), signal)
  }
}

function countMissed({ at, times }: Due, latest: number): number {
  let missed = 0
  for (let time: number | undefined = at; time !== undefined && time < latest && missed < MAX_MISSED; missed++) {
    time = times.after(time)
  }
  return missed
}

function declare(config: ScheduleConfig, id: string): CapabilityDeclaration {
  const triggers = config.triggers.map(({ cron, every, timeZone = config.timeZone, ...trigger }): TriggerDeclaration => {
    const when = cron === undefined ? `Every ${every}` : `At ${cron}${timeZone === undefined ? '' : ` (${timeZone})`}`
    return { description: `${when}.`, payload: PAYLOAD, ...trigger }
  })
  return describedBy(config, {
    id,
    type: 'time/schedule',
    name: 'Schedule',
    description: 'Raises events at given times.',
    scope: 'node',
    examples: ['When does the schedule raise its next event?'],
    tools: [
      {
        name: 'next',
        description: 'The next times at which events are due, in their order.',
        input: {
          type: 'object',
          additionalProperties: false,
          properties: {
            event: { type: 'string', description: 'Of this trigger alone.' },
            after: { type: 'string', format: 'date-time', description: 'Later than this time. Default: now.' },
            count: { type: 'integer', minimum: 1, maximum: MAX_NEXT, default: 1 }
          }
        },
        output: {
          type: 'object',
          properties: {
            times: {
              type: 'array',
              items: {
                type: 'object',
                properties: { event: { type: 'string' }, scheduledAt: { type: 'string', format: 'date-time' } }
              }
            }
          }
        },
        idempotent: true
      }
    ],
    triggers
  })
}

function nextTimes(schedules: ReadonlyMap<string, ScheduleTimes>, input: JsonObject, now: number): JsonObject {
  const { event, after, count = 1 } = input
  const from = after === undefined ? now : typeof after === 'string' ? Date.parse(after) : NaN
  if (Number.isNaN(from)) throw new MeshError('invalid_argument', '"after" must be a time such as 2026-01-31T07:00:00Z')
  if (typeof count !== 'number' || !(count >= 1 && count <= MAX_NEXT))
    throw new MeshError('invalid_argument', `"count" must be a whole number from 1 to ${MAX_NEXT}`)
  if (event !== undefined && !(typeof event === 'string' && schedules.has(event))) {
    const known = [...schedules.keys()].slice(0, 20).join(', ')
    throw new MeshError('invalid_argument', `there is no trigger ${JSON.stringify(event)}; there are: ${known}`)
  }
  const due = [...schedules]
    .filter(([name]) => event === undefined || name === event)
    .map(([name, times]): Due => ({ event: name, times, at: times.after(from) ?? Infinity }))
  const times: JsonObject[] = []
  while (times.length < count) {
    const first = due.reduce((one, other) => (other.at < one.at ? other : one))
    if (first.at === Infinity) break
    times.push({ event: first.event, scheduledAt: new Date(first.at).toISOString() })
    first.at = first.times.after(first.at) ?? Infinity
  }
  return { times }
}
