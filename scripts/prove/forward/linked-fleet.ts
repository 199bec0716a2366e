import { allSeeAll, createFleet, type Fleet, type FleetNode } from '../fleet.ts'

/** Time for one more node to be connected with those on its links, and then for all to have a way to each other, in ms. */
const JOINED_WITHIN_MS = 60_000
const REACHES_WITHIN_MS = 60_000

/** @returns links that make a line of hosts; `closed`: a ring. */
export function lineLinks(hosts: number, closed = false): [number, number][] {
  return Array.from({ length: closed ? hosts : hosts - 1 }, (_, n) => [n, (n + 1) % hosts])
}

/**
 * Nodes on hosts with links of their own; each has a way to every other. They start one after the other: the handshakes of many at once
 * are more than a machine with two cores can do in time. `reachMs`: from the last start until the last way was there.
 */
export async function startLinked(
  hosts: number,
  links: readonly (readonly number[])[],
  withinMs = REACHES_WITHIN_MS
): Promise<Fleet & { reachMs: number }> {
  const each = Array.from({ length: hosts }, () => ({ linkLocal6: false }))
  const fleet = await createFleet(each, [], { links })
  try {
    let startedAt = 0
    for (const [place, node] of fleet.nodes.entries()) {
      await node.ask('start', { name: node.name })
      startedAt = node.process.events.at(-1)!.t
      const mates = new Set(links.filter((on) => on.includes(place)).flat())
      const before = fleet.nodes.filter((_, other) => other < place && mates.has(other))
      await Promise.all(before.map((other) => allSeeAll([node, other], JOINED_WITHIN_MS)))
    }
    return { ...fleet, reachMs: (await allReachAll(fleet.nodes, withinMs)) - startedAt }
  } catch (error) {
    await fleet.close()
    throw error
  }
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
