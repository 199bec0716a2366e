import type { LabOptions } from '../../../test/fixtures/netns.ts'
import { createFleet, type Fleet, type FleetNode } from '../fleet.ts'

/** Time for all nodes to have a way to each other, in ms. */
const REACHES_WITHIN_MS = 60_000

/** @returns links that make a line of hosts; `closed`: a ring. */
export function lineLinks(hosts: number, closed = false): [number, number][] {
  return Array.from({ length: closed ? hosts : hosts - 1 }, (_, n) => [n, (n + 1) % hosts])
}

/** Nodes on hosts with links of their own, started; each has a way to every other. `reachMs`: from the last start until then. */
export async function startLinked(
  hosts: number,
  links: LabOptions['links'],
  withinMs = REACHES_WITHIN_MS
): Promise<Fleet & { reachMs: number }> {
  const fleet = await createFleet(
    Array.from({ length: hosts }, () => ({ linkLocal6: false })),
    [],
    { links }
  )
  try {
    let startedAt = 0
    for (const node of fleet.nodes) startedAt = await start(node)
    return { ...fleet, reachMs: (await allReachAll(fleet.nodes, withinMs)) - startedAt }
  } catch (error) {
    await fleet.close()
    throw error
  }
}

async function start(node: FleetNode): Promise<number> {
  await node.ask('start', { name: node.name })
  return node.process.events.at(-1)!.t
}

/** Resolves when each node has a way to every other one. @returns when, in CLOCK_MONOTONIC ms. */
export async function allReachAll(nodes: readonly FleetNode[], withinMs: number): Promise<number> {
  const ids = nodes.map(({ peerId }) => peerId)
  const request = { nodes: ids, timeoutMs: withinMs }
  return Math.max(...(await Promise.all(nodes.map((node) => node.ask<number>('reaches', request, withinMs + 10_000)))))
}

/** What `register` of peer.mjs takes. */
interface Declaration {
  id: string
  tools?: string[]
  /** Of each tool. */
  tool?: object
}

/** A provider of tools at one node, known to another. */
export async function registerAt(provider: FleetNode, caller: FleetNode, declaration: Declaration): Promise<void> {
  await provider.ask('register', declaration)
  const isIt = (e: { seen?: string; id?: string }): boolean => e.seen === 'capability:available' && e.id === declaration.id
  await caller.saw(isIt, 20_000, declaration.id)
}

/** How a call ended, as peer.mjs tells it. */
export interface Called {
  ok: boolean
  code?: string
  message?: string
  path?: string[]
  hops?: number
  result?: unknown
  ms: number
}
