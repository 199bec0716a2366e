/** Peers avoided at once; the oldest goes first. */
export const MAX_AVOIDED_PEERS = 1_024

/** Peers that are not dialled for a time, whoever names them. */
export interface AvoidedPeers {
  /** @param addrs where it is known to be. */
  add(peerId: string, ms: number, addrs?: Iterable<string>): void
  /** True if the peer is avoided; then it is noted where it was heard of meanwhile. */
  heard(peerId: string, addrs: readonly string[]): boolean
  /** Avoids nobody any more. @returns where those that were avoided are said to be. */
  clear(): { peerId: string; addrs: readonly string[] }[]
}

/** @param now monotonic ms. */
export function createAvoidedPeers(now: () => number): AvoidedPeers {
  const avoided = new Map<string, { until: number; addrs: readonly string[] }>()
  return {
    add(peerId, ms, addrs) {
      const known = addrs === undefined ? (avoided.get(peerId)?.addrs ?? []) : [...addrs]
      avoided.delete(peerId)
      avoided.set(peerId, { until: now() + ms, addrs: known })
      if (avoided.size > MAX_AVOIDED_PEERS) avoided.delete(avoided.keys().next().value!)
    },
    heard(peerId, addrs) {
      const entry = avoided.get(peerId)
      if (entry === undefined || entry.until <= now()) return false
      if (addrs.length > 0) entry.addrs = addrs
      return true
    },
    clear() {
      const all = [...avoided].map(([peerId, { addrs }]) => ({ peerId, addrs }))
      avoided.clear()
      return all
    }
  }
}
