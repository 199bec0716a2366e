/** Who waits until there is a way to a node. */
export interface MeshWaiters {
  /** Resolves when somebody wakes those who wait for the node, or after so long, in ms. */
  wait(node: string, ms: number): Promise<void>
  wake(node: string): void
}

/** See {@link MeshWaiters}. */
export function createMeshWaiters(): MeshWaiters {
  const waiting = new Map<string, Set<() => void>>()

  return {
    async wait(node, ms) {
      const wakers = waiting.get(node) ?? new Set()
      waiting.set(node, wakers)
      let go!: () => void
      const woken = new Promise<void>((resolve) => (go = resolve))
      wakers.add(go)
      const timer = setTimeout(go, ms)
      await woken
      clearTimeout(timer)
      wakers.delete(go)
      if (wakers.size === 0) waiting.delete(node)
    },
    wake(node) {
      for (const go of waiting.get(node) ?? []) go()
    }
  }
}
