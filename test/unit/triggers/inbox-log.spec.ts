import assert from 'node:assert/strict'
import { encodeEvent } from '../../../protocols/trigger/messages.ts'
import type { JsonObject } from '../../../protocols/json.ts'
import { SEEN_MS, type StoredEvent } from '../../../src/core/triggers/seen-events.ts'
import { arrivedOf } from '../../../src/triggers/arrived-event.ts'
import type { ArrivedEvent } from '../../../src/triggers/handling.ts'
import { createInboxLog, type InboxLog } from '../../../src/triggers/inbox-log.ts'
import { CLOCK_JUMP_MS } from '../../../src/triggers/log-clock.ts'
import { MESH, SELF } from '../../fixtures/raised-event.ts'

const HOUR_MS = 3_600_000
const START_MS = 1_800_000_000_000

describe('the log of the inbox', () => {
  /** As they are on disk. */
  let disk: JsonObject[]
  let compacted: () => JsonObject[]
  let wall: number
  let mono: number
  let damaged: number
  let log: InboxLog
  /** What is remembered of events that were handled. */
  let handled: StoredEvent[]
  /** The process ends here, and another one begins. */
  const restart = (): void => {
    mono = 17
    log = createInboxLog(
      {
        initial: JSON.parse(JSON.stringify(disk)) as JsonObject[],
        append(record) {
          disk.push(record)
          return Promise.resolve()
        },
        onCompact: (of) => (compacted = () => JSON.parse(JSON.stringify([...of()])) as JsonObject[])
      },
      { mesh: MESH, clock: () => wall, now: () => mono, handled: () => handled, onDamaged: () => damaged++ }
    )
    handled = log.seen
  }
  beforeEach(() => {
    ;[disk, wall, damaged, handled] = [[], START_MS, 0, []]
    restart()
  })
  afterEach(() => assert.equal(damaged, 0))
  /** Both clocks go on. */
  const pass = (ms: number): void => {
    wall += ms
    mono += ms
  }
  function event(number: number, remainingMs: number = HOUR_MS): ArrivedEvent {
    const wire = {
      id: `1-${number}`,
      source: { mesh: MESH, node: SELF, capability: 'cam' },
      type: 'sensor.camera.person',
      sequence: { incarnation: 1, number },
      priority: 'normal',
      hopDepth: 0,
      intent: 'Somebody.',
      data: null
    } as const
    const encoded = Uint8Array.from(encodeEvent(wire))
    return arrivedOf({ event: wire, encoded, handler: 'guard', peer: SELF, causes: [], expiresAt: mono + remainingMs })
  }
  const left = (): number[] => log.kept.map(({ expiresAt }) => expiresAt - mono)
  const ages = (): number[] => log.seen.map(({ ageMs }) => ageMs)
  /** One that waits for half an hour still, and one that was handled just now. */
  function events(): void {
    void log.keep(event(1))
    void log.keep(event(2))
    pass(HOUR_MS / 2)
    void log.release(event(2), 'done')
    handled = [{ node: SELF, key: 'guard 1-2', settled: 'done', ageMs: 0 }]
  }

  it('times go on while the node is away', () => {
    events()
    wall += 60_000
    restart()
    assert.deepEqual([left(), ages()], [[HOUR_MS / 2 - 60_000], [60_000]])
  })

  for (const [what, by] of [
    ['back by a year', -365 * 24 * HOUR_MS],
    ['to 1970', -START_MS],
    ['to the end of the century', 74 * 365 * 24 * HOUR_MS]
  ] as const)
    it(`times stay as they were when the clock is set ${what} while it is away, also after what is written then`, () => {
      events()
      wall += by
      restart()
      assert.deepEqual([left(), ages()], [[HOUR_MS / 2], [0]])
      pass(1_000)
      void log.keep(event(3))
      disk = disk.slice()
      pass(1_000)
      restart()
      assert.deepEqual([left(), ages()], [[HOUR_MS / 2 - 2_000, HOUR_MS - 1_000], [2_000]])
    })

  for (const [what, by] of [
    ['forward by eight hours', 8 * HOUR_MS],
    ['back by a year', -365 * 24 * HOUR_MS],
    ['forward by a little more than drift', CLOCK_JUMP_MS]
  ] as const)
    for (const [how, written] of [
      ['it is looked at', () => log.tick()],
      ['something is written', () => void log.keep(event(3))]
    ] as const)
      it(`times go by the monotonic clock when the other one is set ${what} while it runs, once ${how}`, () => {
        events()
        wall += by
        written()
        pass(1_000)
        handled = handled.map((one) => ({ ...one, ageMs: one.ageMs + 1_000 }))
        const kept = handled
        for (const _ of ['from what was written', 'from what was written anew']) {
          restart()
          assert.deepEqual([left()[0], ages()], [HOUR_MS / 2 - 1_000, [1_000]])
          handled = kept
          disk = compacted()
        }
      })

  it('rounds of dead letters that were sent anew are known of what waits, and of what has failed, also once it is written anew', () => {
    const again = { ...event(1), round: 2 }
    void log.release(event(1), 'failed')
    void log.keep(again)
    void log.release({ ...event(2), round: 1 }, 'failed')
    const rounds = (): unknown => [log.kept.map(({ round }) => round), log.seen.map(({ key, round }) => [key, round])]
    const known = [
      [2],
      [
        ['guard 1-1', undefined],
        ['guard 1-2', 1]
      ]
    ]
    restart()
    assert.deepEqual(rounds(), known)
    disk = compacted()
    restart()
    assert.deepEqual(rounds(), known)
  })

  it('what was handled is written anew as it is remembered, and forgotten after its time', () => {
    void log.release(event(1), 'done')
    handled = [
      { node: 'a', key: 'guard 1-1', settled: 'failed', ageMs: 5_000 },
      { node: 'b', key: 'guard 1-1', settled: 'done', ageMs: 0 }
    ]
    disk = compacted()
    pass(1_000)
    restart()
    assert.deepEqual(log.seen, handled)
    assert.deepEqual(ages(), [6_000, 1_000])
    wall += SEEN_MS - 6_000
    restart()
    assert.deepEqual(ages(), [SEEN_MS - 5_000])
  })
})
