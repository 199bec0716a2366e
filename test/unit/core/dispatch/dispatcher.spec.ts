import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createRandom } from '../../../../scripts/simulate/random.ts'
import type { Candidate, DispatchRequest, Load, Outcome, Ranked } from '../../../../src/core/dispatch/candidate.ts'
import { FAILURES_TO_OPEN, OPEN_MS } from '../../../../src/core/dispatch/circuit-breaker.ts'
import { MAX_TRIES } from '../../../../src/core/dispatch/decision.ts'
import { MAX_DRAWS, createDispatcher, type Dispatcher } from '../../../../src/core/dispatch/dispatcher.ts'

const candidate = (node: string, given: Partial<Candidate> = {}): Candidate => ({
  node,
  key: 'work',
  local: false,
  rttMs: 5,
  slots: 1,
  ...given
})
/** Explores nothing. */
const FAST: DispatchRequest = { prefer: 'fast' }
const idle = (serviceMs = 100, slots = 1): Load => ({ running: 0, slots, serviceMs, ageMs: 0 })
/** So long ago a provider said how long calls take, in ms: as news of its load that is stale. */
const TOLD_MS = 60_000

describe('dispatcher', () => {
  const create = (seed = 1): Dispatcher => createDispatcher({ random: createRandom(seed) })
  /** Each of `given` has said, long before `now`, how long calls take there: `serviceMs` by node, of others 100. */
  const told = (given: readonly Candidate[], serviceMs: Record<string, number> = {}, seed = 1, now = 0): Dispatcher => {
    const dispatcher = create(seed)
    for (const one of given) {
      dispatcher.feedback(one, { running: 0, slots: one.slots ?? 1, serviceMs: serviceMs[one.node] ?? 100 }, now - TOLD_MS)
    }
    return dispatcher
  }
  const names = (dispatcher: Dispatcher, from: readonly Candidate[], request: DispatchRequest = {}, now = 0): string[] =>
    dispatcher.order(from, request, now).tries.map((ranked) => ranked.candidate.node)
  /** Every candidate: those of a decision in its order, then the others. */
  const explain = (dispatcher: Dispatcher, from: readonly Candidate[], request: DispatchRequest, now: number): Ranked[] => {
    const { tries } = dispatcher.order(from, request, now)
    const others = from.filter((one) => !tries.some(({ candidate: tried }) => tried === one))
    return [...tries, ...others.map((one) => dispatcher.rank(one, request, now))]
  }
  const fail = (dispatcher: Dispatcher, broken: Candidate, now = 0): void => {
    for (let n = 0; n < FAILURES_TO_OPEN; n++) {
      dispatcher.began(broken, now)
      dispatcher.ended(broken, 'failed', 1, now)
    }
  }

  it('takes the one that ends first: near, fast and free', () => {
    const from = [candidate('far', { rttMs: 90 }), candidate('near')]
    assert.deepEqual(names(told(from), from), ['near', 'far'])
    const mixed = [candidate('slow'), candidate('fast')]
    assert.deepEqual(names(told(mixed, { slow: 400 }), mixed), ['fast', 'slow'])
    const busy = [candidate('busy'), candidate('free')]
    const dispatcher = told(busy)
    dispatcher.feedback(busy[0]!, { ...idle(), running: 2 }, 0)
    assert.deepEqual(names(dispatcher, busy), ['free', 'busy'])
  })

  it('names nobody twice, and the rest as reserve', () => {
    const from = Array.from({ length: 50 }, (_, n) => candidate(String(n)))
    const serviceMs = Object.fromEntries(from.map(({ node }) => [node, node === '0' ? 1 : 1_000]))
    for (let seed = 0; seed < 50; seed++) {
      const { tries } = told(from, serviceMs, seed).order(from, {}, 0)
      assert.equal(new Set(tries.map((ranked) => ranked.candidate)).size, MAX_TRIES)
    }
  })

  it('prefers a reserve of another class to two slow ones', () => {
    const slow = Array.from({ length: 8 }, (_, n) => candidate(String(n), { slots: 4 }))
    const serviceMs = { ...Object.fromEntries(slow.map(({ node }) => [node, 1_000])), fast: 200, 'little better': 700 }
    const decide = (from: Candidate[]): string[][] =>
      Array.from({ length: 100 }, (_, seed) => names(told(from, serviceMs, seed), from, FAST))
    const decided = decide([...slow, candidate('fast')])
    const drawn = decided.filter((tries) => tries.includes('fast'))
    assert.ok(drawn.length > 0 && drawn.every((tries) => tries[0] === 'fast'))
    assert.ok(decide([...slow, candidate('little better')]).some((tries) => tries.indexOf('little better') > 1))
  })

  it('looks at few of many', () => {
    let looks = 0
    const from = Array.from({ length: 1_000 }, (_, n) => ({
      ...candidate(String(n)),
      // Read once for each look, whether that makes a weight or a rank.
      get slots() {
        looks++
        return 1
      }
    }))
    const dispatcher = told(from)
    dispatcher.order(from, {}, 0)
    looks = 0
    for (let n = 0; n < 100; n++) dispatcher.order(from, {}, n)
    assert.ok(looks >= 100 && looks <= 100 * 10, `${looks} looks`)
  })

  it('takes local if it is nearly as good, or if it is preferred and able', () => {
    const [local, remote] = [candidate('self', { local: true, rttMs: undefined }), candidate('other')]
    const from = [remote, local]
    const taken = (selfMs: number, request?: DispatchRequest): string[] => names(told(from, { self: selfMs }), from, request)
    assert.deepEqual(taken(100), ['self', 'other'])
    assert.deepEqual(taken(125), ['self', 'other'])
    assert.deepEqual(taken(127), ['other', 'self'])
    assert.deepEqual(taken(1_000), ['other', 'self'])
    assert.deepEqual(taken(1_000, { prefer: 'local' }), ['self', 'other'])
    const broken = told(from, { self: 1_000 })
    fail(broken, local)
    assert.deepEqual(names(broken, from, { prefer: 'local' }), ['other'])
    assert.deepEqual(names(told([local]), [local]), ['self'])
  })

  it('weighs power, metered links and money', () => {
    const from = [candidate('dear', { cost: { price: 1 } }), candidate('free')]
    const first = (request?: DispatchRequest): string | undefined => names(told(from, { free: 500 }), from, request)[0]
    assert.equal(first(), 'dear')
    assert.equal(first({ prefer: 'fast' }), 'dear')
    assert.equal(first({ prefer: 'cheap' }), 'free')
    const costs = [{}, { power: 'battery' }, { metered: true }, { power: 'low-battery' }] as const
    const nodes = costs.map((cost, n) => candidate(String(n), { cost }))
    const scores = explain(told(nodes), nodes, {}, 0).sort((a, b) => a.score - b.score)
    assert.deepEqual(
      scores.map(({ candidate: { node }, score }) => [node, score]),
      [
        ['0', 105],
        ['1', 155],
        ['2', 305],
        ['3', 605]
      ]
    )
    for (const { etaMs, costMs, score } of scores) assert.equal(etaMs + costMs, score)
    const fast = explain(told(nodes), nodes, FAST, 0)
    assert.ok(
      fast.every(({ etaMs, costMs, score }) => costMs === 0 && score === etaMs),
      'time alone'
    )
  })

  it('gives calls to nobody who is excluded, and says why', () => {
    const from = [candidate('a'), candidate('b'), candidate('c')]
    const create = (): Dispatcher => told(from, { c: 900 })
    const why = (request: DispatchRequest): string[] =>
      explain(create(), from, request, 0)
        .map((ranked) => `${ranked.candidate.node} ${ranked.why}`)
        .sort()
    assert.deepEqual(why({ notNode: ['b'], maxLatencyMs: 500 }), ['a sampled', 'b excluded', 'c over max latency'])
    assert.deepEqual(names(create(), from, { notNode: ['a', 'b', 'c'] }), [])
    assert.deepEqual(names(create(), from, { maxLatencyMs: 1 }), [])
  })

  it('finds the only one that may be tried among a thousand', () => {
    const from = Array.from({ length: 1_000 }, (_, n) => candidate(String(n)))
    const notNode = from.map(({ node }) => node).filter((node) => node !== '777')
    assert.deepEqual(names(told(from), from, { notNode }), ['777'])
  })

  it('keeps away from what is broken, but tries it if there is nothing else', () => {
    const from = [candidate('a'), candidate('b')]
    const dispatcher = told(from)
    fail(dispatcher, from[0]!)
    assert.deepEqual(names(dispatcher, from), ['b'])
    assert.deepEqual(
      explain(dispatcher, from, {}, 0).map(({ why }) => why),
      ['sampled', 'breaker open']
    )
    assert.deepEqual(names(dispatcher, [from[0]!]), ['a'], 'the only one')
    fail(dispatcher, from[1]!)
    assert.deepEqual(names(dispatcher, from).sort(), ['a', 'b'])
    assert.deepEqual(names(dispatcher, from, {}, OPEN_MS).sort(), ['a', 'b'], 'half open')
    dispatcher.began(from[0]!, OPEN_MS)
    assert.deepEqual(names(dispatcher, from, {}, OPEN_MS), ['b'], 'one call is on its way there')
  })

  it('tries what is full last', () => {
    const from = [candidate('full'), candidate('slow')]
    const dispatcher = told(from, { slow: 3_000 })
    dispatcher.feedback(from[0]!, { ...idle(), running: 3 }, 0)
    assert.deepEqual(names(dispatcher, from), ['slow', 'full'])
  })

  it('tries last who says that it takes no call of this node for a while', () => {
    const from = [candidate('limited'), candidate('slow')]
    const dispatcher = told(from, { slow: 900 })
    dispatcher.began(from[0]!, 0)
    dispatcher.refused(from[0]!, 5_000, 0)
    dispatcher.ended(from[0]!, 'cancelled', 0, 0)
    assert.deepEqual(names(dispatcher, from, FAST, 4_999), ['slow', 'limited'])
    assert.deepEqual(names(dispatcher, from, FAST, 5_000), ['limited', 'slow'])
  })

  it('tries each of a few of which nothing is known once, and then the best', () => {
    const [dispatcher, from] = [create(), ['a', 'b', 'c'].map((node) => candidate(node))]
    const tookMs: Record<string, number> = { a: 500, b: 30, c: 2_000 }
    const called: string[] = []
    for (let now = 0; now < 8_000; now += 1_000) {
      const first = dispatcher.order(from, FAST, now).tries[0]!.candidate
      dispatcher.began(first, now)
      dispatcher.ended(first, 'ok', tookMs[first.node]! + 5, now)
      called.push(first.node)
    }
    assert.deepEqual([...called.slice(0, 3)].sort(), ['a', 'b', 'c'])
    assert.deepEqual([...new Set(called.slice(3))], ['b'])
  })

  it('tries none without need where this node itself can do it, and no second one before the first has told', () => {
    const [self, known, unknown] = [candidate('self', { local: true }), candidate('known'), candidate('new')]
    assert.equal(names(told([self], { self: 500 }), [self, unknown], FAST)[0], 'self')
    const from = [known, unknown]
    const dispatcher = told([known])
    assert.equal(names(dispatcher, from, FAST)[0], 'new')
    dispatcher.began(unknown, 0)
    assert.equal(names(dispatcher, from, FAST)[0], 'known')
  })

  it('asks all of a few of which nothing is known before it tries one, so that a slow one of them is not tried in vain', () => {
    const from = ['a', 'b', 'c', 'd'].map((node) => candidate(node))
    for (let seed = 0; seed < 20; seed++) {
      const dispatcher = create(seed)
      const decision = dispatcher.order(from, FAST, 0)
      assert.deepEqual(decision.probe.map(({ node }) => node).sort(), ['a', 'b', 'c', 'd'])
      for (const one of decision.probe) dispatcher.feedback(one, idle(one.node === 'b' ? 300 : 1_500), 5)
      assert.equal(dispatcher.reorder(decision, 5).tries[0]!.candidate.node, 'b')
    }
  })

  it('expects of whom nothing is known no more than the way there', () => {
    const from = [candidate('near'), candidate('far', { rttMs: 80 })]
    assert.deepEqual(names(create(), from, { maxLatencyMs: 50 }), ['near'])
  })

  it('asks both of two that it compares if it has not heard of one for long, then decides among them', () => {
    const from = [candidate('a'), candidate('b')]
    const dispatcher = told(from)
    const decision = dispatcher.order(from, {}, 0)
    assert.deepEqual(decision.probe.map(({ node }) => node).sort(), ['a', 'b'])
    const first = decision.tries[0]!.candidate
    dispatcher.feedback(first, { ...idle(), running: 2 }, 5)
    dispatcher.feedback(
      from.find((other) => other !== first)!,
      idle(),
      5
    )
    const again = dispatcher.reorder(decision, 5)
    assert.notEqual(again.tries[0]!.candidate, first)
    assert.deepEqual(again.probe, [])
    assert.deepEqual(dispatcher.order(from, {}, 100).probe, [], 'fresh')
    assert.equal(dispatcher.order(from, {}, 106).probe.length, 2, 'older than the call lasts')
  })

  it('holds feedback for fresh as long as a call lasts, but for 0.1 s at least and 1 s at most', () => {
    for (const [serviceMs, freshMs] of [
      [50, 100],
      [300, 300],
      [9_000, 1_000]
    ] as const) {
      const [dispatcher, from] = [create(), [candidate('a'), candidate('b')]]
      for (const one of from) dispatcher.feedback(one, idle(serviceMs), 0)
      assert.equal(dispatcher.order(from, FAST, freshMs).probe.length, 0)
      assert.equal(dispatcher.order(from, FAST, freshMs + 1).probe.length, 2)
    }
  })

  it('asks others for the comparison with this node, unless this node goes first', () => {
    const probed = (selfMs: number, others: Candidate[]): string => {
      const from = [candidate('self', { local: true }), ...others]
      return told(from, { self: selfMs, b: 250 })
        .order(from, FAST, 0)
        .probe.map(({ node }) => node)
        .join()
    }
    const two = [candidate('a'), candidate('b')]
    assert.equal(probed(200, two), 'a,b', 'this node is between the two')
    assert.equal(probed(200, [two[0]!]), 'a')
    assert.equal(probed(100, two), '')
    assert.equal(probed(5_000, [two[0]!]), '', 'far worse')
  })

  it('looks no further than at what it has drawn where a thousand are full', () => {
    const [dispatcher, from] = [create(), Array.from({ length: 1_000 }, (_, n) => candidate(String(n)))]
    for (const one of from) dispatcher.feedback(one, { ...idle(), running: 9 }, 0)
    const decision = dispatcher.order(from, FAST, 0)
    assert.deepEqual(
      decision.tries.map(({ why }) => why),
      Array.from({ length: MAX_TRIES }, () => 'full')
    )
    assert.equal(decision.drawn.length, MAX_DRAWS)
  })

  it('asks nobody where that would not pay, or would change nothing', () => {
    const [one, two] = [[candidate('a')], [candidate('a'), candidate('b')]]
    assert.deepEqual(told(two, { a: 15, b: 15 }).order(two, {}, 0).probe, [], 'the call is as quick as the probe')
    assert.deepEqual(told(one).order(one, {}, 0).probe, [], 'there is one only')
    assert.deepEqual(told(two, { b: 2_000 }).order(two, {}, 0).probe, [], 'one is far better')
  })

  it('explains with numbers, and begins nothing by it', () => {
    const from = [candidate('a', { slots: 2 }), candidate('b', { rttMs: undefined, metricMs: 30 })]
    const dispatcher = told(from)
    dispatcher.began(from[0]!, 0)
    const row = explain(dispatcher, from, {}, 10).find((ranked) => ranked.candidate.node === 'a')
    assert.deepEqual(row, {
      candidate: from[0],
      why: 'sampled',
      rttMs: 5,
      serviceMs: 100,
      isGuess: false,
      etaMs: 105,
      costMs: 0,
      score: 105,
      weight: 0.02,
      outstanding: 1,
      slots: 2,
      running: 1,
      heardMs: TOLD_MS + 10
    })
    assert.equal(explain(dispatcher, from, {}, 10).find((ranked) => ranked.candidate.node === 'b')!.rttMs, 30)
  })

  it('leaves a liar within five calls, whatever it says', () => {
    const from = [candidate('liar', { slots: 64 }), candidate('honest')]
    const dispatcher = told(from, { liar: 1 })
    let [now, lied] = [0, 0]
    for (let n = 0; n < 200; n++) {
      const chosen = dispatcher.order(from, {}, now).tries[0]!.candidate
      const tookMs = chosen.node === 'liar' ? 2_000 : 105
      if (chosen.node === 'liar') lied++
      dispatcher.began(chosen, now)
      now += tookMs
      dispatcher.feedback(chosen, chosen.node === 'liar' ? idle(1, 64) : idle(), now)
      dispatcher.ended(chosen, 'ok', tookMs, now)
    }
    assert.ok(lied <= 5 + 2, `${lied} calls of 200, two of them explorations`)
  })

  it('leaves one that says that it is idle, and refuses every call', () => {
    const from = [candidate('liar', { slots: 64 }), candidate('honest')]
    const dispatcher = told(from, { liar: 1 })
    let refused = 0
    for (let now = 0; now < 60_000; now += 105) {
      let chosen = dispatcher.order(from, FAST, now).tries[0]!.candidate
      if (chosen.node === 'liar') {
        refused++
        dispatcher.began(chosen, now)
        dispatcher.feedback(chosen, idle(1, 64), now + 5)
        dispatcher.ended(chosen, 'busy', 5, now + 5)
        chosen = from[1]!
      }
      dispatcher.began(chosen, now)
      dispatcher.feedback(chosen, idle(), now + 105)
      dispatcher.ended(chosen, 'ok', 105, now + 105)
    }
    assert.ok(refused <= 20, `${refused} of 571 calls`)
  })

  it('leaves one that swallows calls before the first of them times out', () => {
    const from = [candidate('hole', { slots: 64 }), candidate('honest', { slots: 8 })]
    const dispatcher = told(from, { hole: 20 })
    let swallowed = 0
    for (let now = 0; now < 5_000; now += 20) {
      const chosen = dispatcher.order(from, {}, now).tries[0]!.candidate
      dispatcher.began(chosen, now)
      if (chosen.node === 'hole') swallowed++
      else dispatcher.ended(chosen, 'ok', 105, now)
    }
    assert.ok(swallowed <= 12, `${swallowed} of 250 calls`)
  })

  it('decides alike for the same seed, whatever the clock starts at', () => {
    const trace = (offset: number): string => {
      const from = Array.from({ length: 20 }, (_, n) => candidate(String(n), { rttMs: n }))
      const serviceMs = Object.fromEntries(from.map(({ node }, n) => [node, 50 + n]))
      const [dispatcher, random] = [told(from, serviceMs, 7, offset), createRandom(8)]
      const chosen: string[] = []
      for (let now = offset; now < offset + 2_048; now += 2) {
        const { tries } = dispatcher.order(from, {}, now)
        const first = tries[0]!.candidate
        chosen.push(tries.map((ranked) => ranked.candidate.node).join())
        dispatcher.began(first, now)
        dispatcher.feedback(first, { ...idle(50 + random() * 50), running: Math.floor(random() * 3) }, now)
        dispatcher.ended(first, random() < 0.1 ? 'failed' : 'ok', 50 + random() * 50, now)
      }
      return chosen.join(' ')
    }
    assert.equal(trace(0), trace(0))
    // A year, in ms that a double holds without rounding.
    assert.equal(trace(0), trace(2 ** 35))
  })

  // I13 of the design.
  it('counts what is outstanding right, names only candidates, and is idle at the end, under any sequence', () => {
    const outcome = fc.constantFrom<Outcome>('ok', 'answered', 'failed', 'timeout', 'busy', 'cancelled')
    const request = fc.record<DispatchRequest>({
      prefer: fc.constantFrom(undefined, 'local', 'fast', 'cheap'),
      maxLatencyMs: fc.option(fc.nat(2_000), { nil: undefined }),
      notNode: fc.option(fc.subarray(['0', '1', '2', '3', '4']), { nil: undefined })
    })
    const slots = fc.oneof(fc.nat(8), fc.constantFrom(-1, NaN, Infinity))
    const serviceMs = fc.oneof(fc.nat(2_000), fc.constantFrom(-1, NaN, Infinity))
    const given = fc.record({
      some: fc.record<Partial<Candidate>>({ rttMs: fc.option(fc.nat(200), { nil: undefined }), slots }),
      load: fc.option(fc.record<Load>({ running: fc.constant(0), slots, serviceMs }))
    })
    const step = fc.tuple(fc.nat(3), fc.nat(20), outcome, request, fc.nat(2_000))
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(given, { minLength: 1, maxLength: 6 }),
        fc.array(step, { maxLength: 120 }),
        (seed, all, steps) => {
          const dispatcher = create(seed)
          const from = all.map(({ some }, n) => candidate(String(n), { ...some, local: n === 1 }))
          for (const [n, { load }] of all.entries()) if (load !== null) dispatcher.feedback(from[n]!, load, -TOLD_MS)
          const outstanding = from.map(() => 0)
          const running: { chosen: Candidate; startedAt: number }[] = []
          let now = 0
          const end = (at: number, how: Outcome): void => {
            const [call] = running.splice(at, 1)
            outstanding[Number(call!.chosen.node)]!--
            dispatcher.ended(call!.chosen, how, now - call!.startedAt, now)
          }
          for (const [what, which, how, asked, waitMs] of steps) {
            now += waitMs
            if (what === 0 && running.length > 0) end(which % running.length, how)
            else if (what === 1) dispatcher.feedback(from[which % from.length]!, { ...idle(which), running: which }, now)
            else {
              let decision = dispatcher.order(from, asked, now)
              if (decision.probe.length > 0) decision = dispatcher.reorder(decision, now)
              const tries = decision.tries.map((ranked) => ranked.candidate)
              assert.equal(new Set(tries).size, tries.length)
              assert.ok(tries.every((one) => from.includes(one) && asked.notNode?.includes(one.node) !== true))
              if (asked.maxLatencyMs === undefined)
                assert.equal(
                  tries.length > 0,
                  from.some(({ node }) => asked.notNode?.includes(node) !== true)
                )
              for (const ranked of [...decision.tries, ...decision.drawn])
                assert.ok(Number.isFinite(ranked.score) && ranked.weight > 0)
              if (tries[0] === undefined) continue
              dispatcher.began(tries[0], now)
              outstanding[Number(tries[0].node)]!++
              running.push({ chosen: tries[0], startedAt: now })
            }
            for (const row of explain(dispatcher, from, {}, now))
              assert.equal(row.outstanding, outstanding[Number(row.candidate.node)])
          }
          while (running.length > 0) end(0, 'ok')
          for (const one of from) dispatcher.ended(one, 'ok', 1, now)
          assert.ok(explain(dispatcher, from, {}, now).every((row) => row.outstanding === 0))
        }
      )
    )
  })
})
