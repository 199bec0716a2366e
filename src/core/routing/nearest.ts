import { INFINITE } from './metric.ts'

/** Origins of each type that a neighbour hears of, where it cannot hear of all: the eight that it wants to know, and one more, so that a change of order loses none. */
export const NEAREST_PER_TYPE = 9

/**
 * Which origins are among the nearest of any of their types. With costs that add up this loses nobody: who is among the K nearest of a
 * type for a node, and is reached through a neighbour, is among the K nearest of that neighbour.
 */
export interface Nearest {
  setTypes(origin: number, types: readonly number[]): void
  /** The metric of a route has changed; INFINITE: there is none. */
  setMetric(origin: number, metric: number): void
  has(origin: number): boolean
  /** With a route below this metric an origin would be among the nearest of one of its types; INFINITE if it is, or there is a place. */
  border(origin: number): number
}

interface Ranked {
  readonly origin: number
  types: readonly number[]
  metric: number
  /** For how many of its types it is among the nearest. */
  places: number
}

/** @param onChange is told of each origin that came in or went out. */
export function createNearest(onChange: (origin: number, isIn: boolean) => void, perType = NEAREST_PER_TYPE): Nearest {
  const known = new Map<number, Ranked>()
  /** Origins with a route, by type, nearest first. */
  const lists = new Map<number, Ranked[]>()

  function place(ranked: Ranked, by: number): void {
    const before = ranked.places
    ranked.places += by
    if ((before === 0) !== (ranked.places === 0)) onChange(ranked.origin, before === 0)
  }

  /** Where an origin of this metric goes: after those that are as near. */
  function placeFor(list: readonly Ranked[], metric: number): number {
    let [from, to] = [0, list.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if (list[middle]!.metric > metric) to = middle
      else from = middle + 1
    }
    return from
  }

  /** Moves an origin out of the order of a type, and in again at its place if it has a route. */
  function rank(type: number, ranked: Ranked, metric: number): void {
    let list = lists.get(type)
    if (list === undefined) lists.set(type, (list = []))
    const from = list.indexOf(ranked)
    if (from >= 0) list.splice(from, 1)
    const to = metric === INFINITE ? -1 : placeFor(list, metric)
    if (to >= 0) list.splice(to, 0, ranked)
    if (list.length === 0) lists.delete(type)
    const was = from >= 0 && from < perType
    const is = to >= 0 && to < perType
    if (was === is) return
    // Another one has taken its place, or given way: who is at the border now.
    const other = list[is ? perType : perType - 1]
    place(ranked, is ? 1 : -1)
    if (other !== undefined) place(other, is ? -1 : 1)
  }

  function rankedOf(origin: number): Ranked {
    let ranked = known.get(origin)
    if (ranked === undefined) known.set(origin, (ranked = { origin, types: [], metric: INFINITE, places: 0 }))
    return ranked
  }

  function forget({ origin, types, metric }: Ranked): void {
    if (types.length === 0 && metric === INFINITE) known.delete(origin)
  }

  return {
    has: (origin) => (known.get(origin)?.places ?? 0) > 0,
    border(origin) {
      const ranked = known.get(origin)
      if (ranked === undefined) return 0
      let border = ranked.places > 0 ? INFINITE : 0
      for (const type of ranked.types) border = Math.max(border, lists.get(type)?.[perType - 1]?.metric ?? INFINITE)
      return border
    },
    setTypes(origin, types) {
      const ranked = rankedOf(origin)
      for (const type of ranked.types) if (!types.includes(type)) rank(type, ranked, INFINITE)
      ranked.types = types
      for (const type of types) rank(type, ranked, ranked.metric)
      forget(ranked)
    },
    setMetric(origin, metric) {
      const ranked = rankedOf(origin)
      if (ranked.metric === metric) return
      ranked.metric = metric
      for (const type of ranked.types) rank(type, ranked, metric)
      forget(ranked)
    }
  }
}
