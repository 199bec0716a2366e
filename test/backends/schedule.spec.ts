import assert from 'node:assert/strict'
import type { TriggerEvent } from '../../src/backends/backend.ts'
import type { ScheduleConfig } from '../../src/backends/schedule-config.ts'
import { compileTimes } from '../../src/backends/schedule-times.ts'
import { MAX_MISSED, createScheduleBackend } from '../../src/backends/schedule.ts'
import type { JsonObject } from '../../src/core/invoke.ts'
import { isMeshError } from '../../src/errors.ts'
import { backendContract, errorOf, invoke, resultOf, run, until, within } from './contract.ts'

const make = (triggers: ScheduleConfig['triggers'], init: { now?: () => number; maxWaitMs?: number } = {}) =>
  createScheduleBackend({ kind: 'schedule', timeZone: 'Europe/Berlin', triggers }, init)
const at = (text: string): number => Date.parse(text)
const iso = (time: number | undefined): string | undefined => (time === undefined ? undefined : new Date(time).toISOString())

backendContract(
  'schedule',
  () => ({
    backend: make([{ event: 'tick', every: '1d' }]),
    capability: 'schedule',
    echo: {
      tool: 'next',
      input: (n) => ({ event: 'tick', after: `2026-01-0${n + 1}T12:00:00Z` }),
      output: (n) => ({ times: [{ event: 'tick', scheduledAt: `2026-01-0${n + 2}T00:00:00.000Z` }] })
    }
  }),
  { instant: true }
)

/** Events of a backend from now on. */
function watch(backend: ReturnType<typeof make>) {
  const controller = new AbortController()
  const events: TriggerEvent[] = []
  const ended = (async () => {
    for await (const event of backend.watch!(controller.signal)) events.push(event)
  })()
  const stop = async (): Promise<void> => {
    controller.abort()
    await within(ended, 'the end of watch')
  }
  return { events, stop }
}

describe('schedule backend: times', () => {
  it('are those of the time zone, also when clocks change', () => {
    const times = compileTimes({ event: 'e', cron: '30 2 * * *' }, 'Europe/Berlin')
    assert.equal(iso(times.after(at('2026-01-10T00:00:00Z'))), '2026-01-10T01:30:00.000Z')
    assert.equal(iso(times.after(at('2026-07-10T00:00:00Z'))), '2026-07-10T00:30:00.000Z')
    // The hour that is there twice has one 02:30; the one that is not there is made up for.
    assert.equal(iso(times.after(at('2026-10-24T12:00:00Z'))), '2026-10-25T00:30:00.000Z')
    assert.equal(iso(times.after(at('2026-10-25T00:30:00Z'))), '2026-10-26T01:30:00.000Z')
    assert.equal(iso(times.after(at('2026-03-28T12:00:00Z'))), '2026-03-29T01:00:00.000Z')
    const tokyo = compileTimes({ event: 'e', cron: '30 2 * * *', timeZone: 'Asia/Tokyo' }, 'Europe/Berlin')
    assert.equal(iso(tokyo.after(at('2026-01-10T00:00:00Z'))), '2026-01-10T17:30:00.000Z')
  })

  it('of a period are its multiples', () => {
    const times = compileTimes({ event: 'e', every: '10s' })
    assert.equal(iso(times.after(at('2026-01-10T00:00:09.999Z'))), '2026-01-10T00:00:10.000Z')
    assert.equal(iso(times.after(at('2026-01-10T00:00:10Z'))), '2026-01-10T00:00:20.000Z')
    assert.equal(iso(times.upTo(at('2026-01-10T00:00:10Z'))), '2026-01-10T00:00:10.000Z')
  })

  it('that cannot be are refused, in words', () => {
    const refused = (trigger: Partial<ScheduleConfig['triggers'][number]>, message: RegExp): void =>
      assert.throws(
        () => make([{ event: 'e', ...trigger }]),
        (error) => isMeshError(error, 'invalid_config') && message.test(error.message)
      )
    refused({}, /either cron or every/)
    refused({ cron: '* * * * *', every: '1s' }, /either cron or every/)
    refused({ cron: '61 * * * *' }, /"61 \* \* \* \*" is no cron expression: Invalid value for minute/)
    for (const never of ['0 0 30 2 *', '0 0 31 4 *']) refused({ cron: never }, /is never due/)
    refused({ cron: '2026-01-01T00:00:00' }, /five fields/)
    refused({ cron: '* * * * *', timeZone: 'Mars/Olympus' }, /"Mars\/Olympus" is no time zone/)
    refused({ every: '50ms' }, /from 100ms to 366d/)
    refused({ every: '400d' }, /from 100ms to 366d/)
    refused({ every: 'often' }, /from 100ms to 366d/)
    assert.throws(
      () =>
        make([
          { event: 'e', every: '1s' },
          { event: 'e', every: '2s' }
        ]),
      (error) => isMeshError(error, 'invalid_config')
    )
  })
})

describe('schedule backend', () => {
  it('raises events when they are due', async () => {
    const watched = watch(
      make([
        { event: 'fast', every: '200ms' },
        { event: 'second', cron: '* * * * * *' },
        { event: 'never', cron: '0 0 0 1 1 * 2020' }
      ])
    )
    await until(() => watched.events.filter(({ event }) => event === 'second').length >= 2, 'two seconds')
    await watched.stop()
    const times = (name: string): number[] =>
      watched.events
        .filter(({ event }) => event === name)
        .map(({ payload }) => at((payload as { scheduledAt: string }).scheduledAt))
    assert.ok(times('second').every((time) => time % 1_000 === 0))
    assert.ok(times('fast').every((time, n, all) => time % 200 === 0 && (n === 0 || time > all[n - 1]!)))
    assert.equal(times('never').length, 0)
    assert.deepEqual(Object.keys(watched.events[0]!), ['capability', 'event', 'payload'])
  })

  it('tells what was missed while the machine slept once', async () => {
    let slept = 0
    let looks = 0
    const moreLooks = async (): Promise<void> => {
      const before = looks
      await until(() => looks >= before + 4, 'looks at the clock')
    }
    const backend = make(
      [
        { event: 'minute', every: '1m' },
        { event: 'hour', cron: '0 * * * *' }
      ],
      { now: () => (looks++, Date.now() + slept), maxWaitMs: 20 }
    )
    // Begins in the middle of a minute and of an hour, so that nothing is due by itself.
    slept = 1_800_000 + 30_000 - (Date.now() % 3_600_000)
    const watched = watch(backend)
    await moreLooks()
    assert.equal(watched.events.length, 0)
    slept += 8 * 3_600_000
    await until(() => watched.events.length >= 2, 'events after the sleep')
    await moreLooks()
    const payloads = Object.fromEntries(watched.events.map(({ event, payload }) => [event, payload as JsonObject]))
    assert.equal(watched.events.length, 2)
    assert.equal(payloads['minute']!['missed'], 8 * 60 - 1)
    assert.equal(payloads['hour']!['missed'], 7)
    slept += 30 * 86_400_000
    await until(() => watched.events.length >= 4, 'events after a long sleep')
    assert.equal(
      (watched.events.find(({ event }, n) => n >= 2 && event === 'minute')!.payload as JsonObject)['missed'],
      MAX_MISSED
    )
    await watched.stop()
  })

  it('goes on when the clock is set back', async () => {
    let shift = 365 * 86_400_000
    const watched = watch(make([{ event: 'tick', every: '100ms' }], { now: () => Date.now() + shift, maxWaitMs: 20 }))
    await until(() => watched.events.length >= 1, 'an event in the future')
    shift = 0
    const before = watched.events.length
    await until(() => watched.events.length >= before + 2, 'events after the clock was set')
    await watched.stop()
  })

  it('says what it raises, and when it is next due', async () => {
    const backend = make([
      { event: 'morning', cron: '0 7 * * mon-fri', intentTemplate: 'Good morning', priority: 'low' },
      { event: 'tick', every: '12h' }
    ])
    const running = run(backend)
    const { triggers, scope } = await running.snapshot()
    assert.equal(scope, 'node')
    assert.deepEqual(
      triggers?.map(({ event, description, intentTemplate, priority }) => ({ event, description, intentTemplate, priority })),
      [
        {
          event: 'morning',
          description: 'At 0 7 * * mon-fri (Europe/Berlin).',
          intentTemplate: 'Good morning',
          priority: 'low'
        },
        { event: 'tick', description: 'Every 12h.', intentTemplate: undefined, priority: undefined }
      ]
    )
    assert.deepEqual(await resultOf(invoke(backend, 'schedule', 'next', { after: '2026-01-09T06:30:00Z', count: 4 })), {
      times: [
        { event: 'tick', scheduledAt: '2026-01-09T12:00:00.000Z' },
        { event: 'tick', scheduledAt: '2026-01-10T00:00:00.000Z' },
        { event: 'tick', scheduledAt: '2026-01-10T12:00:00.000Z' },
        { event: 'tick', scheduledAt: '2026-01-11T00:00:00.000Z' }
      ]
    })
    await errorOf(invoke(backend, 'schedule', 'next', { event: 'mourning' }), 'invalid_argument')
    await errorOf(invoke(backend, 'schedule', 'next', { after: 'soon' }), 'invalid_argument')
    await running.stop()
  })
})
