import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PRIORITIES, type Priority } from '../../../../protocols/trigger/messages.ts'
import {
  AGEING_MS,
  QUEUE_ROOM,
  createPriorityQueues,
  type PriorityQueues
} from '../../../../src/core/triggers/priority-queues.ts'

describe('priority queues', () => {
  type Item = { priority: Priority; n: number }
  let queues: PriorityQueues<Item>
  beforeEach(() => (queues = createPriorityQueues()))
  const fill = (priority: Priority, count: number, now = 0): void => {
    for (let n = 0; n < count; n++) queues.push({ priority, n }, priority, now)
  }
  const take = (count: number, now = 0): Item[] => Array.from({ length: count }, () => queues.take(now)!)
  const counts = (items: Item[]): number[] => PRIORITIES.map((one) => items.filter(({ priority }) => priority === one).length)

  it('give critical ones half of the places, and the others 8 to 4 to 1 of the rest', () => {
    for (const priority of PRIORITIES) fill(priority, QUEUE_ROOM[priority])
    assert.deepEqual(counts(take(260)), [10, 40, 80, 130])
    assert.equal(take(1)[0]!.priority, 'critical', 'they go first')
  })

  it('give all places to who is there', () => {
    fill('critical', 10)
    fill('low', 3)
    assert.deepEqual(counts(take(7)), [3, 0, 0, 4])
    assert.deepEqual(counts(take(6)), [0, 0, 0, 6])
    assert.equal(queues.take(0), undefined)
    fill('low', 50)
    assert.deepEqual(counts(take(50)), [50, 0, 0, 0])
  })

  it('keep the order of each priority', () => {
    for (const priority of PRIORITIES) fill(priority, 100)
    const taken = take(400)
    for (const one of PRIORITIES)
      assert.deepEqual(
        taken.filter(({ priority }) => priority === one).map(({ n }) => n),
        Array.from({ length: 100 }, (_, n) => n)
      )
  })

  it('have room for so many of each; the oldest low one gives way, of others no more are taken', () => {
    for (const priority of PRIORITIES) {
      fill(priority, QUEUE_ROOM[priority])
      assert.equal(queues.sizeOf(priority), QUEUE_ROOM[priority])
      const answer = queues.push({ priority, n: -1 }, priority, 0)
      assert.deepEqual(answer, priority === 'low' ? { taken: true, dropped: { priority, n: 0 } } : { taken: false })
      assert.equal(queues.sizeOf(priority), QUEUE_ROOM[priority])
    }
    assert.equal(
      queues.size,
      PRIORITIES.reduce((sum, one) => sum + QUEUE_ROOM[one], 0)
    )
  })

  it('take in what was promised a place, however many there are, and give out what is looked for', () => {
    for (let n = 0; n <= QUEUE_ROOM.critical; n++) queues.add({ priority: 'critical', n }, 'critical', 0)
    assert.equal(queues.size, QUEUE_ROOM.critical + 1)
    const third = queues.find('critical', ({ n }) => n >= 2)!
    assert.deepEqual([third.n, queues.find('low', () => true)], [2, undefined])
    assert.deepEqual([queues.delete(third, 'critical'), queues.delete(third, 'critical')], [true, false])
    assert.deepEqual(
      take(3).map(({ n }) => n),
      [0, 1, 3]
    )
    assert.equal(queues.size, QUEUE_ROOM.critical - 3)
  })

  it('take what has waited as more urgent, in its order, but never as critical', () => {
    for (const [waitedMs, share] of [
      [AGEING_MS - 1, 1],
      [AGEING_MS, 4],
      [2 * AGEING_MS, 8],
      [1_000 * AGEING_MS, 8]
    ] as const) {
      queues = createPriorityQueues()
      fill('low', 100, 0)
      fill('high', 100, waitedMs)
      fill('critical', 100, waitedMs)
      take(16, waitedMs)
      const [low, , high, critical] = counts(take(2 * (8 + share), waitedMs))
      assert.deepEqual([low, high, critical], [share, 8, 8 + share])
    }
    queues = createPriorityQueues()
    fill('normal', 10, 0)
    fill('high', 100, 0)
    assert.deepEqual(counts(take(16, AGEING_MS))[1], 8)
  })

  it('starve none: what is first of its priority goes within 50 places, whatever else comes', () => {
    const step = fc.record({ priority: fc.constantFrom(...PRIORITIES), many: fc.nat(6), waitMs: fc.constantFrom(0, 10, 6_000) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
        queues = createPriorityQueues()
        let now = 0
        let pushed = 0
        const gone = new Set<Item>()
        const since = new Map<Priority, number>()
        steps.forEach(({ priority, many, waitMs }, place) => {
          now += waitMs
          for (let n = 0; n < many && queues.sizeOf(priority) < QUEUE_ROOM[priority]; n++) {
            const { taken, dropped } = queues.push({ priority, n: pushed++ }, priority, now)
            assert.ok(taken)
            assert.equal(dropped, undefined)
          }
          const before = PRIORITIES.map((one) => queues.sizeOf(one))
          const item = queues.take(now)
          if (item === undefined) return
          assert.ok(!gone.has(item), 'nothing comes twice')
          gone.add(item)
          PRIORITIES.forEach((one, n) => {
            if (before[n] === 0 || queues.sizeOf(one) < before[n]!) since.set(one, place)
            assert.ok(place - (since.get(one) ?? 0) <= 50, `${one} waits`)
          })
        })
        for (let item = queues.take(now); item !== undefined; item = queues.take(now)) gone.add(item)
        assert.equal(gone.size, pushed, 'nothing is lost')
      })
    )
  })
})
