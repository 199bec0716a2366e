import assert from 'node:assert/strict'
import { MAX_OUTBOX_EVENTS } from '../../src/core/triggers/outbox-contract.ts'
import type { EventHandler } from '../../src/core/triggers/trigger-routes.ts'
import { MeshError, isMeshError } from '../../src/errors.ts'
import { createOutgoingEvents, type OutgoingEvents } from '../../src/mesh-triggers-out.ts'
import type { EventLog } from '../../src/triggers/event-store.ts'

const SELF = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'
const MESH = '12D3KooWJ6fyt5HxZdsx7mpkmR5tSTMswCC5vbwWVoUsPCzAhrjR'

describe('outgoing events', () => {
  let now: number
  let handlers: EventHandler[]
  let append: () => Promise<void>
  let answer: 'accepted' | 'done' | undefined
  let logged: string[]
  let counted: string[]
  let raised: string[]
  let out: OutgoingEvents
  const create = (withDisk = true): void => {
    const log: EventLog = { initial: [], append: () => append(), onCompact: () => undefined }
    out = createOutgoingEvents({
      self: SELF,
      membership: { mesh: MESH } as Parameters<typeof createOutgoingEvents>[0]['membership'],
      incarnation: 1,
      events: withDisk ? { outbox: log, inbox: log } : undefined,
      find: (id) =>
        id === 'cam' ? { id, type: 'sensor/camera', triggers: [{ event: 'person', routeHint: 'agent/*' }] } : undefined,
      handlers: () => handlers,
      connect: () => Promise.reject(new MeshError('unavailable', 'nobody')),
      deliver(_, to) {
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
    ;[logged, counted, raised] = [[], [], []]
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
    assert.deepEqual(await fired, { outcome: 'queued', id: '1-1', intent: 'person (cam)', kept: true, by: [], tried: [] })
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
    assert.deepEqual([outcome, kept, reason], ['queued', false, undefined])
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
    assert.deepEqual([silent.outcome, silent.by, silent.tried], ['queued', [], [`guard@${SELF}`]])
    answer = 'accepted'
    const taken = await fire()
    assert.deepEqual([taken.outcome, taken.by, taken.tried], ['delivered', [`guard@${SELF}`], []])
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
      (error) => isMeshError(error, 'invalid_argument')
    )
    out.replayDeadLetter(id!)
    assert.deepEqual(out.deadLetters(), [])
    answer = 'done'
    handlers = [guard]
    out.handlersChanged([`guard@${SELF}`])
    assert.ok(counted.includes('events.done'))
  })
})
