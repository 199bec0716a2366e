/** What is remembered of nodes, by a key of each, within one bound: a node of which much is remembered makes this one forget nothing of others. */
export interface NodeShares<V> {
  get(node: string, key: string): V | undefined
  /** It is the newest of its node. Past the bound the oldest of the node with the most goes; what it costs does not grow with how many there are. */
  set(node: string, key: string, value: V): void
  delete(node: string, key: string): void
  readonly size: number
}

/** See {@link NodeShares}. @param max most that are remembered, in all. */
export function createNodeShares<V>(max: number): NodeShares<V> {
  /** Of each node, the oldest first. */
  const shares = new Map<string, Map<string, V>>()
  /** Nodes, by how many they have. */
  const bySize = new Map<number, Set<string>>()
  let largest = 0
  let size = 0

  /** A node has one more, or one less. */
  function moved(node: string, by: 1 | -1): void {
    const after = shares.get(node)!.size
    const before = bySize.get(after - by)
    before?.delete(node)
    if (before?.size === 0) bySize.delete(after - by)
    if (after === 0) shares.delete(node)
    else bySize.set(after, (bySize.get(after) ?? new Set()).add(node))
    if (after > largest || !bySize.has(largest)) largest = after
    size += by
  }

  function drop(node: string, key: string): void {
    if (shares.get(node)?.delete(key) === true) moved(node, -1)
  }

  function dropOldest(): void {
    const [node] = bySize.get(largest)!
    drop(node!, shares.get(node!)!.keys().next().value!)
  }

  return {
    get: (node, key) => shares.get(node)?.get(key),
    set(node, key, value) {
      const share = shares.get(node) ?? new Map<string, V>()
      shares.set(node, share)
      const isNew = !share.delete(key)
      share.set(key, value)
      if (!isNew) return
      moved(node, 1)
      if (size > max) dropOldest()
    },
    delete: drop,
    get size() {
      return size
    }
  }
}
