/** A fleet of any size whose nodes have started and know each other. */
import { allSeeAll, createFleet, type Fleet } from './fleet.ts'

/** Time for one more node to be connected with all before it, in ms. */
const JOINED_WITHIN_MS = 60_000

/**
 * Hosts with a node each, all connected. They start one after the other: the 1,225 handshakes of fifty at once are more than a machine
 * with two cores can do in time. Without IPv6, whose link addresses a machine cannot keep for so many.
 */
export async function startFleet(count: number): Promise<Fleet> {
  const fleet = await createFleet(Array.from({ length: count }, () => ({ linkLocal6: false })))
  try {
    for (const [n, node] of fleet.nodes.entries()) {
      await node.ask('start', { name: node.name })
      await Promise.all(fleet.nodes.slice(0, n).map((other) => allSeeAll([node, other], JOINED_WITHIN_MS)))
    }
    return fleet
  } catch (error) {
    await fleet.close()
    throw error
  }
}
