import assert from 'node:assert/strict'
import { BUSY_SLOTS, createAdmission } from '../../../src/core/admission.ts'
import { MAX_WAITING_EVENTS, createEventHub } from '../../../src/core/event-hub.ts'
import { MAX_BUCKETS, createTokenBuckets } from '../../../src/core/token-buckets.ts'
import { until } from '../../fixtures/libp2p-pair.ts'
import { MeshError, isMeshError } from '../../../src/errors.ts'

const never = (): AbortSignal => new AbortController().signal

describe('admission', () => {
  it('lets as many run as it may, as many wait, and says busy to the rest', () => {
    const admission = createAdmission('t', 2, 1)
    assert.equal(admission.enter('a', never()), undefined)
    assert.equal(admission.enter('a', never()), undefined)
    assert.ok(admission.enter('a', never()) instanceof Promise)
    assert.throws(
      () => admission.enter('a', never()),
      (error) => isMeshError(error, 'busy') && error.details['running'] === 2
    )
    assert.deepEqual([admission.running, admission.waiting], [2, 1])
  })

  it('lets callers take turns, and gives none more than half of the places', async () => {
    const admission = createAdmission('t', 1, 8)
    assert.equal(admission.enter('flood', never()), undefined)
    const order: string[] = []
    const waits = (caller: string): void =>
      void admission.enter(caller, never())!.then(() => {
        order.push(caller)
        admission.leave()
      })
    for (let n = 0; n < 4; n++) waits('flood')
    assert.throws(
      () => admission.enter('flood', never()),
      (error) => isMeshError(error, 'busy') && error.details['notStarted'] === true && /its share/.test(error.message)
    )
    waits('b')
    waits('c')
    waits('b')
    waits('d')
    assert.throws(() => admission.enter('e', never()), /8 waiting/)
    admission.leave()
    await until(() => order.length === 8, 'all had their turn')
    assert.deepEqual(order, ['flood', 'b', 'c', 'd', 'flood', 'b', 'flood', 'flood'])
    assert.deepEqual([admission.running, admission.waiting], [0, 0])
  })

  it('refuses early who can go elsewhere, and says so', () => {
    const admission = createAdmission('t', 2, 100)
    const enters = (elsewhere: boolean): unknown => admission.enter(String(admission.waiting), never(), elsewhere)
    for (let n = 0; n < BUSY_SLOTS * admission.slots; n++) void enters(true)
    assert.throws(
      () => enters(true),
      (error) => isMeshError(error, 'busy') && error.details['elsewhere'] === true && error.details['slots'] === 2
    )
    assert.ok(enters(false) instanceof Promise)
    const short = createAdmission('t', 2, 0)
    for (let n = 0; n < 2; n++) void short.enter('a', never(), true)
    assert.throws(
      () => short.enter('a', never(), true),
      (error) => isMeshError(error, 'busy') && !('elsewhere' in error.details)
    )
  })

  it('serves who came first', async () => {
    const admission = createAdmission('t', 1, 10)
    assert.equal(admission.enter('a', never()), undefined)
    const order: number[] = []
    const all = [1, 2, 3, 4].map(async (n) => {
      await admission.enter('a', never())
      order.push(n)
      admission.leave()
    })
    admission.leave()
    await Promise.all(all)
    assert.deepEqual(order, [1, 2, 3, 4])
    assert.deepEqual([admission.running, admission.waiting], [0, 0])
  })

  it('forgets who gave up waiting, and passes the slot to the next', async () => {
    const admission = createAdmission('t', 1, 10)
    assert.equal(admission.enter('a', never()), undefined)
    const controller = new AbortController()
    const gaveUp = admission.enter('a', controller.signal)!
    const next = admission.enter('a', never())!
    controller.abort(new MeshError('cancelled', 'enough'))
    await assert.rejects(gaveUp, (error) => isMeshError(error, 'cancelled'))
    assert.equal(admission.waiting, 1)
    admission.leave()
    await next
    assert.equal(admission.running, 1)
    const late = admission.enter('a', AbortSignal.abort(new MeshError('cancelled', 'before')))!
    await assert.rejects(late, (error) => isMeshError(error, 'cancelled'))
    assert.equal(admission.waiting, 0)
  })

  it('takes limits that make no sense as the nearest that do', () => {
    const admission = createAdmission('t', 0, 0)
    assert.equal(admission.enter('a', never()), undefined)
    assert.throws(
      () => admission.enter('a', never()),
      (error) => isMeshError(error, 'busy')
    )
  })
})

describe('token buckets', () => {
  it('gives a burst, then the rate, for each key by itself', () => {
    let now = 0
    const buckets = createTokenBuckets({ perSecond: 10, burst: 3 }, () => now)
    assert.deepEqual(
      [1, 2, 3, 4].map(() => buckets.take('a')),
      [true, true, true, false]
    )
    assert.equal(buckets.take('b'), true)
    now += 100
    assert.deepEqual([buckets.take('a'), buckets.take('a')], [true, false])
    now += 60_000
    assert.deepEqual([buckets.take('a', 3), buckets.take('a')], [true, false])
  })

  it('holds a bounded number of keys', () => {
    const buckets = createTokenBuckets({ perSecond: 0, burst: 1 }, () => 0)
    assert.equal(buckets.take('first'), true)
    for (let n = 0; n < MAX_BUCKETS - 1; n++) buckets.take(`k${n}`)
    assert.equal(buckets.take('first'), false)
    for (let n = 0; n < MAX_BUCKETS; n++) buckets.take(`l${n}`)
    assert.equal(buckets.take('first'), true, 'forgotten, which is generous')
  })
})

describe('event hub', () => {
  it('gives each reader all from its subscription on, even before its first read', async () => {
    const hub = createEventHub<number>(() => assert.fail('nothing is dropped'))
    hub.emit(0)
    const one = hub.subscribe(never())
    hub.emit(1)
    const two = hub.subscribe(never())
    hub.emit(2)
    hub.close()
    const read = async (events: AsyncIterable<number>): Promise<number[]> => {
      const all: number[] = []
      for await (const event of events) all.push(event)
      return all
    }
    assert.deepEqual([await read(one), await read(two)], [[1, 2], [2]])
  })

  it('drops the oldest of a reader that is behind, counts them, and does not slow the others', async () => {
    let dropped = 0
    const hub = createEventHub<number>(() => dropped++)
    const slow = hub.subscribe(never())[Symbol.asyncIterator]()
    for (let n = 0; n < MAX_WAITING_EVENTS + 10; n++) hub.emit(n)
    assert.equal(dropped, 10)
    assert.equal((await slow.next()).value, 10)
  })

  it('ends a reader that waits when its signal aborts, and forgets it', async () => {
    let dropped = 0
    const hub = createEventHub<number>(() => dropped++)
    const controller = new AbortController()
    const reader = hub.subscribe(controller.signal)[Symbol.asyncIterator]()
    const waiting = reader.next()
    controller.abort()
    assert.equal((await waiting).done, true)
    hub.subscribe(AbortSignal.abort())
    for (let n = 0; n < MAX_WAITING_EVENTS * 2; n++) hub.emit(n)
    assert.equal(dropped, 0)
  })
})
