import assert from 'node:assert/strict'
import { createCommandBackend } from '../../src/backends/command.ts'
import { createNode, type Mesh } from '../../src/index.ts'
import { until } from '../fixtures/libp2p-pair.ts'

describe('why a capability is as it is', function () {
  this.timeout(30_000)
  const nodes: Mesh[] = []
  afterEach(() => Promise.all(nodes.splice(0).map((node) => node.stop())))

  it('is told to other nodes without paths of the machine, in lists and in errors of calls; its owner sees them', async () => {
    const common = { open: true, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'] }
    const owner = await createNode({ ...common, name: 'owner' })
    nodes.push(owner)
    const other = await createNode({ ...common, name: 'other', peers: owner.multiaddrs() })
    nodes.push(other)
    const tools = [{ name: 'go', run: ['/secret/place/run'] }]
    owner.addBackend(createCommandBackend({ kind: 'command', id: 'shell', type: 'a/b', tools }, { baseDir: '/' }))
    const reasonAt = (node: Mesh): string => node.capabilities({ id: 'shell' })[0]?.statusReason ?? ''
    await until(() => reasonAt(other) !== '', 'it is announced', 10_000)
    assert.match(reasonAt(owner), /\/secret\/place\/run/)
    assert.match(owner.status().backends.find(({ id }) => id === 'shell')?.reason ?? '', /\/secret\/place\/run/)
    assert.match(reasonAt(other), /program … is not there/)
    await assert.rejects(other.call('shell', 'go').result, (error: Error) => {
      assert.match(error.message, /offline/)
      assert.doesNotMatch(JSON.stringify(error) + error.message, /secret/)
      return true
    })
  })
})
