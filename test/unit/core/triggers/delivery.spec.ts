import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createRandom } from '../../../../scripts/simulate/random.ts'
import { MAX_EVENT_AGE_MS, PRIORITIES } from '../../../../protocols/trigger/messages.ts'
import { MAX_OUTBOX_EVENTS } from '../../../../src/core/triggers/outbox-contract.ts'
import { SEEN_MS } from '../../../../src/core/triggers/seen-events.ts'
import { DeliveryWorld } from './delivery-world.ts'

/** How many times as many runs as CI has, for a longer look. */
const RUNS = Number(process.env['DELIVERY_RUNS'] ?? 1)
const NAMES = ['a', 'b', 'c']
const name = fc.constantFrom(...NAMES)
/** A method of the world, and what it is given. */
type Step = [what: string, run: (world: DeliveryWorld) => unknown, given: unknown]
function step<T>(weight: number, what: string, given: fc.Arbitrary<T>, run: (world: DeliveryWorld, given: T) => unknown) {
  const arbitrary = given.map((one): Step => [what, (world) => run(world, one), one])
  return { weight, arbitrary }
}
const added = fc.tuple(fc.constantFrom(...PRIORITIES), fc.constantFrom(1, 1, 2, 'all' as const), fc.nat(1))
const ended = fc.tuple(name, fc.constantFrom('done', 'done', 'again', 'later', 'never'))
const command = fc.oneof(
  step(4, 'add', added, (world, given) => world.add(...given)),
  step(6, 'pump', name, (world, one) => world.pump(one)),
  step(8, 'deliver', fc.nat(5), (world, at) => world.deliver(at)),
  step(4, 'write', name, (world, one) => world.write(one)),
  step(4, 'take', name, (world, one) => world.take(one)),
  step(4, 'finish', ended, (world, given) => world.finish(...given)),
  step(1, 'break', name, (world, one) => world.breakLink(one)),
  step(1, 'up', fc.tuple(name, fc.boolean()), (world, given) => world.setUp(...given)),
  step(1, 'crash', fc.option(name), (world, one) => (one === null ? world.crash() : world.crashHandler(one))),
  step(1, 'kill', fc.constant(true), (world, isAlone) => world.crash(isAlone)),
  step(2, 'note', fc.constant(0), (world) => world.note()),
  step(1, 'stop', name, (world, one) => world.stopHandler(one)),
  step(1, 'replay', fc.nat(5), (world, at) => world.replay(at)),
  step(2, 'wait', fc.constantFrom(1, 500, 1_000, 5_000, 30_000, 300_000), (world, ms) => world.wait(ms))
)

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
  for (const [what, all] of effects) {
    all.slice(1).forEach(({ at }, n) => assert.ok(at - all[n]!.at >= SEEN_MS, `${what} had its effect twice`))
  }
}

describe('delivery', () => {
  it('loses nothing of normal priority and above, and repeats nothing within ten minutes, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 200, size: 'max' }), fc.nat(), (commands, seed) => {
        const world = new DeliveryWorld(NAMES, createRandom(seed))
        for (const [, run] of commands) {
          run(world)
          assert.equal(world.outbox.deadLetters().length, world.letters.size)
          assert.ok(world.outbox.waiting <= world.outbox.size)
        }
        world.settle()
        assert.deepEqual([world.outbox.size, world.outbox.waiting, world.outbox.bytes, world.log.size], [0, 0, 0, 0])
        check(world)
      }),
      { numRuns: 1_000 * RUNS }
    )
  }).timeout(120_000 * RUNS)

  /** It accepts all that is on its way, gives it back, and its link is lost, or it ends, after so many of its answers. */
  function giveBack(
    world: DeliveryWorld,
    [heard, end]: [heard: number, end: 'breakLink' | 'stopHandler' | 'crashHandler']
  ): void {
    const { queue, unwritten } = world.handlers.get('a')!
    while (queue.length > 0) world.pump('a')
    while (world.messages.length > 0) world.deliver(0)
    while (unwritten.length > 0) world.write('a')
    while (world.messages.length > 0) world.deliver(0)
    world.take('a')
    world.finish('a', 'later')
    for (let n = 0; n < heard; n++) world.deliver(0)
    world[end]('a')
  }

  it('has a handler try anew what it has failed at, within ten minutes, when its dead letter is sent anew', () => {
    const world = new DeliveryWorld(['a'], createRandom(1))
    const pass = (how: 'done' | 'never'): void => {
      world.pump('a')
      world.deliver(0)
      world.write('a')
      world.take('a')
      world.finish('a', how)
      while (world.messages.length > 0) world.deliver(0)
    }
    world.add('normal', 1)
    pass('never')
    for (const how of ['never', 'done'] as const) {
      assert.deepEqual([...world.letters.keys()], ['e0'])
      // Both sides know their rounds over a restart.
      world.crash()
      world.crashHandler('a')
      world.replay(0)
      pass(how)
    }
    assert.deepEqual(world.settled.get('e0'), ['a'])
    assert.equal(world.effects.get('e0 a')!.length, 1)
  })

  it('keeps the order of a subject at a handler that wants it so, over lost links and restarts of both', () => {
    const givenBack = fc.tuple(
      fc.nat(4),
      fc.constantFrom<'breakLink' | 'stopHandler' | 'crashHandler'>('breakLink', 'stopHandler', 'crashHandler')
    )
    const raised = fc.tuple(fc.nat(1), fc.constantFrom(MAX_EVENT_AGE_MS, MAX_EVENT_AGE_MS, 500, 5_000, 20_000))
    const trouble = fc.oneof(
      step(6, 'add', raised, (world, [subject, ms]) => world.add('normal', 1, subject, 'any', ms)),
      step(6, 'pump', fc.constant('a'), (world, one) => world.pump(one)),
      step(8, 'deliver', fc.nat(5), (world, at) => world.deliver(at)),
      step(4, 'write', fc.constant('a'), (world, one) => world.write(one)),
      step(4, 'take', fc.constant('a'), (world, one) => world.take(one)),
      step(4, 'finish', fc.constantFrom('done', 'done', 'later'), (world, how) => world.finish('a', how)),
      step(2, 'give back', givenBack, giveBack),
      step(1, 'break', fc.constant('a'), (world, one) => world.breakLink(one)),
      step(1, 'up', fc.boolean(), (world, up) => world.setUp('a', up)),
      step(1, 'appear', fc.constant('a'), (world, one) => world.appear(one)),
      step(1, 'turn away', fc.constant('a'), (world, one) => world.turnAway(one)),
      step(1, 'crash', fc.option(fc.constant('a')), (world, one) => (one === null ? world.crash() : world.crashHandler(one))),
      step(1, 'kill', fc.constant(true), (world, isAlone) => world.crash(isAlone)),
      step(2, 'note', fc.constant(0), (world) => world.note()),
      step(1, 'stop', fc.constant('a'), (world, one) => world.stopHandler(one)),
      step(2, 'wait', fc.constantFrom(1, 500, 1_000, 5_000, 30_000), (world, ms) => {
        // What is on its way arrives, or is lost with its link, before much else is due.
        while (ms > 1_000 && world.messages.length > 0) world.deliver(0)
        world.wait(ms)
      })
    )
    fc.assert(
      fc.property(fc.array(trouble, { maxLength: 200, size: 'max' }), fc.nat(), (commands, seed) => {
        const world = new DeliveryWorld(['a'], createRandom(seed))
        for (const [, run] of commands) {
          run(world)
          assert.equal(world.late, 0)
        }
        world.settle()
        assert.equal(world.late, 0)
        assert.equal(world.settled.size + world.letters.size, world.added.size)
        for (const { event } of world.letters.values())
          assert.ok(event.expiresMs < MAX_EVENT_AGE_MS, `${event.id} had the time to be done`)
      }),
      { numRuns: 500 * RUNS }
    )
  }).timeout(120_000 * RUNS)

  it('lets none overtake an older one of its subject that could go to the same ordered handler, and holds none for any other reason', () => {
    const names = ['a', 'b', 'c', 'd']
    const plan = {
      isWatched: true,
      ordered: ['a', 'c'],
      triggers: { p: ['a'], q: ['a', 'b'], r: ['b', 'c'], s: ['a', 'b', 'c', 'd'], t: ['d'], u: ['a', 'b', 'c'] },
      words: ['u']
    }
    const one = fc.constantFrom(...names)
    const raised = fc.tuple(
      fc.constantFrom('normal' as const, 'normal' as const, 'high' as const, 'critical' as const),
      fc.constantFrom(1, 1, 2, 3, 'all' as const),
      fc.nat(1),
      fc.constantFrom('p', 'q', 'r', 's', 't', 'u')
    )
    const trouble = fc.oneof(
      step(6, 'add', raised, (world, given) => world.add(...given)),
      step(8, 'pump', one, (world, name) => world.pump(name)),
      step(8, 'deliver', fc.nat(5), (world, at) => world.deliver(at)),
      step(4, 'write', one, (world, name) => world.write(name)),
      step(4, 'take', one, (world, name) => world.take(name)),
      step(4, 'finish', fc.tuple(one, fc.constantFrom<'done' | 'again'>('done', 'done', 'done', 'again')), (world, how) =>
        world.finish(...how)
      ),
      step(1, 'break', one, (world, name) => world.breakLink(name)),
      step(3, 'up', fc.tuple(one, fc.boolean()), (world, given) => world.setUp(...given)),
      step(1, 'turn away', one, (world, name) => world.turnAway(name)),
      step(1, 'crash', fc.option(one), (world, name) => (name === null ? world.crash() : world.crashHandler(name))),
      step(1, 'kill', fc.constant(true), (world, isAlone) => world.crash(isAlone)),
      step(2, 'note', fc.constant(0), (world) => world.note()),
      step(1, 'forget', fc.constant(0), (world) => world.forget()),
      step(2, 'learn', fc.subarray(names), (world, meant) => world.learn(meant)),
      step(2, 'wait', fc.constantFrom(1, 500, 1_000, 5_000, 30_000, 60_000), (world, ms) => world.wait(ms))
    )
    fc.assert(
      fc.property(fc.array(trouble, { maxLength: 200, size: 'max' }), fc.nat(), (commands, seed) => {
        const world = new DeliveryWorld(names, createRandom(seed), plan)
        for (const [, run] of commands) {
          run(world)
          world.checkWaits()
        }
        world.learn(names)
        // Of three handlings, where two handlers are, one is left.
        for (const name of names) world.setUp(name, true)
        for (const { event } of world.outbox.pending())
          if (event.fanOut !== 'all' && event.fanOut > plan.triggers[world.added.get(event.id)!.trigger as 'p'].length)
            world.withdraw(event.id)
        world.settle()
        assert.equal(world.outbox.size, 0)
      }),
      { numRuns: 1_000 * RUNS }
    )
  }).timeout(240_000 * RUNS)

  it('of a subject whose events go to two ordered handlers in turns, nothing waits, and none is missing', () => {
    const world = new DeliveryWorld(['a', 'b'], createRandom(1), { ordered: ['a', 'b'], triggers: { p: ['a'], q: ['b'], r: [] } })
    for (let n = 0; n < 100; n++) {
      const name = n % 2 === 0 ? 'a' : 'b'
      if (n % 7 === 0) world.add('normal', 1, 0, 'r')
      world.add('normal', 1, 0, name === 'a' ? 'p' : 'q')
      world.pump(name)
      world.deliver(0)
      world.write(name)
      assert.ok(world.take(name), `${n} is handled at once`)
      world.finish(name, 'done')
      while (world.messages.length > 0) world.deliver(0)
    }
    assert.deepEqual([world.now, world.settled.size, world.missing, world.late], [0, 100, 0, 0])
  })

  it('a low event that is lost on its way to an ordered handler is told as missing', () => {
    const world = new DeliveryWorld(['a'], createRandom(1))
    for (const priority of ['normal', 'low', 'normal'] as const) {
      world.add(priority, 1)
      world.pump('a')
      if (priority === 'low') world.breakLink('a')
      while (world.messages.length > 0) world.deliver(0)
      world.take('a')
    }
    world.settle()
    assert.equal(world.missing, 1)
  })

  it('a low event that is turned away when its source has given it up is told as missing', () => {
    const world = new DeliveryWorld(['a'], createRandom(1))
    for (const priority of ['critical', 'low'] as const) world.add(priority, 1)
    world.pump('a')
    world.deliver(0)
    world.take('a')
    world.finish('a', 'later')
    world.pump('a')
    world.add('low', 1)
    world.wait(5_000)
    world.settle()
    assert.equal(world.missing, 1)
  })

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
