import assert from 'node:assert/strict'
import fc from 'fast-check'
import { rendezvousOrder } from '../../../../src/core/triggers/rendezvous.ts'
import { createCurrentRoutes } from '../../../../src/core/triggers/current-routes.ts'
import {
  MAX_FAN_OUT,
  MAX_ROUTED_NAMES,
  NAME_CHARACTERS,
  checkRouteHint,
  createEventRoutes,
  fanOutOf,
  priorityOf,
  reachesType,
  wayOf,
  type EventHandler,
  type EventRoute,
  type EventToRoute
} from '../../../../src/core/triggers/trigger-routes.ts'

const handler = (capability: string, type: string, node = 'n1', healthy = true): EventHandler => ({
  node,
  capability,
  type,
  healthy
})
const EVENT: EventToRoute = { hint: undefined, sink: undefined, node: 'n0', capability: 'cam', subject: 'door' }
const GUARD = handler('guard', 'agent/security')
const RESEARCH = handler('research', 'agent/research')
const ALARM = handler('alarm', 'security/alarm', 'n2')
const ALL = [GUARD, RESEARCH, ALARM]

describe('routes of events by meaning', () => {
  const event = { ...EVENT, hint: 'meaning:agent/*', sink: 'capability:alarm', text: 'somebody is at the door' }

  it('go to those of the types that are meant, who are there and have not raised it', () => {
    const asked: [string, string[]][] = []
    const own = handler('cam', 'agent/camera', 'n0')
    const away = handler('watch', 'agent/watch', 'n3', false)
    const routes = createEventRoutes([...ALL, own, away], (text, among) => {
      asked.push([text, among.map(({ capability }) => capability).sort()])
      return among.filter(({ capability }) => capability === 'guard')
    })
    const { by, handlers } = routes.route(event)
    assert.deepEqual([by, [...handlers]], ['meaning', ['guard@n1']])
    assert.deepEqual(asked, [['somebody is at the door', ['guard', 'research']]])
    routes.route(event)
    assert.equal(asked.length, 1)
    routes.route({ ...event, text: 'it is dark' })
    assert.deepEqual(asked[1]?.[0], 'it is dark')
  })

  it('go to the sink where nobody or not one thing is meant, never to the nearest', () => {
    const { by, handlers } = createEventRoutes(ALL, () => []).route(event)
    assert.deepEqual([by, [...handlers]], ['sink', ['alarm@n2']])
    assert.equal(createEventRoutes(ALL, () => []).route({ ...event, sink: undefined }).by, undefined)
    assert.equal(createEventRoutes(ALL).route(event).by, 'sink')
  })

  it('wait as long as it is not known who is meant, and are asked again', () => {
    let known = false
    const routes = createEventRoutes(ALL, (_, among) => (known ? among.slice(0, 1) : undefined))
    assert.deepEqual([routes.route(event).by, routes.route(event).handlers.size], [undefined, 0])
    assert.deepEqual([...routes.route(event).undecided!].sort(), ['alarm@n2', 'guard@n1', 'research@n1'], 'the sink as well')
    assert.deepEqual([...routes.route({ ...event, sink: undefined, text: 'dark' }).undecided!].sort(), [
      'guard@n1',
      'research@n1'
    ])
    assert.equal(routes.route({ ...event, hint: 'meaning:robot/*' }).undecided, undefined, 'there is none of the types')
    known = true
    routes.again()
    assert.deepEqual([routes.route(event).by, routes.route(event).undecided], ['meaning', undefined])
  })

  /** Many events, each with words of its own, and how often anybody has read those. */
  function worded(count: number): { events: EventToRoute[]; reads: () => number } {
    let reads = 0
    const events = Array.from({ length: count }, (_, n) => ({
      ...event,
      get text() {
        reads++
        return `somebody is at door ${n}`
      }
    }))
    return { events, reads: () => reads }
  }

  it('are asked about once as long as it is not known, however many wait for that, whatever they say', () => {
    let asked = 0
    const routes = createEventRoutes(ALL, () => void asked++)
    const { events, reads } = worded(1_000)
    for (const one of events) assert.ok(routes.route(one).undecided?.has('guard@n1'))
    assert.equal(asked, 1)
    assert.ok(reads() < 10, `${reads()} looks at words`)
    assert.equal(routes.route({ ...event, hint: 'meaning:robot/*' }).by, 'sink', 'that is known')
    assert.equal(routes.route({ ...event, hint: 'agent/*' }).by, 'type')
    assert.equal(routes.route({ ...event, hint: 'meaning:security/*', node: 'n2', capability: 'alarm' }).undecided, undefined)
    routes.again()
    for (const one of events) routes.route(one)
    assert.equal(asked, 2)
  })

  it('are asked about one by one where too much was asked, of each once until they are asked again', () => {
    const asked: string[] = []
    const routes = createEventRoutes(ALL, (text, among) => {
      asked.push(text)
      return asked.length % 2 === 1 ? among.slice(0, 1) : 'later'
    })
    const [one, two, three] = ['1', '2', '3'].map((text) => ({ ...event, text }))
    const ask = (): unknown[] => [one!, two!, three!].map((of) => routes.route(of).by ?? routes.route(of).undecided?.size)
    assert.deepEqual(ask(), ['meaning', 3, 'meaning'])
    assert.deepEqual(ask(), ['meaning', 3, 'meaning'])
    assert.deepEqual(asked, ['1', '2', '3'])
    routes.again()
    asked.length = 0
    assert.deepEqual([ask(), asked], [['meaning', 'meaning', 'meaning'], ['2']])
  })

  /** Of handlers that change, and words that do. */
  function current(): { of: { list: EventHandler[]; revision: number | undefined }; asked: () => number; route(): EventRoute } {
    let asked = 0
    const of = { list: ALL, revision: 1 as number | undefined }
    const among = (_: string, all: readonly EventHandler[]): readonly EventHandler[] | undefined => {
      asked++
      return of.revision === undefined ? undefined : all.slice(0, 1)
    }
    const routes = createCurrentRoutes(() => of.list, { among, revision: () => of.revision })
    return { of, asked: () => asked, route: () => routes.route(event) }
  }

  it('are kept where handlers are the same in all that routes go by, and made anew where one is not', () => {
    const { of, asked, route } = current()
    const first = route()
    for (let n = 0; n < 10; n++) {
      of.list = structuredClone(of.list)
      assert.equal(route(), first)
    }
    of.list = of.list.map((one) => ({ ...one, ordered: false }))
    assert.deepEqual([route() === first, asked()], [true, 1], 'that is the default')
    const changes = [{ node: 'n9' }, { capability: 'x' }, { type: 'agent/x' }, { healthy: false }, { ordered: true }]
    for (const [n, change] of changes.entries()) {
      of.list = [ALL[0]!, { ...ALL[1]!, ...change }, ALL[2]!]
      route()
      assert.equal(asked(), 2 * n + 2, JSON.stringify(change))
      of.list = ALL
      route()
    }
    of.list = ALL.slice(0, 2)
    route()
    assert.equal(asked(), 2 * changes.length + 2)
  })

  it('are made anew where words may mean something else, or it is not known whether', async () => {
    const { of, asked, route } = current()
    const change = (revision: number | undefined): EventRoute => {
      of.revision = revision
      of.list = [...of.list]
      return route()
    }
    const first = route()
    assert.notEqual(change(2), first)
    assert.equal(asked(), 2)
    assert.ok(change(undefined).undecided?.has('guard@n1'))
    assert.ok(change(undefined).undecided?.has('guard@n1'))
    assert.equal(asked(), 3)
    await Promise.resolve()
    assert.equal(change(3).by, 'meaning')
    assert.equal(change(3).by, 'meaning')
    assert.equal(asked(), 4)
  })

  it('are looked up by their words once for each event', () => {
    let asked = 0
    const routes = createEventRoutes(ALL, () => {
      asked++
      return []
    })
    const { events, reads } = worded(100)
    for (const one of events) assert.equal(routes.route(one).by, 'sink')
    const before = reads()
    for (let n = 0; n < 10; n++) for (const one of events) assert.equal(routes.route(one).by, 'sink')
    assert.deepEqual([asked, reads()], [100, before])
  })

  it('are remembered for so many characters of words at most', () => {
    let asked = 0
    const routes = createEventRoutes(ALL, (_, among) => {
      asked++
      return among.slice(0, 1)
    })
    const say = (n: number): EventRoute => routes.route({ ...event, text: `${n}`.padEnd(2_048) })
    say(0)
    const count = Math.floor((MAX_ROUTED_NAMES * NAME_CHARACTERS) / 2_048)
    for (let n = 1; n < count * 0.9; n++) say(n)
    const before = asked
    say(0)
    assert.equal(asked, before)
    for (let n = 0; n < count * 0.1; n++) say(-1 - n)
    say(0)
    assert.ok(asked > before + Math.floor(count * 0.1), 'it was forgotten')
  })

  it('are the same for what says the same', () => {
    const other = { ...event, text: 'it is dark' }
    assert.notEqual(wayOf(event), wayOf(other))
    assert.equal(wayOf({ ...event, hint: 'agent/*' }), wayOf({ ...other, hint: 'agent/*' }))
  })

  it('are a hint that a trigger may have', () => {
    for (const hint of ['meaning:**', 'meaning:agent/*']) checkRouteHint({ id: 'cam' }, { event: 'x', routeHint: hint })
    for (const hint of ['meaning:', 'meaning:capability:x', 'meaning:a b'])
      assert.throws(() => checkRouteHint({ id: 'cam' }, { event: 'x', routeHint: hint }), /fits nothing/)
  })
})

describe('routes of events', () => {
  const route = (event: Partial<EventToRoute>, handlers = ALL): [string | undefined, string[]] => {
    const { by, handlers: names } = createEventRoutes(handlers).route({ ...EVENT, ...event })
    return [by, [...names].sort()]
  }

  it('go to whom the hint names, on all nodes or on one', () => {
    const two = [...ALL, handler('guard', 'agent/security', 'n2')]
    assert.deepEqual(route({ hint: 'capability:guard' }, two), ['capability', ['guard@n1', 'guard@n2']])
    assert.deepEqual(route({ hint: 'capability:guard@n2' }, two), ['capability', ['guard@n2']])
  })

  it('wait for whom the hint names: nobody else gets it', () => {
    assert.deepEqual(route({ hint: 'capability:nobody', sink: '**' }), [undefined, []])
    const away = { ...GUARD, healthy: false }
    assert.deepEqual(route({ hint: 'capability:guard', sink: 'capability:alarm' }, [away, ALARM]), [undefined, []])
  })

  it('go to a type, a glob of types or a domain, wherever that stands in the type', () => {
    assert.deepEqual(route({ hint: 'agent/*' }), ['type', ['guard@n1', 'research@n1']])
    assert.deepEqual(route({ hint: 'agent/security' }), ['type', ['guard@n1']])
    for (const hint of ['security/*', 'security/**', 'security'])
      assert.deepEqual(route({ hint }), ['type', ['alarm@n2', 'guard@n1']], hint)
    for (const [hint, type, reaches] of [
      ['security/*', 'agent/security', true],
      ['security/*', 'agent/cybersecurity', false],
      ['agent/*', 'agent/security/night', true],
      ['*/security', 'agent/security', true],
      ['security/a*', 'agent/security', false],
      ['', 'agent/security', false]
    ] as const)
      assert.equal(reachesType(hint, type), reaches, `${hint} ${type}`)
  })

  it('go to the sink if they reach nobody else, and nowhere if there is none', () => {
    assert.deepEqual(route({ hint: 'agent/cooking', sink: 'capability:research' }), ['sink', ['research@n1']])
    assert.deepEqual(route({ sink: 'agent/**' }), ['sink', ['guard@n1', 'research@n1']])
    assert.deepEqual(route({}), [undefined, []])
    assert.deepEqual(route({ sink: 'capability:nobody' }), [undefined, []])
  })

  it('never go to the sink from itself', () => {
    const own = { node: 'n1', capability: 'guard' }
    for (const sink of ['capability:guard', 'capability:guard@n1', 'agent/security'])
      assert.deepEqual(route({ sink, ...own }), [undefined, []], sink)
    assert.deepEqual(route({ sink: 'capability:guard', ...own }, [GUARD, { ...GUARD, node: 'n2' }]), ['sink', ['guard@n2']])
  })

  it('leave out who is not healthy, and who raised them unless it is named', () => {
    assert.deepEqual(route({ hint: 'agent/*' }, [{ ...GUARD, healthy: false }, RESEARCH]), ['type', ['research@n1']])
    assert.deepEqual(route({ hint: 'agent/*', node: 'n1', capability: 'guard' }), ['type', ['research@n1']])
    assert.deepEqual(route({ hint: 'capability:guard', node: 'n1', capability: 'guard' }), ['capability', ['guard@n1']])
  })

  it('count each handler once', () => {
    assert.deepEqual(route({ hint: '**' }, [GUARD, GUARD, { ...GUARD, type: 'agent/other' }]), ['type', ['guard@n1']])
  })

  it('begin with the same handler for the same source and subject, whatever the order in which handlers are known', () => {
    const many = Array.from({ length: 8 }, (_, n) => handler('guard', 'agent/security', `node${n}`))
    const first = (subject: string | undefined, from = many): string =>
      [...createEventRoutes(from).route({ ...EVENT, hint: 'agent/*', subject }).handlers][0]!
    assert.equal(first('door', [...many].reverse()), first('door'))
    assert.ok(new Set(Array.from({ length: 50 }, (_, n) => first(String(n)))).size > 4, 'subjects are spread')
    assert.notEqual(first(undefined), undefined)
  })

  it('look at each handler once, however often they are asked, until there are others', () => {
    let looks = 0
    const counted = (one: EventHandler): EventHandler => ({
      ...one,
      get type() {
        looks++
        return one.type
      }
    })
    const many = (count: number) =>
      Array.from({ length: count }, (_, n) => counted(handler(`h${n % 10}`, `agent/t${n % 10}`, `n${n}`)))
    let list = many(1_000)
    const routes = createCurrentRoutes(() => list)
    const ask = (): EventRoute[] =>
      Array.from({ length: 1_000 }, (_, n) =>
        routes.route({ ...EVENT, hint: n % 2 === 0 ? 'agent/t1' : 'capability:h2', subject: `${n % 20}` })
      )
    const [first] = ask()
    assert.equal(first!.handlers.size, 100)
    assert.equal(ask()[0], first, 'the same, not made again')
    assert.equal(routes.isOrdered('h1@n1'), false)
    assert.equal(looks, 1_000)
    list = many(500)
    assert.equal(ask()[0]!.handlers.size, 50)
    assert.equal(looks, 1_500)
  })

  it('are remembered up to so many names', () => {
    const list = Array.from({ length: 1_000 }, (_, n) => handler('guard', 'agent/guard', `n${n}`))
    const routes = createEventRoutes(list)
    const of = (subject: number): EventRoute => routes.route({ ...EVENT, hint: 'agent/*', subject: `${subject}` })
    const first = of(0)
    for (let n = 1; n < Math.floor(MAX_ROUTED_NAMES / 1_001); n++) of(n)
    assert.equal(of(0), first)
    of(-1)
    assert.notEqual(of(0), first)
    assert.deepEqual([...of(0).handlers], [...first.handlers])
  })

  it('know who wants events in order', () => {
    const routes = createEventRoutes([{ ...GUARD, ordered: true }, RESEARCH])
    assert.deepEqual(['guard@n1', 'research@n1', 'nobody@n1'].map(routes.isOrdered), [true, false, false])
  })

  it('take what triggers say, and what they do not know as the usual', () => {
    const fanOut = (given: unknown): unknown => fanOutOf({ event: 'e', fanOut: given as never })
    assert.deepEqual([undefined, 'one', 'most', 0, 1, 3, 'all', 10_000].map(fanOut), [1, 1, 1, 1, 1, 3, 'all', MAX_FAN_OUT])
    const priority = (given: unknown): unknown => priorityOf({ event: 'e', priority: given as never })
    assert.deepEqual(['low', 'critical', 'urgent', undefined].map(priority), ['low', 'critical', 'normal', 'normal'])
  })
})

describe('rendezvous order', () => {
  const names = Array.from({ length: 10 }, (_, n) => `guard@12D3KooW${n}`)

  it('moves the keys of a handler that goes, and no others', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(9), (key, gone) => {
        const order = rendezvousOrder(key, names)
        assert.deepEqual(
          rendezvousOrder(
            key,
            names.filter((_, n) => n !== gone)
          ),
          order.filter((name) => name !== names[gone])
        )
      })
    )
  })

  it('shares keys evenly, the first and the second', () => {
    for (const place of [0, 1]) {
      const counts = new Map<string, number>()
      for (let n = 0; n < 10_000; n++) {
        const name = rendezvousOrder(`node cam ${n}`, names)[place]!
        counts.set(name, (counts.get(name) ?? 0) + 1)
      }
      // Six standard deviations of a fair share.
      for (const [name, count] of counts) assert.ok(Math.abs(count - 1_000) < 180, `${name}: ${count}`)
      assert.equal(counts.size, names.length)
    }
  })
})
