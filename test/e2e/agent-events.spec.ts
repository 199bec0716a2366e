import assert from 'node:assert/strict'
import { createPassingStore } from '../../src/agents/agent-store.ts'
import { createAgents, type Agents } from '../../src/agents/agents.ts'
import { defineAgent } from '../../src/agents/definition.ts'
import type { ReceivedEvent } from '../../src/mesh-api.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

describe('agents and events, from node to node', function () {
  this.timeout(60_000)
  let home: TestMesh
  let agents: Agents
  beforeEach(async () => void (home = await createTestMesh('home')))
  afterEach(async () => {
    await agents.stop()
    await home.stop()
  })

  it('what a camera sees is an event, an agent elsewhere looks again and raises the alarm, and the siren where the camera is goes off', async () => {
    const house = await home.join('member')
    const thinker = await home.join('member', { peers: house.multiaddrs() })
    const heard: ReceivedEvent[] = []
    house.register({ id: 'siren', type: 'actuator/siren', handles: {} }, {}, (event) => void heard.push(event))
    house.register(
      {
        id: 'cam',
        type: 'sensor/camera',
        triggers: [{ event: 'person', intentTemplate: 'Somebody is at the {location}.', routeHint: 'security/*' }],
        tools: [{ name: 'look', idempotent: true }]
      },
      { look: () => ({ who: 'a stranger' }) }
    )
    agents = createAgents({
      mesh: thinker,
      store: createPassingStore(),
      now: () => performance.now(),
      date: () => new Date().toISOString(),
      newId: () => crypto.randomUUID(),
      log: () => undefined
    })
    await agents.add(
      defineAgent({
        id: 'guard',
        type: 'agent/security',
        triggers: [{ event: 'alarm', intentTemplate: 'Make a noise: {who}.', routeHint: 'capability:siren', priority: 'high' }],
        async run(intent, context) {
          if (intent.kind !== 'event') return null
          const seen = (await context.call('cam', 'look')) as { who: string }
          await context.fire('alarm', { ...seen, where: intent.event.subject ?? '' })
          return seen
        }
      })
    )
    const sees = (node: typeof house, id: string): boolean => node.capabilities({ id }).length === 1
    await until(() => sees(house, 'guard') && sees(thinker, 'siren') && sees(thinker, 'cam'), 'all know each other')

    const fired = await house.fire('cam', 'person', { location: 'front door' })
    assert.deepEqual([fired.outcome, fired.by], ['delivered', [`guard@${thinker.peerId}`]])
    await until(() => heard.length === 1, 'the siren')
    const [{ intent, payload, depth, priority, node, causes }] = heard as [ReceivedEvent]
    assert.deepEqual(
      { intent, payload, depth, priority, node, causes },
      {
        intent: 'Make a noise: a stranger.',
        payload: { who: 'a stranger', where: 'front door' },
        depth: 1,
        priority: 'high',
        node: thinker.peerId,
        // It does so because of the house.
        causes: [house.peerId, thinker.peerId]
      }
    )
  })
})
