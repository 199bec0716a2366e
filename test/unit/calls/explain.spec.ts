import assert from 'node:assert/strict'
import type { Offer } from '../../../src/core/candidates.ts'
import { isMeshError, type ErrorCode } from '../../../src/errors.ts'
import type { Explanation } from '../../../src/mesh-api.ts'
import { answers, scriptedMesh as mesh, throws } from '../../fixtures/scripted-mesh.ts'

const fails = (code: ErrorCode) => (error: unknown) => isMeshError(error, code)
const declared = (id: string, more: Partial<Offer['capability']> = {}): Pick<Offer, 'id' | 'type' | 'capability'> => ({
  id,
  type: more.type ?? 'demo/echo',
  capability: { id, type: 'demo/echo', tools: [{ name: 'echo' }], ...more }
})
const short = ({ candidates }: Explanation): string[] =>
  candidates.map(({ nodeName, place, why }) => `${nodeName} ${place} ${why}`)

describe('explain', () => {
  it('names every candidate with its numbers, in the order in which they would be tried, and calls none', () => {
    const three = mesh([answers('a'), answers('b'), answers('c')], { concurrency: 2 }, [
      {},
      { cost: { power: 'battery', price: 1 } },
      { direct: false, via: 'p0', hops: 2, metricMs: 40, rttMs: undefined }
    ])
    const [near, , far] = three.providers()
    three.dispatcher.feedback(near!, { running: 1, slots: 2, serviceMs: 80 }, performance.now())
    three.dispatcher.feedback(three.providers()[1]!, { running: 0, slots: 2, serviceMs: 60 }, performance.now())
    three.dispatcher.feedback(far!, { running: 0, slots: 2, serviceMs: 500 }, performance.now())
    const explanation = three.explain('echo', 'echo')
    assert.deepEqual([explanation.target, explanation.tool], ['echo', 'echo'])
    const [first, second, third] = explanation.candidates
    assert.deepEqual(short(explanation), ['node0 1 sampled', 'node1 2 sampled', 'node2 3 reserve'])
    const { heardMs, running, ...rest } = first!
    assert.deepEqual(rest, {
      node: 'p0',
      nodeName: 'node0',
      capability: 'echo',
      tool: 'echo',
      local: false,
      direct: true,
      via: null,
      hops: 1,
      avoided: false,
      status: 'online',
      place: 1,
      why: 'sampled',
      reason: 'expected to be done in 80 ms: the first of those that were compared',
      rttMs: 0,
      waitMs: 0,
      serviceMs: 80,
      etaMs: 80,
      costMs: 0,
      score: 80,
      outstanding: 0,
      slots: 2
    })
    assert.ok(heardMs! >= 0 && running > 0.9)
    assert.deepEqual([second!.etaMs, second!.costMs, second!.score], [61, 70, 131])
    assert.match(
      second!.reason,
      /61 ms, and its battery counts as 50 ms more, its price of 1 cent as 20 ms more: later than node0/
    )
    const cheap = three.explain('echo', 'echo', { prefer: 'cheap' }).candidates.find(({ nodeName }) => nodeName === 'node1')!
    assert.deepEqual([cheap.costMs, cheap.score], [2_050, 2_111])
    assert.match(cheap.reason, /its battery counts as 50 ms more, its price of 1 cent as 2 s more/)
    const fast = three.explain('echo', 'echo', { prefer: 'fast' }).candidates[0]!
    assert.deepEqual([fast.nodeName, fast.costMs, fast.score], ['node1', 0, 61])
    assert.match(fast.reason, /^expected to be done in 61 ms: the first/)
    assert.deepEqual([third!.via, third!.hops, third!.rttMs, third!.etaMs], ['p0', 2, 40, 540])
    assert.deepEqual(three.asked, [])
  })

  it('says why each other one would not be called', async () => {
    const busy = throws('busy', [], { running: 3, waiting: 0, slots: 1, serviceMs: 100, notStarted: true })
    const all = mesh([answers('a'), answers('b'), busy, throws('unavailable'), answers('e'), answers('f'), answers('g')], {}, [
      {},
      {},
      {},
      {},
      { direct: false },
      { mesh: 'club' },
      declared('echo', { status: 'degraded' })
    ])
    const at = performance.now()
    all.dispatcher.feedback(all.providers()[0]!, { running: 0, slots: 1, serviceMs: 20 }, at)
    all.dispatcher.feedback(all.providers()[1]!, { running: 0, slots: 1, serviceMs: 900 }, at)
    await assert.rejects(all.call('echo', 'echo', {}, { node: 'node2' }).result)
    for (let n = 0; n < 3; n++) await assert.rejects(all.call('echo', 'echo', {}, { node: 'node3' }).result)
    const { candidates } = all.explain('echo', 'echo', { notNode: ['node6'], maxLatencyMs: 500 })
    const of = (name: string) => candidates.find(({ nodeName }) => nodeName === name)!
    assert.deepEqual(
      ['node0', 'node1', 'node2', 'node3', 'node4', 'node5', 'node6'].map((name) => [of(name).place, of(name).why]),
      [
        [1, 'sampled'],
        [null, 'over max latency'],
        [null, 'full'],
        [null, 'breaker open'],
        [2, 'unreachable'],
        [3, 'sampled'],
        [null, 'excluded']
      ]
    )
    assert.match(of('node1').reason, /longer than the 500 ms that are allowed/)
    assert.match(of('node2').reason, /about 3 calls run and wait there, at 1 at once/)
    assert.match(of('node3').reason, /could not be done there/)
    assert.match(of('node4').reason, /no way to it is known: only if no better one is left/)
    assert.match(of('node5').reason, /nothing is known of how long it takes.*of another mesh: only if/)
    assert.match(of('node6').reason, /excludes it.*says of itself that it is degraded/)
    assert.deepEqual(
      [of('node5').waitMs, of('node5').serviceMs, of('node5').etaMs, of('node5').score],
      [null, null, null, of('node5').rttMs],
      'a guess is no number'
    )
    const none = all.explain('echo', 'echo', { notNode: candidates.map(({ node }) => node) })
    assert.ok(none.candidates.every(({ place, why }) => place === null && (why === 'excluded' || why === 'unreachable')))
  })

  it('knows how busy its own node is', () => {
    const two = mesh([answers('own'), answers('other')], { concurrency: 1 }, [{ local: true }])
    two.here.load = { running: 1, slots: 1, serviceMs: 100 }
    const own = two.explain('echo', 'echo').candidates.find(({ local }) => local)!
    assert.deepEqual([own.etaMs, own.waitMs, own.hops, own.why, own.rttMs], [200, 100, 0, 'local', 0])
    assert.match(own.reason, /^this node itself, expected to be done in 200 ms$/)
  })

  it('says that nothing is known where nothing is, and that time and score are a guess alike', () => {
    const two = mesh([answers('own'), answers('new')], {}, [{ local: true }, { rttMs: 9, cost: { price: 1 } }])
    two.here.load = { running: 0, slots: 1, serviceMs: 5 }
    const unknown = two.explain('echo', 'echo').candidates.find(({ local }) => !local)!
    assert.deepEqual([unknown.etaMs, unknown.serviceMs, unknown.costMs, unknown.score], [null, null, 20, 1_029])
    assert.match(
      unknown.reason,
      /^nothing is known of how long it takes there, which counts as 1 s, and its price of 1 cent counts as 20 ms more/
    )
  })

  it('says of a way that is avoided that it is, and of who refuses that it did', async () => {
    const idle = throws('busy', [], { running: 0, waiting: 0, slots: 4, notStarted: true })
    const two = mesh([answers('near'), idle], {}, [{ direct: false, via: 'b', hops: 2, metricMs: 10_009, rttMs: undefined }])
    await assert.rejects(two.call('echo', 'echo', {}, { node: 'node1' }).result)
    const { candidates } = two.explain('echo', 'echo')
    const [near, refuses] = ['node0', 'node1'].map((name) => candidates.find(({ nodeName }) => nodeName === name)!)
    assert.deepEqual([near!.avoided, refuses!.avoided, refuses!.why], [true, false, 'full'])
    assert.match(near!.reason, /; the way there is avoided: calls through it did not come back, which counts as 10 s more$/)
    assert.match(refuses!.reason, /^it has refused a call of this node/)
  })

  it('refuses to exclude a node that nobody knows, and takes what tables print of one', () => {
    const two = mesh([answers('a'), answers('b')], {}, [{ node: 'p0-3cxZYTKS' }])
    const why = (...notNode: string[]): string[] => short(two.explain('echo', 'echo', { notNode }))
    assert.ok(why('…3cxZYTKS').includes('node0 null excluded'))
    assert.ok(why('3cxZYTKS').includes('node0 null excluded'))
    assert.throws(() => why('nod0'), fails('invalid_argument'))
    assert.throws(() => why('nodee0'), /no node to exclude is called "nodee0"; did you mean "node0"\?/)
    assert.throws(() => why('laptop'), /called "laptop"; exclude one that was never seen here by its PeerId/)
    assert.equal(why(`12D3KooW${'x'.repeat(44)}`).length, 2, 'a PeerId need not be known')
  })

  it('excludes the node that a table shows, whatever others call themselves', () => {
    const end = '3cxZYTKS'
    const excluded = (given: string, ...names: string[]): string[] => {
      const nodes = [{ node: `p0-${end}` }, ...names.map((nodeName) => ({ nodeName }))]
      const { candidates } = mesh([answers('meant'), ...names.map(answers)], {}, nodes).explain('echo', 'echo', {
        notNode: [given]
      })
      return candidates.flatMap(({ nodeName, why }) => (why === 'excluded' ? [nodeName] : [])).sort()
    }
    assert.deepEqual(excluded(`…${end}`, `…${end}`, 'idle'), ['node0'], 'this is never a name')
    assert.deepEqual(excluded(end, end, 'idle'), [end, 'node0'], 'this may be both')
  })

  it('takes the first tool where none is named, and no words', () => {
    const all = mesh([answers('a'), answers('b'), answers('c')], {}, [
      declared('lamp', { description: 'The lamp over the desk', tools: [{ name: 'on' }, { name: 'off' }] }),
      declared('desk', { description: 'Moves up and down', tools: [{ name: 'up' }] }),
      declared('door', { description: 'of the desk', status: 'offline' })
    ])
    assert.throws(() => all.explain('the desk'), fails('unknown_capability'))
    assert.equal(all.explain('desk').tool, 'up')
    assert.equal(all.explain('demo/echo', 'off', { node: 'node0' }).tool, 'off')
    assert.throws(() => all.explain('nothing at all'), fails('unknown_capability'))
    assert.throws(() => all.explain('lamp', 'up'), fails('unknown_tool'))
    assert.throws(() => all.explain('door'), fails('unavailable'))
    assert.throws(() => all.explain('lamp@attic'), fails('unavailable'))
  })
})
