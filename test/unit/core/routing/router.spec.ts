import assert from 'node:assert/strict'
import { INFINITE, MIN_COST } from '../../../../src/core/routing/metric.ts'
import { FORGET_AFTER_MS } from '../../../../src/core/routing/route-origins.ts'
import { NO_LINK } from '../../../../src/core/routing/route-table.ts'
import { MAX_ROWS_PER_LINK } from '../../../../src/core/routing/router-links.ts'
import type { RouteRow, RouterEffect } from '../../../../src/core/routing/router-messages.ts'
import { TELL_AFTER_MS, TELL_URGENT_AFTER_MS } from '../../../../src/core/routing/router-outbox.ts'
import { createRouter, type Router } from '../../../../src/core/routing/router.ts'
import { MAX_RAISES, RAISES_PER_SECOND } from '../../../../src/core/routing/sequence-requests.ts'
import { createRandom } from '../../../../scripts/simulate/random.ts'
import { createPump, type Pump } from './pump.ts'

const DAY_MS = 86_400_000
const SEED = Number(process.env.SIM_SEED ?? 5)

describe('router', () => {
  /** 0 - 1 - 2 - 3, and 3 - 0 at a higher cost. */
  function ring(last = 1_000): Pump {
    const pump = createPump(4)
    for (const [a, b, cost] of [
      [0, 1, 50],
      [1, 2, 50],
      [2, 3, 50],
      [3, 0, last]
    ] as const)
      pump.connect(a, b, cost)
    pump.pass(5_000)
    return pump
  }

  const single = (init: object = {}): Router =>
    createRouter({ self: 0, sequence: { incarnation: 1, sequence: 0 }, random: () => 0.5, ...init })
  const row = (origin: number, metric: number, hops = 1, sequence = 0): RouteRow => ({
    origin,
    incarnation: 1,
    sequence,
    metric,
    hops
  })

  it('finds the cheapest path, and another when a link fails', () => {
    const pump = ring()
    assert.deepEqual(pump.path(0, 3), [0, 1, 2, 3])
    assert.equal(pump.routers[0]!.route(3)!.metric, 150)
    assert.equal(pump.routers[0]!.route(3)!.hops, 3)
    pump.disconnect(1, 2)
    pump.pass(1_000)
    assert.deepEqual(pump.path(0, 3), [0, 3])
    assert.deepEqual(pump.path(0, 2), [0, 3, 2])
    assert.deepEqual(pump.path(1, 2), [1, 0, 3, 2])
  })

  it('retracts what is gone everywhere', () => {
    const pump = createPump(4)
    for (const a of [0, 1, 2]) pump.connect(a, a + 1, 50)
    pump.pass(5_000)
    assert.deepEqual(pump.path(0, 3), [0, 1, 2, 3])
    pump.disconnect(2, 3)
    pump.pass(1_000)
    for (const node of [0, 1, 2]) assert.equal(pump.routers[node]!.route(3), undefined)
  })

  it('keeps a next hop that gets worse until it knows better (R4), and asks for a newer sequence number', () => {
    const pump = ring(3_000)
    pump.step(1, { kind: 'cost', link: 2, cost: 2_000 })
    assert.deepEqual(pump.path(0, 2), [0, 1, 2])
    pump.pass(5_000)
    assert.deepEqual(pump.path(0, 2), [0, 1, 2])
    assert.equal(pump.routers[0]!.route(2)!.metric, 2_050)
    assert.equal(pump.routers[0]!.route(2)!.held, false)
    assert.ok(pump.routers[2]!.sequence.sequence > 0)
  })

  it('changes no next hop when costs go up and down by a tenth', () => {
    const pump = ring(155)
    const before = [0, 1, 2, 3].map((node) => pump.count(node, 'route'))
    for (let n = 0; n < 100; n++) {
      for (const [a, b, cost] of [
        [0, 1, 50],
        [3, 0, 155]
      ] as const) {
        const now = Math.round(cost * (n % 2 === 0 ? 1.1 : 0.9))
        pump.step(a, { kind: 'cost', link: b, cost: now })
        pump.step(b, { kind: 'cost', link: a, cost: now })
      }
      pump.pass(1_000)
    }
    assert.deepEqual(
      [0, 1, 2, 3].map((node) => pump.count(node, 'route')),
      before
    )
  })

  it('bears a link that flaps: what does not go over it stays as it is', () => {
    const pump = ring()
    const [before, link] = [pump.count(3, 'route'), pump.routers[3]!.route(2)!.link]
    for (let n = 0; n < 20; n++) {
      pump.disconnect(0, 1)
      pump.pass(500)
      assert.notEqual(pump.path(0, 1), undefined)
      pump.connect(0, 1, 50)
      pump.pass(500)
    }
    assert.equal(pump.routers[3]!.route(2)!.link, link)
    assert.ok(pump.count(3, 'route') - before <= 20 * 2 * 2, 'two origins, twice a flap at most')
    assert.deepEqual(pump.path(0, 1), [0, 1])
  })

  it('says nothing but digests when nothing happens, for a day', () => {
    const pump = ring()
    const counts = (): number[] =>
      [0, 1, 2, 3].flatMap((node) => (['update', 'request', 'dump', 'route'] as const).map((kind) => pump.count(node, kind)))
    pump.pass(60_000)
    const [before, digests] = [counts(), pump.count(0, 'digest')]
    pump.pass(DAY_MS / 24)
    assert.deepEqual(counts(), before)
    assert.ok(pump.count(0, 'digest') > digests)
  })

  it('gives the same trace for the same events, whatever the time is that they begin at', () => {
    const trace = (): string[] => {
      const pump = ring()
      pump.disconnect(0, 1)
      pump.pass(3_000)
      return pump.trace
    }
    assert.deepEqual(trace(), trace())
  })

  it('heals a row that went wrong, by a digest and a dump', () => {
    const pump = ring()
    // Router 0 has a row of 1 that 1 never told.
    pump.routers[0]!.step({ kind: 'update', link: 1, rows: [row(2, 20, 1, 0)] }, pump.now)
    assert.equal(pump.routers[0]!.route(2)!.metric, 70)
    pump.pass(60_000)
    assert.equal(pump.routers[0]!.route(2)!.metric, 100)
    assert.ok(pump.count(0, 'dump') >= 1)
    assert.deepEqual(pump.path(0, 2), [0, 1, 2])
  })

  it('tells a lost route at once, and what is lost soon after it together a moment later', () => {
    const router = single()
    for (const link of [1, 2]) router.step({ kind: 'link-up', link, node: link, cost: 50 }, 0)
    router.step({ kind: 'wants', link: 2, all: true, add: [], drop: [] }, 0)
    router.step({ kind: 'update', link: 1, rows: [row(10, 100), row(11, 100), row(12, 100)] }, 0)
    router.step({ kind: 'tick' }, 1_000)
    const lost = (origin: number, now: number): number[] =>
      told(router.step({ kind: 'update', link: 1, rows: [row(origin, INFINITE, 0)] }, now))
    const told = (effects: RouterEffect[]): number[] =>
      effects.flatMap((effect) => (effect.kind === 'update' && effect.link === 2 ? effect.rows.map(({ origin }) => origin) : []))
    assert.deepEqual(lost(10, 2_000), [10])
    assert.deepEqual(lost(11, 2_001), [])
    assert.deepEqual(lost(12, 2_002), [])
    assert.equal(router.wakeAt, 2_000 + TELL_URGENT_AFTER_MS)
    assert.deepEqual(told(router.step({ kind: 'tick' }, router.wakeAt)), [11, 12])
  })

  describe('where the nearest of each type alone are told', () => {
    const requests = (effects: RouterEffect[]): number[] =>
      effects.flatMap((effect) => (effect.kind === 'request' ? [effect.origin] : []))

    /** Two neighbours; it tells of one origin of a type. */
    function crowded(): Router {
      const router = single({ maxTold: 0, nearestPerType: 1 })
      for (const link of [1, 2]) {
        router.step({ kind: 'link-up', link, node: link, cost: 50 }, 0)
        router.step({ kind: 'wants', link, all: true, add: [], drop: [] }, 0)
      }
      for (const origin of [10, 11]) router.step({ kind: 'types', origin, types: [7] }, 0)
      return router
    }

    it('asks for no sequence number of an origin that it would tell nobody of, until that changes', () => {
      const router = crowded()
      router.step({ kind: 'update', link: 1, rows: [row(10, 100)] }, 0)
      router.step({ kind: 'tick' }, 100)
      assert.equal(router.feasibleDistance(10)!.metric, 150)
      // A nearer one pushes it out, and then its route goes; what is left of it is not feasible.
      router.step({ kind: 'update', link: 1, rows: [row(11, 50)] }, 200)
      router.step({ kind: 'update', link: 2, rows: [row(10, 300)] }, 300)
      assert.deepEqual(requests(router.step({ kind: 'update', link: 1, rows: [row(10, INFINITE, 0)] }, 400)), [])
      assert.equal(router.route(10), undefined)
      assert.deepEqual(requests(router.step({ kind: 'tick' }, 3_000)), [])
      router.step({ kind: 'update', link: 1, rows: [row(11, INFINITE, 0)] }, 3_100)
      const from = router.wakeAt
      let asked: number[] = []
      for (let now = from; asked.length === 0 && now < from + 3_000; now += 100)
        asked = requests(router.step({ kind: 'tick' }, now))
      assert.deepEqual(asked, [10])
    })

    it('tells what gets better a moment later, but what is lost at once', () => {
      const router = crowded()
      const told = (effects: RouterEffect[]): number[] =>
        effects.flatMap((effect) =>
          effect.kind === 'update' && effect.link === 2 ? effect.rows.map(({ origin }) => origin) : []
        )
      router.step({ kind: 'tick' }, 1_000)
      assert.deepEqual(told(router.step({ kind: 'update', link: 1, rows: [row(10, 100)] }, 2_000)), [])
      assert.ok(router.wakeAt >= 2_000 + TELL_AFTER_MS / 2)
      assert.deepEqual(told(router.step({ kind: 'tick' }, router.wakeAt)), [10])
      assert.deepEqual(told(router.step({ kind: 'update', link: 1, rows: [row(10, INFINITE, 0)] }, 3_000)), [10])
    })

    it('takes the best route while nobody has heard of one, and then one that is good enough', () => {
      const router = crowded()
      router.step({ kind: 'update', link: 1, rows: [row(10, 100)] }, 0)
      router.step({ kind: 'update', link: 2, rows: [row(10, 99)] }, 1)
      assert.equal(router.route(10)!.link, 2)
      router.step({ kind: 'tick' }, 1_000)
      router.step({ kind: 'update', link: 1, rows: [row(10, 98)] }, 1_001)
      assert.equal(router.route(10)!.link, 2)
    })
  })

  it('drops what comes of a session that is over', () => {
    const router = single()
    router.step({ kind: 'link-up', link: 1, node: 1, cost: 50 }, 0)
    router.step({ kind: 'update', link: 1, rows: [row(1, 0, 0), row(2, 50)] }, 0)
    router.step({ kind: 'link-down', link: 1 }, 1)
    const effects = router.step({ kind: 'update', link: 1, rows: [row(2, 50)] }, 2)
    assert.deepEqual(effects, [])
    assert.equal(router.route(2), undefined)
  })

  it('takes no row that cannot be: cheaper than its hops, or of another that has no hops', () => {
    const router = single()
    router.step({ kind: 'link-up', link: 1, node: 1, cost: 50 }, 0)
    const lies = [row(2, MIN_COST * 3 - 1, 3), row(3, 0, 0), row(1, 50, 1), row(4, 1_000, 64)]
    router.step({ kind: 'update', link: 1, rows: lies }, 0)
    for (const { origin } of lies) assert.equal(router.route(origin), undefined, `${origin}`)
    router.step({ kind: 'update', link: 1, rows: [row(2, MIN_COST * 3, 3)] }, 0)
    assert.equal(router.route(2)!.hops, 4)
  })

  it('takes no sequence number of itself from others, but goes on after one that it has forgotten', () => {
    const router = single()
    router.step({ kind: 'link-up', link: 1, node: 1, cost: 50 }, 0)
    router.step({ kind: 'update', link: 1, rows: [{ ...row(0, 50), incarnation: 1, sequence: 7 }] }, 0)
    assert.equal(router.route(0), undefined)
    assert.deepEqual(router.sequence, { incarnation: 1, sequence: 8 })
  })

  it('raises its sequence number so often, however often it is asked', () => {
    const router = single()
    router.step({ kind: 'link-up', link: 1, node: 1, cost: 50 }, 0)
    const seconds = 20
    for (let ms = 0; ms < seconds * 1_000; ms += 5) {
      const { incarnation, sequence } = router.sequence
      router.step({ kind: 'request', link: 1, origin: 0, incarnation, sequence: sequence + 1, ttl: 8, proven: true }, ms)
    }
    const raised = router.sequence.sequence
    assert.ok(raised <= MAX_RAISES + RAISES_PER_SECOND * seconds, `${raised}`)
    assert.ok(raised >= RAISES_PER_SECOND * (seconds - 1), `${raised}`)
  })

  it('raises to no number that is not proven, but to the next', () => {
    const router = single()
    router.step({ kind: 'link-up', link: 1, node: 1, cost: 50 }, 0)
    router.step({ kind: 'request', link: 1, origin: 0, incarnation: 1, sequence: 100, ttl: 8, proven: false }, 0)
    assert.equal(router.sequence.sequence, 0)
    router.step({ kind: 'request', link: 1, origin: 0, incarnation: 1, sequence: 1, ttl: 8, proven: false }, 1)
    assert.equal(router.sequence.sequence, 1)
    router.step({ kind: 'request', link: 1, origin: 0, incarnation: 1, sequence: 100, ttl: 8, proven: true }, 2)
    assert.equal(router.sequence.sequence, 100)
  })

  it('makes a neighbour that is blamed the last choice, and takes it back', () => {
    const pump = ring()
    pump.step(0, { kind: 'blame', link: 1, cost: 100_000 })
    assert.equal(pump.routers[0]!.route(1)!.link, 1)
    pump.pass(2_000)
    assert.deepEqual(pump.path(0, 2), [0, 3, 2])
    pump.step(0, { kind: 'blame', link: 1, cost: 0 })
    pump.pass(2_000)
    assert.deepEqual(pump.path(0, 2), [0, 1, 2])
    pump.step(0, { kind: 'blame', link: 1, origin: 2, cost: 100_000 })
    pump.pass(2_000)
    assert.deepEqual(pump.path(0, 2), [0, 3, 2])
  })

  it('has metrics that grow and feasible distances that fall along each path, at every instant', () => {
    const random = createRandom(SEED)
    const pump = createPump(8, { random })
    const links = Array.from({ length: 16 }, () => [Math.floor(random() * 8), Math.floor(random() * 8)] as const).filter(
      ([a, b]) => a < b
    )
    const up = new Set<string>()
    for (let turn = 0; turn < 600; turn++) {
      const [a, b] = links[Math.floor(random() * links.length)]!
      const key = `${a} ${b}`
      if (!up.has(key)) pump.connect(a, b, MIN_COST + Math.floor(random() * 500))
      else if (random() < 0.5) pump.disconnect(a, b)
      else pump.step(a, { kind: 'cost', link: b, cost: MIN_COST + Math.floor(random() * 2_000) })
      if (!up.delete(key)) up.add(key)
      if (turn % 3 === 0) pump.pass(random() * 200)
      for (const [node, router] of pump.routers.entries())
        for (const { origin, nextHop, metric, sequence } of router.routes()) {
          assert.ok(metric >= MIN_COST)
          const [own, next] = [router.feasibleDistance(origin), pump.routers[nextHop]!.feasibleDistance(origin)]
          if (own === undefined || nextHop === origin) continue
          const order = next!.sequence - own.sequence || own.metric - next!.metric
          assert.ok(order > 0, `turn ${turn}: ${node} to ${origin} by ${nextHop}, seed ${SEED}`)
          const there = pump.routers[nextHop]!.route(origin)
          assert.ok(there === undefined || there.sequence !== sequence || there.metric < metric || turn % 3 !== 0)
        }
    }
  })

  it('never makes a feasible distance worse for a sequence number', () => {
    const random = createRandom(SEED + 1)
    const pump = ring(400)
    const best = new Map<string, number>()
    for (let turn = 0; turn < 300; turn++) {
      const a = Math.floor(random() * 4)
      pump.step(a, { kind: 'cost', link: (a + 1) % 4, cost: MIN_COST + Math.floor(random() * 3_000) })
      pump.pass(random() * 300)
      for (const [node, router] of pump.routers.entries())
        for (let origin = 0; origin < 4; origin++) {
          const found = router.feasibleDistance(origin)
          if (found === undefined) continue
          const key = `${node} ${origin} ${found.incarnation} ${found.sequence}`
          assert.ok(found.metric <= (best.get(key) ?? Infinity), `seed ${SEED + 1}, turn ${turn}`)
          best.set(key, found.metric)
        }
    }
  })

  describe('limits', () => {
    const far = (count: number, from = 10): RouteRow[] => Array.from({ length: count }, (_, n) => row(from + n, 100 + n))

    it('keeps so many rows of a neighbour', () => {
      const router = single()
      router.step({ kind: 'link-up', link: 1, node: 1, cost: 50 }, 0)
      router.step({ kind: 'update', link: 1, rows: [row(1, 0, 0), ...far(MAX_ROWS_PER_LINK * 3)] }, 0)
      assert.ok(router.routes().length <= MAX_ROWS_PER_LINK + 1)
      router.step({ kind: 'update', link: 1, rows: [row(10, INFINITE, 0)] }, 1)
      router.step({ kind: 'update', link: 1, rows: [row(9_000, 100)] }, 1)
      assert.ok(router.route(9_000) !== undefined, 'room again')
    })

    it('keeps so many origins, the nearest, and says that the others are gone', () => {
      const router = single({ maxOrigins: 20 })
      for (const link of [1, 2]) {
        router.step({ kind: 'link-up', link, node: link, cost: 50 }, 0)
        router.step({ kind: 'update', link, rows: [row(link, 0, 0)] }, 0)
        router.step({ kind: 'wants', link, all: true, add: [], drop: [] }, 0)
      }
      router.step({ kind: 'update', link: 1, rows: far(30) }, 0)
      assert.ok(router.size <= 20)
      router.step({ kind: 'tick' }, 1_000)
      const effects = router.step({ kind: 'update', link: 1, rows: [row(500, 20)] }, 1_001)
      assert.ok(router.route(500) !== undefined)
      assert.ok(router.size <= 20)
      const isRetraction = (effect: RouterEffect): boolean =>
        effect.kind === 'update' && effect.rows.some(({ metric }) => metric === INFINITE)
      assert.ok(effects.some((effect) => isRetraction(effect) && 'link' in effect && effect.link === 2))
      assert.ok(effects.some((effect) => effect.kind === 'route' && effect.link === NO_LINK))
      // Neighbours stay, whoever comes.
      for (const link of [1, 2]) assert.equal(router.route(link)!.nextHop, link)
    })

    it('knows what it told of an origin that made room: what comes back of it is no route', () => {
      const router = single({ maxOrigins: 3 })
      for (const link of [1, 2]) {
        router.step({ kind: 'link-up', link, node: link, cost: 50 }, 0)
        router.step({ kind: 'update', link, rows: [row(link, 0, 0)] }, 0)
        router.step({ kind: 'wants', link, all: true, add: [], drop: [] }, 0)
      }
      router.step({ kind: 'update', link: 1, rows: [row(10, 100)] }, 0)
      router.step({ kind: 'tick' }, 1_000)
      assert.deepEqual(router.feasibleDistance(10), { incarnation: 1, sequence: 0, metric: 150 })
      router.step({ kind: 'update', link: 1, rows: [row(11, 20)] }, 1_001)
      assert.equal(router.route(10), undefined)
      assert.ok(router.has(10), 'its number is still in use')
      router.step({ kind: 'update', link: 1, rows: [row(11, INFINITE, 0)] }, 1_002)
      // Neighbour 2 has not heard yet that the route from here is gone, and tells it to those behind it.
      router.step({ kind: 'update', link: 2, rows: [row(10, 200, 3)] }, 1_003)
      assert.equal(router.route(10), undefined)
      router.step({ kind: 'update', link: 2, rows: [row(10, 140, 3)] }, 1_004)
      assert.equal(router.route(10)!.nextHop, 2)
    })

    it('forgets after a while what it told of an origin that made room, and takes nobody in its place while it remembers too many', () => {
      const router = single({ maxOrigins: 3 })
      router.step({ kind: 'link-up', link: 1, node: 1, cost: 50 }, 0)
      router.step({ kind: 'link-up', link: 2, node: 2, cost: 50 }, 0)
      router.step({ kind: 'wants', link: 2, all: true, add: [], drop: [] }, 0)
      const tell = (origin: number, metric: number, now: number): void => {
        router.step({ kind: 'update', link: 1, rows: [row(origin, metric)] }, now)
        router.step({ kind: 'tick' }, now + 100)
      }
      for (const origin of [10, 11, 12]) tell(origin, 1_000, 0)
      for (const [n, origin] of [13, 14, 15, 16].entries()) tell(origin, 900 - n * 100, 1_000 * n)
      const known = (): number[] => [10, 11, 12, 13, 14, 15, 16].filter((origin) => router.has(origin))
      assert.deepEqual(known(), [10, 11, 12, 13, 14, 15])
      router.step({ kind: 'tick' }, FORGET_AFTER_MS + 1_500)
      tell(16, 500, FORGET_AFTER_MS + 1_500)
      assert.ok(router.route(16) !== undefined)
      assert.ok(known().length < 7)
    })

    it('takes so many wishes of a neighbour', () => {
      const router = single()
      router.step({ kind: 'link-up', link: 1, node: 1, cost: 50 }, 0)
      router.step({ kind: 'link-up', link: 2, node: 2, cost: 50 }, 0)
      const wanted = Array.from({ length: MAX_ROWS_PER_LINK * 2 }, (_, n) => 10 + n)
      router.step({ kind: 'wants', link: 2, add: wanted, drop: [] }, 0)
      router.step({ kind: 'update', link: 1, rows: wanted.slice(-10).map((origin) => row(origin, 100)) }, 1)
      const effects = router.step({ kind: 'tick' }, 1_000)
      assert.ok(
        !effects.some((effect) => effect.kind === 'update' && effect.link === 2 && effect.rows.some(({ origin }) => origin > 9))
      )
    })
  })
})
