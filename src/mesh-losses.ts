/** When nodes whose session or route has ended count as lost: not while there may be another way to them in a moment. */

/** A node whose session has ended is looked for over others for this long, in ms. */
export const SEEK_MS = 700
/** A route that is gone may be followed by another within this time, in ms. */
export const REROUTE_MS = 1_000
/** Of a node that died a moment ago those are told last that it is so: their ways are none. This much later than they, in ms, nobody has one. */
export const LATE_NEWS_MS = 350

/** See {@link createMeshLosses}. */
export interface MeshLosses {
  /** The session with a node has ended, and others are asked for a way to it. */
  parted(node: string): void
  /** The last route to a node is gone. */
  routeless(node: string): void
  /** There is a session with it again. */
  joined(node: string): void
  /** There is a route to it. */
  keep(node: string): void
  stop(): void
}

/** @param onLost the time is over, and nothing has come. */
export function createMeshLosses({ now, onLost }: { now: () => number; onLost(node: string): void }): MeshLosses {
  const losing = new Map<string, ReturnType<typeof setTimeout>>()
  /** When sessions ended, of the last moments. */
  const partedAt = new Map<string, number>()

  function keep(node: string): void {
    clearTimeout(losing.get(node))
    losing.delete(node)
  }

  function loseSoon(node: string, ms: number): void {
    keep(node)
    const timer = setTimeout(() => {
      losing.delete(node)
      partedAt.delete(node)
      onLost(node)
    }, ms)
    timer.unref?.()
    losing.set(node, timer)
  }

  return {
    parted(node) {
      const at = now()
      // In the order of parting; what is no longer fresh says nothing.
      for (const [other, since] of partedAt) {
        if (at - since < REROUTE_MS) break
        partedAt.delete(other)
      }
      partedAt.delete(node)
      partedAt.set(node, at)
      loseSoon(node, SEEK_MS)
    },
    routeless(node) {
      const isFresh = now() - (partedAt.get(node) ?? -Infinity) < REROUTE_MS
      if (!losing.has(node)) loseSoon(node, isFresh ? LATE_NEWS_MS : REROUTE_MS)
    },
    joined(node) {
      partedAt.delete(node)
      keep(node)
    },
    keep,
    stop() {
      for (const timer of losing.values()) clearTimeout(timer)
    }
  }
}
