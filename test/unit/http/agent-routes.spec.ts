import assert from 'node:assert/strict'
import { createDeclaredAgent } from '../../../src/agents/declared-agent.ts'
import { serveApi, type ApiServer } from '../../../src/http/serve.ts'
import { createAgentWorld, type AgentWorld } from '../../fixtures/agent-world.ts'
import { ask } from '../../fixtures/api-request.ts'
import { createFakeMesh } from '../../fixtures/fake-mesh.ts'

const token = 'T'.repeat(43)

describe('http agent routes', () => {
  let world: AgentWorld
  let server: ApiServer
  before(async () => {
    world = await createAgentWorld()
    await world.add(createDeclaredAgent({ id: 'keeper', instructions: 'Keep.', description: 'Keeps.' }))
    server = await serveApi({ mesh: world.mesh, agents: world.agents, token })
  })
  after(async () => {
    await server.close()
    await world.close()
  })
  const get = (path: string) => ask(server.url, path, { token })
  const post = (path: string, json: object) => ask(server.url, path, { token, json })

  it('list agents, show one, and a task with its transcript', async () => {
    const { json } = await get('/mesh/agents')
    assert.deepEqual(json, JSON.parse(JSON.stringify({ agents: world.agents.list(), elsewhere: [] })))
    const asked = await post('/capabilities/keeper/tools/ask', { input: { text: 'hello' } })
    assert.deepEqual([asked.status, (asked.json['result'] as { text: string }).text], [200, 'done'])
    const { agent, tasks } = (await get('/mesh/agents/keeper')).json as unknown as {
      agent: { done: number }
      tasks: { id: string }[]
    }
    assert.deepEqual([agent.done, tasks.length], [1, 1])
    const task = (await get(`/mesh/agents/keeper/tasks/${tasks[0]!.id}`)).json['conversation'] as { messages: object[] }
    assert.equal(task.messages.length, 3)
    assert.deepEqual(
      [(await get('/mesh/agents/nobody')).status, (await get('/mesh/agents/keeper/tasks/none')).status],
      [404, 404]
    )
  })

  it('change the state of one', async () => {
    for (const json of [{}, { state: 'created' }, { state: 'running', extra: 1 }, { state: 'ended', reason: 7 }])
      assert.equal((await post('/mesh/agents/keeper', json)).status, 400, JSON.stringify(json))
    assert.equal((await post('/mesh/agents/keeper', { state: 'suspended', reason: 'night' })).json['reason'], 'night')
    assert.equal((await post('/mesh/agents/keeper', { state: 'running' })).json['state'], 'running')
    assert.equal((await post('/mesh/agents/nobody', { state: 'running' })).status, 404)
  })

  it('know those of other nodes, also without agents here', async () => {
    const ref = { id: 'far', type: 'agent/far', ref: 'far', handles: {} }
    const other = await serveApi({ mesh: createFakeMesh({ ask: async () => 'x' }, [], ref), token })
    const { json } = await ask(other.url, '/mesh/agents', { token })
    assert.deepEqual(
      (json['elsewhere'] as { ref: string }[]).map((agent) => agent.ref),
      ['far']
    )
    assert.equal((await ask(other.url, '/mesh/agents/far', { token })).json.error?.code, 'unsupported')
    await other.close()
  })
})
