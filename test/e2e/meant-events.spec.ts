import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, type Mesh } from '../../src/index.ts'
import { until } from '../backends/contract.ts'

/** A node by itself, whose own model writes examples. */
describe('events by meaning, of what a node learns', function () {
  this.timeout(30_000)
  let folder: string
  let node: Mesh
  const handled: string[] = []

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'atmo-meant-'))
    const meaning = { learn: true, writeExamples: true }
    node = await createNode({ name: 'house', dataDir: folder, listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, meaning })
    const chat = { chat: () => ({ choices: [{ message: { content: 'rain is coming in\nthe carpet gets wet' } }] }) }
    node.register({ id: 'brain', type: 'llm/chat', tools: [{ name: 'chat' }], examples: ['tell me a story'] }, chat)
    for (const [id, description, examples] of [
      ['guard', 'Watches over the doors of the house', ['somebody is at the door', 'a stranger rings', 'who goes there']],
      ['windows', 'Closes what is open in the roof', undefined]
    ] as const)
      node.register(
        { id, type: `agent/${id}`, description, handles: {}, ...(examples && { examples: [...examples] }) },
        {},
        async ({ intent }) => void handled.push(`${id}: ${intent}`)
      )
    const routeHint = 'meaning:agent/*'
    const triggers = [
      { event: 'dog', routeHint, intentTemplate: 'Growling and barking by the fence.' },
      { event: 'wet', routeHint, intentTemplate: 'The carpet gets wet, rain is coming in.' }
    ]
    node.register({ id: 'ears', type: 'sensor/sound', triggers }, {})
    const all = ['brain', 'guard', 'windows', 'ears']
    await until(() => all.every((id) => node.capabilities({ id, status: 'online' }).length === 1), 'all that it offers')
  })
  after(async () => {
    await node?.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  /** It waits, though all that is there to know is known. */
  async function firesInVain(event: string): Promise<void> {
    const { outcome } = await node.fire('ears', event, null, { waitMs: 500 })
    assert.deepEqual([outcome, handled], ['queued', []])
  }

  it('goes to whom it means as soon as somebody has said so', async () => {
    await firesInVain('dog')
    await node.examples.learn('growling and barking by the fence', 'guard')
    await until(() => handled.length > 0, 'the event')
    assert.deepEqual(handled.splice(0), ['guard: Growling and barking by the fence.'])
  })

  it('goes to whom it means as soon as a model has written so', async () => {
    await firesInVain('wet')
    // Examples are written while requests in words come.
    await node.understand('anything')
    await until(() => handled.length > 0, 'the event')
    assert.deepEqual(handled, ['windows: The carpet gets wet, rain is coming in.'])
  })
})
