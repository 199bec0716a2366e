/** Times of a schedule, by a cron expression or a period. Pure but for the time zones that the runtime knows. */
import { Cron } from 'croner'
import { MeshError } from '../errors.ts'
import type { ScheduleTriggerConfig } from './schedule-config.ts'

/** Shortest period, in ms. */
export const MIN_PERIOD_MS = 100
/** Longest period, in ms. */
export const MAX_PERIOD_MS = 366 * 86_400_000

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** When something is due. Times are in ms since 1970. */
export interface ScheduleTimes {
  /** The first one later than `time`; undefined if there is none. */
  after(time: number): number | undefined
  /** The last one not later than `time`; undefined if there is none. */
  upTo(time: number): number | undefined
}

/** Reads what a trigger says of its times. Throws `invalid_config` for an expression, time zone or period that cannot be. */
export function compileTimes(
  trigger: Pick<ScheduleTriggerConfig, 'event' | 'cron' | 'every' | 'timeZone'>,
  timeZone?: string
): ScheduleTimes {
  const { event, cron, every } = trigger
  if ((cron === undefined) === (every === undefined)) throw configError(event, 'needs either cron or every')
  return cron === undefined ? periodic(event, every ?? '') : byCron(event, cron, trigger.timeZone ?? timeZone)
}

function periodic(event: string, every: string): ScheduleTimes {
  const [, count = '', unit = ''] = /^(\d+)(ms|s|m|h|d)$/.exec(every) ?? []
  const periodMs = Number(count) * (UNITS[unit as keyof typeof UNITS] ?? NaN)
  if (!(periodMs >= MIN_PERIOD_MS && periodMs <= MAX_PERIOD_MS))
    throw configError(event, `every "${every}" must be from 100ms to 366d, such as 10s`)
  return {
    after: (time) => (Math.floor(time / periodMs) + 1) * periodMs,
    upTo: (time) => Math.floor(time / periodMs) * periodMs
  }
}

function byCron(event: string, expression: string, timeZone: string | undefined): ScheduleTimes {
  if (timeZone !== undefined && !isTimeZone(timeZone))
    throw configError(event, `"${timeZone}" is no time zone; names look like Europe/Berlin or UTC`)
  // A date instead of an expression would be taken as well, and be due only once.
  if (expression.trim().split(/\s+/).length < 5 && !expression.startsWith('@'))
    throw configError(event, `"${expression}" is no cron expression: it has five fields, or six with seconds first`)
  let cron: Cron
  let isDue: boolean
  try {
    cron = new Cron(expression, { paused: true, ...(timeZone === undefined ? {} : { timezone: timeZone }) })
    isDue = cron.nextRun(new Date(0)) !== null
  } catch (error) {
    const why = (error as Error).message.replace(/^CronPattern: /, '')
    throw configError(event, `"${expression}" is no cron expression: ${why}`)
  }
  if (!isDue) throw configError(event, `"${expression}" is never due: no month has that day`)
  return {
    after: (time) => cron.nextRun(new Date(time))?.getTime(),
    upTo: (time) => cron.previousRuns(1, new Date(time + 1))[0]?.getTime()
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

function configError(event: string, problem: string): MeshError {
  return new MeshError('invalid_config', `trigger "${event}": ${problem}`, { trigger: event })
}
