import assert from 'node:assert/strict'
import fc from 'fast-check'
import { nodesCalled, parseTarget, type NamedNode } from '../../protocols/named-node.ts'
import { isPeerId } from '../../protocols/short-id.ts'

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const peerIds = fc
  .array(fc.constantFrom(...BASE58), { minLength: 44, maxLength: 44 })
  .map((letters) => `12D3KooW${letters.join('')}`)

/** Nodes of a mesh of which each calls itself as it likes: by a plain name that several have, or by what tables show of any of them. */
const meshes = fc.uniqueArray(peerIds, { minLength: 2, maxLength: 6 }).chain((ids) => {
  const names = ['attic', 'desk', ...ids, ...ids.map((id) => `…${id.slice(-8)}`), ...ids.map((id) => id.slice(-8))]
  const nodes = ids.map((node, at) =>
    fc.record({
      node: fc.constant(node),
      nodeName: fc.constantFrom(...names),
      local: fc.constant(at === 0),
      mesh: at === 0 ? fc.constant(undefined) : fc.constantFrom(undefined, undefined, 'club')
    })
  )
  return fc.record({ all: fc.tuple(...nodes), away: fc.array(fc.constantFrom(...ids)) })
})
const scopeOf = ({ local, mesh }: NamedNode): number => (local === true ? 0 : mesh === undefined ? 1 : 2)

describe('which node a text means', () => {
  it('reads a target', () => {
    assert.deepEqual(parseTarget('a@b@c'), { name: 'a@b', node: 'c' })
    assert.deepEqual(parseTarget('@b'), { name: '@b', node: undefined })
  })

  it('by its PeerId that node alone, and nobody while it is away', () => {
    fc.assert(
      fc.property(meshes, ({ all, away }) => {
        const here = all.filter(({ node }) => !away.includes(node))
        for (const { node } of all) {
          assert.deepEqual(nodesCalled(here, node), away.includes(node) ? [] : [node])
          // As tables show it: nobody who only calls itself so.
          for (const found of nodesCalled(here, `…${node.slice(-8)}`)) assert.ok(found.endsWith(node.slice(-8)))
        }
      })
    )
  })

  it('by a name all that have it, of the nearest: this node, else its mesh, else another', () => {
    fc.assert(
      fc.property(meshes, fc.constantFrom('attic', 'desk'), ({ all }, name) => {
        const called = all.filter(({ nodeName }) => nodeName === name)
        const nearest = Math.min(...called.map(scopeOf))
        const wanted = called.filter((one) => scopeOf(one) === nearest).map(({ node }) => node)
        assert.deepEqual(nodesCalled(all, name), wanted)
      })
    )
  })

  it('knows the shape of a PeerId', () => {
    fc.assert(fc.property(peerIds, (id) => isPeerId(id) && !isPeerId(`…${id}`) && !isPeerId(`${id}@`)))
    for (const name of ['attic', 'a'.repeat(45), `host-${'a'.repeat(50)}`]) assert.equal(isPeerId(name), false)
    assert.equal(isPeerId(`Qm${'a'.repeat(44)}`), true)
  })
})
