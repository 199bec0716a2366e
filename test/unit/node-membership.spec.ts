import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { loadMembership } from '../../src/node-membership.ts'

describe('the mesh that a node founds', () => {
  it('is named after it, without what a mesh may not be called', async () => {
    const nodeKey = await generateKeyPair('Ed25519')
    const nameOf = async (name: string): Promise<string> =>
      (await loadMembership({ open: false, dataDir: undefined, nodeKey, name })).name
    assert.equal(await nameOf('pi'), "pi's mesh")
    assert.equal(await nameOf('Küche 👨‍👩‍👧'), "Küche 👨👩👧's mesh")
    assert.equal(
      [...(await nameOf('😀'.repeat(40)))].every((one) => one === '😀'),
      true
    )
  })
})
