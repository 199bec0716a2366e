import assert from 'node:assert/strict'
import type { DirectoryEntry } from '../../../src/core/directory.ts'
import { lostNodes, whyNotFound } from '../../../src/core/lost-nodes.ts'
import { MeshError } from '../../../src/errors.ts'

/** A node as the directory has it. */
function entry(name: string, lost: boolean, ...types: string[]): DirectoryEntry {
  const capabilities = new Map(types.map((type) => [type.split('/')[0]!, { id: type.split('/')[0]!, type }]))
  const document = name === '' ? undefined : { info: { name }, capabilities }
  return { origin: `12D3KooW${name}Peer`, document, lost: lost ? { at: 0 } : undefined } as unknown as DirectoryEntry
}

describe('nodes that are lost', () => {
  const lost = lostNodes([entry('cellar', true, 'camera/v4l2', 'system/info'), entry('desk', false, 'llm/chat'), entry('', true)])
  const unknown = new MeshError('unknown_capability', 'nothing in the mesh is called so')
  const nobody = new MeshError('unavailable', 'no node "cellar" is here', { known: [] })
  const why = (error: unknown, target: string, node?: string): [string, string] => {
    const { code, message } = whyNotFound(error, target, node, lost) as MeshError
    return [code, message]
  }

  it('are those that have not said goodbye', () => assert.deepEqual([lost.length, lost[0]?.document?.info.name], [1, 'cellar']))
  it('make what they offer unavailable, by id and by type', () => {
    const expected = (name: string): [string, string] => ['unavailable', `"${name}" is on cellar, to which no way is known now`]
    assert.deepEqual(why(unknown, 'camera'), expected('camera'))
    assert.deepEqual(why(unknown, 'camera/v4l2'), expected('camera/v4l2'))
    assert.deepEqual(why(nobody, 'system@cellar'), expected('system'))
    assert.deepEqual(why(nobody, 'system', 'llarPeer'), expected('system'))
  })
  it('change nothing about what they do not offer, and about other errors', () => {
    const other = new MeshError('unavailable', '"camera" cannot be called now')
    for (const [error, target, node] of [
      [unknown, 'llm/chat', undefined],
      [unknown, 'camera@desk', undefined],
      [nobody, 'camera', 'attic'],
      [other, 'camera', undefined]
    ] as const)
      assert.equal(whyNotFound(error, target, node, lost), error)
  })
})
