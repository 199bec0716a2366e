/** The steps of the demo, in order. Each does one thing, checks that it happened, and says how long it took. */
import { showDuration } from '../../src/cli/output.ts'
import type { PeerView } from '../../src/mesh-api.ts'
import { DEADLINE_MS, check } from './programs.ts'
import type { DemoNode, Fleet } from './fleet.ts'
import { NAMES, type NodeName } from './nodes.ts'
import { cancel, mistakes } from './steps-cancel.ts'
import { failover, shutdown, withdrawal } from './steps-end.ts'
import { callCommand, callMcp, progress } from './steps-call.ts'
import type { Report, StepResult } from './report.ts'

/** What the steps of the tour share. */
export interface Stage {
  fleet: Fleet<NodeName>
  report: Report
  /** Nodes that run, filled by the first step. */
  nodes: Map<NodeName, DemoNode<NodeName>>
  /** Processes that nodes started and that must be gone at the end. */
  pids: Set<number>
}

/** One step of the tour. */
export interface Step {
  name: string
  title: string
  run(stage: Stage): Promise<StepResult>
}

/** A node of the stage. Throws if it does not run. */
export function nodeOf({ nodes }: Stage, name: NodeName): DemoNode<NodeName> {
  const node = nodes.get(name)
  check(node, `${name} does not run`)
  return node
}

const start: Step = {
  name: 'start',
  title: 'Four nodes start',
  async run({ fleet, nodes, report }) {
    const startedAt = performance.now()
    const up = async (name: NodeName, peer?: string) => {
      const node = await fleet.start(name, peer)
      nodes.set(name, node)
      report.say(`${name.padEnd(7)} ${node.address.replace(/\/p2p\/.*(.{8})$/, '/p2p/…$1')}`)
    }
    await up('desk')
    const desk = nodes.get('desk')
    await Promise.all(NAMES.slice(1).map((name) => up(name, desk?.address)))
    return { ms: performance.now() - startedAt, what: 'all four are up; three were told the address of desk, and nothing else' }
  }
}

/** Asks a node for its peers until it is connected to all others: a node may know another for a moment before it has dialled it. */
async function connectedPeers({ fleet }: Stage, name: NodeName): Promise<PeerView[]> {
  const until = performance.now() + DEADLINE_MS
  while (true) {
    const peers = await fleet.peers(name)
    const direct = peers.filter((peer) => peer.direct)
    if (direct.length === NAMES.length - 1) return peers
    check(performance.now() < until, `${name} is connected to ${direct.map((peer) => peer.name).join(', ') || 'nobody'} only`)
  }
}

const discovery: Step = {
  name: 'discovery',
  title: 'They find each other',
  async run(stage) {
    const { report } = stage
    const nodes = NAMES.map((name) => nodeOf(stage, name))
    const lastReady = Math.max(...nodes.map(({ readyAt }) => readyAt))
    // What a node knew before it was ready it tells right after, so every join is among its lines.
    const joins = nodes.flatMap((node) =>
      nodes
        .filter((other) => other !== node)
        .map(({ peerId, name }) =>
          node.process.waitFor((line) => line.event === 'peer:join' && line.peerId === peerId, `sight of ${name}`)
        )
    )
    const last = Math.max(lastReady, ...(await Promise.all(joins)).map(({ at }) => at))
    for (const { name, rttMs, source } of await connectedPeers(stage, 'desk')) {
      report.say(`desk sees ${name.padEnd(7)} round trip ${rttMs === null ? 'not measured yet' : showDuration(rttMs)}, ${source}`)
    }
    await connectedPeers(stage, 'garage')
    return { ms: last - lastReady, what: 'each sees the three others, after the last was up' }
  }
}

const announcements: Step = {
  name: 'announcements',
  title: 'They learn what the others can do',
  async run(stage) {
    const { fleet, report } = stage
    const desk = nodeOf(stage, 'desk')
    const attic = nodeOf(stage, 'attic')
    const expected: [NodeName, string, string[]][] = [
      ['attic', 'everything', ['echo', 'get-sum', 'trigger-long-running-operation']],
      ['cellar', 'tools', ['words', 'sort', 'count']],
      ['garage', 'tools', ['words', 'sort', 'count']]
    ]
    const available = (witness: DemoNode, peerId: string, id: string) =>
      witness.process.waitFor(
        (line) => line.event === 'capability:available' && line.node === peerId && line.capability.id === id,
        `${id} of ${peerId}`
      )
    for (const [name, id] of expected) await available(desk, nodeOf(stage, name).peerId, id)
    const capabilities = await fleet.capabilities('desk')
    for (const [name, id, tools] of expected) {
      const found = capabilities.find((one) => one.id === id && one.nodeName === name)
      check(found, `desk does not know ${id} of ${name}`)
      check(found.status === 'online', `${id} of ${name} is ${found.status}: ${found.statusReason ?? ''}`)
      const names = found.tools.map((tool) => tool.name)
      for (const tool of tools) check(names.includes(tool), `${id} of ${name} has no tool ${tool}, only ${names.join(', ')}`)
      report.say(
        `${found.ref.padEnd(16)} ${found.type.padEnd(15)} ${names.length} tools: ${names.slice(0, 4).join(', ')}${names.length > 4 ? ', …' : ''}`
      )
    }
    const there = await available(attic, attic.peerId, 'everything')
    const here = await available(desk, attic.peerId, 'everything')
    // Both are read from pipes: what is left of a millisecond is noise.
    const ms = Math.max(0, here.at - there.at)
    return { ms, what: 'what attic offers is known at desk, after attic had it itself' }
  }
}

/** All steps. A step needs those before it. */
export const STEPS: readonly Step[] = [
  start,
  discovery,
  announcements,
  callMcp,
  callCommand,
  progress,
  cancel,
  mistakes,
  failover,
  withdrawal,
  shutdown
]
