/** Origins that a node wants by name; past it it wants all that neighbours tell. */
export const MAX_WANTED_BY_NAME = 256

/** What a neighbour is told of what this node wants. */
export interface WantsChange {
  all?: boolean
  add: string[]
  drop: string[]
}

/** Which origins a node wants routes to: those that it knows of and has no session with. In a network where all see all that is nobody. */
export interface Wanted {
  /** Takes what is wanted now. @returns what has changed, undefined if nothing has; `gone` is not wanted any more. */
  set(origins: ReadonlySet<string>): { change: WantsChange; gone: string[] } | undefined
  /** For a neighbour that has heard nothing yet. */
  whole(): WantsChange
  has(origin: string): boolean
  readonly size: number
}

/** Nothing is wanted at first. */
export function createWanted(): Wanted {
  let wanted: ReadonlySet<string> = new Set()
  let all = false

  return {
    set(origins) {
      const add = [...origins].filter((origin) => !wanted.has(origin))
      const gone = [...wanted].filter((origin) => !origins.has(origin))
      if (add.length === 0 && gone.length === 0) return undefined
      wanted = new Set(origins)
      const wasAll = all
      all = wanted.size > MAX_WANTED_BY_NAME
      if (all !== wasAll) return { change: { all, add: all ? [] : [...wanted], drop: [] }, gone }
      return { change: all ? { add: [], drop: [] } : { add, drop: gone }, gone }
    },
    whole: () => (all ? { all, add: [], drop: [] } : { add: [...wanted], drop: [] }),
    has: (origin) => wanted.has(origin),
    get size() {
      return wanted.size
    }
  }
}
