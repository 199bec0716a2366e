import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as yieldToIo } from 'node:timers/promises'
import { encodeEvent } from '../../protocols/trigger/messages.ts'
import { createOutbox } from '../../src/core/triggers/outbox.ts'
import type { OutboxEffect } from '../../src/core/triggers/outbox-contract.ts'
import { COMPACT_BYTES, openEventLog } from '../../src/data-dir-event-log.ts'
import { openEventFiles } from '../../src/data-dir-events.ts'
import { isMeshError } from '../../src/errors.ts'
import { arrivedOf } from '../../src/triggers/arrived-event.ts'
import type { EventLog } from '../../src/triggers/event-store.ts'
import { createInboxLog } from '../../src/triggers/inbox-log.ts'
import { createOutboxLog } from '../../src/triggers/outbox-log.ts'
import type { RaisedEvent } from '../../src/triggers/raise.ts'

const MESH = '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR'
const SELF = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'

const encodedOf = (id: string, priority: RaisedEvent['priority'] = 'normal'): Uint8Array =>
  Uint8Array.from(
    encodeEvent({
      id,
      source: { mesh: MESH, node: SELF, capability: 'cam' },
      type: 'sensor.camera.person',
      sequence: { incarnation: 1, number: 1 },
      priority,
      subject: 'door',
      routeHint: 'agent/*',
      hopDepth: 0,
      intent: 'Somebody.',
      data: null
    })
  )
function raised(number: number, given: Partial<RaisedEvent> = {}): RaisedEvent {
  const encoded = encodedOf(`1-${number}`)
  return {
    id: `1-${number}`,
    priority: 'normal',
    bytes: encoded.length,
    of: 'cam  door',
    sequence: { incarnation: 1, number: 1 },
    fanOut: 1,
    expiresMs: 60_000,
    encoded,
    route: { hint: 'agent/*', sink: undefined, node: SELF, capability: 'cam', subject: 'door', text: 'Somebody.' },
    capability: 'cam',
    event: 'person',
    subject: 'door',
    intent: 'Somebody.',
    causes: [SELF],
    ...given
  }
}

describe('events in the data directory', () => {
  let dir: string
  let path: string
  let troubles: string[]
  let damaged: number
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'atmo-events-'))
    path = join(dir, 'events-out.log')
    troubles = []
    damaged = 0
  })
  afterEach(async () => {
    await Promise.all(logs.splice(0).map((log) => log.close()))
    await rm(dir, { recursive: true, force: true })
  })
  const logs: { close(): Promise<void> }[] = []
  /** Closed after the test. */
  const closing = async <T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> => {
    logs.push(await opening)
    return opening
  }
  const opened = () => closing(openEventLog(path, (message) => troubles.push(message)))
  const logOf = (log: EventLog, atMs = 0) =>
    createOutboxLog(log, { self: SELF, mesh: MESH, clock: () => atMs, now: () => atMs, onDamaged: () => damaged++ })

  describe('the file', () => {
    it('has what was appended, for the owner alone; half a line at its end is no trouble', async () => {
      const log = await opened()
      await Promise.all([log.append({ n: 1 }), log.append({ n: 2, text: 'ä\n€' })])
      await log.close()
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      await appendFile(path, (await readFile(path, 'utf8')).slice(0, 13))
      const again = await opened()
      assert.deepEqual(again.initial, [{ n: 1 }, { n: 2, text: 'ä\n€' }])
      const held = again.initial
      again.onCompact(() => held)
      assert.deepEqual(again.initial, [], 'who keeps it has it, and the file does not as well')
      await again.append({ n: 3 })
      await again.close()
      assert.deepEqual(
        (await opened()).initial.length,
        2,
        'what is appended after damage is in what is written anew, if it is told'
      )
      assert.deepEqual(troubles, [])
    })

    it('a damaged line in the middle loses that one, and is told', async () => {
      const log = await opened()
      for (let n = 0; n < 3; n++) await log.append({ n })
      await log.close()
      await writeFile(path, (await readFile(path, 'utf8')).replace('"n":1', '"n":7'))
      assert.deepEqual((await opened()).initial, [{ n: 0 }, { n: 2 }])
      assert.equal(troubles.length, 1)
    })

    it('one that cannot be read is set aside', async () => {
      await mkdir(path)
      const log = await opened()
      assert.deepEqual(log.initial, [])
      log.onCompact(() => [{ n: 1 }])
      await log.append({ n: 1 })
      await log.close()
      assert.deepEqual((await readdir(dir)).sort(), ['events-out.damaged.log', 'events-out.log'])
    })

    it('writes many in few flushes, and itself anew when most of it is over', async () => {
      const log = await opened()
      log.onCompact(() => [{ n: 'last' }])
      const text = 'x'.repeat(10_000)
      const count = Math.ceil(COMPACT_BYTES / text.length) + 10
      for (let round = 0; round < 2; round++) await Promise.all(Array.from({ length: count }, (_, n) => log.append({ n, text })))
      await log.append({ n: 'more' })
      await log.close()
      assert.ok((await stat(path)).size < 1_000)
      assert.deepEqual((await opened()).initial, [{ n: 'last' }, { n: 'more' }])
    })

    it('says of each record that it could not be written, and writes all of them once it can', async () => {
      const log = await openEventLog(join(dir, 'not there', 'events.log'), (message) => troubles.push(message))
      const live: { n: number }[] = []
      log.onCompact(() => live)
      const add = (n: number): Promise<void> => {
        live.push({ n })
        return log.append({ n })
      }
      const results = await Promise.allSettled([add(1), add(2)])
      for (const result of results)
        assert.ok(
          result.status === 'rejected' &&
            isMeshError(result.reason, 'unavailable') &&
            result.reason.details['reason'] === 'not_kept'
        )
      await mkdir(join(dir, 'not there'))
      await assert.rejects(add(3), 'it is left alone for a moment')
      let isKept = false
      while (!isKept) {
        await yieldToIo()
        isKept = await add(live.length + 1).then(
          () => true,
          () => false
        )
      }
      await log.close()
      const again = await closing(openEventLog(join(dir, 'not there', 'events.log'), () => undefined))
      assert.deepEqual(again.initial, live)
    })
  })

  describe('the outbox', () => {
    const effects: OutboxEffect<RaisedEvent>[] = []
    const notes: unknown[] = []
    it('is there again after any end, as it was', async () => {
      const log = logOf(await opened(), 1_000)
      const outbox = createOutbox<RaisedEvent>({
        route: () => ({ handlers: new Set(['a@1', 'b@2']) }),
        emit: (effect) => {
          effects.push(effect)
          notes.push(log.note(effect))
        },
        random: () => 0
      })
      outbox.handlersChanged(0)
      for (let n = 1; n <= 5; n++) outbox.add(raised(n, n === 2 ? { fanOut: 'all' } : {}), 0)
      outbox.add(raised(6, { priority: 'low' }), 0)
      outbox.done('1-1', 'a@1', 1)
      outbox.done('1-2', 'b@2', 1)
      outbox.sent('1-3', 'a@1', 1)
      outbox.failed('1-3', 'a@1', { code: 'tool_failed', message: 'no', retryable: false, retryAfterMs: 0 }, 1)
      outbox.failed('1-4', 'a@1', { code: 'tool_failed', message: 'no', retryable: false, retryAfterMs: 0 }, 1)
      outbox.discard('1-4')
      const read = async () => logOf(await opened(), 1_500)
      await Promise.all(notes)
      const { kept, letters } = await read()
      assert.deepEqual(
        kept.map(({ event: { id }, ageMs, handlers, handled }) => ({ id, ageMs, handlers, handled })),
        [
          { id: '1-2', ageMs: 500, handlers: ['a@1', 'b@2'], handled: ['b@2'] },
          { id: '1-5', ageMs: 500, handlers: undefined, handled: [] }
        ]
      )
      assert.deepEqual({ ...kept[1]!.event, encoded: Uint8Array.from(kept[1]!.event.encoded) }, raised(5))
      assert.deepEqual(
        letters.map(({ event, ...letter }) => ({ ...letter, id: event.id })),
        [{ id: '1-3', reason: 'failed', code: 'tool_failed', message: 'no', handled: [] }]
      )
      // The same after it was written anew.
      const log2 = await opened()
      const { initial } = log2
      const mirror = logOf(log2, 1_500)
      const records: Parameters<EventLog['append']>[0][] = []
      const copy: EventLog = { initial, append: async () => undefined, onCompact: (of) => records.push(...of()) }
      const once = logOf(copy, 1_500)
      const twice = logOf({ ...copy, initial: records, onCompact: () => undefined }, 1_500)
      assert.deepEqual([twice.kept, twice.letters], [once.kept, once.letters])
      assert.deepEqual(mirror.kept, once.kept)
      assert.equal(damaged, 0)
    })

    it('events of another mesh or node are none of its own, and what is damaged is counted', async () => {
      const log = await opened()
      const first = logOf(log)
      await first.note({ kind: 'append', event: raised(1) })
      const initial = [...(await opened()).initial, { k: 'append', id: '1-2' }, { k: 'routed' }]
      const init = { self: SELF, mesh: SELF, clock: () => 0, now: () => 0, onDamaged: () => damaged++ }
      const other = createOutboxLog({ ...log, initial }, init)
      assert.deepEqual([other.kept, damaged], [[], 2])
      assert.equal(logOf({ ...log, initial }).kept.length, 1)
      await log.close()
    })
  })

  describe('the inbox', () => {
    const event = (number: number, priority: RaisedEvent['priority'] = 'normal') => {
      const encoded = encodedOf(`1-${number}`, priority)
      const wire = {
        id: `1-${number}`,
        source: { mesh: MESH, node: SELF, capability: 'cam' },
        type: 'sensor.camera.person',
        sequence: { incarnation: 1, number: 1 },
        priority,
        subject: 'door',
        hopDepth: 0,
        intent: 'Somebody.',
        data: null
      }
      return arrivedOf({ event: wire, encoded, handler: 'guard', peer: SELF, causes: ['first'], expiresAt: 5_000 })
    }
    it('has what was accepted and not handled, and what was handled', async () => {
      const files = await closing(openEventFiles(dir, (message) => troubles.push(message)))
      const make = (log: EventLog, now: number, clock: number) =>
        createInboxLog(log, { mesh: MESH, now: () => now, clock: () => clock, handled: () => [], onDamaged: () => damaged++ })
      const first = make(files.inbox, 1_000, 50_000)
      for (const one of [event(1), event(2), event(3, 'critical'), event(4)]) await first.keep(one)
      await first.release(event(1), 'done')
      await first.release(event(3, 'critical'), 'failed')
      await first.release(event(4), undefined)
      assert.equal(first.release(event(9, 'low'), 'done'), undefined)
      await files.close()
      const again = await closing(openEventFiles(dir, (message) => troubles.push(message)))
      const second = make(again.inbox, 10, 51_000)
      const { expiresAt, ...rest } = second.kept[0]!
      assert.deepEqual([second.kept.length, expiresAt], [1, 10 + 4_000 - 1_000])
      const { expiresAt: _, ...expected } = event(2)
      const plain = { ...rest, encoded: Uint8Array.from(rest.encoded), event: undefined }
      assert.deepEqual(plain, { ...expected, event: undefined })
      assert.deepEqual(second.seen, [
        { node: SELF, key: 'guard 1-1', settled: 'done', ageMs: 1_000 },
        { node: SELF, key: 'guard 1-3', settled: 'failed', ageMs: 1_000 }
      ])
      assert.deepEqual([troubles, damaged], [[], 0])
      await again.close()
    })

    it('has what its causes were, and that a person has agreed to it', async () => {
      const init = { mesh: MESH, now: () => 0, clock: () => 0, handled: () => [], onDamaged: () => damaged++ }
      const member = { role: 'member', tags: ['kitchen'], since: 1, notAfter: 2, generation: 3 } as const
      const standings = [undefined, member]
      const first = createInboxLog(await opened(), init)
      await first.keep({ ...event(1), standings })
      await first.keep({ ...event(2), standings, isAllowed: true })
      await first.keep({ ...event(3), standings })
      await first.keep(event(4))
      await first.allow(event(3))
      assert.equal(first.allow(event(9)), undefined)
      const told = (log: EventLog): unknown[] =>
        createInboxLog(log, init).kept.map((one) => [one.id, one.standings, one.isAllowed])
      const expected = [
        ['1-1', standings, undefined],
        ['1-2', standings, true],
        ['1-3', standings, true],
        ['1-4', undefined, undefined]
      ]
      const { initial, append } = await opened()
      const anew: Parameters<EventLog['append']>[0][] = []
      assert.deepEqual(told({ initial, append, onCompact: (of) => anew.push(...of()) }), expected)
      assert.deepEqual(told({ initial: anew, append, onCompact: () => undefined }), expected)
      assert.equal(damaged, 0)
    })
  })
})
