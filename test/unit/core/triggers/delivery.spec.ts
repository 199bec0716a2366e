import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createRandom } from '../../../../scripts/simulate/random.ts'
import { PRIORITIES } from '../../../../protocols/trigger/messages.ts'
import { MAX_OUTBOX_EVENTS } from '../../../../src/core/triggers/outbox-contract.ts'
import { SEEN_MS } from '../../../../src/core/triggers/seen-events.ts'
import { DeliveryWorld } from './delivery-world.ts'

const NAMES = ['a', 'b', 'c']
const name = fc.constantFrom(...NAMES)
const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('add'),
      priority: fc.constantFrom(...PRIORITIES),
      fanOut: fc.constantFrom(1, 1, 2, 'all' as const)
    })
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('pump'), name }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('deliver'), at: fc.nat(5), busy: fc.constantFrom(false, false, false, true) })
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('finish'), name, how: fc.constantFrom('done', 'done', 'again', 'never') })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('break'), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('up'), name, up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.constantFrom(1, 500, 1_000, 5_000, 30_000, 300_000) }) }
)
type Command = {
  do: string
  priority?: (typeof PRIORITIES)[number]
  fanOut?: number | 'all'
  name?: string
  at?: number
  busy?: boolean
  how?: 'done' | 'again' | 'never'
  up?: boolean
  ms?: number
}

function run(world: DeliveryWorld, { do: what, ...given }: Command): void {
  if (what === 'add') world.add(given.priority!, given.fanOut!)
  else if (what === 'pump') world.pump(given.name!)
  else if (what === 'deliver') world.deliver(given.at!, given.busy)
  else if (what === 'finish') world.finish(given.name!, given.how!)
  else if (what === 'break') world.breakLink(given.name!)
  else if (what === 'up') world.setUp(given.name!, given.up!)
  else if (what === 'crash') world.crash()
  else world.wait(given.ms!)
}

function check(world: DeliveryWorld): void {
  const { settled, letters, dropped, effects } = world
  for (const [id, { priority, fanOut }] of world.added) {
    const by = settled.get(id)
    const mine = NAMES.flatMap((handler) => effects.get(`${id} ${handler}`) ?? [])
    if (priority === 'low') {
      assert.ok(fanOut !== 1 || mine.length <= 1, 'a low event is handled once at most')
      continue
    }
    assert.equal(Number(by !== undefined) + Number(letters.has(id)), 1, `${id} is done, or a dead letter`)
    assert.ok(!dropped.has(id))
    for (const handler of by ?? letters.get(id)!.handled)
      assert.ok(effects.has(`${id} ${handler}`), 'who is said to have done it has')
    if (by !== undefined) {
      assert.equal(new Set(by).size, by.length, 'each counts once')
      if (fanOut !== 'all') assert.equal(by.length, fanOut)
    } else assert.equal(letters.get(id)!.reason, 'failed')
  }
  for (const [what, times] of effects)
    times.slice(1).forEach((at, n) => assert.ok(at - times[n]! >= SEEN_MS, `${what} had its effect twice`))
}

describe('delivery', () => {
  it('loses nothing of normal priority and above, and repeats nothing within ten minutes, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 150, size: 'max' }), fc.nat(), (commands, seed) => {
        const world = new DeliveryWorld(NAMES, createRandom(seed))
        for (const one of commands) {
          run(world, one)
          assert.equal(world.outbox.deadLetters().length, world.letters.size)
          assert.ok(world.outbox.waiting <= world.outbox.size)
        }
        world.settle()
        assert.deepEqual([world.outbox.size, world.outbox.waiting, world.outbox.bytes, world.log.size], [0, 0, 0, 0])
        check(world)
      }),
      { numRuns: 1_000 }
    )
  }).timeout(120_000)

  it('never holds more than it may, however many events come and nobody takes them', () => {
    const world = new DeliveryWorld(['a'], createRandom(1))
    world.setUp('a', false)
    const random = createRandom(2)
    let refused = 0
    for (let n = 0; n < 5_000; n++) {
      if (world.add(PRIORITIES[Math.floor(random() * 4)]!, 1).outcome === 'refused') refused++
      assert.ok(world.outbox.waiting <= MAX_OUTBOX_EVENTS)
      if (n % 1_000 === 999) world.crash()
    }
    assert.ok(refused > 0)
    const { added, dropped, letters } = world
    world.settle()
    const kept = [...added.values()].filter(({ id, priority }) => priority !== 'low' && !letters.has(id))
    for (const { id, priority } of kept) assert.ok(world.settled.has(id), `${priority} ${id}`)
    assert.ok([...letters.values()].every(({ event, reason }) => event.priority !== 'critical' && reason === 'full'))
    assert.ok(dropped.size > 0)
  })
})
