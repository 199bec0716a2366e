import assert from 'node:assert/strict'
import { createApp } from '../../../src/http/app.ts'
import { topologyOf } from '../../../src/http/topology.ts'
import type { CapabilityView, Understanding } from '../../../src/mesh-api.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)

describe('http topology', () => {
  const mesh = createFakeMesh()
  const { nodes, links, self, unplaced } = topologyOf(mesh.status(), mesh.peers(), ['own'])
  const [kitchen, garden, cellar] = mesh.peers().map(({ peerId }) => peerId)

  it('places each node where this one sees it', () => {
    assert.deepEqual(
      nodes.map(({ name, place, hops }) => [name, place, hops]),
      [
        ['fake', 'self', 0],
        ['kitchen', 'neighbour', 1],
        ['pi-garden', 'behind', 3],
        ['cellar', 'unplaced', null]
      ]
    )
    assert.deepEqual([nodes[0]?.capabilities, nodes[0]?.role, unplaced], [['own'], 'admin', 1])
  })

  it('has links that it knows, and none that it would have to guess', () => {
    assert.deepEqual(links, [
      { kind: 'connection', from: self, to: kitchen, hops: 1, transports: ['tcp'], rttMs: 1.25 },
      { kind: 'told', from: kitchen, to: garden, hops: 2 }
    ])
    assert.ok(!links.some(({ from, to }) => from === cellar || to === cellar))
  })

  it('a node of another mesh says of which', () => {
    const [peer] = mesh.peers()
    const [, other] = topologyOf(mesh.status(), [{ ...peer!, mesh: 'club', meshId: 'id' }], []).nodes
    assert.deepEqual([other?.mesh, other?.meshId], ['club', 'id'])
  })
})

describe('http discover', () => {
  const view = (id: string): CapabilityView => ({ ...createFakeMesh().capabilities()[0]!, id })
  const outcomes: Record<string, Understanding['outcome']> = { bath: 'one', lamp: 'ambiguous', poem: 'none' }
  const match = (capability: string) => ({ capability, type: 't/t', name: capability, description: null, score: 1, nodes: ['n'] })
  const asked: object[] = []
  const app = createApp({
    mesh: {
      ...createFakeMesh(),
      capabilities: (query = {}) => {
        asked.push(query)
        return ['a', 'b', 'c'].map(view)
      },
      understand: async (text, { tool, type } = {}) => {
        asked.push({ tool, type })
        return {
          text,
          characters: text.length,
          outcome: outcomes[text]!,
          matches: ['c', 'a'].map(match),
          likelihood: 0.5,
          by: { path: 'words', model: null, reason: '' }
        }
      }
    },
    tokens: [token]
  })
  const ask = async (path: string, body?: object) => {
    asked.length = 0
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await app(
      new Request(`http://localhost${path}`, {
        method: body ? 'POST' : 'GET',
        headers,
        ...(body && { body: JSON.stringify(body) })
      })
    )
    const { capabilities, meaning } = (await answer.json()) as { capabilities: { id: string }[]; meaning?: Understanding }
    return { ids: capabilities.map(({ id }) => id), outcome: meaning?.outcome }
  }

  it('finds what /mesh/capabilities finds', async () => {
    assert.deepEqual(await ask('/discover?type=t/*&keyword=k'), { ids: ['a', 'b', 'c'], outcome: undefined })
    assert.deepEqual(asked, [{ type: 't/*', keyword: 'k' }])
  })

  it('with words, what of that they mean, the best first; none where nothing is meant', async () => {
    assert.deepEqual(await ask('/discover?words=bath&type=t/*&tool=x'), { ids: ['c', 'a'], outcome: 'one' })
    assert.deepEqual(asked[1], { tool: 'x', type: 't/*' })
    assert.deepEqual(await ask('/discover', { words: 'lamp' }), { ids: ['c', 'a'], outcome: 'ambiguous' })
    assert.deepEqual(await ask('/discover', { words: 'poem' }), { ids: [], outcome: 'none' })
  })
})
