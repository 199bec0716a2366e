import assert from 'node:assert/strict'
import type { CapabilityDeclaration } from '../../../protocols/capability.ts'
import { createBorrowed, type BorrowedChange, type NamedCapability } from '../../../src/core/borrowed.ts'
import { findCandidates, type Offer } from '../../../src/core/candidates.ts'
import type { CapabilityView } from '../../../src/mesh-api.ts'
import { isMeshError } from '../../../src/errors.ts'

const LINK = { rttMs: 3 }
const declared = (id: string, change: Partial<CapabilityDeclaration> = {}): CapabilityDeclaration => ({
  id,
  type: 'sensor/camera',
  tools: [{ name: 'snap' }],
  ...change
})
const own = (node: string, id: string, change: Partial<CapabilityDeclaration> = {}): Offer => ({
  node: `peer-${node}`,
  nodeName: node,
  local: false,
  direct: true,
  rttMs: 50,
  id,
  type: declared(id, change).type,
  capability: declared(id, change)
})

describe('what is borrowed', () => {
  let changes: string[]
  const borrowed = (...lent: CapabilityDeclaration[]): ReturnType<typeof createBorrowed> => {
    const all = createBorrowed(({ kind, node, declaration }: BorrowedChange) => changes.push(`${kind} ${declaration.id} ${node}`))
    all.begin('peer-club', { mesh: 'club-id', meshName: 'club', link: LINK })
    all.rename('peer-club', 'clubhouse')
    for (const declaration of lent) all.put('peer-club', declaration)
    return all
  }
  const nodesOf = (all: ReturnType<typeof createBorrowed>, mine: Offer[], target: string): string[] =>
    findCandidates(all.offers(mine), target, 'snap').offers.map(({ nodeName }) => nodeName)
  beforeEach(() => (changes = []))

  it('is offered after what the own mesh has, however near and idle it is', () => {
    const all = borrowed(declared('cam'))
    assert.deepEqual(nodesOf(all, [own('a', 'cam', { status: 'busy' })], 'cam'), ['a', 'clubhouse'])
    assert.deepEqual(nodesOf(all, [own('a', 'cam', { status: 'offline' })], 'cam'), ['clubhouse'])
    assert.deepEqual(nodesOf(all, [], 'cam'), ['clubhouse'])
    assert.deepEqual(nodesOf(all, [], 'sensor/camera'), ['clubhouse'])
    assert.deepEqual(nodesOf(all, [own('a', 'other')], 'cam@clubhouse'), ['clubhouse'])
  })

  it('takes no name from the own mesh, of a capability, a type or a node', () => {
    for (const [what, lent, mine, target] of [
      ['an id of another type', declared('cam', { type: 'evil/cam' }), own('a', 'cam'), 'cam'],
      ['an id of which the node matters there', declared('cam', { scope: 'node' }), own('a', 'cam'), 'cam'],
      ['an id of which the node matters here', declared('cam'), own('a', 'cam', { scope: 'node' }), 'cam'],
      ['an id that is a type here', declared('clock', { type: 'evil' }), own('a', 'x', { type: 'clock' }), 'clock'],
      ['the name of a node', declared('cam'), own('clubhouse', 'cam'), 'cam@clubhouse']
    ] as const) {
      const mesh = [mine]
      const { offers } = findCandidates(borrowed(lent).offers(mesh), target, 'snap')
      assert.deepEqual(
        offers.map(({ mesh: of, node }) => [of, node]),
        [[undefined, mine.node]],
        what
      )
    }
    // With nothing of the own mesh in the way it can be had, by its full name too.
    assert.deepEqual(nodesOf(borrowed(declared('cam', { type: 'evil/cam' })), [own('a', 'cam')], 'cam@peer-club'), ['clubhouse'])
  })

  it('costs nothing while there is none, and is the same list while nothing changes', () => {
    const mine = [own('a', 'cam')]
    assert.equal(createBorrowed(() => undefined).offers(mine), mine)
    const all = borrowed(declared('lamp'))
    assert.equal(all.offers(mine), all.offers(mine))
    const before = all.offers(mine)
    all.put('peer-club', declared('lamp', { status: 'busy' }))
    assert.notEqual(all.offers(mine), before)
    const [, lamp] = all.offers(mine)
    assert.deepEqual([lamp!.rttMs, lamp!.direct], [3, true])
  })

  it('tells what comes and goes, and goes with its lender', () => {
    const all = borrowed(declared('cam'), declared('cam', { status: 'busy' }), declared('lamp', { type: 'home/lamp' }))
    all.remove('peer-club', 'never')
    all.keep((mesh, { type }) => mesh === 'club-id' && type === 'sensor/camera')
    all.end('peer-club')
    all.put('peer-club', declared('late'))
    assert.deepEqual(changes, [
      'available cam peer-club',
      'updated cam peer-club',
      'available lamp peer-club',
      'removed lamp peer-club',
      'removed cam peer-club'
    ])
    assert.deepEqual(all.offers([]), [])
    assert.throws(
      () => nodesOf(all, [], 'cam'),
      (error) => isMeshError(error, 'unknown_capability')
    )
  })

  it('is shown with its mesh, under a name that means it alone', () => {
    const all = borrowed(declared('cam'), declared('lamp', { mesh: 'a lie', local: true }))
    const mine = [{ id: 'cam', node: 'peer-a', nodeName: 'a' }] as CapabilityView[]
    const [, cam, lamp] = all.views(mine, {}, () => mine)
    assert.deepEqual([cam!.ref, cam!.mesh, cam!.meshId, cam!.nodeName], ['cam@clubhouse', 'club', 'club-id', 'clubhouse'])
    assert.deepEqual([lamp!.ref, lamp!.mesh, lamp!.local], ['lamp', 'club', false])
    const twin = [{ id: 'cam', node: 'peer-b', nodeName: 'clubhouse' }] as CapabilityView[]
    assert.equal(all.views(twin, {}, () => twin)[1]!.ref, 'cam@peer-club')
    for (const [query, ids] of [
      [{ id: 'cam' }, ['cam']],
      [{ node: 'clubhouse' }, ['cam', 'lamp']],
      [{ node: 'a' }, []],
      [{ type: 'home/*' }, []]
    ] as const)
      assert.deepEqual(
        all.views([], query, () => mine).map(({ id }) => id),
        ids
      )
  })

  it('is shown at a cost that grows with how many there are: each of the own mesh is looked at once', () => {
    const count = 500
    const all = borrowed(...Array.from({ length: count }, (_, n) => declared(`cam${n}`)))
    let looks = 0
    function* mine(): Generator<NamedCapability> {
      for (let n = 0; n < count; n++) {
        looks++
        yield { id: `own${n}`, node: 'peer-a', nodeName: 'a' }
      }
    }
    assert.equal(all.views([], {}, mine).length, count)
    assert.equal(looks, count)
  })
})
