/** Peers avoided at once; the oldest goes first. */
export const MAX_AVOIDED_PEERS = 1_024

/** Peers that are not dialled for a time, whoever names them. */
export interface AvoidedPeers {
  add(peerId: string, ms: number): void
  has(peerId: string): boolean
}

/** @param now monotonic ms. */
export function createAvoidedPeers(now: () => number): AvoidedPeers {
  const until = new Map<string, number>()
  return {
    add(peerId, ms) {
      until.delete(peerId)
      until.set(peerId, now() + ms)
      if (until.size > MAX_AVOIDED_PEERS) until.delete(until.keys().next().value!)
    },
    has: (peerId) => (until.get(peerId) ?? -Infinity) > now()
  }
}
