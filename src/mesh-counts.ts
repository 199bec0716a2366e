import type { MeshStatus } from './mesh-api.ts'

/** What a node counts of itself, for its status. */
export interface MeshCounts {
  count(counter: string): void
  /** A call of this node's tools begins. */
  onBegin(): void
  onServed(failed: boolean): void
  /** @param more counters of others. */
  view(more: Record<string, number>): Pick<MeshStatus, 'uptimeMs' | 'calls' | 'counters'>
}

/** @param now monotonic ms. */
export function createMeshCounts(now: () => number): MeshCounts {
  const startedAt = now()
  const counters: Record<string, number> = {}
  const calls = { inFlight: 0, served: 0, failed: 0 }
  return {
    count: (counter) => void (counters[counter] = (counters[counter] ?? 0) + 1),
    onBegin: () => void calls.inFlight++,
    onServed(failed) {
      calls.inFlight--
      calls.served++
      if (failed) calls.failed++
    },
    view: (more) => ({ uptimeMs: now() - startedAt, calls: { ...calls }, counters: { ...counters, ...more } })
  }
}
