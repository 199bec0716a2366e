import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPassingStore, type AgentStore } from '../../src/agents/agent-store.ts'
import { createAgents, type Agents } from '../../src/agents/agents.ts'
import { defineAgent, type CodeAgent } from '../../src/agents/definition.ts'
import type { ChatMessage } from '../../src/core/chat.ts'
import { createNode } from '../../src/index.ts'
import type { Mesh, ReceivedEvent } from '../../src/mesh-api.ts'
import { startChild, type Child } from '../fixtures/child.ts'
import { until } from '../fixtures/libp2p-pair.ts'
import { createTestMesh, type TestMesh } from '../fixtures/test-mesh.ts'

function agentsOn(mesh: Mesh, store: AgentStore = createPassingStore()): Agents {
  return createAgents({
    mesh,
    store,
    now: () => performance.now(),
    date: () => new Date().toISOString(),
    newId: () => crypto.randomUUID(),
    log: () => undefined
  })
}

describe('agents and events, from node to node', function () {
  this.timeout(60_000)
  let home: TestMesh
  const running: Agents[] = []
  beforeEach(async () => void (home = await createTestMesh('home')))
  afterEach(async () => {
    await Promise.all(running.splice(0).map((agents) => agents.stop()))
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
    const agents = agentsOn(thinker)
    running.push(agents)
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

  it('an agent that is stopped in the middle gives an event back: another does it, and it is not done a second time', async () => {
    const house = await home.join('member')
    house.register({ id: 'cam', type: 'sensor/camera', triggers: [{ event: 'person', routeHint: 'agent/guard' }] })
    const runs: number[] = []
    const nodes = await Promise.all([0, 1].map(() => home.join('member', { peers: house.multiaddrs() })))
    const stores = nodes.map(() => createPassingStore())
    const start = async (index: number): Promise<Agents> => {
      const agents = agentsOn(nodes[index]!, stores[index])
      running.push(agents)
      const run: CodeAgent['run'] = ({ kind }) => {
        if (kind === 'ask') return 'awake'
        return runs.push(index) === 1 ? new Promise<never>(() => undefined) : null
      }
      await agents.add(defineAgent({ id: 'guard', run }))
      return agents
    }
    const agents = await Promise.all([0, 1].map(start))
    const known = (): number => house.capabilities({ id: 'guard' }).length
    await until(() => known() === 2, 'both are known', 10_000)
    await house.fire('cam', 'person', null, { waitMs: 0 })
    await until(() => runs.length > 0, 'it works')
    const [first] = runs as [number]
    await agents[first]!.stop()
    await until(() => house.status().counters['events.done'] === 1, 'the other one has done it', 20_000)

    const again = await start(first)
    await until(() => known() === 2, 'it is back', 10_000)
    assert.equal((await house.call('guard', 'ask', { text: 'x' }, { node: nodes[first]!.peerId }).result).result, 'awake')
    assert.deepEqual(runs, [first, 1 - first])
    assert.equal(again.tasks('guard').find(({ kind }) => kind === 'event')?.state, 'interrupted')
  })

  it('an agent whose node is killed in the middle of a call goes on when that is back, and makes the call once', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'atmo-agent-'))
    const hub = await createNode({ open: true, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'] })
    const children: Child[] = []
    const start = async (): Promise<Child> => {
      const child = startChild('test/fixtures/agent-node.ts', [dir, hub.multiaddrs()[0]!])
      children.push(child)
      while (!(await child.line(20_000)).includes('"ready"'));
      return child
    }
    try {
      let calls = 0
      let questions = 0
      hub.register(
        { id: 'heater', type: 'home/heater', tools: [{ name: 'set' }] },
        { set: () => (calls++, new Promise<never>(() => undefined)) }
      )
      hub.register(
        { id: 'brain', type: 'llm/chat', tools: [{ name: 'chat' }] },
        {
          chat(input) {
            questions++
            const isFirst = (input['messages'] as unknown as ChatMessage[]).length === 2
            const call = { id: 'c', type: 'function', function: { name: 'heater__set', arguments: '{}' } }
            const message = { role: 'assistant', content: isFirst ? null : 'done', ...(isFirst && { tool_calls: [call] }) }
            return { choices: [{ message, finish_reason: isFirst ? 'tool_calls' : 'stop' }], usage: { total_tokens: 10 } }
          }
        }
      )
      hub.register({ id: 'cam', type: 'sensor/camera', triggers: [{ event: 'cold', routeHint: 'agent/keeper' }] })
      const first = await start()
      await until(() => hub.capabilities({ id: 'keeper' }).length > 0, 'the agent is known', 10_000)
      assert.equal((await hub.fire('cam', 'cold', null, { waitMs: 10_000 })).outcome, 'delivered')
      await until(() => calls === 1, 'the call is out', 10_000)
      first.process.kill('SIGKILL')
      await first.ended
      await start()
      await until(() => hub.status().counters['events.done'] === 1, 'the source hears of it', 40_000)
      assert.deepEqual([calls, questions], [1, 2])
    } finally {
      for (const child of children) {
        child.process.kill('SIGKILL')
        await child.ended
      }
      await hub.stop()
      await rm(dir, { recursive: true, force: true })
    }
  })
})
