/** What is true of a network, whatever its nodes believe: shortest paths, and where the chains of next hops lead. */
import { createEventQueue } from './event-queue.ts'
import { NOWHERE, type Network } from './network.ts'

/** Where a chain of next hops leads. */
export const OUTCOME = { unknown: 0, arrives: 1, loops: 2, ends: 3 } as const

/** The truth, read off the network when asked. */
export interface Oracle {
  /** Shortest round trip to `origin` for each node, ms; Infinity where there is no path. */
  distances(origin: number): Float64Array
  /** Hops of those paths, of the last `distances`. */
  readonly steps: Int32Array
  /**
   * For each node the so many nearest of some origins, each with its distance, ms. A node that is one of them has one less: it is among the
   * nearest of its neighbours itself.
   */
  nearest(origins: readonly number[], count: number, found: (node: number, origin: number, distance: number) => void): void
  /** Where the next hops to an origin lead from each node, by its place: {@link OUTCOME}. Read it before the next call. */
  outcomes(place: number): Uint8Array
  /** Round trip along the next hops from each node, of the last `outcomes`; where they arrive. */
  readonly lengths: Float64Array
  /** The part of the network that each node is in; -1 for nodes that are down. */
  parts(): Int32Array
}

/** @param isUsable true if something can go over a link now. @param nodes how many there are. */
export function createOracle(network: Network, nodes: number, isUsable: (link: number) => boolean): Oracle {
  const { links } = network
  // Links of node n: from starts[n] to starts[n + 1].
  const starts = new Int32Array(nodes + 1)
  for (const { a, b } of links) {
    starts[a + 1]!++
    starts[b + 1]!++
  }
  for (let node = 0; node < nodes; node++) starts[node + 1]! += starts[node]!
  const peers = new Int32Array(links.length * 2)
  const through = new Int32Array(links.length * 2)
  const filled = starts.slice()
  links.forEach(({ a, b }, link) => {
    for (const [from, to] of [
      [a, b],
      [b, a]
    ] as const) {
      peers[filled[from]!] = to
      through[filled[from]!++] = link
    }
  })
  const outcome = new Uint8Array(nodes)
  const lengths = new Float64Array(nodes)
  const steps = new Int32Array(nodes)
  const part = new Int32Array(nodes)
  const trail = new Int32Array(nodes)
  const walked = new Uint32Array(nodes)
  let walk = 0
  const isUp = (node: number): boolean => network.policy(node) !== undefined

  /** A usable link to a node, or -1. */
  function linkTo(from: number, to: number): number {
    for (let at = starts[from]!; at < starts[from + 1]!; at++) if (peers[at] === to && isUsable(through[at]!)) return through[at]!
    return -1
  }

  return {
    lengths,
    steps,
    distances(origin) {
      const found = new Float64Array(nodes).fill(Infinity)
      if (!isUp(origin)) return found
      found[origin] = 0
      steps[origin] = 0
      const queue = createEventQueue<number>()
      queue.add(0, origin)
      for (let next = queue.take(); next !== undefined; next = queue.take()) {
        const { at: distance, event: node } = next
        if (distance > found[node]!) continue
        for (let at = starts[node]!; at < starts[node + 1]!; at++) {
          const [peer, link] = [peers[at]!, through[at]!]
          const total = distance + links[link]!.rttMs
          if (total >= found[peer]! || !isUsable(link) || !isUp(peer)) continue
          found[peer] = total
          steps[peer] = steps[node]! + 1
          queue.add(total, peer)
        }
      }
      return found
    },
    nearest(origins, count, found) {
      const ranks = new Uint8Array(nodes)
      for (const origin of origins) ranks[origin] = 1
      const seen = new Set<number>()
      const queue = createEventQueue<number>()
      // Node and origin in one number.
      for (const origin of origins) if (isUp(origin)) queue.add(0, origin * nodes + origin)
      for (let next = queue.take(); next !== undefined; next = queue.take()) {
        const { at: distance, event: key } = next
        const node = key % nodes
        const origin = (key - node) / nodes
        if (seen.has(key) || (ranks[node]! > count && node !== origin)) continue
        seen.add(key)
        // One more is followed than is told: at the end of a path a node may be one of them.
        if (node !== origin && ranks[node]!++ < count) found(node, origin, distance)
        for (let at = starts[node]!; at < starts[node + 1]!; at++) {
          const [peer, link] = [peers[at]!, through[at]!]
          if (peer === origin || ranks[peer]! > count || !isUsable(link) || !isUp(peer)) continue
          queue.add(distance + links[link]!.rttMs, origin * nodes + peer)
        }
      }
    },
    outcomes(place) {
      const hops = network.nextHops(place)
      const origin = network.origins[place]!
      outcome.fill(OUTCOME.unknown)
      lengths.fill(0)
      outcome[origin] = isUp(origin) ? OUTCOME.arrives : OUTCOME.ends
      for (let from = 0; from < nodes; from++) {
        let walks = 0
        let node = from
        walk++
        while (outcome[node] === OUTCOME.unknown && walked[node] !== walk) {
          walked[node] = walk
          trail[walks++] = node
          const next = hops[node]!
          const link = next === NOWHERE ? -1 : linkTo(node, next)
          if (link < 0 || !isUp(next)) {
            outcome[node] = OUTCOME.ends
            break
          }
          lengths[node] = links[link]!.rttMs
          node = next
        }
        const found = outcome[node] === OUTCOME.unknown ? OUTCOME.loops : outcome[node]!
        let length = found === OUTCOME.arrives ? lengths[node]! : 0
        for (let step = walks - 1; step >= 0; step--) {
          const past = trail[step]!
          if (past === node && found === OUTCOME.ends) continue
          outcome[past] = found
          length += lengths[past]!
          lengths[past] = length
        }
      }
      return outcome
    },
    parts() {
      part.fill(-1)
      let parts = 0
      for (let first = 0; first < nodes; first++) {
        if (part[first] !== -1 || !isUp(first)) continue
        let [read, end] = [0, 1]
        trail[0] = first
        part[first] = parts
        while (read < end) {
          const node = trail[read++]!
          for (let at = starts[node]!; at < starts[node + 1]!; at++) {
            const peer = peers[at]!
            if (part[peer] !== -1 || !isUp(peer) || !isUsable(through[at]!)) continue
            part[peer] = parts
            trail[end++] = peer
          }
        }
        parts++
      }
      return part
    }
  }
}

/** Next hops in a circle. */
export interface Circle {
  nodes: number[]
  /** True if a frame goes round: a loop. False if one of the hops is a session that is over at the other end, where nothing arrives. */
  isLive: boolean
}

/**
 * Finds circles that a change of one next hop has closed; also over links that are down by now. A circle is a loop if a frame could go round it: if
 * each hop is a session that is there at both ends. That of a node that does not know yet that its neighbour has restarted is none: what it
 * still sends was for the neighbour's life before, and its route ends with that session. No change of a session closes a circle, since
 * each one is new, with nothing heard over it.
 */
export function createLoopFinder(network: Network, nodes: number): (from: number, place: number) => Circle | undefined {
  const seen = new Uint32Array(nodes)
  let walk = 0
  return (from, place) => {
    const hops = network.nextHops(place)
    const origin = network.origins[place]!
    walk++
    let node = from
    for (; node !== NOWHERE && node !== origin; node = hops[node]!) {
      if (seen[node] === walk) {
        const circle = [node]
        for (let next = hops[node]!; next !== node; next = hops[next]!) circle.push(next)
        return { nodes: circle, isLive: circle.every((hop) => network.isLive(hop, hops[hop]!)) }
      }
      seen[node] = walk
    }
    return undefined
  }
}
