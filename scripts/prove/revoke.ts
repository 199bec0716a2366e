/** A private mesh of many hosts: members are revoked, one after the other; how long until nobody has a session with them, and does one that was away refuse them? */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { allSeeAll, clock, createFleet, quantile, type FleetNode } from './fleet.ts'

/** @param nodes members at the beginning. @param revoked how many of them are revoked. */
export async function proveRevocation({
  nodes: count = 20,
  revoked = 5
}: { nodes?: number; revoked?: number } = {}): Promise<object> {
  const dirs = mkdtempSync(join(tmpdir(), 'atmo-revoke-'))
  const fleet = await createFleet(Array.from({ length: count }, () => ({ linkLocal6: false })))
  const dirOf = (node: FleetNode): string => join(dirs, node.name)
  const start = (node: FleetNode): Promise<unknown> =>
    node.ask('start', { name: node.name, dataDir: dirOf(node), open: false, listen: ['/ip4/0.0.0.0/tcp/4001'] })
  try {
    const [owner, ...others] = fleet.nodes as [FleetNode, ...FleetNode[]]
    await start(owner)
    const joinMs: number[] = []
    for (const node of others) {
      const { code } = await owner.ask<{ code: string }>('invite', { role: 'member' })
      const began = clock()
      await node.ask('join', { name: node.name, dataDir: dirOf(node), code })
      joinMs.push(clock() - began)
      await start(node)
    }
    await allSeeAll(fleet.nodes, 60_000)
    // One is away meanwhile.
    const last = fleet.nodes.length - 1
    await fleet.nodes[last]!.process.end('SIGKILL')

    const victims = others.slice(0, revoked)
    const goneMs: number[] = []
    for (const victim of victims) {
      const rest = fleet.nodes
        .slice(0, last)
        .filter((node) => node !== victim && (!victims.includes(node) || victims.indexOf(node) > victims.indexOf(victim)))
      const began = clock()
      await owner.ask('revoke', { target: victim.peerId, reason: 'a test' })
      const times = await Promise.all(
        rest.map(
          async (node) =>
            (
              await node.saw(
                (e) => e.seen === 'peer:leave' && e.peerId === victim.peerId && e.t >= began,
                20_000,
                `${victim.name} left`
              )
            ).t
        )
      )
      goneMs.push(...times.map((t) => t - began))
      process.stderr.write(`${victim.name} revoked: gone everywhere after ${(Math.max(...times) - began).toFixed(0)} ms\n`)
    }

    const away = fleet.spawn(last)
    await away.saw(({ event }) => event === 'hello', 60_000, 'hello')
    await start(away)
    const staying = fleet.nodes.slice(0, last).filter((node) => !victims.includes(node))
    for (const node of staying)
      await away.saw((e) => e.seen === 'peer:join' && e.peerId === node.peerId, 30_000, `${node.name} joined`)
    // The revoked ones dial it: they know its address and hear its mDNS.
    const refused = async (): Promise<number> =>
      (await away.ask<{ counters: Record<string, number> }>('status')).counters['admission.refused'] ?? 0
    const deadline = clock() + 30_000
    while ((await refused()) < victims.length && clock() < deadline) await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    const letIn = away.process.events.filter(
      ({ seen, peerId }) => seen === 'peer:join' && victims.some((victim) => victim.peerId === peerId)
    ).length
    const refusals = await refused()
    const p99 = quantile(goneMs, 0.99)
    return {
      nodes: count,
      revoked: victims.length,
      joinMs: { p50: quantile(joinMs, 0.5), max: Math.max(...joinMs) },
      sessionsGoneMs: { p50: quantile(goneMs, 0.5), p99, max: Math.max(...goneMs) },
      awayRefused: refusals,
      awayLetIn: letIn,
      pass: p99 < 1_000 && letIn === 0 && refusals >= victims.length
    }
  } finally {
    await fleet.close()
    rmSync(dirs, { recursive: true, force: true })
  }
}

/** A refusal is a count and no event: how often it is looked at, in ms. */
const POLL_MS = 100
