import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../../protocols/capability.ts'
import { findCandidates, findNamed, type Offer } from '../../../src/core/candidates.ts'
import { parseTarget } from '../../../protocols/named-node.ts'
import { matches, toolOf } from '../../../src/core/query.ts'
import { DEFAULT_CONCURRENCY } from '../../../src/core/admission.ts'
import type { Provider } from '../../../src/core/provider-classes.ts'
import { isMeshError, type ErrorCode, type MeshError } from '../../../src/errors.ts'

describe('query', () => {
  const camera: CapabilityDeclaration = {
    id: 'cam',
    type: 'sensor/camera/ip',
    description: 'Over the door',
    tools: [{ name: 'snap' }],
    triggers: [{ event: 'motion' }],
    keywords: ['video'],
    status: 'busy'
  }

  it('wants every field to fit', () => {
    for (const fits of [
      {},
      { id: 'cam' },
      { type: 'sensor/**' },
      { domain: 'camera' },
      { tool: 'snap' },
      { trigger: 'motion' },
      { status: 'busy' },
      { text: 'DOOR video' },
      { id: 'cam', tool: 'snap' }
    ] as const) {
      assert.ok(matches(camera, fits), JSON.stringify(fits))
    }
    for (const not of [
      { id: 'ca' },
      { type: 'sensor/*' },
      { domain: 'cam' },
      { tool: 'Snap' },
      { trigger: 'sound' },
      { status: 'online' },
      { text: 'door window' },
      { id: 'cam', tool: 'x' }
    ] as const) {
      assert.ok(!matches(camera, not), JSON.stringify(not))
    }
  })
})

describe('candidates', () => {
  const offer = (
    node: string,
    id: string,
    change: Partial<Offer> = {},
    declaration: Partial<CapabilityDeclaration> = {}
  ): Offer => ({
    node: `peer-${node}`,
    nodeName: node,
    local: false,
    direct: true,
    rttMs: undefined,
    id,
    type: declaration.type ?? 'demo/echo',
    capability: { id, type: 'demo/echo', tools: [{ name: 'echo' }], ...declaration },
    ...change
  })
  const nodesOf = (offers: Offer[], target: string, node?: string): string[] =>
    findCandidates(offers, target, 'echo', node).offers.map(({ nodeName }) => nodeName)
  const fails = (code: ErrorCode, pattern: RegExp, run: () => unknown): void =>
    void assert.throws(run, (error: unknown) => {
      assert.ok(isMeshError(error, code), String(error))
      assert.match(error.message, pattern)
      return true
    })

  it('reads a target', () => {
    assert.deepEqual(parseTarget('a'), { name: 'a', node: undefined })
    assert.deepEqual(parseTarget('a@b'), { name: 'a', node: 'b' })
    assert.deepEqual(parseTarget('@b'), { name: '@b', node: undefined })
  })

  it('finds by id before type, on one node by name or PeerId', () => {
    const offers = [offer('x', 'echo'), offer('y', 'echo'), offer('z', 'other', {}, { type: 'echo' })]
    assert.deepEqual(nodesOf(offers, 'echo'), ['x', 'y'])
    assert.deepEqual(nodesOf(offers, 'demo/echo'), ['x', 'y'])
    assert.deepEqual(nodesOf(offers, 'echo@y'), ['y'])
    assert.deepEqual(nodesOf(offers, 'demo/echo@peer-x'), ['x'])
    assert.deepEqual(nodesOf(offers, 'echo', 'peer-y'), ['y'])
    assert.deepEqual(nodesOf(offers, 'echo@z', undefined), ['z'])
  })

  it('takes the end of a PeerId for it, as tables show it, if it is the end of one alone, and no name', () => {
    const at = (node: string, nodeName: string): Offer => offer(nodeName, 'echo', { node })
    const offers = [at('12D3KooWaaaaBBBBcccc', 'x'), at('12D3KooWddddBBBBcccc', 'y'), at('12D3KooWeeee', 'BBBBcccc')]
    assert.deepEqual(nodesOf(offers, 'echo', '…aBBBBcccc'), ['x'])
    assert.deepEqual(nodesOf(offers, 'echo@dBBBBcccc'), ['y'])
    assert.deepEqual(nodesOf(offers, 'echo', 'BBBBcccc'), ['BBBBcccc'], 'a name goes before it')
    assert.throws(
      () => nodesOf(offers, 'echo', '…BBBBcccc'),
      (error) => isMeshError(error, 'ambiguous')
    )
    assert.throws(
      () => nodesOf(offers, 'echo', '…Bcccc'.slice(0, 6)),
      (error) => isMeshError(error, 'unavailable')
    )
  })

  it('puts them into classes: the own mesh, a way that is known, then what they say of themselves', () => {
    const offers = [
      offer('foreign', 'echo', { mesh: 'club' }),
      offer('no-way', 'echo', { direct: false }),
      offer('routed', 'echo', { direct: false, hops: 3, metricMs: 20 }),
      offer('near', 'echo', { rttMs: 1 }),
      offer('busy', 'echo', {}, { status: 'busy' }),
      offer('newer', 'echo', {}, { status: 'from-tomorrow' as never }),
      offer('busy-far', 'echo', { direct: false }, { status: 'busy' }),
      offer('self', 'echo', { local: true, direct: false }, { status: 'busy' })
    ]
    const { providers, tool } = findCandidates(offers, 'echo', 'echo')
    assert.deepEqual(
      providers.classes.map((all) => all.map(({ offer: { nodeName } }) => nodeName)),
      [['near', 'routed'], ['newer'], ['self', 'busy'], ['no-way'], ['busy-far'], ['foreign']]
    )
    assert.deepEqual(
      providers.local.map(({ node }) => node),
      ['peer-self']
    )
    assert.equal(nodesOf(offers, 'echo')[0], 'self', 'its declaration counts')
    assert.equal(tool, offers[7]!.capability.tools![0])
  })

  it('are of these ids alone, where some of a type are meant', () => {
    const offers = ['attic', 'bath', 'kitchen'].map((id) => offer(id, id))
    const of = (...ids: string[]) => findCandidates(offers, 'demo/echo', 'echo', undefined, ids).offers.map(({ id }) => id)
    assert.deepEqual(of('attic', 'bath'), ['attic', 'bath'])
    assert.deepEqual(of('kitchen'), ['kitchen'])
    assert.equal(findCandidates(offers, 'demo/echo', 'echo').offers.length, 3)
    fails('unknown_capability', /nothing/, () => of('cellar'))
  })

  it('shows the dispatcher what is announced, and what links and routes say now', () => {
    let rttMs = 1
    const tools = [{ name: 'echo', concurrency: 3 }]
    const near = { ...offer('near', 'echo', { cost: { metered: true } }, { tools }) }
    Object.defineProperty(near, 'rttMs', { get: () => rttMs })
    const offers = [near, offer('far', 'echo', { direct: false, hops: 2, metricMs: 7 })]
    const find = () => findCandidates(offers, 'echo', 'echo').providers.all
    const [far, one] = find() as [Provider, Provider]
    assert.deepEqual([one.node, one.slots, one.cost, one.rttMs], ['peer-near', 3, { metered: true }, 1])
    rttMs = 2
    assert.equal(one.rttMs, 2)
    assert.deepEqual([far.slots, far.rttMs, far.metricMs], [DEFAULT_CONCURRENCY, undefined, 7])
    assert.equal(find()[0], far, 'made once')
    assert.notEqual(findCandidates([near], 'echo', 'echo').providers.all[0], one, 'anew for another directory')
  })

  it('refuses what is ambiguous, and says which there are', () => {
    fails('ambiguous', /x.*y|echo@x/, () => nodesOf([offer('x', 'echo'), offer('y', 'echo', {}, { type: 'demo/other' })], 'echo'))
    const mine = offer('self', 'echo', { local: true })
    const stranger = offer('y', 'echo', {}, { type: 'demo/other' })
    assert.deepEqual(nodesOf([stranger, mine, offer('x', 'echo')], 'echo'), ['self', 'x'], 'a stranger cannot take its name')
    assert.deepEqual(nodesOf([stranger, mine], 'echo@y'), ['y'])
    const clocks = ['x', 'y'].map((node) => offer(node, 'clock', {}, { scope: 'node' }))
    fails('ambiguous', /clock@x, clock@y/, () => nodesOf(clocks, 'clock'))
    assert.deepEqual(nodesOf(clocks, 'clock@y'), ['y'])
    const twins = [offer('same', 'echo', { node: 'p1' }), offer('same', 'echo', { node: 'p2' })]
    fails('ambiguous', /p1, p2/, () => nodesOf(twins, 'echo@same'))
    assert.equal(findCandidates(twins, 'echo@p2', 'echo').offers.length, 1)
  })

  it('each that is named where it is ambiguous means that one, whatever nodes call themselves, and there are not too many', () => {
    const peerOf = (letter: string): string => `12D3KooW${letter.repeat(44)}`
    const NODES: [letter: string, name: string, ref: string][] = [
      ['A', 'same', 'clock@…AAAAAAAA'],
      ['B', 'same', 'clock@…BBBBBBBB'],
      ['C', 'a@b', 'clock@…CCCCCCCC'],
      // What looks like the end of a PeerId means that, and no name.
      ['D', `…${peerOf('A').slice(-8)}`, 'clock@…DDDDDDDD'],
      ['E', 'here', 'clock@…EEEEEEEE'],
      // This node is the one of its name that is meant.
      ['F', 'here', 'clock@here'],
      ['G', 'alone', 'clock@alone'],
      // Its name is that of a node that offers something else.
      ['H', 'twin', 'clock@…HHHHHHHH']
    ]
    const clocks = NODES.map(([letter, name]) =>
      offer(name, 'clock', { node: peerOf(letter), local: letter === 'F' }, { scope: 'node' })
    )
    const others = [offer('twin', 'other', { node: 'p1' })]
    const all = [...clocks, ...others]
    assert.throws(
      () => findCandidates(all, 'clock', 'clock'),
      (error: MeshError) => {
        const refs = NODES.map(([, , ref]) => ref)
        assert.deepEqual([error.code, error.details['refs']], ['ambiguous', refs])
        assert.ok(error.message.endsWith(`; say which: ${refs.join(', ')}`), error.message)
        return true
      }
    )
    for (const [letter, , ref] of NODES)
      assert.deepEqual(
        findNamed(all, ref).named.map(({ node }) => node),
        [peerOf(letter)]
      )
    const many = Array.from({ length: 99 }, (_, n) => offer(`n${n}`, 'clock', {}, { scope: 'node' }))
    assert.throws(
      () => findCandidates(many, 'clock', 'clock'),
      (error: MeshError) => error.code === 'ambiguous' && (error.details['refs'] as string[]).length === 10
    )
  })

  it('a PeerId means that node and no other, whatever others call themselves, and though it is away', () => {
    const peer = `12D3KooW${'A'.repeat(44)}`
    const thief = offer(peer, 'echo', { node: 'thief' })
    const shown = offer(`…${peer.slice(-8)}`, 'echo', { node: 'thief' })
    for (const target of [`echo@${peer}`, `demo/echo@${peer}`]) fails('unavailable', /no node/, () => nodesOf([thief], target))
    fails('unavailable', /no node/, () => nodesOf([thief], 'echo', peer))
    fails('unavailable', /no node/, () => nodesOf([shown], 'echo', `…${peer.slice(-8)}`))
    assert.deepEqual(nodesOf([thief, offer('attic', 'echo', { node: peer })], `echo@${peer}`), ['attic'])
  })

  it('the name of this node means this node, whoever else has it', () => {
    const mine = offer('desk', 'echo', { local: true })
    const others = [offer('desk', 'echo', { node: 'thief' }), offer('desk', 'echo', { node: 'lender', mesh: 'club' })]
    assert.deepEqual(
      findCandidates([...others, mine], 'echo@desk', 'echo').offers.map(({ node }) => node),
      ['peer-desk']
    )
  })

  it('names what is near when nothing is found', () => {
    const offers = [offer('kitchen', 'camera')]
    fails('unknown_capability', /did you mean "camera"/, () => nodesOf(offers, 'camara'))
    fails('unknown_capability', /on kitchen/, () => nodesOf(offers, 'zzz@kitchen'))
    fails('unknown_tool', /did you mean "echo"/, () => findCandidates(offers, 'camera', 'ecko'))
    fails('unknown_tool', /it has echo/, () => findCandidates(offers, 'camera', 'snapshot'))
    const toolless = offers.map((offer) => ({ ...offer, capability: { ...offer.capability, tools: [], handles: {} } }))
    fails('unknown_tool', /^"camera" has no tools: it handles events$/, () => findCandidates(toolless, 'camera', ''))
    fails('unavailable', /known: kitchen/, () => nodesOf(offers, 'camera@attic'))
    fails('unknown_capability', /atmo capabilities/, () => nodesOf([], 'anything'))
  })

  it('says why none can be called', () => {
    const offers = [
      offer('x', 'echo', {}, { status: 'offline', statusReason: 'no such file' }),
      offer('y', 'echo', {}, { status: 'suspended' })
    ]
    fails('unavailable', /x: offline, no such file; y: suspended/, () => nodesOf(offers, 'echo'))
  })

  it('leaves out providers without the tool', () => {
    const offers = [offer('x', 'echo', {}, { tools: [] }), offer('y', 'echo')]
    assert.deepEqual(nodesOf(offers, 'echo'), ['y'])
    assert.equal(toolOf(offers[0]!.capability, 'echo'), undefined)
    assert.equal(findNamed(offers, 'echo').named.length, 2)
  })
})
