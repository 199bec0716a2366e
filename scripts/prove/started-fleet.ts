/** A fleet of any size whose nodes have started and are all connected. */
import { clock, createFleet, type Fleet, type FleetNode } from './fleet.ts'

/** Time for one more node to be connected with all before it, in ms. */
const CONNECTED_WITHIN_MS = 180_000
/** How often a node is asked how far it is, in ms: watching costs it more. */
const POLL_MS = 100

/**
 * Hosts with a node each. They start one after the other: the 1,225 handshakes of fifty at once are more than a machine with two
 * cores can do in time. Without IPv6, whose link addresses a machine cannot keep for so many.
 * @param watch whether the nodes tell what they see.
 */
export async function startFleet(count: number, { watch = true }: { watch?: boolean } = {}): Promise<Fleet> {
  const fleet = await createFleet(Array.from({ length: count }, () => ({ linkLocal6: false })))
  try {
    for (const [n, node] of fleet.nodes.entries()) {
      await node.ask('start', { name: node.name, watch })
      await connected(node, n)
    }
    return fleet
  } catch (error) {
    await fleet.close()
    throw error
  }
}

/** Waits until a node has sessions with that many others. */
export async function connected(node: FleetNode, peers: number): Promise<void> {
  const deadline = clock() + CONNECTED_WITHIN_MS
  while ((await node.ask<{ peers: number }>('status')).peers < peers) {
    if (clock() > deadline) throw new Error(`${node.name} did not reach its ${peers} neighbours`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
