/** Firings of one trigger about one subject that become one event: one, or many that were held back. */
export interface Firing<P> {
  /** Of the last. */
  payload: P
  /** How many there were. */
  count: number
  /** When the first and the last was, monotonic ms. */
  firstAt: number
  lastAt: number
  /** What the payload takes, in bytes. */
  bytes: number
}

/** A single one. @param now monotonic ms. */
export function fired<P>(payload: P, bytes: number, now: number): Firing<P> {
  return { payload, count: 1, firstAt: now, lastAt: now, bytes }
}

/** Both in one: nothing is lost but payloads that a later one has replaced. */
export function coalesce<P>(earlier: Firing<P> | undefined, later: Firing<P>): Firing<P> {
  if (earlier === undefined) return later
  return { ...later, count: earlier.count + later.count, firstAt: earlier.firstAt }
}
