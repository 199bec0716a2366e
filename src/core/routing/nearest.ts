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
}

/** @param onChange is told of each origin that came in or went out. */
export function createNearest(onChange: (origin: number) => void, perType = NEAREST_PER_TYPE): Nearest {
  const typesOf = new Map<number, readonly number[]>()
  const metrics = new Map<number, number>()
  /** Origins with a route, by type, nearest first. */
  const ranked = new Map<number, number[]>()
  /** For how many of its types an origin is among the nearest. */
  const places = new Map<number, number>()

  function place(origin: number, by: number): void {
    const before = places.get(origin) ?? 0
    const after = before + by
    if (after === 0) places.delete(origin)
    else places.set(origin, after)
    if ((before === 0) !== (after === 0)) onChange(origin)
  }

  /** Moves an origin to its place in the order of a type, or out of it. */
  function rank(type: number, origin: number, metric: number): void {
    const list = ranked.get(type) ?? []
    const from = list.indexOf(origin)
    if (from >= 0) list.splice(from, 1)
    let to = -1
    if (metric !== INFINITE) {
      to = list.findIndex((other) => metrics.get(other)! > metric)
      if (to < 0) to = list.length
      list.splice(to, 0, origin)
    }
    if (list.length === 0) ranked.delete(type)
    else ranked.set(type, list)
    const was = from >= 0 && from < perType
    const is = to >= 0 && to < perType
    if (was === is) return
    // Another one has taken its place, or given way: who is at the border now.
    const other = list[is ? perType : perType - 1]
    place(origin, is ? 1 : -1)
    if (other !== undefined) place(other, is ? -1 : 1)
  }

  return {
    has: (origin) => places.has(origin),
    setTypes(origin, types) {
      const metric = metrics.get(origin) ?? INFINITE
      for (const type of typesOf.get(origin) ?? []) if (!types.includes(type)) rank(type, origin, INFINITE)
      if (types.length > 0) typesOf.set(origin, [...types])
      else typesOf.delete(origin)
      for (const type of types) rank(type, origin, metric)
    },
    setMetric(origin, metric) {
      if ((metrics.get(origin) ?? INFINITE) === metric) return
      if (metric === INFINITE) metrics.delete(origin)
      else metrics.set(origin, metric)
      for (const type of typesOf.get(origin) ?? []) rank(type, origin, metric)
    }
  }
}
