import assert from 'node:assert/strict'
import { MAX_OUTBOX_EVENTS } from '../../src/core/triggers/outbox-contract.ts'
import type { EventHandler } from '../../src/core/triggers/trigger-routes.ts'
import { fromString } from 'uint8arrays/from-string'
import type { JsonObject, JsonValue } from '../../protocols/json.ts'
import { decodeEvent } from '../../protocols/trigger/messages.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { MAX_LOOKUPS, type EventMeaning } from '../../src/mesh-meant-handlers.ts'
import { createOutgoingEvents, type OutgoingEvents } from '../../src/mesh-triggers-out.ts'
import type { EventLog } from '../../src/triggers/event-store.ts'
import { createPayloadMemory } from '../../src/triggers/payload-store.ts'
import { until } from '../backends/contract.ts'

const SELF = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const MESH = '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR'

describe('outgoing events', () => {
  let now: number
  let handlers: EventHandler[]
  let append: (record: JsonObject) => Promise<void>
  let answer: 'accepted' | 'done' | undefined
  let logged: string[]
  let counted: string[]
  let raised: string[]
  let delivered: string[]
  /** Whom words mean; undefined: not known yet, but when `learning` is done. */
  let learned: EventMeaning['among'] | undefined
  let learning: Promise<void>
  let revision: number | undefined
  let out: OutgoingEvents
  const create = (withDisk = true, initial: JsonObject[] = [], payloads = createPayloadMemory()): void => {
    const log: EventLog = { initial, append: (record) => append(record), onCompact: () => undefined }
    out = createOutgoingEvents({
      self: SELF,
      membership: { mesh: MESH } as Parameters<typeof createOutgoingEvents>[0]['membership'],
      incarnation: 1,
      events: withDisk ? { outbox: log, inbox: log, outboxPayloads: payloads, inboxPayloads: payloads } : undefined,
      find: (id) =>
        id === 'cam'
          ? {
              id,
              type: 'sensor/camera',
              triggers: [
                { event: 'person', routeHint: 'agent/*' },
                { event: 'said', routeHint: 'meaning:agent/*', intentTemplate: 'Somebody is at the door.' },
                { event: 'heard', routeHint: 'meaning:agent/*', intentTemplate: '{what}' },
                { event: 'named', routeHint: 'capability:log' },
                { event: 'tick' },
                { event: 'level', routeHint: 'agent/*', priority: 'low' }
              ]
            }
          : undefined,
      offers: () => [],
      handlers: () => handlers,
      meaning: {
        among: (text, all) => (learned === undefined ? undefined : learned(text, all)),
        ready: () => learning,
        revision: () => revision
      },
      connect: () => Promise.reject(new MeshError('unavailable', 'nobody')),
      deliver(delivery, to) {
        delivered.push(delivery.handler)
        if (answer !== undefined) to.answers.answer(to.number, answer)
      },
      onRaised: ({ id }) => raised.push(id),
      change: (work) => out.around(work),
      now: () => now,
      random: () => 0,
      log: (_, message) => logged.push(message),
      count: (counter) => counted.push(counter)
    })
  }
  beforeEach(() => {
    now = 0
    handlers = []
    append = () => Promise.resolve()
    answer = undefined
    learned = undefined
    learning = Promise.resolve()
    revision = 1
    ;[logged, counted, raised, delivered] = [[], [], [], []]
    create()
  })
  const fire = (waitMs = 5) => out.fire('cam', 'person', null, { waitMs })
  const guard = { node: SELF, capability: 'guard', type: 'agent/guard', healthy: true }

  it('is queued, and on disk, before that is said', async () => {
    let written: (() => void) | undefined
    append = () => new Promise((resolve) => (written = resolve))
    const fired = fire()
    let told = false
    void fired.then(() => (told = true))
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(told, false)
    written!()
    assert.deepEqual(await fired, {
      outcome: 'queued',
      id: '1-1',
      intent: 'person (cam)',
      kept: true,
      by: [],
      tried: [],
      reason: 'no_handler'
    })
  })

  it('by meaning waits until it is known who is meant, and goes there, not to another', async () => {
    handlers = [guard, { ...guard, capability: 'cook', type: 'agent/cook' }]
    answer = 'done'
    let know: (() => void) | undefined
    learning = new Promise((resolve) => (know = resolve))
    const { outcome, reason, id } = await out.fire('cam', 'said', null, { key: 'k', waitMs: 5 })
    assert.deepEqual([outcome, reason, delivered], ['queued', 'no_handler', []])
    const asked: string[] = []
    learned = (text, all) => {
      asked.push(text)
      return all.filter(({ capability }) => capability === 'guard')
    }
    know!()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([delivered, new Set(asked)], [['guard'], new Set(['Somebody is at the door.'])])
    const again = await out.fire('cam', 'said', null, { key: 'k' })
    assert.deepEqual([again.id, again.outcome, again.by], [id, 'delivered', [`guard@${SELF}`]])
    const { route, by } = await out.fire('cam', 'said', null, {})
    assert.deepEqual([route, by], ['meaning', [`guard@${SELF}`]])
  })

  it('by meaning asks once for all that wait, each time that they are looked at, until it is known who is meant', async () => {
    handlers = [guard]
    let asked = 0
    learned = () => void asked++
    let know: (() => void) | undefined
    learning = new Promise((resolve) => (know = resolve))
    for (let n = 0; n < 20; n++) await out.fire('cam', 'said', null, { waitMs: 0 })
    for (let n = 0; n < 2; n++) {
      asked = 0
      out.handlersChanged([])
      assert.equal(asked, 1)
      await new Promise((resolve) => setImmediate(resolve))
    }
    answer = 'done'
    learned = (_, all) => all
    know!()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([delivered.length, out.waitingEvents().total], [20, 0])
  })

  it('by meaning goes after a restart to whom has accepted it, once it is known that it is meant', async () => {
    const written: JsonObject[] = []
    append = (record) => {
      written.push(record)
      return Promise.resolve()
    }
    const other = { ...guard, capability: 'first' }
    ;[handlers, answer] = [[guard], 'accepted']
    learned = (_, all) => all
    assert.equal((await out.fire('cam', 'said', null, {})).outcome, 'delivered')
    out.stop()
    let know: (() => void) | undefined
    learning = new Promise((resolve) => (know = resolve))
    create(true, structuredClone(written))
    ;[learned, delivered, answer] = [undefined, [], 'done']
    handlers = [other, guard]
    out.handlersChanged([`first@${SELF}`, `guard@${SELF}`])
    now = 60_000
    out.tick(now)
    assert.deepEqual(delivered, [])
    learned = (_, all) => all
    know!()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([delivered, out.waitingEvents().total], [['guard'], 0])
  })

  it('by meaning waits for somebody, where nobody is meant and there is no sink', async () => {
    handlers = [guard]
    learned = () => []
    const { outcome, reason } = await out.fire('cam', 'said', null, { waitMs: 5 })
    assert.deepEqual([outcome, reason, delivered], ['queued', 'no_handler', []])
  })

  it('by meaning that meant nobody goes to whom it means once that says something else, and asks no more than that', async () => {
    handlers = [guard]
    let asked = 0
    const mean = (count: number): void => {
      learned = (_, all) => {
        asked++
        return all.slice(0, count)
      }
    }
    mean(0)
    answer = 'done'
    out.offersChanged()
    assert.equal(asked, 0, 'no event goes by words')
    await out.fire('cam', 'said', null, { waitMs: 0 })
    out.offersChanged()
    const change = (): void => {
      handlers = [...handlers]
      out.offersChanged()
    }
    const before = asked
    change()
    assert.deepEqual([delivered, asked], [[], before], 'what is offered says what it said')
    mean(1)
    revision = undefined
    change()
    assert.deepEqual(delivered, [])
    revision = 2
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([delivered, out.waitingEvents().total], [['guard'], 0])
    const last = asked
    revision = 3
    change()
    assert.equal(asked, last, 'no event waits')
    mean(0)
    await out.fire('cam', 'said', null, { waitMs: 0 })
    mean(1)
    revision = 4
    change()
    await until(() => delivered.length > 1, 'the second one')
    assert.deepEqual(delivered, ['guard', 'guard'], 'somebody else has learned it')
  })

  it('by meaning that meant nobody goes out then, also where another one said the same before, and is gone', async () => {
    handlers = [guard]
    let meant = 0
    learned = (_, all) => all.slice(0, meant)
    const change = (): void => {
      handlers = [...handlers]
      out.offersChanged()
    }
    const { id } = await out.fire('cam', 'said', null, { waitMs: 0 })
    out.discardEvent(id!)
    change()
    await out.fire('cam', 'said', null, { waitMs: 0 })
    answer = 'done'
    meant = 1
    revision = 2
    change()
    await until(() => delivered.length === 1, 'the second one')
  })

  /** So many events wait, of words of their own. */
  async function hearAll(count: number): Promise<void> {
    for (let n = 0; n < count; n++) await out.fire('cam', 'heard', { location: 'door', what: `noise ${n}` }, { waitMs: 0 })
    await new Promise((resolve) => setImmediate(resolve))
  }

  it('by meaning are looked up at a pace however often handlers come and go, and each of them is', async () => {
    const other = { ...guard, capability: 'cook', type: 'agent/cook' }
    ;[handlers, answer] = [[guard, other], 'done']
    let asked: string[] = []
    let meant = 0
    learned = (text, all) => {
      asked.push(text)
      return all.slice(0, meant)
    }
    const count = 3 * MAX_LOOKUPS
    await hearAll(count)
    assert.equal(asked.length, count, 'each at once, for the first time')
    asked = []
    for (let n = 0; n < 20; n++) {
      handlers = n % 2 === 0 ? [guard] : [guard, other]
      out.handlersChanged(n % 2 === 0 ? [] : ['cook'])
      out.offersChanged()
      await new Promise((resolve) => setImmediate(resolve))
    }
    // As many for each rest that is over meanwhile, for a machine that is slow.
    assert.ok(asked.length > 0 && asked.length <= 10 * MAX_LOOKUPS, `${asked.length} look-ups`)
    meant = 1
    handlers = [guard]
    out.handlersChanged([])
    await until(() => out.waitingEvents().total === 0, 'all of them')
    assert.equal(delivered.length, count)
  })

  it('by name does not look up words again when a node has said the same of itself once more', async () => {
    handlers = [guard, { ...guard, capability: 'log', type: 'log/file', ordered: true }]
    let asked = 0
    learned = () => {
      asked++
      return []
    }
    await hearAll(10)
    assert.equal(asked, 10)
    handlers = structuredClone(handlers)
    out.offersChanged()
    await out.fire('cam', 'named', { location: 'door' }, { waitMs: 0 })
    assert.deepEqual([asked, delivered], [10, ['log']])
    handlers = structuredClone(handlers)
    revision = 2
    await out.fire('cam', 'named', { location: 'door' }, { waitMs: 0 })
    assert.ok(asked > 10, 'words may mean something else')
  })

  it('that says nobody, at a node without a default sink, goes nowhere, takes no room, and is observed', async () => {
    handlers = [guard]
    const { outcome, reason } = await out.fire('cam', 'tick', null, { waitMs: 0 })
    assert.deepEqual([outcome, reason, out.waitingEvents().total, raised.length], ['dropped', 'no_route', 0, 1])
    assert.deepEqual([counted, logged], [['events.refused.no_route'], []])
  })

  it('a full disk: it says that it is not kept, and it is handled all the same', async () => {
    append = () => Promise.reject(new MeshError('unavailable', 'cannot write (ENOSPC)', { reason: 'not_kept' }))
    const { outcome, kept, reason } = await fire()
    assert.deepEqual([outcome, kept, reason], ['queued', false, 'not_kept'])
    assert.deepEqual([logged, counted], [['cannot write (ENOSPC)'], ['events.not_kept']])
    answer = 'done'
    handlers = [guard]
    out.handlersChanged([`guard@${SELF}`])
    assert.ok(counted.includes('events.done'))
  })

  it('without a disk nothing is kept, and a stop says what is lost', async () => {
    create(false)
    const { outcome, kept, reason } = await fire()
    assert.deepEqual([outcome, kept, reason], ['queued', false, 'no_handler'])
    out.stop()
    assert.match(logged[0]!, /^1 events that are not done are lost/)
    await assert.rejects(fire(), (error) => isMeshError(error, 'unavailable'))
  })

  it('past what the outbox holds an event is dropped, and that is said and counted', async () => {
    await Promise.all(Array.from({ length: MAX_OUTBOX_EVENTS }, () => fire()))
    const { outcome, reason } = await fire()
    assert.deepEqual([outcome, reason], ['dropped', 'full'])
    assert.ok(counted.includes('events.refused.full') && logged.length === 1)
  })

  it('delivered is what a handler has taken; what it has not, is tried', async () => {
    handlers = [guard]
    const silent = await fire()
    assert.deepEqual([silent.outcome, silent.by, silent.tried, silent.reason], ['queued', [], [`guard@${SELF}`], 'unanswered'])
    answer = 'accepted'
    const taken = await fire()
    assert.deepEqual([taken.outcome, taken.by, taken.tried], ['delivered', [`guard@${SELF}`], []])
  })

  it('what waits is listed, and may be discarded, over a restart as well', async () => {
    const written: JsonObject[] = []
    append = (record) => {
      written.push(record)
      return Promise.resolve()
    }
    const { id } = await fire()
    const { events, total } = out.waitingEvents()
    const [{ since, expires, ...event } = assert.fail('none is listed')] = events
    assert.equal(total, 1)
    assert.equal(Date.parse(expires) - Date.parse(since), 86_400_000)
    assert.ok(Math.abs(Date.parse(since) - Date.now()) < 60_000)
    assert.deepEqual(event, {
      id,
      capability: 'cam',
      event: 'person',
      intent: 'person (cam)',
      priority: 'normal',
      reason: 'no_handler',
      handlers: [],
      tries: 0,
      handled: []
    })
    assert.throws(
      () => out.discardEvent('1-9'),
      (error) => isMeshError(error, 'not_found')
    )
    out.discardEvent(id!)
    assert.deepEqual(out.waitingEvents(), { events: [], total: 0, unaccepted: 0 })
    assert.deepEqual([written.at(-1), counted.includes('events.withdrawn')], [{ k: 'settled', id }, true])
    answer = 'done'
    handlers = [guard]
    out.handlersChanged([`guard@${SELF}`])
    assert.ok(!counted.includes('events.done'))
  })

  it('what a handler has accepted waits for it after a restart, and goes to nobody else who is there first', async () => {
    const written: JsonObject[] = []
    append = (record) => {
      written.push(record)
      return Promise.resolve()
    }
    ;[handlers, answer] = [[guard], 'accepted']
    assert.equal((await fire()).outcome, 'delivered')
    out.stop()
    create(true, structuredClone(written))
    delivered = []
    handlers = [{ ...guard, capability: 'first' }]
    out.handlersChanged([`first@${SELF}`])
    assert.deepEqual([delivered, out.waitingEvents().events[0]!.reason], [[], 'away'])
    handlers = [...handlers, guard]
    answer = 'done'
    out.handlersChanged([`guard@${SELF}`])
    assert.deepEqual([delivered, out.waitingEvents().total], [['guard'], 0])
  })

  it('a large payload is there after a restart, or its event is not', async () => {
    const written: JsonObject[] = []
    append = (record) => {
      written.push(record)
      return Promise.resolve()
    }
    const { id, kept } = await out.fire('cam', 'person', 'x'.repeat(100_000), { waitMs: 0 })
    assert.equal(kept, true)
    const { size, hash } = decodeEvent(
      fromString((written[0] as { event: { encoded: string } }).event.encoded, 'base64')
    ).dataRef!
    create(true, written, { ...createPayloadMemory(), initial: new Map([[hash, size]]) })
    assert.deepEqual(
      out.waitingEvents().events.map((event) => event.id),
      [id]
    )
    for (const initial of [new Map<string, number>(), new Map([[hash, size - 1]])]) {
      counted = []
      create(true, written.slice(0, 1), { ...createPayloadMemory(), initial })
      assert.deepEqual([out.waitingEvents().total, counted, written.at(-1)], [0, ['events.damaged'], { k: 'settled', id }])
    }
  })

  it('large payloads past what memory holds are dropped, and that is said', async () => {
    create(false)
    const large = (n: number) => out.fire('cam', 'person', `${n}${'x'.repeat(15_000_000)}`, { waitMs: 0 })
    const outcomes = [await large(1), await large(2), await large(3)].map(({ outcome, reason }) => [outcome, reason])
    assert.deepEqual(outcomes, [
      ['queued', 'no_handler'],
      ['queued', 'no_handler'],
      ['dropped', 'full']
    ])
    out.discardEvent('1-1')
    assert.equal((await large(4)).outcome, 'queued')
  })

  it('no more than 1,000 are listed', async () => {
    append = () => Promise.resolve()
    await Promise.all(Array.from({ length: 1_000 }, () => out.fire('cam', 'person', null, { waitMs: 0 })))
    assert.deepEqual([out.waitingEvents().events.length, out.waitingEvents().total], [1_000, 1_000])
  })

  it('one of low priority with a key is the same event until it is done, and after that; another one once it was dropped', async () => {
    const keyed = (key: string) => out.fire('cam', 'level', null, { waitMs: 0, key })
    const first = await keyed('a')
    assert.equal(first.outcome, 'queued')
    const again = await keyed('a')
    assert.deepEqual([again.id, again.duplicate, again.kept, out.waitingEvents().total], [first.id, true, false, 1])
    assert.deepEqual([again.outcome, again.intent, again.reason], ['queued', first.intent, first.reason], 'as the first one')
    answer = 'done'
    handlers = [guard]
    out.handlersChanged([`guard@${SELF}`])
    const done = await keyed('a')
    assert.deepEqual([done.id, done.duplicate, done.by], [first.id, true, [`guard@${SELF}`]])
    const atOnce = await keyed('b')
    assert.equal(atOnce.outcome, 'delivered')
    assert.deepEqual((await keyed('b')).by, [`guard@${SELF}`])
    assert.equal(delivered.length, 2)
    handlers = []
    const dropped = await keyed('c')
    now += 86_400_000
    out.around(() => out.tick(now))
    assert.notEqual((await keyed('c')).id, dropped.id)
  })

  it('a key is of one trigger, and of one payload, also after a restart', async () => {
    const log: JsonObject[] = []
    append = (record) => Promise.resolve(void log.push(record))
    create(true)
    const keyed = (event: string, payload: JsonValue): Promise<unknown> =>
      out.fire('cam', event, payload, { waitMs: 0, key: 'a' }).then(
        ({ id, duplicate = false }) => [id, duplicate],
        (error: unknown) => (isMeshError(error) ? error.code : error)
      )
    const first = (await keyed('person', { a: 1, b: [2] })) as [string, boolean]
    assert.deepEqual(await keyed('person', { b: [2], a: 1 }), [first[0], true])
    assert.equal(await keyed('person', { a: 1, b: [3] }), 'conflict')
    const other = (await keyed('level', null)) as [string, boolean]
    assert.deepEqual([other[1], other[0] === first[0]], [false, false])
    const isKnown = async (): Promise<void> =>
      assert.deepEqual([await keyed('person', { a: 1, b: [2] }), await keyed('person', null)], [[first[0], true], 'conflict'])
    create(true, structuredClone(log))
    await isKnown()
    answer = 'done'
    handlers = [guard]
    out.handlersChanged([`guard@${SELF}`])
    await isKnown()
    create(true, structuredClone(log))
    await isKnown()
  })

  it('what was fired with a key is another event once it was discarded, and the same one as the dead letter that goes out anew', async () => {
    const keyed = () => out.fire('cam', 'person', null, { waitMs: 0, key: 'a' })
    const first = await keyed()
    const again = await keyed()
    assert.deepEqual([again.id, again.duplicate, first.duplicate], [first.id, true, undefined])
    out.discardEvent(first.id!)
    const second = await keyed()
    assert.notEqual(second.id, first.id)
    now = 86_400_001
    out.around(() => out.tick(now))
    out.replayDeadLetter(second.id!)
    assert.equal((await keyed()).id, second.id)
  })

  it('what waits too long is a dead letter, which goes out anew when asked', async () => {
    const { id } = await fire()
    now = 86_400_001
    out.around(() => out.tick(now))
    assert.deepEqual(
      out.deadLetters().map((letter) => [letter.id, letter.reason]),
      [[id, 'expired']]
    )
    assert.throws(
      () => out.replayDeadLetter('1-9'),
      (error) => isMeshError(error, 'not_found')
    )
    out.replayDeadLetter(id!)
    assert.deepEqual(out.deadLetters(), [])
    answer = 'done'
    handlers = [guard]
    out.handlersChanged([`guard@${SELF}`])
    assert.ok(counted.includes('events.done'))
  })
})
