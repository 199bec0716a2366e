/** Watches all pairs of a node and an origin while time passes: since when each is right, to the millisecond. */
import { NOWHERE, type Network } from './network.ts'
import { OUTCOME, createOracle } from './oracle.ts'

/** Pairs are looked at this long after something changed, ms. */
const BUCKET_MS = 1

/** What was wrong since {@link PairWatch.begin}; in ms. */
export interface PairFindings {
  /** Until the last moment at which a pair was wrong; 0 if none was. */
  rightAfterMs: number
  /** True if a pair is wrong now. */
  isWrong: boolean
  /** Time in which a connected pair had no route that arrives. */
  outageMs: number
  /** Time in which next hops of a pair went round a loop. */
  loopMs: number
  /** Time in which a node had a route to what it could not reach. */
  ghostMs: number
}

/** See {@link createPairWatch}. */
export interface PairWatch {
  /** The next hop to the origin at `place` has changed. */
  touch(place: number): void
  /** What can be reached has changed. */
  touchAll(): void
  begin(): void
  findings(): PairFindings
}

/**
 * A pair is right if it is connected and its next hops arrive, or if it is not and the node has no route. Connected is what sessions connect: no
 * algorithm can route over a link that is not dialled yet. Costs time for each change: for networks of some hundred nodes.
 */
export function createPairWatch(network: Network, nodes: number, places = network.origins.map((_, place) => place)): PairWatch {
  const oracle = createOracle(network, nodes, network.hasSession)
  const isWatched = new Uint8Array(network.origins.length)
  for (const place of places) isWatched[place] = 1
  const isDirty = new Uint8Array(network.origins.length)
  let dirty: number[] = []
  let parts: Int32Array = new Int32Array(nodes)
  let isTruthNew = true
  let isPlanned = false
  const total = { outage: 0, loop: 0, ghost: 0 }
  /** By place: pairs that are wrong. */
  const counts = network.origins.map(() => ({ outage: 0, loop: 0, ghost: 0 }))
  let found = { outageMs: 0, loopMs: 0, ghostMs: 0 }
  let [begunAt, lookedAt, wrongAt] = [0, 0, -1]

  function plan(): void {
    if (isPlanned) return
    isPlanned = true
    network.at(Math.floor(network.now / BUCKET_MS) * BUCKET_MS + BUCKET_MS, look)
  }

  function touch(place: number): void {
    if (isWatched[place] === 0 || isDirty[place] === 1) return
    isDirty[place] = 1
    dirty.push(place)
    plan()
  }

  /** Counts the time that has passed for what was true in it. */
  function pass(): void {
    const passed = network.now - lookedAt
    lookedAt = network.now
    if (total.outage > 0) found.outageMs += passed
    if (total.loop > 0) found.loopMs += passed
    if (total.ghost > 0) found.ghostMs += passed
    if (total.outage + total.ghost > 0) wrongAt = network.now
  }

  function look(): void {
    isPlanned = false
    pass()
    if (isTruthNew) parts = oracle.parts()
    isTruthNew = false
    const places = dirty
    dirty = []
    for (const place of places) {
      isDirty[place] = 0
      evaluate(place)
    }
    if (total.outage + total.ghost > 0) wrongAt = network.now
  }

  function evaluate(place: number): void {
    const [origin, hops, outcomes] = [network.origins[place]!, network.nextHops(place), oracle.outcomes(place)]
    const before = counts[place]!
    const now = { outage: 0, loop: 0, ghost: 0 }
    for (let node = 0; node < nodes; node++) {
      if (node === origin || parts[node]! < 0) continue
      if (outcomes[node] === OUTCOME.loops) now.loop++
      if (parts[node] !== parts[origin]) now.ghost += Number(hops[node] !== NOWHERE)
      else if (outcomes[node] !== OUTCOME.arrives) now.outage++
    }
    counts[place] = now
    for (const kind of ['outage', 'loop', 'ghost'] as const) total[kind] += now[kind] - before[kind]
  }

  return {
    touch,
    touchAll() {
      isTruthNew = true
      for (const place of places) touch(place)
    },
    begin() {
      pass()
      found = { outageMs: 0, loopMs: 0, ghostMs: 0 }
      begunAt = network.now
      wrongAt = -1
    },
    findings() {
      pass()
      const isWrong = total.outage + total.ghost > 0
      return { rightAfterMs: wrongAt < begunAt ? 0 : wrongAt - begunAt, isWrong, ...found }
    }
  }
}
