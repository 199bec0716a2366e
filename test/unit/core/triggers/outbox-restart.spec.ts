import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PRIORITIES } from '../../../../protocols/trigger/messages.ts'
import { createOutbox } from '../../../../src/core/triggers/outbox.ts'
import type { Kept, Outbox, OutboxEvent } from '../../../../src/core/triggers/outbox-contract.ts'
import { CRITICAL_ACK_WAIT_MS, RETURN_MS, askTakerMs } from '../../../../src/core/triggers/retry-times.ts'

/** Long enough for everything, and far from the end of an event. */
const NOW = 1_000

describe('an outbox after a restart', () => {
  let there: string[]
  /** Those that may be meant, as long as that is not known. */
  let undecided: string[] | undefined
  /** Events that go by a name, whatever words mean, and to whom. */
  let named: string[]
  let by: string[]
  let sent: string[]
  let settled: string[]
  let outbox: Outbox<OutboxEvent>
  const event = (id: string, given: Partial<OutboxEvent> = {}): OutboxEvent => ({
    id,
    priority: 'normal',
    bytes: 100,
    fanOut: 1,
    expiresMs: 86_400_000,
    ...given
  })
  const restart = (...kept: Partial<Kept<OutboxEvent>>[]): void => {
    ;[there, sent, settled, undecided, named, by] = [[], [], [], undefined, [], ['b', 'a']]
    const isNamed = ({ id }: OutboxEvent): boolean => named.includes(id)
    outbox = createOutbox<OutboxEvent>({
      route(one) {
        if (isNamed(one)) return { handlers: new Set(by) }
        return undecided === undefined ? { handlers: new Set(there) } : { handlers: new Set(), undecided: new Set(undecided) }
      },
      wayOf: (one) => (isNamed(one) ? 'name' : 'words'),
      isOrdered: (handler) => handler === 'a',
      emit(effect) {
        if (effect.kind === 'send') sent.push(`${effect.event.id} to ${effect.handler}`)
        if (effect.kind === 'settled') settled.push(`${effect.event.id} by ${effect.by.join()}`)
      },
      random: () => 0,
      kept: kept.map((one, n) => ({ event: event(`${n + 1}`), ageMs: 0, handled: [], ...one })),
      now: NOW
    })
  }
  const appear = (handler: string, now = NOW): void => {
    there = [...there, handler]
    outbox.handlersChanged(now, [handler])
  }

  it('gives what a handler had accepted to that one, not to who is there first', () => {
    restart({ acceptedBy: ['a'] })
    appear('b')
    assert.deepEqual([sent, outbox.pending()[0]!.reason, outbox.pending()[0]!.handlers], [[], 'away', ['a']])
    appear('a')
    assert.deepEqual(sent, ['1 to a'])
    outbox.sent('1', 'a', NOW)
    outbox.done('1', 'a', NOW)
    assert.deepEqual(settled, ['1 by a'])
  })

  for (const [priority, ms] of [
    ['normal', RETURN_MS],
    ['critical', CRITICAL_ACK_WAIT_MS]
  ] as const)
    it(`asks that one, and no other, however long it takes to know whether it is meant, ${priority}`, () => {
      for (const isMeant of [true, false]) {
        restart({ event: event('1', { priority }), acceptedBy: ['a'] })
        undecided = ['a', 'b']
        outbox.handlersChanged(NOW, ['a', 'b'])
        const known = NOW + 10 * ms
        for (let now = outbox.nextAt; now <= known; now = outbox.nextAt) outbox.tick(now)
        assert.deepEqual([sent, outbox.pending()[0]!.reason, outbox.pending()[0]!.tries], [[], 'away', 0])
        ;[there, undecided] = [isMeant ? ['b', 'a'] : ['b'], undefined]
        outbox.handlersChanged(known)
        assert.deepEqual(sent, isMeant ? ['1 to a'] : [])
        outbox.handlersChanged(known)
        outbox.tick(known + ms - 1)
        assert.deepEqual(sent, isMeant ? ['1 to a'] : [])
        outbox.tick(known + ms)
        assert.deepEqual(sent, isMeant ? ['1 to a'] : ['1 to b'], 'who is not meant is not waited for without end')
      }
    })

  for (const [priority, ms] of [
    ['normal', RETURN_MS],
    ['critical', CRITICAL_ACK_WAIT_MS]
  ] as const)
    describe(`where it is not known whether an older one of its subject is meant for that one, ${priority}`, () => {
      const known = NOW + 10 * ms + 1
      const of = 'cam'
      beforeEach(() => {
        restart(
          { event: event('1', { priority, of }) },
          ...['2', '3'].map((id) => ({ event: event(id, { priority, of }), acceptedBy: ['a'] }))
        )
        ;[named, undecided] = [
          ['2', '3'],
          ['a', 'b']
        ]
        outbox.handlersChanged(NOW, ['a', 'b'])
        for (let now = outbox.nextAt; now <= known; now = outbox.nextAt) outbox.tick(now)
        assert.deepEqual(sent, [], 'both wait as long as that takes')
        undecided = undefined
      })

      it('asks that one, and no other, as soon as nobody is meant', () => {
        outbox.handlersChanged(known)
        assert.deepEqual(sent, ['2 to a'])
        outbox.sent('2', 'a', known)
        assert.deepEqual(sent, ['2 to a', '3 to a'])
      })

      it('asks that one, and no other, after the older one where it is meant', () => {
        there = ['a', 'b']
        outbox.handlersChanged(known)
        assert.deepEqual(sent, ['1 to a'])
        // Their time to be asked begins when it is known.
        outbox.tick(known + ms - 1)
        for (const id of ['1', '2', '3']) outbox.sent(id, 'a', known + ms - 1)
        assert.deepEqual(sent, ['1 to a', '2 to a', '3 to a'])
      })

      it('asks that one, and no other, when nobody wants the older one any more', () => {
        undecided = ['a', 'b']
        outbox.withdraw('1', known)
        assert.deepEqual(sent, ['2 to a'])
      })

      it('asks that one, and no other, for each of them when the link is slow after that', () => {
        undecided = ['a', 'b']
        outbox.withdraw('1', known)
        const timeOfBoth = NOW + 11 * ms
        outbox.tick(timeOfBoth)
        assert.deepEqual(sent, ['2 to a'])
        outbox.tick(timeOfBoth + ms - 1)
        outbox.sent('2', 'a', timeOfBoth + ms - 1)
        assert.deepEqual(sent, ['2 to a', '3 to a'], 'the time of the second began when it was known that it may go')
      })

      it('asks it in its time where that one has accepted it once more and was lost', () => {
        outbox.accepted('2', 'a', known)
        assert.deepEqual(sent.splice(0), ['3 to a'])
        outbox.lost('2', 'a', known)
        outbox.handlersChanged(known)
        outbox.tick(known + askTakerMs(priority) - 1)
        assert.deepEqual(sent, [])
        outbox.tick(known + askTakerMs(priority))
        assert.deepEqual(sent, ['2 to a'])
      })

      it('asks that one, and no other, when the time of the older one is over together with its own', () => {
        restart(
          { event: event('1', { priority, of, expiresMs: 5 * ms }) },
          ...['2', '3'].map((id) => ({ event: event(id, { priority, of }), acceptedBy: ['a'] }))
        )
        ;[named, undecided] = [
          ['2', '3'],
          ['a', 'b']
        ]
        outbox.handlersChanged(NOW, ['a', 'b'])
        for (let now = outbox.nextAt; now <= NOW + 5 * ms; now = outbox.nextAt) outbox.tick(now)
        assert.deepEqual([sent, outbox.size], [['2 to a'], 2])
        outbox.sent('2', 'a', NOW + 5 * ms)
        assert.deepEqual(sent, ['2 to a', '3 to a'])
      })
    })

  it('asks whom had accepted one again, over a lost way, when it is known that an older one is not meant for that one', () => {
    restart()
    ;[named, by] = [['2'], ['a']]
    for (const id of ['1', '2']) outbox.add(event(id, { of: 'cam' }), NOW)
    outbox.sent('2', 'a', NOW)
    outbox.accepted('2', 'a', NOW)
    undecided = ['a']
    outbox.lost('2', 'a', NOW)
    const askAt = NOW + askTakerMs('normal')
    outbox.tick(askAt)
    assert.deepEqual(sent, ['2 to a'])
    undecided = undefined
    outbox.handlersChanged(askAt)
    assert.deepEqual(sent, ['2 to a', '2 to a'])
  })

  for (const [priority, ms] of [
    ['normal', RETURN_MS],
    ['critical', CRITICAL_ACK_WAIT_MS]
  ] as const)
    it(`gives it to another when that one stays away, ${priority}`, () => {
      restart({ event: event('1', { priority }), acceptedBy: ['a'] })
      appear('b')
      outbox.tick(NOW + ms - 1)
      assert.deepEqual(sent, [])
      outbox.tick(NOW + ms)
      assert.deepEqual(sent, ['1 to b'])
    })

  it('of several handlings one waits for each who had accepted, the others go out', () => {
    restart({ event: event('1', { fanOut: 3 }), handled: ['h'], acceptedBy: ['a'] })
    for (const handler of ['h', 'b', 'c']) appear(handler)
    assert.deepEqual(sent, ['1 to b'])
    appear('a')
    assert.deepEqual(sent, ['1 to b', '1 to a'])
  })

  it('of all that it goes to each is asked for its own', () => {
    restart({ event: event('1', { fanOut: 'all' }), handlers: ['a', 'b', 'h'], handled: ['h'], acceptedBy: ['b', 'elsewhere'] })
    for (const handler of ['c', 'h', 'b', 'a']) appear(handler)
    assert.deepEqual(sent, ['1 to b', '1 to a'])
  })

  it('its answer counts though it was not asked again', () => {
    restart({ acceptedBy: ['a'] })
    outbox.done('1', 'a', NOW)
    assert.deepEqual([settled, outbox.size], [['1 by a'], 0])
  })

  it('nobody gets what another has, whoever appears in whatever order, and all of it ends', () => {
    const names = ['a', 'b', 'c', 'd']
    const kept = fc.record({
      priority: fc.constantFrom(...PRIORITIES.slice(1)),
      fanOut: fc.nat(2).map((n) => n + 1),
      acceptedBy: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 3 })
    })
    fc.assert(
      fc.property(
        fc.array(kept, { minLength: 1, maxLength: 8 }),
        fc.shuffledSubarray(names, { minLength: names.length }),
        (all, order) => {
          restart(
            ...all.map(({ priority, fanOut, acceptedBy }, n) => ({
              event: event(`${n + 1}`, { priority, fanOut }),
              acceptedBy: acceptedBy.slice(0, fanOut)
            }))
          )
          for (const handler of order) appear(handler)
          all.forEach(({ fanOut, acceptedBy }, n) => {
            const mine = sent.filter((one) => one.startsWith(`${n + 1} `)).map((one) => one.slice(-1))
            assert.equal(mine.length, fanOut, 'each handling is with one')
            for (const handler of acceptedBy.slice(0, fanOut)) assert.ok(mine.includes(handler), `${handler} gets what it had`)
          })
          for (const one of [...sent]) {
            const [id, , handler] = one.split(' ') as [string, string, string]
            outbox.sent(id, handler, NOW)
            outbox.done(id, handler, NOW)
          }
          assert.deepEqual([settled.length, outbox.size, outbox.waiting, outbox.bytes], [all.length, 0, 0, 0])
        }
      )
    )
  })
})
