/** Nodes whose names are remembered. */
const MAX_NAMES = 1_024

/** What nodes called themselves before they went: certificates may have another name, of the day on which they joined. */
export interface LastNames {
  note(node: string, name: string): void
  of(node: string): string | undefined
}

/** Empty at first; of too many the oldest is forgotten. */
export function createLastNames(): LastNames {
  const names = new Map<string, string>()
  return {
    note(node, name) {
      names.delete(node)
      names.set(node, name)
      if (names.size > MAX_NAMES) names.delete(names.keys().next().value!)
    },
    of: (node) => names.get(node)
  }
}
