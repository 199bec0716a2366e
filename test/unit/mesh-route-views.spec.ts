import assert from 'node:assert/strict'
import type { Offer } from '../../src/core/candidates.ts'
import type { Directory } from '../../src/core/directory.ts'
import { isMeshError, type ErrorCode } from '../../src/errors.ts'
import { createRouteViews } from '../../src/mesh-route-views.ts'
import type { MeshRouting } from '../../src/mesh-routing.ts'

const fails = (code: ErrorCode, message: RegExp) => (error: unknown) => isMeshError(error, code) && message.test(error.message)

const SELF = '12D3KooWaaaaaSELF'
const HALL = '12D3KooWaaaaaHALL'
const CELLAR = '12D3KooWaCELLAR'
const ATTIC = '12D3KooWaaaATTIC'
const LOST = '12D3KooWaaaaLOST'
const NODES: [node: string, name: string, hop: { peer: string; hops: number; metric: number } | undefined][] = [
  [SELF, 'desk', undefined],
  [HALL, 'hall', { peer: HALL, hops: 1, metric: 100_050 }],
  [CELLAR, 'cellar', { peer: HALL, hops: 2, metric: 90 }],
  [ATTIC, 'attic', { peer: HALL, hops: 3, metric: 100_140 }],
  [LOST, 'lost', undefined]
]

describe('routes as a person sees them', () => {
  const offer = (node: string, id: string): Offer => ({
    ...{ node, nodeName: NODES.find(([one]) => one === node)![1], local: node === SELF, direct: node === HALL },
    ...{ rttMs: undefined, id, type: 'demo/lamp', capability: { id, type: 'demo/lamp' } }
  })
  const asked: string[] = []
  const entries = NODES.map(([origin, name]) => ({
    ...{ origin, connected: origin === HALL, heardAt: 0, document: { info: { name } } }
  }))
  const views = createRouteViews({
    self: SELF,
    directory: {
      entries: () => entries,
      get: (origin: string) => entries.find((entry) => entry.origin === origin)
    } as unknown as Directory,
    routing: {
      hopTo: (node: string) => NODES.find(([one]) => one === node)![2],
      standingOf: () => undefined,
      ways: {
        circuits: {
          async *trace(node: string) {
            asked.push(node)
            yield HALL
          }
        }
      }
    } as unknown as MeshRouting,
    offers: () => [offer(ATTIC, 'lamp'), offer(HALL, 'lamp'), offer(CELLAR, 'lamp-2')],
    nameOf: (node) => NODES.find(([one]) => one === node)?.[1],
    now: () => 0
  })
  const traced = async (target: string): Promise<string | undefined> => {
    asked.length = 0
    for await (const hop of views.trace(target)) assert.equal(hop.nodeName, 'hall')
    return asked[0]
  }

  it('name no next hop where nobody is between, and say which ways are avoided', () => {
    const { nodes, types } = views.routes()
    assert.deepEqual(
      nodes.map(({ nodeName, direct, via, viaName, hops, avoided }) => [nodeName, direct, via, viaName, hops, avoided]),
      [
        ['attic', false, HALL, 'hall', 3, true],
        ['cellar', false, HALL, 'hall', 2, false],
        ['hall', true, null, null, 1, false],
        ['lost', false, null, null, null, false]
      ]
    )
    assert.deepEqual(
      types.map(({ providers }) => providers.map(({ nodeName, via, avoided }) => [nodeName, via, avoided])),
      [
        [
          ['cellar', HALL, false],
          ['hall', null, false],
          ['attic', HALL, true]
        ]
      ]
    )
  })

  it('trace a node by name, PeerId or the end of it, and the nearest that offers something', async () => {
    for (const target of ['cellar', CELLAR, 'CELLAR', '…aCELLAR', 'demo/lamp', 'lamp-2@cellar'])
      assert.equal(await traced(target), CELLAR, target)
    assert.equal(await traced('lamp'), HALL)
    assert.equal(await traced('lamp@attic'), ATTIC, 'it need not have a tool')
    assert.equal(await traced('desk'), undefined, 'this node itself')
  })

  it('say at once who is not there, and what is near of nodes and capabilities', () => {
    for (const [target, code, message] of [
      ['nosuch', 'unknown_capability', /no node and no capability is called "nosuch"; see `atmo peers`/],
      ['celar', 'unknown_capability', /called "celar"; did you mean "cellar"\?/],
      ['lamb', 'unknown_capability', /did you mean "lamp"\?/],
      ['lamp@nowhere', 'unavailable', /no node "nowhere" is here/],
      ['kettle@hall', 'unknown_capability', /nothing on hall is called "kettle"/]
    ] as const)
      assert.throws(() => views.trace(target), fails(code, message), target)
  })
})
