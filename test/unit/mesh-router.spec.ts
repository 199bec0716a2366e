import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { MAX_ROUTE_WANTS, NO_ROUTE } from '../../protocols/gradient/messages.ts'
import { DEMOTED_MS, MIN_CALLS, MIN_ORIGINS } from '../../src/core/routing/neighbour-trust.ts'
import { MAX_NUMBERED } from '../../src/core/routing/numbering.ts'
import { createMeshRouter, type MeshRouter } from '../../src/mesh-router.ts'
import type { NamedItem, NamedRow } from '../../src/net/gradient-names.ts'

const SELF = 'self'
/** Cost of each link, 5 ms. */
const COST = 50

describe('router with PeerIds', () => {
  let time: number
  let router: MeshRouter
  let known: Set<string>
  let lookedUp: string[]
  let said: [peer: string, item: NamedItem][]
  let routes: [node: string, via: string | undefined, before: string | undefined][]
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
    known = new Set([SELF])
    ;[time, lookedUp, said, routes] = [0, [], [], []]
    router = createMeshRouter({
      self: SELF,
      incarnation: 3,
      now: () => time,
      random: () => 0.5,
      tell: (peer, item) => said.push([peer, item]),
      onRoute: (...args) => routes.push(args),
      isKnown(node) {
        lookedUp.push(node)
        return known.has(node)
      }
    })
  })
  afterEach(() => {
    router.stop()
    mock.timers.reset()
  })

  function pass(ms: number): void {
    for (let left = ms; left > 0; left -= 10) {
      time += Math.min(10, left)
      mock.timers.tick(Math.min(10, left))
    }
  }
  const row = (origin: string, metric: number, hops = 1, sequence = 7): NamedRow => ({
    origin,
    incarnation: 1,
    sequence,
    metric,
    hops
  })
  const rows = (...list: NamedRow[]): NamedItem => ({ kind: 'rows', rows: list, full: false })
  /** Neighbours that are there, and what they say of themselves. */
  function up(...peers: string[]): void {
    for (const peer of peers) {
      router.up(peer, COST)
      router.hear(peer, rows(row(peer, 0, 0)))
    }
    pass(200)
  }
  const saidTo = (peer: string, kind: NamedItem['kind']): NamedItem[] =>
    said.flatMap(([to, item]) => (to === peer && item.kind === kind ? [item] : []))
  /** What a neighbour was last told of a node. */
  const lastRow = (peer: string, node: string): NamedRow | undefined =>
    saidTo(peer, 'rows')
      .flatMap((item) => (item.kind === 'rows' ? item.rows : []))
      .findLast(({ origin }) => origin === node)

  it('tells of itself, and of others whom a neighbour wants, by their names', () => {
    known.add('far')
    up('a', 'b')
    assert.deepEqual(lastRow('a', SELF), { origin: SELF, incarnation: 3, sequence: 1, metric: 0, hops: 0 })
    router.hear('b', { kind: 'wants', add: ['far', SELF], drop: [] })
    router.hear('a', rows(row('far', 30)))
    pass(200)
    assert.deepEqual(lastRow('b', 'far'), row('far', 80, 2))
    assert.equal(lastRow('a', 'far'), undefined)
    assert.deepEqual(router.route('far'), {
      node: 'far',
      via: 'a',
      incarnation: 1,
      sequence: 7,
      metric: 80,
      hops: 2,
      held: false
    })
    assert.deepEqual(router.feasible('far'), { incarnation: 1, sequence: 7, metric: 80 })
    assert.deepEqual(routes.at(-1), ['far', 'a', undefined])
    router.hear('a', rows({ ...row('far', NO_ROUTE), hops: 0 }))
    pass(200)
    assert.equal(lastRow('b', 'far')?.metric, NO_ROUTE)
    assert.deepEqual([router.route('far'), routes.at(-1)], [undefined, ['far', undefined, 'a']])
  })

  it('asks for newer numbers by the names of nodes, and passes on what others ask', () => {
    known.add('far')
    up('a', 'b')
    router.hear('b', { kind: 'wants', add: ['far'], drop: [] })
    router.hear('a', rows(row('far', 30)))
    pass(200)
    // Worse, with the same number: it is kept, and a newer one is asked for.
    router.hear('a', rows(row('far', 900)))
    pass(200)
    assert.equal(router.route('far')?.held, true)
    const asks = { kind: 'request', origin: 'far', incarnation: 1, sequence: 8, proven: false }
    const { ttl, ...asked } = saidTo('a', 'request')[0] as NamedItem & { kind: 'request' }
    assert.deepEqual([asked, ttl > 0], [asks, true])
    said.length = 0
    router.hear('b', { kind: 'request', origin: 'far', incarnation: 1, sequence: 9, ttl: 5, proven: false })
    pass(10)
    assert.deepEqual(saidTo('a', 'request'), [{ ...asks, sequence: 9, ttl: 4 }])
    router.hear('a', { kind: 'request', origin: SELF, incarnation: 3, sequence: 2, ttl: 5, proven: false })
    pass(1_000)
    assert.equal(lastRow('a', SELF)?.sequence, 2)
  })

  it('compares digests by the names of nodes, and tells all anew if asked', () => {
    known.add('far')
    up('a', 'b')
    router.hear('b', { kind: 'wants', add: ['far'], drop: [] })
    router.hear('a', rows(row('far', 30)))
    pass(60_000)
    const digest = saidTo('b', 'digest').at(-1)
    assert.ok(digest?.kind === 'digest' && digest.count === 1)
    // The same at another node, which has other numbers for them.
    let other: NamedItem[] = []
    const second = createMeshRouter({
      self: 'b',
      incarnation: 1,
      now: () => time,
      random: () => 0.5,
      tell: (_, item) => other.push(item),
      onRoute: () => undefined,
      isKnown: () => true
    })
    for (const noise of ['x', 'y', 'z']) second.types(noise, [])
    second.up(SELF, COST)
    second.hear(SELF, rows(row('far', 80, 2)))
    other = []
    second.hear(SELF, digest)
    assert.deepEqual(other, [])
    second.hear(SELF, { ...digest, digest: digest.digest + 1 })
    assert.deepEqual(other, [{ kind: 'dump' }])
    second.stop()
    router.hear('b', { kind: 'dump' })
    const all = saidTo('b', 'rows').at(-1)
    assert.ok(all?.kind === 'rows' && all.full)
    assert.ok(all.rows.some(({ origin }) => origin === 'far'))
  })

  it('says what it has left when a neighbour goes, and takes the next one for another', () => {
    known.add('far')
    up('a')
    router.hear('a', rows(row('far', 30)))
    router.down('a')
    assert.deepEqual(routes.at(-1), ['far', undefined, 'a'])
    assert.deepEqual([router.route('far'), router.route('a')], [undefined, undefined])
    up('b')
    assert.equal(router.route('far'), undefined)
    router.hear('a', rows(row('far', 30)))
    assert.equal(router.route('far'), undefined, 'a is not there any more')
    router.hear('b', rows(row('far', 40)))
    assert.deepEqual([router.route('far')?.via, routes.at(-1)], ['b', ['far', 'b', undefined]])
  })

  it('chooses anew when the cost of a link changes', () => {
    known.add('far')
    up('a', 'b')
    router.hear('a', rows(row('far', 30)))
    router.hear('b', rows(row('far', 30)))
    assert.equal(router.route('far')?.via, 'a')
    router.cost('a', 5_000)
    assert.deepEqual([router.route('far')?.via, routes.at(-1)], ['b', ['far', 'b', 'a']])
    router.cost('nobody', 1)
  })

  it('takes nothing of nodes that it does not know', () => {
    up('a')
    router.hear('a', rows(row('nobody', 30)))
    known.add('nobody')
    assert.equal(router.route('nobody'), undefined)
    known.delete('nobody')
    router.hear('a', { kind: 'request', origin: 'nobody', incarnation: 1, sequence: 1, ttl: 5, proven: true })
    router.came('a', 'nobody', 'failed', true)
    assert.deepEqual([router.route('nobody'), router.feasible('nobody'), routes.length], [undefined, undefined, 1])
  })

  it('remembers who wants a way to a node that it does not know yet, so many', () => {
    up('a', 'b')
    router.hear('b', { kind: 'wants', add: ['far', 'never'], drop: [] })
    router.hear('b', { kind: 'wants', add: Array.from({ length: MAX_ROUTE_WANTS }, (_, n) => `more ${n}`), drop: ['never'] })
    known.add('far')
    router.hear('a', rows(row('far', 30)))
    pass(200)
    assert.equal(lastRow('b', 'far'), undefined)
    assert.equal(router.known('far'), true)
    assert.deepEqual([lastRow('b', 'far')?.metric, router.known('far')], [80, false])
    assert.deepEqual(
      [router.known('never'), router.known('more 0'), router.known(`more ${MAX_ROUTE_WANTS - 1}`)],
      [false, true, false]
    )
    // All that it wants at once takes the place of these, and so does its end.
    router.hear('b', { kind: 'wants', all: true, add: [], drop: [] })
    assert.equal(router.known('more 1'), false)
    router.hear('a', { kind: 'wants', add: ['more 2'], drop: [] })
    router.down('a')
    assert.equal(router.known('more 2'), false)
  })

  it('gives no numbers away to nodes that it does not know', () => {
    up('a')
    known.add('far')
    router.hear('a', rows(row('far', 30)))
    lookedUp = []
    for (let n = 0; n < MAX_NUMBERED + 100; n++) {
      const node = `node ${n}`
      router.hear('a', rows(row(node, 30)))
      router.hear('a', { kind: 'wants', add: [node], drop: [node] })
      router.hear('a', { kind: 'request', origin: node, incarnation: 1, sequence: 1, ttl: 5, proven: true })
      router.route(node)
      router.feasible(node)
      router.came('a', node, 'failed', true)
    }
    // When numbers run out, all that have one are looked up.
    assert.ok(!lookedUp.includes('far'))
  })

  it('goes round a neighbour through which nothing comes back, for a while', () => {
    known.add('far')
    known.add('other')
    up('a', 'b')
    for (const node of ['far', 'other']) {
      router.hear('a', rows(row(node, 30)))
      router.hear('b', rows(row(node, 500)))
    }
    pass(200)
    // What comes of circuits to the neighbour itself is its own affair.
    for (let n = 0; n < 2 * MIN_CALLS; n++) router.came('a', 'a', 'failed', true)
    for (let n = 0; n < MIN_CALLS - 1; n++) router.came('a', 'far', 'failed', true)
    assert.equal(router.route('far')?.via, 'a')
    router.came('a', 'far', 'failed', true)
    // Of one node alone that one may be at fault.
    assert.deepEqual([router.route('far')?.via, router.route('other')?.via, router.route('a')?.via], ['b', 'a', 'a'])
    pass(DEMOTED_MS - 1_000)
    assert.equal(router.route('far')?.via, 'b')
    pass(2_000)
    assert.deepEqual([router.route('far')?.via, router.route('other')?.via], ['a', 'a'])
    router.came('nobody', 'far', 'failed', true)
  })

  it('goes round a neighbour at once for a node of which nothing at all has come, and for all if that is so of several', () => {
    const far = Array.from({ length: MIN_ORIGINS + 1 }, (_, n) => `far ${n}`)
    for (const node of far) known.add(node)
    up('a', 'b')
    for (const node of far) {
      router.hear('a', rows(row(node, 30)))
      router.hear('b', rows(row(node, 500)))
    }
    router.came('a', far[0]!, 'silent', true)
    assert.deepEqual([router.route(far[0]!)?.via, router.route(far[1]!)?.via], ['b', 'a'])
    for (let n = 0; n < MIN_CALLS; n++) router.came('a', far[n % MIN_ORIGINS]!, 'failed', true)
    assert.equal(router.route(far.at(-1)!)?.via, 'b')
  })

  it('remembers what came of a neighbour when its session ends and another begins', () => {
    known.add('far')
    up('a', 'b')
    router.hear('a', rows(row('far', 30)))
    router.hear('b', rows(row('far', 500)))
    router.came('a', 'far', 'silent', false)
    assert.equal(router.route('far')?.via, 'b')
    router.down('a')
    up('a')
    router.hear('a', rows(row('far', 30)))
    pass(1_000)
    assert.equal(router.route('far')?.via, 'b')
    pass(DEMOTED_MS)
    assert.equal(router.route('far')?.via, 'a')
  })

  it('takes a demotion back at its time, though its node was forgotten meanwhile, and goes on with one when it comes again', () => {
    for (const node of ['far', 'other']) known.add(node)
    up('a', 'b')
    const tell = (): void => {
      for (const node of ['far', 'other']) {
        router.hear('a', rows(row(node, 30)))
        router.hear('b', rows(row(node, 500)))
      }
      pass(200)
    }
    tell()
    for (const node of ['far', 'other']) router.came('a', node, 'silent', false)
    assert.deepEqual([router.route('far')?.via, router.route('other')?.via], ['b', 'b'])
    known.clear()
    known.add(SELF)
    router.forget(['far', 'other'])
    // A session that begins while the node is not known.
    router.down('a')
    up('a')
    known.add('far')
    tell()
    assert.equal(router.route('far')?.via, 'b')
    pass(DEMOTED_MS)
    known.add('other')
    tell()
    assert.deepEqual([router.route('far')?.via, router.route('other')?.via], ['a', 'a'])
  })

  it('does not take a node for another that it was demoted for, whatever numbers were given meanwhile', () => {
    known.add('far')
    up('a', 'b')
    router.came('a', 'far', 'silent', false)
    known.delete('far')
    router.forget(['far'])
    // One comes and goes after the other.
    for (let n = 0; n < MAX_NUMBERED + 10; n++) {
      known.add(`one ${n}`)
      router.types(`one ${n}`, ['x'])
      router.types(`one ${n}`, [])
      known.delete(`one ${n}`)
    }
    known.add('new')
    router.hear('a', rows(row('new', 30)))
    router.hear('b', rows(row('new', 500)))
    pass(200)
    assert.equal(router.route('new')?.via, 'a')
    known.add('far')
    router.hear('a', rows(row('far', 30)))
    router.hear('b', rows(row('far', 500)))
    pass(200)
    assert.equal(router.route('far')?.via, 'b')
  })

  it('keeps a neighbour of which half comes back', () => {
    known.add('far')
    up('a', 'b')
    router.hear('a', rows(row('far', 30)))
    router.hear('b', rows(row('far', 500)))
    for (let n = 0; n < 100; n++) router.came('a', 'far', n % 2 === 0 ? 'ok' : 'failed', true)
    assert.equal(router.route('far')?.via, 'a')
  })

  it('knows what neighbours want ways to', () => {
    const asked = (): unknown => [router.asked().all, ...router.asked().nodes]
    up('a', 'b')
    assert.deepEqual(asked(), [false])
    router.hear('a', { kind: 'wants', add: ['x', 'y'], drop: [] })
    router.hear('a', { kind: 'wants', add: [], drop: ['x'] })
    assert.deepEqual(asked(), [false, 'y'])
    router.hear('a', { kind: 'wants', add: [], drop: ['y'] })
    assert.deepEqual(asked(), [false])
    router.hear('b', { kind: 'wants', all: true, add: [], drop: [] })
    router.hear('b', { kind: 'wants', add: [], drop: ['x'] })
    assert.deepEqual(asked(), [true])
    router.hear('b', { kind: 'wants', all: false, add: [], drop: [] })
    assert.deepEqual(asked(), [false])
    router.hear('b', { kind: 'wants', add: ['x'], drop: [] })
    router.down('b')
    assert.deepEqual(asked(), [false])
  })

  it('forgets what it has no use for, but not neighbours', () => {
    known.add('far')
    up('a')
    router.hear('a', rows(row('far', 30)))
    router.forget(['far', 'a', 'nobody'])
    assert.deepEqual([router.route('far'), router.route('a')?.via], [undefined, 'a'])
  })

  it('says nothing once it has stopped', () => {
    known.add('far')
    up('a', 'b')
    router.hear('b', { kind: 'wants', add: ['far'], drop: [] })
    router.stop()
    said.length = routes.length = 0
    router.hear('a', rows(row('far', 30)))
    router.down('a')
    pass(60_000)
    assert.deepEqual([said, routes], [[], []])
  })
})
