/** Agents whose model is not there: they say so, and why, and no more once it is. */
import assert from 'node:assert/strict'
import { createPassingStore } from '../../../src/agents/agent-store.ts'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import { createAgentWorld, type AgentWorld } from '../../fixtures/agent-world.ts'
import { until } from '../../fixtures/libp2p-pair.ts'

describe('an agent whose model is not there', () => {
  let world: AgentWorld
  before(async () => (world = await createAgentWorld()))
  after(() => world.close())
  beforeEach(async () => world.restart(createPassingStore()))

  const statusOf = (id: string): [status: string | undefined, reason: string | undefined] => {
    const [found] = world.mesh.capabilities({ id })
    return [found?.status, found?.statusReason]
  }
  const add = (model: string): Promise<void> =>
    world.add(createDeclaredAgent({ id: 'keeper', instructions: 'Keep.', model, tools: [] }))
  const away = (model: string): string => `its model "${model}" is not there: no node of the mesh offers it, by id or type`
  const online = () => until(() => statusOf('keeper')[0] === 'online', 'the agent is online')
  const degraded = () => until(() => statusOf('keeper')[0] === 'degraded', 'the agent is degraded')

  it('is degraded with the reason, and online as soon as the model is there, until it goes', async () => {
    for (const model of ['other', 'llm/other', 'other@home']) {
      await add(model)
      assert.deepEqual(statusOf('keeper'), ['degraded', away(model)])
      assert.deepEqual([world.agents.list()[0]?.state, world.agents.list()[0]?.reason], ['running', away(model)])
      const registration = world.mesh.register({ id: 'other', type: 'llm/other' }, { chat: () => null })
      await online()
      assert.deepEqual([statusOf('keeper')[1], world.agents.list()[0]?.reason], [undefined, undefined])
      registration.suspend('a rest')
      await degraded()
      assert.equal(statusOf('keeper')[1], `its model "${model}" is suspended`)
      registration.resume()
      await online()
      registration.remove()
      await degraded()
      assert.equal(statusOf('keeper')[1], away(model))
      await world.restart(createPassingStore())
    }
  })

  it('is so from the start if none of its models calls tools', async () => {
    const registration = world.mesh.register({ id: 'plain', type: 'llm/plain', metadata: { tools: false } }, { chat: () => null })
    await until(() => world.mesh.capabilities({ id: 'plain' }).length === 1, 'the model is there')
    await add('plain')
    assert.match(statusOf('keeper')[1] ?? '', /no model of "plain" calls tools/)
    registration.remove()
  })

  it('stays suspended while its model comes, and is online when it is resumed', async () => {
    await add('other')
    await world.agents.setState('keeper', 'suspended', 'night')
    const registration = world.mesh.register({ id: 'other', type: 'llm/other' }, { chat: () => null })
    await until(() => world.mesh.capabilities({ id: 'other' }).length === 1, 'the model is there')
    const second = createDeclaredAgent({ id: 'second', instructions: 'x', model: 'other' })
    await world.add(second)
    assert.deepEqual([statusOf('keeper'), world.agents.list()[0]?.reason], [['suspended', 'night'], 'night'])
    await world.agents.setState('keeper', 'running')
    await online()
    registration.remove()
  })
})
