import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { isMeshError } from '../../../src/errors.ts'
import { issueChain } from '../../../src/trust/issuer.ts'
import { checkMeshName, formatMeshState, foundMesh, parseMeshState, type MeshState } from '../../../src/trust/mesh-state.ts'

async function example(): Promise<MeshState> {
  const state = await foundMesh('home')
  const nodeKey = await generateKeyPair('Ed25519')
  const node = peerIdFromPrivateKey(nodeKey).toString()
  const chain = await issueChain(state, nodeKey, { node, role: 'owner', forward: true, name: 'desk' }, 1_800_000_000)
  return {
    ...state,
    chain,
    issued: [{ node, name: 'pi', role: 'member', tags: ['kitchen'], at: 7 }],
    clock: { floorS: 5, offsetS: -3 }
  }
}

describe('mesh state', () => {
  it('comes back from its text as it was', async () => {
    const state = await example()
    const again = parseMeshState(formatMeshState(state))
    assert.equal(formatMeshState(again), formatMeshState(state))
    assert.deepEqual([again.mesh, again.name, again.issued, again.clock], [state.mesh, 'home', state.issued, state.clock])
    assert.equal(again.chain[0]?.certificate.name, 'desk')
    assert.ok(again.meshKey !== undefined)
    assert.equal(parseMeshState(formatMeshState({ ...state, meshKey: undefined })).meshKey, undefined)
  })

  it('is refused when it is damaged, without a word of what it holds', async () => {
    const state = await example()
    const text = formatMeshState(state)
    const other = await foundMesh('other')
    const secret = /"secret": "([^"]+)"/.exec(text)![1]!
    for (const damaged of [
      '',
      'null',
      '{}',
      text.slice(0, 300),
      text.replace('"version": 1', '"version": 2'),
      text.replace(secret, secret.slice(0, 20)),
      text.replace(/"mesh": "[^"]+"/, '"mesh": "x"'),
      text.replace(/"mesh": "[^"]+"/, `"mesh": "${other.mesh}"`),
      text.replace('"floorS": 5', '"floorS": "soon"'),
      text.replace('"role": "member"', '"role": "king"')
    ])
      assert.throws(
        () => parseMeshState(damaged),
        (error) => isMeshError(error, 'invalid_config') && !error.message.includes(secret.slice(0, 12)),
        damaged.slice(0, 80)
      )
  })

  it('says that it is none where it is JSON of something else', () => {
    for (const other of ['null', '[]', '7', '"text"'])
      assert.throws(
        () => parseMeshState(other),
        (error) => isMeshError(error, 'invalid_config') && error.message === 'it is damaged (it holds no object)',
        other
      )
  })

  it('has a name that people can read', () => {
    assert.equal(checkMeshName('Home 2'), 'Home 2')
    for (const name of ['', 'x'.repeat(65), 'a\nb', 'a\u202eb'])
      assert.throws(
        () => checkMeshName(name),
        (error) => isMeshError(error, 'invalid_argument')
      )
  })
})
