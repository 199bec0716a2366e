import assert from 'node:assert/strict'
import type { Mesh } from '../../src/index.ts'
import type { NodeOptions } from '../../src/node.ts'
import { agree, createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'
import { until } from '../backends/contract.ts'

/** One mesh lends its models to another, and a node of that would have words understood by models. */
describe('models of another mesh', function () {
  this.timeout(60_000)
  let home: TestMesh
  let club: TestMesh
  let lender: Mesh
  const asked: string[] = []

  before(async () => {
    ;[home, club] = await Promise.all([createTestMesh('home'), createTestMesh('club')])
    lender = await club.join('owner')
    lender.register(
      { id: 'brain', type: 'llm/chat', tools: [{ name: 'chat' }], examples: ['tell me a story'] },
      { chat: () => (asked.push('brain'), { choices: [{ message: { content: 'my feet are cold' } }] }) }
    )
    lender.register(
      { id: 'vectors', type: 'llm/embed', tools: [{ name: 'embed' }], examples: ['embed this'] },
      { embed: ({ input }) => (asked.push('vectors'), { data: (input as string[]).map(() => ({ embedding: [1, 0] })) }) }
    )
  })
  after(() => Promise.all([home.stop(), club.stop()]))
  const borrowedBy = (node: Mesh): number => node.capabilities().filter(({ mesh }) => mesh !== undefined).length

  async function borrower(meaning: NonNullable<NodeOptions['meaning']>): Promise<Mesh> {
    const node = await home.join('owner', { meaning })
    node.register(
      { id: 'heater', type: 'home/heater', description: 'Warms the rooms', tools: [{ name: 'use' }] },
      { use: () => null }
    )
    await agree(node, lender, { borrows: ['llm/*'] })
    await node.addPeer(lender.multiaddrs()[0]!)
    await until(() => borrowedBy(node) === 2, 'what is lent')
    await node.understand('my feet are cold')
    return node
  }
  const written = (node: Mesh): (string | undefined)[] => node.examples.list().examples.map((one) => one.node)

  it('see nothing of what this one says and asks where a type or an id names them', async () => {
    for (const writeExamples of [true, 'llm/chat', 'brain', 'brain@club-0'])
      for (const capability of ['llm/embed', 'vectors']) {
        const node = await borrower({ writeExamples, embeddings: { capability } })
        await until(async () => /nobody is left/.test((await node.understand('x')).by.reason), 'a refusal')
        assert.deepEqual([asked, written(node)], [[], []])
        await node.stop()
      }
  })

  it('are asked where the PeerId of their node is named, and which it was is known', async () => {
    const node = await borrower({
      writeExamples: `brain@${lender.peerId}`,
      embeddings: { capability: `vectors@${lender.peerId}` }
    })
    await until(() => new Set(asked).size === 2 && written(node).length > 0, 'both')
    assert.deepEqual(written(node), [lender.peerId])
  })
})
