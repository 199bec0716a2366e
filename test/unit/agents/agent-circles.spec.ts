/** Agents that ask each other: whoever waits for an answer with its last place is not asked for it. */
import assert from 'node:assert/strict'
import { createAgents, type Agents } from '../../../src/agents/agents.ts'
import { createPassingStore } from '../../../src/agents/agent-store.ts'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import { defineAgent, type AgentDefinition } from '../../../src/agents/definition.ts'
import type { JsonValue } from '../../../src/core/invoke.ts'
import { isMeshError } from '../../../src/errors.ts'
import type { Mesh } from '../../../src/mesh-api.ts'
import { createNode } from '../../../src/node.ts'
import { createAgentWorld, eventNumber, type AgentWorld } from '../../fixtures/agent-world.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

describe('agents that ask each other', () => {
  let world: AgentWorld
  /** Another node, and what is on it in one test. */
  let other: Mesh
  const away: Agents[] = []
  before(async () => {
    world = await createAgentWorld()
    other = await createNode({
      ...{ name: 'attic', open: true, mdns: false },
      listen: ['/ip4/127.0.0.1/tcp/0'],
      peers: [world.mesh.multiaddrs()[0]!]
    })
    await until(() => other.capabilities({ id: 'thermo' }).length === 1, 'the nodes have met')
  })
  after(async () => {
    await other.stop()
    await world.close()
  })
  afterEach(async () => {
    for (const agents of away.splice(0)) await agents.stop()
  })
  beforeEach(async () => world.restart(createPassingStore()))

  async function addThere(definition: AgentDefinition): Promise<void> {
    const components = { now: () => performance.now(), date: () => new Date().toISOString(), newId: () => crypto.randomUUID() }
    const agents = createAgents({ mesh: other, store: createPassingStore(), log: () => undefined, ...components })
    away.push(agents)
    await agents.add(definition)
    const { id } = definition.declaration
    await until(() => world.mesh.capabilities({ id }).length === 1, `${id} is there`)
  }
  /** Without the steps that came before. */
  const answerOf = (value: JsonValue): JsonValue =>
    typeof value === 'object' && value !== null && 'items' in value ? (value['result'] ?? null) : value

  /** Asks `next`, and gives back what came of it: the answer, or the error. */
  function asks(id: string, next: string, concurrency = 1): AgentDefinition {
    return defineAgent({
      ...{ id, concurrency, type: `agent/${id}`, limits: { timeMs: 600_000 } },
      async run(_, context) {
        try {
          return { [id]: answerOf(await context.call(next, 'ask', { text: 'and you?' }, { timeoutMs: 600_000 })) }
        } catch (error) {
          if (!isMeshError(error)) throw error
          return { code: error.code, message: error.message, circle: (error.details['circle'] as string[] | undefined) ?? null }
        }
      }
    })
  }
  const ask = async (id: string): Promise<JsonValue> => (await world.mesh.call(id, 'ask', { text: 'go' }).result).result
  const message = (circle: string): string => {
    const [first] = circle.split(' ')
    return `agent "${first}" waits for this answer itself, and has no place left: ${circle}; do it without asking it, or raise its concurrency`
  }

  it('are told at once of a circle on one node, by which name ever', async () => {
    const here = (id: string): string => `${id}@${world.mesh.peerId}`
    for (const next of ['a', 'agent/a', 'a@home', here('a')]) {
      await world.add(asks('a', 'b'))
      await world.add(asks('b', 'c'))
      await world.add(asks('c', next))
      const circle = [here('a'), here('b'), here('c'), here('a')]
      assert.deepEqual(await ask('a'), { a: { b: { code: 'conflict', message: message('a → b → c → a'), circle } } }, next)
      await world.restart(createPassingStore())
    }
  })

  it('are told at once of a circle over two nodes, also when an event has begun it', async () => {
    await addThere(asks('far', 'near'))
    await world.add(asks('near', 'far'))
    await until(() => other.capabilities({ id: 'near' }).length === 1, 'near is there')
    const circle = [`near@${world.mesh.peerId}`, `far@${other.peerId}`, `near@${world.mesh.peerId}`]
    const told = { near: { code: 'conflict', message: message('near → far → near'), circle } }
    assert.deepEqual(await ask('near'), told)
    const options = { signal: new AbortController().signal, causes: [world.mesh.peerId], depth: 0 }
    await world.agents.handle('near', eventNumber(1), options)
    assert.deepEqual(world.agents.tasks('near')[0]?.state, 'done')
    assert.deepEqual(world.agents.task('near', world.agents.tasks('near')[0]!.id).result, told)
  })

  it('go round as long as an agent of the circle has a place left', async () => {
    await world.add(asks('a', 'b', 2))
    await world.add(asks('b', 'a', 2))
    const told = JSON.stringify(await ask('a'))
    assert.ok(told.includes('a → b → a → b → a'), told)
  })

  it('ask another provider of what they want, if one has a place', async () => {
    await addThere(defineAgent({ id: 'twin', type: 'agent/pair', run: () => 'the other one' }))
    await world.agents.add(
      defineAgent({
        ...{ id: 'twin', type: 'agent/pair', concurrency: 1 },
        run: async (_, context) => answerOf(await context.call('c', 'ask', { text: 'x' }))
      })
    )
    await world.add(asks('c', 'agent/pair'))
    const asked = world.mesh.call('twin', 'ask', { text: 'go' }, { node: world.mesh.peerId })
    assert.deepEqual((await asked.result).result, { c: 'the other one' })
  })

  it('do not show a model who waits', async () => {
    await world.add(asks('b', 'thermo'))
    world.model.play(() => ({ text: 'done' }))
    await world.add(createDeclaredAgent({ id: 'keeper', instructions: 'x', tools: [{ capabilities: ['b'] }] }))
    await ask('keeper')
    const [shown] = world.model.requests[0]!.tools ?? []
    assert.deepEqual(Object.keys(shown!.function.parameters['properties'] as object), ['text'])
  })
})
