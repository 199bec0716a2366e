import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Fleet, FleetNode } from '../../scripts/prove/fleet.ts'
import { lineLinks, registerAt, startLinked, type Called } from '../../scripts/prove/forward/linked-fleet.ts'
import type { RoutesView, TraceHop } from '../../src/mesh-api.ts'
import { atmoCommand } from '../fixtures/child.ts'
import { createLab, requireLab, type HostProcess, type Lab } from '../fixtures/netns.ts'

interface NodeEvent {
  event: string
  peerId?: string
  node?: string
  capability?: { id: string; nodeName: string }
}

const MB = 1024 * 1024

describe('past one hop, each node a host of its own', function () {
  this.timeout(60_000)
  before(function () {
    requireLab(this)
    atmoCommand()
  })

  describe('by its commands, in a private mesh', () => {
    let lab: Lab
    let dir: string
    beforeEach(async () => {
      lab = createLab([{}, {}, {}, {}], { links: lineLinks(4) })
      dir = await mkdtemp(join(tmpdir(), 'atmo-line-'))
    })
    afterEach(async () => {
      await lab.close()
      await rm(dir, { recursive: true, force: true })
    })

    it('four hosts of which only neighbours can connect call each other, and say which way', async () => {
      const names = ['attic', 'hall', 'stairs', 'cellar']
      const on = (n: number, ...args: string[]): string =>
        lab.exec(lab.hosts[n]!, [...atmoCommand(), ...args, '--data-dir', join(dir, names[n]!)])
      const nodes: HostProcess<NodeEvent>[] = []
      const ids: string[] = []
      for (const [n, name] of names.entries()) {
        // Each is let in by the one before: no other can be reached from there.
        if (n > 0) on(n, 'join', on(n - 1, 'invite', '--role', ['owner', 'admin', 'member'][n - 1]!).trim())
        const args = ['start', '--json', '--name', name, '--data-dir', join(dir, name)]
        nodes.push(lab.spawn<NodeEvent>(lab.hosts[n]!, [...atmoCommand(), ...args]))
        ids.push((await nodes[n]!.waitFor(({ event }) => event === 'ready', 20_000, 'ready')).peerId!)
      }
      const there = ({ event, capability }: NodeEvent): boolean =>
        event === 'capability:available' && capability?.id === 'system' && capability.nodeName === 'cellar'
      await nodes[0]!.waitFor(there, 20_000, 'the other end')

      assert.match(on(0, 'call', 'system@cellar', 'echo', '--param', 'message=hello'), /hello/)
      const hops = on(0, 'trace', 'cellar', '--json')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as TraceHop)
      assert.deepEqual(
        hops.map(({ hop, node, nodeName }) => [hop, node, nodeName]),
        [1, 2, 3].map((n) => [n, ids[n], names[n]])
      )
      // A way to a node that nobody asked for is looked for once it has not been connected for a while.
      for (const id of ids.slice(2))
        await nodes[0]!.waitFor(({ event, node }) => event === 'route' && node === id, 20_000, 'a way')
      const { nodes: ways } = JSON.parse(on(0, 'routes', '--json')) as RoutesView
      assert.deepEqual(
        names
          .slice(1)
          .map((name) => ways.find(({ nodeName }) => nodeName === name))
          .map((way) => [way?.viaName, way?.hops, way?.direct]),
        [
          [null, 1, true],
          ['hall', 2, false],
          ['hall', 3, false]
        ]
      )
      for (const node of nodes) assert.equal(await node.end(), 0)
    })
  })

  describe('streams and failures', () => {
    let fleet: Fleet | undefined
    afterEach(async () => {
      await fleet?.close()
      fleet = undefined
    })

    async function start(closed: boolean): Promise<FleetNode[]> {
      fleet = await startLinked(4, lineLinks(4, closed), 20_000)
      return fleet.nodes
    }

    it('streams come whole over two forwarders, either way, and a cancel reaches the tool', async () => {
      const nodes = await start(false)
      const [caller, provider] = [nodes[0]!, nodes[3]!]
      await registerAt(provider, caller, { id: 'far' })
      await registerAt(provider, caller, { id: 'basin', tools: ['sink'], tool: { acceptsStream: true } })
      const { path } = await caller.ask<Called>('call', { target: 'far', tool: 'echo', input: {} })
      assert.deepEqual(
        path,
        nodes.map(({ peerId }) => peerId)
      )
      const input = { bytes: 2 * MB + 7 }
      const out = await caller.ask<{ sha256: string; result: { bytes: number; sha256: string } }>('consume', {
        target: 'far',
        input
      })
      assert.deepEqual(out.result, { bytes: input.bytes, sha256: out.sha256 })
      const sent = await caller.ask<{ sha256: string; result: { bytes: number; sha256: string } }>('send', {
        target: 'basin',
        input
      })
      assert.deepEqual(sent.result, { bytes: input.bytes, sha256: sent.sha256 })
      const endless = { target: 'far', tool: 'stream', input: { bytes: 1024 * MB }, afterMs: 50 }
      const { at, code } = await caller.ask<{ at: number; code: string }>('cancel', endless)
      assert.equal(code, 'cancelled')
      await provider.saw(({ event, t }) => event === 'source-ended' && t >= at, 10_000, 'the tool is told')
    })

    it('in a ring, no call of an idempotent tool is lost when the forwarder is killed: they go the other way', async () => {
      const nodes = await start(true)
      const [caller, provider] = [nodes[0]!, nodes[2]!]
      await registerAt(provider, caller, { id: 'far', tools: ['echo'], tool: { idempotent: true } })
      const calls: Called[] = []
      const deadline = performance.now() + 20_000
      /** Four at a time, until enough have gone over that node. */
      const callOver = (forwarder: FleetNode | undefined, enough: number): Promise<void[]> => {
        const over = ({ path }: Called): boolean => forwarder === undefined || path?.[1] === forwarder.peerId
        const one = async (): Promise<void> => {
          while (calls.filter(over).length < enough) {
            assert.ok(performance.now() < deadline, `not enough calls in time; the last: ${JSON.stringify(calls.at(-1))}`)
            calls.push(await caller.ask<Called>('call', { target: 'far', tool: 'echo', input: { n: calls.length } }))
          }
        }
        return Promise.all([one(), one(), one(), one()])
      }
      await callOver(undefined, 20)
      const used = nodes.findIndex(({ peerId }) => peerId === calls.at(-1)!.path?.[1])
      const other = nodes[4 - used]!
      const goingOn = callOver(other, 20)
      await nodes[used]!.process.end('SIGKILL')
      await goingOn
      assert.deepEqual(
        calls.filter(({ ok }) => !ok),
        []
      )
    })
  })
})
