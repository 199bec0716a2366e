import assert from 'node:assert/strict'
import fc from 'fast-check'
import { toString } from 'uint8arrays/to-string'
import type { JsonObject } from '../../../protocols/json.ts'
import { FIRED_MS, MAX_FIRED_KEYS } from '../../../src/core/triggers/fired-keys.ts'
import type { OutboxEffect } from '../../../src/core/triggers/outbox-contract.ts'
import { bytesOfText, textOfBytes } from '../../../src/triggers/event-text.ts'
import { CLOCK_JUMP_MS, MAX_AWAY_MS } from '../../../src/triggers/log-clock.ts'
import { MAX_ACCEPTED_LATE, createOutboxLog, type OutboxLog } from '../../../src/triggers/outbox-log.ts'
import type { RaisedEvent } from '../../../src/triggers/raise.ts'
import { until } from '../../fixtures/libp2p-pair.ts'
import { MESH, SELF, raisedEvent } from '../../fixtures/raised-event.ts'

const HOUR_MS = 3_600_000
const START_MS = 1_800_000_000_000

describe('the log of the outbox', () => {
  /** As they are on disk. */
  let disk: JsonObject[]
  let flushed: boolean[]
  let compacted: () => JsonObject[]
  let wall: number
  let mono: number
  let damaged: number
  let log: OutboxLog
  /** The process ends here, and another one begins. */
  const restart = (): void => {
    mono = 17
    log = createOutboxLog(
      {
        initial: JSON.parse(JSON.stringify(disk)) as JsonObject[],
        append(record, flush = true) {
          disk.push(record)
          flushed.push(flush)
          return Promise.resolve()
        },
        onCompact: (of) => (compacted = () => JSON.parse(JSON.stringify([...of()])) as JsonObject[])
      },
      { self: SELF, mesh: MESH, clock: () => wall, now: () => mono, onDamaged: () => damaged++ }
    )
  }
  beforeEach(() => {
    ;[disk, flushed, wall, damaged] = [[], [], START_MS, 0]
    restart()
  })
  const note = (...effects: OutboxEffect<RaisedEvent>[]): void => effects.forEach((one) => void log.note(one))
  const append = (event: RaisedEvent): OutboxEffect<RaisedEvent> => ({ kind: 'append', event })
  const accepted = (id: string, handler: string): OutboxEffect<RaisedEvent> => ({ kind: 'accepted', id, handler })
  /** Both clocks go on. */
  const pass = (ms: number): void => {
    wall += ms
    mono += ms
  }
  const ages = (): number[] => log.kept.map(({ ageMs }) => ageMs)
  const acceptedBy = (): (string[] | undefined)[] => log.kept.map((one) => one.acceptedBy)

  describe('who has accepted', () => {
    it('is known after a restart, and costs no record where it is done at once', async () => {
      note(append(raisedEvent(1)), append(raisedEvent(2)), accepted('1-1', 'a@1'), accepted('1-2', 'a@1'))
      note({ kind: 'settled', event: raisedEvent(2), by: ['a@1'] })
      assert.equal(disk.length, 3, 'not at once')
      await until(() => disk.length > 3, 'it is written')
      assert.deepEqual(
        [disk.slice(3), flushed],
        [[{ k: 'accepted', id: '1-1', by: ['a@1'] }], [true, true, false, false]],
        'a power cut may lose it'
      )
      restart()
      assert.deepEqual(acceptedBy(), [['a@1']])
      disk = compacted()
      restart()
      assert.deepEqual(acceptedBy(), [['a@1']])
    })

    it('is written at once when many are not done', () => {
      const all = Array.from({ length: 2 * MAX_ACCEPTED_LATE }, (_, n) => raisedEvent(n))
      for (const [n, event] of all.entries()) {
        note(append(event), accepted(event.id, 'a@1'))
        if (n < MAX_ACCEPTED_LATE) note({ kind: 'settled', event, by: ['a@1'] })
      }
      assert.equal(disk.filter(({ k }) => k === 'accepted').length, MAX_ACCEPTED_LATE, 'what is done costs none')
      restart()
      assert.deepEqual(acceptedBy(), Array(MAX_ACCEPTED_LATE).fill(['a@1']))
    })

    it('is written when the node stops', () => {
      note(append(raisedEvent(1)), accepted('1-1', 'a@1'))
      log.flush()
      restart()
      assert.deepEqual(acceptedBy(), [['a@1']])
    })

    it('is nobody who has done it, or in whose place another is asked', () => {
      note(append(raisedEvent(1, { fanOut: 2 })), accepted('1-1', 'a@1'), accepted('1-1', 'b@2'))
      note({ kind: 'send', event: raisedEvent(1, { fanOut: 2 }), handler: 'b@2' })
      assert.deepEqual(acceptedBy(), [['a@1', 'b@2']], 'asked again it may still have it')
      note({ kind: 'send', event: raisedEvent(1, { fanOut: 2 }), handler: 'c@3' })
      assert.deepEqual(acceptedBy(), [['b@2']])
      note({ kind: 'handled', id: '1-1', handler: 'b@2' }, accepted('1-1', 'c@3'))
      log.flush()
      restart()
      assert.deepEqual([acceptedBy(), log.kept[0]!.handled], [[['c@3']], ['b@2']])
      note({ kind: 'send', event: raisedEvent(1, { fanOut: 2 }), handler: 'd@4' })
      log.flush()
      restart()
      assert.deepEqual(acceptedBy(), [undefined])
    })
  })

  describe('times', () => {
    const events = (): void => {
      note(append(raisedEvent(1, { expiresMs: HOUR_MS })))
      pass(HOUR_MS / 2)
      note({ kind: 'settled', event: raisedEvent(9, { key: 'cam 9' }), by: ['a@1'] })
    }

    it('go on while the node is away', () => {
      events()
      wall += 60_000
      restart()
      assert.deepEqual([ages(), log.keys.map(({ ageMs }) => ageMs)], [[HOUR_MS / 2 + 60_000], [60_000]])
    })

    for (const [what, by] of [
      ['back by a year', -365 * 24 * HOUR_MS],
      ['to 1970', -START_MS],
      ['to the end of the century', 74 * 365 * 24 * HOUR_MS],
      ['back by a second', -1_000]
    ] as const)
      it(`stay as they were when the clock is set ${what} while it is away, also after what is written then`, () => {
        events()
        wall += by
        restart()
        assert.deepEqual([ages(), log.keys.map(({ ageMs }) => ageMs)], [[HOUR_MS / 2], [0]])
        pass(1_000)
        note(append(raisedEvent(2)))
        pass(1_000)
        restart()
        assert.deepEqual(ages(), [HOUR_MS / 2 + 2_000, 1_000])
        disk = compacted()
        restart()
        assert.deepEqual(ages(), [HOUR_MS / 2 + 2_000, 1_000])
        assert.equal(disk.filter(({ k }) => k === 'key').length, 1)
      })

    for (const [what, by] of [
      ['forward by a year', 365 * 24 * HOUR_MS],
      ['back by a year', -365 * 24 * HOUR_MS],
      ['forward by a little more than drift', CLOCK_JUMP_MS]
    ] as const)
      it(`go by the monotonic clock when the other one is set ${what} while it runs`, () => {
        events()
        wall += by
        pass(1_000)
        assert.deepEqual(ages(), [HOUR_MS / 2 + 1_000])
        note(append(raisedEvent(2)))
        for (const _ of ['from what was written', 'from what was written anew']) {
          restart()
          assert.deepEqual([ages(), log.keys[0]?.ageMs], [[HOUR_MS / 2 + 1_000, 0], 1_000])
          disk = compacted()
        }
      })

    it('of an end that is longer ago than a year are not known', () => {
      events()
      wall += MAX_AWAY_MS
      restart()
      assert.deepEqual(ages(), [HOUR_MS / 2 + MAX_AWAY_MS], 'it was away for so long')
      wall += MAX_AWAY_MS + 1
      restart()
      assert.deepEqual(ages(), [HOUR_MS / 2], 'it was not')
    })

    it('make no event younger than it is, nor older than the wall clock says, whatever is done to that', () => {
      const step = fc.record({
        what: fc.constantFrom('pass', 'pass', 'set', 'set while away', 'restart', 'append', 'compact'),
        ms: fc.integer({ min: 1, max: 2 * MAX_AWAY_MS }),
        isBack: fc.boolean()
      })
      fc.assert(
        fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
          ;[disk, wall] = [[], START_MS]
          restart()
          /** Of each event: how old it is, and how much older the clock has made it while the node was away. */
          const least = new Map<string, number>()
          const extra = new Map<string, number>()
          steps.forEach(({ what, ms, isBack }, n) => {
            if (what === 'pass') {
              pass(ms % HOUR_MS)
              least.forEach((age, id) => least.set(id, age + (ms % HOUR_MS)))
            } else if (what === 'append') {
              note(append(raisedEvent(n)))
              least.set(`1-${n}`, 0)
            } else {
              if (what.startsWith('set')) wall += isBack ? -ms : ms
              if (what === 'set while away' && !isBack) least.forEach((_, id) => extra.set(id, (extra.get(id) ?? 0) + ms))
              if (what === 'compact') disk = compacted()
              if (what !== 'set') restart()
            }
            // What is not written down while it runs counts as away.
            note({ kind: 'settled', event: raisedEvent(1, { id: '1-x', key: 'cam x' }), by: [] })
            const drift = CLOCK_JUMP_MS * (n + 1)
            for (const { event, ageMs } of log.kept) {
              const age = least.get(event.id)!
              assert.ok(ageMs >= age - drift && ageMs <= age + (extra.get(event.id) ?? 0) + drift, `${ageMs} of ${age}`)
            }
          })
        })
      )
    })

    it('that are none are damage', () => {
      note(append(raisedEvent(1)))
      disk = disk.map((record) => ({ ...record, at: 'yesterday' }))
      restart()
      assert.deepEqual([log.kept, damaged], [[], 1])
    })
  })

  describe('what it says of an event', () => {
    const size = (records: readonly JsonObject[]): number => records.reduce((sum, one) => sum + JSON.stringify(one).length, 0)

    it('is what its bytes do not say: two records in all, of two hundred bytes beside them', async () => {
      const event = raisedEvent(1)
      note(append(event), { kind: 'send', event, handler: `guard@${SELF}` }, accepted('1-1', `guard@${SELF}`))
      note({ kind: 'settled', event, by: [`guard@${SELF}`] })
      log.flush()
      assert.deepEqual(
        [disk.map(({ k }) => k), flushed],
        [
          ['append', 'settled'],
          [true, false]
        ],
        'one flush for each event, by what has to be on disk before it is said'
      )
      const beside = size(disk) - textOfBytes(event.encoded).length
      assert.ok(beside <= 200, `${beside}`)
    })

    it('is enough to make it again, all of it', () => {
      const route = {
        hint: 'agent/*',
        sink: 'capability:guard',
        node: SELF,
        capability: 'cam',
        subject: 'door',
        text: 'Somebody.'
      }
      const events = [
        raisedEvent(1),
        raisedEvent(2, { fanOut: 3, expiresMs: 5, causes: [SELF], key: 'cam 1', route }),
        raisedEvent(3, { fanOut: 'all', priority: 'critical', round: 2 })
      ]
      note(...events.map(append))
      restart()
      const kept = log.kept.map(({ event }) => ({ ...event, encoded: Uint8Array.from(event.encoded) }))
      assert.deepEqual(
        kept,
        events.map(({ key, ...one }) => ({ ...one, ...(key !== undefined && { key }) }))
      )
    })

    it('is read as programs before this one wrote it', () => {
      const event = raisedEvent(1, { fanOut: 2, expiresMs: 60_000, causes: [SELF] })
      const { encoded, route, key: _key, of: _of, ...plain } = event
      const old = { ...plain, encoded: toString(encoded, 'base64'), route: { ...route, sink: 'document/**' } }
      delete (old.route as { subject?: unknown }).subject
      disk = [
        { k: 'append', id: '1-1', at: START_MS - 1_000, event: old as unknown as JsonObject },
        { k: 'handled', id: '1-1', by: 'a@1' },
        { k: 'settled', id: '1-9', key: 'cam 9', by: ['a@1'], at: START_MS - 500 }
      ]
      restart()
      const [{ event: read, ...kept } = assert.fail()] = log.kept
      const expected = { ...event, route: { ...event.route, sink: 'document/**' } }
      assert.deepEqual({ ...read, encoded: Uint8Array.from(read.encoded) }, expected)
      assert.deepEqual([kept, damaged], [{ ageMs: 1_000, handled: ['a@1'] }, 0])
      assert.deepEqual(log.keys, [{ key: 'cam 9', id: '1-9', by: ['a@1'], ageMs: 500 }])
    })

    it('any bytes are the same again as text', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(3), (some, times) => {
          const bytes = new Uint8Array(some.length * 300 * times)
          for (let n = 0; n < 300 * times; n++) bytes.set(some, n * some.length)
          assert.deepEqual(Uint8Array.from(bytesOfText(textOfBytes(bytes))), bytes)
          assert.deepEqual(Uint8Array.from(bytesOfText(toString(some, 'base64'))), some, 'without padding as well')
        }),
        { numRuns: 50 }
      )
    })
  })

  it('keys of events that are done are there for ten minutes, the newest of them, over restarts', () => {
    for (let n = 0; n <= MAX_FIRED_KEYS; n++)
      note({ kind: 'settled', event: raisedEvent(1, { id: `1-${n}`, key: `cam ${n}` }), by: ['a@1'] })
    restart()
    assert.deepEqual([log.keys.length, log.keys[0]!.key], [MAX_FIRED_KEYS, 'cam 1'])
    pass(FIRED_MS)
    restart()
    assert.deepEqual([log.keys, compacted()], [[], []])
  })

  it('nobody holds on to what was there at the start', () => {
    note(append(raisedEvent(1)))
    restart()
    assert.equal(log.kept.length, 1)
    note({ kind: 'settled', event: raisedEvent(1), by: ['a@1'] })
    assert.deepEqual(log.kept, [])
  })
})
