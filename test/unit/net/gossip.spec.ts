import assert from 'node:assert/strict'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Libp2p } from '@libp2p/interface'
import { meshTopics } from '../../../src/net/gossip.ts'
import { createNodeLibp2p, type NodeServices } from '../../../src/net/node-preset.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

/** Over real libp2p nodes. */
describe('gossip', () => {
  const nodes: Libp2p<NodeServices>[] = []
  async function start(topics?: readonly string[]): Promise<Libp2p<NodeServices>> {
    const node = await createNodeLibp2p(await generateKeyPair('Ed25519'), ['/ip4/127.0.0.1/tcp/0'], topics && { topics })
    await node.start()
    nodes.push(node)
    return node
  }
  afterEach(async () => {
    for (const node of nodes.splice(0)) await node.stop()
  })

  it('keeps nothing of topics that are none of the mesh', async () => {
    const topics = meshTopics('home')
    const [node, hoarder] = [await start(topics), await start()]
    for (const topic of topics) node.services.pubsub.subscribe(topic)
    const connection = await hoarder.dial(node.getMultiaddrs())
    for (let n = 0; n < 2_000; n++) hoarder.services.pubsub.subscribe(`/topic/${n}`)
    for (const topic of topics) hoarder.services.pubsub.subscribe(topic)
    await hoarder.services.identify.identify(connection)
    await node.services.identify.identify(node.getConnections()[0]!)
    const { pubsub } = node.services
    await until(() => topics.every((topic) => pubsub.getSubscribers(topic).length === 1), 'its subscriptions are read')
    for (let n = 0; n < 2_000; n++) assert.deepEqual(pubsub.getSubscribers(`/topic/${n}`), [])
  })
})
